//! What a mailbox holds, by content: so that mail which is brought in twice is there once.

use std::collections::HashMap;

use super::{Account, MailboxId};
use crate::stage::BlobHash;
use crate::{Error, Result, Timestamp};

/// The messages of a mailbox by the hash of their octets and their internal date, each counted.
#[derive(Debug, Default)]
pub struct Holdings(HashMap<(BlobHash, i64), u32>);

impl Holdings {
    /// Takes one such message out; false where there is none (any more).
    pub fn take(&mut self, hash: BlobHash, internal_date: Timestamp) -> bool {
        let Some(count) = self.0.get_mut(&(hash, internal_date.as_second())) else { return false };
        let is_there = *count > 0;
        *count = count.saturating_sub(1);
        is_there
    }
}

impl Account {
    /// What a mailbox holds now.
    ///
    /// # Errors
    /// `Temporary`
    pub fn holdings(&self, mailbox: MailboxId) -> Result<Holdings> {
        self.0.database.read(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT hash, internal_date, count(*)
                   FROM message JOIN email USING (email_id) JOIN blob USING (blob_id)
                  WHERE mailbox_id = ?1 GROUP BY hash, internal_date",
            )?;
            let rows = statement
                .query_map([mailbox], |row| Ok(((BlobHash(row.get(0)?), row.get(1)?), row.get(2)?)))?;
            Ok::<_, Error>(Holdings(rows.collect::<Result<_, _>>()?))
        })
    }
}
