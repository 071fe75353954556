//! The zone as it was signed last, and what the parent zone shall have.

use postern_message::address::DomainName;
use postern_shared::zone::Zone;

use super::{Admin, DnsRecord, Refusal, describe};
use crate::admin::wire::dns::DomainDns;
use crate::zone::delegation;
use crate::zone::renew::{self, RenewError};

pub(super) fn show(admin: &Admin, domain: DomainName) -> Result<DomainDns, Refusal> {
    let ds = delegation::ds(&admin.directory, &domain)?;
    let kept = renew::kept(&admin.directory, &domain)?;
    let records = kept.as_ref().map_or(Ok(Vec::new()), |kept| records(&kept.zone))?;
    Ok(DomainDns { serial: kept.map(|kept| kept.zone.serial), ds, records, domain })
}

fn records(zone: &Zone) -> Result<Vec<DnsRecord>, Refusal> {
    let records = zone.records().map_err(RenewError::from)?;
    Ok(records.iter().map(describe).collect())
}
