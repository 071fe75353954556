//! Joining an edge, over the administration interface.

use postern_shared::http::{Request, StatusCode};
use postern_shared::join_code::JoinCode;

use super::wire::Join;
use super::{Admin, Refusal};
use crate::link::{EdgeAddresses, LinkError};

pub(super) async fn join(admin: &Admin, request: &Request) -> Result<EdgeAddresses, Refusal> {
    let malformed = |_| Refusal(StatusCode::BAD_REQUEST, "the body is not as expected.".to_owned());
    let Join { code } = request.json().map_err(malformed)?;
    let code: JoinCode =
        code.parse().map_err(|error| Refusal(StatusCode::UNPROCESSABLE_ENTITY, format!("{error}.")))?;
    let addresses = admin.link.join(code).await?;
    tracing::info!(public = ?addresses.public, "joined the edge");
    Ok(addresses)
}

impl From<LinkError> for Refusal {
    fn from(error: LinkError) -> Self {
        Self(StatusCode::CONFLICT, format!("{error}."))
    }
}
