//! The inner network: where home's inner addresses live, and with them every connection through the tunnel.
//!
//! In: connections to be made from an inner address, the interface's wanted addresses. Out: the connections, the tunnel's
//! device, listening sockets. Refused: nothing is connected from an address that was not asked for.
//!
//! | kind | TCP/IP stack | needs |
//! |---|---|---|
//! | tun | the kernel's, among the machine's other interfaces, with a policy rule | CAP_NET_ADMIN, `/dev/net/tun` |
//! | namespace | the kernel's, in a namespace of our own | unprivileged user namespaces, `/dev/net/tun` |
//! | userspace | smoltcp's, in this process | nothing |
//!
//! [`choice`] takes the first that works.

pub mod choice;

mod interface;
mod namespace;
pub mod userspace;

use std::fmt::{self, Display, Formatter};
use std::io;
use std::net::{IpAddr, SocketAddr};

use postern_shared::netlink;
use postern_shared::tunnel::Device;
use serde::{Deserialize, Serialize};
use tokio::net::{TcpListener, TcpSocket};

use crate::net::{Listener, Tcp};

pub use choice::{Choice, choose};
pub use interface::{Interface, InterfaceError};
pub use namespace::{Namespace, NamespaceError};
pub use userspace::Userspace;

/// What kind of inner network there is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A TUN device among the machine's interfaces.
    #[default]
    Tun,
    /// A TUN device in a namespace of our own.
    Namespace,
    /// A stack in this process, and no TUN device.
    Userspace,
}

/// Which TCP/IP stack has the inner addresses; cheap to clone.
#[derive(Debug, Clone)]
pub enum Network {
    /// The kernel's, among the machine's other interfaces.
    Machine,
    /// The kernel's, in a namespace of our own.
    Namespace(Namespace),
    /// One of our own, in this process.
    Userspace(Userspace),
}

impl Network {
    /// Its kind.
    pub fn kind(&self) -> Kind {
        match self {
            Network::Machine => Kind::Tun,
            Network::Namespace(_) => Kind::Namespace,
            Network::Userspace(_) => Kind::Userspace,
        }
    }

    /// Listens on a port of all inner addresses; `None` where the machine's own listeners do.
    ///
    /// # Errors
    /// As the operating system says.
    pub fn listen(&self, port: u16) -> Option<io::Result<Listener>> {
        match self {
            Network::Machine => None,
            Network::Namespace(namespace) => {
                Some(namespace.listen(port).and_then(TcpListener::from_std).map(Listener::Kernel))
            }
            Network::Userspace(stack) => Some(stack.listen(port).map(Listener::Userspace)),
        }
    }

    /// Connects to `server` from the inner address `source`.
    ///
    /// # Errors
    /// As the operating system says.
    pub async fn connect(&self, source: IpAddr, server: SocketAddr) -> io::Result<Tcp> {
        let socket = match self {
            Network::Machine => bound_socket(source)?,
            Network::Namespace(namespace) => namespace.socket(source).await?,
            Network::Userspace(stack) => return Ok(Tcp::Userspace(stack.connect(source, server).await?)),
        };
        Ok(Tcp::Kernel(socket.connect(server).await?))
    }

    /// Makes the tunnel's device and its interface, which is down and has no address yet.
    ///
    /// # Errors
    /// What is missing, with how to mend it.
    pub async fn open_device(&self, name: &str) -> Result<(Device, Interface), InterfaceError> {
        match self {
            Network::Machine => {
                let device = Device::open(name)?;
                Ok((device, Interface::Machine(netlink::Interface::open(name)?)))
            }
            Network::Namespace(namespace) => {
                let device = namespace.device(name).await.map_err(InterfaceError::Namespace)?;
                Ok((device, Interface::Namespace(namespace.clone())))
            }
            Network::Userspace(stack) => {
                let device = stack.device().map_err(InterfaceError::Userspace)?;
                Ok((device, Interface::Userspace(stack.clone())))
            }
        }
    }

    /// Completes when the network is lost for good, which is a fault of the program.
    pub async fn lost(&self) {
        match self {
            Network::Machine => std::future::pending().await,
            Network::Namespace(namespace) => namespace.ended().await,
            Network::Userspace(stack) => stack.ended().await,
        }
    }
}

impl Display for Kind {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Tun => "tun",
            Kind::Namespace => "namespace",
            Kind::Userspace => "userspace",
        })
    }
}

fn bound_socket(source: IpAddr) -> io::Result<TcpSocket> {
    let socket = if source.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.bind(SocketAddr::new(source, 0))?;
    Ok(socket)
}
