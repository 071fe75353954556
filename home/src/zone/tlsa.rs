//! The keys of the mail host, for those who learn them by DNS instead of trusting a list of authorities (RFC 6698; RFC 7672
//! for SMTP): `3 1 1`, the SHA-256 digest of the public key of the server's own certificate (DANE-EE, SPKI).
//!
//! The record set has the present key, the one that comes next, and those that were shown a moment ago: RFC 7671 §8.1.

use hickory_proto::rr::rdata::TLSA;
use hickory_proto::rr::rdata::tlsa::{CertUsage, Matching, Selector};
use hickory_proto::rr::{RData, Record};
use postern_shared::zone::ZoneError;

use super::issuance::Issuance;
use super::name;

/// How long the world may remember them, in seconds.
pub const TTL: u32 = 3600;
/// Where a client may meet the certificate.
const PORTS: [u16; 6] = [25, 465, 587, 993, 995, 443];

pub(super) fn records(issuance: &Issuance) -> Result<Vec<Record>, ZoneError> {
    let Some((host, keys)) = &issuance.host else { return Ok(Vec::new()) };
    let mut records = Vec::new();
    for port in PORTS {
        let owner = name(&format!("_{port}._tcp.{host}"))?;
        records.extend(keys.iter().map(|key| Record::from_rdata(owner.clone(), TTL, data(key))));
    }
    Ok(records)
}

fn data(key: &[u8; 32]) -> RData {
    RData::TLSA(TLSA::new(CertUsage::DaneEe, Selector::Spki, Matching::Sha256, key.to_vec()))
}
