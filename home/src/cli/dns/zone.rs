//! `postern-home dns show` and `dns export`: the zone as it was signed last.

use std::fmt::{self, Display, Formatter};

use postern_message::address::DomainName;
use postern_shared::cli::{Exit, Failure};

use super::{Client, table};
use crate::admin::wire::dns::{DnsRecord, DomainDns};

/// What only resolvers read.
const PROOFS: [&str; 2] = ["RRSIG", "NSEC"];

pub(super) fn fetch(client: &Client, domain: &DomainName) -> Result<DomainDns, Failure> {
    client.fetch(&format!("/v1/dns/{domain}"))
}

pub(super) fn show(client: &Client, domain: &DomainName, all: bool) -> Result<Exit, Failure> {
    let mut dns = fetch(client, domain)?;
    dns.records.retain(|record| all || !PROOFS.contains(&record.record_type.as_str()));
    client.print(&dns, table(&dns.records))
}

pub(super) fn export(client: &Client, domain: &DomainName) -> Result<Exit, Failure> {
    let dns = fetch(client, domain)?;
    if dns.records.is_empty() {
        return Err(Failure::failed(format!("{domain} has no zone yet: an edge must be joined first.")));
    }
    client.print(&dns, MasterFile(&dns.records))
}

struct MasterFile<'a>(&'a [DnsRecord]);

impl Display for MasterFile<'_> {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|record| {
            let DnsRecord { owner, ttl, record_type, data } = record;
            writeln!(formatter, "{owner} {ttl} IN {record_type} {data}")
        })
    }
}
