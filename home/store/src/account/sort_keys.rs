//! What SORT and THREAD look at (RFC 5256, RFC 5957), as it was found out when each message was stored.

use std::num::NonZeroU64;

use rusqlite::{Connection, Row, params};

use super::columns::{Columns, Reader};
use super::placements::{Placement, State};
use super::{Account, MailboxId, ModSeq, Uid, UidSet};
use crate::{Error, Result};

/// A message's place in the orders of numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SortNumbers {
    /// The message.
    pub uid: Uid,
    /// When it was added or its flags changed last.
    pub mod_seq: ModSeq,
    /// INTERNALDATE, in seconds since 1970.
    pub internal_date: i64,
    /// The moment in the Date field, in seconds since 1970, or the internal date.
    pub sent_date: i64,
    /// Octets.
    pub size: u64,
}

/// A message's place in every order; texts are in upper case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SortKeys {
    /// Among numbers.
    pub numbers: SortNumbers,
    /// The base subject (RFC 5256 §2.1).
    pub base_subject: String,
    /// The local part of the first From address.
    pub from: String,
    /// The local part of the first To address.
    pub to: String,
    /// The local part of the first Cc address.
    pub cc: String,
    /// The name of the first From address (RFC 5957 §3).
    pub display_from: String,
    /// The name of the first To address.
    pub display_to: String,
}

/// What tells which conversation a message is part of, but for its references; subjects and ids by their hashes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThreadLinks {
    /// The message.
    pub uid: Uid,
    /// The moment in the Date field, in seconds since 1970, or the internal date.
    pub sent_date: i64,
    /// The base subject; nothing where it is empty.
    pub base_subject: Option<NonZeroU64>,
    /// Whether the subject says that it is an answer, or passed on (RFC 5256 §3).
    pub reply_or_forward: bool,
    /// Its Message-ID.
    pub message_id: Option<NonZeroU64>,
}

impl Account {
    /// The numbers of these messages, ascending by UID.
    ///
    /// # Errors
    /// `Temporary`; `NotFound` for the mailbox; `Corrupt` where a message cannot be read.
    pub fn sort_numbers(&self, mailbox: MailboxId, uids: &UidSet) -> Result<Vec<SortNumbers>> {
        let mut numbers = Vec::new();
        self.each_columns(mailbox, uids, |placement, columns| {
            numbers.push(SortNumbers {
                uid: placement.uid,
                mod_seq: placement.mod_seq,
                internal_date: columns.internal_date,
                sent_date: columns.sent_date,
                size: columns.size,
            });
        })?;
        Ok(numbers)
    }

    /// The sort keys of these messages, ascending by UID.
    ///
    /// # Errors
    /// `Temporary`
    pub fn sort_keys(&self, mailbox: MailboxId, uids: &UidSet) -> Result<Vec<SortKeys>> {
        self.0.database.read(|connection| each_row(connection, mailbox, uids, sort_keys))
    }

    /// Calls `each` with the links of these messages, ascending by UID, and with the hashes of the ids of References, the oldest
    /// first, or of the first of In-Reply-To.
    ///
    /// # Errors
    /// `Temporary`; `NotFound` for the mailbox; `Corrupt` where a message's structure cannot be read.
    pub fn thread_links(
        &self,
        mailbox: MailboxId,
        uids: &UidSet,
        mut each: impl FnMut(ThreadLinks, &mut dyn Iterator<Item = u64>),
    ) -> Result<()> {
        self.each_columns(mailbox, uids, |placement, columns| {
            let links = ThreadLinks {
                uid: placement.uid,
                sent_date: columns.sent_date,
                base_subject: columns.base_subject,
                reply_or_forward: columns.reply_or_forward,
                message_id: columns.message_id,
            };
            each(links, &mut columns.references());
        })
    }

    fn each_columns(
        &self,
        mailbox: MailboxId,
        uids: &UidSet,
        mut each: impl FnMut(Placement, Columns<'_>),
    ) -> Result<()> {
        self.0.database.read(|connection| {
            let highest_mod_seq = super::mailboxes::selectable(connection, mailbox)?.highest_mod_seq;
            let state = State { account: self.0.id, mailbox, highest_mod_seq };
            let mut reader = Reader::new(connection);
            self.0.placements.each(connection, state, uids, |placement| {
                let read = reader.read(placement.email, |columns| each(placement, columns));
                read.map_err(|error| match error {
                    Error::Corrupt(what) => Error::Corrupt(format!("message {}: {what}", placement.uid)),
                    other => other,
                })
            })
        })
    }
}

const KEYS: &str =
    "SELECT uid, message.mod_seq, internal_date, sent_date, size, base_subject, sort_from, sort_to, sort_cc,
        display_from, display_to
   FROM message CROSS JOIN email USING (email_id)
  WHERE mailbox_id = ?1 AND uid BETWEEN ?2 AND ?3 ORDER BY uid";

fn each_row<T>(
    connection: &Connection,
    mailbox: MailboxId,
    uids: &UidSet,
    mut read: impl FnMut(&Row<'_>) -> Result<T>,
) -> Result<Vec<T>> {
    let mut statement = connection.prepare_cached(KEYS)?;
    let mut found = Vec::new();
    for range in uids.ranges() {
        let mut rows = statement.query(params![mailbox, range.start(), range.end()])?;
        while let Some(row) = rows.next()? {
            found.push(read(row)?);
        }
    }
    Ok(found)
}

fn sort_keys(row: &Row<'_>) -> Result<SortKeys> {
    let numbers = SortNumbers {
        uid: row.get(0)?,
        mod_seq: row.get(1)?,
        internal_date: row.get(2)?,
        sent_date: row.get(3)?,
        size: row.get(4)?,
    };
    Ok(SortKeys {
        numbers,
        base_subject: row.get(5)?,
        from: row.get(6)?,
        to: row.get(7)?,
        cc: row.get(8)?,
        display_from: row.get(9)?,
        display_to: row.get(10)?,
    })
}
