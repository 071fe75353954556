//! Where mail programs find the services (RFC 6186 §3, RFC 8314 §5.1). TLS from the first octet is preferred.

use hickory_proto::rr::rdata::SRV;
use hickory_proto::rr::{RData, Record};
use postern_shared::zone::ZoneError;

use super::{Facts, TTL, name};

/// Service label, priority and port.
const SERVICES: [(&str, u16, u16); 3] =
    [("_imaps._tcp", 0, 993), ("_submissions._tcp", 0, 465), ("_submission._tcp", 10, 587)];

pub(super) fn records(facts: &Facts) -> Result<Vec<Record>, ZoneError> {
    let host = name(facts.hostname.as_str())?;
    let record = |(service, priority, port): (&str, u16, u16)| {
        let srv = SRV::new(priority, 1, port, host.clone());
        Ok(Record::from_rdata(facts.below(service)?, TTL, RData::SRV(srv)))
    };
    SERVICES.into_iter().map(record).collect()
}
