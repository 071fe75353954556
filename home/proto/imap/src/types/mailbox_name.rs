//! Mailbox names: UTF-8 inside, modified UTF-7 or UTF-8 on the wire.
//!
//! IMAP4rev1 clients read and write modified UTF-7 (RFC 3501 §5.1.3); once a client
//! has enabled IMAP4rev2 or UTF8=ACCEPT, names are UTF-8 (RFC 9051 §5.1, RFC 6855 §3).
//! Octets above 0x7f are accepted in either mode when they are UTF-8.

use std::fmt;

use base64::Engine;
use base64::alphabet::Alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// The hierarchy delimiter of all mailboxes.
pub const DELIMITER: char = '/';

/// The level above the mailboxes of other users, each user being a level below it (RFC 2342 §5).
pub const OTHER_USERS: &str = "Other Users";

/// Longest name, in octets of UTF-8.
const MAX_OCTETS: usize = 512;
/// Deepest hierarchy.
const MAX_LEVELS: usize = 24;

/// How mailbox names stand on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NameEncoding {
    /// Before ENABLE.
    #[default]
    ModifiedUtf7,
    /// After ENABLE IMAP4rev2 or UTF8=ACCEPT.
    Utf8,
}

impl NameEncoding {
    /// Reads a name or pattern; `None` when it is not valid in this encoding.
    pub fn decode(self, octets: &[u8]) -> Option<String> {
        let text = std::str::from_utf8(octets).ok()?;
        match self {
            NameEncoding::Utf8 => Some(text.to_owned()),
            NameEncoding::ModifiedUtf7 if text.is_ascii() => decode_utf7(text),
            NameEncoding::ModifiedUtf7 => Some(text.to_owned()),
        }
    }

    /// Writes a name.
    pub fn encode(self, name: &str) -> String {
        match self {
            NameEncoding::Utf8 => name.to_owned(),
            NameEncoding::ModifiedUtf7 => encode_utf7(name),
        }
    }
}

/// A decoded name; `INBOX` is in upper case, also as the first level of a longer name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MailboxName(String);

impl MailboxName {
    /// The mailbox where mail arrives.
    pub const INBOX: &str = "INBOX";

    /// Takes a decoded name.
    pub fn new(name: &str) -> MailboxName {
        let (first, rest) = match name.find(DELIMITER) {
            Some(at) => name.split_at(at),
            None => (name, ""),
        };
        if first.eq_ignore_ascii_case(MailboxName::INBOX) {
            return MailboxName(format!("{}{rest}", MailboxName::INBOX));
        }
        MailboxName(name.to_owned())
    }

    /// Reads a name from the wire; `None` when it is not valid in that encoding.
    pub fn decode(octets: &[u8], encoding: NameEncoding) -> Option<MailboxName> {
        encoding.decode(octets).map(|name| MailboxName::new(&name))
    }

    /// The name in UTF-8.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is INBOX itself.
    pub fn is_inbox(&self) -> bool {
        self.0 == MailboxName::INBOX
    }

    /// The name without its one final delimiter (`CREATE "a/"` announces children, RFC 9051 §6.3.4). Where there are
    /// more, the name stays as it is, and is refused for its empty level.
    pub fn without_final_delimiter(&self) -> MailboxName {
        let stripped = self.0.strip_suffix(DELIMITER).filter(|name| !name.ends_with(DELIMITER));
        MailboxName(stripped.unwrap_or(&self.0).to_owned())
    }

    /// Why a mailbox of this name cannot be made, as a text for the client.
    pub fn refusal(&self) -> Option<&'static str> {
        if self.0.len() > MAX_OCTETS {
            return Some("Mailbox name too long");
        }
        if self.0.split(DELIMITER).count() > MAX_LEVELS {
            return Some("Mailbox hierarchy too deep");
        }
        if self.0.split(DELIMITER).any(|level| level.is_empty() || level == "." || level == "..") {
            return Some("Empty level in mailbox name");
        }
        // RFC 9051 §5.1: no control characters, no wildcards; RFC 5198 line separators neither.
        let unwanted = |c: char| c.is_control() || matches!(c, '*' | '%' | '\u{2028}' | '\u{2029}');
        self.0.contains(unwanted).then_some("Character not allowed in mailbox name")
    }
}

impl fmt::Display for MailboxName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// RFC 3501 §5.1.3: `,` instead of `/`, no padding.
fn modified_base64() -> Option<GeneralPurpose> {
    let alphabet = Alphabet::new("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,").ok()?;
    let config = GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::RequireNone);
    Some(GeneralPurpose::new(&alphabet, config))
}

fn decode_utf7(text: &str) -> Option<String> {
    let mut name = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((plain, shifted)) = rest.split_once('&') {
        name.push_str(plain);
        let (shifted, after) = shifted.split_once('-')?;
        match shifted {
            "" => name.push('&'),
            _ => name.push_str(&decode_shifted(shifted)?),
        }
        rest = after;
    }
    name.push_str(rest);
    Some(name)
}

fn decode_shifted(shifted: &str) -> Option<String> {
    let octets = modified_base64()?.decode(shifted).ok()?;
    let (pairs, []) = octets.as_chunks::<2>() else {
        return None;
    };
    let units = pairs.iter().map(|&pair| u16::from_be_bytes(pair));
    let text: String = char::decode_utf16(units).collect::<Result<_, _>>().ok()?;
    // Printable US-ASCII must stand for itself, or one mailbox had two names.
    (!text.contains(is_direct)).then_some(text)
}

fn encode_utf7(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    let mut rest = name;
    while let Some(first) = rest.chars().next() {
        let direct = is_direct(first);
        let end = rest.find(|c| is_direct(c) != direct).unwrap_or(rest.len());
        let (run, after) = rest.split_at(end);
        match direct {
            true => text.push_str(&run.replace('&', "&-")),
            false => encode_shifted(run, &mut text),
        }
        rest = after;
    }
    text
}

fn encode_shifted(run: &str, text: &mut String) {
    let octets: Vec<u8> = run.encode_utf16().flat_map(u16::to_be_bytes).collect();
    if let Some(engine) = modified_base64() {
        text.push('&');
        engine.encode_string(octets, text);
        text.push('-');
    }
}

/// Printable US-ASCII.
fn is_direct(c: char) -> bool {
    matches!(c, ' '..='~')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_final_delimiter_is_taken_away() {
        let stripped = |name: &str| MailboxName(name.to_owned()).without_final_delimiter().0;
        assert_eq!(["a", "a/", "a//", "a///"].map(stripped), ["a", "a", "a//", "a///"]);
    }
    use proptest::prelude::*;

    fn decode(text: &str) -> Option<String> {
        NameEncoding::ModifiedUtf7.decode(text.as_bytes())
    }

    #[test]
    fn the_rfc_example() {
        let decoded = decode("~peter/mail/&U,BTFw-/&ZeVnLIqe-").unwrap();
        assert_eq!(decoded, "~peter/mail/台北/日本語");
        assert_eq!(NameEncoding::ModifiedUtf7.encode(&decoded), "~peter/mail/&U,BTFw-/&ZeVnLIqe-");
    }

    #[test]
    fn ampersands_and_errors() {
        assert_eq!(decode("R&-D").unwrap(), "R&D");
        assert_eq!(NameEncoding::ModifiedUtf7.encode("R&D"), "R&-D");
        for bad in ["a&b", "&AGE-", "&2AA-", "&A-", "&AAA=-"] {
            assert_eq!(decode(bad), None, "{bad}");
        }
    }

    #[test]
    fn inbox_in_any_case() {
        assert!(MailboxName::new("inBox").is_inbox());
        assert_eq!(MailboxName::new("Inbox/a").as_str(), "INBOX/a");
        assert_eq!(MailboxName::new("Inboxes").as_str(), "Inboxes");
    }

    #[test]
    fn names_that_cannot_be_made() {
        for bad in ["", "/a", "a//b", "a/", "a*", "%", "a\u{7}", "a/../b"] {
            assert!(MailboxName::new(bad).refusal().is_some(), "{bad}");
        }
        assert_eq!(MailboxName::new("Ärger/2024 (alt)").refusal(), None);
    }

    proptest! {
        #[test]
        fn round_trip(name in "\\PC*") {
            for encoding in [NameEncoding::ModifiedUtf7, NameEncoding::Utf8] {
                let wire = encoding.encode(&name);
                prop_assert_eq!(encoding.decode(wire.as_bytes()), Some(name.clone()));
            }
        }
    }
}
