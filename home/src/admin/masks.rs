//! Masks, over the administration interface.

use jiff::Timestamp;
use postern_store::directory::{self, MaskChange};

use super::wire::{AddMask, ChangeOfMask, Done, Mask, SetMask};
use super::{Admin, Refusal};

/// By user, each user's newest first.
pub(super) fn list_all(admin: &Admin) -> Vec<Mask> {
    let snapshot = admin.directory.snapshot();
    let of_user = |user: &directory::User| {
        let masks = snapshot.masks(user.account).into_iter();
        masks.map(|mask| describe(user, mask)).collect::<Vec<_>>()
    };
    snapshot.users().flat_map(of_user).collect()
}

pub(super) fn add(admin: &Admin, request: AddMask) -> Result<Mask, Refusal> {
    let mask = admin.directory.add_mask(&request.user, request.domain.as_ref(), &request.label)?;
    tracing::info!(user = %request.user, mask = %mask.address, "mask made");
    let user = directory::User { account: mask.account, address: request.user };
    Ok(describe(&user, mask))
}

pub(super) fn set(admin: &Admin, request: SetMask) -> Result<Done, Refusal> {
    let change = match request.change {
        ChangeOfMask::Label(label) => MaskChange::Label(label),
        ChangeOfMask::Off => MaskChange::Off,
        ChangeOfMask::On => MaskChange::On,
        ChangeOfMask::Remove => MaskChange::Remove,
    };
    tracing::info!(user = %request.user, mask = %request.mask, ?change, "mask changed");
    admin.directory.change_mask(&request.user, &request.mask, change)?;
    Ok(Done {})
}

fn describe(user: &directory::User, mask: directory::Mask) -> Mask {
    Mask {
        user: user.address.clone(),
        address: mask.address,
        label: mask.label,
        enabled: mask.enabled,
        made: Timestamp::from_second(mask.made.cast_signed()).unwrap_or(Timestamp::UNIX_EPOCH),
    }
}
