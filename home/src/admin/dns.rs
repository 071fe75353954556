//! The domains' DNS, over the administration interface.

use postern_message::address::DomainName;
use postern_shared::http::StatusCode;
use postern_shared::zone::Zone;

use super::wire::{DnsRecord, DomainDns};
use super::{Admin, Refusal};
use crate::zone::renew::{self, RenewError};
use crate::zone::{delegation, text};

/// The zone as it was signed last, and what the parent zone shall have.
pub(super) fn show(admin: &Admin, domain: &str) -> Result<DomainDns, Refusal> {
    let domain = parse(domain)?;
    let ds = delegation::ds(&admin.directory, &domain)?;
    let kept = renew::kept(&admin.directory, &domain)?;
    let records = kept.as_ref().map_or(Ok(Vec::new()), |kept| records(&kept.zone))?;
    Ok(DomainDns { serial: kept.map(|kept| kept.zone.serial), ds, records, domain })
}

fn records(zone: &Zone) -> Result<Vec<DnsRecord>, Refusal> {
    let records = zone.records().map_err(RenewError::from)?;
    let describe = |record: &hickory_proto::rr::Record| DnsRecord {
        owner: record.name.to_ascii(),
        ttl: record.ttl,
        record_type: text::mnemonic(record.record_type()),
        data: text::rdata(&record.data),
    };
    Ok(records.iter().map(describe).collect())
}

fn parse(domain: &str) -> Result<DomainName, Refusal> {
    let refusal = |_| Refusal(StatusCode::NOT_FOUND, format!("`{domain}` is not a domain name."));
    DomainName::parse(domain).map_err(refusal)
}

impl From<RenewError> for Refusal {
    fn from(error: RenewError) -> Self {
        match error {
            RenewError::Directory(error) => error.into(),
            error => Self(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}.")),
        }
    }
}
