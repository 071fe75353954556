//! The tunnel, over the administration interface.

use postern_shared::http::{Request, StatusCode};

use super::wire::RotationTimer;
use super::{Admin, Refusal};
use crate::link::{LinkStatus, TunnelKeys};

pub(super) fn show(admin: &Admin) -> LinkStatus {
    admin.link.status()
}

/// Wishes a rotation; one that is under way goes on.
pub(super) async fn rotate(admin: &Admin) -> Result<TunnelKeys, Refusal> {
    Ok(admin.link.rotate().await?)
}

/// Sets the age at which keys are renewed by themselves.
pub(super) async fn rotate_every(admin: &Admin, request: &Request) -> Result<RotationTimer, Refusal> {
    let malformed = |_| Refusal(StatusCode::BAD_REQUEST, "the body is not as expected.".to_owned());
    let timer: RotationTimer = request.json().map_err(malformed)?;
    admin.link.rotate_every(timer.every).await?;
    Ok(timer)
}
