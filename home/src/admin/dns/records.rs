//! The operator's own records.

use postern_message::address::DomainName;
use postern_shared::http::StatusCode;
use postern_store::directory::OwnRecord;

use super::{Admin, DnsRecord, Refusal, describe, facts};
use crate::admin::wire::Done;
use crate::admin::wire::dns::WrittenRecord;
use crate::zone::own::{self, Written};
use crate::zone::renew::RenewError;
use crate::zone::text;

pub(super) fn list(admin: &Admin, domain: &DomainName) -> Result<Vec<DnsRecord>, Refusal> {
    let facts = facts(admin, domain)?;
    let records = facts.own.iter().map(|own| Ok(describe(&own::record(own).map_err(RenewError::from)?)));
    records.chain(facts.unreadable.iter().map(|own| Ok(describe_unreadable(own)))).collect()
}

/// A record that makes no sense, with its data as they are kept (RFC 3597 §5).
fn describe_unreadable(own: &OwnRecord) -> DnsRecord {
    DnsRecord {
        owner: own.owner.clone(),
        ttl: own.ttl,
        record_type: own::mnemonic(own),
        data: text::generic(&own.rdata),
    }
}

pub(super) fn add(admin: &Admin, domain: &DomainName, body: &WrittenRecord) -> Result<DnsRecord, Refusal> {
    let facts = facts(admin, domain)?;
    let own = own::read(&facts, written(body))?;
    let shown = describe(&own::record(&own).map_err(RenewError::from)?);
    admin.directory.add_record(domain, own)?;
    tracing::info!(owner = %shown.owner, record_type = %shown.record_type, "own record added");
    Ok(shown)
}

pub(super) fn remove(admin: &Admin, domain: &DomainName, body: &WrittenRecord) -> Result<Done, Refusal> {
    let facts = facts(admin, domain)?;
    let (owner, record_type, rdata) = own::key(&facts, written(body))?;
    if admin.directory.remove_records(domain, &owner, record_type, rdata)? == 0 {
        let sentence = format!(
            "There is no such record of yours; `postern-home dns record list {domain}` shows those that are."
        );
        return Err(Refusal(StatusCode::NOT_FOUND, sentence));
    }
    tracing::info!(%owner, record_type, "own records removed");
    Ok(Done {})
}

fn written(body: &WrittenRecord) -> Written<'_> {
    Written { owner: &body.owner, record_type: &body.record_type, ttl: body.ttl, data: &body.data }
}
