//! Annotations: named values of a mailbox, or of the account as a whole (RFC 5464).
//!
//! In: entries with values, or without one to remove them, and who sets them. Out: the entries of a mailbox that somebody may
//! read: the shared ones, and the private ones of that user alone; and which of them changed since a mod-sequence. Refused: more
//! than [`MOST_ENTRIES`] of one mailbox and user, or [`MOST_OCTETS`] of all. They go with their mailbox through renaming, and with
//! it when it is deleted. What a name or a value may be, and who may reach the mailbox, is the caller's to decide.
//!
//! A removed entry leaves a tombstone, so that clients can learn of it: the [`MOST_TOMBSTONES`] last ones of each mailbox and user.

use rusqlite::{OptionalExtension, params};

use super::change::Change;
use super::{Account, AccountId, MailboxId, ModSeq};
use crate::{Error, Result};

/// Entries of one mailbox, and of the account: the shared and the owner's together, and of each other user (RFC 5464 §4.1 asks
/// for ten).
const MOST_ENTRIES: i64 = 100;
/// Octets of all values of an account together, but for those that are private to others.
const MOST_OCTETS: i64 = 10 << 20;
/// Octets of all values in an account that are private to one other user.
const MOST_OCTETS_OF_OTHERS: i64 = 1 << 20;
const MOST_TOMBSTONES: i64 = 100;

/// A named value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Annotation {
    /// Its name, in lower case.
    pub entry: String,
    /// Its value.
    pub value: Vec<u8>,
}

/// An annotation that was set or removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnnotationChange {
    /// Of what; of the account, if absent.
    pub mailbox: Option<MailboxId>,
    /// Its name.
    pub entry: String,
}

/// Whose entries: `?1` is 0 for the owner's, or another account's number.
const READABLE: &str = "(private_to = ?1 OR (private_to = 0 AND substr(entry, 1, 8) = '/shared/'))";

impl Account {
    /// The annotations of a mailbox, or of the account, that a user may read, by name.
    ///
    /// # Errors
    /// `Temporary`
    pub fn annotations(&self, of: Option<MailboxId>, reader: AccountId) -> Result<Vec<Annotation>> {
        let reader = self.private_to(reader);
        self.0.database.read(|connection| {
            let sql = format!(
                "SELECT entry, value FROM annotation
                  WHERE coalesce(mailbox_id, 0) = ?2 AND {READABLE} AND value IS NOT NULL ORDER BY entry"
            );
            let mut statement = connection.prepare_cached(&sql)?;
            let rows = statement.query_map([reader, key(of)], |row| {
                Ok(Annotation { entry: row.get(0)?, value: row.get(1)? })
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    /// Those that a user may read and that were set or removed after a mod-sequence, by mailbox; and the mod-sequence up to
    /// which that is complete. Without the former only the latter.
    ///
    /// # Errors
    /// `Temporary`
    pub fn annotations_changed(
        &self,
        reader: AccountId,
        since: Option<ModSeq>,
    ) -> Result<(ModSeq, Vec<AnnotationChange>)> {
        let reader = self.private_to(reader);
        self.0.database.read(|connection| {
            let until: ModSeq =
                connection.prepare_cached("SELECT mod_seq FROM account")?.query_row([], |row| row.get(0))?;
            let sql = format!(
                "SELECT mailbox_id, entry FROM annotation
                  WHERE mod_seq > ?2 AND mod_seq <= ?3 AND {READABLE} ORDER BY mailbox_id, entry"
            );
            let mut statement = connection.prepare_cached(&sql)?;
            let rows = statement.query_map(params![reader, since.unwrap_or(until), until], |row| {
                Ok(AnnotationChange { mailbox: row.get(0)?, entry: row.get(1)? })
            })?;
            Ok((until, rows.collect::<Result<_, _>>()?))
        })
    }

    /// Sets entries, or removes those without a value: all or none. The private ones are the setter's. Durable on return.
    ///
    /// # Errors
    /// `NotFound` for the mailbox; `OverQuota` when there would be too many.
    pub fn annotate(
        &self,
        of: Option<MailboxId>,
        setter: AccountId,
        entries: Vec<(String, Option<Vec<u8>>)>,
    ) -> Result<()> {
        let setter = self.private_to(setter);
        self.change(move |change| {
            check_mailbox(change, of)?;
            for (entry, value) in &entries {
                let private_to = if entry.starts_with("/private/") { setter } else { 0 };
                set(change, (of, private_to), entry, value.as_deref())?;
            }
            let mut owners = vec![0, setter];
            owners.dedup();
            owners.into_iter().try_for_each(|private_to| check_bounds(change, of, private_to))
        })
    }

    /// How a user's private entries are marked.
    fn private_to(&self, user: AccountId) -> i64 {
        if user == self.id() { 0 } else { user.0.into() }
    }
}

/// Copies the annotations of a mailbox to one that has none (RFC 5464 §4.1, RENAME of INBOX).
pub(super) fn copy(change: &Change<'_>, from: MailboxId, to: MailboxId) -> Result<()> {
    change.execute(
        "INSERT INTO annotation (mailbox_id, private_to, entry, value, mod_seq)
         SELECT ?2, private_to, entry, value, ?3 FROM annotation WHERE mailbox_id = ?1 AND value IS NOT NULL",
        params![from, to, change.mod_seq],
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

/// Removing what is not there leaves no tombstone.
fn set(
    change: &Change<'_>,
    (of, private_to): (Option<MailboxId>, i64),
    entry: &str,
    value: Option<&[u8]>,
) -> Result<()> {
    let changed = change.execute(
        "UPDATE annotation SET value = ?4, mod_seq = ?5
          WHERE coalesce(mailbox_id, 0) = ?1 AND private_to = ?2 AND entry = ?3
            AND (value IS NOT NULL OR ?4 IS NOT NULL)",
        params![key(of), private_to, entry, value, change.mod_seq],
    )?;
    match (changed, value) {
        (0, Some(value)) => change.execute(
            "INSERT INTO annotation (mailbox_id, private_to, entry, value, mod_seq) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![of, private_to, entry, value, change.mod_seq],
        )?,
        (_, Some(_)) => 0,
        (_, None) => change.execute(
            "DELETE FROM annotation WHERE rowid IN (
                SELECT rowid FROM annotation
                 WHERE coalesce(mailbox_id, 0) = ?1 AND private_to = ?2 AND value IS NULL
                 ORDER BY mod_seq DESC LIMIT -1 OFFSET ?3)",
            params![key(of), private_to, MOST_TOMBSTONES],
        )?,
    };
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

fn check_bounds(change: &Change<'_>, of: Option<MailboxId>, private_to: i64) -> Result<()> {
    let count: i64 = change
        .connection
        .prepare_cached(
            "SELECT count(value) FROM annotation WHERE coalesce(mailbox_id, 0) = ?1 AND private_to = ?2",
        )?
        .query_row([key(of), private_to], |row| row.get(0))?;
    let octets: i64 = change
        .connection
        .prepare_cached("SELECT coalesce(sum(length(value)), 0) FROM annotation WHERE private_to = ?1")?
        .query_row([private_to], |row| row.get(0))?;
    let most_octets = if private_to == 0 { MOST_OCTETS } else { MOST_OCTETS_OF_OTHERS };
    if count > MOST_ENTRIES || octets > most_octets { Err(Error::OverQuota) } else { Ok(()) }
}
