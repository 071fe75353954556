//! The one thread that writes the journal, and keeps it within its bounds.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

use super::event::Event;
use super::{Bounds, StoryId, find};
use crate::db::{Connection, Database, params};
use crate::{Error, Result};

/// For so long lines are gathered: a message's whole story is one write to the disk then.
const GATHER: Duration = Duration::from_millis(500);
/// Lines in one transaction.
const GROUP: usize = 512;
/// How often the bounds are looked at.
const TRIM_EVERY: Duration = Duration::from_secs(60);
/// Stories that go in one transaction.
const TRIM_GROUP: usize = 200;
/// A line of more octets is lost: nothing that happens takes so many words.
const LINE_MAX: usize = 64 * 1024;

/// What the thread is told.
#[derive(Debug)]
pub(super) enum Order {
    /// Write a line.
    Write(Entry),
    /// Say when all lines before can be found.
    Settle(mpsc::SyncSender<()>),
}

/// A line to be written.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) moment: Timestamp,
    pub(super) story: StoryId,
    pub(super) event: Event,
}

/// Starts the thread; it ends when every sender of `inbox` is gone and what was told is written.
pub(super) fn spawn(
    database: Arc<Database>,
    inbox: mpsc::Receiver<Order>,
    bounds: Bounds,
    lost: Arc<AtomicU64>,
) -> Result<JoinHandle<()>> {
    let writer = Writer { database, inbox, bounds, lost };
    let builder = std::thread::Builder::new().name("journal".to_owned());
    Ok(builder.spawn(move || writer.run())?)
}

struct Writer {
    database: Arc<Database>,
    inbox: mpsc::Receiver<Order>,
    bounds: Bounds,
    lost: Arc<AtomicU64>,
}

impl Writer {
    fn run(self) {
        let mut trimmed = Instant::now();
        loop {
            match self.inbox.recv_timeout(TRIM_EVERY) {
                Ok(first) => self.take(first),
                Err(mpsc::RecvTimeoutError::Timeout) => {}
                Err(mpsc::RecvTimeoutError::Disconnected) => return,
            }
            if trimmed.elapsed() >= TRIM_EVERY {
                self.trim();
                trimmed = Instant::now();
            }
        }
    }

    /// Gathers lines for a moment, or until somebody waits for them, and writes them.
    fn take(&self, first: Order) {
        let (mut entries, until, mut next) = (Vec::new(), Instant::now() + GATHER, Ok(first));
        let mut waiting = None;
        while let Ok(order) = next {
            match order {
                Order::Write(entry) => entries.push(entry),
                Order::Settle(done) => {
                    waiting = Some(done);
                    break;
                }
            }
            if entries.len() >= GROUP {
                break;
            }
            next = self.inbox.recv_timeout(until.saturating_duration_since(Instant::now()));
        }
        self.write(entries);
        if let Some(done) = waiting {
            // Who asked may have gone.
            let _ = done.send(());
        }
    }

    fn write(&self, entries: Vec<Entry>) {
        let count = entries.len() as u64;
        let written = self.database.write(move |connection: &Connection| {
            let mut lost = 0;
            for entry in &entries {
                lost += u64::from(insert(connection, entry)? == Insertion::TooLong);
            }
            Ok::<_, Error>(lost)
        });
        // The database's own thread has said why in the log.
        self.lost.fetch_add(written.unwrap_or(count), Ordering::Relaxed);
    }

    fn trim(&self) {
        let (bounds, now) = (self.bounds, Timestamp::now());
        loop {
            let trimmed = self.database.write(move |connection: &Connection| trim(connection, bounds, now));
            match trimmed {
                Ok(TRIM_GROUP..) => {}
                Ok(_) => return,
                Err(error) => return tracing::warn!(%error, "the journal keeps more than it should"),
            }
        }
    }
}

#[derive(PartialEq, Eq)]
enum Insertion {
    Done,
    TooLong,
}

fn insert(connection: &Connection, entry: &Entry) -> Result<Insertion> {
    let event = serde_json::to_string(&entry.event).map_err(|error| Error::Fault(error.to_string()))?;
    if event.len() > LINE_MAX {
        return Ok(Insertion::TooLong);
    }
    let moment = entry.moment.as_millisecond();
    let story: i64 = connection
        .prepare_cached(
            "INSERT INTO story (name, last, taken) VALUES (?1, ?2, ?3) ON CONFLICT (name) DO UPDATE
                 SET last = MAX(last, excluded.last), taken = MAX(taken, excluded.taken) RETURNING id",
        )?
        .query_row(params![entry.story.as_str(), moment, entry.event.is_of_taken_mail()], |row| row.get(0))?;
    connection
        .prepare_cached("INSERT INTO line (story, moment, event) VALUES (?1, ?2, ?3)")?
        .execute(params![story, moment, event])?;
    let mut mention =
        connection.prepare_cached("INSERT OR IGNORE INTO mention (word, story) VALUES (?1, ?2)")?;
    for word in entry.event.mentions().iter().filter_map(|text| find::word(text)) {
        mention.execute(params![word, story])?;
    }
    Ok(Insertion::Done)
}

/// Lets up to `TRIM_GROUP` stories go that are too old, or for which there is no room; gives their number.
pub(super) fn trim(connection: &Connection, bounds: Bounds, now: Timestamp) -> Result<usize> {
    let keep = SignedDuration::try_from(bounds.keep).unwrap_or(SignedDuration::MAX);
    let oldest = now.checked_sub(keep).unwrap_or(Timestamp::MIN);
    let limit = i64::try_from(TRIM_GROUP).unwrap_or(i64::MAX);
    let gone = connection.execute(
        "DELETE FROM story WHERE id IN (SELECT id FROM story WHERE taken IN (0, 1) AND last < ?1 LIMIT ?2)",
        params![oldest.as_millisecond(), limit],
    )?;
    if gone > 0 || octets(connection)? <= bounds.octets {
        return Ok(gone);
    }
    Ok(connection.execute(
        "DELETE FROM story WHERE id IN (SELECT id FROM story ORDER BY taken, last LIMIT ?1)",
        params![limit],
    )?)
}

/// Octets in use; pages that were freed are used again.
fn octets(connection: &Connection) -> Result<u64> {
    let pragma = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let pages = pragma("page_count")?.saturating_sub(pragma("freelist_count")?);
    Ok(u64::try_from(pages.saturating_mul(pragma("page_size")?)).unwrap_or(0))
}
