//! What can happen to a message. A uniform table: `words` says each of them to people.
//!
//! Addresses and names are texts as they came from the network, because what is refused may be none; whoever prints them makes them
//! harmless.

use std::borrow::Cow;
use std::net::IpAddr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::queue::QueueId;

/// One event in a message's story.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A client began a transaction (MAIL FROM).
    Began {
        /// To which service it speaks.
        service: Service,
        /// Its address.
        client: IpAddr,
        /// The argument of HELO or EHLO.
        helo: String,
        /// TLS version and cipher suite, where there is TLS.
        tls: Option<String>,
        /// Who has authenticated.
        user: Option<String>,
        /// Empty for the null reverse-path.
        reverse_path: String,
    },
    /// A recipient was taken (RCPT TO).
    Recipient {
        /// Its address.
        address: String,
    },
    /// A check found something out, and the message went on.
    Checked {
        /// The check's name.
        check: Cow<'static, str>,
        /// What it found, a clause for people.
        finding: String,
    },
    /// The client, a recipient or the message was refused; for now, where the reply begins with 4.
    Refused {
        /// The name of the check that refused.
        check: Cow<'static, str>,
        /// The one recipient that is meant, where it is one.
        recipient: Option<String>,
        /// What the client was told.
        reply: String,
        /// What only the operator is told, where there is more to tell.
        reason: Option<String>,
    },
    /// The whole message came.
    Received {
        /// Its Message-ID, as the field has it.
        message_id: Option<String>,
        /// The addresses of its From field.
        author: Vec<String>,
        /// Octets, as they came.
        octets: u64,
    },
    /// It had no Message-ID, and was given one.
    Named {
        /// The Message-ID.
        message_id: String,
    },
    /// SPF, DKIM, DMARC, ARC and the like, each as in `Authentication-Results` (RFC 8601 §2.2).
    Authenticated {
        /// One text for each method.
        results: Vec<String>,
    },
    /// A copy is in a mailbox here.
    Delivered {
        /// Whose.
        user: String,
        /// Which; INBOX where absent.
        mailbox: Option<String>,
    },
    /// It waits to be delivered.
    Queued {
        /// Its number in the queue.
        queue_id: QueueId,
        /// To whom.
        recipients: Vec<String>,
        /// Not tried before then, where the sender wished so.
        not_before: Option<Timestamp>,
    },
    /// The client was told that the message is ours now.
    Accepted {
        /// In these words.
        reply: String,
    },
    /// A recipient's mail server was asked to take it.
    Attempted {
        /// Which message of the queue.
        queue_id: QueueId,
        /// For whom.
        recipient: String,
        /// What came of it.
        outcome: Attempt,
        /// The server, where one was reached.
        host: Option<String>,
        /// Its reply verbatim, or our own reason.
        reply: String,
    },
    /// An address here sends it on to one outside.
    Forwarded {
        /// The address here.
        from: String,
        /// Where it goes.
        to: String,
    },
    /// A report on it was queued.
    Reported {
        /// Which kind.
        report: Report,
        /// To whom.
        to: String,
        /// On which recipients.
        recipients: Vec<String>,
    },
    /// It is kept back in the queue.
    Held {
        /// Which message of the queue.
        queue_id: QueueId,
        /// Why, a clause for people.
        reason: String,
    },
    /// It is no longer kept back.
    Released {
        /// Which message of the queue.
        queue_id: QueueId,
    },
    /// It was removed from the queue; nobody is told.
    Dropped {
        /// Which message of the queue.
        queue_id: QueueId,
        /// Why, a clause for people.
        reason: String,
    },
    /// Something that a newer version wrote down.
    #[serde(other)]
    Unknown,
}

/// The services of RFC 5598 through which mail comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Service {
    /// Other servers' mail (port 25).
    Mta,
    /// The users' mail (ports 465 and 587).
    Msa,
}

/// What came of one attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is", content = "until")]
pub enum Attempt {
    /// The server has it now.
    Delivered,
    /// Not now; the next attempt is at this time at the earliest.
    Deferred(Timestamp),
    /// Never.
    Failed,
}

/// The kinds of report to a sender (RFC 3464 §2.3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Report {
    /// It was given up.
    Failed,
    /// It is late.
    Delayed,
    /// It was delivered, or passed to a server that does not report.
    Delivered,
}

impl Event {
    /// Whether the story is one of mail that was taken, which is kept longer than one of mail that was not.
    pub(super) fn is_of_taken_mail(&self) -> bool {
        matches!(self, Event::Accepted { .. } | Event::Queued { .. } | Event::Delivered { .. })
    }

    /// The words by which the story is to be found.
    pub(super) fn mentions(&self) -> Vec<String> {
        match self {
            Event::Began { client, user, reverse_path, .. } => {
                let user = user.iter().cloned();
                user.chain([client.to_string(), reverse_path.clone()]).collect()
            }
            Event::Recipient { address } => vec![address.clone()],
            Event::Refused { recipient, .. } => recipient.iter().cloned().collect(),
            Event::Received { message_id, author, .. } => author.iter().chain(message_id).cloned().collect(),
            Event::Named { message_id } => vec![message_id.clone()],
            Event::Delivered { user, .. } => vec![user.clone()],
            Event::Queued { queue_id, recipients, .. } => {
                recipients.iter().cloned().chain([queue_id.to_string()]).collect()
            }
            Event::Attempted { recipient, .. } => vec![recipient.clone()],
            Event::Forwarded { from, to } => vec![from.clone(), to.clone()],
            Event::Checked { .. }
            | Event::Authenticated { .. }
            | Event::Accepted { .. }
            | Event::Reported { .. }
            | Event::Held { .. }
            | Event::Released { .. }
            | Event::Dropped { .. }
            | Event::Unknown => Vec::new(),
        }
    }
}
