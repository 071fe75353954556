//! Paths: `<>`, `<ana@home.example>`, `<@relay.example:ana@home.example>`, `<postmaster>`.
//!
//! Implements RFC 5321 §4.1.2 (grammar), §4.1.1.3 and appendix C (source routes are accepted and ignored),
//! §4.5.1 (`postmaster` without a domain), §4.5.3.1.3 (at most 256 octets).

use std::fmt::{self, Display, Formatter};

use postern_message::address::{AddressError, EmailAddress, LocalPart};

use crate::server::refusal::Refusal;

/// Most octets in a path with its angle brackets.
const MAX_PATH: usize = 256;

const MALFORMED: Refusal = Refusal::Syntax("malformed address");

/// Where a failure report goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReversePath {
    /// `<>`: nowhere; the message is itself a report (RFC 5321 §4.5.5).
    Null,
    /// A mailbox.
    Address(EmailAddress),
    /// A mailbox at an address literal, as sent.
    Literal(String),
}

/// Whom the message is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ForwardPath {
    /// A mailbox.
    Address(EmailAddress),
    /// `<postmaster>`: of this host.
    Postmaster,
    /// A mailbox at an address literal, as sent.
    Literal(String),
}

/// Splits `<path> parameters` at the bracket that ends the path, quoted strings considered; says whether the path
/// is ASCII.
///
/// # Errors
/// [`Refusal::Syntax`] when there is no path in brackets.
pub fn split(text: &str) -> Result<(&str, bool, &str), Refusal> {
    let inside = text.strip_prefix('<').ok_or(Refusal::Syntax("address must stand in angle brackets"))?;
    let end = closing_bracket(inside).ok_or(MALFORMED)?;
    let (path, rest) = (inside.get(..end).ok_or(MALFORMED)?, inside.get(end + 1..).unwrap_or_default());
    if end + 2 > MAX_PATH {
        return Err(Refusal::Syntax("address too long"));
    }
    if !rest.is_empty() && !rest.starts_with(' ') {
        return Err(MALFORMED);
    }
    Ok((path, path.is_ascii(), rest.trim_start_matches(' ')))
}

fn closing_bracket(text: &str) -> Option<usize> {
    let (mut quoted, mut escaped) = (false, false);
    text.bytes().position(|octet| {
        let end = octet == b'>' && !quoted;
        match octet {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ => {}
        }
        end
    })
}

impl ReversePath {
    /// Parses what stands between the brackets.
    ///
    /// # Errors
    /// [`Refusal::Syntax`].
    pub fn parse(path: &str) -> Result<ReversePath, Refusal> {
        match mailbox(path)? {
            None => Ok(ReversePath::Null),
            Some(Mailbox::Address(address)) => Ok(ReversePath::Address(address)),
            Some(Mailbox::Literal(text)) => Ok(ReversePath::Literal(text)),
        }
    }

    /// The mailbox, where it is at a domain.
    pub fn address(&self) -> Option<&EmailAddress> {
        match self {
            ReversePath::Address(address) => Some(address),
            ReversePath::Null | ReversePath::Literal(_) => None,
        }
    }
}

impl Display for ReversePath {
    /// Without the angle brackets.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            ReversePath::Null => Ok(()),
            ReversePath::Address(address) => address.fmt(f),
            ReversePath::Literal(text) => f.write_str(text),
        }
    }
}

impl ForwardPath {
    /// Parses what stands between the brackets.
    ///
    /// # Errors
    /// [`Refusal::Syntax`].
    pub fn parse(path: &str) -> Result<ForwardPath, Refusal> {
        if without_source_route(path)?.eq_ignore_ascii_case("postmaster") {
            return Ok(ForwardPath::Postmaster);
        }
        match mailbox(path)? {
            None => Err(Refusal::Syntax("a recipient is needed")),
            Some(Mailbox::Address(address)) => Ok(ForwardPath::Address(address)),
            Some(Mailbox::Literal(text)) => Ok(ForwardPath::Literal(text)),
        }
    }
}

impl Display for ForwardPath {
    /// Without the angle brackets.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            ForwardPath::Address(address) => address.fmt(f),
            ForwardPath::Postmaster => f.write_str("postmaster"),
            ForwardPath::Literal(text) => f.write_str(text),
        }
    }
}

enum Mailbox {
    Address(EmailAddress),
    Literal(String),
}

fn mailbox(path: &str) -> Result<Option<Mailbox>, Refusal> {
    let text = without_source_route(path)?;
    if text.is_empty() {
        // A route to nobody is no null path.
        return if path.is_empty() { Ok(None) } else { Err(MALFORMED) };
    }
    match EmailAddress::parse(text) {
        Ok(address) => Ok(Some(Mailbox::Address(address))),
        Err(AddressError::AddressLiteral) if is_at_literal(text) => {
            Ok(Some(Mailbox::Literal(text.to_owned())))
        }
        Err(_) => Err(MALFORMED),
    }
}

/// `local-part "@" "[" … "]"` with an IPv4 address or a tagged one in the brackets (RFC 5321 §4.1.3).
fn is_at_literal(text: &str) -> bool {
    let Some((local_part, literal)) = text.rsplit_once("@[") else { return false };
    let is_address = |c: char| c.is_ascii_alphanumeric() || ".:".contains(c);
    LocalPart::parse(local_part).is_ok()
        && literal.strip_suffix(']').is_some_and(|inside| {
            let inside = inside.strip_prefix("IPv6:").unwrap_or(inside);
            !inside.is_empty() && inside.chars().all(is_address)
        })
}

/// Drops `@one.example,@two.example:` from the front.
fn without_source_route(path: &str) -> Result<&str, Refusal> {
    match path.strip_prefix('@') {
        None => Ok(path),
        Some(route) => route.split_once(':').map(|(_, mailbox)| mailbox).ok_or(MALFORMED),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forward(text: &str) -> Result<String, Refusal> {
        split(text).and_then(|(path, _, _)| ForwardPath::parse(path)).map(|path| path.to_string())
    }

    #[test]
    fn well_formed_paths() {
        for (text, expected) in [
            ("<ana@home.example>", "ana@home.example"),
            ("<Ana@HOME.example>", "Ana@home.example"),
            ("<@a.example,@b.example:ana@home.example>", "ana@home.example"),
            ("<PostMaster>", "postmaster"),
            ("<\"a>b\"@home.example>", "\"a>b\"@home.example"),
            ("<ana@[192.0.2.1]>", "ana@[192.0.2.1]"),
            ("<ana@[IPv6:2001:db8::1]>", "ana@[IPv6:2001:db8::1]"),
        ] {
            assert_eq!(forward(text).as_deref(), Ok(expected), "{text}");
        }
        assert_eq!(ReversePath::parse(""), Ok(ReversePath::Null));
        assert_eq!(split("<> SIZE=1"), Ok(("", true, "SIZE=1")));
    }

    #[test]
    fn malformed_paths() {
        let long = format!("<{}@home.example>", "a.".repeat(200));
        for text in [
            "",
            "ana@home.example",
            "<ana@home.example",
            "<ana>",
            "<>",
            "<@a.example>",
            "<@a.example:>",
            "<a b@home.example>",
            "<ana@home.example>x",
            "<ana@home..example>",
            "<ana@@home.example>",
            "<ana%other.example@[>",
            "<\"ana@home.example>",
            &long,
        ] {
            assert!(matches!(forward(text), Err(Refusal::Syntax(_))), "{text}");
        }
        assert!(ReversePath::parse("@a.example:").is_err());
    }
}
