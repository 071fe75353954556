//! The edge's end of the tunnel: the shared tunnel thread and the addresses of its interface.
//!
//! In: the `[tunnel]` section. Out: a running [`Tunnel`] whose interface carries the edge's inner addresses and, for
//! homes that are about to join, the bootstrap address. The interface vanishes when the [`Tunnel`] is dropped.

use std::net::IpAddr;

use postern_shared::enrolment::{BOOTSTRAP_EDGE_V4, BOOTSTRAP_HOME_V4, InnerAddresses};
use postern_shared::netlink::{Interface, NetlinkError};
use postern_shared::tunnel::{Role, Tunnel, TunnelConfig, TunnelError};

use crate::config;

/// Why the tunnel could not be started; each text is a paragraph for the operator.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The device, the socket or the thread.
    #[error(transparent)]
    Tunnel(#[from] TunnelError),
    /// The interface's addresses.
    #[error(transparent)]
    Netlink(#[from] NetlinkError),
}

/// Makes the interface and begins to listen. Nobody can speak through it until epochs are set.
///
/// # Errors
/// See [`StartError`]; nothing is left behind.
pub async fn start(config: &config::Tunnel) -> Result<Tunnel, StartError> {
    let tunnel = Tunnel::spawn(TunnelConfig {
        role: Role::Edge,
        interface: config.interface.clone(),
        port: config.port,
    })?;
    let interface = Interface::open(&config.interface)?;
    interface.bring_up(config.mtu).await?;
    for (edge, home) in links(&inner_addresses(config)) {
        interface.add_address(edge, home).await?;
    }
    Ok(tunnel)
}

/// The inner addresses as enrolment and the tunnel take them.
pub fn inner_addresses(config: &config::Tunnel) -> InnerAddresses {
    InnerAddresses {
        edge_v4: config.edge_v4,
        home_v4: config.home_v4,
        edge_v6: config.edge_v6,
        home_v6: config.home_v6,
    }
}

fn links(inner: &InnerAddresses) -> [(IpAddr, IpAddr); 3] {
    [
        (inner.edge_v4.into(), inner.home_v4.into()),
        (inner.edge_v6.into(), inner.home_v6.into()),
        (BOOTSTRAP_EDGE_V4.into(), BOOTSTRAP_HOME_V4.into()),
    ]
}
