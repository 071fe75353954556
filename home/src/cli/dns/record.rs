//! `postern-home dns record …`: the operator's own records.
//!
//! In: a domain, owner, type and data as a person writes them. Out: the record as home has read it, the list, or a word that it
//! is gone. Refused: what home refuses, in its sentences.

use clap::Subcommand;
use postern_message::address::DomainName;
use postern_shared::cli::{Exit, Failure};
use postern_shared::http::Method;

use super::Client;
use super::form::{joining_spf, table};
use crate::admin::wire::Done;
use crate::admin::wire::dns::{DnsRecord, WrittenRecord};

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

pub(super) fn execute(client: &Client, command: RecordCommand) -> Result<Exit, Failure> {
    let path = |domain: &DomainName| format!("/v1/dns/{domain}/records");
    match command {
        RecordCommand::Add { domain, ttl, owner, record_type, data } => {
            let written = WrittenRecord { owner, record_type, ttl, data };
            let added: DnsRecord = client.call(Method::POST, &path(&domain), &written)?;
            let DnsRecord { owner, ttl, record_type, data } = &added;
            let joins = joining_spf(&domain, owner, record_type, data);
            let joins = joins.map_or_else(String::new, |joins| format!("\nAs an SPF record, {joins}."));
            client.print(&added, format_args!("{owner} {ttl} IN {record_type} {data}{joins}"))
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
