//! The control protocol's client: one request over one connection to the edge's inner address.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use postern_shared::control::{STATUS_PATH, Status};
use postern_shared::http::{ExchangeError, Limits, Method, Request, Response, StatusCode, exchange};
use postern_shared::identity::{RequestSignature, SIGNATURE_HEADER};

use crate::inner::Network;

/// How long the edge may take to accept a connection or to answer a request.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why a control request failed.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// The connection could not be made.
    #[error("the edge's control port {address} cannot be reached through the tunnel: {source}")]
    Unreachable {
        /// The inner address and port.
        address: SocketAddr,
        /// What the operating system said.
        source: io::Error,
    },
    /// The exchange broke off.
    #[error("the control request to the edge failed: {0}")]
    Exchange(#[from] ExchangeError),
    /// The edge answered with an error.
    #[error("the edge refused `{request}`: {text}")]
    Refused {
        /// Method and path.
        request: String,
        /// The HTTP status.
        status: u16,
        /// The edge's sentence.
        text: String,
    },
    /// The edge's answer is not what this version expects.
    #[error("the edge's answer is not understood ({0}): bring edge and home to the same release")]
    Answer(serde_json::Error),
    /// The request could not be written as JSON.
    #[error("the request cannot be written: {0}")]
    Request(serde_json::Error),
}

/// A client that connects from one inner address to one control port.
#[derive(Debug, Clone)]
pub struct ControlClient {
    /// Where connections are made.
    pub network: Network,
    /// Home's inner address.
    pub from: IpAddr,
    /// The edge's inner address and control port.
    pub to: SocketAddr,
}

impl ControlClient {
    /// The two ends of every connection.
    pub fn ends(&self) -> (IpAddr, SocketAddr) {
        (self.from, self.to)
    }

    /// Asks for the edge's status.
    pub async fn status(&self) -> Result<Status, ControlError> {
        let response = self.send(Request::new(Method::GET, STATUS_PATH)).await?;
        accepted("GET", STATUS_PATH, &response)?;
        response.json().map_err(ControlError::Answer)
    }

    /// Sends a signed request and returns the edge's answer, whatever its status.
    pub async fn send_signed(
        &self,
        mut request: Request,
        signature: &RequestSignature,
    ) -> Result<Response, ControlError> {
        let value = signature.to_string().parse().expect("digits, Base64 and spaces are a header value");
        request.headers.insert(SIGNATURE_HEADER, value);
        self.send(request).await
    }

    /// Sends a request and returns the edge's answer, whatever its status.
    pub async fn send(&self, request: Request) -> Result<Response, ControlError> {
        let stream = tokio::time::timeout(PATIENCE, self.network.connect(self.from, self.to))
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
            .map_err(|source| ControlError::Unreachable { address: self.to, source })?;
        Ok(exchange(stream, request, Limits { read: PATIENCE, ..Limits::default() }).await?)
    }
}

/// Turns an answer that is no success into an error.
pub fn accepted(method: &str, path: &str, response: &Response) -> Result<(), ControlError> {
    if response.status == StatusCode::OK {
        return Ok(());
    }
    Err(ControlError::Refused {
        request: format!("{method} {path}"),
        status: response.status.as_u16(),
        text: response.error_text(),
    })
}
