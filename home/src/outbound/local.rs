//! Delivery to mailboxes of this home.
//!
//! In: a job for a local domain and its content. Out: a verdict for each recipient, after every copy is durable: in a mailbox,
//! or in the queue again where the address leads elsewhere.
//! The final delivery adds Return-Path (RFC 5321 §4.4).
//!
//! A recipient that leads to several accounts is delivered when all copies are stored. If one could not be stored for
//! now, the next attempt stores all again: a second copy is better than none.

use std::io::{self, Read};
use std::sync::Arc;

use jiff::Timestamp;
use postern_store::account::{AccountId, Flags};
use postern_store::directory::{Onward, Resolution, Route};
use postern_store::journal::StoryId;
use postern_store::queue::{DueRecipient, Envelope, Job, QueuedContent};
use postern_store::{Delivery, Error, StagedMessage, Store};

use super::job::Parts;
use super::story;
use super::verdict::{Decision, Verdict};
use crate::forward::{self, Forwarder, Original};

/// Delivers to all recipients of the job; blocks.
pub fn deliver(parts: &Parts, job: &Job, content: QueuedContent) -> Vec<Verdict> {
    let return_path = return_path(&job.envelope);
    let message = match stage(&parts.store, return_path.as_bytes(), content) {
        Ok(message) => Arc::new(message),
        Err(error) => return vec![temporary(&error); job.recipients.len()],
    };
    let one = |recipient: &DueRecipient| deliver_one(parts, job, &message, recipient);
    job.recipients.iter().map(one).collect()
}

fn deliver_one(parts: &Parts, job: &Job, message: &Arc<StagedMessage>, recipient: &DueRecipient) -> Verdict {
    let route = match parts.directory.resolve(&recipient.forward_path) {
        Resolution::Local(route) => route,
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
    match deliver_copies(parts, job, message, route) {
        Ok(()) => Verdict::local(Decision::Delivered, "2.0.0", "delivered to the mailbox"),
        Err(verdict) => verdict,
    }
}

/// To the mailboxes first, since the queue remembers what is still to be sent on only when it is in it.
fn deliver_copies(
    parts: &Parts,
    job: &Job,
    message: &Arc<StagedMessage>,
    route: Route,
) -> Result<(), Verdict> {
    let Route { mut accounts, outside } = route;
    let octets = message.bytes().map_err(|error| temporary(&error))?;
    let (passed, outside): (Vec<Onward>, Vec<Onward>) =
        outside.into_iter().partition(|onward| forward::has_passed(&octets, &onward.by));
    drop(octets);
    // What an address has sent on before is not sent round, but stays with its user: a report on it, above all.
    accounts.extend(passed.iter().filter_map(|onward| onward.account));
    accounts.sort();
    accounts.dedup();
    deliver_here(parts, &job.envelope.story, message, accounts)?;
    send_on(parts, job, &outside)
}

fn deliver_here(
    parts: &Parts,
    story: &StoryId,
    message: &Arc<StagedMessage>,
    accounts: Vec<AccountId>,
) -> Result<(), Verdict> {
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
    outcomes.into_iter().find_map(Result::err).map_or(Ok(()), |error| Err(verdict(&error)))
}

/// What was written here is signed by ourselves, so there is nothing to seal.
fn send_on(parts: &Parts, job: &Job, outside: &[Onward]) -> Result<(), Verdict> {
    if outside.is_empty() {
        return Ok(());
    }
    let content = parts.queue.content(job.message).map_err(|error| temporary(&error))?;
    let Some(content) = content else { return Ok(()) };
    let original = Original {
        reverse_path: job.envelope.reverse_path.as_ref(),
        message: &stage(&parts.store, b"", content).map_err(|error| temporary(&error))?,
        received: "",
        findings: None,
        smtp_utf8: job.envelope.smtp_utf8,
        tls: job.envelope.wishes.tls,
        story: &job.envelope.story,
    };
    let forwarder = Forwarder {
        directory: parts.directory.clone(),
        queue: parts.queue.clone(),
        journal: parts.journal.clone(),
    };
    forwarder.send_on(&original, outside).map_err(|error| {
        tracing::warn!(%error, "sending on deferred");
        Verdict::deferred("4.3.0", "the message cannot be sent on at present")
    })
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

fn stage(store: &Store, prefix: &[u8], content: QueuedContent) -> Result<StagedMessage, Error> {
    let QueuedContent { prepend, mut file } = content;
    let mut staging = store.stage();
    staging.write(prefix)?;
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
