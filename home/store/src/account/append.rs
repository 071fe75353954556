//! APPEND and delivery: storing new messages.

use std::sync::Arc;

use rusqlite::params;

use super::change::{Change, Committed, Counters};
use super::keywords::Keywords;
use super::parsed::Parsed;
use super::{Account, Append, Appended, EmailId, Flags, MailboxId, ThreadId};
use crate::blob::{self, BlobId};
use crate::db::Ticket;
use crate::stage::StagedMessage;
use crate::{Error, Result, Timestamp};

/// A message on its way into an account: parsed, and, if it is large, with its file in place.
#[derive(Debug)]
pub(crate) struct Incoming {
    message: Arc<StagedMessage>,
    parsed: Arc<Parsed>,
    linked: Option<String>,
    flags: Flags,
    internal_date: Timestamp,
}

/// Where a message is to be stored.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Target {
    /// This mailbox, or an error.
    Exactly(MailboxId),
    /// This mailbox, or INBOX if it has gone: a delivery is not lost over a deleted mailbox.
    OrInbox(Option<MailboxId>),
}

/// A write that was handed to an account's writer thread.
pub(crate) struct PendingAppend(Ticket<Committed<Vec<Appended>>>);

impl Account {
    /// Stores messages at the end of the mailbox, all or none (MULTIAPPEND). Durable on return.
    ///
    /// # Errors
    /// `NotFound` (TRYCREATE), `OverQuota`, `DiskFull`, `Temporary`.
    pub fn append(&self, mailbox: MailboxId, messages: Vec<Append>) -> Result<Vec<Appended>> {
        let incoming = self.incoming(messages)?;
        self.finish_append(self.begin_append(Target::Exactly(mailbox), incoming))
    }

    /// Makes messages ready to be stored in this account: parses them, and gives large ones their files.
    pub(crate) fn incoming(&self, messages: Vec<Append>) -> Result<Vec<Incoming>> {
        let prepare = |Append { message, flags, internal_date }: Append| {
            let parsed = Parsed::of(&message)?;
            let linked = self.0.blobs.link(&message)?;
            Ok(Incoming { message, parsed, linked, flags, internal_date })
        };
        messages.into_iter().map(prepare).collect()
    }

    /// Hands messages to the writer thread.
    pub(crate) fn begin_append(&self, target: Target, messages: Vec<Incoming>) -> PendingAppend {
        PendingAppend(
            self.0
                .database
                .submit(move |connection| Change::run(connection, |change| store(change, target, messages))),
        )
    }

    /// Waits until the messages are durable.
    pub(crate) fn finish_append(&self, pending: PendingAppend) -> Result<Vec<Appended>> {
        self.settle(pending.0.wait())
    }
}

pub(super) fn store(change: &Change<'_>, target: Target, messages: Vec<Incoming>) -> Result<Vec<Appended>> {
    let mut counters = open(change, target)?;
    let mut keywords = change.keywords()?;
    let stored = messages
        .into_iter()
        .map(|message| store_one(change, &mut counters, &mut keywords, message))
        .collect::<Result<Vec<_>>>()?;
    change.save(&counters)?;
    super::quota::check(change, counters.mailbox)?;
    Ok(stored)
}

fn open(change: &Change<'_>, target: Target) -> Result<Counters> {
    let mailbox = match target {
        Target::Exactly(mailbox) => return change.counters(mailbox),
        Target::OrInbox(mailbox) => mailbox,
    };
    match mailbox.map(|mailbox| change.counters(mailbox)) {
        Some(Err(Error::NotFound(_))) | None => change.counters(super::mailboxes::inbox(change.connection)?),
        Some(found) => found,
    }
}

fn store_one(
    change: &Change<'_>,
    counters: &mut Counters,
    keywords: &mut Keywords,
    incoming: Incoming,
) -> Result<Appended> {
    let flags = keywords.intern(change.connection, &incoming.flags)?;
    let size = i64::try_from(incoming.message.size()).unwrap_or(i64::MAX);
    let (blob, surplus) = blob::keep(change.connection, &incoming.message, incoming.linked)?;
    if let Some(file) = surplus {
        change.forget_file(file);
    }
    let thread = super::thread::join(change, &incoming.parsed.thread_keys)?;
    let email = insert_email(change, blob, thread, size, incoming.internal_date, &incoming.parsed)?;
    let uid = change.place(counters, email, &flags, size)?;
    Ok(Appended { mailbox: counters.mailbox, uid_validity: counters.uid_validity, uid, email })
}

fn insert_email(
    change: &Change<'_>,
    blob: BlobId,
    thread: ThreadId,
    size: i64,
    internal_date: Timestamp,
    parsed: &Parsed,
) -> Result<EmailId> {
    let email: EmailId = change
        .connection
        .prepare_cached(
            "INSERT INTO email (blob_id, thread_id, placements, size, header_size, internal_date, sent_date,
                                base_subject, sort_from, sort_to, sort_cc, display_from, display_to,
                                has_attachment, preview, created_mod_seq, mod_seq)
             VALUES (?1, ?2, 1, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?15)
             RETURNING email_id",
        )?
        .query_row(
            params![
                blob,
                thread,
                size,
                parsed.header_size,
                internal_date.as_second(),
                parsed.sent_date.unwrap_or(internal_date.as_second()),
                parsed.base_subject,
                parsed.sort_from,
                parsed.sort_to,
                parsed.sort_cc,
                parsed.display_from,
                parsed.display_to,
                parsed.has_attachment,
                parsed.preview,
                change.mod_seq,
            ],
            |row| row.get(0),
        )?;
    change.execute(
        "INSERT INTO email_structure (email_id, structure) VALUES (?1, ?2)",
        params![email, parsed.structure],
    )?;
    if let Some(fields) = &parsed.kept_fields {
        change
            .execute("INSERT INTO email_fields (email_id, fields) VALUES (?1, ?2)", params![email, fields])?;
    }
    Ok(email)
}
