//! The task behind the link's handle: owns the tunnel, joins edges, follows the edge's life.
mod standing;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use postern_shared::identity::Identity;
use postern_shared::rotation::{Event, OfferSecrets, Todo};
use postern_shared::secondary::SecondaryList;
use postern_shared::tunnel::{EpochConfig, EpochId, EpochStatus};
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::Instant;

use super::client::ControlClient;
use super::finder::{Finder, resolve};
use super::invitation::Invitation;
use super::line::{Line, nth};
use super::push::{DeclaredZones, Pusher, Report};
use super::rotate::{Driver, Progress};
use super::signed::{Signer, lock};
use super::state::{JoinedEdge, LinkFile};
use super::{Command, EdgeAddresses, LinkConfig, LinkError, LinkStatus, TunnelKeys, join};
use standing::{initial_status, tunnel_keys};

/// How often the link looks after itself.
const TICK: Duration = Duration::from_secs(1);

/// How often a tunnel that could not be made is tried again.
const RETRY: Duration = Duration::from_secs(10);

/// After this long without a packet from the edge it is looked for: more than the pause between two heartbeats.
const QUIET: Duration = Duration::from_secs(3);

/// Everything the link owns.
pub(super) struct Task {
    config: LinkConfig,
    identity: Arc<Identity>,
    file: Arc<Mutex<LinkFile>>,
    inbox: mpsc::Receiver<Command>,
    line: Option<Line>,
    is_joining: bool,
    last_retry: Option<Instant>,
    finder: Finder,
    line_error: Option<String>,
    /// Why what the edge has said could not be stored; it is tried again.
    storage_error: Option<String>,
    edge: watch::Sender<Option<ControlClient>>,
    zones: watch::Sender<Option<DeclaredZones>>,
    secondaries: watch::Sender<Option<SecondaryList>>,
    report: watch::Receiver<Report>,
    progress: watch::Receiver<Progress>,
    status: watch::Sender<LinkStatus>,
    addresses: watch::Sender<Option<EdgeAddresses>>,
}

/// What others see of the task.
pub(super) struct Views {
    pub(super) status: watch::Receiver<LinkStatus>,
    pub(super) addresses: watch::Receiver<Option<EdgeAddresses>>,
    pub(super) report: watch::Receiver<Report>,
    /// Wakes the pusher.
    pub(super) wanted: Arc<Notify>,
    /// The edge, while it is heard.
    pub(super) edge: watch::Receiver<Option<ControlClient>>,
    /// Signs calls to it.
    pub(super) signer: Arc<Signer>,
}

impl Task {
    /// Makes the task and starts its pusher and the driver of its key rotation.
    pub(super) fn new(
        config: LinkConfig,
        identity: Identity,
        file: LinkFile,
        inbox: mpsc::Receiver<Command>,
    ) -> (Self, Views) {
        let (identity, file) = (Arc::new(identity), Arc::new(Mutex::new(file)));
        let (edge, edge_out) = watch::channel(None);
        let (zones, zones_out) = watch::channel(None);
        let (secondaries, secondaries_out) = watch::channel(None);
        let (report_in, report) = watch::channel(Report::default());
        let (progress_in, progress) = watch::channel(Progress::default());
        let signer = Arc::new(Signer::new(Arc::clone(&identity), Arc::clone(&file)));
        let wanted = Arc::new(Notify::new());
        let pusher = Pusher {
            signer: Arc::clone(&signer),
            edge: edge_out.clone(),
            zones: zones_out,
            secondaries: secondaries_out,
            forward: config.forward.clone(),
            bans: config.bans.clone(),
            wanted: Arc::clone(&wanted),
            report: report_in,
        };
        tokio::spawn(pusher.run());
        let (addresses, addresses_out) = watch::channel(lock(&file).edge().map(JoinedEdge::addresses));
        let (status, status_out) = watch::channel(initial_status(&config, &identity, &lock(&file)));
        let driver = Driver {
            rest: config.drain,
            signer: Arc::clone(&signer),
            file: Arc::clone(&file),
            edge: edge_out.clone(),
            status: status_out.clone(),
            progress: progress_in,
        };
        tokio::spawn(driver.run());
        let task = Self {
            config,
            identity,
            file,
            inbox,
            line: None,
            is_joining: false,
            last_retry: None,
            finder: Finder::default(),
            line_error: None,
            storage_error: None,
            edge,
            zones,
            secondaries,
            report: report.clone(),
            progress,
            status,
            addresses,
        };
        (task, Views { status: status_out, addresses: addresses_out, report, wanted, edge: edge_out, signer })
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
                _ = tick.tick() => {
                    self.look_after_line().await;
                    self.store_again();
                }
                () = changed(self.line.as_mut()) => self.follow_path().await,
                found = self.finder.found() => self.take_addresses(found),
                Ok(()) = self.report.changed() => self.take_report(),
                Ok(()) = self.progress.changed() => self.follow_ladder(),
            }
            self.publish();
        }
    }

    async fn obey(&mut self, command: Command) {
        match command {
            Command::Zones(zones) => drop(self.zones.send_replace(Some(zones))),
            Command::Secondaries(list) => {
                let list = Some(list);
                self.secondaries.send_if_modified(|known| std::mem::replace(known, list.clone()) != list);
            }
            Command::Rotate(answer) => {
                // The operator may have gone away meanwhile; the rotation goes on.
                let _ = answer.send(self.begin_rotation());
            }
            Command::RotateEvery(every, answer) => {
                let stored = lock(&self.file).set_rotate_every(every);
                // The operator may have gone away meanwhile; the age is set.
                let _ = answer.send(stored.map_err(LinkError::from));
            }
            Command::Join(by, answer) => {
                let result = self.join(Invitation::new(*by, &self.identity.public())).await;
                if let Err(error) = &result {
                    tracing::warn!(%error, "joining failed");
                }
                // The operator may have gone away meanwhile; the log has the outcome.
                let _ = answer.send(result);
            }
        }
    }

    /// Makes the wish durable; the driver does the rest.
    fn begin_rotation(&self) -> Result<TunnelKeys, LinkError> {
        let secrets = OfferSecrets::generate()?;
        let mut file = lock(&self.file);
        let before = file.edge().ok_or(LinkError::Unjoined)?.ladder.clone();
        let ladder = match before.after(Event::Begin(secrets)) {
            Some(next) => {
                file.climb(&before, next.clone())?;
                tracing::info!(epoch = next.target().0, "key rotation begins");
                next
            }
            None => before,
        };
        Ok(tunnel_keys(&ladder, None))
    }

    /// Uses an invitation: bootstrap epoch, enrolment, first epoch.
    async fn join(&mut self, invitation: Invitation) -> Result<EdgeAddresses, LinkError> {
        self.is_joining = true;
        self.publish();
        let enrolled = self.enrol(&invitation).await;
        self.is_joining = false;
        // Also a failed join ends the bootstrap epoch; the edge joined before, if any, goes on.
        let connected = self.connect().await;
        let edge = enrolled?;
        connected?;
        let first = self.finder.attempt();
        let reached = self.line().await?.wait_alive(EpochId::FIRST, &edge.endpoint, first).await?;
        self.finder.begin(&edge.endpoint, reached, Instant::now());
        self.control_client(&edge).status().await?;
        tracing::info!(edge = %edge.endpoint, "home has joined the edge");
        if invitation.asks_for_renewal() {
            self.begin_rotation()?;
        }
        Ok(edge.addresses())
    }

    async fn enrol(&mut self, invitation: &Invitation) -> Result<JoinedEdge, LinkError> {
        let endpoint = nth(&resolve(&invitation.endpoint).await?, 0);
        let former = lock(&self.file).edge().cloned();
        let line = self.line().await?;
        line.configure_bootstrap().await?;
        self.set_epochs(former.as_ref(), Some(invitation.bootstrap_epoch(endpoint)));
        let alive = self.line().await?.wait_alive(EpochId::BOOTSTRAP, &invitation.endpoint, 0).await;
        let reached = alive.map_err(|error| invitation.silence(error, SystemTime::now()))?;
        self.finder.begin(&invitation.endpoint, reached, Instant::now());
        let edge = join::enrol(&self.config.network, &self.identity, &self.file, invitation).await?;
        self.line().await?.check_conflicts(&edge.inner).await?;
        if former.is_some_and(|former| former.inner != edge.inner) {
            // The interface starts anew, so that nothing of the former edge's addresses stays.
            self.take_down().await;
        }
        lock(&self.file).set_edge(edge.clone())?;
        Ok(edge)
    }

    /// The tunnel and its interface, made anew where they are not there.
    async fn line(&mut self) -> Result<&mut Line, LinkError> {
        let line = match self.line.take().filter(Line::is_running) {
            Some(line) => line,
            None => Line::open(&self.config).await?,
        };
        Ok(self.line.insert(line))
    }

    fn set_epochs(&self, edge: Option<&JoinedEdge>, bootstrap: Option<EpochConfig>) {
        let epochs = edge.map(|edge| edge.epochs(None, &self.config.service_ports)).unwrap_or_default();
        if let Some(line) = &self.line {
            line.set_epochs(epochs.into_iter().chain(bootstrap).collect());
        }
    }

    /// Puts the epochs that the ladder allows into the tunnel; a new one is dialled where the edge is heard, and renews its
    /// session before the old one may go.
    fn follow_ladder(&mut self) {
        self.progress.borrow_and_update();
        let Some(edge) = lock(&self.file).edge().cloned() else { return };
        let Some(line) = &self.line else { return };
        let heard = line.epochs().into_iter().find(|epoch| epoch.alive).and_then(|epoch| epoch.endpoint);
        self.set_epochs(Some(&edge), None);
        if let Some(endpoint) = heard {
            self.set_endpoints(&edge, endpoint);
        }
        if let (Todo::AwaitDrain { new, .. }, Some(line)) = (edge.ladder.todo(), &self.line) {
            line.renew(new);
        }
    }

    fn set_endpoints(&self, edge: &JoinedEdge, endpoint: SocketAddr) {
        if let Some(line) = &self.line {
            edge.ladder.usable().iter().for_each(|keys| line.set_endpoint(keys.epoch, endpoint));
        }
    }

    /// Brings the interface, the policy and the epoch to what `link.json` says.
    async fn connect(&mut self) -> Result<(), LinkError> {
        let Some(edge) = lock(&self.file).edge().cloned() else {
            self.take_down().await;
            return Ok(());
        };
        self.line().await?.configure(&edge).await?;
        self.set_epochs(Some(&edge), None);
        self.tell_addresses();
        self.finder.begin(&edge.endpoint, self.finder.attempt(), Instant::now());
        Ok(())
    }

    /// The edge's addresses have been looked up.
    fn take_addresses(&mut self, found: Result<(), LinkError>) {
        if let Err(error) = found {
            tracing::warn!(%error, "the edge is not found by its name; its former addresses are tried on");
            self.line_error = Some(error.to_string());
        }
        self.dial();
    }

    /// Points the epochs at the address whose turn it is, unless the edge is heard where it is.
    fn dial(&self) {
        let edge = lock(&self.file).edge().cloned();
        if let (Some(edge), Some(endpoint), true) = (edge, self.finder.current(), self.is_quiet()) {
            self.set_endpoints(&edge, endpoint);
        }
    }

    /// Makes what is missing, and tries the edge's addresses in turn while it is not heard.
    async fn look_after_line(&mut self) {
        if lock(&self.file).edge().is_none() {
            return;
        }
        if !self.has_line() {
            return self.make_line().await;
        }
        if self.is_quiet() && !self.is_fenced() {
            self.finder.take_turn(Instant::now());
            self.dial();
        } else {
            self.finder.rest();
        }
    }

    /// Whether the tunnel runs and has the epoch that is certain to work.
    fn has_line(&self) -> bool {
        let current = lock(&self.file).edge().map(|edge| edge.ladder.current().epoch);
        let is_current = |epoch: &EpochStatus| Some(epoch.id) == current;
        self.line.as_ref().is_some_and(|line| line.is_running() && line.epochs().iter().any(is_current))
    }

    async fn make_line(&mut self) {
        if self.last_retry.is_some_and(|last| last.elapsed() < RETRY) {
            return;
        }
        self.last_retry = Some(Instant::now());
        let made = self.connect().await;
        if let Err(error) = &made {
            tracing::warn!(%error, "the link cannot be made; trying again");
        }
        self.line_error = made.err().map(|error| error.to_string());
    }

    async fn follow_path(&mut self) {
        let Some(line) = &mut self.line else { return };
        if let Err(error) = line.follow_path().await {
            tracing::warn!(%error, "the interface's MTU does not follow the path; the tunnel cuts packets to it");
        }
    }

    /// Whether no usable epoch has been heard for longer than a heartbeat's pause.
    fn is_quiet(&self) -> bool {
        !self.has_epoch(|epoch| epoch.last_received.is_some_and(|ago| ago < QUIET))
    }

    fn is_alive(&self) -> bool {
        self.has_epoch(|epoch| epoch.alive)
    }

    /// Whether another home with the same keys is connected instead of this one.
    fn is_fenced(&self) -> bool {
        !self.is_alive() && self.has_epoch(|epoch| epoch.fenced.is_some())
    }

    /// Whether one of the epochs that carry the mail is like that.
    fn has_epoch(&self, is_like_that: impl Fn(&EpochStatus) -> bool) -> bool {
        let file = lock(&self.file);
        let usable = file.edge().map(|edge| edge.ladder.usable()).unwrap_or_default();
        let is_ours = |epoch: &EpochStatus| usable.iter().any(|keys| keys.epoch == epoch.id);
        let has_one = |line: &Line| line.epochs().iter().any(|epoch| is_ours(epoch) && is_like_that(epoch));
        self.line.as_ref().is_some_and(has_one)
    }

    /// Takes up where the world reaches the edge; a full disk does not keep zones from being made with it.
    fn take_report(&mut self) {
        let public = self.report.borrow_and_update().public_addresses.clone();
        if public.is_empty() {
            return;
        }
        let stored = lock(&self.file).set_public_addresses(&public);
        if let (Err(error), None) = (&stored, &self.storage_error) {
            tracing::error!(%error, "cannot store the edge's addresses; they hold all the same, and it is tried again");
        }
        self.storage_error = stored.err().map(|error| error.to_string());
        self.tell_addresses();
    }

    fn store_again(&mut self) {
        if self.storage_error.is_some() {
            self.take_report();
        }
    }

    fn tell_addresses(&self) {
        let addresses = lock(&self.file).edge().map(JoinedEdge::addresses);
        self.addresses.send_if_modified(|known| std::mem::replace(known, addresses.clone()) != addresses);
    }

    async fn take_down(&mut self) {
        let inner = lock(&self.file).edge().map(|edge| edge.inner);
        if let Some(line) = self.line.take() {
            line.take_down(inner).await;
        }
    }
}

/// Waits for the tunnel to report; for ever where there is none.
async fn changed(line: Option<&mut Line>) {
    match line {
        Some(line) => line.changed().await,
        None => std::future::pending().await,
    }
}
