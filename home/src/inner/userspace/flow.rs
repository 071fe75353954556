//! One connection: its TCP socket in a set of its own, shared between the stack and the stream that reads and writes it.
//!
//! The buffers are bounded, and so the back-pressure is TCP's own: what a service does not read closes the peer's window,
//! and what the peer does not take makes the service wait.
//!
//! | state | ends by |
//! |---|---|
//! | half-open: the peer's SYN is answered | its ACK, or [`HANDSHAKE`], or eviction by newer ones |
//! | open | both ends closing, a reset, or data that nobody acknowledges for [`SILENCE`] |
//! | orphaned: the stream is gone | the peer's closing, or [`FAREWELL`] |

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use smoltcp::iface::{SocketHandle, SocketSet, SocketStorage};
use smoltcp::socket::tcp::{CongestionControl, Socket, SocketBuffer, State};
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::IpEndpoint;
use tokio::sync::Notify;

use super::segment::Ends;

/// The octets that may wait to be read, and those that may wait to be acknowledged: what is under way in a round trip of
/// 40 ms at 50 Mbit/s. The pages of a buffer cost memory only once they have been used: see [`map_buffers_apart`].
pub const BUFFER: usize = 256 * 1024;

/// How long a peer may take for its part of the handshake.
const HANDSHAKE: Duration = Duration::from_secs(60);

/// How long data may stay unacknowledged, as with Linux's `tcp_retries2`.
const SILENCE: Duration = Duration::from_secs(15 * 60);

/// How long a connection that nobody reads any more may take to close, as Linux's `tcp_fin_timeout`.
const FAREWELL: Duration = Duration::from_secs(60);

/// A connection.
pub struct Flow {
    /// Its ends.
    pub ends: Ends,
    inner: Mutex<Inner>,
}

/// What stack and stream share.
pub struct Inner {
    sockets: SocketSet<'static>,
    handle: SocketHandle,
    /// The number of a half-open connection among all; `None` once it is open, or where home opened it.
    pub half_open: Option<u64>,
    /// When the stack must look at it again.
    pub deadline: Option<Instant>,
    /// Whether the stream has asked for a turn that has not come.
    is_rung: bool,
    orphan: Orphan,
    /// Whether data waits that did not before.
    is_fresh: bool,
    /// When the connection began, the peer was last heard, or data began to wait: the latest of these.
    since: Instant,
}

/// Whether the stream is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Orphan {
    No,
    /// The stack has not seen it yet.
    New,
    Since(Instant),
}

/// Streams that want the stack's attention.
#[derive(Debug, Default)]
pub struct Bell {
    rung: Mutex<Vec<Ends>>,
    notify: Notify,
}

impl Bell {
    /// Completes when a stream has rung.
    pub async fn rings(&self) {
        self.notify.notified().await;
    }

    /// Who has rung since the last call.
    pub fn take(&self) -> Vec<Ends> {
        std::mem::take(&mut *self.rung.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn ring(&self, ends: Ends) {
        self.rung.lock().unwrap_or_else(PoisonError::into_inner).push(ends);
        self.notify.notify_one();
    }
}

/// Makes each buffer a mapping of its own from now on, which the kernel clears a page at a time as it is used. By itself
/// glibc's malloc puts what is as long as something freed before into its heap, and calloc clears used memory by writing to
/// it: a flood of SYNs would then take whole buffers, half a gigabyte of them. Other C libraries do it right by themselves.
pub fn map_buffers_apart() {
    #[cfg(target_env = "gnu")]
    {
        // SAFETY: mallopt may be called at any time, and changes where memory comes from and nothing else.
        let is_set = unsafe { libc::mallopt(libc::M_MMAP_THRESHOLD, BUFFER as libc::c_int) };
        if is_set == 0 {
            tracing::warn!(
                "the buffers of connections cannot be mapped apart; many half-open ones take more memory"
            );
        }
    }
}

impl Flow {
    /// A connection that is about to begin.
    pub fn new(ends: Ends, half_open: Option<u64>, now: Instant) -> Arc<Self> {
        let buffer = || SocketBuffer::new(vec![0; BUFFER]);
        let mut socket = Socket::new(buffer(), buffer());
        socket.set_congestion_control(CongestionControl::Cubic);
        socket.set_nagle_enabled(false);
        let mut sockets = SocketSet::new(vec![SocketStorage::EMPTY]);
        let handle = sockets.add(socket);
        let inner = Inner {
            sockets,
            handle,
            half_open,
            deadline: None,
            is_rung: false,
            orphan: Orphan::No,
            is_fresh: false,
            since: now,
        };
        Arc::new(Self { ends, inner: Mutex::new(inner) })
    }

    /// Locks it.
    pub fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for a turn of the stack. `inner` is this flow's own.
    pub fn ring(&self, inner: &mut Inner, bell: &Bell) {
        if !std::mem::replace(&mut inner.is_rung, true) {
            bell.ring(self.ends);
        }
    }
}

impl Inner {
    /// The socket.
    pub fn socket(&mut self) -> &mut Socket<'static> {
        self.sockets.get_mut(self.handle)
    }

    /// The set that has no other socket.
    pub fn sockets(&mut self) -> &mut SocketSet<'static> {
        &mut self.sockets
    }

    /// Begins a turn: what the stream has done since the last one begins to count now.
    pub fn begin_turn(&mut self, now: Instant) {
        self.is_rung = false;
        if std::mem::take(&mut self.is_fresh) {
            self.since = now;
        }
        if self.orphan == Orphan::New {
            self.orphan = Orphan::Since(now);
        }
    }

    /// Notes that the peer was heard. A handshake is not prolonged by it.
    pub fn hear(&mut self, now: Instant) {
        if self.half_open.is_none() {
            self.since = now;
        }
    }

    /// Writes as much as there is room for; `None` where nothing can be written ever more.
    pub fn write(&mut self, octets: &[u8]) -> Option<usize> {
        let was_idle = self.socket().send_queue() == 0;
        let written = self.socket().send_slice(octets).ok()?;
        self.is_fresh |= was_idle;
        Some(written)
    }

    /// Leaves the connection to the stack, which closes it in good order.
    pub fn orphan(&mut self) {
        self.orphan = Orphan::New;
        let socket = self.socket();
        match socket.state() {
            State::SynSent | State::SynReceived => socket.abort(),
            _ => socket.close(),
        }
    }

    /// Whether only the stack knows it.
    pub fn is_orphan(&self) -> bool {
        self.orphan != Orphan::No
    }

    /// Throws away what nobody will read.
    pub fn drain(&mut self) {
        // Nothing to receive is as good.
        let _ = self.socket().recv(|octets| (octets.len(), ()));
    }

    /// When the connection's patience ends, if it waits for something.
    pub fn limit(&mut self) -> Option<Instant> {
        let state = self.socket().state();
        let is_waiting = self.socket().send_queue() > 0;
        match (state, self.orphan) {
            (State::Closed | State::TimeWait, _) => None,
            (State::Listen | State::SynReceived | State::SynSent, _) => Some(self.since + HANDSHAKE),
            (_, Orphan::Since(since)) => Some(since + FAREWELL),
            _ => is_waiting.then_some(self.since + SILENCE),
        }
    }
}

/// An address in the stack's own type.
pub fn endpoint(address: SocketAddr) -> IpEndpoint {
    IpEndpoint::new(address.ip().into(), address.port())
}
