//! Whether there is a way to other servers, and from which addresses it leaves.
//!
//! In: the link's state and addresses. Out: a [`WayOut`], or the reason why mail to others waits, in words for the
//! operator. Connections leave from home's inner tunnel addresses, so that they reach the world from the edge's static
//! address; without the tunnel nothing is sent at all, because the home line's own address would be refused.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::watch;

use crate::link::{EdgeAddresses, LinkState, LinkStatus};

/// The addresses of the way out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WayOut {
    /// Source of IPv4 connections.
    pub v4: Ipv4Addr,
    /// Source of IPv6 connections.
    pub v6: Ipv6Addr,
    /// Under which the world sees us.
    pub public: Vec<IpAddr>,
}

impl WayOut {
    /// The source address for a destination.
    pub fn source(&self, destination: IpAddr) -> IpAddr {
        match destination {
            IpAddr::V4(_) => self.v4.into(),
            IpAddr::V6(_) => self.v6.into(),
        }
    }
}

/// Watches the link.
#[derive(Debug, Clone)]
pub struct Gate {
    addresses: watch::Receiver<Option<EdgeAddresses>>,
    status: watch::Receiver<LinkStatus>,
    changes: Arc<AtomicU64>,
}

impl Gate {
    /// Takes `link.edge_addresses()` and `link.watch_status()`.
    pub fn new(
        addresses: watch::Receiver<Option<EdgeAddresses>>,
        status: watch::Receiver<LinkStatus>,
    ) -> Self {
        Gate { addresses, status, changes: Arc::default() }
    }

    /// The way out as it is now.
    ///
    /// # Errors
    /// Why there is none.
    pub fn current(&self) -> Result<WayOut, String> {
        let addresses = self.addresses.borrow();
        let Some(addresses) = addresses.as_ref() else {
            return Err("waiting until this home has joined an edge (`postern-home join`)".to_owned());
        };
        match self.status.borrow().state {
            LinkState::Connected => {
                Ok(WayOut { v4: addresses.home_v4, v6: addresses.home_v6, public: addresses.of_mail() })
            }
            LinkState::Fenced => {
                Err("waiting: another home with the same keys is connected (`postern-home status`)"
                    .to_owned())
            }
            LinkState::Unjoined | LinkState::Joining | LinkState::Connecting => {
                Err("waiting for the tunnel: the edge does not answer (`postern-home status`)".to_owned())
            }
        }
    }

    /// Notes that the worker has taken up another way.
    pub fn count_change(&self) {
        self.changes.fetch_add(1, Ordering::Release);
    }

    /// How often another way was taken up, on any clone of this gate: an attempt that ends under another number than it
    /// began under may have been cut off by the tunnel, even where that is up again.
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// Waits until the way out is another than `known`. Takes what the caller acted upon, so that no change between that
    /// and this call is missed.
    pub async fn other_than(&mut self, known: &Result<WayOut, String>) {
        while self.current() == *known {
            let ended = tokio::select! {
                changed = self.addresses.changed() => changed.is_err(),
                changed = self.status.changed() => changed.is_err(),
            };
            if ended {
                // The link has stopped, and so will we.
                std::future::pending::<()>().await;
            }
        }
    }
}
