//! Mail that goes on to an address elsewhere, because an address here says so; and reports about it, led back.
//!
//! * In: a message that port 25 or the queue has for an address that leads outside. Out: a message in the queue for each such
//!   address, with a sender in a domain of ours, so that SPF passes at the next server, and sealed with what was found of it.
//!   Nothing of it is changed, so that its DKIM signatures hold.
//! * Refused: a message that the same address has sent on before: mail would go round.
//! * Where the next server refuses it, whoever forwards is told, never the sender: see `outbound::report`.
//! * The mailboxes come first and the queue last, each durable: a crash between makes a second copy when the client sends again,
//!   never a lost one.
//!
//! `sender` is the Sender Rewriting Scheme with home's keys. Implements RFC 5321 §3.9.1 (aliases), §6.3 (loops); RFC 9228
//! (`Delivered-To`); RFC 8617 §5.1 (sealing).

pub mod sender;

use std::sync::Arc;

use postern_arc::{Sealing, Status};
use postern_message::address::EmailAddress;
use postern_message::header;
use postern_store::StagedMessage;
use postern_store::directory::{Directory, DirectoryError, DkimAlgorithm, Kept, Onward};
use postern_store::journal::{Event, Journal, StoryId};
use postern_store::queue::{Content, NewMessage, NewRecipient, Notify, Queue, Ret, TlsWish, Wishes};

use crate::dkim::{self, SignError};
use crate::link::seconds_now;

const DELIVERED_TO: &str = "Delivered-To";

/// What sends on; cheap to clone.
#[derive(Clone)]
pub struct Forwarder {
    /// Whose keys sign and rewrite.
    pub directory: Directory,
    /// Where it goes.
    pub queue: Arc<Queue>,
    /// Where it is told.
    pub journal: Journal,
}

/// A message that is to be sent on.
pub struct Original<'a> {
    /// Its sender.
    pub reverse_path: Option<&'a EmailAddress>,
    /// Without the fields that only a final delivery adds.
    pub message: &'a StagedMessage,
    /// Our `Received` field; empty where the message has it.
    pub received: &'a str,
    /// What was found of it; absent where it was written here, and is signed by ourselves.
    pub findings: Option<Findings<'a>>,
    /// Only a server that offers SMTPUTF8 may have it.
    pub smtp_utf8: bool,
    /// What its sender wants of connections to other servers (RFC 8689 §4.1: passed on).
    pub tls: TlsWish,
    /// Its story.
    pub story: &'a StoryId,
}

/// What is sealed.
#[derive(Clone, Copy)]
pub struct Findings<'a> {
    /// The value of our `Authentication-Results` field.
    pub results: &'a str,
    /// Whether its chain held.
    pub chain: &'a Status,
}

/// A message could not be sent on; nobody has said yet that it would be, so the client keeps it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The keys or the directory cannot be used.
    #[error("the sender cannot be rewritten: {0}")]
    Sender(#[from] DirectoryError),
    /// It cannot be sealed.
    #[error("{0}")]
    Seal(#[from] SignError),
    /// It cannot be queued.
    #[error("{0}")]
    Store(#[from] postern_store::Error),
}

/// Whether this address has sent the message on before.
pub fn has_passed(message: &[u8], by: &EmailAddress) -> bool {
    header::fields(message)
        .filter(|field| field.is(DELIVERED_TO))
        .any(|field| EmailAddress::parse(field.text().trim()).is_ok_and(|address| address == *by))
}

/// The field that [`has_passed`] finds.
pub fn passed(by: &EmailAddress) -> String {
    format!("{DELIVERED_TO}: {by}\r\n")
}

impl Forwarder {
    /// Queues a message for each of these addresses; blocks. An error may leave some of them queued.
    ///
    /// # Errors
    /// The client, or the queue, is to come again.
    pub fn send_on(&self, original: &Original<'_>, outside: &[Onward]) -> Result<(), Error> {
        outside.iter().try_for_each(|onward| self.send_one(original, onward))
    }

    fn send_one(&self, original: &Original<'_>, onward: &Onward) -> Result<(), Error> {
        let reverse_path = self.reverse_path(original.reverse_path, onward)?;
        let is_ascii = reverse_path.as_ref().is_none_or(EmailAddress::is_ascii) && onward.to.is_ascii();
        let seal = self.seal(original, onward)?;
        let prepend = [&seal, passed(&onward.by).as_bytes(), original.received.as_bytes()].concat();
        let queue_id = self.queue.enqueue(NewMessage {
            reverse_path,
            recipients: vec![NewRecipient {
                notify: Notify { success: false, failure: true, delay: false },
                ..NewRecipient::new(onward.to.clone())
            }],
            sender: None,
            forwarder: onward.account,
            prepend,
            content: Content::Staged(original.message),
            smtp_utf8: original.smtp_utf8 || !is_ascii,
            envelope_id: None,
            ret: match onward.kept {
                Kept::Copy => Ret::Headers,
                Kept::Nothing => Ret::Full,
            },
            wishes: Wishes { tls: original.tls, ..Wishes::default() },
            story: original.story.clone(),
        })?;
        self.tell(original.story, onward, queue_id);
        Ok(())
    }

    fn tell(&self, story: &StoryId, onward: &Onward, queue_id: postern_store::queue::QueueId) {
        let to = onward.to.to_string();
        self.journal.tell(story, Event::Forwarded { from: onward.by.to_string(), to: to.clone() });
        self.journal.tell(story, Event::Queued { queue_id, recipients: vec![to], not_before: None });
    }

    /// A sender of ours passes SPF as it is, and a report has none.
    fn reverse_path(
        &self,
        sender: Option<&EmailAddress>,
        onward: &Onward,
    ) -> Result<Option<EmailAddress>, DirectoryError> {
        match sender {
            Some(sender) if !self.directory.is_local(sender.domain()) => {
                sender::rewrite(&self.directory, sender, onward.by.domain(), seconds_now()).map(Some)
            }
            ours => Ok(ours.cloned()),
        }
    }

    /// The ARC set; empty where the message is ours, or cannot be sealed.
    fn seal(&self, original: &Original<'_>, onward: &Onward) -> Result<Vec<u8>, Error> {
        let keys = self.directory.dkim_signing_keys(onward.by.domain());
        let key = keys.iter().find(|key| key.algorithm == DkimAlgorithm::RsaSha256);
        let (Some(findings), Some(key)) = (original.findings, key) else { return Ok(Vec::new()) };
        let sealing = Sealing {
            domain: key.domain.as_str(),
            selector: &key.selector,
            results: findings.results,
            status: findings.chain,
            now: seconds_now(),
        };
        let message = original.message.bytes()?;
        let set = postern_arc::seal(&message, &sealing, |octets| dkim::sign_octets(key, octets))?;
        Ok(set.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests;
