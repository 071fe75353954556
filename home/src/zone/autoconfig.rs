//! The hosts where mail programs ask for settings: `autoconfig` (Thunderbird) and `autodiscover` (Outlook).
//!
//! Only while home has a certificate for them that programs believe; without these names they ask the SRV records. The
//! operator's own records at these names take the place of these.

use hickory_proto::rr::Record;
use postern_shared::zone::ZoneError;

use super::{Facts, hosts};
use crate::web::WebName;

pub(super) fn records(facts: &Facts) -> Result<Vec<Record>, ZoneError> {
    let names = [WebName::Autoconfig, WebName::Autodiscover];
    let published = names.into_iter().filter(|name| facts.presence.certified.contains(name));
    let hosts = published.map(|name| hosts::of_web(facts, name)).collect::<Result<Vec<_>, _>>()?;
    Ok(hosts.concat())
}
