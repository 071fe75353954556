//! What SORT and THREAD look at (RFC 5256, RFC 5957), as it was found out when each message was stored.

use rusqlite::{Connection, Row, params};

use super::parsed::MAX_REFERENCES;
use super::{Account, MailboxId, Uid, UidSet};
use crate::structure::{Mentioned, is_reply_or_forward, message_ids};
use crate::{Error, Result};

/// A message's place in every order; texts are in upper case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SortKeys {
    /// The message.
    pub uid: Uid,
    /// INTERNALDATE, in seconds since 1970.
    pub internal_date: i64,
    /// The moment in the Date field, in seconds since 1970, or the internal date.
    pub sent_date: i64,
    /// Octets.
    pub size: u64,
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

/// Whether the texts among the sort keys are read. They are most of the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SortTexts {
    /// They are.
    Read,
    /// They are left empty.
    Left,
}

/// What tells which conversation a message is part of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThreadLinks {
    /// The message.
    pub uid: Uid,
    /// The moment in the Date field, in seconds since 1970, or the internal date.
    pub sent_date: i64,
    /// The base subject, in upper case.
    pub base_subject: String,
    /// Whether the subject says that it is an answer, or passed on (RFC 5256 §3).
    pub reply_or_forward: bool,
    /// Its Message-ID.
    pub message_id: Option<Vec<u8>>,
    /// The ids of References, or the first of In-Reply-To.
    pub references: Vec<Vec<u8>>,
}

impl Account {
    /// The sort keys of these messages, ascending by UID.
    ///
    /// # Errors
    /// `Temporary`
    pub fn sort_keys(&self, mailbox: MailboxId, uids: &UidSet, texts: SortTexts) -> Result<Vec<SortKeys>> {
        let sql = match texts {
            SortTexts::Read => KEYS,
            SortTexts::Left => NUMBERS,
        };
        self.0.database.read(|connection| each(connection, mailbox, uids, sql, sort_keys))
    }

    /// The links of these messages, ascending by UID.
    ///
    /// # Errors
    /// `Temporary`; `Corrupt` where a message's structure cannot be read.
    pub fn thread_links(&self, mailbox: MailboxId, uids: &UidSet) -> Result<Vec<ThreadLinks>> {
        self.0.database.read(|connection| each(connection, mailbox, uids, LINKS, thread_links))
    }
}

const KEYS: &str =
    "SELECT uid, internal_date, sent_date, size, base_subject, sort_from, sort_to, sort_cc, display_from,
        display_to
   FROM message CROSS JOIN email USING (email_id)
  WHERE mailbox_id = ?1 AND uid BETWEEN ?2 AND ?3 ORDER BY uid";

const NUMBERS: &str = "SELECT uid, internal_date, sent_date, size, '', '', '', '', '', ''
   FROM message CROSS JOIN email USING (email_id)
  WHERE mailbox_id = ?1 AND uid BETWEEN ?2 AND ?3 ORDER BY uid";

const LINKS: &str = "SELECT uid, sent_date, base_subject, structure
   FROM message CROSS JOIN email USING (email_id) CROSS JOIN email_structure USING (email_id)
  WHERE mailbox_id = ?1 AND uid BETWEEN ?2 AND ?3 ORDER BY uid";

fn each<T>(
    connection: &Connection,
    mailbox: MailboxId,
    uids: &UidSet,
    sql: &str,
    read: impl Fn(&Row<'_>) -> Result<T>,
) -> Result<Vec<T>> {
    let mut statement = connection.prepare_cached(sql)?;
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
    Ok(SortKeys {
        uid: row.get(0)?,
        internal_date: row.get(1)?,
        sent_date: row.get(2)?,
        size: row.get(3)?,
        base_subject: row.get(4)?,
        from: row.get(5)?,
        to: row.get(6)?,
        cc: row.get(7)?,
        display_from: row.get(8)?,
        display_to: row.get(9)?,
    })
}

fn thread_links(row: &Row<'_>) -> Result<ThreadLinks> {
    let uid: Uid = row.get(0)?;
    let stored = row.get_ref(3)?.as_blob().map_err(rusqlite::Error::from)?;
    let mentioned = Mentioned::decode(stored).map_err(|error| match error {
        Error::Corrupt(what) => Error::Corrupt(format!("message {uid}: {what}")),
        other => other,
    })?;
    let ids = |field: Option<&[u8]>| field.map(message_ids).unwrap_or_default();
    let mut references = ids(mentioned.references);
    if references.is_empty() {
        // RFC 5256 §3: of In-Reply-To the first id, for what else stands there nobody knows.
        references = ids(mentioned.in_reply_to).into_iter().take(1).collect();
    }
    references.drain(..references.len().saturating_sub(MAX_REFERENCES));
    Ok(ThreadLinks {
        uid,
        sent_date: row.get(1)?,
        base_subject: row.get(2)?,
        reply_or_forward: is_reply_or_forward(mentioned.subject.unwrap_or_default()),
        message_id: ids(mentioned.message_id).into_iter().next(),
        references,
    })
}
