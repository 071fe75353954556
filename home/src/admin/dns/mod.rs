//! The domains' DNS, over the administration interface: one file for each family of requests.

mod dkim;
mod import;
mod key;
mod records;
mod survey;
mod zone;

use hickory_proto::rr::Record;
use postern_message::address::DomainName;
use postern_shared::http::{Method, Request, Response, StatusCode};
use postern_store::directory::DirectoryError;

use super::wire::dns::DnsRecord;
use super::{Admin, Refusal, answer, change};
use crate::zone::own::OwnRecordError;
use crate::zone::renew::RenewError;
use crate::zone::{Facts, text};
pub(super) use survey::{delegation, difference};

/// Answers a request about one domain; `path` is what follows `/v1/dns/DOMAIN`. Waits for the disk.
pub(super) fn handle(admin: &Admin, request: &Request, domain: &str, path: &[&str]) -> Response {
    let domain = match hosted(admin, domain) {
        Ok(domain) => domain,
        Err(refusal) => return answer::<()>(Err(refusal)),
    };
    match (&request.method, path) {
        (&Method::GET, []) => answer(zone::show(admin, domain)),
        (&Method::GET, ["records"]) => answer(records::list(admin, &domain)),
        (&Method::POST, ["records"]) => change(request, |body| records::add(admin, &domain, &body)),
        (&Method::DELETE, ["records"]) => change(request, |body| records::remove(admin, &domain, &body)),
        (&Method::GET, ["dkim"]) => answer(Ok(dkim::show(admin, domain))),
        (&Method::POST, ["dkim"]) => change(request, |()| dkim::rotate(admin, domain)),
        (&Method::GET, ["key"]) => answer(key::show(admin, domain)),
        (&Method::POST, ["key"]) => change(request, |()| key::roll(admin, domain)),
        (&Method::POST, ["import"]) => change(request, |body| import::import(admin, &domain, &body)),
        _ => Response::not_found(),
    }
}

/// The domain that is meant, which is one of ours.
fn hosted(admin: &Admin, domain: &str) -> Result<DomainName, Refusal> {
    let refusal = |_| Refusal(StatusCode::NOT_FOUND, format!("`{domain}` is not a domain name."));
    let domain = DomainName::parse(domain).map_err(refusal)?;
    if admin.directory.is_local(&domain) {
        Ok(domain)
    } else {
        Err(DirectoryError::UnknownDomain(domain).into())
    }
}

/// What the zone depends on, as it is now.
pub(super) fn facts(admin: &Admin, domain: &DomainName) -> Result<Facts, Refusal> {
    Ok(admin.sources.household().facts(domain)?)
}

/// The record for people.
fn describe(record: &Record) -> DnsRecord {
    DnsRecord {
        owner: record.name.to_ascii(),
        ttl: record.ttl,
        record_type: text::mnemonic(record.record_type()),
        data: text::rdata(&record.data),
    }
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
