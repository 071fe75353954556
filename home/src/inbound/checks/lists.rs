//! DNS lists of clients (RFC 5782), as far as the operator names any.
//!
//! In: the lists, the client's address. Out: whether one lists it, for better or worse. Refused: a client that a DNSBL lists and
//! no DNSWL does; never one for which a list does not answer, or answers with one of the codes by which operators of lists
//! say that the question was wrong (127.255.255.0/24, or 127.0.0.255 of some DNSWLs).
//!
//! Lists are asked through home's own name servers. The resolvers that the whole world shares are refused by the large lists,
//! and some then answer that everybody is listed; so where home asks one of those, no list is asked at all, and the log says
//! so at the start.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use postern_message::address::DomainName;
use postern_message::authres::MethodResult;
use postern_shared::address::is_global;
use postern_smtp::server::Refusal;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::warn;

use super::verdict::Verdict;
use crate::config::Severity;
use crate::resolver::{Answer, Resolver};

const CHECK: &str = "dnsbl";
/// Time for all lists, which are asked side by side.
const PATIENCE: Duration = Duration::from_secs(5);
/// Characters of a list's own words that are passed on.
const MAX_WORDS: usize = 200;

/// Resolvers that anybody may use.
const PUBLIC_RESOLVERS: [&str; 28] = [
    "8.8.8.8",
    "8.8.4.4",
    "2001:4860:4860::8888",
    "2001:4860:4860::8844",
    "1.1.1.1",
    "1.0.0.1",
    "1.1.1.2",
    "1.0.0.2",
    "1.1.1.3",
    "1.0.0.3",
    "2606:4700:4700::1111",
    "2606:4700:4700::1001",
    "9.9.9.9",
    "9.9.9.10",
    "9.9.9.11",
    "149.112.112.112",
    "149.112.112.10",
    "149.112.112.11",
    "2620:fe::fe",
    "2620:fe::9",
    "208.67.222.222",
    "208.67.220.220",
    "94.140.14.14",
    "94.140.15.15",
    "185.228.168.9",
    "77.88.8.8",
    "64.6.64.6",
    "4.2.2.1",
];

/// The lists that are asked.
#[derive(Debug, Clone, Default)]
pub struct Lists {
    block: Arc<[DomainName]>,
    allow: Arc<[DomainName]>,
}

/// What they say of a client.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// A DNSBL that lists it, with the list's words.
    pub blocked: Option<(DomainName, String)>,
    /// A DNSWL that does.
    pub allowed: Option<DomainName>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    Listed,
    NotListed,
    /// The list takes no questions from us.
    Refused,
}

impl Lists {
    /// The lists of the configuration, where the name servers that are asked are not everybody's.
    pub fn new(block: &[DomainName], allow: &[DomainName], servers: &[SocketAddr]) -> Self {
        let public = servers.iter().find(|server| is_public_resolver(server.ip()));
        match public {
            Some(server) if !(block.is_empty() && allow.is_empty()) => {
                warn!(%server, "home asks a public resolver, so no DNS lists are asked; name your own: key `resolver` in [dns]");
                Self::default()
            }
            _ => Self { block: block.into(), allow: allow.into() },
        }
    }

    /// Asks all lists about a client.
    pub async fn ask(&self, resolver: &Resolver, client: IpAddr) -> Listing {
        if (self.block.is_empty() && self.allow.is_empty()) || !is_global(client) {
            return Listing::default();
        }
        let asked = async {
            tokio::join!(first(resolver, client, &self.block), first(resolver, client, &self.allow))
        };
        let (blocked, allowed) = timeout(PATIENCE, asked).await.unwrap_or_default();
        let blocked = match blocked {
            Some(zone) => Some((zone.clone(), words(resolver, client, &zone).await)),
            None => None,
        };
        Listing { blocked, allowed }
    }
}

impl Listing {
    /// Judges the client.
    pub fn judge(&self) -> Verdict {
        match self {
            Self { allowed: Some(zone), .. } => {
                Verdict::pass(CHECK, format!("listed at {zone}, a list of good senders"))
            }
            Self { blocked: Some((zone, words)), .. } => {
                let refusal = Refusal::Listed { zone: zone.to_string(), words: words.clone() };
                Verdict::refuse(CHECK, Severity::Refuse, refusal, format!("listed at {zone}"))
            }
            _ => Verdict::pass(CHECK, ""),
        }
    }

    /// For the trace field (RFC 8904 §3), where a DNSWL lists the client.
    pub fn result(&self) -> Option<MethodResult> {
        let zone = self.allowed.as_ref()?;
        Some(MethodResult::new("dnswl", "pass").with("dns.zone", zone.as_str()))
    }
}

fn is_public_resolver(address: IpAddr) -> bool {
    PUBLIC_RESOLVERS.iter().any(|public| public.parse() == Ok(address.to_canonical()))
}

/// The first of these lists, in the operator's order, that lists the client.
async fn first(resolver: &Resolver, client: IpAddr, zones: &[DomainName]) -> Option<DomainName> {
    let mut asked = JoinSet::new();
    for (place, zone) in zones.iter().cloned().enumerate() {
        let resolver = resolver.clone();
        asked.spawn(async move { (meaning_of(&resolver, client, &zone).await, place, zone) });
    }
    let answers = asked.join_all().await.into_iter();
    let listed = answers.filter(|(meaning, ..)| *meaning == Meaning::Listed);
    listed.min_by_key(|(_, place, _)| *place).map(|(_, _, zone)| zone)
}

async fn meaning_of(resolver: &Resolver, client: IpAddr, zone: &DomainName) -> Meaning {
    let meaning = match resolver.ipv4(&query(client, zone)).await {
        Ok(Answer::Records(codes)) => meaning(&codes),
        Ok(Answer::NoData | Answer::NoSuchName) | Err(_) => Meaning::NotListed,
    };
    if meaning == Meaning::Refused {
        warn!(%zone, "a DNS list takes no questions from here; see its terms, or take it out of [inbound]");
    }
    meaning
}

/// What a list says of its reasons (RFC 5782 §2.1: a TXT record at the same name).
async fn words(resolver: &Resolver, client: IpAddr, zone: &DomainName) -> String {
    let name = query(client, zone);
    let Ok(Ok(Answer::Records(texts))) = timeout(PATIENCE, resolver.txt(&name)).await else {
        return String::new();
    };
    let text = texts.first().map(|text| String::from_utf8_lossy(text)).unwrap_or_default();
    text.chars().filter(|c| c.is_ascii_graphic() || *c == ' ').take(MAX_WORDS).collect()
}

/// The octets, or the nibbles, last first (RFC 5782 §2.1, §2.4).
fn query(client: IpAddr, zone: &DomainName) -> String {
    let parts: Vec<String> = match client.to_canonical() {
        IpAddr::V4(v4) => v4.octets().iter().rev().map(ToString::to_string).collect(),
        IpAddr::V6(v6) => {
            let nibbles = v6.octets().into_iter().rev().flat_map(|octet| [octet & 15, octet >> 4]);
            nibbles.map(|nibble| format!("{nibble:x}")).collect()
        }
    };
    format!("{}.{zone}", parts.join("."))
}

fn meaning(codes: &[Ipv4Addr]) -> Meaning {
    let is_complaint = |code: &Ipv4Addr| matches!(code.octets(), [127, 255, 255, _] | [127, 0, 0, 255]);
    let is_listing = |code: &Ipv4Addr| code.octets().first() == Some(&127) && !is_complaint(code);
    match codes {
        codes if codes.iter().any(is_complaint) => Meaning::Refused,
        codes if codes.iter().any(is_listing) => Meaning::Listed,
        // Some name servers answer every question with an address of their own.
        _ => Meaning::NotListed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone() -> DomainName {
        DomainName::parse("bl.example").expect("a name")
    }

    #[test]
    fn addresses_are_asked_for_last_part_first() {
        let query = |address: &str| query(address.parse().expect("an address"), &zone());
        assert_eq!(query("192.0.2.99"), "99.2.0.192.bl.example");
        assert_eq!(query("::ffff:192.0.2.99"), "99.2.0.192.bl.example");
        let v6 = "b.a.9.8.7.6.5.0.4.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.0.0.0.0.1.2.3.4.bl.example";
        assert_eq!(query("4321:0:1:2:3:4:567:89ab"), v6);
    }

    #[test]
    fn complaints_and_foreign_answers_list_nobody() {
        let meaning = |code: [u8; 4]| meaning(&[Ipv4Addr::from(code)]);
        assert_eq!(meaning([127, 0, 0, 2]), Meaning::Listed);
        assert_eq!(meaning([127, 0, 10, 3]), Meaning::Listed);
        assert_eq!(meaning([127, 255, 255, 254]), Meaning::Refused);
        assert_eq!(meaning([127, 0, 0, 255]), Meaning::Refused);
        assert_eq!(meaning([203, 0, 113, 9]), Meaning::NotListed);
    }

    #[test]
    fn a_good_list_outweighs_a_bad_one() {
        let blocked = Some((zone(), String::new()));
        let bad = Listing { blocked: blocked.clone(), allowed: None };
        assert!(matches!(bad.judge().refusal(), Some(Refusal::Listed { .. })));
        assert_eq!(Listing { blocked, allowed: Some(zone()) }.judge().refusal(), None);
    }

    #[test]
    fn no_list_is_asked_through_everybodys_resolver() {
        let server = |text: &str| vec![text.parse::<SocketAddr>().expect("an address")];
        assert!(Lists::new(&[zone()], &[], &server("8.8.8.8:53")).block.is_empty());
        assert!(Lists::new(&[zone()], &[], &server("[2620:fe::fe]:53")).block.is_empty());
        assert_eq!(Lists::new(&[zone()], &[], &server("192.168.1.1:53")).block.len(), 1);
        assert!(PUBLIC_RESOLVERS.iter().all(|address| address.parse::<IpAddr>().is_ok()));
    }
}
