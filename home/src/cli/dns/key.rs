//! `postern-home dns key …`: the keys that sign a zone, and their change.

use std::fmt::{self, Display, Formatter};
use std::time::Duration;

use clap::Subcommand;
use jiff::Timestamp;
use postern_message::address::DomainName;
use postern_shared::cli::{Exit, Failure, time_text, write_row};
use postern_shared::http::Method;

use super::Client;
use crate::admin::wire::dns::DomainKeys;
use crate::zone::clock::timestamp;
use crate::zone::roll::Step;

/// Where the values begin.
const INDENT: usize = 10;

/// `postern-home dns key …`
#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// Show the keys that sign the zone, and how far their change has come
    #[command(after_help = "Example:\n  postern-home dns key show home.example")]
    Show {
        /// The domain
        domain: DomainName,
    },
    /// Change the key that signs the zone
    ///
    /// A new key signs beside the old one. When the world knows it, the registrar has to exchange the DS record (`dns
    /// delegation` says when, and `status` warns); the old key goes when the world has forgotten the old DS record.
    #[command(after_help = "Example:\n  postern-home dns key roll home.example")]
    Roll {
        /// The domain
        domain: DomainName,
    },
}

pub(super) fn execute(client: &Client, command: KeyCommand) -> Result<Exit, Failure> {
    let path = |domain: &DomainName| format!("/v1/dns/{domain}/key");
    let keys: DomainKeys = match command {
        KeyCommand::Show { domain } => client.fetch(&path(&domain))?,
        KeyCommand::Roll { domain } => client.call(Method::POST, &path(&domain), &())?,
    };
    client.print(&keys, Report(&keys))
}

struct Report<'a>(&'a DomainKeys);

impl Display for Report<'_> {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        let Self(DomainKeys { domain, keys, roll }) = self;
        for key in keys {
            let at_parent =
                if key.at_parent { "; the parent zone shall have" } else { "; not for the parent zone:" };
            write_row(formatter, INDENT, "key", format_args!("{}{at_parent} DS {}", key.key_tag, key.ds))?;
        }
        match roll {
            Some(step) => write_row(formatter, INDENT, "change", Told { domain, step: *step }),
            None => write_row(formatter, INDENT, "change", "none is under way"),
        }
    }
}

struct Told<'a> {
    domain: &'a DomainName,
    step: Step,
}

impl Display for Told<'_> {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        let seconds = |seconds: u32| time_text(Duration::from_secs(seconds.into()));
        let at = |since: u64| -> Timestamp { timestamp(since) };
        let domain = self.domain;
        match self.step {
            Step::Introducing { since: None } => formatter.write_str(
                "both keys sign; the new zone has to reach all name servers first (`postern-home status`)",
            ),
            Step::Introducing { since: Some(since) } => write!(
                formatter,
                "both keys sign, and all name servers have had them since {}; it goes on by itself when resolvers have \
                 forgotten what was before, in an hour or the longest TTL of your records",
                at(since)
            ),
            Step::Exchanging { .. } => write!(
                formatter,
                "now the DS record has to be exchanged at the registrar's: `postern-home dns delegation {domain}`"
            ),
            Step::Settling { since, ttl } => write!(
                formatter,
                "the parent zone has had the new DS record since {}; the old key goes by itself when resolvers have \
                 forgotten the old one, {} later",
                at(since),
                seconds(ttl)
            ),
        }
    }
}
