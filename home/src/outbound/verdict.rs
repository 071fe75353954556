//! What an attempt found out about a recipient, in the terms of the queue and of reports. Pure.

use jiff::Timestamp;
use postern_message::dsn::Diagnostic;
use postern_smtp::client::RecipientResult;
use postern_smtp::client::reply::Reply;
use postern_store::queue::{Deadline, DueRecipient, Envelope, Late, Notify, Outcome, Settlement};

use super::retry::RetryPolicy;
use super::route::NoRoute;

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
    /// To be tried again at once: the server took others and had enough of them (RFC 5321 §4.5.3.1.10), or the message goes
    /// another way now.
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

    /// Whether somebody has taken it.
    pub fn is_delivered(&self) -> bool {
        matches!(self.decision, Decision::Delivered | Decision::PassedOn | Decision::Relayed)
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
        RecipientResult::Postponed(most) => {
            let reason = format!("the server takes {most} recipients at once");
            Verdict {
                host: Some(host.to_owned()),
                ..Verdict::local(Decision::NextTransaction, "4.5.3", reason)
            }
        }
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

/// The times of a message.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    /// Since when delivery may be tried.
    pub begins: Timestamp,
    /// When it is to be delivered at the latest.
    pub deadline: Option<Deadline>,
}

impl Times {
    /// Those of the message with this envelope.
    pub fn of(envelope: &Envelope) -> Self {
        Times { begins: envelope.begins(), deadline: envelope.wishes.deadline }
    }

    fn is_late(&self, now: Timestamp) -> bool {
        self.deadline.is_some_and(|deadline| deadline.late(now).is_some())
    }

    /// No later than the deadline, which is when something is to be done.
    fn next_attempt(&self, planned: Timestamp, now: Timestamp) -> Timestamp {
        let ahead = self.deadline.map(|deadline| deadline.time).filter(|time| *time > now);
        ahead.map_or(planned, |time| planned.min(time))
    }

    /// Whether the sender is to be told that from here on nobody watches the time (RFC 2852 §4).
    fn tells_of_lateness(&self) -> bool {
        self.deadline.is_some_and(|deadline| deadline.late == Late::Told)
    }
}

/// Decides what follows from a verdict at the time `now`.
pub fn close(
    recipient: &DueRecipient,
    verdict: &Verdict,
    policy: &RetryPolicy,
    times: Times,
    now: Timestamp,
    chance: f64,
) -> Closing {
    let attempts = recipient.attempts.saturating_add(1);
    let notify = recipient.notify;
    let deferred = |next_attempt| {
        let is_delayed = policy.is_delayed(times.begins, now) || times.is_late(now);
        let told = notify.delay && !recipient.delay_reported && is_delayed;
        let outcome = Outcome::Deferred { next_attempt, delay_reported: told };
        (outcome, told.then_some(Told::Delayed))
    };
    let (outcome, report) = match verdict.decision {
        Decision::Delivered => (Outcome::Delivered, notify.success.then_some(Told::Delivered)),
        Decision::PassedOn => (Outcome::Delivered, None),
        Decision::Relayed => {
            let told = notify.success || (times.tells_of_lateness() && notify != Notify::NEVER);
            (Outcome::Delivered, told.then_some(Told::Relayed))
        }
        Decision::Failed => (Outcome::Failed, notify.failure.then_some(Told::Failed)),
        Decision::NextTransaction => deferred(now),
        Decision::Deferred if policy.is_expired(times.begins, now, attempts) => {
            (Outcome::Failed, notify.failure.then_some(Told::Failed))
        }
        Decision::Deferred => deferred(times.next_attempt(policy.next_attempt(now, attempts, chance), now)),
    };
    let settlement = Settlement {
        recipient: recipient.id,
        outcome,
        reply: verdict.text().to_owned(),
        remote_host: verdict.host.clone(),
    };
    Closing { settlement, report }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use postern_smtp::client::envelope::Unsupported;
    use postern_smtp::client::reply::ReplyParser;
    use postern_store::queue::{NewRecipient, Queue};

    use super::super::schedule::{Concurrency, Moment, Schedule};
    use super::*;

    fn reply(text: &str) -> Reply {
        let mut parser = ReplyParser::default();
        parser.push(format!("{text}\r\n").as_bytes());
        parser.next_reply().expect("a reply").expect("a whole one")
    }

    fn verdicts(results: Vec<RecipientResult>) -> Vec<(Decision, String)> {
        let verdicts = from_results(results, "mx", Decision::Relayed);
        verdicts.into_iter().map(|verdict| (verdict.decision, verdict.status)).collect()
    }

    #[test]
    fn replies_become_decisions() {
        let refused = |text| RecipientResult::Refused(reply(text));
        let read = verdicts(vec![
            RecipientResult::Accepted(reply("250 2.6.0 taken")),
            refused("550 5.7.1 no"),
            refused("554 no"),
            refused("452 4.5.3 too many"),
            refused("421 later"),
            RecipientResult::Unsupported(Unsupported { status: "5.3.4", reason: "large".into() }),
            RecipientResult::Interrupted("cut".into()),
        ]);
        let expected = [
            (Decision::Relayed, "2.6.0"),
            (Decision::Failed, "5.7.1"),
            (Decision::Failed, "5.0.0"),
            (Decision::NextTransaction, "4.5.3"),
            (Decision::Deferred, "4.0.0"),
            (Decision::Failed, "5.3.4"),
            (Decision::Deferred, "4.4.2"),
        ];
        assert_eq!(read, expected.map(|(decision, status)| (decision, status.to_owned())));
    }

    #[test]
    fn too_many_recipients_means_later_when_none_was_taken() {
        let full = RecipientResult::Refused(reply("452 4.5.3 too many"));
        assert_eq!(verdicts(vec![full])[0].0, Decision::Deferred);
    }

    /// A recipient as the queue gives it.
    fn recipient(attempts: u32, delay_reported: bool, notify: Notify) -> DueRecipient {
        let state = tempfile::tempdir().expect("a directory");
        let queue = Queue::open(state.path()).expect("opened");
        let to = NewRecipient::new("bo@far.example".parse().expect("an address"));
        queue
            .enqueue(postern_store::queue::NewMessage {
                reverse_path: None,
                recipients: vec![NewRecipient { notify, ..to }],
                sender: None,
                forwarder: None,
                prepend: Vec::new(),
                content: postern_store::queue::Content::Bytes(b"x"),
                smtp_utf8: false,
                envelope_id: None,
                ret: postern_store::queue::Ret::Headers,
                wishes: Default::default(),
                story: postern_store::journal::StoryId::of_session("test"),
            })
            .expect("queued");
        let mut slots = Moment { schedule: Schedule::new(Concurrency::default()), now: Timestamp::now() };
        let mut jobs = queue.due(slots.now, 1, &mut slots).expect("read");
        DueRecipient { attempts, delay_reported, ..jobs.remove(0).recipients.remove(0) }
    }

    /// Closes a deferral of a message of this age.
    fn deferral(recipient: &DueRecipient, hours: i64) -> Closing {
        let arrived = Timestamp::UNIX_EPOCH;
        let now = arrived + SignedDuration::from_hours(hours);
        let verdict = Verdict::deferred("4.4.1", "no connection");
        let times = Times { begins: arrived, deadline: None };
        close(recipient, &verdict, &RetryPolicy::default(), times, now, 0.5)
    }

    /// Closes an attempt at a message with a deadline of a minute, at this second.
    fn in_time(recipient: &DueRecipient, decision: Decision, late: Late, second: i64) -> Closing {
        let at = |second| Timestamp::from_second(second).expect("a time");
        let deadline = Some(Deadline { time: at(60), late, trace: false });
        let times = Times { begins: at(0), deadline };
        let verdict = Verdict::local(decision, "4.4.1", "x");
        close(recipient, &verdict, &RetryPolicy::default(), times, at(second), 0.5)
    }

    #[test]
    fn a_message_is_looked_at_when_its_time_is_over() {
        let fresh = recipient(0, false, Notify::default());
        for late in [Late::Told, Late::Returned] {
            let closing = in_time(&fresh, Decision::Deferred, late, 10);
            let next_attempt = Timestamp::from_second(60).expect("a time");
            assert_eq!(closing.settlement.outcome, Outcome::Deferred { next_attempt, delay_reported: false });
        }
        let late = in_time(&fresh, Decision::Deferred, Late::Told, 60);
        assert_eq!(late.report, Some(Told::Delayed), "though it is far from four hours");
        assert!(
            matches!(late.settlement.outcome, Outcome::Deferred { next_attempt, .. } if next_attempt.as_second() == 360)
        );
        let told = recipient(1, true, Notify::default());
        assert_eq!(in_time(&told, Decision::Deferred, Late::Told, 400).report, None);
    }

    #[test]
    fn who_wants_to_be_told_is_told_that_nobody_watches_the_time() {
        let of = |notify| recipient(0, false, notify);
        let report = |notify, late| in_time(&of(notify), Decision::Relayed, late, 10).report;
        assert_eq!(report(Notify::default(), Late::Told), Some(Told::Relayed));
        assert_eq!(report(Notify::NEVER, Late::Told), None);
        assert_eq!(report(Notify::default(), Late::Returned), None);
        assert_eq!(in_time(&of(Notify::default()), Decision::PassedOn, Late::Told, 10).report, None);
    }

    #[test]
    fn a_delay_is_told_once_and_an_end_is_told() {
        let fresh = recipient(3, false, Notify::default());
        assert_eq!(deferral(&fresh, 1).report, None);
        assert_eq!(deferral(&fresh, 5).report, Some(Told::Delayed));
        assert!(matches!(
            deferral(&fresh, 5).settlement.outcome,
            Outcome::Deferred { delay_reported: true, .. }
        ));
        let told = recipient(3, true, Notify::default());
        assert_eq!(deferral(&told, 5).report, None);
        let old = recipient(20, true, Notify::default());
        assert_eq!(deferral(&old, 5 * 24).report, Some(Told::Failed));
        assert_eq!(deferral(&old, 5 * 24).settlement.outcome, Outcome::Failed);
        assert_eq!(deferral(&old, 5 * 24).settlement.reply, "no connection");
    }

    #[test]
    fn who_asked_for_silence_is_told_nothing() {
        let silent = recipient(20, false, Notify::NEVER);
        assert_eq!(deferral(&silent, 5).report, None);
        assert_eq!(deferral(&silent, 5 * 24).report, None);
    }
}
