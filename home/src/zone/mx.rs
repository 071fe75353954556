//! Where mail for the domain goes (RFC 5321 §5, RFC 1035 §3.3.9).
//!
//! All domains point to the one host name: it is the name in the greeting, in the certificate and in the PTR record.

use hickory_proto::rr::rdata::MX;
use hickory_proto::rr::{RData, Record};
use postern_shared::zone::ZoneError;

use super::{Facts, TTL, name};

const PREFERENCE: u16 = 10;

pub(super) fn records(facts: &Facts) -> Result<Vec<Record>, ZoneError> {
    let mx = MX::new(PREFERENCE, name(facts.hostname.as_str())?);
    Ok(vec![Record::from_rdata(facts.apex()?, TTL, RData::MX(mx))])
}
