//! The operator's calls on the administration socket.
//!
//! In: requests on `<runtime_dir>/admin.sock`, which only its owner may open. Out: join codes and the status. Refused:
//! endpoints that home could not dial, invites that are valid for no time.
//!
//! | call | body | answer |
//! |---|---|---|
//! | `POST /invite` | [`InviteRequest`] | [`Invited`] |
//! | `GET /status` | | [`EdgeStatus`](crate::status::EdgeStatus) |

use std::time::Duration;

use postern_shared::http::{Method, Request, Response, StatusCode};
use postern_shared::join_code::Endpoint;
use serde::{Deserialize, Serialize};

use crate::service::Service;

/// What the operator asks for.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct InviteRequest {
    /// How long the code shall be good, in seconds.
    pub lifetime: u64,
    /// Where home shall dial, `host:port`; the first public address and the tunnel's port where absent.
    pub endpoint: Option<String>,
}

/// A new join code.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Invited {
    /// The code.
    pub code: String,
    /// Where home will dial.
    pub endpoint: String,
    /// When the code ends, in seconds since 1970.
    pub expires: u64,
    /// The home that is joined now and will be replaced, as its identity's fingerprint.
    pub replaces: Option<String>,
}

/// Answers one request.
pub async fn handle(service: &Service, request: Request) -> Response {
    match (&request.method, request.segments().as_slice()) {
        (&Method::POST, ["invite"]) => match request.json() {
            Ok(wanted) => invite(service, &wanted).await,
            Err(refusal) => refusal,
        },
        (&Method::GET, ["status"]) => Response::ok(&service.edge_status().await),
        _ => Response::not_found(),
    }
}

async fn invite(service: &Service, wanted: &InviteRequest) -> Response {
    let Some(endpoint) = wanted.endpoint.clone().or_else(|| service.default_endpoint()) else {
        let message = "this edge knows no public address of its own. Name where home shall dial with --endpoint \
                       HOST:PORT, or list the address in `public_addresses`.";
        return Response::error(StatusCode::CONFLICT, message);
    };
    let endpoint: Endpoint = match endpoint.parse() {
        Ok(endpoint) => endpoint,
        Err(error) => return Response::error(StatusCode::BAD_REQUEST, format!("{error}.")),
    };
    let dialled = endpoint.to_string();
    let replaces = service.edge_status().await.enrolment.home;
    match service.invite(endpoint, Duration::from_secs(wanted.lifetime)).await {
        Ok(code) => {
            tracing::info!(endpoint = %dialled, expires = code.expires, "join code made");
            Response::ok(&Invited {
                code: code.to_string(),
                endpoint: dialled,
                expires: code.expires.into(),
                replaces,
            })
        }
        Err(error) => Response::error(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}.")),
    }
}
