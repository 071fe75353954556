//! Delivery to mailboxes of this home.
//!
//! In: a job for a local domain and its content. Out: a verdict for each recipient, after every copy is durable.
//! The final delivery adds Return-Path (RFC 5321 §4.4).
//!
//! A recipient that leads to several accounts is delivered when all copies are stored. If one could not be stored for
//! now, the next attempt stores all again: a second copy is better than none.

use std::io::{self, Read};
use std::sync::Arc;

use jiff::Timestamp;
use postern_store::account::Flags;
use postern_store::directory::Resolution;
use postern_store::journal::StoryId;
use postern_store::queue::{DueRecipient, Envelope, Job, QueuedContent};
use postern_store::{Delivery, Error, StagedMessage, Store};

use super::job::Parts;
use super::story;
use super::verdict::{Decision, Verdict};

/// Delivers to all recipients of the job; blocks.
pub fn deliver(parts: &Parts, job: &Job, content: QueuedContent) -> Vec<Verdict> {
    let message = match stage(&parts.store, &job.envelope, content) {
        Ok(message) => Arc::new(message),
        Err(error) => return vec![temporary(&error); job.recipients.len()],
    };
    let one = |recipient: &DueRecipient| deliver_one(parts, &job.envelope.story, &message, recipient);
    job.recipients.iter().map(one).collect()
}

fn deliver_one(
    parts: &Parts,
    story: &StoryId,
    message: &Arc<StagedMessage>,
    recipient: &DueRecipient,
) -> Verdict {
    let accounts = match parts.directory.resolve(&recipient.forward_path) {
        Resolution::Local(accounts) => accounts,
        Resolution::UnknownUser => {
            return Verdict::local(Decision::Failed, "5.1.1", "there is no such user here");
        }
        Resolution::NotLocal => {
            return Verdict::deferred(
                "4.4.0",
                "the domain was just removed from this home; trying elsewhere",
            );
        }
    };
    let delivery = |account| Delivery {
        account,
        mailbox: None,
        flags: Flags::default(),
        internal_date: Timestamp::now(),
    };
    let deliveries: Vec<Delivery> = accounts.into_iter().map(delivery).collect();
    let outcomes = parts.store.deliver(message, &deliveries);
    for (delivery, _) in deliveries.iter().zip(&outcomes).filter(|(_, outcome)| outcome.is_ok()) {
        story::tell_delivered(parts, story, delivery);
    }
    outcomes.into_iter().find_map(Result::err).map_or_else(
        || Verdict::local(Decision::Delivered, "2.0.0", "delivered to the mailbox"),
        |e| verdict(&e),
    )
}

fn verdict(error: &Error) -> Verdict {
    match error {
        Error::OverQuota => Verdict::local(Decision::Failed, "5.2.2", "the mailbox is full"),
        error => temporary(error),
    }
}

fn temporary(error: &Error) -> Verdict {
    tracing::warn!(%error, "local delivery deferred");
    Verdict::deferred("4.3.0", "the mail store cannot take the message at present")
}

fn stage(store: &Store, envelope: &Envelope, content: QueuedContent) -> Result<StagedMessage, Error> {
    let QueuedContent { prepend, mut file } = content;
    let mut staging = store.stage();
    staging.write(return_path(envelope).as_bytes())?;
    staging.write(&prepend)?;
    let mut chunk = vec![0; 64 * 1024];
    loop {
        match file.read(&mut chunk) {
            Ok(0) => return staging.finish(),
            Ok(octets) => staging.write(chunk.get(..octets).unwrap_or_default())?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn return_path(envelope: &Envelope) -> String {
    match &envelope.reverse_path {
        Some(address) => format!("Return-Path: <{address}>\r\n"),
        None => "Return-Path: <>\r\n".to_owned(),
    }
}
