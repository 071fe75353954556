//! The interface of the inner network, wherever that is: its addresses, its routes, its MTU.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use postern_shared::netlink::{self, Conflict, NetlinkError};
use postern_shared::tunnel::TunnelError;

use super::{Namespace, Userspace};

/// Why the interface could not be made or changed.
#[derive(Debug, thiserror::Error)]
pub enum InterfaceError {
    /// The device could not be made.
    #[error(transparent)]
    Device(#[from] TunnelError),
    /// The kernel's network configuration could not be changed.
    #[error(transparent)]
    Netlink(#[from] NetlinkError),
    /// The same in the namespace.
    #[error("the tunnel's interface in the namespace of our own cannot be made or changed: {0}")]
    Namespace(#[source] io::Error),
    /// The same in the stack of our own.
    #[error("the TCP/IP stack of our own cannot be changed: {0}")]
    Userspace(#[source] io::Error),
}

/// The tunnel's interface.
#[derive(Debug)]
pub enum Interface {
    /// One of the machine's interfaces.
    Machine(netlink::Interface),
    /// The only interface of a namespace of our own; what is set there goes with it.
    Namespace(Namespace),
    /// That of the stack in this process.
    Userspace(Userspace),
}

impl Interface {
    /// Sets the MTU (octets) and brings the interface up.
    ///
    /// # Errors
    /// Where it is refused.
    pub async fn bring_up(&self, mtu: u16) -> Result<(), InterfaceError> {
        match self {
            Interface::Machine(interface) => Ok(interface.bring_up(mtu).await?),
            Interface::Namespace(namespace) => in_namespace(namespace.bring_up(mtu).await),
            Interface::Userspace(stack) => stack.set_mtu(mtu).map_err(InterfaceError::Userspace),
        }
    }

    /// Adds a host address and the route to its peer.
    ///
    /// # Errors
    /// Where it is refused.
    pub async fn add_address(&self, local: IpAddr, peer: IpAddr) -> Result<(), InterfaceError> {
        match self {
            Interface::Machine(interface) => Ok(interface.add_address(local, peer).await?),
            Interface::Namespace(namespace) => in_namespace(namespace.add_address(local, peer).await),
            Interface::Userspace(stack) => stack.add_address(local).map_err(InterfaceError::Userspace),
        }
    }

    /// Removes a host address, which may be absent.
    ///
    /// # Errors
    /// Where it is refused.
    pub async fn remove_address(&self, local: IpAddr) -> Result<(), InterfaceError> {
        match self {
            Interface::Machine(interface) => Ok(interface.remove_address(local).await?),
            Interface::Namespace(namespace) => in_namespace(namespace.remove_address(local).await),
            Interface::Userspace(stack) => stack.remove_address(local).map_err(InterfaceError::Userspace),
        }
    }

    /// Makes packets from the two addresses leave by this interface, wherever they go.
    ///
    /// # Errors
    /// Where it is refused.
    pub async fn add_policy(&self, v4: Ipv4Addr, v6: Ipv6Addr) -> Result<(), InterfaceError> {
        match self {
            Interface::Machine(interface) => Ok(interface.add_policy(v4, v6).await?),
            Interface::Namespace(namespace) => in_namespace(namespace.add_default_routes().await),
            Interface::Userspace(_) => Ok(()),
        }
    }

    /// Removes what [`add_policy`](Self::add_policy) left outside the interface.
    ///
    /// # Errors
    /// Where it is refused.
    pub async fn remove_policy(&self, v4: Ipv4Addr, v6: Ipv6Addr) -> Result<(), InterfaceError> {
        match self {
            Interface::Machine(interface) => Ok(interface.remove_policy(v4, v6).await?),
            Interface::Namespace(_) | Interface::Userspace(_) => Ok(()),
        }
    }

    /// The first of `wanted` that another interface of the same network holds.
    ///
    /// # Errors
    /// Where the addresses cannot be listed.
    pub async fn conflict(&self, wanted: &[IpAddr]) -> Result<Option<Conflict>, InterfaceError> {
        match self {
            Interface::Machine(interface) => Ok(interface.conflict(wanted).await?),
            Interface::Namespace(_) | Interface::Userspace(_) => Ok(None),
        }
    }
}

fn in_namespace(outcome: io::Result<()>) -> Result<(), InterfaceError> {
    outcome.map_err(InterfaceError::Namespace)
}
