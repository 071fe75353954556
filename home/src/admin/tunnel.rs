//! The tunnel, over the administration interface.

use postern_shared::http::StatusCode;

use super::{Admin, Refusal};
use crate::link::{LinkStatus, TunnelKeys};

pub(super) fn show(admin: &Admin) -> LinkStatus {
    admin.link.status()
}

/// Wishes a rotation; one that is under way goes on.
pub(super) async fn rotate(admin: &Admin) -> Result<TunnelKeys, Refusal> {
    let started = admin.link.rotate().await;
    started.map_err(|error| Refusal(StatusCode::CONFLICT, format!("{error}.")))
}
