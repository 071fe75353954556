//! Delivery status notifications: what the sender is told when mail is delivered, delayed or given up.
//!
//! In: what became of each recipient, and the original message or its header section. Out: a whole message with
//! CRLF line ends, to be sent with the null reverse-path (RFC 3461 §5.2.4). Its first part says what happened in
//! words that a person understands, its second says it for programs, its third returns the original.
//!
//! Refused by construction: line ends in values. Addresses cannot hold any; of all other text control characters
//! are replaced.
//!
//! Implements RFC 3461 §6 (contents), RFC 6522 (`multipart/report`), RFC 3464 (`message/delivery-status`), RFC 6533
//! (addresses outside ASCII), RFC 3834 §5 (`Auto-Submitted`).

mod explain;

use std::fmt::Write as _;

use jiff::Timestamp;

use crate::address::{DomainName, EmailAddress};
use crate::date;

/// One report.
#[derive(Debug)]
pub struct Report<'a> {
    /// This host's name, as it says it in EHLO.
    pub reporting_mta: &'a DomainName,
    /// The author of the report.
    pub from: &'a EmailAddress,
    /// The sender of the original message.
    pub to: &'a EmailAddress,
    /// Unique text of letters, digits and periods, for the Message-ID and the boundary.
    pub unique: &'a str,
    /// Now.
    pub date: Timestamp,
    /// When the original message was queued.
    pub arrived: Timestamp,
    /// When it was to be delivered at the latest, where the sender said so (RFC 2852).
    pub deliver_by: Option<Timestamp>,
    /// The sender's own name for the original, decoded (RFC 3461 §4.4).
    pub envelope_id: Option<&'a str>,
    /// What happened to all of [`Report::recipients`].
    pub action: Action,
    /// One or more.
    pub recipients: &'a [ReportedRecipient],
    /// The original.
    pub returned: Returned<'a>,
}

/// What happened (RFC 3464 §2.3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Given up.
    Failed,
    /// Still being tried, until the time given.
    Delayed {
        /// When it will be given up.
        until: Timestamp,
    },
    /// In the recipient's mailbox.
    Delivered,
    /// Handed to a host that will not report.
    Relayed,
}

/// One recipient in a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportedRecipient {
    /// Where the message was to go.
    pub final_recipient: EmailAddress,
    /// ORCPT decoded, `rfc822;ana@home.example`.
    pub original_recipient: Option<String>,
    /// `class.subject.detail` (RFC 3463).
    pub status: String,
    /// The host that replied.
    pub remote_mta: Option<String>,
    /// Its reply verbatim, of one line or more, or our own reason.
    pub diagnostic: Option<Diagnostic>,
    /// The last attempt.
    pub last_attempt: Timestamp,
}

/// Why a recipient stands where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Diagnostic {
    /// The reply of the remote host.
    Smtp(String),
    /// What this host found out by itself.
    Local(String),
}

impl Diagnostic {
    fn text(&self) -> &str {
        match self {
            Diagnostic::Smtp(text) | Diagnostic::Local(text) => text,
        }
    }
}

/// What of the original is returned (RFC 3461 §4.3).
#[derive(Debug, Clone, Copy)]
pub enum Returned<'a> {
    /// Its header section.
    Headers(&'a [u8]),
    /// All of it.
    Message(&'a [u8]),
}

/// Writes the report as a message.
pub fn compose(report: &Report<'_>) -> Vec<u8> {
    let boundary = format!("report-{}", report.unique);
    let mut head = header(report, &boundary);
    let _ = write!(
        head,
        "\r\nThis is a delivery report.\r\n\r\n--{boundary}\r\nContent-Type: text/plain; charset=utf-8\r\n\
         Content-Transfer-Encoding: 8bit\r\nContent-Language: en\r\n\r\n{}\r\n--{boundary}\r\n{}\r\n--{boundary}\r\n",
        explain::text(report),
        delivery_status(report),
    );
    let mut message = head.into_bytes();
    push_returned(&mut message, report.returned);
    message.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    message
}

fn header(report: &Report<'_>, boundary: &str) -> String {
    format!(
        "From: Mail delivery <{}>\r\nTo: <{}>\r\nSubject: {}\r\nDate: {}\r\nMessage-ID: <{}@{}>\r\n\
         Auto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/report; report-type=delivery-status;\r\n\tboundary=\"{boundary}\"\r\n",
        report.from,
        report.to,
        explain::subject(report),
        date::format(report.date),
        report.unique,
        report.reporting_mta,
    )
}

/// The part for programs (RFC 3464 §2).
fn delivery_status(report: &Report<'_>) -> String {
    let ascii = report.recipients.iter().all(|recipient| recipient.final_recipient.is_ascii());
    let mut part = if ascii {
        "Content-Type: message/delivery-status\r\n\r\n".to_owned()
    } else {
        // RFC 6533 §5
        "Content-Type: message/global-delivery-status\r\nContent-Transfer-Encoding: 8bit\r\n\r\n".to_owned()
    };
    push_field(&mut part, "Original-Envelope-Id", report.envelope_id);
    push_field(&mut part, "Reporting-MTA", Some(&format!("dns; {}", report.reporting_mta)));
    push_field(&mut part, "Arrival-Date", Some(&date::format(report.arrived)));
    push_field(&mut part, "Deliver-By-Date", report.deliver_by.map(date::format).as_deref());
    for recipient in report.recipients {
        part.push_str("\r\n");
        push_recipient(&mut part, report.action, recipient);
    }
    part
}

fn push_recipient(part: &mut String, action: Action, recipient: &ReportedRecipient) {
    let kind = if recipient.final_recipient.is_ascii() { "rfc822" } else { "utf-8" };
    let (action, until) = match action {
        Action::Failed => ("failed", None),
        Action::Delayed { until } => ("delayed", Some(date::format(until))),
        Action::Delivered => ("delivered", None),
        Action::Relayed => ("relayed", None),
    };
    push_field(part, "Original-Recipient", recipient.original_recipient.as_deref());
    push_field(part, "Final-Recipient", Some(&format!("{kind}; {}", recipient.final_recipient)));
    push_field(part, "Action", Some(action));
    push_field(part, "Status", Some(&recipient.status));
    push_field(
        part,
        "Remote-MTA",
        recipient.remote_mta.as_ref().map(|host| format!("dns; {host}")).as_deref(),
    );
    let diagnostic = recipient.diagnostic.as_ref().map(|diagnostic| match diagnostic {
        Diagnostic::Smtp(reply) => format!("smtp; {reply}"),
        Diagnostic::Local(reason) => format!("x-postern; {reason}"),
    });
    push_field(part, "Diagnostic-Code", diagnostic.as_deref());
    push_field(part, "Last-Attempt-Date", Some(&date::format(recipient.last_attempt)));
    push_field(part, "Will-Retry-Until", until.as_deref());
}

/// Writes one field; the lines of a value become folded lines.
fn push_field(part: &mut String, name: &str, value: Option<&str>) {
    let lines = value.into_iter().flat_map(str::lines).filter(|line| !line.trim().is_empty());
    let mut pieces = lines.flat_map(|line| chunks(line, FIELD_LINE_OCTETS)).peekable();
    if pieces.peek().is_some() {
        let _ = write!(part, "{name}:");
    }
    for piece in pieces {
        let _ = write!(part, " {}\r\n", printable(piece));
    }
}

/// Most octets of one line of a field; RFC 5322 §2.1.1 allows 998 in all.
const FIELD_LINE_OCTETS: usize = 900;

/// Cuts a line into pieces of at most `octets`, between characters. An empty line gives one empty piece.
fn chunks(line: &str, octets: usize) -> impl Iterator<Item = &str> {
    let mut rest = Some(line);
    std::iter::from_fn(move || {
        let line = rest.take()?;
        let (piece, more) = line.split_at(line.floor_char_boundary(octets));
        rest = (!more.is_empty()).then_some(more);
        Some(piece)
    })
}

fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

fn push_returned(message: &mut Vec<u8>, returned: Returned<'_>) {
    let (media_type, content) = match returned {
        Returned::Headers(header) => ("text/rfc822-headers", header),
        Returned::Message(original) => ("message/rfc822", original),
    };
    let encoding = if content.is_ascii() { "7bit" } else { "8bit" };
    let field = format!("Content-Type: {media_type}\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n");
    message.extend_from_slice(field.as_bytes());
    message.extend_from_slice(content);
}

#[cfg(test)]
mod tests;
