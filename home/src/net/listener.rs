//! Binds and accepts.

use std::{
    future::Future,
    io,
    net::{Ipv6Addr, SocketAddr},
    sync::Arc,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::{
    net::TcpListener,
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_rustls::rustls;
use tracing::{Instrument, debug, info_span, warn};

use super::{
    driver::{HANDSHAKE_TIMEOUT, ordered},
    limits::ConnectionLimits,
    peer::Peer,
    stream::Stream,
    tcp::{Listener, Tcp},
};

/// Connections the kernel holds until they are accepted.
const BACKLOG: i32 = 256;
/// How long sessions may take to say goodbye at shutdown.
const FAREWELL: Duration = Duration::from_secs(10);

/// An accepted connection, TLS handshake done where the service begins with one.
#[derive(Debug)]
pub struct Connection {
    /// The octets.
    pub stream: Stream,
    /// Both ends.
    pub peer: Peer,
    /// Names the session in every log line and in its trace field; unique within one run of the program.
    pub session_id: String,
}

/// Whether TLS comes first.
#[derive(Clone, Debug)]
pub enum Security {
    /// The protocol begins in clear (and may offer STARTTLS).
    Clear {
        /// What a client above the limits is told before the connection is closed, with its CRLF.
        busy: &'static str,
    },
    /// TLS from the first octet (RFC 8314 §3).
    Implicit(Arc<rustls::ServerConfig>),
}

/// One listening service.
#[derive(Debug)]
pub struct Service {
    /// Its name in the log: `smtp`, `submission`, `imap`.
    pub name: &'static str,
    /// Where it listens.
    pub listener: Listener,
    /// Whether TLS comes first.
    pub security: Security,
    /// Connections at once.
    pub limits: ConnectionLimits,
}

/// Binds a listener; `[::]` takes IPv4 too, so addresses that appear later (the tunnel's) are served.
///
/// # Errors
/// The system's reason, for instance that the port is in use.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::from_std(listen(address)?)
}

/// As [`bind`], outside a runtime.
///
/// # Errors
/// As [`bind`].
pub fn listen(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if let SocketAddr::V6(v6) = address {
        socket.set_only_v6(*v6.ip() != Ipv6Addr::UNSPECIFIED)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

impl Service {
    /// Accepts until shutdown, one task per connection; then waits a moment for the open ones.
    pub async fn serve<F, Fut>(mut self, mut shutdown: watch::Receiver<bool>, handle: F)
    where
        F: Fn(Connection) -> Fut + Clone + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let mut sessions = JoinSet::new();
        loop {
            tokio::select! {
                accepted = self.listener.accept() => match accepted {
                    Ok((tcp, remote)) => self.begin(&mut sessions, tcp, remote, handle.clone()),
                    Err(error) => self.after_failed_accept(error).await,
                },
                Some(_) = sessions.join_next() => {}
                () = ordered(&mut shutdown) => break,
            }
        }
        drop(self.listener);
        let _ = timeout(FAREWELL, async { while sessions.join_next().await.is_some() {} }).await;
    }

    fn begin<F, Fut>(&self, sessions: &mut JoinSet<()>, tcp: Tcp, remote: SocketAddr, handle: F)
    where
        F: Fn(Connection) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let Ok(local) = tcp.local_addr() else { return };
        let peer = Peer::new(remote, local);
        let place = match self.limits.enter(peer.address()) {
            Ok(place) => place,
            Err(reached) => {
                debug!(service = self.name, peer = %peer.remote, %reached, "connection refused");
                return self.refuse(&tcp);
            }
        };
        let session_id = next_session_id();
        let span = info_span!("session", service = self.name, id = %session_id, peer = %peer.remote);
        let security = self.security.clone();
        let work = async move {
            let _place = place;
            let _ = tcp.set_nodelay();
            // Apart, for it is over long before the session is.
            match Box::pin(secure(tcp, security)).await {
                Ok(stream) => handle(Connection { stream, peer, session_id }).await,
                Err(error) => debug!(%error, "TLS handshake failed"),
            }
        };
        sessions.spawn(work.instrument(span));
    }

    /// A fresh socket takes a line at once; if not, the close says enough.
    fn refuse(&self, tcp: &Tcp) {
        if let Security::Clear { busy } = self.security {
            let _ = tcp.try_write(busy.as_bytes());
        }
    }

    /// Out of descriptors, most often: let sessions end before trying again.
    async fn after_failed_accept(&self, error: io::Error) {
        warn!(service = self.name, %error, "cannot accept a connection");
        sleep(Duration::from_millis(200)).await;
    }
}

async fn secure(tcp: Tcp, security: Security) -> io::Result<Stream> {
    match security {
        Security::Clear { .. } => Ok(Stream::Plain(tcp)),
        Security::Implicit(config) => timeout(HANDSHAKE_TIMEOUT, Stream::Plain(tcp).accept_tls(config))
            .await
            .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?,
    }
}

/// Start time and a counter: unique over restarts, short enough for a trace field.
fn next_session_id() -> String {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let seconds = jiff::Timestamp::now().as_second();
    format!("{seconds:x}.{:x}", COUNTER.fetch_add(1, Ordering::Relaxed))
}
