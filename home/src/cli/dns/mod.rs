//! `postern-home dns …`: one file for each family of subcommands.

mod ds;
mod record;
mod zone;

use clap::Subcommand;
use postern_message::address::DomainName;
use postern_shared::cli::{Exit, Failure};

use self::record::RecordCommand;
use super::client::Client;
use super::table::Table;
use crate::admin::wire::dns::DnsRecord;

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

pub(super) fn execute(client: &Client, command: DnsCommand) -> Result<Exit, Failure> {
    match command {
        DnsCommand::Show { domain, all } => zone::show(client, &domain, all),
        DnsCommand::Export { domain } => zone::export(client, &domain),
        DnsCommand::Record(command) => record::execute(client, command),
        DnsCommand::Ds { domain } => ds::show(client, &domain),
    }
}

/// Records for people.
fn table(records: &[DnsRecord]) -> Table {
    let mut table = Table::new(["NAME", "TTL", "TYPE", "DATA"]);
    for record in records {
        let DnsRecord { owner, ttl, record_type, data } = record.clone();
        table.row([owner, ttl.to_string(), record_type, data]);
    }
    table
}
