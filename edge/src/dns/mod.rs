//! The authoritative name server for the zones that home pushes.
//!
//! In: UDP and TCP queries on the configured addresses. Out: answers from [`SharedZones`], each from the address that was
//! asked. What is answered is decided in [`answer`](mod@answer), how it fits and what is refused in
//! [`respond`](mod@respond), and how much of it goes to addresses that may be forged in [`limit`].
//!
//! The transports are ours: hickory-server's UDP starts a task for every query without a bound and answers from the
//! route's own address, and its TCP takes connections without a bound. hickory-proto reads the zones, hickory-server the
//! messages that are no usual query ([`rare`]).

pub mod name;
pub mod query;
mod rrset;
pub mod zones;

pub mod answer;
pub mod prepared;
mod writer;

pub mod cookie;
pub mod limit;
mod rare;
pub mod respond;

mod key_use;
pub mod message;
pub mod secondaries;
mod signed;
pub mod tsig;

pub mod difference;
pub mod transfer;

pub mod notify;

mod mmsg;
mod outgoing;
mod tcp;
mod udp;

use std::io;
use std::net::{Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::{Instant, SystemTime};

use ring::rand::{SecureRandom, SystemRandom};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::config::Dns;
use crate::host::lacks_ipv6;

use cookie::Cookies;
use limit::Limiter;
use outgoing::Outgoing;
use respond::Context;

pub use respond::respond;
pub use secondaries::SharedSecondaries;
pub use zones::{ServedZone, ZoneSet};

/// Connections that wait to be accepted.
const TCP_BACKLOG: i32 = 128;

/// A listening address that could not be had.
#[derive(Debug, thiserror::Error)]
#[error("the name server cannot listen on {address} (key `dns.listen`): {source}. {}", mend(source, address))]
pub struct BindError {
    address: SocketAddr,
    source: io::Error,
}

fn mend(error: &io::Error, address: &SocketAddr) -> String {
    let port = address.port();
    match error.kind() {
        io::ErrorKind::AddrInUse => format!(
            "Another program uses the port: `ss -lnptu 'sport = :{port}'` names it (often systemd-resolved). Stop it, or \
             list only the public addresses in `dns.listen`."
        ),
        io::ErrorKind::PermissionDenied => {
            "Run postern-edge as root, or give its service AmbientCapabilities=CAP_NET_BIND_SERVICE."
                .to_owned()
        }
        io::ErrorKind::AddrNotAvailable => {
            "This machine does not have that address; correct `dns.listen`.".to_owned()
        }
        _ => "Correct `dns.listen`.".to_owned(),
    }
}

/// The zones that are being served, shared with whoever changes them. A change is one pointer.
#[derive(Debug, Clone)]
pub struct SharedZones(Arc<watch::Sender<Arc<ZoneSet>>>);

impl Default for SharedZones {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(Arc::default())))
    }
}

impl SharedZones {
    /// The zones of this moment; they stay as they are while the caller holds them.
    pub fn current(&self) -> Arc<ZoneSet> {
        self.0.borrow().clone()
    }

    /// The zones as they change.
    pub fn subscribe(&self) -> watch::Receiver<Arc<ZoneSet>> {
        self.0.subscribe()
    }

    /// Serves `zones` from now on.
    pub fn replace(&self, zones: ZoneSet) {
        self.0.send_replace(Arc::new(zones));
    }
}

/// What is served, and to whom it is transferred.
#[derive(Debug, Clone, Default)]
pub struct Served {
    /// The zones.
    pub zones: SharedZones,
    /// The secondaries.
    pub secondaries: SharedSecondaries,
}

/// What all transports share.
#[derive(Debug, Clone)]
struct Shared {
    zones: SharedZones,
    cookies: Arc<Cookies>,
    /// `None`: answers are not limited.
    limiter: Option<Arc<Mutex<Limiter>>>,
    nsid: Arc<str>,
    secondaries: SharedSecondaries,
    outgoing: Outgoing,
}

impl Shared {
    /// What an answer depends on now.
    fn context<'a>(&'a self, zones: &'a ZoneSet) -> Context<'a> {
        let Self { cookies, nsid, secondaries, .. } = self;
        Context { zones, cookies, nsid, secondaries, now: unix_seconds() }
    }
}

/// The running name server. It stops when dropped.
pub struct NameServer {
    /// One for each UDP socket; each ends only when its socket fails.
    receivers: JoinSet<io::Error>,
    /// What accepts TCP connections.
    _acceptors: JoinSet<()>,
    addresses: Vec<SocketAddr>,
}

impl NameServer {
    /// Binds every address on UDP and TCP and begins to answer.
    ///
    /// # Errors
    /// The first address that could not be had; none is then served. Where the machine has no IPv6, `[::]` is left out.
    pub fn start(config: &Dns, Served { zones, secondaries }: Served) -> Result<Self, BindError> {
        let mut sockets = Vec::new();
        for address in &config.listen {
            match bind(*address) {
                Ok(pair) => sockets.push(pair),
                Err(source) if address.ip() == Ipv6Addr::UNSPECIFIED && lacks_ipv6(&source) => {
                    tracing::warn!(%address, %source, "name server does without IPv6");
                }
                Err(source) => return Err(BindError { address: *address, source }),
            }
        }
        let limiter =
            config.limit_answers.then(|| Arc::new(Mutex::new(Limiter::new(random(), Instant::now()))));
        let shared = Shared {
            zones,
            cookies: Arc::new(Cookies::new(random())),
            limiter,
            nsid: config.nsid.as_str().into(),
            secondaries,
            outgoing: Outgoing::default(),
        };
        let (mut receivers, mut acceptors, places) = (JoinSet::new(), JoinSet::new(), tcp::Places::default());
        let addresses = sockets.iter().filter_map(|(udp, _)| udp.local_addr().ok()).collect();
        for (udp, tcp) in sockets {
            receivers.spawn(udp::serve(udp, shared.clone()));
            acceptors.spawn(tcp::serve(tcp, shared.clone(), places.clone()));
        }
        Ok(Self { receivers, _acceptors: acceptors, addresses })
    }

    /// The addresses in use; where port 0 was asked for, with the port that was given.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Waits until the server fails; it does not end otherwise.
    pub async fn failed(&mut self) -> String {
        match self.receivers.join_next().await {
            Some(Ok(error)) => error.to_string(),
            Some(Err(panic)) => panic.to_string(),
            None => std::future::pending().await,
        }
    }
}

/// Octets that nobody can guess, good for this process's life.
fn random() -> [u8; 16] {
    let mut octets = [0; 16];
    SystemRandom::new().fill(&mut octets).expect("the system gives random octets");
    octets
}

/// Seconds since 1970.
fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// An IPv6 socket takes IPv6 only, so that `0.0.0.0` and `[::]` can both be listed.
fn bind(address: SocketAddr) -> io::Result<(UdpSocket, TcpListener)> {
    let udp = socket(address, Type::DGRAM, Protocol::UDP)?;
    let tcp = socket(address, Type::STREAM, Protocol::TCP)?;
    tcp.set_reuse_address(true)?;
    mmsg::tell_addresses(&udp, address)?;
    udp.bind(&address.into())?;
    // Port 0 asks for any port; both protocols then share the one that UDP was given.
    let bound = udp.local_addr()?;
    tcp.bind(&bound)?;
    tcp.listen(TCP_BACKLOG)?;
    Ok((UdpSocket::from_std(udp.into())?, TcpListener::from_std(tcp.into())?))
}

fn socket(address: SocketAddr, kind: Type, protocol: Protocol) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), kind, Some(protocol))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    Ok(socket)
}
