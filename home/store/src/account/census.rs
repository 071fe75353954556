//! What an account holds, in a few numbers that two copies of it can be compared by.
//!
//! In: an account, or a connection to one. Out: counts, and a hash over every message's mailbox, UID, flags and octets. Read
//! from the rows alone: that the octets are those of their hash is what `verify` finds.

use rusqlite::Connection;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Account;
use crate::Result;
use crate::hex::hex;

/// What an account holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Census {
    /// Mailboxes.
    pub mailboxes: u64,
    /// Messages, each copy counted.
    pub messages: u64,
    /// Their octets as they came.
    pub octets: u64,
    /// SHA-256 over mailbox, UID, flags and content hash of every message, in hexadecimal.
    pub digest: String,
}

impl Census {
    pub(crate) fn of(connection: &Connection) -> Result<Census> {
        let mailboxes = connection.query_row("SELECT count(*) FROM mailbox", [], |row| row.get(0))?;
        let (mut messages, mut octets, mut hasher) = (0, 0, Sha256::new());
        let mut select = connection.prepare(
            "SELECT mailbox_id, uid, flags, coalesce(keywords, x''), hash, blob.size
               FROM message JOIN email USING (email_id) JOIN blob USING (blob_id) ORDER BY mailbox_id, uid",
        )?;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            for column in 0..3 {
                hasher.update(row.get::<_, i64>(column)?.to_be_bytes());
            }
            let keywords: Vec<u8> = row.get(3)?;
            hasher.update((keywords.len() as u64).to_be_bytes());
            hasher.update(keywords);
            hasher.update(row.get::<_, Vec<u8>>(4)?);
            messages += 1;
            octets += row.get::<_, u64>(5)?;
        }
        Ok(Census { mailboxes, messages, octets, digest: hex(&hasher.finalize()) })
    }
}

impl Account {
    /// Counts what is there.
    ///
    /// # Errors
    /// `Corrupt` or `Temporary` when the database cannot be read.
    pub fn census(&self) -> Result<Census> {
        self.0.database.read(Census::of)
    }
}
