//! Who has sent mail here before, and which first attempts were asked to come again.
//!
//! In: networks whose mail was taken, and attempts of strangers. Out: the regulars, and when an attempt was made first.
//! Refused: nothing; the newest [`MOST_ROWS`] of each are kept.
//!
//! # On disk
//! ```text
//! state_dir/senders.sqlite     regulars and attempts (schema.rs)
//! ```
//! Sealed where mail is. It may be deleted while the daemon is stopped: strangers are then asked to come again once more.
//! Commits do not wait for the disk, since what a power cut takes costs a stranger no more than that.

pub(crate) mod schema;

use std::sync::Arc;

use rusqlite::{Connection, params};

use crate::db::Database;
use crate::place::Place;
use crate::{Error, Result};

/// Rows kept of each table; some hundred octets each.
pub const MOST_ROWS: i64 = 50_000;

/// The memory of senders; cheap to clone.
#[derive(Debug, Clone)]
pub struct Senders(Arc<Database>);

/// An attempt to deliver by somebody who is not known: where from, and in whose name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// The client's network.
    pub network: String,
    /// The reverse path, in lower case.
    pub sender: String,
}

impl Senders {
    /// Opens the memory in `state_dir`, or makes it.
    ///
    /// # Errors
    /// As [`Database::open`].
    pub fn open(state_dir: impl Into<Place>) -> Result<Senders> {
        let place = state_dir.into().admit()?.join("senders.sqlite");
        Ok(Senders(Arc::new(Database::open(place, &schema::SCHEMA)?)))
    }

    /// The networks whose mail was taken, each with the day of the last time, in days since 1970.
    ///
    /// # Errors
    /// `Temporary`
    pub fn regulars(&self) -> Result<Vec<(String, u64)>> {
        self.0.read(|connection| {
            let mut statement = connection.prepare("SELECT network, last_day FROM regular")?;
            let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
            Ok(rows.collect::<std::result::Result<_, _>>()?)
        })
    }

    /// Notes that mail of this network was taken on this day. Does not wait for it.
    pub fn welcome(&self, network: String, day: u64) {
        // A line that is lost is noted again with the next message.
        drop(self.0.submit::<(), Error, _>(move |connection| {
            connection.execute(
                "INSERT OR REPLACE INTO regular (network, last_day) VALUES (?1, ?2)",
                params![network, day],
            )?;
            forget(connection, "regular")
        }));
    }

    /// Notes an attempt; gives the moment of the first one that is remembered, in seconds since 1970. One that is older than
    /// `memory` seconds, or lies in the future because the clock went back, counts as never made. Waits for the writer.
    ///
    /// # Errors
    /// `Temporary` or `DiskFull`
    pub fn attempt(&self, attempt: Attempt, now: u64, memory: u64) -> Result<u64> {
        self.0.write(move |connection| {
            let Attempt { network, sender } = attempt;
            connection.execute(
                "DELETE FROM attempt WHERE network = ?1 AND sender = ?2 AND first NOT BETWEEN ?3 AND ?4",
                params![network, sender, now.saturating_sub(memory), now],
            )?;
            connection.execute(
                "INSERT OR IGNORE INTO attempt (network, sender, first) VALUES (?1, ?2, ?3)",
                params![network, sender, now],
            )?;
            forget(connection, "attempt")?;
            let first = "SELECT first FROM attempt WHERE network = ?1 AND sender = ?2";
            Ok(connection.query_row(first, params![network, sender], |row| row.get(0))?)
        })
    }
}

/// Drops the oldest rows; rows are numbered in the order of their coming.
fn forget(connection: &Connection, table: &str) -> Result<()> {
    connection.execute(
        &format!("DELETE FROM {table} WHERE id <= (SELECT max(id) FROM {table}) - ?1"),
        [MOST_ROWS],
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 86_400;

    fn opened() -> (tempfile::TempDir, Senders) {
        let state_dir = tempfile::tempdir().expect("temporary directory");
        let senders = Senders::open(state_dir.path()).expect("opened");
        (state_dir, senders)
    }

    fn attempt(network: &str) -> Attempt {
        Attempt { network: network.to_owned(), sender: "bob@stranger.example".to_owned() }
    }

    #[test]
    fn the_first_attempt_is_remembered_for_a_while() {
        let (state_dir, senders) = opened();
        let now = 1_000 * DAY;
        let try_at =
            |senders: &Senders, time| senders.attempt(attempt("192.0.2.0/24"), time, DAY).expect("noted");
        assert_eq!(try_at(&senders, now), now);
        assert_eq!(try_at(&senders, now + 300), now);
        assert_eq!(senders.attempt(attempt("198.51.100.0/24"), now + 300, DAY).expect("noted"), now + 300);
        drop(senders);
        let senders = Senders::open(state_dir.path()).expect("opened again");
        assert_eq!(try_at(&senders, now + 600), now);
        assert_eq!(try_at(&senders, now + DAY + 1), now + DAY + 1, "an old attempt is forgotten");
        assert_eq!(try_at(&senders, now), now, "one in the future is, too");
    }

    #[test]
    fn regulars_are_there_after_a_start() {
        let (state_dir, senders) = opened();
        senders.welcome("192.0.2.7".to_owned(), 20_000);
        senders.welcome("192.0.2.7".to_owned(), 20_001);
        drop(senders);
        let senders = Senders::open(state_dir.path()).expect("opened again");
        assert_eq!(senders.regulars().expect("read"), [("192.0.2.7".to_owned(), 20_001)]);
    }

    #[test]
    fn a_flood_of_strangers_is_bounded() {
        let (_state_dir, senders) = opened();
        senders.attempt(attempt("first"), 1, DAY).expect("noted");
        let last = MOST_ROWS + 1;
        let far = move |connection: &Connection| -> Result<()> {
            connection.execute(
                "INSERT INTO attempt (id, network, sender, first) VALUES (?1, 'x', 'y', 1)",
                [last],
            )?;
            forget(connection, "attempt")
        };
        senders.0.write(far).expect("noted");
        assert_eq!(senders.attempt(attempt("first"), 2, DAY).expect("noted"), 2, "the oldest has gone");
    }
}
