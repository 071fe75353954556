//! `postern-home mask`.

use postern_shared::cli::{Exit, Failure};
use postern_shared::http::Method;

use super::client::Client;
use super::table::{Table, minute};
use super::{MaskCommand, MaskOf};
use crate::admin::wire::{AddMask, ChangeOfMask, Done, Mask, SetMask};

const PATH: &str = "/v1/masks";

pub(super) fn execute(client: &Client, command: MaskCommand) -> Result<Exit, Failure> {
    match command {
        MaskCommand::Create { user, label, domain } => {
            let mask: Mask = client.call(Method::POST, PATH, &AddMask { user, domain, label })?;
            client.print(&mask, &mask.address)
        }
        MaskCommand::List { user } => {
            let mut masks: Vec<Mask> = client.fetch(PATH)?;
            masks.retain(|mask| user.as_ref().is_none_or(|user| *user == mask.user));
            client.print(&masks, table(&masks))
        }
        MaskCommand::Label { of, label } => {
            let told = format!("{} is now called \"{label}\".", of.mask);
            change(client, of, ChangeOfMask::Label(label), &told)
        }
        MaskCommand::Off(of) => {
            let told = format!("Mail for {} is refused from now on.", of.mask);
            change(client, of, ChangeOfMask::Off, &told)
        }
        MaskCommand::On(of) => {
            let told = format!("Mail for {} reaches {} again.", of.mask, of.user);
            change(client, of, ChangeOfMask::On, &told)
        }
        MaskCommand::Remove(of) => {
            let told = format!("The mask {} is gone.", of.mask);
            change(client, of, ChangeOfMask::Remove, &told)
        }
    }
}

fn change(client: &Client, of: MaskOf, change: ChangeOfMask, told: &str) -> Result<Exit, Failure> {
    let MaskOf { user, mask } = of;
    let done: Done = client.call(Method::PUT, PATH, &SetMask { user, mask, change })?;
    client.print(&done, told)
}

fn table(masks: &[Mask]) -> Table {
    let mut table = Table::new(["USER", "MASK", "LABEL", "STATE", "MADE"]);
    for mask in masks {
        let state = if mask.enabled { "on" } else { "off" };
        table.row([
            mask.user.to_string(),
            mask.address.to_string(),
            mask.label.clone(),
            state.to_owned(),
            minute(mask.made),
        ]);
    }
    table
}
