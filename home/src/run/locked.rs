//! The daemon while its mail is locked: nothing listens but the administration socket, and that does nothing but unlock.
//!
//! The tunnel is down meanwhile, so the edge asks senders to try again later, as for any home that is away.

use std::sync::Arc;

use postern_shared::cli::Failure;
use postern_shared::http::{self, Method, Request, Response, StatusCode};
use postern_shared::local;
use postern_store::Place;
use tokio::sync::mpsc;

use crate::admin::wire::{Done, Unlock};
use crate::store_key::Locked;

const LOCKED: &str =
    "the mail is locked, and nothing is served. `postern-home unlock` opens it with the passphrase.";

/// Waits until the right passphrase comes over the socket.
pub(super) async fn wait(locked: Locked, socket: local::Server) -> Result<Place, Failure> {
    let (opened, mut places) = mpsc::channel(1);
    let locked = Arc::new(locked);
    let handler = move |request| handle(Arc::clone(&locked), opened.clone(), request);
    tokio::select! {
        () = socket.serve(http::Limits::default(), handler) => Err(super::service_lost()),
        place = places.recv() => place.ok_or_else(super::service_lost),
    }
}

async fn handle(locked: Arc<Locked>, opened: mpsc::Sender<Place>, request: Request) -> Response {
    let (Method::PUT, ["v1", "unlock"]) = (request.method.clone(), request.segments().as_slice()) else {
        return Response::error(StatusCode::SERVICE_UNAVAILABLE, LOCKED);
    };
    let Unlock { passphrase } = match request.json() {
        Ok(body) => body,
        Err(malformed) => return malformed,
    };
    let unlocked =
        tokio::task::spawn_blocking(move || locked.unlock(passphrase.expose().to_owned().into())).await;
    match unlocked {
        Ok(Ok(place)) => {
            // A second one that comes at the same time opens nothing more.
            let _ = opened.try_send(place);
            Response::ok(&Done {})
        }
        Ok(Err(error)) => Response::error(StatusCode::FORBIDDEN, format!("{error}.")),
        Err(_) => Response::error(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the request ended with a fault of the program; see its log.",
        ),
    }
}
