//! `postern-home domain`.

use postern_shared::cli::{Exit, Failure};
use postern_shared::http::Method;

use super::client::Client;
use super::table::Table;
use super::{DomainCommand, user};
use crate::admin::wire::{AddDomain, Domain, Done, RemoveDomain, Removed};

const PATH: &str = "/v1/domains";

pub(super) fn execute(client: &Client, command: DomainCommand) -> Result<Exit, Failure> {
    match command {
        DomainCommand::Add { name } => {
            let done: Done = client.call(Method::POST, PATH, &AddDomain { name: name.clone() })?;
            client.print(&done, format_args!("The domain {name} is here now, with two DKIM keys."))
        }
        DomainCommand::List => {
            let domains: Vec<Domain> = client.fetch(PATH)?;
            client.print(&domains, table(&domains))
        }
        DomainCommand::Remove { name, with_users, mail } => {
            let request = RemoveDomain { name: name.clone(), with_users, mail: mail.into() };
            let removed: Removed = client.call(Method::DELETE, PATH, &request)?;
            client.print(&removed, format_args!("The domain {name} is removed.{}", user::kept_mail(&removed)))
        }
    }
}

fn table(domains: &[Domain]) -> Table {
    let mut table = Table::new(["DOMAIN", "USERS", "DKIM KEYS"]);
    for domain in domains {
        table.row([domain.name.to_string(), domain.users.to_string(), domain.dkim_selectors.join(", ")]);
    }
    table
}
