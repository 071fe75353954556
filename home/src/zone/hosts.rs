//! The addresses of the mail host: those of the edge, or home's own where it has a public one (RFC 1035 §3.4.1, RFC 3596 §2).
//!
//! `mail.DOMAIN` is there in every zone, so that a user can write it into a mail program; the host name too, where it
//! is another name of this zone.

use hickory_proto::rr::Record;
use postern_shared::zone::ZoneError;

use super::{Facts, name};
use crate::hostname::mail_host;

pub(super) fn records(facts: &Facts) -> Result<Vec<Record>, ZoneError> {
    let of_domain = mail_host(&facts.domain).ok_or_else(|| ZoneError::Name(facts.domain.to_string()))?;
    let mut records: Vec<Record> = facts.at_home(&name(of_domain.as_str())?).collect();
    if facts.hostname != of_domain && facts.hostname.is_within(&facts.domain) {
        records.extend(facts.at_home(&name(facts.hostname.as_str())?));
    }
    Ok(records)
}
