//! HTTP/1.1 with JSON bodies over any byte stream: both directions of the local socket and of the control protocol.
//!
//! In: a connected stream. Out: a whole [`Request`] given to a handler, or a whole [`Response`] given to a caller.
//! Refused: bodies over [`Limits::body_octets`], slow peers, bodies that are not the JSON a handler asked for.
//! Messages here are small (a zone is the largest), so they are held whole. RFC 9112, RFC 8259.

use std::future::Future;
use std::time::Duration;

use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncWrite};

pub use hyper::{HeaderMap, Method, StatusCode};

/// What a peer may cost.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The largest body, in octets, in either direction.
    pub body_octets: usize,
    /// How long a request's header and its body may each take to arrive, and an idle connection may stay open.
    pub read: Duration,
    /// How many connections are served at once.
    pub connections: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { body_octets: 4 << 20, read: Duration::from_secs(30), connections: 64 }
    }
}

/// One request, whole.
#[derive(Debug, Clone)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// The path, with the query where there is one.
    pub path: String,
    /// Header fields.
    pub headers: HeaderMap,
    /// The body's octets.
    pub body: Bytes,
}

impl Request {
    /// A request without a body.
    pub fn new(method: Method, path: impl Into<String>) -> Self {
        Self { method, path: path.into(), headers: HeaderMap::new(), body: Bytes::new() }
    }

    /// The same request with `value` as its JSON body.
    ///
    /// # Errors
    /// Where `value` has no JSON form (a map with keys that are not text).
    pub fn with_json<T: Serialize>(mut self, value: &T) -> Result<Self, serde_json::Error> {
        self.body = serde_json::to_vec(value)?.into();
        Ok(self)
    }

    /// The body as `T`.
    ///
    /// # Errors
    /// The 400 answer to give back, which says what is wrong with the body.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Response> {
        serde_json::from_slice(&self.body).map_err(|error| {
            Response::error(StatusCode::BAD_REQUEST, format!("the body is not as expected: {error}"))
        })
    }

    /// The path without its query, split at the slashes.
    pub fn segments(&self) -> Vec<&str> {
        let path = self.path.split('?').next().unwrap_or("");
        path.split('/').filter(|segment| !segment.is_empty()).collect()
    }
}

/// One answer, whole. The body is JSON.
#[derive(Debug, Clone)]
pub struct Response {
    /// The status code.
    pub status: StatusCode,
    /// JSON octets.
    pub body: Bytes,
}

/// The body of every answer that is not a success.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ErrorBody {
    /// Whole sentences for a person.
    pub error: String,
}

impl Response {
    /// 200 with `value`.
    pub fn ok<T: Serialize>(value: &T) -> Self {
        match serde_json::to_vec(value) {
            Ok(body) => Self { status: StatusCode::OK, body: body.into() },
            Err(error) => Self::error(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
        }
    }

    /// Status `status` with an [`ErrorBody`].
    pub fn error(status: StatusCode, message: impl Into<String>) -> Self {
        let body = serde_json::json!({ "error": message.into() }).to_string();
        Self { status, body: body.into() }
    }

    /// 404 for a path that is no resource here.
    pub fn not_found() -> Self {
        Self::error(StatusCode::NOT_FOUND, "there is no such resource.")
    }

    /// The body as `T`.
    ///
    /// # Errors
    /// Where the body is not the JSON form of a `T`.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_slice(&self.body)
    }

    /// The sentence of an [`ErrorBody`], or the status where there is none.
    pub fn error_text(&self) -> String {
        self.json::<ErrorBody>().map_or_else(|_| self.status.to_string(), |body| body.error)
    }
}

/// Why an exchange with a peer did not complete.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    /// The peer closed, or broke the protocol.
    #[error("the connection failed: {0}")]
    Http(#[from] hyper::Error),
    /// The request cannot be written as HTTP.
    #[error("the request cannot be sent: {0}")]
    Request(#[from] hyper::http::Error),
    /// The answer is longer than the limit.
    #[error("the answer is longer than {0} octets")]
    TooLong(usize),
    /// The answer did not come in time.
    #[error("there was no answer within {} s", .0.as_secs())]
    Late(Duration),
}

/// Serves the requests of one connection, one after the other, until the peer closes it or breaks a limit.
pub async fn serve_connection<S, H, F>(stream: S, limits: Limits, handler: H)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    H: Fn(Request) -> F,
    F: Future<Output = Response>,
{
    let service = service_fn(|request| async {
        let response = match read_request(request, limits).await {
            Ok(request) => handler(request).await,
            Err(response) => response,
        };
        to_hyper(response)
    });
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.read)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "http connection ended early");
    }
}

/// Sends one request over `stream` and waits at most `limits.read` for the whole answer.
///
/// # Errors
/// See [`ExchangeError`].
pub async fn exchange<S>(stream: S, request: Request, limits: Limits) -> Result<Response, ExchangeError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    tokio::time::timeout(limits.read, exchange_untimed(stream, request, limits))
        .await
        .unwrap_or(Err(ExchangeError::Late(limits.read)))
}

async fn exchange_untimed<S>(stream: S, request: Request, limits: Limits) -> Result<Response, ExchangeError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let driver = tokio::spawn(connection);
    let mut message = hyper::Request::builder()
        .method(request.method)
        .uri(request.path)
        .header("host", "postern")
        .header("content-type", "application/json")
        .body(Full::new(request.body))?;
    message.headers_mut().extend(request.headers);
    let answer = sender.send_request(message).await?;
    let status = answer.status();
    let body = Limited::new(answer.into_body(), limits.body_octets).collect().await;
    driver.abort();
    match body {
        Ok(body) => Ok(Response { status, body: body.to_bytes() }),
        Err(_) => Err(ExchangeError::TooLong(limits.body_octets)),
    }
}

async fn read_request(request: hyper::Request<Incoming>, limits: Limits) -> Result<Request, Response> {
    let (head, body) = request.into_parts();
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
    let reading = Limited::new(body, limits.body_octets).collect();
    let body = match tokio::time::timeout(limits.read, reading).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            return Err(Response::error(StatusCode::PAYLOAD_TOO_LARGE, "the body is too long."));
        }
        Ok(Err(_)) => return Err(Response::error(StatusCode::BAD_REQUEST, "the body broke off.")),
        Err(_) => return Err(Response::error(StatusCode::REQUEST_TIMEOUT, "the body did not come in time.")),
    };
    Ok(Request { method: head.method, path, headers: head.headers, body })
}

fn to_hyper(response: Response) -> Result<hyper::Response<Full<Bytes>>, hyper::http::Error> {
    hyper::Response::builder()
        .status(response.status)
        .header("content-type", "application/json")
        .body(Full::new(response.body))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    fn small() -> Limits {
        Limits { body_octets: 64, read: Duration::from_millis(200), connections: 4 }
    }

    async fn echo(request: Request) -> Response {
        match request.json::<Vec<u32>>() {
            Ok(numbers) => Response::ok(&(request.method.as_str(), request.path.clone(), numbers)),
            Err(response) => response,
        }
    }

    async fn call(request: Request) -> Result<Response, ExchangeError> {
        let (client, server) = tokio::io::duplex(4096);
        tokio::spawn(serve_connection(server, small(), echo));
        exchange(client, request, Limits::default()).await
    }

    #[tokio::test]
    async fn a_request_and_its_answer_pass_whole() {
        let request = Request::new(Method::PUT, "/v1/x?y=1").with_json(&[1, 2]).unwrap();
        assert_eq!(request.segments(), ["v1", "x"]);
        let answer = call(request).await.unwrap();
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(answer.body.as_ref(), br#"["PUT","/v1/x?y=1",[1,2]]"#);
    }

    #[tokio::test]
    async fn a_body_over_the_limit_is_refused() {
        let request = Request::new(Method::PUT, "/").with_json(&vec![7; 100]).unwrap();
        assert_eq!(call(request).await.unwrap().status, StatusCode::PAYLOAD_TOO_LARGE);
    }

    #[tokio::test]
    async fn a_body_of_another_shape_is_refused_with_the_reason() {
        let answer = call(Request::new(Method::PUT, "/").with_json(&"text").unwrap()).await.unwrap();
        assert_eq!(answer.status, StatusCode::BAD_REQUEST);
        assert!(answer.error_text().contains("not as expected"), "{}", answer.error_text());
    }

    #[tokio::test]
    async fn a_silent_peer_is_dropped() {
        let (mut client, server) = tokio::io::duplex(4096);
        client.write_all(b"PUT / HT").await.unwrap();
        serve_connection(server, small(), echo).await;
        let mut rest = Vec::new();
        client.read_to_end(&mut rest).await.unwrap();
    }
}
