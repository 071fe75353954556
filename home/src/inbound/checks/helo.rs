//! What the client calls itself (RFC 5321 §4.1.1.1, §4.1.3).
//!
//! In: the argument of HELO or EHLO, our own names and addresses, the client's address and confirmed name. Out: a verdict.
//! Refused: our name or address, and a public address that is not the client's; nothing else, since RFC 5321 §4.1.4 forbids to
//! refuse for a name that merely does not lead to the client. A machine in this house may well be called as we are.

use std::net::IpAddr;

use postern_message::address::DomainName;
use postern_shared::address::is_global;
use postern_smtp::server::Refusal;

use super::client::{Client, Relation};
use super::verdict::Verdict;
use crate::auth::iprev::ReverseName;
use crate::config::Severity;

const CHECK: &str = "helo";

/// What is ours.
#[derive(Clone, Copy)]
pub struct Us<'a> {
    /// The host's name.
    pub hostname: &'a DomainName,
    /// Whether a domain is one of ours.
    pub is_local: &'a (dyn Fn(&DomainName) -> bool + Sync),
    /// The addresses that the world knows us by.
    pub addresses: &'a [IpAddr],
}

/// Judges the argument.
pub fn judge(severity: Severity, helo: &str, us: &Us<'_>, client: &Client) -> Verdict {
    let forged = |reason: String| Verdict::refuse(CHECK, severity, Refusal::HeloForged, reason);
    if client.relation == Relation::Near {
        return Verdict::pass(CHECK, "a machine of this network");
    }
    if let Some(address) = literal(helo) {
        return match address {
            address if address == client.address => Verdict::pass(CHECK, "its own address"),
            address if us.addresses.contains(&address) => {
                forged(format!("says that it is {address}, our address"))
            }
            address if is_global(address) => forged(format!("says that it is {address}, which it is not")),
            address => {
                Verdict::note(CHECK, format!("says that it is {address}, an address of no public network"))
            }
        };
    }
    let Ok(domain) = DomainName::parse(helo) else {
        return Verdict::note(CHECK, "what it calls itself is no name");
    };
    let is_ours = domain == *us.hostname || (us.is_local)(&domain);
    if is_ours && !is_of_ours(&client.name, &domain) {
        return forged(format!("calls itself {domain}, which is ours"));
    }
    match domain.labels().count() {
        1 => Verdict::note(CHECK, "calls itself by a name without a domain"),
        _ => Verdict::pass(CHECK, ""),
    }
}

/// Another machine of our domain, whose name leads to it: a web server that sends mail, for instance.
fn is_of_ours(name: &ReverseName, domain: &DomainName) -> bool {
    let confirmed = name.confirmed().and_then(|name| DomainName::parse(name).ok());
    confirmed.is_some_and(|name| name.is_within(domain))
}

/// `[192.0.2.1]`, `[IPv6:2001:db8::1]`, or an address without the brackets that it should have.
fn literal(helo: &str) -> Option<IpAddr> {
    let inside = helo.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(helo);
    let address = match inside.get(..5) {
        Some(tag) if tag.eq_ignore_ascii_case("IPv6:") => inside.get(5..)?,
        _ => inside,
    };
    address.parse::<IpAddr>().ok().map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inbound::checks::lists::Listing;
    use crate::inbound::checks::verdict::Outcome;

    fn outcome(helo: &str, client: &str, name: Option<&str>) -> Outcome {
        let name = name.map_or(ReverseName::Missing, |name| ReverseName::Confirmed(name.to_owned()));
        let hostname = DomainName::parse("mail.home.example").expect("a name");
        let home = DomainName::parse("home.example").expect("a name");
        let addresses = ["8.8.0.10".parse().expect("an address")];
        let us = Us { hostname: &hostname, is_local: &|domain| *domain == home, addresses: &addresses };
        let relation = if client.starts_with("192.168.") { Relation::Near } else { Relation::Stranger };
        let address = client.parse().expect("an address");
        let client = Client { address, relation, name, listing: Listing::default() };
        judge(Severity::Refuse, helo, &us, &client).outcome
    }

    #[test]
    fn who_claims_to_be_us_is_refused() {
        for helo in ["mail.home.example", "MAIL.home.EXAMPLE", "home.example", "[8.8.0.10]", "8.8.0.10"] {
            assert_eq!(outcome(helo, "9.9.0.7", None), Outcome::Refuse(Refusal::HeloForged), "{helo}");
        }
        assert_eq!(outcome("[9.9.0.8]", "9.9.0.7", None), Outcome::Refuse(Refusal::HeloForged));
        let liar = outcome("[IPv6:2a00::2]", "2a00::1", None);
        assert_eq!(liar, Outcome::Refuse(Refusal::HeloForged));
    }

    #[test]
    fn who_may_be_honest_is_not() {
        for helo in ["[9.9.0.7]", "mx.stranger.example", "www.home.example"] {
            assert_eq!(outcome(helo, "9.9.0.7", None), Outcome::Pass, "{helo}");
        }
        assert_eq!(outcome("[ipv6:2a00::1]", "2a00::1", None), Outcome::Pass);
        assert_eq!(outcome("home.example", "9.9.0.7", Some("www.home.example")), Outcome::Pass);
        assert_eq!(outcome("mail.home.example", "192.168.1.7", None), Outcome::Pass);
        for helo in ["localhost", "not a name", "[192.168.1.2]", ""] {
            assert_eq!(outcome(helo, "9.9.0.7", None), Outcome::Note, "{helo}");
        }
    }
}
