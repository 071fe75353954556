//! FETCH: message rows in chunks, and octets.

use std::collections::VecDeque;
use std::ops::{Range, RangeInclusive};

use rusqlite::{Connection, Row, params};

use super::keywords::{Keywords, StoredFlags};
use super::{Account, Detail, Email, MailboxId, Message, Uid, UidSet};
use crate::blob::BlobId;
use crate::structure::Structure;
use crate::{Error, Result, Timestamp};

/// Messages read at once: some hundred kilobytes with their structures.
const CHUNK: usize = 256;

impl Account {
    /// The messages of the mailbox with these UIDs, ascending, read in chunks as the iterator goes: each chunk is as
    /// of one moment, and messages expunged meanwhile are passed over.
    pub fn messages(&self, mailbox: MailboxId, uids: &UidSet, detail: Detail) -> Messages {
        let ranges = uids.ranges().collect();
        Messages { account: self.clone(), mailbox, ranges, detail, chunk: VecDeque::new() }
    }

    /// Octets of a stored message; the range is cut at the message's end.
    ///
    /// # Errors
    /// `NotFound` when the last copy has been expunged; `Corrupt` when octets are missing.
    pub fn read_blob(&self, blob: BlobId, range: Range<u64>) -> Result<Vec<u8>> {
        self.0.database.read(|connection| self.0.blobs.read(connection, blob, range))
    }
}

/// Messages, read a few hundred at a time.
#[derive(Debug)]
pub struct Messages {
    account: Account,
    mailbox: MailboxId,
    /// What is still to be read.
    ranges: VecDeque<RangeInclusive<u32>>,
    detail: Detail,
    chunk: VecDeque<Message>,
}

impl Iterator for Messages {
    type Item = Result<Message>;

    fn next(&mut self) -> Option<Result<Message>> {
        if self.chunk.is_empty()
            && let Err(error) = self.fill()
        {
            self.ranges.clear();
            return Some(Err(error));
        }
        self.chunk.pop_front().map(Ok)
    }
}

impl Messages {
    fn fill(&mut self) -> Result<()> {
        let Messages { account, mailbox, ranges, detail, chunk } = self;
        account.0.database.read(|connection| {
            let keywords = Keywords::load(connection)?;
            while chunk.len() < CHUNK
                && let Some(range) = ranges.pop_front()
            {
                if let Some(rest) = read_range(connection, &keywords, *mailbox, range, *detail, chunk)? {
                    ranges.push_front(rest);
                }
            }
            Ok(())
        })
    }
}

const SUMMARY: &str =
    "SELECT uid, message.mod_seq, save_date, flags, keywords, email_id, thread_id, blob_id, size,
        header_size, internal_date, sent_date, base_subject, has_attachment, preview, NULL
   FROM message CROSS JOIN email USING (email_id)
  WHERE mailbox_id = ?1 AND uid BETWEEN ?2 AND ?3 ORDER BY uid LIMIT ?4";

const WITH_STRUCTURE: &str =
    "SELECT uid, message.mod_seq, save_date, flags, keywords, email_id, thread_id, blob_id,
        size, header_size, internal_date, sent_date, base_subject, has_attachment, preview, structure
   FROM message CROSS JOIN email USING (email_id) CROSS JOIN email_structure USING (email_id)
  WHERE mailbox_id = ?1 AND uid BETWEEN ?2 AND ?3 ORDER BY uid LIMIT ?4";

/// Fills `chunk` from a range; gives back what of the range is left when the chunk is full.
fn read_range(
    connection: &Connection,
    keywords: &Keywords,
    mailbox: MailboxId,
    range: RangeInclusive<u32>,
    detail: Detail,
    chunk: &mut VecDeque<Message>,
) -> Result<Option<RangeInclusive<u32>>> {
    let sql = match detail {
        Detail::Summary => SUMMARY,
        Detail::Structure => WITH_STRUCTURE,
    };
    let room = CHUNK - chunk.len();
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params![mailbox, range.start(), range.end(), room])?;
    let before = chunk.len();
    while let Some(row) = rows.next()? {
        chunk.push_back(read(row, keywords)?);
    }
    let full = chunk.len() - before == room;
    let last = chunk.back().map(|message| message.uid.get()).filter(|_| full);
    Ok(last.filter(|last| last < range.end()).map(|last| last + 1..=*range.end()))
}

fn read(row: &Row<'_>, keywords: &Keywords) -> Result<Message> {
    let uid: Uid = row.get(0)?;
    let structure = row.get_ref(15)?.as_blob_or_null().map_err(rusqlite::Error::from)?;
    let email = Email {
        id: row.get(5)?,
        thread: row.get(6)?,
        blob: row.get(7)?,
        size: row.get(8)?,
        header_size: row.get(9)?,
        internal_date: moment(row.get(10)?),
        sent_date: moment(row.get(11)?),
        base_subject: row.get(12)?,
        has_attachment: row.get(13)?,
        preview: row.get(14)?,
        structure: structure.map(Structure::decode).transpose().map_err(|error| match error {
            Error::Corrupt(what) => Error::Corrupt(format!("message {uid}: {what}")),
            other => other,
        })?,
    };
    let flags = keywords.resolve(&StoredFlags::read(row, 3)?);
    Ok(Message { uid, mod_seq: row.get(1)?, flags, save_date: moment(row.get(2)?), email })
}

fn moment(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap_or(Timestamp::UNIX_EPOCH)
}
