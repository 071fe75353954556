//! `postern-home bans`.

use ipnet::IpNet;
use postern_shared::cli::{Exit, Failure};
use postern_shared::http::Method;

use super::BansCommand;
use super::client::Client;
use super::table::{Table, minute};
use crate::admin::wire::{AddBan, Ban, Done, RemoveBan};

const PATH: &str = "/v1/bans";

pub(super) fn execute(client: &Client, command: BansCommand) -> Result<Exit, Failure> {
    match command {
        BansCommand::List => {
            let bans: Vec<Ban> = client.fetch(PATH)?;
            client.print(&bans, table(&bans))
        }
        BansCommand::Add { network, lasts, reason } => {
            let request = AddBan { network, seconds: lasts.map(|lasts| lasts.as_secs()), reason };
            let ban: Ban = client.call(Method::POST, PATH, &request)?;
            client.print(&ban, added(&ban))
        }
        BansCommand::Remove { network } => {
            let done: Done = client.call(Method::DELETE, PATH, &RemoveBan { network })?;
            client.print(&done, removed(&network))
        }
    }
}

fn added(ban: &Ban) -> String {
    let until =
        ban.until.map_or("until it is removed".to_owned(), |until| format!("until {}", minute(until)));
    format!("{} is banned {until}.", ban.network)
}

fn removed(network: &IpNet) -> String {
    format!("{network} is no longer banned.")
}

fn table(bans: &[Ban]) -> Table {
    let mut table = Table::new(["NETWORK", "SINCE", "UNTIL", "REASON", "AT THE EDGE"]);
    for ban in bans {
        let until = ban.until.map_or("removed".to_owned(), minute);
        let refused = ban.refused.as_ref().map(|why| format!("refused: {why}")).unwrap_or_default();
        table.row([ban.network.to_string(), minute(ban.since), until, ban.reason.clone(), refused]);
    }
    table
}
