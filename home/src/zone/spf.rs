//! Who may send for the domain (RFC 7208): the mail host's addresses, the relays that carry its mail, those whom the operator has
//! named, and nobody else.
//!
//! The addresses stand in the record itself and not behind `mx`: the receiver needs no further look-up, so none can
//! fail, and home rewrites the record whenever the addresses change.
//!
//! An SPF record of the operator's own at the domain is not published beside this one, since two count as a fault (RFC 7208
//! §4.5): its mechanisms join those here. What it says of `all` is not taken, nor a plain `mx`, which is the mail host.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hickory_proto::rr::{Name, RData, Record};
use postern_shared::zone::ZoneError;

use super::{Facts, own, txt};

/// How a record begins (RFC 7208 §4.5).
pub(super) const VERSION: &str = "v=spf1";
/// RFC 7208 §4.6.4: a record that asks for more look-ups is in error.
const MAX_LOOKUPS: usize = 10;
/// The mechanisms that ask for one.
const LOOKUPS: [&str; 5] = ["include", "a", "mx", "ptr", "exists"];

/// Why an SPF record cannot join.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpfError {
    /// No mechanism or modifier.
    #[error(
        "`{0}` is no mechanism of SPF (RFC 7208 §5), as `include:servers.example.net` or `ip4:192.0.2.0/24` are"
    )]
    Term(String),
    /// More than ten.
    #[error("SPF allows for {MAX_LOOKUPS} look-ups (include, a, mx, ptr, exists), and these are {0}")]
    Lookups(usize),
}

pub(super) fn records(facts: &Facts) -> Result<Vec<Record>, ZoneError> {
    let apex = facts.apex()?;
    let joining = facts.own.iter().filter(|own| own.owner == apex.to_ascii());
    let joining = joining.map(own::record).collect::<Result<Vec<_>, _>>()?;
    let mut mechanisms: Vec<String> = facts.mail_addresses.iter().map(mechanism).collect();
    mechanisms.extend(facts.relays.iter().map(|relay| format!("include:{relay}")));
    for term in joining.iter().filter_map(text).find_map(|text| terms(&text).ok()).unwrap_or_default() {
        if !mechanisms.contains(&term) {
            mechanisms.push(term);
        }
    }
    Ok(vec![policy(apex, &mechanisms)])
}

/// Mail in this name leaves from the mail host. The mail host's own name is judged where a report has no reverse path (RFC
/// 7208 §2.4).
pub(super) fn senders(facts: &Facts, owner: Name) -> Record {
    let mechanisms: Vec<String> = facts.mail_addresses.iter().map(mechanism).collect();
    policy(owner, &mechanisms)
}

/// Nobody sends in this name.
pub(super) fn nobody(owner: Name) -> Record {
    policy(owner, &[])
}

fn policy(owner: Name, mechanisms: &[String]) -> Record {
    let mechanisms: String = mechanisms.iter().map(|mechanism| format!(" {mechanism}")).collect();
    txt(owner, &format!("{VERSION}{mechanisms} -all"))
}

fn mechanism(address: &IpAddr) -> String {
    match address {
        IpAddr::V4(v4) => format!("ip4:{v4}"),
        IpAddr::V6(v6) => format!("ip6:{v6}"),
    }
}

/// The text of an SPF record; `None` for any other.
pub(super) fn text(record: &Record) -> Option<String> {
    let RData::TXT(txt) = &record.data else { return None };
    let text = String::from_utf8_lossy(&txt.txt_data.concat()).into_owned();
    let version = text.split(' ').next()?;
    version.eq_ignore_ascii_case(VERSION).then_some(text)
}

/// The mechanisms of the operator's record that join Postern's.
///
/// # Errors
/// [`SpfError`].
pub(super) fn terms(text: &str) -> Result<Vec<String>, SpfError> {
    let mut terms = Vec::new();
    for term in text.split_ascii_whitespace().skip(1) {
        terms.extend(joining(term).ok_or_else(|| SpfError::Term(term.to_owned()))?);
    }
    let lookups = terms.iter().filter(|term| LOOKUPS.contains(&name_of(term))).count();
    if lookups > MAX_LOOKUPS { Err(SpfError::Lookups(lookups)) } else { Ok(terms) }
}

/// The mechanism that a term leaves, if it leaves one; `None` where it is no term.
fn joining(term: &str) -> Option<Option<String>> {
    if let Some((name, value)) = term.split_once('=') {
        let is_name = name.starts_with(|first: char| first.is_ascii_alphabetic())
            && name.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"-_.".contains(&octet));
        // RFC 7208 §6.1: another record instead of this; here one more.
        let redirected = || name.eq_ignore_ascii_case("redirect").then(|| format!("include:{value}"));
        return (is_name && is_domain(value)).then(redirected);
    }
    let argument = term.split_once([':', '/']).map(|(_, argument)| argument);
    match (name_of(term).to_ascii_lowercase().as_str(), argument) {
        ("all" | "mx", None) => Some(None),
        ("include" | "exists", Some(domain)) if term.contains(':') && is_domain(domain) => {
            Some(Some(term.to_owned()))
        }
        ("a" | "mx" | "ptr", Some(argument)) if is_domain(argument) => Some(Some(term.to_owned())),
        ("a" | "ptr", None) => Some(Some(term.to_owned())),
        ("ip4", Some(network)) if is_network::<Ipv4Addr>(network, 32) => Some(Some(term.to_owned())),
        ("ip6", Some(network)) if is_network::<Ipv6Addr>(network, 128) => Some(Some(term.to_owned())),
        _ => None,
    }
}

/// What is before the colon or the slash, without its qualifier.
fn name_of(term: &str) -> &str {
    let term = term.strip_prefix(['+', '-', '~', '?']).unwrap_or(term);
    term.split([':', '/']).next().unwrap_or(term)
}

fn is_domain(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_graphic())
}

fn is_network<A: std::str::FromStr>(text: &str, longest: u8) -> bool {
    let (address, length) = text.split_once('/').unwrap_or((text, "0"));
    address.parse::<A>().is_ok() && length.parse::<u8>().is_ok_and(|length| length <= longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn senders_are_taken_and_what_postern_says_itself_is_not() {
        for (text, expected) in [
            ("v=spf1 mx include:a.example ~all", vec!["include:a.example"]),
            (
                "v=spf1 ip4:192.0.2.0/24 -ip6:2001:db8::1 a a:b.example/28 ?exists:%{i}.c.example -all",
                vec!["ip4:192.0.2.0/24", "-ip6:2001:db8::1", "a", "a:b.example/28", "?exists:%{i}.c.example"],
            ),
            ("v=spf1 redirect=_spf.example exp=x.example", vec!["include:_spf.example"]),
            ("v=spf1", vec![]),
        ] {
            assert_eq!(terms(text), Ok(expected.into_iter().map(str::to_owned).collect()), "{text}");
        }
        for (text, wrong) in [
            ("v=spf1 inlcude:a.example", "inlcude:a.example"),
            ("v=spf1 include", "include"),
            ("v=spf1 ip4:192.0.2", "ip4:192.0.2"),
            ("v=spf1 ip4:192.0.2.0/33", "ip4:192.0.2.0/33"),
        ] {
            assert_eq!(terms(text), Err(SpfError::Term(wrong.to_owned())));
        }
        assert_eq!(terms(&format!("v=spf1{}", " a".repeat(11))), Err(SpfError::Lookups(11)));
    }
}
