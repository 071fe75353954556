//! The keys that sign a zone, and their change.

use hickory_proto::rr::Name;
use postern_message::address::DomainName;
use postern_shared::http::StatusCode;
use postern_store::directory::DnsHosting;

use super::{Admin, Refusal};
use crate::admin::wire::dns::{DomainKeys, SigningKey};
use crate::zone::key::{AtParent, ZoneKey};
use crate::zone::renew::RenewError;
use crate::zone::{name, roll};

pub(super) fn show(admin: &Admin, domain: DomainName) -> Result<DomainKeys, Refusal> {
    require_here(admin, &domain)?;
    let origin = name(domain.as_str()).map_err(RenewError::from)?;
    let keys = roll::keys(&admin.directory, &domain)?;
    let keys = keys.iter().map(|key| listed(key, &origin)).collect::<Result<_, _>>()?;
    Ok(DomainKeys { keys, roll: roll::current(&admin.directory, &domain)?, domain })
}

pub(super) fn roll(admin: &Admin, domain: DomainName) -> Result<DomainKeys, Refusal> {
    require_here(admin, &domain)?;
    if !roll::begin(&admin.directory, &domain)? {
        let sentence = format!(
            "The key of {domain} is being changed already; `postern-home dns key show {domain}` says how far that is."
        );
        return Err(Refusal(StatusCode::CONFLICT, sentence));
    }
    tracing::info!(%domain, "the zone's key is being changed");
    show(admin, domain)
}

/// A key that signs nothing must not be given to the parent zone.
fn require_here(admin: &Admin, domain: &DomainName) -> Result<(), Refusal> {
    match admin.directory.snapshot().dns_hosting(domain) {
        DnsHosting::Here => Ok(()),
        DnsHosting::External => {
            let sentence = format!("The DNS of {domain} is elsewhere, and so are the keys that sign it.");
            Err(Refusal(StatusCode::CONFLICT, sentence))
        }
    }
}

fn listed(key: &ZoneKey, origin: &Name) -> Result<SigningKey, RenewError> {
    let ds = key.ds(origin)?.to_string();
    Ok(SigningKey { key_tag: key.tag, ds, at_parent: key.at_parent == AtParent::Wanted })
}
