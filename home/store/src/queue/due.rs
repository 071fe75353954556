//! Finding what is due, fairly among destinations.
//!
//! Destinations are visited in turn, beginning behind the one that was served last, so that many messages for one
//! destination do not keep the others waiting. Each visit is two index look-ups. A row that does not hold what was written
//! is named in the log and passed over: what is damaged keeps nothing else waiting.

use std::collections::HashSet;

use jiff::Timestamp;
use postern_message::address::EmailAddress;
use rusqlite::Row;

use super::{DueRecipient, Envelope, Job, Notify, Queue, QueueId, RecipientId, Ret, TlsWish, Wishes};
use crate::account::AccountId;
use crate::db::{Connection, OptionalExtension, params};
use crate::journal::StoryId;
use crate::{Error, Result};

/// What the asker can take on.
pub trait Slots {
    /// How many more jobs for this destination may begin.
    fn free_for(&self, domain: &str) -> usize;
    /// Whether this message is being tried at this destination already.
    fn is_busy(&self, message: QueueId, domain: &str) -> bool;
}

impl Queue {
    /// Finds up to `jobs` jobs that are due at `now`, of up to `recipients` recipients each, beginning with the
    /// destination behind `after` in the alphabet.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub fn due(
        &self,
        now: Timestamp,
        jobs: usize,
        recipients: usize,
        after: &str,
        slots: &impl Slots,
    ) -> Result<Vec<Job>> {
        self.database.read(|connection: &Connection| {
            let mut found = Vec::new();
            let now = now.as_millisecond();
            if !anything_due(connection, now)? {
                return Ok(found);
            }
            for domain in (Domains { connection, now, first: after, last: None }) {
                let domain = domain?;
                let free = slots.free_for(&domain).min(jobs - found.len());
                let visit = Visit { connection, domain: &domain, now, recipients };
                found.extend(visit.jobs(free, slots)?);
                if found.len() >= jobs {
                    break;
                }
            }
            Ok(found)
        })
    }

    /// When the next recipient that is not due at `now` becomes due.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub fn next_due(&self, now: Timestamp) -> Result<Option<Timestamp>> {
        self.database.read(|connection: &Connection| {
            let mut select = connection.prepare_cached(
                "SELECT MIN(next_attempt) FROM recipient WHERE state = 0 AND next_attempt > ?1",
            )?;
            let next: Option<i64> = select.query_row(params![now.as_millisecond()], |row| row.get(0))?;
            Ok(next.and_then(|next| Timestamp::from_millisecond(next).ok()))
        })
    }
}

/// Saves the visit to every destination when all wait.
fn anything_due(connection: &Connection, now: i64) -> Result<bool> {
    let mut select =
        connection.prepare_cached("SELECT 1 FROM recipient WHERE state = 0 AND next_attempt <= ?1")?;
    Ok(select.exists(params![now])?)
}

/// The destinations that have something due, in alphabetical order from behind `first` round to `first` again.
struct Domains<'a> {
    connection: &'a Connection,
    now: i64,
    first: &'a str,
    last: Option<(String, Lap)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Lap {
    Behind,
    Wrapped,
}

impl Iterator for Domains<'_> {
    type Item = Result<String>;

    fn next(&mut self) -> Option<Result<String>> {
        self.step().transpose()
    }
}

impl Domains<'_> {
    fn step(&mut self) -> Result<Option<String>> {
        loop {
            let (after, lap) = self.last.clone().unwrap_or_else(|| (self.first.to_owned(), Lap::Behind));
            let found = self.behind(&after)?;
            let (domain, lap) = match (found, lap) {
                (Some(domain), lap) => (domain, lap),
                (None, Lap::Wrapped) => return Ok(None),
                (None, Lap::Behind) => {
                    self.last = Some((String::new(), Lap::Wrapped));
                    continue;
                }
            };
            if lap == Lap::Wrapped && domain.as_str() > self.first {
                return Ok(None);
            }
            self.last = Some((domain.clone(), lap));
            if self.has_due(&domain)? {
                return Ok(Some(domain));
            }
        }
    }

    fn behind(&self, domain: &str) -> Result<Option<String>> {
        let mut select = self
            .connection
            .prepare_cached("SELECT MIN(domain) FROM recipient WHERE state = 0 AND domain > ?1")?;
        Ok(select.query_row(params![domain], |row| row.get(0))?)
    }

    fn has_due(&self, domain: &str) -> Result<bool> {
        let mut select = self.connection.prepare_cached(
            "SELECT 1 FROM recipient WHERE state = 0 AND domain = ?1 AND next_attempt <= ?2",
        )?;
        Ok(select.exists(params![domain, self.now])?)
    }
}

/// A visit to one destination.
struct Visit<'a> {
    connection: &'a Connection,
    domain: &'a str,
    now: i64,
    recipients: usize,
}

impl Visit<'_> {
    /// The jobs of the messages longest due, without those that are being tried.
    fn jobs(&self, limit: usize, slots: &impl Slots) -> Result<Vec<Job>> {
        let mut jobs = Vec::new();
        let mut seen = HashSet::new();
        let mut select = self.connection.prepare_cached(
            "SELECT message FROM recipient WHERE state = 0 AND domain = ?1 AND next_attempt <= ?2
             ORDER BY next_attempt",
        )?;
        let mut rows = select.query(params![self.domain, self.now])?;
        while jobs.len() < limit
            && let Some(row) = rows.next()?
        {
            let message = QueueId(row.get(0)?);
            if seen.insert(message) && !slots.is_busy(message, self.domain) {
                jobs.extend(passed_over(self.job(message), message)?);
            }
        }
        Ok(jobs)
    }

    fn job(&self, message: QueueId) -> Result<Job> {
        let envelope = envelope(self.connection, message)?;
        let mut select = self.connection.prepare_cached(
            "SELECT id, forward_path, notify, original_recipient, attempts, delay_reported FROM recipient
             WHERE message = ?1 AND domain = ?2 AND state = 0 AND next_attempt <= ?3 ORDER BY id LIMIT ?4",
        )?;
        let limit = i64::try_from(self.recipients).unwrap_or(i64::MAX);
        let rows = select.query_map(params![message.0, self.domain, self.now, limit], due_recipient)?;
        let recipients = rows.map(|row| row?).collect::<Result<Vec<_>>>()?;
        Ok(Job { message, domain: self.domain.to_owned(), recipients, envelope })
    }
}

/// Nothing for a damaged message; another error concerns all of them.
fn passed_over(job: Result<Job>, message: QueueId) -> Result<Option<Job>> {
    match job {
        Err(error @ (Error::Corrupt(_) | Error::NotFound(_))) => {
            tracing::error!(queue_id = %message, %error, "a damaged message cannot be tried");
            Ok(None)
        }
        job => job.map(Some),
    }
}

fn due_recipient(row: &Row<'_>) -> rusqlite::Result<Result<DueRecipient>> {
    let (id, forward_path): (i64, String) = (row.get(0)?, row.get(1)?);
    let (notify, original_recipient) = (Notify::from_bits(row.get(2)?), row.get(3)?);
    let (attempts, delay_reported) = (row.get(4)?, row.get(5)?);
    Ok(address(&forward_path).map(|forward_path| DueRecipient {
        id: RecipientId(id),
        forward_path,
        notify,
        original_recipient,
        attempts,
        delay_reported,
    }))
}

fn envelope(connection: &Connection, message: QueueId) -> Result<Envelope> {
    let mut select = connection.prepare_cached(
        "SELECT reverse_path, sender, smtp_utf8, envelope_id, ret_full, octets, arrived, story, not_before, tls, forwarder FROM message
         WHERE id = ?1",
    )?;
    select
        .query_row(params![message.0], envelope_row)
        .optional()?
        .unwrap_or_else(|| Err(Error::NotFound(format!("queued message {message}"))))
}

fn envelope_row(row: &Row<'_>) -> rusqlite::Result<Result<Envelope>> {
    let reverse_path: String = row.get(0)?;
    let ret = Ret::from_column(row.get(4)?);
    let envelope = |reverse_path| -> rusqlite::Result<Envelope> {
        Ok(Envelope {
            reverse_path,
            sender: row.get::<_, Option<u32>>(1)?.map(AccountId),
            smtp_utf8: row.get(2)?,
            envelope_id: row.get(3)?,
            ret,
            octets: u64::try_from(row.get::<_, i64>(5)?).unwrap_or(0),
            arrived: Timestamp::from_millisecond(row.get(6)?).unwrap_or(Timestamp::UNIX_EPOCH),
            story: StoryId::from_column(row.get(7)?),
            wishes: Wishes { not_before: time(row.get(8)?), tls: TlsWish::from_column(row.get(9)?) },
            forwarder: row.get::<_, Option<u32>>(10)?.map(AccountId),
        })
    };
    if reverse_path.is_empty() {
        return envelope(None).map(Ok);
    }
    match address(&reverse_path) {
        Ok(address) => envelope(Some(address)).map(Ok),
        Err(error) => Ok(Err(error)),
    }
}

fn time(column: Option<i64>) -> Option<Timestamp> {
    column.and_then(|time| Timestamp::from_millisecond(time).ok())
}

/// Addresses were parsed before they were written.
fn address(text: &str) -> Result<EmailAddress> {
    text.parse().map_err(|error| Error::Corrupt(format!("queued address {text:?}: {error}")))
}
