//! The mail policy's id, and the host where senders fetch the policy (RFC 8461 §3.1, §3.2).
//!
//! Only while home has a certificate for that host that senders believe: a policy that is announced and cannot be fetched is
//! a fault that they report. The operator's own records at these names take the place of these.

use hickory_proto::rr::Record;
use postern_shared::zone::ZoneError;

use super::{ADDRESS_TTL, Facts, hosts, txt};
use crate::web::WebName;

/// The label of the TXT record.
pub(super) const LABEL: &str = "_mta-sts";

pub(super) fn records(facts: &Facts) -> Result<Vec<Record>, ZoneError> {
    let Some(policy) = facts.presence.policy(&facts.hostname) else { return Ok(Vec::new()) };
    let mut records = hosts::of_web(facts, WebName::MtaSts)?;
    let owner = facts.below(LABEL)?;
    if !facts.has_own(&owner) {
        let mut announced = txt(owner, &format!("v=STSv1; id={};", policy.id()));
        // RFC 8461 §8.1: a change counts once this has passed.
        announced.ttl = ADDRESS_TTL;
        records.push(announced);
    }
    Ok(records)
}
