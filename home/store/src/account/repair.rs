//! `store verify --repair`: puts right what follows from other rows.
//!
//! In: an account that nobody else has open. Out: a line for each rule that was broken and no longer is. Indexes are built
//! anew from their tables, counters and references are counted again, and numbers that only rise are lifted above
//! everything that was given out. An email that has lost its last placement goes into INBOX, so that a person can judge it;
//! octets that have lost their email go to what was removed, from where they can be put back. Nothing is deleted.
//! Octets that are damaged cannot be made right; they stay, are named by `verify`, and hinder nothing.

use super::change::Change;
use super::keywords::StoredFlags;
use super::removed::{self, Header};
use super::{Account, EmailId, SystemFlags, mailboxes, verify};
use crate::blob::BlobId;
use crate::{Error, Result};

/// For rules of `verify`, by name, what makes them hold for the rows that the rule's query gives (`{broken}`).
const REPAIRS: &[(&str, &str)] = &[
    (
        "placements of an email",
        "UPDATE email SET placements = (SELECT count(*) FROM message WHERE message.email_id = email.email_id)
          WHERE email_id IN ({broken})",
    ),
    (
        "mailbox counters",
        "UPDATE mailbox SET (messages, unseen, deleted, size, uid_next, highest_mod_seq) =
                (SELECT count(*), coalesce(sum(flags & 1 = 0), 0), coalesce(sum(flags & 8 <> 0), 0),
                        coalesce(sum(email.size), 0), max(mailbox.uid_next, coalesce(max(uid), 0) + 1, coalesce((SELECT max(uid_last) + 1
                           FROM expunged WHERE expunged.mailbox_id = mailbox.mailbox_id), 0)),
                        max(mailbox.highest_mod_seq, coalesce(max(message.mod_seq), 0))
                   FROM message JOIN email USING (email_id) WHERE message.mailbox_id = mailbox.mailbox_id)
          WHERE mailbox_id IN ({broken})",
    ),
    (
        "the account's size",
        "UPDATE account SET size = (SELECT coalesce(sum(size), 0) FROM mailbox) WHERE id IN ({broken})",
    ),
    (
        "octets of removed messages",
        "UPDATE account SET removed_size = (SELECT coalesce(sum(size), 0) FROM removed) WHERE id IN ({broken})",
    ),
    (
        "mod-sequences",
        "UPDATE account SET mod_seq = max(mod_seq, (SELECT max(max(highest_mod_seq, mod_seq)) FROM mailbox),
                                (SELECT coalesce(max(mod_seq), 0) FROM annotation))
          WHERE EXISTS ({broken})",
    ),
    (
        "UIDVALIDITY",
        "UPDATE account SET next_uid_validity = (SELECT max(uid_validity) + 1 FROM mailbox) WHERE EXISTS ({broken})",
    ),
    (
        "references to a blob",
        "UPDATE blob SET refs = (SELECT count(*) FROM email WHERE email.blob_id = blob.blob_id)
                              + (SELECT count(*) FROM removed WHERE removed.blob_id = blob.blob_id)
          WHERE blob_id IN ({broken})",
    ),
    (
        "emails of a thread",
        "UPDATE thread SET emails = (SELECT count(*) FROM email WHERE email.thread_id = thread.thread_id)
          WHERE thread_id IN ({broken})",
    ),
];

impl Account {
    /// Repairs what can be repaired; gives a line for each kind of thing.
    ///
    /// # Errors
    /// `Corrupt` where pages are damaged so that not even this can run: then `store export` takes out what is readable.
    pub fn repair(&self) -> Result<Vec<String>> {
        let mut repaired = self.change(count_again)?;
        // In a change of its own: its mod-sequence is above everything only when that was lifted.
        let found = self.change(place_the_lost)?;
        if found > 0 {
            repaired.push(format!("{found} message(s) of no mailbox are in INBOX now"));
        }
        let kept = self.keep_unreferenced()?;
        if kept > 0 {
            repaired
                .push(format!("{kept} message(s) that had lost their row can be put back: `mail deleted`"));
        }
        self.change(|change| change.execute("DELETE FROM thread WHERE emails = 0", []))?;
        Ok(repaired)
    }

    /// Octets without an email may be all that a damaged page has left of a message.
    fn keep_unreferenced(&self) -> Result<usize> {
        let blobs: Vec<BlobId> = self.0.database.read(|connection| {
            let mut statement = connection.prepare("SELECT blob_id FROM blob WHERE refs = 0")?;
            Ok::<_, Error>(statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?)
        })?;
        if blobs.is_empty() {
            return Ok(0);
        }
        let blobs: Vec<(BlobId, Header)> =
            blobs.into_iter().map(|blob| (blob, self.known_by(blob))).collect();
        self.change(move |change| {
            for (blob, header) in &blobs {
                removed::keep_unreferenced(change, *blob, header)?;
            }
            Ok(blobs.len())
        })
    }
}

fn count_again(change: &Change<'_>) -> Result<Vec<String>> {
    change.connection.execute_batch("REINDEX")?;
    let mut repaired = Vec::new();
    for (rule, statement) in REPAIRS {
        let statement = statement.replace("{broken}", verify::broken(rule)?);
        let rows = change.connection.execute(&statement, [])?;
        if rows > 0 {
            repaired.push(format!("{rule}: {rows} row(s)"));
        }
    }
    Ok(repaired)
}

fn place_the_lost(change: &Change<'_>) -> Result<usize> {
    let mut statement = change.connection.prepare("SELECT email_id, size FROM email WHERE placements = 0")?;
    let lost = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let lost: Vec<(EmailId, i64)> = lost.collect::<Result<_, _>>()?;
    if lost.is_empty() {
        return Ok(0);
    }
    let mut inbox = change.counters(mailboxes::inbox(change.connection)?)?;
    let flags = StoredFlags { system: SystemFlags::empty(), keywords: Vec::new() };
    for (email, size) in &lost {
        change.place(&mut inbox, *email, &flags, *size)?;
        change.execute("UPDATE email SET placements = 1 WHERE email_id = ?1", [email])?;
    }
    change.save(&inbox)?;
    Ok(lost.len())
}
