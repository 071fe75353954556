//! Joining an edge, and who home is to an edge, over the administration interface.

use postern_shared::http::{Request, Response, StatusCode};
use postern_shared::join_code::JoinCode;

use super::wire::{Identity, Join, JoinWaiting};
use super::{Admin, Refusal};
use crate::link::{EdgeAddresses, JoinBy, LinkError};

pub(super) async fn join(admin: &Admin, request: &Request) -> Result<EdgeAddresses, Refusal> {
    let Join { code } = request.json().map_err(malformed)?;
    let code: JoinCode =
        code.parse().map_err(|error| Refusal(StatusCode::UNPROCESSABLE_ENTITY, format!("{error}.")))?;
    join_by(admin, JoinBy::Code(code)).await
}

pub(super) async fn join_waiting(admin: &Admin, request: &Request) -> Result<EdgeAddresses, Refusal> {
    let JoinWaiting { edge, edge_key } = request.json().map_err(malformed)?;
    join_by(admin, JoinBy::Address { endpoint: edge, edge_key }).await
}

async fn join_by(admin: &Admin, by: JoinBy) -> Result<EdgeAddresses, Refusal> {
    let addresses = admin.link.join(by).await?;
    tracing::info!(public = ?addresses.public, "joined the edge");
    Ok(addresses)
}

pub(super) fn identity(admin: &Admin) -> Identity {
    let identity = admin.link.identity();
    Identity { identity, fingerprint: identity.fingerprint() }
}

fn malformed(_: Response) -> Refusal {
    Refusal(StatusCode::BAD_REQUEST, "the body is not as expected.".to_owned())
}

impl From<LinkError> for Refusal {
    fn from(error: LinkError) -> Self {
        Self(StatusCode::CONFLICT, format!("{error}."))
    }
}
