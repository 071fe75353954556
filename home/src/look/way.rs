//! The ways from which home looks at itself.
//!
//! In: an address and port of the edge's. Out: a connection that came by the way asked for, or why there is none. Refused:
//! a connection that would leave by another way: where this machine has none of its own to the address, home is not asked to
//! take the tunnel for the internet.

use std::fmt::{self, Display, Formatter};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

use crate::link::Link;
use crate::net::Tcp;

/// How long a connection may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// A way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Way {
    /// This machine's own line, the internet, the edge's public address: as everybody comes, the provider's firewall
    /// included.
    Internet,
    /// The tunnel, the edge's rules for strangers, and the tunnel again: without what stands before the edge.
    Mirror,
}

impl Display for Way {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Way::Internet => "from the internet, over this machine's own line",
            Way::Mirror => "by the edge's mirror, without what stands before the edge",
        })
    }
}

/// Why there is no connection; the text ends the sentence "port 25 …".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "lowercase")]
pub enum NoConnection {
    /// This machine has no line of its own to that address.
    #[error("cannot be tried: this machine has no way of its own to that address")]
    NoWay,
    /// The other end said no.
    #[error("refuses connections")]
    Refused,
    /// Nothing came back.
    #[error("does not answer within {} s", PATIENCE.as_secs())]
    Silent,
    /// Anything else.
    #[error("cannot be reached: {0}")]
    Failed(String),
}

impl From<io::Error> for NoConnection {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionRefused => Self::Refused,
            io::ErrorKind::TimedOut => Self::Silent,
            io::ErrorKind::NetworkUnreachable | io::ErrorKind::AddrNotAvailable => Self::NoWay,
            _ => Self::Failed(error.to_string()),
        }
    }
}

/// Connects.
///
/// # Errors
/// See [`NoConnection`].
pub async fn dial(link: &Link, way: Way, server: SocketAddr) -> Result<Tcp, NoConnection> {
    let dialling = async {
        match way {
            Way::Internet => {
                source_of(link, server).await.ok_or(NoConnection::NoWay)?;
                Ok(Tcp::Kernel(TcpStream::connect(server).await?))
            }
            Way::Mirror => Ok(link.dial(server).await?),
        }
    };
    timeout(PATIENCE, dialling).await.unwrap_or(Err(NoConnection::Silent))
}

/// The address that this machine's own line has towards `server`; none where only the tunnel would be left, or an address to
/// which no answer comes back.
pub async fn source_of(link: &Link, server: SocketAddr) -> Option<IpAddr> {
    let any: IpAddr =
        if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).await.ok()?;
    socket.connect(server).await.ok()?;
    let source = socket.local_addr().ok()?.ip();
    let inner = link.edge_addresses().borrow().clone();
    let is_inner = inner.is_some_and(|edge| source == edge.home_v4 || source == edge.home_v6);
    let leads_nowhere =
        matches!(source, IpAddr::V6(v6) if v6.is_unique_local() || v6.is_unicast_link_local());
    (!is_inner && !leads_nowhere).then_some(source)
}
