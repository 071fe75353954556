//! FETCH: message rows in chunks, and octets.

use std::collections::VecDeque;
use std::ops::{Range, RangeInclusive};

use rusqlite::{Connection, Row, params};

use super::keywords::{Keywords, StoredFlags};
use super::{Account, Detail, Email, Header, MailboxId, Message, MessageState, Uid, UidSet};
use crate::blob::BlobId;
use crate::stage::INLINE_LIMIT;
use crate::structure::{Envelope, Structure};
use crate::{Error, Result, Timestamp};

/// Messages read at once.
const CHUNK: usize = 256;
/// Octets of messages, structures and headers, which senders make as large as they like, after which a chunk ends.
const CHUNK_OCTETS: usize = 512 * 1024;
/// A header is read up to here, in octets.
const MAX_HEADER: u64 = 1024 * 1024;

impl Account {
    /// The messages of the mailbox with these UIDs, ascending, read in chunks as the iterator goes: each chunk is as
    /// of one moment, and messages expunged meanwhile are passed over.
    pub fn messages(&self, mailbox: MailboxId, uids: &UidSet, detail: Detail) -> Messages {
        let ranges = uids.ranges().collect();
        let account = self.clone();
        let (header, octets) = (Header::None, Octets::Left);
        Messages { account, mailbox, ranges, detail, header, octets, chunk: VecDeque::new() }
    }

    /// The flags of the messages of the mailbox with these UIDs, ascending.
    ///
    /// # Errors
    /// `Temporary`
    pub fn states(&self, mailbox: MailboxId, uids: &UidSet) -> Result<Vec<MessageState>> {
        self.0.database.read(|connection| {
            let keywords = Keywords::load(connection)?;
            let mut statement = connection.prepare_cached(
                "SELECT uid, mod_seq, flags, keywords FROM message
                  WHERE mailbox_id = ?1 AND uid BETWEEN ?2 AND ?3 ORDER BY uid",
            )?;
            let mut states = Vec::new();
            for range in uids.ranges() {
                let mut rows = statement.query(params![mailbox, range.start(), range.end()])?;
                while let Some(row) = rows.next()? {
                    let flags = keywords.resolve(&StoredFlags::read(row, 2)?);
                    states.push(MessageState { uid: row.get(0)?, mod_seq: row.get(1)?, flags });
                }
            }
            Ok(states)
        })
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
    header: Header,
    octets: Octets,
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
    /// With so much of their headers.
    pub fn with_header(self, header: Header) -> Messages {
        Messages { header, ..self }
    }

    /// With all octets of those messages that are not large ([`INLINE_LIMIT`]).
    pub fn with_octets(self) -> Messages {
        Messages { octets: Octets::Read, ..self }
    }

    /// As many of the next messages as may be held in memory at once, and whether these were the last.
    ///
    /// # Errors
    /// `Temporary`, `Corrupt`
    pub fn next_chunk(&mut self) -> Result<(Vec<Message>, Remaining)> {
        if self.chunk.is_empty() {
            self.fill()?;
        }
        let remaining = if self.ranges.is_empty() { Remaining::None } else { Remaining::Some };
        Ok((self.chunk.drain(..).collect(), remaining))
    }

    fn fill(&mut self) -> Result<()> {
        let account = self.account.clone();
        account.0.database.read(|connection| {
            let keywords = Keywords::load(connection)?;
            let mut room = Room { messages: CHUNK, octets: CHUNK_OCTETS };
            while !room.is_used_up()
                && let Some(range) = self.ranges.pop_front()
            {
                if let Some(rest) = self.read_range(connection, &keywords, range, &mut room)? {
                    self.ranges.push_front(rest);
                }
            }
            Ok(())
        })
    }

    /// Fills the chunk from a range; gives back what of the range is left when the chunk is full.
    fn read_range(
        &mut self,
        connection: &Connection,
        keywords: &Keywords,
        range: RangeInclusive<u32>,
        room: &mut Room,
    ) -> Result<Option<RangeInclusive<u32>>> {
        let mut statement = connection.prepare_cached(sql(self.detail, self.header))?;
        let mut rows = statement.query(params![self.mailbox, range.start(), range.end()])?;
        while let Some(row) = rows.next()? {
            let mut message = read(row, keywords, self.detail)?;
            self.complete_header(connection, &mut message)?;
            self.add_octets(connection, &mut message)?;
            let long = [&message.email.header, &message.email.octets];
            let octets: usize = long.into_iter().flatten().map(Vec::len).sum();
            room.take(octets + row.get_ref(14)?.as_blob_or_null().ok().flatten().map_or(0, <[u8]>::len));
            let last = message.uid.get();
            self.chunk.push_back(message);
            if room.is_used_up() {
                return Ok(Some(last.saturating_add(1)..=*range.end()).filter(|rest| last < *rest.end()));
            }
        }
        Ok(None)
    }

    fn add_octets(&self, connection: &Connection, message: &mut Message) -> Result<()> {
        let size = message.email.size;
        if self.octets == Octets::Read && size <= INLINE_LIMIT as u64 {
            message.email.octets =
                Some(self.account.0.blobs.read(connection, message.email.blob, 0..size)?);
        }
        Ok(())
    }

    /// Reads the header where it was asked for and is not kept.
    fn complete_header(&self, connection: &Connection, message: &mut Message) -> Result<()> {
        if self.header == Header::None || message.email.header.is_some() {
            return Ok(());
        }
        let range = 0..message.email.header_size.min(MAX_HEADER);
        message.email.header = Some(self.account.0.blobs.read(connection, message.email.blob, range)?);
        Ok(())
    }
}

/// Whether a message's octets are read with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Octets {
    Read,
    Left,
}

/// Whether there are more messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remaining {
    /// There may be.
    Some,
    /// There are not.
    None,
}

/// What still goes into a chunk.
struct Room {
    messages: usize,
    octets: usize,
}

impl Room {
    fn take(&mut self, octets: usize) {
        self.messages = self.messages.saturating_sub(1);
        self.octets = self.octets.saturating_sub(octets);
    }

    fn is_used_up(&self) -> bool {
        self.messages == 0 || self.octets == 0
    }
}

/// The query for a range of messages.
macro_rules! select {
    ($structure:literal, $fields:literal, $tables:literal) => {
        concat!(
            "SELECT uid, message.mod_seq, save_date, flags, keywords, email_id, thread_id, blob_id, size,
                    header_size, internal_date, sent_date, has_attachment, preview, ",
            $structure,
            ", ",
            $fields,
            " FROM message CROSS JOIN email USING (email_id) ",
            $tables,
            " WHERE mailbox_id = ?1 AND uid BETWEEN ?2 AND ?3 ORDER BY uid"
        )
    };
}

fn sql(detail: Detail, header: Header) -> &'static str {
    match (detail, header) {
        (Detail::Summary, Header::None | Header::Whole) => select!("NULL", "NULL", ""),
        (Detail::Summary, Header::Kept) => {
            select!("NULL", "fields", "LEFT JOIN email_fields USING (email_id)")
        }
        (Detail::Envelope | Detail::Structure, Header::None | Header::Whole) => {
            select!("structure", "NULL", "CROSS JOIN email_structure USING (email_id)")
        }
        (Detail::Envelope | Detail::Structure, Header::Kept) => select!(
            "structure",
            "fields",
            "CROSS JOIN email_structure USING (email_id) LEFT JOIN email_fields USING (email_id)"
        ),
    }
}

fn read(row: &Row<'_>, keywords: &Keywords, detail: Detail) -> Result<Message> {
    let uid: Uid = row.get(0)?;
    let stored = row.get_ref(14)?.as_blob_or_null().map_err(rusqlite::Error::from)?;
    let of_message = |error| match error {
        Error::Corrupt(what) => Error::Corrupt(format!("message {uid}: {what}")),
        other => other,
    };
    let (envelope, structure) = match (detail, stored) {
        (Detail::Summary, _) | (_, None) => (None, None),
        (Detail::Envelope, Some(stored)) => (Some(Envelope::decode(stored).map_err(of_message)?), None),
        (Detail::Structure, Some(stored)) => (None, Some(Structure::decode(stored).map_err(of_message)?)),
    };
    let email = Email {
        id: row.get(5)?,
        thread: row.get(6)?,
        blob: row.get(7)?,
        size: row.get(8)?,
        header_size: row.get(9)?,
        internal_date: moment(row.get(10)?),
        sent_date: moment(row.get(11)?),
        has_attachment: row.get(12)?,
        preview: row.get(13)?,
        envelope,
        structure,
        header: row.get(15)?,
        octets: None,
    };
    let flags = keywords.resolve(&StoredFlags::read(row, 3)?);
    Ok(Message { uid, mod_seq: row.get(1)?, flags, save_date: moment(row.get(2)?), email })
}

fn moment(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap_or(Timestamp::UNIX_EPOCH)
}
