//! The journal: what became of each message, told from the first word of its SMTP transaction to its last delivery.
//!
//! In: [`Event`]s, each under the [`StoryId`] of the transaction it belongs to ([`Journal::tell`]). Out: whole stories, found by
//! their id, by a Message-ID, by a number of the queue or by anybody's address ([`Journal::find`]). Refused: nothing; when lines
//! come faster than the disk takes them, or the disk takes none, they are counted as lost ([`Journal::lost`]) and mail goes on.
//!
//! # On disk
//! ```text
//! state_dir/journal.sqlite     stories, their lines, and the words by which they are found (schema.rs)
//! ```
//! Sealed where mail is. Lines are gathered for half a second and written in one transaction that does not wait for the disk, so a
//! power cut takes the last of them, and never a message. What is older than [`Bounds::keep`] goes; beyond
//! [`Bounds::octets`] the oldest stories go, those in which nothing was taken first, so that a flood of refused mail does
//! not push out the stories of mail that came.

mod event;
pub(crate) mod schema;

mod writer;

mod find;

mod words;

#[cfg(test)]
mod tests;

use std::fmt::{self, Display, Formatter};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::Result;
use crate::db::Database;
use crate::place::Place;

pub use event::{Attempt, Event, Report, Service};
pub use find::{Line, Story};

/// Lines that may wait for the disk; a few hundred octets each.
const WAITING_MAX: usize = 4096;

/// Names one story: one SMTP transaction and all that follows from it. It stands in our `Received` field and in the log.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StoryId(String);

impl StoryId {
    /// The story of a session in which no transaction has begun.
    pub fn of_session(session: &str) -> StoryId {
        StoryId(session.to_owned())
    }

    /// The story of a session's transaction, counted from 1.
    pub fn of_transaction(session: &str, number: u32) -> StoryId {
        StoryId(format!("{session}.{number}"))
    }

    /// The story of a message that home itself writes, which nobody brought; `unique` is part of its Message-ID.
    pub fn of_our_own(unique: &str) -> StoryId {
        StoryId(format!("home.{unique}"))
    }

    /// The id as it was written down.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn from_column(text: String) -> StoryId {
        StoryId(text)
    }
}

impl Display for StoryId {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// How much is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// How long after its last line a story goes.
    pub keep: Duration,
    /// Octets of the file beyond which the oldest stories go.
    pub octets: u64,
}

/// The journal of one home. Cheap to clone; when the last clone is dropped, what was told is written.
#[derive(Debug, Clone)]
pub struct Journal(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    database: Arc<Database>,
    /// `None` only while it is dropped.
    lines: Option<mpsc::SyncSender<writer::Order>>,
    lost: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Journal {
    /// Opens the journal in `state_dir`, or makes it.
    ///
    /// # Errors
    /// As [`Database::open`].
    pub fn open(state_dir: impl Into<Place>, bounds: Bounds) -> Result<Journal> {
        let place = state_dir.into().admit()?.join("journal.sqlite");
        let database = Arc::new(Database::open(place, &schema::SCHEMA)?);
        let (lines, inbox) = mpsc::sync_channel(WAITING_MAX);
        let lost = Arc::new(AtomicU64::new(0));
        let thread = writer::spawn(database.clone(), inbox, bounds, lost.clone())?;
        Ok(Journal(Arc::new(Inner { database, lines: Some(lines), lost, thread: Some(thread) })))
    }

    /// Tells what happened just now. Never waits.
    pub fn tell(&self, story: &StoryId, event: Event) {
        let line =
            writer::Order::Write(writer::Entry { moment: Timestamp::now(), story: story.clone(), event });
        if self.0.lines.as_ref().is_none_or(|lines| lines.try_send(line).is_err()) {
            self.0.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many lines were lost since the start.
    pub fn lost(&self) -> u64 {
        self.0.lost.load(Ordering::Relaxed)
    }

    /// Waits until what was told before can be found.
    fn settle(&self) {
        let (done, wait) = mpsc::sync_channel(1);
        if let Some(lines) = &self.0.lines
            && lines.send(writer::Order::Settle(done)).is_ok()
        {
            let _ = wait.recv();
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        drop(self.lines.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
