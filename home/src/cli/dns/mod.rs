//! `postern-home dns …`: one file for each family of subcommands.

mod delegation;
mod diff;
mod dkim;
mod ds;
mod import;
mod key;
mod record;
mod secondary;
mod zone;

mod form;

use std::path::PathBuf;

use clap::Subcommand;
use postern_message::address::DomainName;
use postern_shared::cli::{Exit, Failure};

use self::dkim::DkimCommand;
use self::form::Form;
use self::import::Effect;
use self::key::KeyCommand;
use self::record::RecordCommand;
use self::secondary::SecondaryCommand;
use self::zone::Proofs;
use super::client::Client;
use super::table::Table;

/// `postern-home dns …`
#[derive(Debug, Subcommand)]
pub enum DnsCommand {
    /// Show the records of a domain; of one whose DNS is elsewhere, what to publish there
    #[command(
        after_help = "Examples:\n  postern-home dns show home.example\n  postern-home dns show other.example --form web"
    )]
    Show {
        /// The domain
        domain: DomainName,
        /// Signatures and proofs of absence too
        #[arg(long)]
        all: bool,
        /// How [default: table; file where the DNS is elsewhere]
        #[arg(long)]
        form: Option<Form>,
    },
    /// Write the signed zone as a master file (RFC 1035); of a domain whose DNS is elsewhere, what to publish there
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
    /// Other name servers that serve the zones too
    #[command(
        subcommand,
        after_help = "Example:\n  postern-home dns secondary add ns3.home.example 203.0.113.53"
    )]
    Secondary(SecondaryCommand),
    /// Take over the records of a zone that was served elsewhere
    ///
    /// Reads a master file (RFC 1035) as other name servers and DNS providers export it. Records that Postern makes itself
    /// are replaced by those; all others are kept as your own. Where one line cannot be taken, nothing is changed.
    #[command(after_help = "Examples:\n  postern-home dns import home.example old.zone --dry-run\n  \
                      postern-home dns import home.example old.zone")]
    Import {
        /// The domain
        domain: DomainName,
        /// The master file
        file: PathBuf,
        /// Only show what would become of each record
        #[arg(long)]
        dry_run: bool,
    },
    /// The key that signs the zone
    #[command(subcommand, after_help = "Example:\n  postern-home dns key roll home.example")]
    Key(KeyCommand),
    /// The keys that sign the domain's mail (DKIM)
    #[command(subcommand, after_help = "Example:\n  postern-home dns dkim show home.example")]
    Dkim(DkimCommand),
    /// Show the DS record that the registrar shall put into the parent zone
    #[command(after_help = "Example:\n  postern-home dns ds home.example")]
    Ds {
        /// The domain
        domain: DomainName,
    },
    /// Show what to give the registrar, and ask the parent zone's servers what they have of it; ends with 3 when something
    /// is missing, wrong or on its way, with 1 when they cannot be asked
    #[command(after_help = "Example:\n  postern-home dns delegation home.example")]
    Delegation {
        /// The domain
        domain: DomainName,
    },
    /// Compare the records with what the domain's name servers and the resolver answer; ends with 3 where they differ, with
    /// 1 when they cannot be asked
    #[command(after_help = "Example:\n  postern-home dns diff home.example --json")]
    Diff {
        /// The domain
        domain: DomainName,
    },
}

pub(super) fn execute(client: &Client, command: DnsCommand) -> Result<Exit, Failure> {
    match command {
        DnsCommand::Show { domain, all, form } => {
            let proofs = if all { Proofs::Shown } else { Proofs::LeftOut };
            zone::show(client, &domain, proofs, form)
        }
        DnsCommand::Export { domain } => zone::export(client, &domain),
        DnsCommand::Record(command) => record::execute(client, command),
        DnsCommand::Secondary(command) => secondary::execute(client, command),
        DnsCommand::Import { domain, file, dry_run } => {
            let effect = if dry_run { Effect::Shown } else { Effect::Done };
            import::import(client, &domain, &file, effect)
        }
        DnsCommand::Key(command) => key::execute(client, command),
        DnsCommand::Dkim(command) => dkim::execute(client, command),
        DnsCommand::Ds { domain } => ds::show(client, &domain),
        DnsCommand::Delegation { domain } => delegation::show(client, &domain),
        DnsCommand::Diff { domain } => diff::show(client, &domain),
    }
}
