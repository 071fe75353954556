//! Moves octets between a connection and a pure session of a line protocol.
//!
//! The loop asks the session what it wants until it wants to wait, then waits for whatever comes first: octets,
//! the session's deadline, a notice from the host (new mail during IDLE), or the order to shut down. While the
//! host works on an event nothing is read, so a fast client waits in TCP's own buffers and not in ours.

use std::{future::Future, io, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::watch,
    time::{Instant, sleep_until, timeout},
};
use tokio_rustls::rustls;

use super::{listener::Connection, read_buffer::ReadBuffer, stream::TlsParameters};

/// How long the peer may take to accept one write or one TLS handshake (RFC 5321 §4.5.3.2 has no shorter one).
const WRITE_TIMEOUT: Duration = Duration::from_secs(300);
/// How long a TLS handshake may take.
pub(super) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(60);

/// A protocol's pure core, as the driver sees it. The clock is the caller's.
pub trait LineSession {
    /// What only the host can answer or do.
    type Event;

    /// Takes octets from the peer, any number, cut anywhere.
    fn handle_input(&mut self, input: &[u8], now: std::time::Instant);

    /// Takes note that the deadline given by [`Output::Wait`] has passed.
    fn handle_timeout(&mut self, now: std::time::Instant);

    /// Takes note that TLS is up; everything learnt before it is forgotten where the protocol says so.
    fn handle_tls(&mut self, tls: TlsParameters, now: std::time::Instant);

    /// Takes note that the server goes down; the session says goodbye and closes.
    fn handle_shutdown(&mut self, now: std::time::Instant);

    /// The next thing to do. Called until it says [`Output::Wait`] or [`Output::Close`].
    fn poll_output(&mut self, now: std::time::Instant) -> Output<Self::Event>;
}

/// What a session wants next.
#[derive(Debug)]
pub enum Output<E> {
    /// Send these octets.
    Send(Vec<u8>),
    /// Give this to the host, which answers through the session's own methods.
    Event(E),
    /// Begin the TLS handshake. The session has dropped what came in clear after the command (RFC 3207 §4.2).
    StartTls,
    /// Wait for input, at most until then.
    Wait {
        /// When to call [`LineSession::handle_timeout`].
        deadline: Option<std::time::Instant>,
    },
    /// Flush and close.
    Close,
}

/// What stands behind a session: directory, store, queue.
pub trait Host<S: LineSession>: Send {
    /// Handles one event; answers by the session's methods before it returns, or is busy afterwards.
    fn handle_event(&mut self, session: &mut S, event: S::Event) -> impl Future<Output = ()> + Send;

    /// Whether an event is still being handled: nothing is read until [`Host::notice`] has said that it is not.
    fn is_busy(&self) -> bool {
        false
    }

    /// Completes when the session should hear something without being asked. Must be safe to cancel.
    fn notice(&mut self) -> impl Future<Output = ()> + Send {
        std::future::pending()
    }

    /// Tells the session what the notice was about.
    fn handle_notice(&mut self, _session: &mut S) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }
}

/// Runs a session until either side closes.
///
/// `tls` is used when the session asks for [`Output::StartTls`].
///
/// # Errors
/// What ended the connection other than a close: a reset, a failed handshake, a peer that takes no octets.
pub async fn run_session<S, H>(
    connection: Connection,
    session: &mut S,
    host: &mut H,
    tls: Arc<rustls::ServerConfig>,
    mut shutdown: watch::Receiver<bool>,
) -> io::Result<()>
where
    S: LineSession + Send,
    S::Event: Send,
    H: Host<S>,
{
    let mut stream = connection.stream;
    let mut buffer = ReadBuffer::new();
    let mut told_of_shutdown = false;
    loop {
        let deadline = match session.poll_output(now()) {
            Output::Send(octets) => {
                within(WRITE_TIMEOUT, stream.write_all(&octets)).await?;
                continue;
            }
            // What works on an event, or on a handshake, lives apart and as long as that takes: an idle session has no room for it.
            Output::Event(event) => {
                Box::pin(host.handle_event(session, event)).await;
                continue;
            }
            Output::StartTls => {
                stream.flush().await?;
                stream = Box::pin(within(HANDSHAKE_TIMEOUT, stream.accept_tls(tls.clone()))).await?;
                let parameters = stream.tls_parameters().ok_or(io::ErrorKind::InvalidData)?;
                session.handle_tls(parameters, now());
                continue;
            }
            Output::Close => {
                // The peer may be gone already; closing is all that is left to do.
                let _ = within(HANDSHAKE_TIMEOUT, stream.shutdown()).await;
                return Ok(());
            }
            Output::Wait { deadline } => deadline,
        };
        within(WRITE_TIMEOUT, stream.flush()).await?;
        tokio::select! {
            read = stream.read(buffer.space()), if !host.is_busy() => match read? {
                0 => return Ok(()),
                count => {
                    session.handle_input(buffer.filled(count), now());
                    buffer.adapt(count);
                }
            },
            () = until(deadline) => session.handle_timeout(now()),
            () = host.notice() => Box::pin(host.handle_notice(session)).await,
            () = ordered(&mut shutdown), if !told_of_shutdown => {
                told_of_shutdown = true;
                session.handle_shutdown(now());
            }
        }
    }
}

/// The one place where a session's clock is read.
fn now() -> std::time::Instant {
    std::time::Instant::now()
}

async fn within<T>(limit: Duration, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(limit, work).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}

async fn until(deadline: Option<std::time::Instant>) {
    match deadline {
        Some(deadline) => sleep_until(Instant::from_std(deadline)).await,
        None => std::future::pending().await,
    }
}

/// Completes when the flag is true; never when its sender is gone without having set it.
pub(super) async fn ordered(shutdown: &mut watch::Receiver<bool>) {
    if shutdown.wait_for(|flag| *flag).await.is_err() {
        std::future::pending().await
    }
}
