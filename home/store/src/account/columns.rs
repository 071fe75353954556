//! What SORT and THREAD look at (RFC 5256), of many emails in one row: a mailbox of 20,000 is sorted from eighty rows.
//!
//! In: emails, some time after they were stored. Out: their columns, whether they are packed yet or not. None of this
//! ever changes, so that a packed row needs no care: it goes when all its emails have gone. A row that cannot be read is
//! passed over, and the emails themselves are asked.
//!
//! ```text
//! email_columns   chunk: email_id / 256; columns: an entry for each email of the chunk, ascending
//! entry           email_id % 256 (1), 1 for a reply or forward (1), references (1), octets, internal date, sent date,
//!                 hash of the base subject, hash of the Message-ID, hash of each reference (8 each); little-endian, 0
//!                 stands for none
//! ```
//!
//! A hash is eight octets of SHA-256: two ids that meet in one would at worst be shown as one conversation.

use std::collections::HashMap;
use std::num::NonZeroU64;

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::parsed::{MAX_REFERENCES, short_hash};
use super::{Account, EmailId};
use crate::structure::{Mentioned, is_reply_or_forward, message_ids};
use crate::{Error, Result};

/// Emails in a chunk.
const CHUNK: i64 = 256;
/// Chunks packed in one commit.
const AT_ONCE: i64 = 16;
/// Chunks that a reader keeps; of those whose emails refer to little, a few megabytes.
const MOST_CHUNKS: usize = 512;

const ROWS: &str = "SELECT email_id, size, internal_date, sent_date, base_subject, structure
   FROM email CROSS JOIN email_structure USING (email_id)
  WHERE email_id BETWEEN ?1 AND ?2 ORDER BY email_id";

impl Account {
    /// Packs the columns of the emails that have come since the last time, as far as they fill chunks.
    ///
    /// # Errors
    /// `Temporary`, `DiskFull`; what is packed by then stays so.
    pub(crate) fn pack_columns(&self) -> Result<()> {
        let (mut chunk, end) = self.0.database.read(unpacked)?;
        while chunk < end {
            let next = end.min(chunk + AT_ONCE);
            let packed = self
                .0
                .database
                .read(|connection| (chunk..next).map(|chunk| pack(connection, chunk)).collect())?;
            self.0.database.write(move |connection| keep(connection, packed))?;
            chunk = next;
        }
        Ok(())
    }
}

/// The first chunk that is not packed, and the first that emails may still come to.
fn unpacked(connection: &Connection) -> Result<(i64, i64)> {
    let sql = "SELECT (SELECT coalesce(max(chunk) + 1, 0) FROM email_columns),
                      coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'email'), 0) / ?1";
    Ok(connection.query_row(sql, [CHUNK], |row| Ok((row.get(0)?, row.get(1)?)))?)
}

fn pack(connection: &Connection, chunk: i64) -> Result<(i64, Vec<u8>)> {
    let mut statement = connection.prepare_cached(ROWS)?;
    let mut rows = statement.query(params![chunk * CHUNK, chunk * CHUNK + CHUNK - 1])?;
    let mut columns = Vec::new();
    while let Some(row) = rows.next()? {
        match encode(row) {
            Ok(entry) => columns.extend(entry),
            // A damaged email is left out: whoever asks for it is told.
            Err(Error::Corrupt(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok((chunk, columns))
}

/// Keeps packed chunks, and lets go of those whose emails have gone; the last one tells how far packing is.
fn keep(connection: &Connection, packed: Vec<(i64, Vec<u8>)>) -> Result<()> {
    let mut insert =
        connection.prepare_cached("INSERT OR REPLACE INTO email_columns (chunk, columns) VALUES (?1, ?2)")?;
    for (chunk, columns) in packed {
        insert.execute(params![chunk, columns])?;
    }
    connection
        .prepare_cached(
            "DELETE FROM email_columns
              WHERE chunk < (SELECT max(chunk) FROM email_columns)
                AND NOT EXISTS (SELECT 1 FROM email WHERE email_id BETWEEN chunk * ?1 AND chunk * ?1 + ?1 - 1)",
        )?
        .execute([CHUNK])?;
    Ok(())
}

/// Reads columns of emails, in any order; best ascending.
pub(super) struct Reader<'c> {
    connection: &'c Connection,
    chunks: HashMap<i64, Option<Chunk>, foldhash::fast::RandomState>,
}

impl<'c> Reader<'c> {
    pub(super) fn new(connection: &'c Connection) -> Reader<'c> {
        Reader { connection, chunks: HashMap::default() }
    }

    /// Calls `read` with the columns of an email that is there.
    pub(super) fn read<T>(&mut self, email: EmailId, read: impl FnOnce(Columns<'_>) -> T) -> Result<T> {
        let (chunk, place) = (email.0.div_euclid(CHUNK), email.0.rem_euclid(CHUNK));
        if let Some(columns) = self.chunk(chunk)?.and_then(|chunk| chunk.columns(place)) {
            return Ok(read(columns));
        }
        let mut statement = self.connection.prepare_cached(ROWS)?;
        let entry = statement.query_and_then(params![email, email], encode)?.next().transpose()?;
        let entry = entry.ok_or_else(|| Error::Corrupt(format!("email {email} has no structure")))?;
        Columns::decode(&mut entry.as_slice())
            .map(|(_, columns)| read(columns))
            .ok_or_else(|| Error::Fault("columns were packed wrong".to_owned()))
    }

    fn chunk(&mut self, chunk: i64) -> Result<Option<&Chunk>> {
        if self.chunks.len() >= MOST_CHUNKS && !self.chunks.contains_key(&chunk) {
            self.chunks.clear();
        }
        match self.chunks.entry(chunk) {
            std::collections::hash_map::Entry::Occupied(known) => Ok(known.into_mut().as_ref()),
            std::collections::hash_map::Entry::Vacant(vacant) => {
                let packed: Option<Vec<u8>> = self
                    .connection
                    .prepare_cached("SELECT columns FROM email_columns WHERE chunk = ?1")?
                    .query_row([chunk], |row| row.get(0))
                    .optional()?;
                Ok(vacant.insert(packed.and_then(Chunk::new)).as_ref())
            }
        }
    }
}

/// A packed chunk, and where in it each email is.
struct Chunk {
    packed: Vec<u8>,
    entries: [Option<u32>; CHUNK as usize],
}

impl Chunk {
    /// Nothing where it is damaged.
    fn new(packed: Vec<u8>) -> Option<Chunk> {
        let mut entries = [None; CHUNK as usize];
        let mut rest = packed.as_slice();
        while !rest.is_empty() {
            let at = u32::try_from(packed.len() - rest.len()).ok()?;
            let (place, _) = Columns::decode(&mut rest)?;
            *entries.get_mut(usize::from(place))? = Some(at);
        }
        Some(Chunk { packed, entries })
    }

    fn columns(&self, place: i64) -> Option<Columns<'_>> {
        let at = (*self.entries.get(usize::try_from(place).ok()?)?)?;
        let mut entry = self.packed.get(usize::try_from(at).ok()?..)?;
        Columns::decode(&mut entry).map(|(_, columns)| columns)
    }
}

/// The columns of one email.
pub(super) struct Columns<'a> {
    pub(super) size: u64,
    /// Seconds since 1970.
    pub(super) internal_date: i64,
    /// Seconds since 1970.
    pub(super) sent_date: i64,
    pub(super) reply_or_forward: bool,
    /// Nothing where it is empty.
    pub(super) base_subject: Option<NonZeroU64>,
    pub(super) message_id: Option<NonZeroU64>,
    references: &'a [u8],
}

impl<'a> Columns<'a> {
    /// References, or the first id of In-Reply-To; the oldest first.
    pub(super) fn references(&self) -> impl Iterator<Item = u64> {
        self.references
            .chunks_exact(8)
            .filter_map(|octets| octets.first_chunk())
            .map(|octets| u64::from_le_bytes(*octets))
    }

    /// Takes an entry off, with its place in the chunk.
    fn decode(rest: &mut &'a [u8]) -> Option<(u8, Columns<'a>)> {
        let [place, reply_or_forward, references] = take(rest)?;
        let mut number = || take(rest).map(u64::from_le_bytes);
        let (size, internal_date, sent_date) = (number()?, number()?, number()?);
        let (base_subject, message_id) = (number()?, number()?);
        let (references, after) = rest.split_at_checked(8 * usize::from(references))?;
        *rest = after;
        let columns = Columns {
            size,
            internal_date: internal_date.cast_signed(),
            sent_date: sent_date.cast_signed(),
            reply_or_forward: reply_or_forward == 1,
            base_subject: NonZeroU64::new(base_subject),
            message_id: NonZeroU64::new(message_id),
            references,
        };
        Some((place, columns))
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(*taken)
}

/// The entry of an email, from a row of [`ROWS`].
fn encode(row: &Row<'_>) -> Result<Vec<u8>> {
    let email: EmailId = row.get(0)?;
    let stored = row.get_ref(5)?.as_blob().map_err(rusqlite::Error::from)?;
    let mentioned = Mentioned::decode(stored).map_err(|error| match error {
        Error::Corrupt(what) => Error::Corrupt(format!("email {email}: {what}")),
        other => other,
    })?;
    let references = references(&mentioned);
    let base_subject = row.get_ref(4)?.as_bytes().map_err(rusqlite::Error::from)?;
    let message_id = mentioned.message_id.map(message_ids).unwrap_or_default();
    let place = u8::try_from(email.0.rem_euclid(CHUNK)).unwrap_or_default();
    let reply_or_forward = u8::from(is_reply_or_forward(mentioned.subject.unwrap_or_default()));
    let mut entry = vec![place, reply_or_forward, u8::try_from(references.len()).unwrap_or(u8::MAX)];
    for column in 1..=3 {
        entry.extend(row.get::<_, i64>(column)?.to_le_bytes());
    }
    entry.extend(Some(base_subject).filter(|subject| !subject.is_empty()).map_or(0, hash).to_le_bytes());
    entry.extend(message_id.first().map_or(0, |id| hash(id)).to_le_bytes());
    for id in references {
        entry.extend(hash(&id).to_le_bytes());
    }
    Ok(entry)
}

/// At most [`MAX_REFERENCES`], the last ones.
fn references(mentioned: &Mentioned<'_>) -> Vec<Vec<u8>> {
    let mut ids = mentioned.references.map(message_ids).unwrap_or_default();
    if ids.is_empty() {
        // RFC 5256 §3: of In-Reply-To the first id, for what else stands there nobody knows.
        ids = mentioned.in_reply_to.map(message_ids).unwrap_or_default().into_iter().take(1).collect();
    }
    ids.split_off(ids.len().saturating_sub(MAX_REFERENCES))
}

/// Never 0.
fn hash(octets: &[u8]) -> u64 {
    short_hash(octets).cast_unsigned().max(1)
}

#[cfg(test)]
mod tests;
