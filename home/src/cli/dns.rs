//! `postern-home dns …`.

use std::fmt::{self, Display, Formatter};

use clap::Subcommand;
use postern_message::address::DomainName;
use postern_shared::cli::{Exit, Failure};
use postern_shared::http::Method;

use super::client::Client;
use super::table::Table;
use crate::admin::wire::{DnsRecord, DomainDns, Done, WrittenRecord};

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
    /// Records of your own beside those that Postern makes
    #[command(
        subcommand,
        after_help = "Example:\n  postern-home dns record add home.example www A 192.0.2.7"
    )]
    Record(RecordCommand),
    /// Show the DS record that the registrar shall put into the parent zone
    #[command(after_help = "Example:\n  postern-home dns ds home.example")]
    Ds {
        /// The domain
        domain: DomainName,
    },
}

/// `postern-home dns record …`
#[derive(Debug, Subcommand)]
pub enum RecordCommand {
    /// Add a record
    #[command(after_help = "Examples:\n  postern-home dns record add home.example www A 192.0.2.7\n  \
                      postern-home dns record add home.example @ TXT 'some-site-verification=abc'")]
    Add {
        /// The domain
        domain: DomainName,
        /// How long others may keep it, in seconds
        #[arg(long)]
        ttl: Option<u32>,
        /// `@` for the domain itself, or a name below it
        owner: String,
        /// The type
        #[arg(value_name = "TYPE")]
        record_type: String,
        /// The data; each argument of a TXT record is one text
        #[arg(required = true, allow_hyphen_values = true)]
        data: Vec<String>,
    },
    /// List your own records
    #[command(after_help = "Example:\n  postern-home dns record list home.example")]
    List {
        /// The domain
        domain: DomainName,
    },
    /// Remove a record, or all of a name and type
    #[command(after_help = "Example:\n  postern-home dns record remove home.example www A")]
    Remove {
        /// The domain
        domain: DomainName,
        /// `@` for the domain itself, or a name below it
        owner: String,
        /// The type
        #[arg(value_name = "TYPE")]
        record_type: String,
        /// The data, where only the one record is meant
        #[arg(allow_hyphen_values = true)]
        data: Vec<String>,
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
        DnsCommand::Record(command) => record(client, command),
        DnsCommand::Ds { domain } => {
            let dns = fetch(&domain)?;
            client.print(&dns.ds, Ds(&dns))
        }
    }
}

fn record(client: &Client, command: RecordCommand) -> Result<Exit, Failure> {
    let path = |domain: &DomainName| format!("/v1/dns/{domain}/records");
    match command {
        RecordCommand::Add { domain, ttl, owner, record_type, data } => {
            let written = WrittenRecord { owner, record_type, ttl, data };
            let added: DnsRecord = client.call(Method::POST, &path(&domain), &written)?;
            let DnsRecord { owner, ttl, record_type, data } = &added;
            client.print(&added, format_args!("{owner} {ttl} IN {record_type} {data}"))
        }
        RecordCommand::List { domain } => {
            let records: Vec<DnsRecord> = client.fetch(&path(&domain))?;
            client.print(&records, table(&records))
        }
        RecordCommand::Remove { domain, owner, record_type, data } => {
            let written = WrittenRecord { owner, record_type, ttl: None, data };
            let done: Done = client.call(Method::DELETE, &path(&domain), &written)?;
            client.print(&done, "Removed.")
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
