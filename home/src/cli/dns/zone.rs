//! `postern-home dns show` and `dns export`: the zone as it was signed last, or what to publish elsewhere.

use postern_message::address::DomainName;
use postern_shared::cli::{Exit, Failure};
use postern_store::directory::DnsHosting;

use super::Client;
use super::form::{Form, MasterFile};
use crate::admin::wire::dns::DomainDns;

/// What only resolvers read.
const PROOFS: [&str; 2] = ["RRSIG", "NSEC"];

/// Whether signatures and proofs of absence are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Proofs {
    /// With all else.
    Shown,
    /// They are left out.
    LeftOut,
}

pub(super) fn fetch(client: &Client, domain: &DomainName) -> Result<DomainDns, Failure> {
    client.fetch(&format!("/v1/dns/{domain}"))
}

/// Where the DNS is elsewhere, the records are there to be copied, so a master file is the usual form.
pub(super) fn show(
    client: &Client,
    domain: &DomainName,
    proofs: Proofs,
    form: Option<Form>,
) -> Result<Exit, Failure> {
    let mut dns = fetch(client, domain)?;
    dns.records.retain(|record| proofs == Proofs::Shown || !PROOFS.contains(&record.record_type.as_str()));
    let usual = match dns.dns {
        DnsHosting::Here => Form::Table,
        DnsHosting::External => Form::File,
    };
    client.print(&dns, form.unwrap_or(usual).show(domain, &dns.records))
}

pub(super) fn export(client: &Client, domain: &DomainName) -> Result<Exit, Failure> {
    let dns = fetch(client, domain)?;
    if dns.records.is_empty() {
        return Err(Failure::failed(format!("{domain} has no zone yet: an edge must be joined first.")));
    }
    client.print(&dns, MasterFile(&dns.records))
}
