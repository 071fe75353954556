//! The addresses of the mail host: those of the edge, or home's own where it has a public one (RFC 1035 §3.4.1, RFC 3596 §2).
//!
//! `mail.DOMAIN` is there in every zone, so that a user can write it into a mail program; the host name too, where it
//! is another name of this zone. The names of the web service point to the same place.

use hickory_proto::rr::Record;
use postern_message::address::DomainName;
use postern_shared::zone::ZoneError;

use super::authority::NAME_SERVERS;
use super::{Facts, mx, name, spf};
use crate::hostname::mail_host;
use crate::web::WebName;

pub(super) fn records(facts: &Facts) -> Result<Vec<Record>, ZoneError> {
    let of_domain = mail_host(&facts.domain).ok_or_else(|| ZoneError::Name(facts.domain.to_string()))?;
    let mut records = host(facts, &of_domain)?;
    let is_name_server =
        NAME_SERVERS.iter().any(|label| facts.hostname.as_str() == format!("{label}.{}", facts.domain));
    let is_below = facts.hostname.is_within(&facts.domain) && facts.hostname != facts.domain;
    if facts.hostname != of_domain && is_below && !is_name_server {
        records.extend(host(facts, &facts.hostname)?);
    }
    Ok(records)
}

/// A name of the web service, unless the operator's own records stand there.
pub(super) fn of_web(facts: &Facts, web: WebName) -> Result<Vec<Record>, ZoneError> {
    let name = web.below(&facts.domain);
    if facts.has_own(&super::name(name.as_str())?) { Ok(Vec::new()) } else { host(facts, &name) }
}

fn host(facts: &Facts, host: &DomainName) -> Result<Vec<Record>, ZoneError> {
    let host = name(host.as_str())?;
    let mut records: Vec<Record> = facts.at_home(&host).collect();
    records.extend([mx::null(&host), spf::senders(facts, host)]);
    Ok(records)
}
