//! Senders whose addresses are too long to be rewritten in full when their mail is sent on.
//!
//! In: an address. Out: a number that stands for it. Refused: nothing; of more than [`MOST`] addresses the one that came first
//! goes, and so do those that were not used for as long as the caller says a report may come.

use postern_message::address::EmailAddress;
use rusqlite::OptionalExtension;

use super::{Directory, DirectoryError};

/// Most addresses that are kept: some 20 MB.
const MOST: i64 = 100_000;

impl Directory {
    /// The number that stands for an address; durable on return. `now` and `oldest` are days since 1970: those that were last
    /// used before `oldest` are forgotten.
    ///
    /// # Errors
    /// [`DirectoryError::Storage`].
    pub fn keep_long_sender(
        &self,
        address: &EmailAddress,
        now: u64,
        oldest: u64,
    ) -> Result<i64, DirectoryError> {
        let (address, now, oldest) = (address.to_string(), now.cast_signed(), oldest.cast_signed());
        self.shared.database.write(move |connection| {
            connection.execute("DELETE FROM long_sender WHERE used < ?1", [oldest])?;
            let id: i64 = connection.query_row(
                "INSERT INTO long_sender (address, used) VALUES (?1, ?2)
                 ON CONFLICT (address) DO UPDATE SET used = excluded.used RETURNING id",
                (address, now),
                |row| row.get(0),
            )?;
            connection.execute("DELETE FROM long_sender WHERE id <= ?1 - ?2", (id, MOST))?;
            Ok(id)
        })
    }

    /// The address that a number stands for.
    ///
    /// # Errors
    /// [`DirectoryError::Storage`].
    pub fn long_sender(&self, id: i64) -> Result<Option<EmailAddress>, DirectoryError> {
        self.shared.database.read(move |connection| {
            let mut query = connection.prepare_cached("SELECT address FROM long_sender WHERE id = ?1")?;
            let address: Option<String> = query.query_row([id], |row| row.get(0)).optional()?;
            Ok(address.and_then(|address| EmailAddress::parse(&address).ok()))
        })
    }
}
