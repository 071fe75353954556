//! `postern-home dns …`.

use std::fmt::{self, Display, Formatter};

use clap::Subcommand;
use postern_message::address::DomainName;
use postern_shared::cli::{Exit, Failure};

use super::client::Client;
use super::table::Table;
use crate::admin::wire::{DnsRecord, DomainDns};

/// What only resolvers read.
const PROOFS: [&str; 2] = ["RRSIG", "NSEC"];

/// `postern-home dns …`
#[derive(Debug, Subcommand)]
pub enum DnsCommand {
    /// Show the records of a domain
    #[command(after_help = "Example:\n  postern-home dns show home.example")]
    Show {
        /// The domain
        domain: DomainName,
        /// Signatures and proofs of absence too
        #[arg(long)]
        all: bool,
    },
    /// Write the signed zone as a master file (RFC 1035)
    #[command(after_help = "Example:\n  postern-home dns export home.example > home.example.zone")]
    Export {
        /// The domain
        domain: DomainName,
    },
    /// Show the DS record that the registrar shall put into the parent zone
    #[command(after_help = "Example:\n  postern-home dns ds home.example")]
    Ds {
        /// The domain
        domain: DomainName,
    },
}

pub(super) fn execute(client: &Client, command: DnsCommand) -> Result<Exit, Failure> {
    let fetch = |domain: &DomainName| client.fetch::<DomainDns>(&format!("/v1/dns/{domain}"));
    match command {
        DnsCommand::Show { domain, all } => {
            let mut dns = fetch(&domain)?;
            dns.records.retain(|record| all || !PROOFS.contains(&record.record_type.as_str()));
            client.print(&dns, table(&dns.records))
        }
        DnsCommand::Export { domain } => {
            let dns = fetch(&domain)?;
            if dns.records.is_empty() {
                return Err(Failure::failed(format!(
                    "{domain} has no zone yet: an edge must be joined first."
                )));
            }
            client.print(&dns, MasterFile(&dns.records))
        }
        DnsCommand::Ds { domain } => {
            let dns = fetch(&domain)?;
            client.print(&dns.ds, Ds(&dns))
        }
    }
}

fn table(records: &[DnsRecord]) -> Table {
    let mut table = Table::new(["NAME", "TTL", "TYPE", "DATA"]);
    for record in records {
        let DnsRecord { owner, ttl, record_type, data } = record.clone();
        table.row([owner, ttl.to_string(), record_type, data]);
    }
    table
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

/// Lines of a master file, which every registry understands.
struct Ds<'a>(&'a DomainDns);

impl Display for Ds<'_> {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> =
            self.0.ds.iter().map(|ds| format!("{}. IN DS {ds}", self.0.domain)).collect();
        formatter.write_str(&lines.join("\n"))
    }
}
