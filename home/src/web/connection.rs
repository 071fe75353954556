//! One connection: HTTP/1.1 within bounds.
//!
//! In: a byte stream, the order to shut down. Out: [`Request`]s to a page function, its [`Response`]s to the client.
//! Refused: headers that are too long or too many (431), a first request, a next request or a body that does not come in time,
//! a connection that lives too long, for instance of a client that reads no answer.

use std::convert::Infallible;
use std::future::Future;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tracing::{debug, info};

use super::request::Request;
use super::response::Response;

/// Octets of a request's header, its request line included.
pub(super) const HEADER_OCTETS: usize = 16 * 1024;
/// Header fields of a request.
const HEADERS: usize = 64;
/// How long things may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    /// A header, and a connection without a request.
    header: Duration,
    /// A whole connection; then the request that is being answered is the last one.
    connection: Duration,
    /// The last request.
    farewell: Duration,
}

/// For clients of the world.
pub(super) const TIMES: Times = Times {
    header: Duration::from_secs(15),
    connection: Duration::from_secs(300),
    farewell: Duration::from_secs(5),
};

/// Serves the requests of a connection one after the other.
pub(super) async fn serve<S, P, F>(stream: S, times: Times, mut shutdown: watch::Receiver<bool>, page: P)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    P: Fn(Request) -> F,
    F: Future<Output = Response>,
{
    let service =
        service_fn(|request| async { Ok::<_, Infallible>(answer(request, &page).await.into_hyper()) });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(times.header)
        .max_headers(HEADERS)
        .max_header_size(HEADER_OCTETS)
        .max_buf_size(2 * HEADER_OCTETS)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let served = tokio::select! {
        served = connection.as_mut() => served,
        () = end(times, &mut shutdown) => {
            connection.as_mut().graceful_shutdown();
            timeout(times.farewell, connection).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = served {
        debug!(%error, "connection ended early");
    }
}

/// Completes when the connection shall take no further request.
async fn end(times: Times, shutdown: &mut watch::Receiver<bool>) {
    tokio::select! {
        () = sleep(times.connection) => {}
        Ok(_) = shutdown.wait_for(|flag| *flag) => {}
    }
}

/// The query is not logged: it may hold an address.
async fn answer<P, F>(request: hyper::Request<Incoming>, page: &P) -> Response
where
    P: Fn(Request) -> F,
    F: Future<Output = Response>,
{
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let (host, response) = match Request::new(request) {
        Ok(request) => (request.host.clone(), page(request).await),
        Err(response) => (None, response),
    };
    let host = host.as_ref().map_or("", |host| host.as_str());
    let path: String = path.chars().take(100).collect();
    info!(%method, host, ?path, status = response.status.as_u16(), "request");
    response
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    const SHORT: Times = Times {
        header: Duration::from_millis(300),
        connection: Duration::from_secs(2),
        farewell: Duration::from_millis(300),
    };

    /// What a client reads that sends these octets and then waits.
    async fn exchange(octets: &[u8]) -> String {
        let (mut client, server) = tokio::io::duplex(64 * 1024);
        let (_order, shutdown) = watch::channel(false);
        let serving = tokio::spawn(serve(server, SHORT, shutdown, |request: Request| async move {
            Response::text(format!("{} {}", request.method, request.path))
        }));
        client.write_all(octets).await.expect("written");
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.expect("read");
        serving.await.expect("served");
        answer
    }

    #[tokio::test]
    async fn requests_are_answered_until_the_client_falls_silent() {
        let two =
            exchange(b"GET /a HTTP/1.1\r\nHost: x.example\r\n\r\nGET /b HTTP/1.1\r\nHost: x.example\r\n\r\n")
                .await;
        assert!(two.contains("GET /a") && two.contains("GET /b"), "{two}");
        assert_eq!(exchange(b"").await, "");
        assert_eq!(exchange(b"GET / HTTP/1.1\r\nHos").await, "");
    }

    #[tokio::test]
    async fn a_host_is_named_once_and_rightly() {
        for (headers, answer) in [
            ("", "HTTP/1.1 400 "),
            ("Host: a.example\r\nHost: b.example\r\n", "HTTP/1.1 400 "),
            ("Host: a b\r\n", "HTTP/1.1 400 "),
            ("Host: 192.0.2.1\r\n", "HTTP/1.1 200 "),
            ("Host: A.Example.:443\r\n", "HTTP/1.1 200 "),
        ] {
            let got = exchange(format!("GET / HTTP/1.1\r\n{headers}\r\n").as_bytes()).await;
            assert!(got.starts_with(answer), "{headers:?}: {got}");
        }
    }

    #[tokio::test]
    async fn headers_are_bounded_and_not_guessed() {
        let many: String = (0..HEADERS + 1).map(|number| format!("X-{number}: 1\r\n")).collect();
        let long = format!("X: {}\r\n", "x".repeat(HEADER_OCTETS));
        for headers in [many, long] {
            let got =
                exchange(format!("GET / HTTP/1.1\r\nHost: x.example\r\n{headers}\r\n").as_bytes()).await;
            assert!(got.starts_with("HTTP/1.1 431 "), "{got}");
        }
        for smuggled in [
            "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
            "Content Length: 1\r\n\r\nx",
        ] {
            let got = exchange(format!("POST / HTTP/1.1\r\nHost: x.example\r\n{smuggled}").as_bytes()).await;
            assert!(got.starts_with("HTTP/1.1 400 "), "{smuggled:?}: {got}");
        }
    }

    #[tokio::test]
    async fn a_connection_ends_at_its_time_whatever_the_client_does() {
        let (mut client, server) = tokio::io::duplex(1024);
        let (_order, shutdown) = watch::channel(false);
        let long = |_| async { Response::text("x".repeat(1 << 20)) };
        let serving = tokio::spawn(serve(server, SHORT, shutdown, long));
        client.write_all(b"GET / HTTP/1.1\r\nHost: x.example\r\n\r\n").await.expect("written");
        let start = Instant::now();
        serving.await.expect("served");
        assert!(start.elapsed() >= SHORT.connection, "{:?}", start.elapsed());
    }

    #[tokio::test]
    async fn a_shutdown_ends_an_idle_connection_at_once() {
        let (_client, server) = tokio::io::duplex(1024);
        let (order, shutdown) = watch::channel(false);
        let serving = tokio::spawn(serve(server, SHORT, shutdown, |_| async { Response::not_found() }));
        let start = Instant::now();
        order.send(true).expect("heard");
        serving.await.expect("served");
        assert!(start.elapsed() < SHORT.header, "{:?}", start.elapsed());
    }
}
