//! COPY and MOVE.

use rusqlite::{OptionalExtension, params};

use super::change::Change;
use super::expunge::{Placement, record_expunged, remove_placement};
use super::keywords::StoredFlags;
use super::{Account, Copied, EmailId, MailboxId, Uid, UidSet, quota};
use crate::Result;

impl Account {
    /// Copies messages with their flags, all or none. UIDs that are gone are passed over.
    ///
    /// # Errors
    /// `NotFound` for a mailbox that is not there (TRYCREATE), `OverQuota`.
    pub fn copy(&self, from: MailboxId, uids: &UidSet, to: MailboxId) -> Result<Copied> {
        let uids = uids.clone();
        self.change(move |change| {
            let sources = sources(change, from, &uids)?;
            let mut target = change.counters(to)?;
            let mut pairs = Vec::with_capacity(sources.len());
            for source in &sources {
                let email = copied_email(change, source.email, to)?;
                pairs.push((source.uid, change.place(&mut target, email, &source.flags, source.size)?));
            }
            if !pairs.is_empty() {
                change.save(&target)?;
                quota::check(change, to)?;
            }
            Ok(Copied { uid_validity: target.uid_validity, uids: pairs })
        })
    }

    /// Moves messages, all or none, in one step (RFC 6851). The account's quota does not hinder it.
    ///
    /// # Errors
    /// `NotFound` for a mailbox that is not there (TRYCREATE), `OverQuota` of the mailbox.
    pub fn move_messages(&self, from: MailboxId, uids: &UidSet, to: MailboxId) -> Result<Copied> {
        let uids = uids.clone();
        self.change(move |change| {
            let moved = move_all(change, from, &uids, to)?;
            if from != to {
                quota::check_mailbox(change, to)?;
            }
            Ok(moved)
        })
    }
}

/// Moves within an operation. Within one mailbox the messages get new UIDs at its end.
pub(super) fn move_all(change: &Change<'_>, from: MailboxId, uids: &UidSet, to: MailboxId) -> Result<Copied> {
    let moved = sources(change, from, uids)?;
    let mut pairs = Vec::with_capacity(moved.len());
    let mut emails = Vec::with_capacity(moved.len());
    let mut origin = change.counters(from)?;
    for source in &moved {
        let size = source.size;
        let gone = Placement { uid: source.uid, flags: source.flags.system, size };
        remove_placement(change, &mut origin, &gone)?;
        emails.push(moved_email(change, source.email, to)?);
    }
    if !moved.is_empty() {
        record_expunged(change, from, &moved.iter().map(|source| source.uid).collect())?;
        change.save(&origin)?;
    }
    let mut target = change.counters(to)?;
    for (source, email) in moved.iter().zip(emails) {
        pairs.push((source.uid, change.place(&mut target, email, &source.flags, source.size)?));
    }
    if !pairs.is_empty() {
        change.save(&target)?;
    }
    Ok(Copied { uid_validity: target.uid_validity, uids: pairs })
}

struct Source {
    uid: Uid,
    email: EmailId,
    flags: StoredFlags,
    size: i64,
}

fn sources(change: &Change<'_>, from: MailboxId, uids: &UidSet) -> Result<Vec<Source>> {
    change.counters(from)?;
    let mut statement = change.connection.prepare_cached(
        "SELECT uid, email_id, size, flags, keywords FROM message JOIN email USING (email_id)
          WHERE mailbox_id = ?1 AND uid BETWEEN ?2 AND ?3 ORDER BY uid",
    )?;
    let mut found = Vec::new();
    for range in uids.ranges() {
        let rows = statement.query_map(params![from, range.start(), range.end()], |row| {
            let flags = StoredFlags::read(row, 3)?;
            Ok(Source { uid: row.get(0)?, email: row.get(1)?, size: row.get(2)?, flags })
        })?;
        for row in rows {
            found.push(row?);
        }
    }
    Ok(found)
}

/// The email that a copy places: the same one, or, where the mailbox holds it already, a new one with the same
/// content, because an email is in a mailbox at most once (RFC 8621 §4.1.1, `mailboxIds` is a set).
fn copied_email(change: &Change<'_>, email: EmailId, to: MailboxId) -> Result<EmailId> {
    if is_in(change, email, to)? {
        return duplicate(change, email);
    }
    change.execute(
        "UPDATE email SET placements = placements + 1, mod_seq = ?2 WHERE email_id = ?1",
        params![email, change.mod_seq],
    )?;
    Ok(email)
}

/// The email that a move places, its old placement being gone already: as for a copy.
fn moved_email(change: &Change<'_>, email: EmailId, to: MailboxId) -> Result<EmailId> {
    if is_in(change, email, to)? {
        let copy = duplicate(change, email)?;
        change.execute(
            "UPDATE email SET placements = placements - 1, mod_seq = ?2 WHERE email_id = ?1",
            params![email, change.mod_seq],
        )?;
        return Ok(copy);
    }
    change.execute("UPDATE email SET mod_seq = ?2 WHERE email_id = ?1", params![email, change.mod_seq])?;
    Ok(email)
}

fn is_in(change: &Change<'_>, email: EmailId, mailbox: MailboxId) -> Result<bool> {
    let found: Option<i64> = change
        .connection
        .prepare_cached("SELECT 1 FROM message WHERE email_id = ?1 AND mailbox_id = ?2")?
        .query_row(params![email, mailbox], |row| row.get(0))
        .optional()?;
    Ok(found.is_some())
}

/// Makes another email of the same content, with one placement.
fn duplicate(change: &Change<'_>, email: EmailId) -> Result<EmailId> {
    let copy: EmailId = change
        .connection
        .prepare_cached(
            "INSERT INTO email (blob_id, thread_id, placements, size, header_size, internal_date, sent_date,
                                base_subject, sort_from, sort_to, sort_cc, display_from, display_to,
                                has_attachment, preview, created_mod_seq, mod_seq)
             SELECT blob_id, thread_id, 1, size, header_size, internal_date, sent_date, base_subject, sort_from,
                    sort_to, sort_cc, display_from, display_to, has_attachment, preview, ?2, ?2
               FROM email WHERE email_id = ?1
             RETURNING email_id",
        )?
        .query_row(params![email, change.mod_seq], |row| row.get(0))?;
    change.execute(
        "INSERT INTO email_structure (email_id, structure)
         SELECT ?2, structure FROM email_structure WHERE email_id = ?1",
        params![email, copy],
    )?;
    change.execute(
        "INSERT INTO email_fields (email_id, fields) SELECT ?2, fields FROM email_fields WHERE email_id = ?1",
        params![email, copy],
    )?;
    change.execute(
        "UPDATE blob SET refs = refs + 1 WHERE blob_id = (SELECT blob_id FROM email WHERE email_id = ?1)",
        params![copy],
    )?;
    change.execute(
        "UPDATE thread SET emails = emails + 1
          WHERE thread_id = (SELECT thread_id FROM email WHERE email_id = ?1)",
        params![copy],
    )?;
    Ok(copy)
}
