//! What the edge looks at on home's word, and connections that home opens through the tunnel.
//!
//! In: wishes of whoever wants to know how things are. Out: what the edge saw ([`postern_shared::look`]), connections from
//! an inner address. Refused: nothing here; an edge that is too old for a call is told apart from one that fails.

use std::io;
use std::net::SocketAddr;
use std::time::Instant;

use postern_shared::control::{STATUS_PATH, Status};
use postern_shared::http::{Method, Request, Response};
use postern_shared::look::{
    ECHO_PATH, FACTS_PATH, Facts, MIRROR_PATH, Mirror, MirrorWish, OUTBOUND_PATH, OutboundSeen, OutboundWish,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::client::{ControlClient, accepted};
use super::{ControlError, Link, LinkError};
use crate::net::Tcp;

/// HTTP's word for a path that is not known.
const NOT_FOUND: u16 = 404;

/// Why the edge has not looked.
#[derive(Debug, thiserror::Error)]
pub enum NotAsked {
    /// There is no edge, or it is not heard.
    #[error("the edge is not heard; see `postern-home tunnel status`")]
    Unheard,
    /// Its release does not know the call.
    #[error("the edge is too old to look; bring it to this release")]
    TooOld,
    /// The call failed.
    #[error("{0}")]
    Failed(#[from] Box<LinkError>),
    /// The edge sent back other octets than it was sent.
    #[error("of {sent} octets that the edge was sent {came_back} came back, or others")]
    NotTheSame {
        /// Octets that were sent.
        sent: usize,
        /// Octets that came back.
        came_back: usize,
    },
}

impl From<ControlError> for NotAsked {
    fn from(error: ControlError) -> Self {
        LinkError::from(error).into()
    }
}

impl From<LinkError> for NotAsked {
    fn from(error: LinkError) -> Self {
        match error {
            LinkError::Control(ControlError::Refused { status: NOT_FOUND, .. }) => Self::TooOld,
            other => Self::Failed(Box::new(other)),
        }
    }
}

impl Link {
    /// The edge's status of this moment.
    ///
    /// # Errors
    /// See [`NotAsked`].
    pub async fn edge_status(&self) -> Result<Status, NotAsked> {
        self.get(STATUS_PATH).await
    }

    /// How the edge's machine is.
    ///
    /// # Errors
    /// See [`NotAsked`].
    pub async fn edge_facts(&self) -> Result<Facts, NotAsked> {
        self.get(FACTS_PATH).await
    }

    /// Has the edge send these octets back, at most [`postern_shared::look::MOST_ECHO_OCTETS`]; tells the milliseconds.
    ///
    /// # Errors
    /// See [`NotAsked`].
    pub async fn echo(&self, octets: Vec<u8>) -> Result<u128, NotAsked> {
        let began = Instant::now();
        let request = Request { body: octets.clone().into(), ..Request::new(Method::POST, ECHO_PATH) };
        let response = self.signed(request).await?;
        if response.body != octets {
            return Err(NotAsked::NotTheSame { sent: octets.len(), came_back: response.body.len() });
        }
        Ok(began.elapsed().as_millis())
    }

    /// What these mail servers say to the edge at port 25.
    ///
    /// # Errors
    /// See [`NotAsked`].
    pub async fn look_outbound(&self, wish: &OutboundWish) -> Result<OutboundSeen, NotAsked> {
        self.post(OUTBOUND_PATH, wish).await
    }

    /// Opens the mirror for so many seconds; 0 shuts it.
    ///
    /// # Errors
    /// See [`NotAsked`].
    pub async fn mirror(&self, seconds: u32) -> Result<Mirror, NotAsked> {
        self.post(MIRROR_PATH, &MirrorWish { seconds }).await
    }

    /// Connects from home's inner address: through the tunnel to the edge, and from there on.
    ///
    /// # Errors
    /// As the operating system says; `NotConnected` where there is no edge.
    pub async fn dial(&self, server: SocketAddr) -> io::Result<Tcp> {
        let edge = self.client().map_err(|error| io::Error::new(io::ErrorKind::NotConnected, error))?;
        let addresses = self.edge_addresses().borrow().clone();
        let addresses = addresses.ok_or(io::ErrorKind::NotConnected)?;
        let from = if server.is_ipv4() { addresses.home_v4.into() } else { addresses.home_v6.into() };
        edge.network.connect(from, server).await
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, NotAsked> {
        let response = self.client()?.send(Request::new(Method::GET, path)).await?;
        accepted("GET", path, &response)?;
        Ok(response.json().map_err(ControlError::Answer)?)
    }

    async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, NotAsked> {
        let request = Request::new(Method::POST, path).with_json(body).map_err(ControlError::Request)?;
        let response = self.signed(request).await?;
        Ok(response.json().map_err(ControlError::Answer)?)
    }

    async fn signed(&self, request: Request) -> Result<Response, NotAsked> {
        let edge = self.client()?;
        // What the edge has seen is kept with home's own counter, which is never behind it for longer than a round.
        Ok(self.signer.call(&edge, request, 0).await?)
    }

    fn client(&self) -> Result<ControlClient, NotAsked> {
        self.edge.borrow().clone().ok_or(NotAsked::Unheard)
    }
}
