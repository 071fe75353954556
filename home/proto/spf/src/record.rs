//! The text of a record as its terms (§4.5, §4.6.1, §12).
//!
//! In: a text. Out: its directives in order, and what it is redirected to and explained by. Refused: anything that is wrong,
//! wherever it stands, before any term is looked at.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::Outcome;
use crate::macros::{MacroString, Place, domain_spec};

/// A record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// In order.
    pub directives: Vec<Directive>,
    /// Where to look where none matches.
    pub redirect: Option<MacroString>,
    /// Where the explanation stands.
    pub exp: Option<MacroString>,
}

/// A mechanism, and what it means when it matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directive {
    /// What a match comes to.
    pub outcome: Outcome,
    /// The mechanism.
    pub mechanism: Mechanism,
}

/// A mechanism (§5). Where the domain is absent it is the record's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mechanism {
    /// Matches always.
    All,
    /// Matches where that domain's record says pass.
    Include(MacroString),
    /// Matches an address of the name.
    A(Option<MacroString>, Prefixes),
    /// Matches an address of the name's mail hosts.
    Mx(Option<MacroString>, Prefixes),
    /// Matches where the address's own name lies within.
    Ptr(Option<MacroString>),
    /// Matches a network.
    Ip4(Ipv4Addr, u8),
    /// Matches a network.
    Ip6(Ipv6Addr, u8),
    /// Matches where the name has an IPv4 address.
    Exists(MacroString),
}

/// How many leading bits have to agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prefixes {
    /// Of 32.
    pub v4: u8,
    /// Of 128.
    pub v6: u8,
}

/// Whether a text is a record of this version (§4.5).
pub fn is_record(text: &[u8]) -> bool {
    let version = b"v=spf1";
    let Some((begin, rest)) = text.split_at_checked(version.len()) else { return false };
    begin.eq_ignore_ascii_case(version) && matches!(rest.first(), None | Some(b' '))
}

impl Record {
    /// Reads the text of a record; `None` where its syntax is wrong.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok().filter(|text| text.is_ascii())?;
        let mut record = Self { directives: Vec::new(), redirect: None, exp: None };
        for term in text.split(' ').skip(1).filter(|term| !term.is_empty()) {
            match modifier(term) {
                Some((name, value)) => record.modify(name, value)?,
                None => record.directives.push(directive(term)?),
            }
        }
        Some(record)
    }

    fn modify(&mut self, name: &str, value: &str) -> Option<()> {
        let place = match name.to_ascii_lowercase().as_str() {
            "redirect" => &mut self.redirect,
            "exp" => &mut self.exp,
            _ => return MacroString::parse(value, Place::Term).map(drop),
        };
        place.replace(domain_spec(value)?).is_none().then_some(())
    }
}

/// A term that is `name=value`.
fn modifier(term: &str) -> Option<(&str, &str)> {
    let is_name = |found: char| found.is_ascii_alphanumeric() || "-_.".contains(found);
    let (name, value) = term.split_once('=')?;
    (name.starts_with(|first: char| first.is_ascii_alphabetic()) && name.chars().all(is_name))
        .then_some((name, value))
}

fn directive(term: &str) -> Option<Directive> {
    let (outcome, term) = match term.split_at_checked(1)? {
        ("+", rest) => (Outcome::Pass, rest),
        ("-", rest) => (Outcome::Fail, rest),
        ("~", rest) => (Outcome::SoftFail, rest),
        ("?", rest) => (Outcome::Neutral, rest),
        _ => (Outcome::Pass, term),
    };
    let end = term.find([':', '/']).unwrap_or(term.len());
    let (name, rest) = term.split_at(end);
    let mechanism = match name.to_ascii_lowercase().as_str() {
        "all" => rest.is_empty().then_some(Mechanism::All)?,
        "include" => Mechanism::Include(domain_spec(rest.strip_prefix(':')?)?),
        "exists" => Mechanism::Exists(domain_spec(rest.strip_prefix(':')?)?),
        "ptr" => Mechanism::Ptr(optional(rest)?),
        "a" => with_prefixes(rest, Mechanism::A)?,
        "mx" => with_prefixes(rest, Mechanism::Mx)?,
        "ip4" => {
            let (network, prefix) = network(rest.strip_prefix(':')?, 32)?;
            Mechanism::Ip4(network.parse().ok()?, prefix)
        }
        "ip6" => {
            let (network, prefix) = network(rest.strip_prefix(':')?, 128)?;
            Mechanism::Ip6(network.parse().ok()?, prefix)
        }
        _ => return None,
    };
    Some(Directive { outcome, mechanism })
}

/// `:` and a domain, or nothing.
fn optional(text: &str) -> Option<Option<MacroString>> {
    match text {
        "" => Some(None),
        text => domain_spec(text.strip_prefix(':')?).map(Some),
    }
}

fn with_prefixes(
    text: &str,
    make: impl FnOnce(Option<MacroString>, Prefixes) -> Mechanism,
) -> Option<Mechanism> {
    let (text, v6) = cut(text, "//", 128)?;
    let (text, v4) = cut(text, "/", 32)?;
    Some(make(optional(text)?, Prefixes { v4, v6 }))
}

/// Takes a prefix length off the end; all bits where there is none. What only looks like one is left to the domain.
fn cut<'a>(text: &'a str, mark: &str, all: u8) -> Option<(&'a str, u8)> {
    match text.rsplit_once(mark) {
        Some((rest, digits)) if is_number(digits) => Some((rest, prefix_length(digits, all)?)),
        _ => Some((text, all)),
    }
}

fn network(text: &str, all: u8) -> Option<(&str, u8)> {
    match text.split_once('/') {
        Some((network, digits)) => Some((network, prefix_length(digits, all)?)),
        None => Some((text, all)),
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_digit())
}

/// A number without leading zeros, and not more than all bits.
fn prefix_length(digits: &str, all: u8) -> Option<u8> {
    let is_plain = is_number(digits) && (digits == "0" || !digits.starts_with('0'));
    digits.parse().ok().filter(|length| is_plain && *length <= all)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn which_texts_are_records() {
        for record in ["v=spf1", "V=SPF1 -all", "v=spf1 "] {
            assert!(is_record(record.as_bytes()), "{record}");
        }
        for other in ["v=spf10", "v=spf1-all", "v=spf1\t-all", " v=spf1", "v=spf", ""] {
            assert!(!is_record(other.as_bytes()), "{other}");
        }
    }

    #[test]
    fn prefixes_of_both_families() {
        let prefixes = |term: &str| match directive(term)?.mechanism {
            Mechanism::A(domain, Prefixes { v4, v6 }) => Some((domain.is_some(), v4, v6)),
            _ => None,
        };
        assert_eq!(prefixes("a"), Some((false, 32, 128)));
        assert_eq!(prefixes("a/24"), Some((false, 24, 128)));
        assert_eq!(prefixes("a//64"), Some((false, 32, 64)));
        assert_eq!(prefixes("?a:x.example/0//0"), Some((true, 0, 0)));
        for wrong in ["a/", "a//", "a/33", "a//129", "a/024", "a:", "a:x.example/", "a/24/24", "a:/24", "b"] {
            assert_eq!(directive(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "(v=spf1)?[ -~\u{e9}]{0,80}") {
            Record::parse(text.as_bytes());
        }
    }
}
