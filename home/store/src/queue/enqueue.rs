//! Taking a message into the queue.

use jiff::Timestamp;

use super::content::NewFile;
use super::{Lane, NewMessage, NewRecipient, Queue, QueueId, Ret, Wishes};
use crate::account::AccountId;
use crate::db::{Connection, params};
use crate::journal::StoryId;
use crate::{Error, Result};

impl Queue {
    /// Queues a message, due at once. When this returns the message is durable: the caller may say 250.
    ///
    /// # Errors
    /// `Permanent` for a message without recipients; otherwise nothing has been queued and the sender may try
    /// again.
    pub fn enqueue(&self, message: NewMessage<'_>) -> Result<QueueId> {
        let (row, file) = self.prepare(message, Timestamp::now())?;
        // Kept even where the commit fails: after a failed flush the row may still come to light when the log is
        // read again. What has no row is removed at the next start.
        file.keep();
        let id = self.database.write(move |connection: &Connection| row.insert(connection))?;
        self.announce_change();
        Ok(id)
    }

    /// Makes the content durable and gives the row that is still to be written.
    pub(super) fn prepare(&self, message: NewMessage<'_>, now: Timestamp) -> Result<(MessageRow, NewFile)> {
        if message.recipients.is_empty() {
            return Err(Error::Permanent("a message needs at least one recipient".to_owned()));
        }
        let (file, octets) = self.keep_content(&message.content)?;
        let row = MessageRow {
            content: file.name.clone(),
            octets: octets + message.prepend.len() as u64,
            prepend: message.prepend,
            reverse_path: message.reverse_path.map(|address| address.to_string()).unwrap_or_default(),
            sender: message.sender,
            forwarder: message.forwarder,
            smtp_utf8: message.smtp_utf8,
            envelope_id: message.envelope_id,
            ret: message.ret,
            wishes: message.wishes,
            story: message.story,
            arrived: now,
            recipients: message.recipients,
        };
        Ok((row, file))
    }
}

/// A message whose content is in its file.
#[derive(Debug)]
pub(super) struct MessageRow {
    content: String,
    octets: u64,
    prepend: Vec<u8>,
    reverse_path: String,
    sender: Option<AccountId>,
    forwarder: Option<AccountId>,
    smtp_utf8: bool,
    envelope_id: Option<String>,
    ret: Ret,
    wishes: Wishes,
    story: StoryId,
    arrived: Timestamp,
    pub(super) recipients: Vec<NewRecipient>,
}

impl MessageRow {
    pub(super) fn insert(&self, connection: &Connection) -> Result<QueueId> {
        connection
            .prepare_cached(
                "INSERT INTO message (content, prepend, octets, reverse_path, sender, smtp_utf8, envelope_id,
                     ret_full, arrived, story, not_before, tls, forwarder, deadline, deadline_mode)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
            )?
            .execute(params![
                self.content,
                self.prepend,
                i64::try_from(self.octets).unwrap_or(i64::MAX),
                self.reverse_path,
                self.sender.map(|account| account.0),
                self.smtp_utf8,
                self.envelope_id,
                self.ret.to_column(),
                self.arrived.as_millisecond(),
                self.story.as_str(),
                self.wishes.not_before.map(|time| time.as_millisecond()),
                self.wishes.tls.to_column(),
                self.forwarder.map(|account| account.0),
                self.wishes.deadline.map(|deadline| deadline.time.as_millisecond()),
                self.wishes.deadline.map_or(0, |deadline| deadline.mode_column()),
            ])?;
        let id = QueueId(connection.last_insert_rowid());
        let due = self.wishes.not_before.map_or(self.arrived, |time| time.max(self.arrived));
        let lane = Lane::of(self.sender, self.forwarder, self.wishes.precedence);
        for recipient in &self.recipients {
            insert_recipient(connection, id, lane, recipient, due)?;
        }
        Ok(id)
    }
}

fn insert_recipient(
    connection: &Connection,
    message: QueueId,
    lane: Lane,
    recipient: &NewRecipient,
    due: Timestamp,
) -> Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO recipient (message, forward_path, domain, original_recipient, notify, next_attempt, lane)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![
            message.0,
            recipient.forward_path.to_string(),
            recipient.forward_path.domain().as_str(),
            recipient.original_recipient,
            recipient.notify.to_bits(),
            due.as_millisecond(),
            lane.to_column(),
        ])?;
    Ok(())
}
