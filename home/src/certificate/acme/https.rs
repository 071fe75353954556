//! Requests to web servers, a certificate authority's above all: HTTP/1.1 over TLS, one connection each.
//!
//! In: a request. Out: its response. Refused: a server that none of this machine's authorities, nor the
//! configured one, vouches for; addresses without TLS; responses over 256 KiB or that take over 30 seconds.

use std::future::Future;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http_body_util::{BodyExt, Empty, Full, Limited};
use hyper::body::{Body, Bytes};
use hyper::client::conn::http1;
use hyper::header::{HOST, HeaderMap, HeaderValue, RETRY_AFTER};
use hyper::http;
use hyper::{Request, Response, Uri};
use hyper_util::rt::TokioIo;
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::link::seconds_now;
use crate::tls;

/// The most octets of a response; chains have a few thousand.
const MOST_OCTETS: usize = 256 * 1024;
/// How long a response may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long the dialling of one address may take.
const ATTEMPT: Duration = Duration::from_secs(5);

/// Why there is no response.
#[derive(Debug, thiserror::Error)]
pub enum HttpsError {
    /// The configured file cannot be used.
    #[error("{path}: {reason} (key `acme.root`)")]
    Root {
        /// The file.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// This machine trusts nobody.
    #[error("this machine has no list of trusted authorities; install the package ca-certificates")]
    NoRoots,
    /// Not an https address.
    #[error("{0} is not an https address")]
    Address(Uri),
    /// The server cannot be reached, or is not who it should be.
    #[error("{host} cannot be reached: {source}")]
    Connect {
        /// The server.
        host: String,
        /// What the system or TLS said.
        source: io::Error,
    },
    /// It does not speak HTTP.
    #[error("{host} did not answer: {reason}")]
    Http {
        /// The server.
        host: String,
        /// What is wrong.
        reason: String,
    },
    /// It took too long.
    #[error("{0} did not answer within {seconds} s", seconds = PATIENCE.as_secs())]
    Slow(String),
}

/// The client; cheap to clone.
#[derive(Clone)]
pub struct Https {
    tls: Arc<ClientConfig>,
    /// For how many seconds the authority has asked us to stay away.
    pause: Arc<AtomicU64>,
}

impl Https {
    /// A client that trusts the system's authorities, and the one in the file if there is one.
    ///
    /// # Errors
    /// [`HttpsError::Root`], [`HttpsError::NoRoots`].
    pub fn new(root: Option<&Path>) -> Result<Self, HttpsError> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if let Some(path) = root {
            let wrong = |reason: String| HttpsError::Root { path: path.display().to_string(), reason };
            let octets = std::fs::read(path).map_err(|error| wrong(error.to_string()))?;
            let certificates: Vec<_> = CertificateDer::pem_slice_iter(&octets).flatten().collect();
            if roots.add_parsable_certificates(certificates).0 == 0 {
                return Err(wrong("the file holds no certificate in PEM format".to_owned()));
            }
        }
        if roots.is_empty() {
            return Err(HttpsError::NoRoots);
        }
        Ok(Self { tls: tls::verifying_client(roots), pause: Arc::default() })
    }

    /// Fetches a document.
    ///
    /// # Errors
    /// See [`HttpsError`].
    pub async fn get(&self, uri: &Uri) -> Result<Bytes, HttpsError> {
        self.expect_success(Request::get(uri).body(Empty::<Bytes>::new())).await
    }

    /// Hands over a document, with these header fields.
    ///
    /// # Errors
    /// See [`HttpsError`].
    pub async fn post(&self, uri: &Uri, fields: &[(&str, &str)], body: Vec<u8>) -> Result<(), HttpsError> {
        let request = Request::post(uri);
        let request = fields.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        self.expect_success(request.body(Full::new(Bytes::from(body)))).await.map(drop)
    }

    /// For how many seconds the authority asked us to stay away since this was last asked.
    pub fn take_pause(&self) -> Option<u64> {
        Some(self.pause.swap(0, Ordering::Relaxed)).filter(|seconds| *seconds > 0)
    }

    async fn expect_success<B>(&self, request: Result<Request<B>, http::Error>) -> Result<Bytes, HttpsError>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: std::error::Error + Send + Sync,
    {
        let malformed =
            |error: http::Error| HttpsError::Http { host: String::new(), reason: error.to_string() };
        let request = request.map_err(malformed)?;
        let host = request.uri().host().unwrap_or_default().to_owned();
        let response = self.send(request).await?;
        if !response.status().is_success() {
            return Err(HttpsError::Http { host, reason: format!("it says {}", response.status()) });
        }
        Ok(response.into_body())
    }

    async fn send<B>(&self, request: Request<B>) -> Result<Response<Bytes>, HttpsError>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: std::error::Error + Send + Sync,
    {
        let host = request.uri().host().unwrap_or_default().to_owned();
        tokio::time::timeout(PATIENCE, self.exchange(request)).await.unwrap_or(Err(HttpsError::Slow(host)))
    }

    async fn exchange<B>(&self, mut request: Request<B>) -> Result<Response<Bytes>, HttpsError>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: std::error::Error + Send + Sync,
    {
        let uri = request.uri().clone();
        let authority = uri.authority().filter(|_| uri.scheme_str() == Some("https"));
        let Some(authority) = authority else { return Err(HttpsError::Address(uri)) };
        let host = authority.host().to_owned();
        let failed = |reason: String| HttpsError::Http { host: host.clone(), reason };
        let value = HeaderValue::from_str(authority.as_str()).map_err(|error| failed(error.to_string()))?;
        request.headers_mut().insert(HOST, value);
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        *request.uri_mut() = path.parse().map_err(|_| HttpsError::Address(uri.clone()))?;

        let stream = self.connect(&host, authority.port_u16().unwrap_or(443)).await;
        let stream = stream.map_err(|source| HttpsError::Connect { host: host.clone(), source })?;
        let handshake = http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = handshake.map_err(|error| failed(error.to_string()))?;
        let driver = tokio::spawn(connection);
        let response = sender.send_request(request).await.map_err(|error| failed(error.to_string()))?;
        let (parts, body) = response.into_parts();
        let collected = Limited::new(body, MOST_OCTETS).collect().await;
        driver.abort();
        let body = collected.map_err(|error| failed(error.to_string()))?.to_bytes();
        self.note_pause(parts.status.as_u16(), &parts.headers);
        Ok(Response::from_parts(parts, body))
    }

    async fn connect(&self, host: &str, port: u16) -> io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
        let bare = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let stream = dial(&bare, port).await?;
        let name = ServerName::try_from(bare).map_err(io::Error::other)?;
        TlsConnector::from(self.tls.clone()).connect(name, stream).await
    }

    /// RFC 8555 §6.6: a refusal for a limit may say when to come back.
    fn note_pause(&self, status: u16, headers: &HeaderMap) {
        let is_refusal = matches!(status, 429 | 503);
        let text = headers.get(RETRY_AFTER).filter(|_| is_refusal).and_then(|value| value.to_str().ok());
        if let Some(seconds) = text.and_then(|text| pause(text.trim(), seconds_now())) {
            self.pause.fetch_max(seconds, Ordering::Relaxed);
        }
    }
}

/// Tries one address after another, none for long: a machine may have addresses of a family that lead nowhere. Tells why the
/// first one failed, which is the one that the system prefers.
async fn dial(host: &str, port: u16) -> io::Result<TcpStream> {
    let mut first = None;
    for address in tokio::net::lookup_host((host, port)).await? {
        let attempt = tokio::time::timeout(ATTEMPT, TcpStream::connect(address)).await;
        match attempt.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
            Ok(stream) => return Ok(stream),
            Err(error) => first = first.or(Some(error)),
        }
    }
    Err(first.unwrap_or_else(|| io::ErrorKind::AddrNotAvailable.into()))
}

/// The seconds of a `Retry-After`, which says so many or names a time (RFC 9110 §10.2.3).
fn pause(text: &str, now: u64) -> Option<u64> {
    let of_date = || {
        let time = jiff::fmt::rfc2822::parse(text).ok()?.timestamp().as_second();
        Some(u64::try_from(time).ok()?.saturating_sub(now))
    };
    text.parse().ok().or_else(of_date)
}

impl HttpClient for Https {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let client = self.clone();
        Box::pin(async move {
            let response = client.send(request).await.map_err(|error| Error::Other(Box::new(error)))?;
            let (parts, body) = response.into_parts();
            Ok(BytesResponse { parts, body: Box::new(body) })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_for_how_long_or_until_when() {
        let now = 1_445_412_410;
        assert_eq!(pause("120", now), Some(120));
        assert_eq!(pause("Wed, 21 Oct 2015 07:28:00 GMT", now), Some(70));
        assert_eq!(pause("Wed, 21 Oct 2015 07:28:00 GMT", now + 3600), Some(0), "that time is over");
        assert_eq!(pause("soon", now), None);
    }

    #[tokio::test]
    async fn an_address_that_leads_nowhere_does_not_hide_why_the_other_one_fails() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a socket");
        let port = listener.local_addr().expect("its address").port();
        assert!(dial("127.0.0.1", port).await.is_ok());
        drop(listener);
        let refused = dial("127.0.0.1", port).await.expect_err("nobody listens");
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    }
}
