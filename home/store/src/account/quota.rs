//! Quotas: how much an account and each of its mailboxes may hold (RFC 9208).
//!
//! In: limits. Out: limits and what is used of them. Refused, with `OverQuota`: delivery, APPEND and COPY that would lead
//! above one; MOVE only into a mailbox with a limit of its own, since it adds nothing to the account. Whoever is above a
//! limit that was set later keeps what there is. Octets are those of all placements, as they came, and so the same
//! however well they are compressed; what undelete keeps is not counted.

use rusqlite::{Connection, params};
use serde::{Deserialize, Serialize};

use super::change::Change;
use super::{Account, MailboxId};
use crate::{Error, Result};

/// What may be held; `None` is unlimited.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Octets of messages (resource STORAGE, RFC 9208 §5.1, which IMAP counts in units of 1024).
    pub octets: Option<u64>,
    /// Messages (resource MESSAGE, RFC 9208 §5.2).
    pub messages: Option<u64>,
}

/// What is held of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Octets.
    pub octets: u64,
    /// Messages.
    pub messages: u64,
    /// What may be held.
    pub limits: Limits,
}

/// Whose limits are meant: a quota root of IMAP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QuotaRoot {
    /// The whole account.
    Account,
    /// One mailbox, without those below it.
    Mailbox(MailboxId),
}

impl Account {
    /// Use and limits of the account or of a mailbox.
    ///
    /// # Errors
    /// `NotFound` for the mailbox.
    pub fn quota(&self, root: QuotaRoot) -> Result<Usage> {
        self.0.database.read(|connection| match root {
            QuotaRoot::Account => usage(connection, ACCOUNT, params![]),
            QuotaRoot::Mailbox(mailbox) => usage(connection, MAILBOX, params![mailbox]),
        })
    }

    /// Whether the account may hold so many more messages, of so many octets together.
    ///
    /// # Errors
    /// `Temporary`
    pub fn has_room_for(&self, messages: u64, octets: u64) -> Result<bool> {
        self.0.database.read(|connection| {
            let unlimited = !is_limited(connection)?;
            Ok(unlimited || usage(connection, ACCOUNT, params![])?.has_room_for(messages, octets))
        })
    }

    /// Sets the limits of the account or of a mailbox. What is there stays, also above them.
    ///
    /// # Errors
    /// `NotFound` for the mailbox.
    pub fn set_quota(&self, root: QuotaRoot, limits: Limits) -> Result<()> {
        self.change(move |change| {
            let Limits { octets, messages } = limits;
            let changed = match root {
                QuotaRoot::Account => change.execute(
                    "UPDATE account SET quota = ?1, message_quota = ?2",
                    params![octets, messages],
                )?,
                QuotaRoot::Mailbox(mailbox) => change.execute(
                    "UPDATE mailbox SET quota = ?2, message_quota = ?3 WHERE mailbox_id = ?1",
                    params![mailbox, octets, messages],
                )?,
            };
            if changed == 0 { Err(Error::NotFound("the mailbox".to_owned())) } else { Ok(()) }
        })
    }
}

/// The sum over the mailboxes is wanted only where there is a limit to hold it against.
fn is_limited(connection: &Connection) -> Result<bool> {
    Ok(connection
        .prepare_cached("SELECT quota IS NOT NULL OR message_quota IS NOT NULL FROM account")?
        .query_row([], |row| row.get(0))?)
}

const ACCOUNT: &str =
    "SELECT size, (SELECT coalesce(sum(messages), 0) FROM mailbox), quota, message_quota FROM account";
const MAILBOX: &str = "SELECT size, messages, quota, message_quota FROM mailbox WHERE mailbox_id = ?1";

fn usage(connection: &Connection, query: &str, parameters: &[&dyn rusqlite::ToSql]) -> Result<Usage> {
    Ok(connection.prepare_cached(query)?.query_row(parameters, |row| {
        let limits = Limits { octets: row.get(2)?, messages: row.get(3)? };
        Ok(Usage { octets: row.get(0)?, messages: row.get(1)?, limits })
    })?)
}

impl Usage {
    /// Whether so many more messages, of so many octets together, stay within the limits.
    pub fn has_room_for(&self, messages: u64, octets: u64) -> bool {
        let then = Usage {
            octets: self.octets.saturating_add(octets),
            messages: self.messages.saturating_add(messages),
            limits: self.limits,
        };
        !then.is_over()
    }

    fn is_over(&self) -> bool {
        let over = |used: u64, limit: Option<u64>| limit.is_some_and(|limit| used > limit);
        over(self.octets, self.limits.octets) || over(self.messages, self.limits.messages)
    }
}

/// Called by what adds messages to a mailbox and to the account, after [`Change::save`].
///
/// # Errors
/// `OverQuota` when either holds more than it may.
pub(super) fn check(change: &Change<'_>, mailbox: MailboxId) -> Result<()> {
    check_mailbox(change, mailbox)?;
    if is_limited(change.connection)? && usage(change.connection, ACCOUNT, params![])?.is_over() {
        return Err(Error::OverQuota);
    }
    Ok(())
}

/// As [`check`], for what adds messages to a mailbox alone.
pub(super) fn check_mailbox(change: &Change<'_>, mailbox: MailboxId) -> Result<()> {
    if usage(change.connection, MAILBOX, params![mailbox])?.is_over() {
        Err(Error::OverQuota)
    } else {
        Ok(())
    }
}
