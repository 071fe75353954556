//! EXPUNGE: removing messages, and with the last placement the content, unless it is kept for undelete.
//!
//! Each statement takes a whole range of UIDs, or all that the operation destroys: people empty folders of tens of
//! thousands of messages, and a statement for each message and table costs ten times what it does.

use rusqlite::params;

use super::change::{Change, Counters};
use super::{Account, Expunge, MailboxId, SystemFlags, Uid, UidSet, removed};
use crate::Result;
use crate::blob::{self, BlobId};

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
    let gone: UidSet = rows.iter().map(|row| row.uid).collect();
    if fate == Fate::Kept {
        removed::keep(change, mailbox, &gone, rows.iter().map(|row| row.size).sum())?;
    }
    remove_placements(change, mailbox, &gone)?;
    destroy_unplaced(change)?;
    rows.iter().for_each(|row| counters.remove(row.flags, row.size));
    record_expunged(change, mailbox, &gone)?;
    change.save(&counters)?;
    Ok(gone)
}

/// A placement that is to go.
pub(super) struct Placement {
    pub(super) uid: Uid,
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
        "SELECT uid, flags, size FROM message CROSS JOIN email USING (email_id)
          WHERE mailbox_id = ?1 AND uid BETWEEN ?2 AND ?3 ORDER BY uid",
    )?;
    let mut found = Vec::new();
    for range in uids.ranges() {
        let rows = statement.query_map(params![mailbox, range.start(), range.end()], |row| {
            let flags = SystemFlags::from_bits(row.get(1)?);
            Ok(Placement { uid: row.get(0)?, flags, size: row.get(2)? })
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

/// Takes messages out of their mailbox, and counts one placement less of each email, which a mailbox has at most once.
fn remove_placements(change: &Change<'_>, mailbox: MailboxId, uids: &UidSet) -> Result<()> {
    for range in uids.ranges() {
        change.execute(
            "UPDATE email SET placements = placements - 1, mod_seq = ?4
              WHERE email_id IN (SELECT email_id FROM message WHERE mailbox_id = ?1 AND uid BETWEEN ?2 AND ?3)",
            params![mailbox, range.start(), range.end(), change.mod_seq],
        )?;
        change.execute(
            "DELETE FROM message WHERE mailbox_id = ?1 AND uid BETWEEN ?2 AND ?3",
            params![mailbox, range.start(), range.end()],
        )?;
    }
    Ok(())
}

/// Destroys the emails that have lost their last placement in this operation: it has given them its mod-sequence.
fn destroy_unplaced(change: &Change<'_>) -> Result<()> {
    let destroyed = change.execute(
        "INSERT INTO email_tombstone (mod_seq, email_id, thread_id, created_mod_seq)
         SELECT mod_seq, email_id, thread_id, created_mod_seq FROM email WHERE mod_seq = ?1 AND placements = 0",
        [change.mod_seq],
    )?;
    if destroyed == 0 {
        return Ok(());
    }
    let unreferenced = release_contents(change)?;
    change.execute(
        "UPDATE thread SET emails = thread.emails - gone.emails
           FROM (SELECT thread_id, count(*) AS emails FROM email WHERE mod_seq = ?1 AND placements = 0
                  GROUP BY thread_id) AS gone
          WHERE thread.thread_id = gone.thread_id",
        [change.mod_seq],
    )?;
    change.execute("DELETE FROM email WHERE mod_seq = ?1 AND placements = 0", [change.mod_seq])?;
    change.execute(
        "DELETE FROM thread
          WHERE emails = 0 AND thread_id IN (SELECT thread_id FROM email_tombstone WHERE mod_seq = ?1)",
        [change.mod_seq],
    )?;
    for blob in unreferenced {
        if let Some(file) = blob::destroy(change.connection, blob)? {
            change.forget_file(file);
        }
    }
    Ok(())
}

/// Counts the references less that destroyed emails had; gives the blobs that have none left.
fn release_contents(change: &Change<'_>) -> Result<Vec<BlobId>> {
    let mut statement = change.connection.prepare_cached(
        "UPDATE blob SET refs = refs - gone.emails
           FROM (SELECT blob_id, count(*) AS emails FROM email WHERE mod_seq = ?1 AND placements = 0
                  GROUP BY blob_id) AS gone
          WHERE blob.blob_id = gone.blob_id
         RETURNING blob.blob_id, refs",
    )?;
    let mut unreferenced = Vec::new();
    let mut rows = statement.query([change.mod_seq])?;
    while let Some(row) = rows.next()? {
        if row.get::<_, i64>(1)? == 0 {
            unreferenced.push(row.get(0)?);
        }
    }
    Ok(unreferenced)
}
