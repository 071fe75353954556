//! The outbound queue: every message that has been accepted for delivery and is not yet delivered.
//!
//! In: messages to deliver ([`Queue::enqueue`]) and what came of each attempt ([`Queue::settle`]). Out: what is due
//! ([`Queue::due`]), and the queue as an operator sees it ([`Queue::list`], [`Queue::show`]). When `enqueue` or
//! `settle` returns, what it wrote survives a power cut. Refused: messages without recipients.
//!
//! # On disk
//! ```text
//! state_dir/queue.sqlite     envelopes, recipients, attempts (schema.rs)
//! state_dir/queue/NAME       one file for each message: its content, without the prepended header fields
//! ```
//! `NAME` is 32 random hexadecimal digits and a number, written in the message's row. The file is there, with its name flushed,
//! before the row is; it is removed after the row is gone. So a crash can leave a file without a row, which
//! [`Queue::open`] removes, and never a row without its file (`verify` reads them all).
//!
//! # States of a recipient
//! | from | event | to | in the same transaction |
//! |---|---|---|---|
//! | (none) | `enqueue` | waiting | the message's row and all its recipients |
//! | waiting | attempt: taken by the next host or the store | delivered | a success report, if asked for |
//! | waiting | attempt: refused for good, or too old | failed | the failure report to the sender |
//! | waiting | attempt: not now | waiting, next attempt later | the delay report, if it is time |
//! | waiting | its destination cannot be reached | waiting, next attempt later | |
//! | waiting | `retry`, `retry_all` | waiting, next attempt now | |
//! | waiting | `hold_message` | held | all recipients of the message that wait |
//! | held | `release` | waiting, next attempt now | the same |
//! | held | an attempt that had begun: taken or refused for good | delivered, failed | as from waiting |
//! | delivered, failed | no recipient of the message waits or is held any more | (none) | the message's row goes too |
//! | waiting | its sender's account is held (allowance.rs) | held | the account, and all of it that waits |
//! | held so | `release_sender` | waiting, or (none) | all of the account that was held so |
//! | any | `drop_message` | (none) | |
//!
//! A message with a time of its own (RFC 4865) waits from the beginning, and nothing makes it due before then.
//!
//! That an attempt is going on is not written down: after a crash the recipient waits, as before, and is tried
//! again. Between a server's 250 and the transaction that records it lies the window of RFC 1047 in which a crash
//! makes a duplicate; it is one commit long. A report is queued in the transaction that calls for it, so a crash
//! makes neither a lost report nor a second one.
//!
//! # Memory
//! Nothing of the queue is held in memory; what is due is found by index, lane after lane and in each destination after
//! destination.

pub(crate) mod schema;

mod deadline;
mod lane;
mod message;

mod allowance;
mod content;
mod due;
mod enqueue;
mod inspect;
mod settle;
pub(crate) mod verify;

#[cfg(test)]
mod crash;
#[cfg(test)]
mod tests;

use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use tokio::sync::watch;

use crate::Result;
use crate::db::{Connection, Database, params};
use crate::place::Place;

pub use crate::seal::StoredReader;
pub use allowance::{Allowance, Fate, HELD_MAX, HeldSender, Submitted};
pub use content::QueuedContent;
pub use deadline::{Deadline, Late};
pub use due::{Slots, choose};
pub use lane::{Kind, Lane, Precedence};
pub use message::{
    Content, Detail, DueRecipient, Envelope, Job, NewMessage, NewRecipient, Notify, Outcome, QueueId,
    RecipientDetail, RecipientId, RecipientState, Ret, Settlement, Summary, TlsWish, Wishes,
};
pub use settle::Settled;

/// The queue of one home. Its calls block; asynchronous callers use `spawn_blocking`.
#[derive(Debug)]
pub struct Queue {
    database: Database,
    content_dir: Place,
    changes: watch::Sender<u64>,
    retries: watch::Sender<u64>,
    held_because: Mutex<Option<String>>,
}

impl Queue {
    /// Opens the queue in `state_dir`, makes it if there is none, and removes what a crash has left over.
    ///
    /// # Errors
    /// As [`Database::open`], or where the content directory cannot be made or read.
    pub fn open(state_dir: impl Into<Place>) -> Result<Queue> {
        let state_dir = state_dir.into().admit()?;
        let content_dir = state_dir.join("queue");
        crate::files::create_directory(content_dir.path())?;
        let database = Database::open(state_dir.join("queue.sqlite"), &schema::SCHEMA)?;
        let queue = Queue {
            database,
            content_dir,
            changes: watch::Sender::new(0),
            retries: watch::Sender::new(0),
            held_because: Mutex::new(None),
        };
        queue.remove_orphans()?;
        Ok(queue)
    }

    /// Changes its value whenever something may have become due: after `enqueue` and reports.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Changes its value after `retry`: the operator wants an attempt now, whatever is known of the destination.
    pub fn retries(&self) -> watch::Receiver<u64> {
        self.retries.subscribe()
    }

    /// Sets or clears the reason why no remote delivery is tried at present. It is shown to the operator with every
    /// waiting message and not written down.
    pub fn hold(&self, reason: Option<&str>) {
        let reason = reason.map(str::to_owned);
        *self.held_because.lock().unwrap_or_else(PoisonError::into_inner) = reason;
    }

    fn held_because(&self) -> Option<String> {
        self.held_because.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn announce_change(&self) {
        self.changes.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Brings next attempts that lie beyond `latest` back to `now`: they were written under a clock that was ahead.
    ///
    /// # Errors
    /// As [`Database::write`].
    pub fn clamp_next_attempts(&self, now: Timestamp, latest: Timestamp) -> Result<usize> {
        self.database.write(move |connection: &Connection| {
            Ok(connection.execute(
                "UPDATE recipient SET next_attempt = ?1 WHERE state = 0 AND next_attempt > MAX(?2,
                     COALESCE((SELECT m.not_before FROM message m WHERE m.id = recipient.message), 0))",
                params![now.as_millisecond(), latest.as_millisecond()],
            )?)
        })
    }
}
