//! The line to the edge: the tunnel and its interface, whose MTU follows the path.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use postern_shared::enrolment::{BOOTSTRAP_EDGE_V4, BOOTSTRAP_HOME_V4, InnerAddresses};
use postern_shared::join_code::Endpoint;
use postern_shared::tunnel::{EpochConfig, EpochId, EpochStatus, FIRST_LIMIT, Role, Tunnel, TunnelStatus};
use tokio::sync::watch;

use super::finder::resolve;
use super::state::JoinedEdge;
use super::{LinkConfig, LinkError};
use crate::inner::Interface;

/// The least MTU of an interface that carries IPv6 (RFC 8200 §5); below it, the tunnel cuts TCP by itself.
const IPV6_MINIMUM: u16 = 1280;

/// How long one of several addresses is tried before the next has its turn.
const TURN: Duration = Duration::from_secs(2);

/// How long a handshake may take, over all addresses of the edge, before the edge counts as silent.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running tunnel with its interface.
pub struct Line {
    tunnel: Tunnel,
    interface: Interface,
    status: watch::Receiver<TunnelStatus>,
    /// The longest packet that may be tried, octets.
    ceiling: u16,
    /// The interface's MTU.
    mtu: u16,
}

impl Line {
    /// Makes the tunnel's thread and its interface; nothing passes before epochs are set.
    pub async fn open(config: &LinkConfig) -> Result<Self, LinkError> {
        let (device, interface) = config.network.open_device(&config.interface).await?;
        let tunnel = Tunnel::with_device(Role::Home, device, 0)?;
        let status = tunnel.watch_status();
        Ok(Self { tunnel, interface, status, ceiling: config.mtu, mtu: config.mtu.min(FIRST_LIMIT) })
    }

    /// Prepares the interface for enrolment.
    pub async fn configure_bootstrap(&self) -> Result<(), LinkError> {
        self.interface.bring_up(self.mtu).await?;
        Ok(self.interface.add_address(BOOTSTRAP_HOME_V4.into(), BOOTSTRAP_EDGE_V4.into()).await?)
    }

    /// Gives the interface home's inner addresses and the policy that goes with them.
    pub async fn configure(&mut self, edge: &JoinedEdge) -> Result<(), LinkError> {
        let inner = edge.inner;
        let ceiling = edge.mtu.min(self.ceiling);
        self.tunnel.set_ceiling(ceiling);
        self.mtu = self.mtu.min(ceiling);
        self.interface.bring_up(self.mtu).await?;
        self.interface.remove_address(BOOTSTRAP_HOME_V4.into()).await?;
        self.interface.add_address(inner.home_v4.into(), inner.edge_v4.into()).await?;
        self.interface.add_address(inner.home_v6.into(), inner.edge_v6.into()).await?;
        Ok(self.interface.add_policy(inner.home_v4, inner.home_v6).await?)
    }

    /// Gives the interface the MTU that the path has now, so that home's TCP makes and asks for segments that fit.
    pub async fn follow_path(&mut self) -> Result<(), LinkError> {
        let limit = self.status.borrow().limit;
        let Some(mtu) = limit.map(|limit| limit.max(IPV6_MINIMUM)).filter(|mtu| *mtu != self.mtu) else {
            return Ok(());
        };
        self.interface.bring_up(mtu).await?;
        tracing::info!(mtu, "the tunnel's MTU follows the path");
        self.mtu = mtu;
        Ok(())
    }

    /// Refuses inner addresses that another network of this machine holds.
    pub async fn check_conflicts(&self, inner: &InnerAddresses) -> Result<(), LinkError> {
        let all: [IpAddr; 4] =
            [inner.edge_v4.into(), inner.home_v4.into(), inner.edge_v6.into(), inner.home_v6.into()];
        match self.interface.conflict(&all).await? {
            None => Ok(()),
            Some(conflict) => Err(LinkError::Conflict(conflict)),
        }
    }

    /// Keeps exactly these epochs.
    pub fn set_epochs(&self, epochs: Vec<EpochConfig>) {
        self.tunnel.set_epochs(epochs);
    }

    /// Points an epoch at one of the edge's addresses.
    pub fn set_endpoint(&self, epoch: EpochId, endpoint: SocketAddr) {
        self.tunnel.set_endpoint(epoch, endpoint);
    }

    /// Agrees new session keys on an epoch, before they are due.
    pub fn renew(&self, epoch: EpochId) {
        self.tunnel.renew(epoch);
    }

    /// Tries the edge's addresses in turn, from `first` on, until the epoch lives; tells which one it was.
    pub async fn wait_alive(
        &mut self,
        epoch: EpochId,
        endpoint: &Endpoint,
        first: usize,
    ) -> Result<usize, LinkError> {
        let candidates = resolve(endpoint).await?;
        let is_alive =
            |status: &TunnelStatus| status.epochs.iter().any(|known| known.id == epoch && known.alive);
        let turns = PATIENCE.as_secs() / TURN.as_secs();
        for (attempt, _) in (first..).zip(0..turns) {
            self.tunnel.set_endpoint(epoch, nth(&candidates, attempt));
            match tokio::time::timeout(TURN, self.status.wait_for(is_alive)).await {
                Ok(Ok(_)) => return Ok(attempt),
                Ok(Err(_)) => return Err(LinkError::Busy("without its tunnel")),
                Err(_) => {}
            }
        }
        Err(LinkError::NoAnswer { endpoint: endpoint.to_string(), seconds: PATIENCE.as_secs() })
    }

    /// Whether the tunnel's thread is still there.
    pub fn is_running(&self) -> bool {
        self.status.has_changed().is_ok()
    }

    /// What the epochs have done, newest first.
    pub fn epochs(&self) -> Vec<EpochStatus> {
        self.status.borrow().epochs.clone()
    }

    /// Waits for the tunnel to report; for ever when its thread is gone.
    pub async fn changed(&mut self) {
        if self.status.changed().await.is_err() {
            std::future::pending().await
        }
    }

    /// Removes the policy and the interface.
    pub async fn take_down(self, inner: Option<InnerAddresses>) {
        if let Some(inner) = inner
            && let Err(error) = self.interface.remove_policy(inner.home_v4, inner.home_v6).await
        {
            tracing::warn!(%error, "the policy rules stay behind");
        }
        // Joins the tunnel's thread, which ends within one turn of its loop.
        let _ = tokio::task::spawn_blocking(move || self.tunnel.shutdown()).await;
    }
}

/// The address for the `attempt`th attempt. `candidates` has at least one.
pub fn nth(candidates: &[SocketAddr], attempt: usize) -> SocketAddr {
    candidates[attempt % candidates.len()]
}
