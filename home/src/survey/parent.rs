//! What one name server holds of a domain, read from its answers.
//!
//! In: the responses of a server of the parent zone to the questions for the domain's NS and DS records; the response of a
//! name server of the domain for its SOA. Out: [`Held`], or the serial. Refused, as a [`Fault`]: whatever was not said
//! with authority. A referral has no authority by itself (RFC 1034 §4.3.2), but the answer about DS has it (RFC 4035
//! §3.1.4.1), so that one tells whether the server speaks for the parent zone.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Display, Formatter};
use std::net::IpAddr;

use hickory_proto::dnssec::rdata::{DNSSECRData, DS};
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use serde::{Deserialize, Serialize};

use super::ask::Silence;

/// Addresses by host.
pub type Glue = BTreeMap<Name, BTreeSet<IpAddr>>;

/// What a server of the parent zone has of a domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The name servers that it names; none where the domain is not delegated.
    pub name_servers: BTreeSet<Name>,
    /// Their addresses; `None` where the server answers for the domain itself too and so shows no glue.
    pub glue: Option<Glue>,
    /// The DS records.
    pub ds: Vec<DS>,
    /// Whether the parent zone is signed, as DS records have a meaning only then.
    pub is_signed: bool,
    /// How long others may keep this answer, in seconds.
    pub ttl: u32,
}

/// Why the word of a server does not count.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "fault", rename_all = "kebab-case")]
pub enum Fault {
    /// This machine has no way there, as one without IPv6 has none to an IPv6 address.
    NoRoute,
    /// It does not answer in time.
    Silent,
    /// It cannot be asked.
    Unreachable {
        /// What the system said.
        why: String,
    },
    /// It answers with an error.
    Refuses {
        /// The response code (RFC 1035 §4.1.1).
        code: String,
    },
    /// It answers, but does not have the zone.
    NotAuthoritative,
    /// It answers from a cache, as no name server does: something on the way answers in its place.
    Cache,
}

impl From<Silence> for Fault {
    fn from(silence: Silence) -> Self {
        match silence {
            Silence::NoRoute => Self::NoRoute,
            Silence::Late => Self::Silent,
            Silence::Failed(why) => Self::Unreachable { why },
        }
    }
}

impl Display for Fault {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRoute => formatter.write_str("this machine has no way to that address"),
            Self::Silent => formatter.write_str("does not answer"),
            Self::Unreachable { why } => write!(formatter, "cannot be asked: {why}"),
            Self::Refuses { code } => write!(formatter, "answers with an error: {code}"),
            Self::NotAuthoritative => formatter.write_str("answers, but does not have the zone"),
            Self::Cache => formatter.write_str("answers from a cache, as a resolver does and no name server"),
        }
    }
}

/// Reads what a server of the parent zone has.
///
/// # Errors
/// [`Fault`] where the answers are not the parent's.
pub fn held(domain: &Name, ns: &Message, ds: &Message) -> Result<Held, Fault> {
    let ds = authoritative(ds)?;
    let of_child = ds.authorities.iter().any(|it| it.record_type() == RecordType::SOA && it.name == *domain);
    if of_child {
        return Err(Fault::NotAuthoritative);
    }
    successful(ns)?;
    if !ns.answers.is_empty() && !ns.metadata.authoritative {
        return Err(Fault::Cache);
    }
    let delegating = || ns.answers.iter().chain(&ns.authorities).filter(|record| record.name == *domain);
    let name_servers = delegating().filter_map(|record| match &record.data {
        RData::NS(ns) => Some(ns.0.clone()),
        _ => None,
    });
    Ok(Held {
        name_servers: name_servers.collect(),
        glue: ns.answers.is_empty().then(|| glue(&ns.additionals)),
        ds: delegation_signers(domain, ds),
        is_signed: is_signed(ds),
        ttl: delegating().map(|record| record.ttl).chain([ttl(ds)]).max().unwrap_or(0),
    })
}

/// Reads the serial of the zone that a name server has.
///
/// # Errors
/// [`Fault`] where the server does not have the zone.
pub fn serial(domain: &Name, soa: &Message) -> Result<u32, Fault> {
    soa_serial(domain, authoritative(soa)?).ok_or(Fault::NotAuthoritative)
}

/// The serial in an answer, whoever gave it.
pub fn soa_serial(domain: &Name, answer: &Message) -> Option<u32> {
    answer.answers.iter().find_map(|record| match &record.data {
        RData::SOA(soa) if record.name == *domain => Some(soa.serial),
        _ => None,
    })
}

/// The response, where the server gives it with authority.
///
/// # Errors
/// [`Fault`].
pub fn authoritative(response: &Message) -> Result<&Message, Fault> {
    successful(response)?;
    if response.metadata.authoritative {
        Ok(response)
    } else if response.metadata.recursion_available || !response.answers.is_empty() {
        Err(Fault::Cache)
    } else {
        Err(Fault::NotAuthoritative)
    }
}

/// The response, where it says that something is there, or that nothing is.
///
/// # Errors
/// [`Fault::Refuses`].
pub fn successful(response: &Message) -> Result<&Message, Fault> {
    match response.metadata.response_code {
        ResponseCode::NoError | ResponseCode::NXDomain => Ok(response),
        code => Err(Fault::Refuses { code: code.to_string() }),
    }
}

fn glue(additionals: &[Record]) -> Glue {
    let mut glue = Glue::new();
    for record in additionals {
        let address = match &record.data {
            RData::A(v4) => IpAddr::V4(v4.0),
            RData::AAAA(v6) => IpAddr::V6(v6.0),
            _ => continue,
        };
        glue.entry(record.name.clone()).or_default().insert(address);
    }
    glue
}

fn delegation_signers(domain: &Name, response: &Message) -> Vec<DS> {
    let of_domain = response.answers.iter().filter(|record| record.name == *domain);
    let signers = of_domain.filter_map(|record| match &record.data {
        RData::DNSSEC(DNSSECRData::DS(ds)) => Some(ds.clone()),
        _ => None,
    });
    signers.collect()
}

fn is_signed(response: &Message) -> bool {
    let mut records = response.answers.iter().chain(&response.authorities);
    records.any(|record| record.record_type() == RecordType::RRSIG)
}

/// The answer's, or how long the absence may be kept (RFC 2308 §5).
fn ttl(response: &Message) -> u32 {
    let positive = response.answers.iter().map(|record| record.ttl).max();
    let negative = response.authorities.iter().find_map(|record| match &record.data {
        RData::SOA(soa) => Some(record.ttl.min(soa.minimum)),
        _ => None,
    });
    positive.or(negative).unwrap_or(0)
}

#[cfg(test)]
pub(super) mod tests {
    use hickory_proto::op::OpCode;
    use hickory_proto::rr::rdata::{A, NS, SOA};
    use proptest::prelude::*;

    use super::super::difference::{Standard, compare, published};
    use super::*;

    pub(in crate::survey) fn name(text: &str) -> Name {
        Name::from_ascii(text).expect("a name")
    }

    fn record(owner: &str, data: RData) -> Record {
        Record::from_rdata(name(owner), 3600, data)
    }

    fn response() -> Message {
        Message::response(7, OpCode::Query)
    }

    fn referral() -> Message {
        let mut message = response();
        for host in ["ns1.home.example.", "NS2.home.example."] {
            message.add_authority(record("home.example.", RData::NS(NS(name(host)))));
            message.add_additional(record(host, RData::A(A::new(192, 0, 2, 10))));
        }
        message
    }

    fn no_ds(zone: &str) -> Message {
        let mut message = response();
        message.metadata.authoritative = true;
        let soa = SOA::new(name("ns.nic.test."), name("hostmaster.nic.test."), 1, 3600, 600, 604_800, 900);
        message.add_authority(record(zone, RData::SOA(soa)));
        message
    }

    #[test]
    fn a_referral_is_what_the_parent_has() {
        let held = held(&name("home.example."), &referral(), &no_ds("example.")).expect("held");
        assert_eq!(held.name_servers, [name("ns1.home.example."), name("ns2.home.example.")].into());
        let glue = held.glue.expect("glue");
        assert_eq!(glue[&name("ns2.home.example.")], ["192.0.2.10".parse().expect("an address")].into());
        assert!(held.ds.is_empty() && !held.is_signed);
        assert_eq!(held.ttl, 3600);
    }

    #[test]
    fn what_is_not_said_with_authority_does_not_count() {
        let domain = name("home.example.");
        let mut from_cache = no_ds("example.");
        from_cache.metadata.authoritative = false;
        from_cache.metadata.recursion_available = true;
        assert_eq!(held(&domain, &referral(), &from_cache), Err(Fault::Cache));

        let mut cached_ns = response();
        cached_ns.add_answer(record("home.example.", RData::NS(NS(name("ns1.home.example.")))));
        assert_eq!(held(&domain, &cached_ns, &no_ds("example.")), Err(Fault::Cache));

        let mut lame = response();
        assert_eq!(held(&domain, &referral(), &lame), Err(Fault::NotAuthoritative));
        lame.metadata.response_code = ResponseCode::Refused;
        let refuses = Fault::Refuses { code: "Query Refused".to_owned() };
        assert_eq!(held(&domain, &lame, &no_ds("example.")), Err(refuses));
        assert_eq!(
            held(&domain, &referral(), &no_ds("home.example.")),
            Err(Fault::NotAuthoritative),
            "the child's word about DS is not the parent's"
        );
    }

    #[test]
    fn a_domain_that_is_not_there_has_no_name_servers() {
        let mut missing = no_ds("example.");
        missing.metadata.response_code = ResponseCode::NXDomain;
        let held = held(&name("home.example."), &missing, &missing).expect("held");
        assert!(held.name_servers.is_empty());
        assert_eq!(held.ttl, 900);
    }

    #[test]
    fn a_serial_counts_from_the_zone_itself_only() {
        let mut soa = no_ds("home.example.");
        soa.answers = std::mem::take(&mut soa.authorities);
        assert_eq!(serial(&name("home.example."), &soa), Ok(1));
        assert_eq!(serial(&name("home.example."), &referral()), Err(Fault::NotAuthoritative));
        assert_eq!(serial(&name("other.example."), &soa), Err(Fault::NotAuthoritative));
    }

    proptest! {
        #[test]
        fn no_octets_make_it_panic(place in 0..400_usize, octet: u8, more in proptest::collection::vec(any::<u8>(), 0..40)) {
            let mut octets = referral().to_vec().expect("encoded");
            let place = place % octets.len();
            octets[place] = octet;
            octets.extend(more);
            if let Ok(message) = Message::from_vec(&octets) {
                let domain = name("home.example.");
                let _ = (held(&domain, &message, &no_ds("example.")), held(&domain, &message, &message));
                for set in published(message.all_sections()) {
                    let _ = compare(&set, &message, Standard::Copied);
                }
            }
        }
    }
}
