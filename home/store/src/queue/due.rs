//! Finding what is due, fairly among lanes and destinations.
//!
//! Which lane is next is for the asker to say ([`Slots`]). Within a lane destinations are visited in turn, beginning behind the one
//! that was served last, so that many messages for one destination do not keep the others waiting. Each visit is two index
//! look-ups. A row that does not hold what was written is named in the log and passed over: what is damaged keeps nothing else
//! waiting.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use postern_message::address::EmailAddress;
use rusqlite::Row;

use super::{
    Deadline, DueRecipient, Envelope, Job, Kind, Lane, Notify, Precedence, Queue, QueueId, RecipientId, Ret,
    TlsWish, Wishes,
};
use crate::account::AccountId;
use crate::db::{Connection, OptionalExtension, params};
use crate::journal::StoryId;
use crate::{Error, Result};

/// What the asker can take on.
pub trait Slots {
    /// The lane of these that is served next; `None` where none of them may have another attempt.
    fn next_lane(&self, lanes: &[Lane]) -> Option<Lane>;
    /// The destination that the lane was served for last; the search goes on behind it.
    fn last_served(&self, lane: Lane) -> &str;
    /// Whether the lane may have another attempt at this destination.
    fn is_free(&self, lane: Lane, domain: &str) -> bool;
    /// Whether this message is being tried at this destination already.
    fn is_busy(&self, message: QueueId, domain: &str) -> bool;
    /// The job is begun.
    fn begin(&mut self, job: &Job);
}

/// Chooses jobs of these lanes until nothing more may begin. `next` finds a lane's next job, which may begin; `None` where there
/// is none.
///
/// # Errors
/// Those of `next`.
pub fn choose<S: Slots, E>(
    mut lanes: Vec<Lane>,
    slots: &mut S,
    mut next: impl FnMut(Lane, &S) -> std::result::Result<Option<Job>, E>,
) -> std::result::Result<Vec<Job>, E> {
    let mut chosen = Vec::new();
    while let Some(lane) = slots.next_lane(&lanes) {
        match next(lane, slots)? {
            Some(job) => {
                slots.begin(&job);
                chosen.push(job);
            }
            None => lanes.retain(|other| *other != lane),
        }
    }
    Ok(chosen)
}

impl Queue {
    /// Finds jobs that are due at `now` and may begin, of up to `recipients` recipients each.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub fn due(&self, now: Timestamp, recipients: usize, slots: &mut impl Slots) -> Result<Vec<Job>> {
        self.database.read(|connection: &Connection| {
            let now = now.as_millisecond();
            if !anything_due(connection, now)? {
                return Ok(Vec::new());
            }
            let mut walks: HashMap<Lane, Walk<'_>> = HashMap::new();
            choose(lanes(connection)?, slots, |lane, slots| {
                let begin = || Walk::new(connection, lane, now, recipients, slots.last_served(lane));
                walks.entry(lane).or_insert_with(begin).next(slots)
            })
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

/// The lanes in which something waits.
fn lanes(connection: &Connection) -> Result<Vec<Lane>> {
    let mut select =
        connection.prepare_cached("SELECT MIN(lane) FROM recipient WHERE state = 0 AND lane > ?1")?;
    let (mut lanes, mut last) = (Vec::new(), -1);
    while let Some(lane) = select.query_row(params![last], |row| row.get::<_, Option<i64>>(0))? {
        lanes.push(Lane::from_column(lane));
        last = lane;
    }
    Ok(lanes)
}

/// A walk over the destinations of one lane that have something due, in alphabetical order from behind `first` round to `first`
/// again.
struct Walk<'a> {
    connection: &'a Connection,
    lane: Lane,
    now: i64,
    recipients: usize,
    first: String,
    lap: Lap,
    /// Where the walk is: all of this destination that may begin goes before the next one.
    domain: Option<String>,
    /// Damaged messages.
    passed_over: HashSet<QueueId>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Lap {
    Behind,
    Wrapped,
}

impl<'a> Walk<'a> {
    fn new(connection: &'a Connection, lane: Lane, now: i64, recipients: usize, first: &str) -> Self {
        let (lap, passed_over) = (Lap::Behind, HashSet::new());
        Walk { connection, lane, now, recipients, first: first.to_owned(), lap, domain: None, passed_over }
    }

    /// The next job that may begin.
    fn next(&mut self, slots: &impl Slots) -> Result<Option<Job>> {
        loop {
            if let Some(domain) = self.domain.clone()
                && slots.is_free(self.lane, &domain)
                && let Some(job) = self.job_for(&domain, slots)?
            {
                return Ok(Some(job));
            }
            if !self.step()? {
                return Ok(None);
            }
        }
    }

    /// Goes on to the next destination; false where that was all of them.
    fn step(&mut self) -> Result<bool> {
        let from = self.domain.take();
        let mut after = from.unwrap_or_else(|| self.first.clone());
        loop {
            let found = self.behind(&after)?;
            match (found, self.lap) {
                (None, Lap::Wrapped) => return Ok(false),
                (None, Lap::Behind) => (after, self.lap) = (String::new(), Lap::Wrapped),
                (Some(domain), Lap::Wrapped) if domain > self.first => return Ok(false),
                (Some(domain), _) if self.has_due(&domain)? => {
                    self.domain = Some(domain);
                    return Ok(true);
                }
                (Some(domain), _) => after = domain,
            }
        }
    }

    fn behind(&self, domain: &str) -> Result<Option<String>> {
        let mut select = self.connection.prepare_cached(
            "SELECT MIN(domain) FROM recipient WHERE state = 0 AND lane = ?1 AND domain > ?2",
        )?;
        Ok(select.query_row(params![self.lane.to_column(), domain], |row| row.get(0))?)
    }

    fn has_due(&self, domain: &str) -> Result<bool> {
        let mut select = self.connection.prepare_cached(
            "SELECT 1 FROM recipient WHERE state = 0 AND lane = ?1 AND domain = ?2 AND next_attempt <= ?3",
        )?;
        Ok(select.exists(params![self.lane.to_column(), domain, self.now])?)
    }

    /// The message longest due for a destination, without those that are being tried.
    fn job_for(&mut self, domain: &str, slots: &impl Slots) -> Result<Option<Job>> {
        let mut select = self.connection.prepare_cached(
            "SELECT message FROM recipient WHERE state = 0 AND lane = ?1 AND domain = ?2 AND next_attempt <= ?3
             ORDER BY next_attempt",
        )?;
        let mut rows = select.query(params![self.lane.to_column(), domain, self.now])?;
        while let Some(row) = rows.next()? {
            let message = QueueId(row.get(0)?);
            if self.passed_over.contains(&message) || slots.is_busy(message, domain) {
                continue;
            }
            match passed_over(self.job(message, domain), message)? {
                Some(job) => return Ok(Some(job)),
                None => self.passed_over.insert(message),
            };
        }
        Ok(None)
    }

    fn job(&self, message: QueueId, domain: &str) -> Result<Job> {
        let envelope = envelope(self.connection, message, self.lane)?;
        let mut select = self.connection.prepare_cached(
            "SELECT id, forward_path, notify, original_recipient, attempts, delay_reported FROM recipient
             WHERE message = ?1 AND domain = ?2 AND state = 0 AND next_attempt <= ?3 ORDER BY id LIMIT ?4",
        )?;
        let limit = i64::try_from(self.recipients).unwrap_or(i64::MAX);
        let rows = select.query_map(params![message.0, domain, self.now, limit], due_recipient)?;
        let recipients = rows.map(|row| row?).collect::<Result<Vec<_>>>()?;
        Ok(Job { message, lane: self.lane, domain: domain.to_owned(), recipients, envelope })
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

fn envelope(connection: &Connection, message: QueueId, lane: Lane) -> Result<Envelope> {
    let mut select = connection.prepare_cached(
        "SELECT reverse_path, sender, smtp_utf8, envelope_id, ret_full, octets, arrived, story, not_before, tls, forwarder,
             deadline, deadline_mode FROM message
         WHERE id = ?1",
    )?;
    select
        .query_row(params![message.0], |row| envelope_row(row, lane))
        .optional()?
        .unwrap_or_else(|| Err(Error::NotFound(format!("queued message {message}"))))
}

fn envelope_row(row: &Row<'_>, lane: Lane) -> rusqlite::Result<Result<Envelope>> {
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
            wishes: Wishes {
                not_before: time(row.get(8)?),
                tls: TlsWish::from_column(row.get(9)?),
                precedence: precedence(lane),
                deadline: Deadline::from_columns(row.get(11)?, row.get(12)?),
            },
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

fn precedence(lane: Lane) -> Precedence {
    match lane.kind {
        Kind::Bulk => Precedence::Bulk,
        Kind::Personal | Kind::Forwarded => Precedence::Personal,
    }
}

fn time(column: Option<i64>) -> Option<Timestamp> {
    column.and_then(|time| Timestamp::from_millisecond(time).ok())
}

/// Addresses were parsed before they were written.
fn address(text: &str) -> Result<EmailAddress> {
    text.parse().map_err(|error| Error::Corrupt(format!("queued address {text:?}: {error}")))
}
