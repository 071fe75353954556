//! The two ends of a way across the internet.

use std::net::{IpAddr, SocketAddr};

/// Where a datagram comes from, or goes to, and at which address of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ends {
    /// The peer's address.
    pub peer: SocketAddr,
    /// Ours: what comes at one address of several is answered from there, or a NAT on the way would not let the answer
    /// pass. `None` leaves it to the routing table.
    pub local: Option<IpAddr>,
}

impl From<SocketAddr> for Ends {
    fn from(peer: SocketAddr) -> Self {
        Self { peer, local: None }
    }
}
