//! `postern-home forward`.

use postern_shared::cli::{Exit, Failure};
use postern_shared::http::Method;

use super::ForwardCommand;
use super::client::Client;
use super::table::Table;
use crate::admin::wire::{Done, Forward, OfUser};

const PATH: &str = "/v1/forwards";

pub(super) fn execute(client: &Client, command: ForwardCommand) -> Result<Exit, Failure> {
    match command {
        ForwardCommand::Set { user, target, keep } => {
            let forward = Forward { user, target, keep };
            let done: Done = client.call(Method::PUT, PATH, &forward)?;
            client.print(&done, set(&forward))
        }
        ForwardCommand::Show { user } => {
            let mut forwards: Vec<Forward> = client.fetch(PATH)?;
            forwards.retain(|forward| user.as_ref().is_none_or(|user| *user == forward.user));
            client.print(&forwards, table(&forwards))
        }
        ForwardCommand::Remove { user } => {
            let request = OfUser { user };
            let done: Done = client.call(Method::DELETE, PATH, &request)?;
            client.print(&done, format_args!("The mail of {} stays here.", request.user))
        }
    }
}

fn set(forward: &Forward) -> String {
    let Forward { user, target, keep } = forward;
    let copy = if *keep { "with a copy in the mailbox" } else { "and none of it is kept here" };
    format!("The mail of {user} goes on to {target}, {copy}.")
}

fn table(forwards: &[Forward]) -> Table {
    let mut table = Table::new(["USER", "GOES ON TO", "COPY HERE"]);
    for Forward { user, target, keep } in forwards {
        let copy = if *keep { "yes" } else { "no" };
        table.row([user.to_string(), target.to_string(), copy.to_owned()]);
    }
    table
}
