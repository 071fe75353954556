//! SOA, NS and the name servers' addresses (RFC 1035 §3.3.13, §3.3.11).
//!
//! Both name servers are the edge: registries ask for two names, and the registry's glue carries the same addresses. What
//! others serve is in [`secondary`](super::secondary).

use hickory_proto::rr::rdata::{NS, SOA};
use hickory_proto::rr::{RData, Record};
use postern_shared::zone::ZoneError;

use super::{Facts, TTL, mx, spf};

/// The labels of the name servers.
pub(super) const NAME_SERVERS: [&str; 2] = ["ns1", "ns2"];
/// When a secondary asks by itself, and asks again, in seconds: NOTIFY comes sooner.
const REFRESH: i32 = 3600;
const RETRY: i32 = 600;
/// When a secondary gives a zone up that it cannot refresh, in seconds: signatures end later.
pub const EXPIRE: i32 = 14 * 86_400;
/// How long the world remembers that a name does not exist, in seconds (RFC 2308 §4).
const NEGATIVE_TTL: u32 = 300;

pub(super) fn records(facts: &Facts, serial: u32) -> Result<Vec<Record>, ZoneError> {
    let (apex, primary) = (facts.apex()?, facts.below(NAME_SERVERS[0])?);
    let responsible = facts.below("postmaster")?;
    let soa = SOA::new(primary, responsible, serial, REFRESH, RETRY, EXPIRE, NEGATIVE_TTL);
    let mut records = vec![Record::from_rdata(apex.clone(), TTL, RData::SOA(soa))];
    for label in NAME_SERVERS {
        let host = facts.below(label)?;
        records.extend(facts.at_edge(&host));
        records.extend([mx::null(&host), spf::nobody(host.clone())]);
        records.push(Record::from_rdata(apex.clone(), TTL, RData::NS(NS(host))));
    }
    Ok(records)
}
