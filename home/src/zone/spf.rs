//! Who may send for the domain (RFC 7208): the mail host's addresses and nobody else.
//!
//! The addresses stand in the record itself and not behind `mx`: the receiver needs no further look-up, so none can
//! fail, and home rewrites the record whenever the addresses change.

use std::net::IpAddr;

use hickory_proto::rr::{Name, Record};
use postern_shared::zone::ZoneError;

use super::{Facts, txt};

pub(super) fn records(facts: &Facts) -> Result<Vec<Record>, ZoneError> {
    Ok(vec![senders(facts, facts.apex()?)])
}

/// Mail in this name leaves from the mail host. The mail host's own name is judged where a report has no reverse path (RFC
/// 7208 §2.4).
pub(super) fn senders(facts: &Facts, owner: Name) -> Record {
    let mechanisms: String = facts.mail_addresses.iter().map(mechanism).collect();
    txt(owner, &format!("v=spf1{mechanisms} -all"))
}

/// Nobody sends in this name.
pub(super) fn nobody(owner: Name) -> Record {
    txt(owner, "v=spf1 -all")
}

fn mechanism(address: &IpAddr) -> String {
    match address {
        IpAddr::V4(v4) => format!(" ip4:{v4}"),
        IpAddr::V6(v6) => format!(" ip6:{v6}"),
    }
}
