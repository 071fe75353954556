//! The reports that an attempt calls for.
//!
//! In: the recipients with their verdicts and what is to be told of them. Out: at most one report of each kind, as
//! content for the queue. Refused: reports on messages with the null reverse-path (RFC 5321 §4.5.5), and to senders
//! who were not authenticated here: nobody else can be the victim of a forged reverse-path.
//!
//! On what is sent on for a user that user gets the report, whoever wrote the message, into the mailbox here: it says that it has
//! passed the user's address already, so no forward takes it elsewhere.

use jiff::Timestamp;
use postern_message::address::{DomainName, EmailAddress, LocalPart};
use postern_message::dsn::{self, Action, Report, ReportedRecipient, Returned};
use postern_smtp::xtext;
use postern_store::directory::Directory;
use postern_store::queue::{
    Content, DueRecipient, Job, NewMessage, NewRecipient, Notify, Queue, Ret, Wishes,
};

use super::body;
use super::chance;
use super::retry::RetryPolicy;
use super::verdict::{Told, Verdict};
use crate::forward;

/// A larger message is returned with its header section only, whatever RET says (RFC 3461 §4.3 allows it).
const RETURNED_OCTETS_MAX: u64 = 256 * 1024;

/// A recipient that is to be told about.
pub struct Case<'a> {
    /// The recipient.
    pub recipient: &'a DueRecipient,
    /// What became of it.
    pub verdict: &'a Verdict,
    /// The report it belongs into.
    pub told: Told,
}

/// Who gets the reports on a message.
pub struct Addressee {
    to: EmailAddress,
    /// Fields before the report.
    prepend: String,
    /// Whether nobody else has the message.
    is_last_copy: bool,
}

impl Addressee {
    /// Whoever is to be told of this job's message, if anybody is.
    pub fn of(directory: &Directory, job: &Job) -> Option<Addressee> {
        if let Some(account) = job.envelope.forwarder {
            let to = directory.user(account)?.address;
            let is_last_copy = job.envelope.ret == Ret::Full;
            return Some(Addressee { prepend: forward::passed(&to), to, is_last_copy });
        }
        let to = job.envelope.sender.and(job.envelope.reverse_path.clone())?;
        Some(Addressee { to, prepend: String::new(), is_last_copy: false })
    }

    /// The address.
    pub fn to(&self) -> &EmailAddress {
        &self.to
    }
}

/// Writes the reports; blocks. A report whose original cannot be read returns an empty header section.
pub fn compose(
    queue: &Queue,
    job: &Job,
    addressee: &Addressee,
    cases: &[Case<'_>],
    host: &DomainName,
    policy: &RetryPolicy,
) -> Vec<Vec<u8>> {
    let kinds = [Told::Failed, Told::Delayed, Told::Delivered, Told::Relayed];
    let of_kind = |told| cases.iter().filter(move |case| case.told == told).collect::<Vec<_>>();
    kinds
        .into_iter()
        .map(|told| (told, of_kind(told)))
        .filter(|(_, cases)| !cases.is_empty())
        .map(|(told, cases)| compose_one(queue, job, addressee, told, &cases, host, policy))
        .collect()
}

/// The report as a message for the queue: from nobody, to the sender, never reported on itself.
pub fn message<'a>(job: &Job, addressee: &Addressee, report: &'a [u8]) -> NewMessage<'a> {
    let to = addressee.to.clone();
    NewMessage {
        reverse_path: None,
        smtp_utf8: !to.is_ascii(),
        recipients: vec![NewRecipient { notify: Notify::NEVER, ..NewRecipient::new(to) }],
        sender: None,
        forwarder: None,
        prepend: addressee.prepend.clone().into_bytes(),
        content: Content::Bytes(report),
        envelope_id: None,
        ret: Ret::Headers,
        wishes: Wishes::default(),
        story: job.envelope.story.clone(),
    }
}

fn compose_one(
    queue: &Queue,
    job: &Job,
    addressee: &Addressee,
    told: Told,
    cases: &[&Case<'_>],
    host: &DomainName,
    policy: &RetryPolicy,
) -> Vec<u8> {
    let now = Timestamp::now();
    let recipients: Vec<ReportedRecipient> = cases.iter().map(|case| reported(case, now)).collect();
    let to = &addressee.to;
    let (is_whole, original) = original(queue, job, addressee, told);
    dsn::compose(&Report {
        reporting_mta: host,
        from: &postmaster(to),
        to,
        unique: &chance::unique(),
        date: now,
        arrived: job.envelope.arrived,
        deliver_by: job.envelope.wishes.deadline.map(|deadline| deadline.time),
        envelope_id: job.envelope.envelope_id.as_deref(),
        action: match told {
            Told::Failed => Action::Failed,
            Told::Delayed => Action::Delayed { until: policy.expiry(job.envelope.begins()) },
            Told::Delivered => Action::Delivered,
            Told::Relayed => Action::Relayed,
        },
        recipients: &recipients,
        returned: if is_whole { Returned::Message(&original) } else { Returned::Headers(&original) },
    })
}

fn reported(case: &Case<'_>, now: Timestamp) -> ReportedRecipient {
    // A failure for having waited too long keeps its temporary cause; the status says that time is over.
    let expired = case.told == Told::Failed && case.verdict.status.starts_with('4');
    ReportedRecipient {
        final_recipient: case.recipient.forward_path.clone(),
        original_recipient: case.recipient.original_recipient.as_deref().and_then(decoded),
        status: if expired { "5.4.7".to_owned() } else { case.verdict.status.clone() },
        remote_mta: case.verdict.host.as_deref().and_then(|host| host.split(' ').next()).map(str::to_owned),
        diagnostic: Some(case.verdict.diagnostic.clone()),
        last_attempt: now,
    }
}

/// `rfc822;Bob+2Bnews@far.example` as a report says it: without xtext (RFC 3461 §6.3).
fn decoded(original_recipient: &str) -> Option<String> {
    let (address_type, address) = original_recipient.split_once(';')?;
    Some(format!("{address_type};{}", xtext::decode(address)?))
}

/// What is returned, and whether it is the whole message. Only a failure returns the body (RFC 3461 §4.3).
fn original(queue: &Queue, job: &Job, addressee: &Addressee, told: Told) -> (bool, Vec<u8>) {
    let has_room = addressee.is_last_copy || job.envelope.octets <= RETURNED_OCTETS_MAX;
    let whole = told == Told::Failed && job.envelope.ret == Ret::Full && has_room;
    let read = if whole { body::whole } else { body::header_section };
    let content = queue.content(job.message).ok().flatten();
    let octets = content.map(read).transpose().unwrap_or_else(|error| {
        tracing::warn!(queue_id = %job.message, %error, "original not readable for its report");
        None
    });
    (whole && octets.is_some(), octets.unwrap_or_default())
}

/// Reports come from the sender's own domain.
fn postmaster(sender: &EmailAddress) -> EmailAddress {
    let local_part = LocalPart::from_unquoted("postmaster").expect("ten letters are a local part");
    EmailAddress::new(local_part, sender.domain().clone()).unwrap_or_else(|_| sender.clone())
}
