//! The task behind the link's handle: owns the tunnel, uses join codes, follows the edge's life.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use postern_shared::enrolment::{BOOTSTRAP_EDGE_V4, BOOTSTRAP_HOME_V4};
use postern_shared::identity::Identity;
use postern_shared::join_code::{Endpoint, Host, JoinCode};
use postern_shared::netlink::Interface;
use postern_shared::tunnel::{EpochId, EpochStatus, Role, Tunnel, TunnelConfig, TunnelStatus};
use postern_shared::zone::Zone;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::Instant;

use super::client::ControlClient;
use super::push::{Pusher, Report, lock};
use super::state::{JoinedEdge, LinkFile};
use super::{Command, EdgeAddresses, LinkConfig, LinkError, LinkState, LinkStatus, join};

/// How often the link looks after itself.
const TICK: Duration = Duration::from_secs(1);

/// How often an edge that is not heard is looked up again, and a tunnel that could not be made is tried again.
const RETRY: Duration = Duration::from_secs(10);

/// The running tunnel with its interface.
struct Line {
    tunnel: Tunnel,
    interface: Interface,
    status: watch::Receiver<TunnelStatus>,
}

/// Everything the link owns.
pub(super) struct Task {
    config: LinkConfig,
    identity: Arc<Identity>,
    file: Arc<Mutex<LinkFile>>,
    inbox: mpsc::Receiver<Command>,
    line: Option<Line>,
    is_joining: bool,
    last_retry: Option<Instant>,
    lookups: usize,
    line_error: Option<String>,
    edge: watch::Sender<Option<ControlClient>>,
    zones: watch::Sender<Option<Vec<Zone>>>,
    report: watch::Receiver<Report>,
    status: watch::Sender<LinkStatus>,
    addresses: watch::Sender<Option<EdgeAddresses>>,
}

impl Task {
    /// Makes the task and starts its pusher.
    pub(super) fn new(
        config: LinkConfig,
        identity: Identity,
        file: LinkFile,
        inbox: mpsc::Receiver<Command>,
    ) -> (Self, watch::Receiver<LinkStatus>, watch::Receiver<Option<EdgeAddresses>>) {
        let (identity, file) = (Arc::new(identity), Arc::new(Mutex::new(file)));
        let (edge, edge_out) = watch::channel(None);
        let (zones, zones_out) = watch::channel(None);
        let (report_in, report) = watch::channel(Report::default());
        let pusher = Pusher {
            identity: Arc::clone(&identity),
            file: Arc::clone(&file),
            edge: edge_out,
            zones: zones_out,
            report: report_in,
        };
        tokio::spawn(pusher.run());
        let (addresses, addresses_out) = watch::channel(lock(&file).edge().map(JoinedEdge::addresses));
        let (status, status_out) = watch::channel(initial_status(&identity, lock(&file).edge()));
        let task = Self {
            config,
            identity,
            file,
            inbox,
            line: None,
            is_joining: false,
            last_retry: None,
            lookups: 0,
            line_error: None,
            edge,
            zones,
            report,
            status,
            addresses,
        };
        (task, status_out, addresses_out)
    }

    /// Works until it is stopped or no handle is left; then takes the tunnel down.
    pub(super) async fn run(mut self, stop: Arc<Notify>) {
        tokio::select! {
            biased;
            () = stop.notified() => {}
            () = self.work() => {}
        }
        self.take_down().await;
    }

    async fn work(&mut self) {
        let mut tick = tokio::time::interval(TICK);
        loop {
            tokio::select! {
                command = self.inbox.recv() => match command {
                    Some(command) => self.obey(command).await,
                    None => return,
                },
                _ = tick.tick() => self.look_after_line().await,
                () = changed(self.line.as_mut()) => {}
                Ok(()) = self.report.changed() => self.take_report(),
            }
            self.publish();
        }
    }

    async fn obey(&mut self, command: Command) {
        match command {
            Command::Zones(zones) => drop(self.zones.send_replace(Some(zones))),
            Command::Join(code, answer) => {
                let result = self.join(&code).await;
                if let Err(error) = &result {
                    tracing::warn!(%error, "joining failed");
                }
                // The operator may have gone away meanwhile; the log has the outcome.
                let _ = answer.send(result);
            }
        }
    }

    /// Uses a join code: bootstrap epoch, enrolment, first epoch.
    async fn join(&mut self, code: &JoinCode) -> Result<EdgeAddresses, LinkError> {
        code.check_expiry(std::time::SystemTime::now()).map_err(|_| LinkError::CodeExpired)?;
        self.is_joining = true;
        self.publish();
        let enrolled = self.enrol(code).await;
        self.is_joining = false;
        // Also a failed join ends the bootstrap epoch; the edge joined before, if any, goes on.
        let connected = self.connect().await;
        let edge = enrolled?;
        connected?;
        self.wait_for(EpochId::FIRST, &edge.endpoint).await?;
        ControlClient { from: edge.inner.home_v4.into(), to: edge.control_address() }.status().await?;
        tracing::info!(edge = %edge.endpoint, "home has joined the edge");
        Ok(edge.addresses())
    }

    async fn enrol(&mut self, code: &JoinCode) -> Result<JoinedEdge, LinkError> {
        let endpoint = resolve(&code.endpoint, 0).await?;
        self.make_line()?;
        let line = self.line.as_ref().ok_or(LinkError::Busy("stopping"))?;
        line.interface.bring_up(self.config.mtu).await?;
        line.interface.add_address(BOOTSTRAP_HOME_V4.into(), BOOTSTRAP_EDGE_V4.into()).await?;
        let joined = lock(&self.file).edge().map(|edge| edge.epoch(None, &self.config.service_ports));
        line.tunnel
            .set_epochs(joined.into_iter().chain([super::state::bootstrap_epoch(code, endpoint)]).collect());
        self.wait_for(EpochId::BOOTSTRAP, &code.endpoint).await?;
        let edge = join::enrol(&self.identity, &self.file, code).await?;
        lock(&self.file).set_edge(edge.clone())?;
        Ok(edge)
    }

    async fn wait_for(&mut self, epoch: EpochId, endpoint: &Endpoint) -> Result<(), LinkError> {
        let line = self.line.as_mut().ok_or(LinkError::Busy("stopping"))?;
        let is_alive =
            |status: &TunnelStatus| status.epochs.iter().any(|known| known.id == epoch && known.alive);
        let alive = tokio::time::timeout(join::PATIENCE, line.status.wait_for(is_alive)).await;
        let seconds = join::PATIENCE.as_secs();
        alive.map_err(|_| LinkError::NoAnswer { endpoint: endpoint.to_string(), seconds })?.map(drop).map_err(
            |_| {
                // The tunnel's thread has ended; the next look makes a new line.
                LinkError::Busy("without its tunnel")
            },
        )
    }

    /// Makes the tunnel's thread and interface, unless they are there.
    fn make_line(&mut self) -> Result<(), LinkError> {
        if self.line.as_ref().is_some_and(|line| line.status.has_changed().is_err()) {
            self.line = None;
        }
        if self.line.is_none() {
            let interface = self.config.interface.clone();
            let tunnel = Tunnel::spawn(TunnelConfig { role: Role::Home, interface, port: 0 })?;
            let interface = Interface::open(&self.config.interface)?;
            let status = tunnel.watch_status();
            self.line = Some(Line { tunnel, interface, status });
        }
        Ok(())
    }

    /// Brings the interface, the policy and the epoch to what `link.json` says.
    async fn connect(&mut self) -> Result<(), LinkError> {
        let Some(edge) = lock(&self.file).edge().cloned() else {
            self.line = None;
            return Ok(());
        };
        self.make_line()?;
        let line = self.line.as_ref().ok_or(LinkError::Busy("stopping"))?;
        line.tunnel.set_epochs(vec![edge.epoch(None, &self.config.service_ports)]);
        configure(&line.interface, &edge, edge.mtu.min(self.config.mtu)).await?;
        self.addresses
            .send_if_modified(|addresses| addresses.replace(edge.addresses()) != Some(edge.addresses()));
        self.look_up(&edge).await
    }

    /// Points the epoch at the edge's (next) address.
    async fn look_up(&mut self, edge: &JoinedEdge) -> Result<(), LinkError> {
        let endpoint = resolve(&edge.endpoint, self.lookups).await?;
        self.lookups += 1;
        if let Some(line) = &self.line {
            line.tunnel.set_endpoint(EpochId::FIRST, endpoint);
        }
        Ok(())
    }

    /// Makes what is missing and looks the edge up again while it is not heard.
    async fn look_after_line(&mut self) {
        let Some(edge) = lock(&self.file).edge().cloned() else { return };
        let is_due = self.last_retry.is_none_or(|last| last.elapsed() >= RETRY);
        if self.is_alive() || !is_due {
            return;
        }
        self.last_retry = Some(Instant::now());
        let is_up =
            self.line.as_ref().is_some_and(|line| line.status.has_changed().is_ok() && has_epoch(line));
        let result = if is_up { self.look_up(&edge).await } else { self.connect().await };
        if let Err(error) = &result {
            tracing::warn!(%error, "the link cannot be made; trying again");
        }
        self.line_error = result.err().map(|error| error.to_string());
    }

    fn is_alive(&self) -> bool {
        let is_first = |epoch: &EpochStatus| epoch.id == EpochId::FIRST && epoch.alive;
        self.line.as_ref().is_some_and(|line| line.status.borrow().epochs.iter().any(is_first))
    }

    fn take_report(&mut self) {
        let public = self.report.borrow_and_update().public_addresses.clone();
        if public.is_empty() {
            return;
        }
        match lock(&self.file).set_public_addresses(&public) {
            Ok(true) => drop(self.addresses.send_replace(lock_addresses(&self.file))),
            Ok(false) => {}
            Err(error) => tracing::error!(%error, "cannot store the edge's addresses"),
        }
    }

    /// Tells the pusher and the watchers how things stand.
    fn publish(&mut self) {
        let edge = lock(&self.file).edge().cloned();
        let is_alive = self.is_alive();
        if is_alive {
            self.line_error = None;
        }
        let client = edge
            .as_ref()
            .filter(|_| is_alive)
            .map(|edge| ControlClient { from: edge.inner.home_v4.into(), to: edge.control_address() });
        self.edge.send_if_modified(|known| std::mem::replace(known, client) != client);
        let report = self.report.borrow().clone();
        let state = match (&edge, self.is_joining) {
            (_, true) => LinkState::Joining,
            (None, false) => LinkState::Unjoined,
            (Some(_), false) if is_alive && report.is_reached => LinkState::Connected,
            (Some(_), false) => LinkState::Connecting,
        };
        let status = LinkStatus {
            state,
            identity: self.identity.public().fingerprint(),
            edge: edge.as_ref().map(|edge| edge.endpoint.to_string()),
            addresses: edge.as_ref().map(JoinedEdge::addresses),
            epochs: self.line.as_ref().map(|line| line.status.borrow().epochs.clone()).unwrap_or_default(),
            zones: report.zones,
            last_error: self.line_error.clone().or(report.error),
        };
        self.status.send_if_modified(|known| {
            let is_new = *known != status;
            *known = status;
            is_new
        });
    }

    async fn take_down(&mut self) {
        let inner = lock(&self.file).edge().map(|edge| edge.inner);
        let Some(line) = self.line.take() else { return };
        if let Some(inner) = inner
            && let Err(error) = line.interface.remove_policy(inner.home_v4, inner.home_v6).await
        {
            tracing::warn!(%error, "the policy rules stay behind");
        }
        // Joins the tunnel's thread, which ends within one turn of its loop.
        let _ = tokio::task::spawn_blocking(move || line.tunnel.shutdown()).await;
    }
}

/// Waits for the tunnel to report; for ever where there is none.
async fn changed(line: Option<&mut Line>) {
    if let Some(line) = line
        && line.status.changed().await.is_ok()
    {
        return;
    }
    std::future::pending().await
}

fn has_epoch(line: &Line) -> bool {
    line.status.borrow().epochs.iter().any(|epoch| epoch.id == EpochId::FIRST)
}

fn lock_addresses(file: &Mutex<LinkFile>) -> Option<EdgeAddresses> {
    lock(file).edge().map(JoinedEdge::addresses)
}

async fn configure(interface: &Interface, edge: &JoinedEdge, mtu: u16) -> Result<(), LinkError> {
    interface.bring_up(mtu).await?;
    interface.remove_address(BOOTSTRAP_HOME_V4.into()).await?;
    interface.add_address(edge.inner.home_v4.into(), edge.inner.edge_v4.into()).await?;
    interface.add_address(edge.inner.home_v6.into(), edge.inner.edge_v6.into()).await?;
    Ok(interface.add_policy(edge.inner.home_v4, edge.inner.home_v6).await?)
}

/// One of the endpoint's addresses: the next one with every attempt.
async fn resolve(endpoint: &Endpoint, attempt: usize) -> Result<SocketAddr, LinkError> {
    let name = match &endpoint.host {
        Host::Address(address) => return Ok((*address, endpoint.port).into()),
        Host::Name(name) => name,
    };
    let unresolvable = |source| LinkError::Unresolvable { name: name.clone(), source };
    let found = tokio::net::lookup_host((name.as_str(), endpoint.port)).await.map_err(unresolvable)?;
    let found: Vec<SocketAddr> = found.collect();
    let chosen = found.get(attempt % found.len().max(1)).copied();
    chosen.ok_or_else(|| unresolvable(std::io::Error::other("the name has no address")))
}

fn initial_status(identity: &Identity, edge: Option<&JoinedEdge>) -> LinkStatus {
    LinkStatus {
        state: if edge.is_some() { LinkState::Connecting } else { LinkState::Unjoined },
        identity: identity.public().fingerprint(),
        edge: edge.map(|edge| edge.endpoint.to_string()),
        addresses: edge.map(JoinedEdge::addresses),
        epochs: Vec::new(),
        zones: Vec::new(),
        last_error: None,
    }
}
