//! The line to the edge: the tunnel, its interface, and where the edge is found.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use postern_shared::enrolment::{BOOTSTRAP_EDGE_V4, BOOTSTRAP_HOME_V4, InnerAddresses};
use postern_shared::join_code::{Endpoint, Host};
use postern_shared::tunnel::{EpochConfig, EpochId, EpochStatus, Role, Tunnel, TunnelStatus};
use tokio::sync::watch;

use super::state::JoinedEdge;
use super::{LinkConfig, LinkError};
use crate::inner::Interface;

/// How long a handshake may take, over all addresses of the edge, before the edge counts as silent.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running tunnel with its interface.
pub struct Line {
    tunnel: Tunnel,
    interface: Interface,
    status: watch::Receiver<TunnelStatus>,
    mtu: u16,
}

impl Line {
    /// Makes the tunnel's thread and its interface; nothing passes before epochs are set.
    pub async fn open(config: &LinkConfig) -> Result<Self, LinkError> {
        let (device, interface) = config.network.open_device(&config.interface).await?;
        let tunnel = Tunnel::with_device(Role::Home, device, 0)?;
        let status = tunnel.watch_status();
        Ok(Self { tunnel, interface, status, mtu: config.mtu })
    }

    /// Prepares the interface for enrolment.
    pub async fn configure_bootstrap(&self) -> Result<(), LinkError> {
        self.interface.bring_up(self.mtu).await?;
        Ok(self.interface.add_address(BOOTSTRAP_HOME_V4.into(), BOOTSTRAP_EDGE_V4.into()).await?)
    }

    /// Gives the interface home's inner addresses and the policy that goes with them.
    pub async fn configure(&self, edge: &JoinedEdge) -> Result<(), LinkError> {
        let inner = edge.inner;
        self.interface.bring_up(edge.mtu.min(self.mtu)).await?;
        self.interface.remove_address(BOOTSTRAP_HOME_V4.into()).await?;
        self.interface.add_address(inner.home_v4.into(), inner.edge_v4.into()).await?;
        self.interface.add_address(inner.home_v6.into(), inner.edge_v6.into()).await?;
        Ok(self.interface.add_policy(inner.home_v4, inner.home_v6).await?)
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

    /// Tries the edge's addresses one after the other, from `first` on, until the epoch lives; tells which one it was.
    pub async fn wait_alive(
        &mut self,
        epoch: EpochId,
        endpoint: &Endpoint,
        first: usize,
    ) -> Result<usize, LinkError> {
        let candidates = resolve(endpoint).await?;
        let patience = PATIENCE.div_f64(candidates.len() as f64);
        for attempt in first..first.saturating_add(candidates.len()) {
            self.tunnel.set_endpoint(epoch, nth(&candidates, attempt));
            let is_alive =
                |status: &TunnelStatus| status.epochs.iter().any(|known| known.id == epoch && known.alive);
            match tokio::time::timeout(patience, self.status.wait_for(is_alive)).await {
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

/// All addresses of an endpoint, at least one.
pub async fn resolve(endpoint: &Endpoint) -> Result<Vec<SocketAddr>, LinkError> {
    let name = match &endpoint.host {
        Host::Address(address) => return Ok(vec![(*address, endpoint.port).into()]),
        Host::Name(name) => name,
    };
    let unresolvable = |source| LinkError::Unresolvable { name: name.clone(), source };
    let found: Vec<SocketAddr> =
        tokio::net::lookup_host((name.as_str(), endpoint.port)).await.map_err(unresolvable)?.collect();
    if found.is_empty() {
        return Err(unresolvable(std::io::Error::other("the name has no address")));
    }
    Ok(found)
}

/// The address for the `attempt`th attempt. `candidates` has at least one.
pub fn nth(candidates: &[SocketAddr], attempt: usize) -> SocketAddr {
    candidates[attempt % candidates.len()]
}
