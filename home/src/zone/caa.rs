//! Who may issue certificates for the domain (RFC 8659), bound to home's own accounts and to proof by DNS (RFC 8657):
//! whoever else takes over the edge's address, or an account elsewhere, gets no certificate.
//!
//! * In: the accounts, the operator's own CAA records, the hosts of the zone. Out: an `issue` for each account at the domain
//!   itself, and at every name on the way to a host at which the operator has CAA records, since only the nearest count (RFC
//!   8659 §3); where the operator has an `issuewild`, one of those too, since `issue` then says nothing of wildcards (§4.3).
//! * Refused: an account that no record can name ([`Issuer::check`]); it is left out, and told.
//!
//! Without an account there is no record, and every authority may issue.

use std::collections::BTreeSet;

use hickory_proto::rr::rdata::CAA;
use hickory_proto::rr::rdata::caa::KeyValue;
use hickory_proto::rr::{Name, RData, Record, RecordType};
use postern_shared::zone::ZoneError;

use super::issuance::Issuer;
use super::{Facts, own};

/// A change of the authority shall count soon, in seconds.
const TTL: u32 = 300;

/// What issuers of certificates are known to understand (RFC 8659 §4.2 to §4.4, RFC 9495, the CA/Browser Forum's rules).
const TAGS: [&str; 6] = ["issue", "issuewild", "iodef", "issuemail", "contactemail", "contactphone"];

/// Those at the domain itself, whatever the operator has.
pub(super) fn records(apex: &Name, issuers: &[Issuer]) -> Vec<Record> {
    each(issuers, |authority, parameters| at(apex, CAA::new_issue(false, authority, parameters)))
}

/// Those without which the operator's would keep home's accounts from issuing for a host among `others`.
pub(super) fn beside_own(facts: &Facts, others: &[Record]) -> Result<Vec<Record>, ZoneError> {
    let (apex, issuers) = (facts.apex()?, &facts.issuance.issuers);
    let own: Vec<(Name, CAA)> = facts.own.iter().filter_map(own_caa).collect();
    let mut added = Vec::new();
    for owner in owners(&own, others) {
        if *owner != apex {
            added.extend(records(owner, issuers));
        }
        if own.iter().any(|(name, caa)| name == owner && caa.tag.eq_ignore_ascii_case("issuewild")) {
            let wild = |authority, parameters| at(owner, CAA::new_issuewild(false, authority, parameters));
            added.extend(each(issuers, wild));
        }
    }
    Ok(added)
}

/// The tag of a record that forbids everything to issuers that do not understand it (RFC 8659 §4.5), as all may.
pub(super) fn critical_unknown(record: &Record) -> Option<&str> {
    let RData::CAA(caa) = &record.data else { return None };
    let is_known = TAGS.iter().any(|tag| caa.tag.eq_ignore_ascii_case(tag));
    (caa.issuer_critical && !is_known).then_some(&caa.tag)
}

/// The operator's names at or below which there are hosts.
fn owners<'a>(own: &'a [(Name, CAA)], others: &[Record]) -> BTreeSet<&'a Name> {
    let is_host = |it: &&Record| matches!(it.record_type(), RecordType::A | RecordType::AAAA);
    let has_host = |owner: &&Name| others.iter().filter(is_host).any(|it| owner.zone_of(&it.name));
    own.iter().map(|(owner, _)| owner).filter(has_host).collect()
}

fn own_caa(own: &postern_store::directory::OwnRecord) -> Option<(Name, CAA)> {
    let record = own::record(own).ok()?;
    match record.data {
        RData::CAA(caa) => Some((record.name, caa)),
        _ => None,
    }
}

/// One record for each account that a record can name.
fn each(issuers: &[Issuer], record: impl Fn(Option<Name>, Vec<KeyValue>) -> Record) -> Vec<Record> {
    let named = issuers.iter().filter_map(|issuer| Some((issuer.check().ok()?, issuer)));
    let of = |(authority, issuer): (Name, &Issuer)| {
        let account = KeyValue::new("accounturi", &issuer.account);
        record(Some(authority), vec![account, KeyValue::new("validationmethods", "dns-01")])
    };
    named.map(of).collect()
}

fn at(owner: &Name, caa: CAA) -> Record {
    Record::from_rdata(owner.clone(), TTL, RData::CAA(caa))
}
