//! Aliases, over the administration interface.

use postern_store::directory;

use super::wire::{AddAlias, Alias, Done, RemoveAlias};
use super::{Admin, Refusal};

pub(super) fn list(admin: &Admin) -> Vec<Alias> {
    admin.directory.snapshot().aliases().map(describe).collect()
}

pub(super) fn add(admin: &Admin, request: AddAlias) -> Result<Alias, Refusal> {
    let alias = admin.directory.add_alias(&request.address, &request.targets)?;
    tracing::info!(alias = %alias.address, targets = alias.targets.len(), "alias set");
    Ok(describe(alias))
}

pub(super) fn remove(admin: &Admin, request: RemoveAlias) -> Result<Done, Refusal> {
    admin.directory.remove_alias(&request.address, &request.targets)?;
    tracing::info!(alias = %request.address, "alias removed");
    Ok(Done {})
}

fn describe(alias: directory::Alias) -> Alias {
    Alias { address: alias.address, targets: alias.targets }
}
