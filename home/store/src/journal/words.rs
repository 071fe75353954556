//! Events in words for people: one line each, without its time.

use std::fmt::{self, Display, Formatter};

use super::event::{Attempt, Event, Report, Service};

impl Display for Event {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Event::Began { service, client, helo, tls, user, reverse_path } => {
                let tls = tls.as_ref().map_or_else(|| "in clear".to_owned(), |tls| format!("under {tls}"));
                match (service, user) {
                    (Service::Msa, Some(user)) => write!(f, "{user} submits mail from <{reverse_path}>, ")?,
                    _ => write!(f, "a mail server brings mail from <{reverse_path}>, ")?,
                }
                write!(f, "connected from {client}, calling itself {helo}, {tls}")
            }
            Event::Recipient { address } => write!(f, "recipient <{address}> accepted"),
            Event::Checked { check, finding } => write!(f, "{check}: {finding}"),
            Event::Refused { check, recipient, reply, reason } => {
                refused(f, check, recipient.as_deref(), reply, reason.as_deref())
            }
            Event::Received { message_id, author, octets } => {
                write!(f, "the message came: {octets} octets")?;
                list(f, ", written by", author)?;
                message_id.as_ref().map_or(Ok(()), |id| write!(f, ", Message-ID {id}"))
            }
            Event::Named { message_id } => write!(f, "given the Message-ID {message_id}"),
            Event::Authenticated { results } => list(f, "authentication:", results),
            Event::Delivered { user, mailbox } => {
                write!(f, "delivered to {user}, mailbox {}", mailbox.as_deref().unwrap_or("INBOX"))
            }
            Event::Queued { queue_id, recipients, not_before } => {
                write!(f, "queued as {queue_id}")?;
                list(f, " for", recipients)?;
                not_before.map_or(Ok(()), |time| write!(f, ", not to be sent before {time:.0}"))
            }
            Event::Accepted { reply } => write!(f, "accepted; the client was told: {reply}"),
            Event::Attempted { recipient, outcome, host, reply, .. } => {
                attempted(f, recipient, *outcome, host.as_deref(), reply)
            }
            Event::Forwarded { from, to } => write!(f, "<{from}> forwards it to <{to}>"),
            Event::Reported { report, to, recipients } => {
                let kind = match report {
                    Report::Failed => "could not be delivered",
                    Report::Delayed => "is late",
                    Report::Delivered => "was delivered",
                };
                write!(f, "<{to}> is sent a report that it {kind}")?;
                list(f, " for", recipients)
            }
            Event::Held { reason, .. } => write!(f, "held back: {reason}"),
            Event::Released { .. } => f.write_str("released"),
            Event::Dropped { reason, .. } => write!(f, "removed from the queue, nobody is told: {reason}"),
            Event::Unknown => f.write_str("something that a newer version wrote down"),
        }
    }
}

fn refused(
    f: &mut Formatter<'_>,
    check: &str,
    recipient: Option<&str>,
    reply: &str,
    reason: Option<&str>,
) -> fmt::Result {
    let verdict = if reply.starts_with('4') { "refused for now" } else { "refused" };
    match recipient {
        Some(recipient) => write!(f, "recipient <{recipient}> {verdict} ({check}): {reply}")?,
        None => write!(f, "{verdict} ({check}): {reply}")?,
    }
    reason.map_or(Ok(()), |reason| write!(f, "; {reason}"))
}

fn attempted(
    f: &mut Formatter<'_>,
    recipient: &str,
    outcome: Attempt,
    host: Option<&str>,
    reply: &str,
) -> fmt::Result {
    match outcome {
        Attempt::Delivered => write!(f, "delivered for <{recipient}>")?,
        Attempt::Deferred(_) => write!(f, "not delivered for <{recipient}> yet")?,
        Attempt::Failed => write!(f, "given up for <{recipient}>")?,
    }
    match host {
        Some(host) => write!(f, "; {host} said: {reply}")?,
        None => write!(f, ": {reply}")?,
    }
    match outcome {
        Attempt::Deferred(next) => write!(f, "; tried again at {next:.0}"),
        Attempt::Delivered | Attempt::Failed => Ok(()),
    }
}

fn list(f: &mut Formatter<'_>, before: &str, items: &[String]) -> fmt::Result {
    match items {
        [] => Ok(()),
        items => write!(f, "{before} {}", items.join(", ")),
    }
}
