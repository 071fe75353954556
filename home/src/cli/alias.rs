//! `postern-home alias`.

use postern_message::address::EmailAddress;
use postern_shared::cli::{Exit, Failure};
use postern_shared::http::Method;

use super::AliasCommand;
use super::client::Client;
use super::table::Table;
use crate::admin::wire::{AddAlias, Alias, Done, RemoveAlias};

const PATH: &str = "/v1/aliases";

pub(super) fn execute(client: &Client, command: AliasCommand) -> Result<Exit, Failure> {
    match command {
        AliasCommand::Add { alias, targets } => {
            let alias: Alias = client.call(Method::POST, PATH, &AddAlias { address: alias, targets })?;
            client.print(&alias, format_args!("{} leads to {}.", alias.address, list(&alias.targets)))
        }
        AliasCommand::List => {
            let aliases: Vec<Alias> = client.fetch(PATH)?;
            client.print(&aliases, table(&aliases))
        }
        AliasCommand::Remove { alias, targets } => {
            let request = RemoveAlias { address: alias, targets };
            let done: Done = client.call(Method::DELETE, PATH, &request)?;
            client.print(&done, removed(&request))
        }
    }
}

fn removed(request: &RemoveAlias) -> String {
    match request.targets.as_slice() {
        [] => format!("The alias {} is removed.", request.address),
        targets => format!("{} no longer leads to {}.", request.address, list(targets)),
    }
}

fn table(aliases: &[Alias]) -> Table {
    let mut table = Table::new(["ALIAS", "LEADS TO"]);
    for alias in aliases {
        table.row([alias.address.to_string(), list(&alias.targets)]);
    }
    table
}

fn list(addresses: &[EmailAddress]) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
