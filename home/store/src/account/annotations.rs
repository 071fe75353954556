//! Annotations: named values of a mailbox, or of the account as a whole (RFC 5464).
//!
//! In: entries with values, or without one to remove them. Out: all entries of a mailbox. Refused: more than
//! [`MOST_ENTRIES`] of one mailbox, or [`MOST_OCTETS`] of all. They go with their mailbox through renaming, and with it when it is deleted. What a name or a value
//! may be is the caller's to decide.

use rusqlite::{OptionalExtension, params};

use super::change::Change;
use super::{Account, MailboxId};
use crate::{Error, Result};

/// Entries of one mailbox, and of the account (RFC 5464 §4.1 asks for ten).
const MOST_ENTRIES: i64 = 100;
/// Octets of all values of an account together.
const MOST_OCTETS: i64 = 10 << 20;

/// A named value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Annotation {
    /// Its name, in lower case.
    pub entry: String,
    /// Its value.
    pub value: Vec<u8>,
}

impl Account {
    /// The annotations of a mailbox, or of the account, by name.
    ///
    /// # Errors
    /// `Temporary`
    pub fn annotations(&self, of: Option<MailboxId>) -> Result<Vec<Annotation>> {
        self.0.database.read(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT entry, value FROM annotation WHERE coalesce(mailbox_id, 0) = ?1 ORDER BY entry",
            )?;
            let rows = statement
                .query_map([key(of)], |row| Ok(Annotation { entry: row.get(0)?, value: row.get(1)? }))?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    /// Sets entries, or removes those without a value: all or none. Durable on return.
    ///
    /// # Errors
    /// `NotFound` for the mailbox; `OverQuota` when there would be too many.
    pub fn annotate(&self, of: Option<MailboxId>, entries: Vec<(String, Option<Vec<u8>>)>) -> Result<()> {
        self.change(move |change| {
            check_mailbox(change, of)?;
            for (entry, value) in &entries {
                set(change, of, entry, value.as_deref())?;
            }
            check_bounds(change, of)
        })
    }
}

/// Copies the annotations of a mailbox to one that has none (RFC 5464 §4.1, RENAME of INBOX).
pub(super) fn copy(change: &Change<'_>, from: MailboxId, to: MailboxId) -> Result<()> {
    change.execute(
        "INSERT INTO annotation (mailbox_id, entry, value) SELECT ?2, entry, value FROM annotation WHERE mailbox_id = ?1",
        params![from, to],
    )?;
    Ok(())
}

/// Removes all annotations of a mailbox that stays as a name.
pub(super) fn clear(change: &Change<'_>, mailbox: MailboxId) -> Result<()> {
    change.execute("DELETE FROM annotation WHERE mailbox_id = ?1", [mailbox])?;
    Ok(())
}

/// How the index knows a mailbox; no mailbox has the number 0.
fn key(of: Option<MailboxId>) -> i64 {
    of.map_or(0, |mailbox| mailbox.0)
}

fn set(change: &Change<'_>, of: Option<MailboxId>, entry: &str, value: Option<&[u8]>) -> Result<()> {
    change.execute(
        "DELETE FROM annotation WHERE coalesce(mailbox_id, 0) = ?1 AND entry = ?2",
        params![key(of), entry],
    )?;
    if let Some(value) = value {
        change.execute(
            "INSERT INTO annotation (mailbox_id, entry, value) VALUES (?1, ?2, ?3)",
            params![of, entry, value],
        )?;
    }
    Ok(())
}

fn check_mailbox(change: &Change<'_>, of: Option<MailboxId>) -> Result<()> {
    let Some(mailbox) = of else { return Ok(()) };
    let found: Option<i64> = change
        .connection
        .prepare_cached("SELECT 1 FROM mailbox WHERE mailbox_id = ?1")?
        .query_row([mailbox], |row| row.get(0))
        .optional()?;
    found.map(|_| ()).ok_or_else(|| Error::NotFound(format!("mailbox {mailbox}")))
}

fn check_bounds(change: &Change<'_>, of: Option<MailboxId>) -> Result<()> {
    let count: i64 = change
        .connection
        .prepare_cached("SELECT count(*) FROM annotation WHERE coalesce(mailbox_id, 0) = ?1")?
        .query_row([key(of)], |row| row.get(0))?;
    let octets: i64 = change
        .connection
        .prepare_cached("SELECT coalesce(sum(length(value)), 0) FROM annotation")?
        .query_row([], |row| row.get(0))?;
    if count > MOST_ENTRIES || octets > MOST_OCTETS { Err(Error::OverQuota) } else { Ok(()) }
}
