//! Where mail for the domain goes (RFC 5321 §5, RFC 1035 §3.3.9).
//!
//! All domains point to the one host name: it is the name in the greeting, in the certificate and in the PTR record.

use hickory_proto::rr::rdata::MX;
use hickory_proto::rr::{Name, RData, Record};
use postern_shared::zone::ZoneError;

use super::{Facts, TTL, name};

const PREFERENCE: u16 = 10;

pub(super) fn records(facts: &Facts) -> Result<Vec<Record>, ZoneError> {
    let mx = MX::new(PREFERENCE, name(facts.hostname.as_str())?);
    Ok(vec![Record::from_rdata(facts.apex()?, TTL, RData::MX(mx))])
}

/// A host name that is no mail domain says so (RFC 7505 §3), or senders would try its address (RFC 5321 §5.1).
pub(super) fn null(host: &Name) -> Record {
    Record::from_rdata(host.clone(), TTL, RData::MX(MX::new(0, Name::root())))
}
