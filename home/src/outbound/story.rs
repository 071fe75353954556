//! What delivery tells the journal, after it is written down in the queue.

use postern_message::address::EmailAddress;
use postern_store::Delivery;
use postern_store::journal::{Attempt, Event, Journal, Report, StoryId};
use postern_store::queue::{DueRecipient, Job, Outcome, QueueId};

use super::job::Parts;
use super::report::Case;
use super::verdict::{Closing, Decision, Told, Verdict};

/// Tells what came of an attempt for each recipient. Copies in mailboxes here were told of when they were made.
pub fn tell<'a>(
    journal: &Journal,
    job: &Job,
    decided: impl Iterator<Item = (&'a DueRecipient, &'a Verdict, &'a Closing)>,
) {
    for (recipient, verdict, closing) in
        decided.filter(|(_, verdict, _)| verdict.decision != Decision::Delivered)
    {
        let event = Event::Attempted {
            queue_id: job.message,
            recipient: recipient.forward_path.to_string(),
            outcome: match closing.settlement.outcome {
                Outcome::Delivered => Attempt::Delivered,
                Outcome::Failed => Attempt::Failed,
                Outcome::Deferred { next_attempt, .. } => Attempt::Deferred(next_attempt),
            },
            host: verdict.host.clone(),
            reply: verdict.text().to_owned(),
        };
        journal.tell(&job.envelope.story, event);
    }
}

/// Tells of the reports that were queued, if any were.
pub fn tell_reports(journal: &Journal, job: &Job, to: &EmailAddress, cases: &[Case<'_>], queued: &[QueueId]) {
    if queued.is_empty() {
        return;
    }
    let kinds = [
        (Report::Failed, &[Told::Failed][..]),
        (Report::Delayed, &[Told::Delayed]),
        (Report::Delivered, &[Told::Delivered, Told::Relayed]),
    ];
    for (report, told) in kinds {
        let cases = cases.iter().filter(|case| told.contains(&case.told));
        let recipients: Vec<String> = cases.map(|case| case.recipient.forward_path.to_string()).collect();
        if !recipients.is_empty() {
            journal.tell(&job.envelope.story, Event::Reported { report, to: to.to_string(), recipients });
        }
    }
    for queue_id in queued {
        let event = Event::Queued { queue_id: *queue_id, recipients: vec![to.to_string()], not_before: None };
        journal.tell(&job.envelope.story, event);
    }
}

/// Tells of a copy in a mailbox here.
pub fn tell_delivered(parts: &Parts, story: &StoryId, delivery: &Delivery) {
    if let Some(user) = parts.directory.user(delivery.account) {
        parts.journal.tell(story, Event::Delivered { user: user.address.to_string(), mailbox: None });
    }
}
