//! The calls by which home has something looked at ([`postern_shared::look`]).
//!
//! In: requests on the four paths. Out: what was seen. Refused: calls that home did not sign, except for the facts; what
//! the edge does not look at (422), and what it does not look at now (429).

use postern_shared::http::{Method, Request, Response, StatusCode};
use postern_shared::look::{MirrorWish, OutboundWish};
use serde::Serialize;

use super::{authorize, changed, signed};
use crate::look::NotLooked;
use crate::service::Service;

/// Answers one of the four.
pub async fn handle(service: &Service, name: &str, request: &Request) -> Response {
    match (&request.method, name) {
        (&Method::GET, "facts") => Response::ok(&service.facts()),
        (&Method::POST, "echo") => match authorize(service, request).await {
            Ok(()) => echo(service, request),
            Err(refusal) => refusal,
        },
        (&Method::POST, "outbound") => match signed::<OutboundWish>(service, request).await {
            Ok(wish) => looked(service.look_outbound(&wish).await),
            Err(refusal) => refusal,
        },
        (&Method::POST, "mirror") => match signed::<MirrorWish>(service, request).await {
            Ok(wish) => changed(service.set_mirror(wish).await),
            Err(refusal) => refusal,
        },
        _ => Response::not_found(),
    }
}

fn echo(service: &Service, request: &Request) -> Response {
    match service.echo(request.body.len()) {
        Ok(()) => Response { status: StatusCode::OK, body: request.body.clone() },
        Err(error) => looked::<()>(Err(error)),
    }
}

/// The one place where a look that was not taken becomes an HTTP answer.
fn looked<T: Serialize>(result: Result<T, NotLooked>) -> Response {
    let error = match result {
        Ok(value) => return Response::ok(&value),
        Err(error) => error,
    };
    let status = match &error {
        NotLooked::Busy => StatusCode::TOO_MANY_REQUESTS,
        NotLooked::NotGlobal(_) | NotLooked::TooMany(..) | NotLooked::TooLong(..) => {
            StatusCode::UNPROCESSABLE_ENTITY
        }
    };
    Response::error(status, error.to_string())
}
