//! Undelete: what was expunged is kept for a while, and can be put back.
//!
//! In: messages on their way out, from EXPUNGE and from the deletion of a mailbox (MOVE removes nothing). Out: a list
//! of them, and messages put back. A message that is put back is a new one: under a new UID and a new EMAILID, since
//! clients were told that the old ones are gone for good (RFC 9051 §2.3.1.1, RFC 8621 §1.6.2), but with its octets, its
//! flags without `\Deleted`, and its dates. What is kept counts towards no quota. So that deleting is not a way around
//! one, an account with a quota in octets keeps at most that many octets again: the longest removed go first.

use std::sync::Arc;
use std::time::Duration;

use rusqlite::{OptionalExtension, Row, params};
use serde::{Deserialize, Serialize};

use super::change::{self, Change};
use super::keywords::{Keywords, StoredFlags};
use super::{Account, Append, Appended, Flags, MailboxId, SystemFlags, UidSet, mailboxes};
use crate::blob::{self, BlobId};
use crate::structure::{self, text};
use crate::{Error, Result, StagedMessage, Staging, Timestamp};

/// Octets that are copied at once.
const STEP: u64 = 1024 * 1024;
/// Octets of a message in which its header is looked for.
const HEADER: u64 = 64 * 1024;

/// A message that was expunged and can be put back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removed {
    /// Its number here.
    pub id: i64,
    /// The name that its mailbox had.
    pub mailbox: String,
    /// Octets.
    pub size: u64,
    /// When it was received.
    pub internal_date: Timestamp,
    /// When it was expunged.
    pub removed: Timestamp,
    /// The Subject field; of a message that cannot be read the base subject in upper case (RFC 5256 §2.1).
    pub subject: String,
    /// The From field; of a message that cannot be read the first sender in upper case.
    pub from: String,
    /// The beginning of its text.
    pub preview: String,
}

impl Account {
    /// Everything that can be put back, the last removed first.
    ///
    /// # Errors
    /// `Temporary`
    pub fn removed(&self) -> Result<Vec<Removed>> {
        let listed = self.0.database.read(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT removed_id, mailbox, size, internal_date, removed_at, subject, sender, preview, blob_id
                   FROM removed ORDER BY removed_at DESC, removed_id DESC",
            )?;
            let rows = statement.query_map([], |row| Ok((read(row)?, row.get(8)?)))?;
            Ok::<_, Error>(rows.collect::<Result<Vec<(Removed, BlobId)>, _>>()?)
        })?;
        Ok(listed.into_iter().map(|(removed, blob)| self.as_a_person_knows_it(removed, blob)).collect())
    }

    fn as_a_person_knows_it(&self, removed: Removed, blob: BlobId) -> Removed {
        let Header { subject, sender } = self.known_by(blob);
        if subject.is_empty() && sender.is_empty() {
            return removed;
        }
        Removed { subject, from: sender, ..removed }
    }

    /// Of octets that cannot be read, nothing.
    pub(super) fn known_by(&self, blob: BlobId) -> Header {
        let octets = self.read_blob(blob, 0..HEADER).unwrap_or_default();
        let value = |name| {
            let field = structure::fields(&octets).find(|field| field.is(name));
            field.map(|field| text::decode_header(field.value).trim().to_owned()).unwrap_or_default()
        };
        Header { subject: value("Subject"), sender: value("From") }
    }

    /// Puts a removed message back into the mailbox that it was in, which is made again if it is gone. `staging` is
    /// where its octets go on their way.
    ///
    /// # Errors
    /// `NotFound` when it is not kept any more; `OverQuota`, or `Corrupt` where its octets are damaged, and then it is
    /// kept on.
    pub fn restore(&self, id: i64, staging: Staging) -> Result<Appended> {
        let kept = self.kept(id)?;
        let append = Append {
            message: Arc::new(self.copy_out(kept.blob, staging)?),
            flags: kept.flags,
            internal_date: kept.internal_date,
        };
        let mailbox = self.mailbox_named_or_made(&kept.mailbox)?;
        let appended = self.append(mailbox, vec![append])?;
        // Between the two commits a power cut would leave the message both here and there, and lose nothing.
        self.change(move |change| forget(change, &[id]))?;
        appended.into_iter().next().ok_or_else(|| Error::Fault("nothing was put back".to_owned()))
    }

    /// Lets go of what has been kept for as long as `keep`; gives how many messages that were. The time counts from
    /// the first of these calls that found the message, since only here the caller has made sure that `now` is true:
    /// when the message was removed nobody asked whether the clock was right.
    ///
    /// # Errors
    /// `Temporary`
    pub fn purge_removed(&self, now: Timestamp, keep: Duration) -> Result<usize> {
        let (now, keep) = (now.as_second(), i64::try_from(keep.as_secs()).unwrap_or(i64::MAX));
        let before = now.saturating_sub(keep);
        let (old, unseen): (Vec<i64>, bool) = self.0.database.read(|connection| {
            let mut statement =
                connection.prepare_cached("SELECT removed_id FROM removed WHERE kept_since < ?1")?;
            let old = statement.query_map([before], |row| row.get(0))?.collect::<Result<_, _>>()?;
            let unseen = "SELECT EXISTS (SELECT 1 FROM removed WHERE kept_since IS NULL)";
            Ok::<_, Error>((old, connection.prepare_cached(unseen)?.query_row([], |row| row.get(0))?))
        })?;
        if old.is_empty() && !unseen {
            return Ok(0);
        }
        self.change(move |change| {
            change.execute("UPDATE removed SET kept_since = ?1 WHERE kept_since IS NULL", [now])?;
            forget(change, &old).map(|()| old.len())
        })
    }

    fn kept(&self, id: i64) -> Result<Kept> {
        self.0.database.read(|connection| {
            let keywords = Keywords::load(connection)?;
            let kept = connection
                .prepare_cached(
                    "SELECT blob_id, mailbox, internal_date, flags, keywords FROM removed WHERE removed_id = ?1",
                )?
                .query_row([id], |row| {
                    let mut flags = keywords.resolve(&StoredFlags::read(row, 3)?);
                    flags.system = flags.system.without(SystemFlags::DELETED);
                    Ok(Kept { blob: row.get(0)?, mailbox: row.get(1)?, internal_date: moment(row.get(2)?), flags })
                })
                .optional()?;
            kept.ok_or_else(|| Error::NotFound(format!("the removed message {id}")))
        })
    }

    /// The octets of a stored message as they came, for another account or another row of this one: damaged ones would be a
    /// message that nobody sent, under a hash of its own.
    ///
    /// # Errors
    /// `Corrupt` where they are damaged; as for [`Account::read_blob`].
    pub fn copy_out(&self, blob: BlobId, mut staging: Staging) -> Result<StagedMessage> {
        loop {
            let octets = self.read_blob(blob, staging.size()..staging.size() + STEP)?;
            if octets.is_empty() {
                break;
            }
            staging.write(&octets)?;
        }
        let message = staging.finish()?;
        self.compare_hash(blob, message.hash())?;
        Ok(message)
    }

    /// The mailbox of this name, which is made where it is missing or only a name.
    ///
    /// # Errors
    /// As for [`Account::create_mailbox`].
    pub fn mailbox_named_or_made(&self, name: &str) -> Result<MailboxId> {
        match self.mailbox_named(name) {
            Ok(mailbox) if mailbox.selectable => Ok(mailbox.id),
            Ok(_) | Err(Error::NotFound(_)) => Ok(self.create_mailbox(name, None)?.id),
            Err(error) => Err(error),
        }
    }
}

struct Kept {
    blob: BlobId,
    mailbox: String,
    internal_date: Timestamp,
    flags: Flags,
}

fn read(row: &Row<'_>) -> rusqlite::Result<Removed> {
    Ok(Removed {
        id: row.get(0)?,
        mailbox: row.get(1)?,
        size: row.get(2)?,
        internal_date: moment(row.get(3)?),
        removed: moment(row.get(4)?),
        subject: row.get(5)?,
        from: row.get(6)?,
        preview: row.get(7)?,
    })
}

fn moment(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// Keeps messages of so many octets that are about to be expunged from `mailbox`; their rows are there still.
pub(super) fn keep(change: &Change<'_>, mailbox: MailboxId, uids: &UidSet, octets: i64) -> Result<()> {
    let name = mailboxes::whole_name(change.connection, mailbox)?;
    for range in uids.ranges() {
        let (first, last) = (range.start(), range.end());
        change.execute(
            "INSERT INTO removed (blob_id, mailbox, flags, keywords, size, internal_date, removed_at, subject, sender,
                                  preview)
             SELECT blob_id, ?4, flags, keywords, size, internal_date, ?5, base_subject, display_from, preview
               FROM message CROSS JOIN email USING (email_id) WHERE mailbox_id = ?1 AND uid BETWEEN ?2 AND ?3
              ORDER BY uid",
            params![mailbox, first, last, name, change::now()],
        )?;
        change.execute(
            "UPDATE blob SET refs = refs + kept.messages
               FROM (SELECT blob_id, count(*) AS messages FROM message CROSS JOIN email USING (email_id)
                      WHERE mailbox_id = ?1 AND uid BETWEEN ?2 AND ?3 GROUP BY blob_id) AS kept
              WHERE blob.blob_id = kept.blob_id",
            params![mailbox, first, last],
        )?;
    }
    change.execute("UPDATE account SET removed_size = removed_size + ?1", [octets])?;
    forget_beyond_quota(change)
}

/// Lets go of the longest removed messages until what is kept fits into the quota once.
fn forget_beyond_quota(change: &Change<'_>) -> Result<()> {
    let excess: Option<i64> = change
        .connection
        .prepare_cached("SELECT removed_size - quota FROM account")?
        .query_row([], |row| row.get(0))?;
    let Some(mut excess) = excess.filter(|excess| *excess > 0) else { return Ok(()) };
    let mut gone = Vec::new();
    let mut statement =
        change.connection.prepare_cached("SELECT removed_id, size FROM removed ORDER BY removed_id")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()?.filter(|_| excess > 0) {
        gone.push(row.get(0)?);
        excess -= row.get::<_, i64>(1)?;
    }
    drop(rows);
    forget(change, &gone)
}

/// Keeps octets that no email refers to any more, as if their message had been expunged from INBOX now.
pub(super) fn keep_unreferenced(change: &Change<'_>, blob: BlobId, header: &Header) -> Result<()> {
    let now = change::now();
    let size: i64 = change
        .connection
        .prepare_cached(
            "INSERT INTO removed (blob_id, mailbox, flags, size, internal_date, removed_at, subject, sender, preview)
             SELECT blob_id, 'INBOX', 0, size, ?2, ?2, ?3, ?4, '' FROM blob WHERE blob_id = ?1 RETURNING size",
        )?
        .query_row(params![blob, now, header.subject, header.sender], |row| row.get(0))?;
    change.execute("UPDATE blob SET refs = refs + 1 WHERE blob_id = ?1", [blob])?;
    change.execute("UPDATE account SET removed_size = removed_size + ?1", [size])?;
    Ok(())
}

/// By what a person knows a message again.
#[derive(Debug, Default)]
pub(super) struct Header {
    pub(super) subject: String,
    pub(super) sender: String,
}

fn forget(change: &Change<'_>, ids: &[i64]) -> Result<()> {
    for id in ids {
        let gone: Option<(BlobId, i64)> = change
            .connection
            .prepare_cached("DELETE FROM removed WHERE removed_id = ?1 RETURNING blob_id, size")?
            .query_row([id], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let Some((blob, size)) = gone else { continue };
        change.execute("UPDATE account SET removed_size = removed_size - ?1", [size])?;
        if let Some(file) = blob::release(change.connection, blob)? {
            change.forget_file(file);
        }
    }
    Ok(())
}
