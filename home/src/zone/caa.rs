//! Who may issue certificates for the domain (RFC 8659), bound to home's own accounts and to proof by DNS (RFC 8657):
//! whoever else takes over the edge's address, or an account elsewhere, gets no certificate.
//!
//! Without an account there is no record, and every authority may issue.

use hickory_proto::rr::rdata::CAA;
use hickory_proto::rr::rdata::caa::KeyValue;
use hickory_proto::rr::{RData, Record};
use postern_shared::zone::ZoneError;

use super::Name;
use super::issuance::{Issuance, Issuer};

/// A change of the authority shall count soon, in seconds.
const TTL: u32 = 300;

pub(super) fn records(apex: &Name, issuance: &Issuance) -> Result<Vec<Record>, ZoneError> {
    let record = |issuer: &Issuer| {
        let malformed = |_| ZoneError::Name(issuer.authority.clone());
        let authority = Name::from_ascii(&issuer.authority).map_err(malformed)?;
        let parameters =
            vec![KeyValue::new("accounturi", &issuer.account), KeyValue::new("validationmethods", "dns-01")];
        let caa = CAA::new_issue(false, Some(authority), parameters);
        Ok(Record::from_rdata(apex.clone(), TTL, RData::CAA(caa)))
    };
    issuance.issuers.iter().map(record).collect()
}
