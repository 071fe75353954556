//! The words of a report: what happened, what the other side said, what can be done.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::{Action, Diagnostic, Report, ReportedRecipient, chunks, printable};

/// The Subject; names the recipient where there is only one whose address is short ASCII.
pub(super) fn subject(report: &Report<'_>) -> String {
    let what = match report.action {
        Action::Failed => "Not delivered",
        Action::Delayed { .. } => "Delayed",
        Action::Delivered | Action::Relayed => "Delivered",
    };
    match report.recipients {
        [only] if only.final_recipient.is_ascii() => {
            let address = only.final_recipient.to_string();
            if address.len() <= 60 { format!("{what}: {address}") } else { what.to_owned() }
        }
        several => format!("{what}: {} recipients", several.len()),
    }
}

/// The text for the reader, lines ended by CRLF.
pub(super) fn text(report: &Report<'_>) -> String {
    let mut lines = Vec::new();
    let sent = moment(report.arrived);
    lines.push(match report.action {
        Action::Failed => format!("Your message of {sent} could not be delivered to:"),
        Action::Delayed { .. } => format!("Your message of {sent} has not been delivered yet to:"),
        Action::Delivered => format!("Your message of {sent} was delivered to:"),
        Action::Relayed => {
            format!(
                "Your message of {sent} was handed to a mail server that sends no reports of its own, for:"
            )
        }
    });
    for recipient in report.recipients {
        push_recipient(&mut lines, report.action, recipient);
    }
    push_closing(&mut lines, report.action);
    lines.iter().map(|line| format!("{line}\r\n")).collect()
}

fn push_recipient(lines: &mut Vec<String>, action: Action, recipient: &ReportedRecipient) {
    lines.push(String::new());
    lines.push(format!("  {}", recipient.final_recipient));
    if matches!(action, Action::Delivered | Action::Relayed) {
        return;
    }
    if let Some(meaning) = meaning(&recipient.status) {
        lines.push(format!("    {meaning}"));
    }
    let host = recipient.remote_mta.as_deref().unwrap_or("The other server");
    match &recipient.diagnostic {
        Some(Diagnostic::Smtp(reply)) => {
            lines.push(format!("    {} answered:", printable(host)));
            lines.extend(quoted(reply));
        }
        Some(local @ Diagnostic::Local(_)) => lines.extend(quoted(local.text())),
        None => {}
    }
}

fn quoted(text: &str) -> impl Iterator<Item = String> {
    text.lines().flat_map(|line| chunks(line, 400)).map(|line| format!("      {}", printable(line)))
}

fn push_closing(lines: &mut Vec<String>, action: Action) {
    lines.push(String::new());
    match action {
        Action::Failed => {
            lines.push("No further attempt will be made. The message, or its header, is attached.".into());
        }
        Action::Delayed { until } => {
            lines.push(format!(
                "Delivery is tried again until {}. There is nothing you need to do;",
                moment(until)
            ));
            lines.push("you will be told if it cannot be delivered.".into());
        }
        Action::Delivered | Action::Relayed => {
            lines.push("You are told because you asked for a delivery report.".into());
        }
    }
}

fn moment(time: Timestamp) -> String {
    time.to_zoned(TimeZone::UTC).strftime("%-d %B %Y, %H:%M UTC").to_string()
}

/// What a status code means and what the sender can do (RFC 3463 §3; RFC 7505; RFC 7372).
fn meaning(status: &str) -> Option<&'static str> {
    let (class, detail) = status.split_once('.')?;
    Some(match detail {
        "1.1" => "There is no such mailbox there. Please check the address for a slip of the pen.",
        "1.2" => "There is no such mail domain. Please check what stands behind the @.",
        "1.3" => "The address is not written as an address should be.",
        "1.6" => "The mailbox has moved, and its new address is not known.",
        "1.10" => "That domain says that it takes no mail at all.",
        "2.1" => "The mailbox is switched off.",
        "2.2" => "The mailbox is full. The recipient has to make room before mail can arrive.",
        "2.3" | "3.4" => "The message is too large for that server. Please send a link, or smaller parts.",
        "3.1" => "The server there has no room at present.",
        "4.1" => "The server there does not answer.",
        "4.2" => "The connection to the server there broke off.",
        "4.3" => "The domain name system gave no answer about that domain.",
        "4.4" => "That domain has no server that takes mail.",
        "4.6" => "The mail servers of that domain lead back to this one.",
        "4.7" => "The time for delivering it is over, or would be before it is delivered.",
        "6.7" => "That server does not take addresses or headers with letters outside ASCII.",
        "7.1" => "The server there refuses the message by its own rules.",
        detail if detail.starts_with("7.") => {
            "The server there does not trust the message or where it comes from. The person who runs this mail \
             server should see this report."
        }
        _ if class == "4" => "The server there asks to try again later.",
        _ => return None,
    })
}
