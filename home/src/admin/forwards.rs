//! Forwards, over the administration interface.

use postern_store::directory::{self, Kept};

use super::wire::{Done, Forward, OfUser};
use super::{Admin, Refusal};

pub(super) fn list(admin: &Admin) -> Vec<Forward> {
    let snapshot = admin.directory.snapshot();
    let describe = |user: &directory::User| {
        let forward = snapshot.forward(user.account)?;
        let keep = forward.kept == Kept::Copy;
        Some(Forward { user: user.address.clone(), target: forward.target.clone(), keep })
    };
    snapshot.users().filter_map(describe).collect()
}

pub(super) fn set(admin: &Admin, request: Forward) -> Result<Done, Refusal> {
    let kept = if request.keep { Kept::Copy } else { Kept::Nothing };
    let forward = directory::Forward { target: request.target, kept };
    admin.directory.set_forward(&request.user, forward)?;
    tracing::info!(user = %request.user, "forward set");
    Ok(Done {})
}

pub(super) fn remove(admin: &Admin, request: OfUser) -> Result<Done, Refusal> {
    admin.directory.remove_forward(&request.user)?;
    tracing::info!(user = %request.user, "forward removed");
    Ok(Done {})
}
