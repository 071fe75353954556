//! What an attempt found out about a recipient, in the terms of the queue and of reports. Pure.

use jiff::Timestamp;
use postern_message::dsn::Diagnostic;
use postern_smtp::client::RecipientResult;
use postern_smtp::client::reply::Reply;
use postern_store::queue::{DueRecipient, Outcome, Settlement};

use super::route::NoRoute;
use super::schedule::RetryPolicy;

/// What became of one recipient in one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The decision.
    pub decision: Decision,
    /// The enhanced status code of RFC 3463.
    pub status: String,
    /// The host that decided, where it was not this one.
    pub host: Option<String>,
    /// Its reply, or our reason.
    pub diagnostic: Diagnostic,
}

/// What is to be done with a recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// In a mailbox of this home.
    Delivered,
    /// Taken by a host that was asked to report by itself (RFC 3461 §5.2.2).
    PassedOn,
    /// Taken by a host that does not know DSN.
    Relayed,
    /// Never to be tried again.
    Failed,
    /// To be tried again.
    Deferred,
    /// To be tried again at once: the server took others and had enough of them (RFC 5321 §4.5.3.1.10).
    NextTransaction,
}

impl Verdict {
    /// A decision of this host; the status's class must agree with it.
    pub fn local(decision: Decision, status: &str, reason: impl Into<String>) -> Self {
        Verdict {
            decision,
            status: status.to_owned(),
            host: None,
            diagnostic: Diagnostic::Local(reason.into()),
        }
    }

    /// The reason to wait, for all recipients alike.
    pub fn deferred(status: &str, reason: impl Into<String>) -> Self {
        Verdict::local(Decision::Deferred, status, reason)
    }

    /// The host's reply or our reason, as it is written down.
    pub fn text(&self) -> &str {
        match &self.diagnostic {
            Diagnostic::Smtp(text) | Diagnostic::Local(text) => text,
        }
    }
}

/// A class 5 status is final.
impl From<NoRoute> for Verdict {
    fn from(none: NoRoute) -> Self {
        let decision = if none.status.starts_with('5') { Decision::Failed } else { Decision::Deferred };
        Verdict::local(decision, none.status, none.reason)
    }
}

/// Reads the results of one transaction.
pub fn from_results(results: Vec<RecipientResult>, host: &str, accepted: Decision) -> Vec<Verdict> {
    let some_accepted = results.iter().any(|result| matches!(result, RecipientResult::Accepted(_)));
    let verdict = |result| match result {
        RecipientResult::Accepted(reply) => from_reply(accepted, "2.0.0", host, &reply),
        RecipientResult::Refused(reply) if reply.is_permanent_failure() => {
            from_reply(Decision::Failed, "5.0.0", host, &reply)
        }
        RecipientResult::Refused(reply) if reply.code == 452 && some_accepted => {
            from_reply(Decision::NextTransaction, "4.5.3", host, &reply)
        }
        RecipientResult::Refused(reply) => from_reply(Decision::Deferred, "4.0.0", host, &reply),
        RecipientResult::Unsupported(unsupported) => Verdict {
            host: Some(host.to_owned()),
            ..Verdict::local(Decision::Failed, unsupported.status, unsupported.reason)
        },
        RecipientResult::Interrupted(cause) => {
            Verdict { host: Some(host.to_owned()), ..Verdict::deferred("4.4.2", cause) }
        }
    };
    results.into_iter().map(verdict).collect()
}

fn from_reply(decision: Decision, default_status: &str, host: &str, reply: &Reply) -> Verdict {
    let status = reply.enhanced_status().map(|status| status.to_string());
    Verdict {
        decision,
        status: status.unwrap_or_else(|| default_status.to_owned()),
        host: Some(host.to_owned()),
        diagnostic: Diagnostic::Smtp(reply.to_string()),
    }
}

/// A recipient after its attempt: what is written down, and whether it is reported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closing {
    /// For the queue.
    pub settlement: Settlement,
    /// What the sender is told, if anything and if there is a sender to tell.
    pub report: Option<Told>,
}

/// Which report a recipient belongs into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Told {
    /// Given up.
    Failed,
    /// Still tried.
    Delayed,
    /// In a mailbox of this home.
    Delivered,
    /// With a host that will not report.
    Relayed,
}

/// Decides what follows from a verdict at the time `now`.
pub fn close(
    recipient: &DueRecipient,
    verdict: &Verdict,
    policy: &RetryPolicy,
    arrived: Timestamp,
    now: Timestamp,
    chance: f64,
) -> Closing {
    let attempts = recipient.attempts.saturating_add(1);
    let notify = recipient.notify;
    let deferred = |next_attempt| {
        let told = notify.delay && !recipient.delay_reported && policy.is_delayed(arrived, now);
        let outcome = Outcome::Deferred { next_attempt, delay_reported: told };
        (outcome, told.then_some(Told::Delayed))
    };
    let (outcome, report) = match verdict.decision {
        Decision::Delivered => (Outcome::Delivered, notify.success.then_some(Told::Delivered)),
        Decision::PassedOn => (Outcome::Delivered, None),
        Decision::Relayed => (Outcome::Delivered, notify.success.then_some(Told::Relayed)),
        Decision::Failed => (Outcome::Failed, notify.failure.then_some(Told::Failed)),
        Decision::NextTransaction => deferred(now),
        Decision::Deferred if policy.is_expired(arrived, now, attempts) => {
            (Outcome::Failed, notify.failure.then_some(Told::Failed))
        }
        Decision::Deferred => deferred(policy.next_attempt(now, attempts, chance)),
    };
    let settlement = Settlement {
        recipient: recipient.id,
        outcome,
        reply: verdict.text().to_owned(),
        remote_host: verdict.host.clone(),
    };
    Closing { settlement, report }
}
