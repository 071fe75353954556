//! The authoritative name server for the zones that home pushes.
//!
//! In: UDP and TCP queries on the configured addresses. Out: answers from [`SharedZones`]. The UDP transport and the
//! wire format are hickory's; what is answered is decided in [`answer`](mod@answer), and how it fits in [`handler`].
//! Known limits: no response rate limiting, no DNS cookies. A machine with several public
//! addresses must list them in `dns.listen`: from a wildcard socket an answer leaves from the route's own address.

pub mod answer;
pub mod handler;
mod tcp;
pub mod zones;

use std::io;
use std::net::{Ipv6Addr, SocketAddr};

use hickory_server::Server;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, UdpSocket};
use tokio::task::JoinSet;

use crate::host::lacks_ipv6;

pub use handler::{Handler, SharedZones, respond};
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

/// The running name server. It stops when dropped.
pub struct NameServer {
    server: Server<Handler>,
    /// What accepts TCP connections.
    _acceptors: JoinSet<()>,
    addresses: Vec<SocketAddr>,
}

impl NameServer {
    /// Binds every address on UDP and TCP and begins to answer.
    ///
    /// # Errors
    /// The first address that could not be had; none is then served. Where the machine has no IPv6, `[::]` is left out.
    pub fn start(listen: &[SocketAddr], zones: SharedZones) -> Result<Self, BindError> {
        let mut sockets = Vec::new();
        for address in listen {
            match bind(*address) {
                Ok(pair) => sockets.push(pair),
                Err(source) if address.ip() == Ipv6Addr::UNSPECIFIED && lacks_ipv6(&source) => {
                    tracing::warn!(%address, %source, "name server does without IPv6");
                }
                Err(source) => return Err(BindError { address: *address, source }),
            }
        }
        let mut server = Server::new(Handler::new(zones.clone()));
        let (mut acceptors, places) = (JoinSet::new(), tcp::Places::default());
        let addresses = sockets.iter().filter_map(|(udp, _)| udp.local_addr().ok()).collect();
        for (udp, tcp) in sockets {
            server.register_socket(udp);
            acceptors.spawn(tcp::serve(tcp, zones.clone(), places.clone()));
        }
        Ok(Self { server, _acceptors: acceptors, addresses })
    }

    /// The addresses in use; where port 0 was asked for, with the port that was given.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Waits until the server fails; it does not end otherwise.
    pub async fn failed(&mut self) -> String {
        match self.server.block_until_done().await {
            Ok(()) => std::future::pending().await,
            Err(error) => error.to_string(),
        }
    }
}

/// An IPv6 socket takes IPv6 only, so that `0.0.0.0` and `[::]` can both be listed.
fn bind(address: SocketAddr) -> io::Result<(UdpSocket, TcpListener)> {
    let udp = socket(address, Type::DGRAM, Protocol::UDP)?;
    let tcp = socket(address, Type::STREAM, Protocol::TCP)?;
    tcp.set_reuse_address(true)?;
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
