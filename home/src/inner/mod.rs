//! The inner network: where home's inner addresses live, and with them every connection through the tunnel.
//!
//! In: connections to be made from an inner address, the interface's wanted addresses. Out: the connections, the tunnel's
//! device. Refused: nothing is connected from an address that was not asked for.

mod interface;

use std::io;
use std::net::{IpAddr, SocketAddr};

use postern_shared::netlink;
use postern_shared::tunnel::Device;
use tokio::net::{TcpSocket, TcpStream};

pub use interface::{Interface, InterfaceError};

/// Which TCP/IP stack has the inner addresses; cheap to clone.
#[derive(Debug, Clone)]
pub enum Network {
    /// The kernel's, among the machine's other interfaces.
    Machine,
}

impl Network {
    /// Connects to `server` from the inner address `source`.
    ///
    /// # Errors
    /// As the operating system says.
    pub async fn connect(&self, source: IpAddr, server: SocketAddr) -> io::Result<TcpStream> {
        match self {
            Network::Machine => bound_socket(source)?.connect(server).await,
        }
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
        }
    }
}

fn bound_socket(source: IpAddr) -> io::Result<TcpSocket> {
    let socket = if source.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.bind(SocketAddr::new(source, 0))?;
    Ok(socket)
}
