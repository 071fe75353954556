//! The domains' DNS, over the administration interface.

use hickory_proto::rr::Record;
use postern_message::address::DomainName;
use postern_shared::http::StatusCode;
use postern_shared::zone::Zone;
use postern_store::directory::DirectoryError;

use super::wire::{DnsRecord, DomainDns, Done, WrittenRecord};
use super::{Admin, Refusal};
use crate::zone::own::{self, OwnRecordError, Written};
use crate::zone::renew::{self, RenewError};
use crate::zone::{Facts, Household, delegation, text};

/// The zone as it was signed last, and what the parent zone shall have.
pub(super) fn show(admin: &Admin, domain: &str) -> Result<DomainDns, Refusal> {
    let domain = parse(domain)?;
    let ds = delegation::ds(&admin.directory, &domain)?;
    let kept = renew::kept(&admin.directory, &domain)?;
    let records = kept.as_ref().map_or(Ok(Vec::new()), |kept| records(&kept.zone))?;
    Ok(DomainDns { serial: kept.map(|kept| kept.zone.serial), ds, records, domain })
}

/// The operator's own records.
pub(super) fn own_records(admin: &Admin, domain: &str) -> Result<Vec<DnsRecord>, Refusal> {
    let facts = facts(admin, &parse(domain)?)?;
    let records = facts.own.iter().map(|own| Ok(describe(&own::record(own).map_err(RenewError::from)?)));
    records.collect()
}

pub(super) fn add_record(admin: &Admin, domain: &str, body: &WrittenRecord) -> Result<DnsRecord, Refusal> {
    let facts = facts(admin, &parse(domain)?)?;
    let own = own::read(&facts, written(body))?;
    let shown = describe(&own::record(&own).map_err(RenewError::from)?);
    admin.directory.add_record(&facts.domain, own)?;
    tracing::info!(owner = %shown.owner, record_type = %shown.record_type, "own record added");
    Ok(shown)
}

pub(super) fn remove_records(admin: &Admin, domain: &str, body: &WrittenRecord) -> Result<Done, Refusal> {
    let facts = facts(admin, &parse(domain)?)?;
    let (owner, record_type, rdata) = own::key(&facts, written(body))?;
    match admin.directory.remove_records(&facts.domain, &owner, record_type, rdata)? {
        0 => Err(Refusal(
            StatusCode::NOT_FOUND,
            format!(
                "There is no such record of yours; `postern-home dns record list {domain}` shows those that are."
            ),
        )),
        _ => Ok(Done {}),
    }
}

fn facts(admin: &Admin, domain: &DomainName) -> Result<Facts, Refusal> {
    if !admin.directory.is_local(domain) {
        return Err(DirectoryError::UnknownDomain(domain.clone()).into());
    }
    let household = Household {
        directory: admin.directory.clone(),
        hostname: admin.hostname.current(),
        edge: admin.link.edge_addresses().borrow().clone(),
        offered: admin.offered.clone(),
    };
    Ok(household.facts(domain)?)
}

fn written(body: &WrittenRecord) -> Written<'_> {
    Written { owner: &body.owner, record_type: &body.record_type, ttl: body.ttl, data: &body.data }
}

fn records(zone: &Zone) -> Result<Vec<DnsRecord>, Refusal> {
    let records = zone.records().map_err(RenewError::from)?;
    Ok(records.iter().map(describe).collect())
}

fn describe(record: &Record) -> DnsRecord {
    DnsRecord {
        owner: record.name.to_ascii(),
        ttl: record.ttl,
        record_type: text::mnemonic(record.record_type()),
        data: text::rdata(&record.data),
    }
}

fn parse(domain: &str) -> Result<DomainName, Refusal> {
    let refusal = |_| Refusal(StatusCode::NOT_FOUND, format!("`{domain}` is not a domain name."));
    DomainName::parse(domain).map_err(refusal)
}

impl From<OwnRecordError> for Refusal {
    fn from(error: OwnRecordError) -> Self {
        Self(StatusCode::UNPROCESSABLE_ENTITY, format!("{error}."))
    }
}

impl From<RenewError> for Refusal {
    fn from(error: RenewError) -> Self {
        match error {
            RenewError::Directory(error) => error.into(),
            error => Self(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}.")),
        }
    }
}
