//! The zone as it was signed last, and what the parent zone shall have; of a domain whose DNS is elsewhere, what to publish.

use postern_message::address::DomainName;
use postern_shared::zone::Zone;
use postern_store::directory::DnsHosting;

use super::{Admin, DnsRecord, Refusal, describe, facts};
use crate::admin::wire::dns::DomainDns;
use crate::zone::renew::{self, RenewError};
use crate::zone::{delegation, for_elsewhere};

pub(super) fn show(admin: &Admin, domain: DomainName) -> Result<DomainDns, Refusal> {
    match admin.directory.snapshot().dns_hosting(&domain) {
        DnsHosting::Here => own_zone(admin, domain),
        DnsHosting::External => elsewhere(admin, domain),
    }
}

fn own_zone(admin: &Admin, domain: DomainName) -> Result<DomainDns, Refusal> {
    let ds = delegation::ds(&admin.directory, &domain)?;
    let kept = renew::kept(&admin.directory, &domain)?;
    let records = kept.as_ref().map_or(Ok(Vec::new()), |kept| records(&kept.zone))?;
    let serial = kept.map(|kept| kept.zone.serial);
    Ok(DomainDns { dns: DnsHosting::Here, serial, ds, records, domain })
}

fn elsewhere(admin: &Admin, domain: DomainName) -> Result<DomainDns, Refusal> {
    let records = for_elsewhere(&facts(admin, &domain)?).map_err(RenewError::from)?;
    let records = records.iter().map(describe).collect();
    Ok(DomainDns { dns: DnsHosting::External, serial: None, ds: Vec::new(), records, domain })
}

fn records(zone: &Zone) -> Result<Vec<DnsRecord>, Refusal> {
    let records = zone.records().map_err(RenewError::from)?;
    Ok(records.iter().map(describe).collect())
}
