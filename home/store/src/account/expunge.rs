//! EXPUNGE: removing messages, and with the last placement the content, unless it is kept for undelete.

use rusqlite::params;

use super::change::{Change, Counters};
use super::{Account, EmailId, Expunge, MailboxId, SystemFlags, ThreadId, Uid, UidSet, removed};
use crate::Result;
use crate::blob;

impl Account {
    /// Removes messages and gives the UIDs that went.
    ///
    /// # Errors
    /// `NotFound` for the mailbox.
    pub fn expunge(&self, mailbox: MailboxId, which: Expunge) -> Result<UidSet> {
        let fate = self.fate();
        self.change(move |change| expunge(change, mailbox, &which, fate))
    }
}

/// What becomes of the octets of expunged messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// Kept for undelete.
    Kept,
    /// Gone at once.
    Gone,
}

/// Removes every message of a mailbox that is to be deleted.
pub(super) fn destroy_all(change: &Change<'_>, mailbox: MailboxId, fate: Fate) -> Result<()> {
    expunge(change, mailbox, &Expunge::Exactly(UidSet::all()), fate)?;
    Ok(())
}

pub(super) fn expunge(
    change: &Change<'_>,
    mailbox: MailboxId,
    which: &Expunge,
    fate: Fate,
) -> Result<UidSet> {
    let mut counters = change.counters(mailbox)?;
    let rows = select(change, mailbox, which)?;
    if rows.is_empty() {
        return Ok(UidSet::default());
    }
    if fate == Fate::Kept {
        removed::keep(change, mailbox, &rows)?;
    }
    for row in &rows {
        remove_placement(change, &mut counters, row)?;
        drop_placement_of(change, row.email)?;
    }
    let gone = rows.iter().map(|row| row.uid).collect();
    record_expunged(change, mailbox, &gone)?;
    change.save(&counters)?;
    Ok(gone)
}

/// A placement that is to go.
pub(super) struct Placement {
    pub(super) uid: Uid,
    pub(super) email: EmailId,
    pub(super) flags: SystemFlags,
    pub(super) size: i64,
}

fn select(change: &Change<'_>, mailbox: MailboxId, which: &Expunge) -> Result<Vec<Placement>> {
    let (uids, only_deleted) = match which {
        Expunge::Deleted => (&UidSet::all(), true),
        Expunge::DeletedOf(uids) => (uids, true),
        Expunge::Exactly(uids) => (uids, false),
    };
    let mut statement = change.connection.prepare_cached(
        "SELECT uid, email_id, flags, size FROM message JOIN email USING (email_id)
          WHERE mailbox_id = ?1 AND uid BETWEEN ?2 AND ?3 ORDER BY uid",
    )?;
    let mut found = Vec::new();
    for range in uids.ranges() {
        let rows = statement.query_map(params![mailbox, range.start(), range.end()], |row| {
            let flags = SystemFlags::from_bits(row.get(2)?);
            Ok(Placement { uid: row.get(0)?, email: row.get(1)?, flags, size: row.get(3)? })
        })?;
        for row in rows {
            let row = row?;
            if !only_deleted || row.flags.contains(SystemFlags::DELETED) {
                found.push(row);
            }
        }
    }
    Ok(found)
}

/// Takes a message out of its mailbox.
pub(super) fn remove_placement(
    change: &Change<'_>,
    counters: &mut Counters,
    placement: &Placement,
) -> Result<()> {
    change.execute(
        "DELETE FROM message WHERE mailbox_id = ?1 AND uid = ?2",
        params![counters.mailbox, placement.uid],
    )?;
    counters.remove(placement.flags, placement.size);
    Ok(())
}

/// Writes the tombstones from which VANISHED is answered.
pub(super) fn record_expunged(change: &Change<'_>, mailbox: MailboxId, uids: &UidSet) -> Result<()> {
    for range in uids.ranges() {
        change.execute(
            "INSERT INTO expunged (mailbox_id, mod_seq, uid_first, uid_last) VALUES (?1, ?2, ?3, ?4)",
            params![mailbox, change.mod_seq, range.start(), range.end()],
        )?;
    }
    Ok(())
}

/// Counts one placement less, and destroys the email if it was the last.
fn drop_placement_of(change: &Change<'_>, email: EmailId) -> Result<()> {
    let left: i64 = change
        .connection
        .prepare_cached(
            "UPDATE email SET placements = placements - 1, mod_seq = ?2 WHERE email_id = ?1 RETURNING placements",
        )?
        .query_row(params![email, change.mod_seq], |row| row.get(0))?;
    if left == 0 { destroy(change, email) } else { Ok(()) }
}

fn destroy(change: &Change<'_>, email: EmailId) -> Result<()> {
    let (blob, thread, created): (blob::BlobId, ThreadId, i64) = change
        .connection
        .prepare_cached(
            "DELETE FROM email WHERE email_id = ?1 RETURNING blob_id, thread_id, created_mod_seq",
        )?
        .query_row([email], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    change.execute(
        "INSERT INTO email_tombstone (mod_seq, email_id, thread_id, created_mod_seq) VALUES (?1, ?2, ?3, ?4)",
        params![change.mod_seq, email, thread, created],
    )?;
    super::thread::leave(change, thread)?;
    if let Some(file) = blob::release(change.connection, blob)? {
        change.forget_file(file);
    }
    Ok(())
}
