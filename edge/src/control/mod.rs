//! The control protocol's server, on the edge's inner addresses only.
//!
//! In: HTTP requests through the tunnel. Out: answers of [`Service`]. Refused: connections that come by another way (the
//! sockets are bound to the tunnel's interface, and the firewall drops what claims to), state-changing calls that home
//! did not sign, anything but enrolment from a home that is still joining, bodies over [`LIMITS`]. The calls are listed in
//! [`postern_shared::control`].

mod look;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use postern_shared::bans::BanList;
use postern_shared::control::Forward;
use postern_shared::enrolment::{BOOTSTRAP_CONTROL_PORT, BOOTSTRAP_EDGE_V4, RefusalBody};
use postern_shared::http::{Limits, Method, Request, Response, StatusCode, serve_connection};
use postern_shared::identity::SIGNATURE_HEADER;
use postern_shared::rotation::{Commit, LadderError, Offer};
use postern_shared::secondary::SecondaryList;
use postern_shared::tunnel::EpochId;
use postern_shared::zone::Zone;
use serde::Serialize;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::config::Config;
use crate::enrol::{NotAuthorized, StepError};
use crate::host;
use crate::service::{ChangeError, Service, is_bootstrap};
use crate::zone_check::Refused;

/// A zone of 20,000 records, or a list of so many bans, is below 8 MiB in JSON.
pub const LIMITS: Limits = Limits { body_octets: 8 << 20, read: Duration::from_secs(30), connections: 32 };

/// Connections that wait to be accepted.
const BACKLOG: i32 = 16;

/// A listening address that could not be had.
#[derive(Debug, thiserror::Error)]
#[error("the control server cannot listen on {address} (keys `control.port` and `tunnel`): {source}. If the port is in use, `ss -lntp 'sport = :{}'` names the program; choose another `control.port`.", address.port())]
pub struct BindError {
    address: SocketAddr,
    source: io::Error,
}

/// The bound sockets.
#[derive(Debug)]
pub struct ControlServer {
    listeners: Vec<TcpListener>,
}

impl ControlServer {
    /// Binds the inner addresses, once the tunnel's interface carries them.
    ///
    /// # Errors
    /// The first address that could not be had. A machine without IPv6 does without the IPv6 address.
    pub fn bind(config: &Config) -> Result<Self, BindError> {
        let tunnel = &config.tunnel;
        let mut addresses =
            vec![(tunnel.edge_v4.into(), config.control.port), (tunnel.edge_v6.into(), config.control.port)];
        addresses.push((IpAddr::from(BOOTSTRAP_EDGE_V4), BOOTSTRAP_CONTROL_PORT));
        let mut listeners = Vec::new();
        for address in addresses.into_iter().map(SocketAddr::from) {
            match listen(address, &tunnel.interface) {
                Ok(listener) => listeners.push(listener),
                Err(source) if address.is_ipv6() && host::lacks_ipv6(&source) => {
                    tracing::warn!(%address, %source, "control server does without IPv6");
                }
                Err(source) => return Err(BindError { address, source }),
            }
        }
        Ok(Self { listeners })
    }

    /// Serves until the future is dropped.
    pub async fn serve(self, service: Arc<Service>) {
        let places = Arc::new(Semaphore::new(LIMITS.connections));
        let mut tasks = JoinSet::new();
        for listener in self.listeners {
            tasks.spawn(accept(listener, service.clone(), places.clone()));
        }
        while tasks.join_next().await.is_some() {}
    }
}

fn listen(address: SocketAddr, interface: &str) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.bind_device(Some(interface.as_bytes()))?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

async fn accept(listener: TcpListener, service: Arc<Service>, places: Arc<Semaphore>) {
    let mut connections = JoinSet::new();
    while let Ok(place) = places.clone().acquire_owned().await {
        while connections.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((stream, peer)) => {
                let service = service.clone();
                connections.spawn(async move {
                    serve_connection(stream, LIMITS, |request| handle(&service, peer.ip(), request)).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "control connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
    }
}

/// Answers one request of the peer at `peer`, an address that the tunnel has verified.
pub async fn handle(service: &Service, peer: IpAddr, request: Request) -> Response {
    let segments = request.segments();
    if let (&Method::POST, ["v1", "enrol"]) = (&request.method, segments.as_slice()) {
        return enrol(service, peer, &request).await;
    }
    if is_bootstrap(peer) {
        return Response::error(StatusCode::FORBIDDEN, "a home that is joining can only enrol.");
    }
    service.heard_from_home().await;
    match (&request.method, segments.as_slice()) {
        (&Method::GET, ["v1", "status"]) => Response::ok(&service.control_status().await),
        (&Method::PUT, ["v1", "zones", origin]) => match signed::<Zone>(service, &request).await {
            Ok(zone) => changed(service.put_zone(origin, &zone).await),
            Err(refusal) => refusal,
        },
        (&Method::DELETE, ["v1", "zones", origin]) => match authorize(service, &request).await {
            Ok(()) => changed(service.delete_zone(origin).await),
            Err(refusal) => refusal,
        },
        (&Method::PUT, ["v1", "forward"]) => match signed::<Forward>(service, &request).await {
            Ok(forward) => changed(service.put_forward(&forward).await),
            Err(refusal) => refusal,
        },
        (&Method::PUT, ["v1", "bans"]) => match signed::<BanList>(service, &request).await {
            Ok(list) => changed(service.put_bans(&list).await),
            Err(refusal) => refusal,
        },
        (&Method::PUT, ["v1", "secondaries"]) => match signed::<SecondaryList>(service, &request).await {
            Ok(list) => changed(service.put_secondaries(list).await),
            Err(refusal) => refusal,
        },
        (_, ["v1", name @ ("facts" | "echo" | "outbound" | "mirror")]) => {
            look::handle(service, name, &request).await
        }
        (_, ["v1", "epochs", id, rest @ ..]) => match id.parse() {
            Ok(id) => epoch(service, EpochId(id), rest, &request).await,
            Err(_) => Response::not_found(),
        },
        _ => Response::not_found(),
    }
}

/// The calls on one epoch of the tunnel.
async fn epoch(service: &Service, id: EpochId, rest: &[&str], request: &Request) -> Response {
    match (&request.method, rest) {
        (&Method::PUT, []) => match signed::<Offer>(service, request).await {
            Ok(offer) if offer.epoch == id => stepped(service.offer_epoch(&offer).await),
            Ok(_) => other_epoch(),
            Err(refusal) => refusal,
        },
        (&Method::POST, ["commit"]) => match commit(service, id, request).await {
            Ok(commit) if commit.epoch == id => stepped(service.commit_epoch(&commit).await),
            Ok(_) => other_epoch(),
            Err(refusal) => refusal,
        },
        (&Method::DELETE, []) => match authorize(service, request).await {
            Ok(()) => stepped(service.retire_epoch(id).await),
            Err(refusal) => refusal,
        },
        _ => Response::not_found(),
    }
}

/// Which keys home means; one that is older than [`Commit`] sends no body, and means those that the edge has for the number.
async fn commit(service: &Service, id: EpochId, request: &Request) -> Result<Commit, Response> {
    authorize(service, request).await?;
    if !request.body.is_empty() {
        return request.json();
    }
    service.commit_by_number(id).await.map_err(|error| stepped::<Commit>(Err(error)))
}

fn other_epoch() -> Response {
    Response::error(StatusCode::UNPROCESSABLE_ENTITY, "the epoch is not the one in the path.")
}

async fn enrol(service: &Service, peer: IpAddr, request: &Request) -> Response {
    if !is_bootstrap(peer) {
        return Response::error(StatusCode::FORBIDDEN, "enrolment is only possible with an open join code.");
    }
    match service.enrol(&request.body, signature(request)).await {
        Ok(answer) => Response::ok(&answer),
        Err(refusal) => {
            tracing::warn!(%refusal, "a home was not enrolled");
            let status = StatusCode::from_u16(refusal.status()).unwrap_or(StatusCode::FORBIDDEN);
            Response { status, ..Response::ok(&RefusalBody::from(refusal)) }
        }
    }
}

/// The body of a call that home signed.
async fn signed<T: serde::de::DeserializeOwned>(service: &Service, request: &Request) -> Result<T, Response> {
    authorize(service, request).await?;
    request.json()
}

async fn authorize(service: &Service, request: &Request) -> Result<(), Response> {
    let authorized =
        service.authorize(request.method.as_str(), &request.path, &request.body, signature(request)).await;
    authorized.map_err(|error| {
        tracing::warn!(method = %request.method, path = %request.path, %error, "control call was turned away");
        let status = match &error {
            NotAuthorized::NotStored(_) => StatusCode::SERVICE_UNAVAILABLE,
            NotAuthorized::NotJoined
            | NotAuthorized::Unsigned
            | NotAuthorized::Signature(_)
            | NotAuthorized::Replayed { .. } => StatusCode::FORBIDDEN,
        };
        Response::error(status, format!("{error}."))
    })
}

fn signature(request: &Request) -> Option<&str> {
    request.headers.get(SIGNATURE_HEADER)?.to_str().ok()
}

/// The one place where a step of the rotation that was not made becomes an HTTP answer.
fn stepped<T: Serialize>(result: Result<T, StepError>) -> Response {
    let error = match result {
        Ok(value) => return Response::ok(&value),
        Err(error) => error,
    };
    let status = match &error {
        StepError::NotJoined => StatusCode::FORBIDDEN,
        StepError::Ladder(LadderError::Malformed(_)) => StatusCode::UNPROCESSABLE_ENTITY,
        StepError::Ladder(_) => StatusCode::CONFLICT,
        StepError::NoRandomness(_) | StepError::NotStored(_) => StatusCode::SERVICE_UNAVAILABLE,
    };
    tracing::warn!(%error, %status, "a step of the key rotation was refused");
    Response::error(status, format!("{error}."))
}

/// The one place where a change that was not made becomes an HTTP answer.
fn changed<T: Serialize>(result: Result<T, ChangeError>) -> Response {
    let error = match result {
        Ok(value) => return Response::ok(&value),
        Err(error) => error,
    };
    let status = match &error {
        ChangeError::OlderSerial { .. }
        | ChangeError::RefusedZone(Refused::NoLongerSigned | Refused::OtherKeys) => StatusCode::CONFLICT,
        ChangeError::Zone(_)
        | ChangeError::RefusedZone(Refused::NotAuthentic(_))
        | ChangeError::OtherZone
        | ChangeError::Secondaries(_)
        | ChangeError::ReservedPort(_)
        | ChangeError::NoPort
        | ChangeError::TooManyBans(_) => StatusCode::UNPROCESSABLE_ENTITY,
        ChangeError::NotKept(_) | ChangeError::Forward(_) => StatusCode::SERVICE_UNAVAILABLE,
    };
    tracing::warn!(%error, %status, "control call was refused");
    Response::error(status, error.to_string())
}
