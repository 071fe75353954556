//! Answers to the challenges of a certificate authority (RFC 8555 §8.4). They are there while an order is under way.

use hickory_proto::rr::rdata::TXT;
use hickory_proto::rr::{RData, Record};
use postern_shared::zone::ZoneError;

use super::issuance::{Challenge, Issuance};
use super::name;

/// Nobody shall remember them for long, since the next order's are others; in seconds.
pub const TTL: u32 = 5;

pub(super) fn records(issuance: &Issuance) -> Result<Vec<Record>, ZoneError> {
    issuance.challenges.iter().map(record).collect()
}

fn record(challenge: &Challenge) -> Result<Record, ZoneError> {
    let owner = name(&format!("_acme-challenge.{}", challenge.name))?;
    Ok(Record::from_rdata(owner, TTL, RData::TXT(TXT::new(vec![challenge.digest.clone()]))))
}
