//! The letter to the owner.
//!
//! In: what is to be told. Out: a message of plain text, marked as written by a program (RFC 3834 §5).

use jiff::Timestamp;
use postern_message::address::{DomainName, EmailAddress};
use postern_message::date;

use super::{Entry, Telling};

/// Who writes, and where.
pub(super) struct Letterhead<'a> {
    pub(super) hostname: &'a DomainName,
    pub(super) from: &'a EmailAddress,
    pub(super) to: &'a EmailAddress,
    /// What makes the Message-ID its own.
    pub(super) unique: &'a str,
    pub(super) date: Timestamp,
}

/// Writes it.
pub(super) fn letter(head: &Letterhead<'_>, told: &[(Telling, Entry)]) -> Vec<u8> {
    let Letterhead { hostname, from, to, unique, date } = head;
    format!(
        "From: Postern on {hostname} <{from}>\r\nTo: <{to}>\r\nSubject: {}\r\nDate: {}\r\nMessage-ID: <{unique}@{hostname}>\r\n\
         Auto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\
         Content-Transfer-Encoding: 8bit\r\n\r\n{}",
        subject(told),
        date::format(*date),
        body(told).replace('\n', "\r\n"),
    )
    .into_bytes()
}

/// A few words; the host's name is in From. Kinds are words of ASCII; the sentences stay in the body.
pub(super) fn subject(told: &[(Telling, Entry)]) -> String {
    match told {
        [(Telling::Ended, entry)] => format!("Over: {}", topic(entry)),
        [(Telling::Lasts, entry)] => format!("Still to look at: {}", topic(entry)),
        [(Telling::Begun, entry)] => format!("To look at: {}", topic(entry)),
        many if many.iter().all(|(what, _)| *what == Telling::Ended) => {
            format!("Over: {} things", many.len())
        }
        many => format!("To look at: {} things", many.len()),
    }
}

/// The kind and, where it can stand in a header field as it is, the subject.
fn topic(entry: &Entry) -> String {
    let is_plain = |text: &str| text.len() <= 100 && text.bytes().all(|octet| (b' '..=b'~').contains(&octet));
    if is_plain(&entry.subject) {
        format!("{}, {}", entry.kind, entry.subject)
    } else {
        entry.kind.to_string()
    }
}

/// What is told, in paragraphs.
pub(super) fn body(told: &[(Telling, Entry)]) -> String {
    let mut body = String::new();
    for (what, entry) in told {
        let since = entry.since.strftime("%Y-%m-%d %H:%M UTC");
        let heading = match what {
            Telling::Begun => format!("Since {since}"),
            Telling::Lasts => format!("Still, since {since}"),
            Telling::Ended => format!("No longer; it began at {since}"),
        };
        body.push_str(&format!("{heading} ({}):\n{}\n\n", topic(entry), plain(&entry.text)));
    }
    body.push_str(
        "`postern-home status` shows how home is now, `postern-home notices list` what was told.\n",
    );
    body
}

/// Without what is no text: replies of strangers may be quoted in it. Lines stay below 998 octets (RFC 5322 §2.1.1).
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut octets = 0;
    for character in text.chars().filter(|character| *character == '\n' || !character.is_control()) {
        if octets >= 980 || (octets >= 900 && character == ' ') {
            plain.push('\n');
            octets = 0;
        }
        octets = if character == '\n' { 0 } else { octets + character.len_utf8() };
        plain.push(character);
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::super::book::Book;
    use super::super::{Condition, Kind};
    use super::*;

    fn told(subject: &str, text: &str) -> Vec<(Telling, Entry)> {
        let now = Timestamp::from_second(1_800_000_000).expect("a time");
        let mut book = Book::default();
        book.look(vec![Condition::new(Kind::Account, subject, text)], now);
        book.due(now)
    }

    fn written(told: &[(Telling, Entry)]) -> String {
        let letter = letter(
            &Letterhead {
                hostname: &"mail.home.example".parse().expect("a name"),
                from: &"postmaster@home.example".parse().expect("an address"),
                to: &"ana@home.example".parse().expect("an address"),
                unique: "0123",
                date: Timestamp::from_second(1_800_000_000).expect("a time"),
            },
            told,
        );
        String::from_utf8(letter).expect("UTF-8")
    }

    #[test]
    fn a_letter_says_what_since_when_and_what_to_do() {
        let text = written(&told("bo@home.example", "It is held.\nSay `user release`."));
        assert!(text.contains("\r\nSubject: To look at: account, bo@home.example\r\n"), "{text}");
        assert!(text.contains("\r\nAuto-Submitted: auto-generated\r\n"), "{text}");
        assert!(
            text.contains("Since 2027-01-15 08:00 UTC (account, bo@home.example):\r\nIt is held.\r\n"),
            "{text}"
        );
    }

    #[test]
    fn what_strangers_said_adds_no_field_and_no_long_line() {
        let text = written(&told("x\r\nBcc: eve@far.example", &"\r550 \u{1b}[31m".repeat(500)));
        assert!(!text.contains("\r\nBcc:"), "{text}");
        assert!(text.split("\r\n").all(|line| line.len() <= 998 && !line.contains(['\r', '\n', '\u{1b}'])));
    }
}
