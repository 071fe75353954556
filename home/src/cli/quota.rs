//! `postern-home quota`: how much users may keep.

use clap::{Args, Subcommand};
use postern_message::address::EmailAddress;
use postern_shared::cli::{Exit, Failure};
use postern_shared::http::Method;
use postern_store::account::{Limits, Usage};

use super::client::Client;
use super::table::Table;
use crate::admin::wire::{OfAccounts, QuotaListed, QuotaOf, SetQuota};

/// `postern-home quota …`
#[derive(Debug, Subcommand)]
pub enum QuotaCommand {
    /// Show what is used and what may be, of every user
    #[command(after_help = "Example:\n  postern-home quota list")]
    List,
    /// Limit what a user, or one mailbox of a user, may hold; what is there stays
    #[command(
        after_help = "Examples:\n  postern-home quota set ana@home.example --octets 10G\n  postern-home quota set ana@home.example --mailbox Lists --messages 5000\n  postern-home quota set ana@home.example --unlimited"
    )]
    Set {
        /// The user
        user: EmailAddress,
        /// Only this mailbox, without those below it
        #[arg(long, value_name = "NAME")]
        mailbox: Option<String>,
        /// How much; what is not given is unlimited
        #[command(flatten)]
        limits: LimitArgs,
    },
}

/// What may be held.
#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub struct LimitArgs {
    /// Octets: a number, with K, M, G or T for powers of 1024
    #[arg(long, value_name = "SIZE", value_parser = parse_octets)]
    octets: Option<u64>,
    /// Messages
    #[arg(long, value_name = "NUMBER")]
    messages: Option<u64>,
    /// Without a limit
    #[arg(long, conflicts_with_all = ["octets", "messages"])]
    unlimited: bool,
}

pub(super) fn execute(client: &Client, command: QuotaCommand) -> Result<Exit, Failure> {
    match command {
        QuotaCommand::List => {
            let quotas: OfAccounts<QuotaListed> = client.fetch("/v1/quota")?;
            client.print_of_accounts(&quotas, table(&quotas.entries))
        }
        QuotaCommand::Set { user, mailbox, limits } => {
            let limits = Limits { octets: limits.octets, messages: limits.messages };
            let request = SetQuota { of: QuotaOf { user, mailbox }, limits };
            let usage: Usage = client.call(Method::PUT, "/v1/quota", &request)?;
            client.print(&usage, format_args!("{} of {}.", used(&usage), request.of))
        }
    }
}

fn table(quotas: &[QuotaListed]) -> Table {
    let mut table = Table::new(["USER", "MAILBOX", "OCTETS", "OF", "MESSAGES", "OF"]);
    for QuotaListed { of, usage } in quotas {
        table.row([
            of.user.to_string(),
            of.mailbox.clone().unwrap_or_default(),
            usage.octets.to_string(),
            limit(usage.limits.octets),
            usage.messages.to_string(),
            limit(usage.limits.messages),
        ]);
    }
    table
}

fn used(usage: &Usage) -> String {
    let Usage { octets, messages, limits } = usage;
    format!(
        "{octets} octets of {} and {messages} messages of {} are used",
        limit(limits.octets),
        limit(limits.messages)
    )
}

fn limit(limit: Option<u64>) -> String {
    limit.map_or_else(|| "unlimited".to_owned(), |limit| limit.to_string())
}

fn parse_octets(text: &str) -> Result<u64, String> {
    let (digits, unit) = match text.strip_suffix(|unit: char| unit.is_ascii_alphabetic()) {
        Some(digits) => (digits, text.get(digits.len()..).unwrap_or_default()),
        None => (text, ""),
    };
    let shift = match unit {
        "" => 0,
        "K" => 10,
        "M" => 20,
        "G" => 30,
        "T" => 40,
        _ => return Err("expected a number, with K, M, G or T".to_owned()),
    };
    let number: u64 = digits.parse().map_err(|_| "expected a number, with K, M, G or T".to_owned())?;
    number.checked_mul(1 << shift).ok_or_else(|| "too large".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read() {
        assert_eq!(parse_octets("10"), Ok(10));
        assert_eq!(parse_octets("2G"), Ok(2 << 30));
        for wrong in ["", "G", "1g", "1.5G", "-1", "99999999T"] {
            assert!(parse_octets(wrong).is_err(), "{wrong}");
        }
    }
}
