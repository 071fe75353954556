//! `postern-home dns dkim …`: the keys that sign a domain's mail, and their change.

use std::fmt::{self, Display, Formatter};
use std::time::Duration;

use clap::Subcommand;
use postern_message::address::DomainName;
use postern_shared::cli::{Exit, Failure, time_text};
use postern_shared::http::Method;
use postern_store::directory::{DkimStage, DnsHosting};

use super::{Client, Table};
use crate::admin::wire::dns::{DkimKeys, ListedDkimKey};
use crate::dkim::ladder::KEPT;

/// `postern-home dns dkim …`
#[derive(Debug, Subcommand)]
pub enum DkimCommand {
    /// Show the keys, which of them sign, and how far a change of them has come
    #[command(after_help = "Example:\n  postern-home dns dkim show home.example")]
    Show {
        /// The domain
        domain: DomainName,
    },
    /// Change the keys now, which happens by itself every `rotate_days` of home.toml
    ///
    /// New keys are announced in the DNS and sign from when every resolver can know them; the records of the old ones stay two
    /// weeks longer, for mail that is under way.
    #[command(after_help = "Example:\n  postern-home dns dkim rotate home.example")]
    Rotate {
        /// The domain
        domain: DomainName,
    },
}

pub(super) fn execute(client: &Client, command: DkimCommand) -> Result<Exit, Failure> {
    let path = |domain: &DomainName| format!("/v1/dns/{domain}/dkim");
    let keys: DkimKeys = match command {
        DkimCommand::Show { domain } => client.fetch(&path(&domain))?,
        DkimCommand::Rotate { domain } => client.call(Method::POST, &path(&domain), &())?,
    };
    client.print(&keys, Report(&keys))
}

struct Report<'a>(&'a DkimKeys);

impl Display for Report<'_> {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        let Self(DkimKeys { domain, dns, keys }) = self;
        let mut table = Table::new(["SELECTOR", "TYPE", "STAGE", "SINCE", "NEXT"]);
        for key in keys {
            let ListedDkimKey { selector, algorithm, stage, since } = key;
            let (name, next) = told(*stage, since.is_some());
            let since = since.map_or_else(String::new, |since| since.to_string());
            table.row([selector.clone(), algorithm.clone(), name.to_owned(), since, next]);
        }
        write!(formatter, "{table}")?;
        let is_announced = keys.iter().any(|key| key.stage == DkimStage::Announced);
        if *dns == DnsHosting::External && is_announced {
            writeln!(
                formatter,
                "The DNS of {domain} is elsewhere: publish the new records there, `postern-home dns show {domain}` prints them."
            )?;
        }
        Ok(())
    }
}

/// The stage, and what follows it.
fn told(stage: DkimStage, is_seen: bool) -> (&'static str, String) {
    match stage {
        DkimStage::Announced if is_seen => {
            ("announced", "signs when resolvers have forgotten that there was no such key".to_owned())
        }
        DkimStage::Announced => ("announced", "its record has to reach all name servers first".to_owned()),
        DkimStage::Signing => ("signing", String::new()),
        DkimStage::Retiring => {
            let kept = time_text(Duration::from_secs(KEPT));
            ("retiring", format!("deleted after {kept}"))
        }
    }
}
