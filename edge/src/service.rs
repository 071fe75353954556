//! What the edge can be asked to do, whoever asks: the control protocol or the operator on this machine.
//!
//! In: parsed calls. Out: changed zones ([`zones`]), forwarding ([`mod@forward`]), bans ([`bans`]), secondary name servers ([`secondaries`]), and here enrolment and
//! epochs, all durable before they are acknowledged. Refused: see there.
//!
//! One lock orders all changes. Answers to DNS queries never wait for it: they read [`SharedZones`].

mod bans;
mod forward;
mod look;
mod secondaries;
mod zones;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::{PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use hickory_proto::rr::LowerName;
use postern_shared::bans::MOST_BANS;
use postern_shared::control::{self, Changed};
use postern_shared::enrolment::{EnrolResponse, InnerAddresses, Refusal};
use postern_shared::join_code::{Endpoint, JoinCode};
use postern_shared::rotation::{Answer, Commit, Offer};
use postern_shared::secondary::{InvalidSecondary, SecondaryList};
use postern_shared::tunnel::{EpochId, Tunnel, TunnelStatus};
use postern_shared::zone::ZoneError;
use tokio::sync::{Mutex, watch};
use tokio::task::block_in_place;
use tokio::time::Instant;

use crate::config::Config;
use crate::dns::{Served, SharedSecondaries, SharedZones, ZoneSet};
use crate::enrol::{EnrolError, EnrolStatus, Enrolment, NotAuthorized, StepError, Terms};
use crate::forward::{ForwardError, Forwarding, Passage};
use crate::host::{self, Public};
use crate::look::Turn;
use crate::state::{KeptBans, State};
use crate::status::{EdgeStatus, TunnelReport};
use crate::tunnel::inner_addresses;
use crate::zone_check;

use forward::{counters, forward_of};
pub use forward::{desired_state, on_stop};

/// Everything that changes while the edge runs.
#[derive(Debug)]
pub struct Service {
    config: Config,
    /// How this machine faces the internet, as it was last looked up.
    public: RwLock<Public>,
    zones: SharedZones,
    secondaries: SharedSecondaries,
    /// What the tunnel says of itself.
    heard: watch::Receiver<TunnelStatus>,
    changes: Mutex<Changes>,
    /// Whose turn it is to have the world looked at.
    looks: Turn,
}

#[derive(Debug)]
struct Changes {
    state: State,
    enrolment: Enrolment,
    tunnel: Tunnel,
    forwarding: Forwarding,
    bans: KeptBans,
    /// When the mirror is shut; absent where it is.
    mirror_until: Option<Instant>,
    /// Zones from before the last enrolment, whose serials bind nobody: joining again is home's way back from any state.
    unbound: BTreeSet<LowerName>,
}

/// Why a change was not made.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// The zone cannot be served.
    #[error("the zone is refused: {0}.")]
    Zone(#[from] ZoneError),
    /// The zone in the body is not the one in the path.
    #[error("the zone is refused: its origin is not the one in the path.")]
    OtherZone,
    /// A serial that goes back would leave resolvers with a zone they take for newer.
    #[error("the zone is refused: serial {got} is older than {served}, which is being served.")]
    OlderSerial {
        /// In the pushed zone.
        got: u32,
        /// Being served.
        served: u32,
    },
    /// The zone does not follow from the one that is served, or is not what home signed.
    #[error(transparent)]
    RefusedZone(#[from] zone_check::Refused),
    /// A port that is not home's to take.
    #[error(
        "port {0} cannot be forwarded on home's word: the edge needs it itself. Only `forward.ports` in edge.toml can do that."
    )]
    ReservedPort(u16),
    /// Port 0.
    #[error("0 is not a port.")]
    NoPort,
    /// A list of secondaries that cannot be used.
    #[error("the secondaries are refused: {0}.")]
    Secondaries(#[from] InvalidSecondary),
    /// More than the firewall's sets hold.
    #[error("{0} bans are too many; the edge holds {MOST_BANS}.")]
    TooManyBans(usize),
    /// The change could not be kept, so it was not made.
    #[error("the edge cannot keep the change: {0}.")]
    NotKept(#[from] std::io::Error),
    /// The firewall did not take it.
    #[error(transparent)]
    Forward(#[from] ForwardError),
}

impl Service {
    /// Takes over the parts that the run loop has started, and lets in the home that joined earlier.
    pub async fn new(
        config: Config,
        public: Public,
        served: Served,
        state: State,
        enrolment: Enrolment,
        tunnel: Tunnel,
        forwarding: Forwarding,
    ) -> Self {
        let heard = tunnel.watch_status();
        let bans = state.load_bans();
        let (mirror_until, unbound) = (None, BTreeSet::new());
        let changes =
            Mutex::new(Changes { state, enrolment, tunnel, forwarding, bans, mirror_until, unbound });
        let Served { zones, secondaries } = served;
        let service = Self {
            config,
            public: RwLock::new(public),
            zones,
            secondaries,
            heard,
            changes,
            looks: Turn::default(),
        };
        service.refresh_epochs().await;
        service.refresh_bans().await;
        service
    }

    /// What the tunnel says of itself, as it changes.
    pub fn watch_tunnel(&self) -> watch::Receiver<TunnelStatus> {
        self.heard.clone()
    }

    /// Looks this machine's addresses up again; home hears of a change with its next question.
    pub async fn refresh_public(&self) {
        match host::survey().await {
            Ok(survey) => {
                let found = host::public(&self.config, &survey);
                let mut known = self.public.write().unwrap_or_else(PoisonError::into_inner);
                if *known != found {
                    tracing::info!(addresses = ?found.addresses, "this machine's public addresses have changed");
                    *known = found;
                }
            }
            Err(error) => tracing::warn!(%error, "this machine's addresses cannot be looked up"),
        }
    }

    /// Lets the tunnel know which epochs count now; to be repeated every minute, since invites expire.
    pub async fn refresh_epochs(&self) {
        self.changes.lock().await.set_epochs(&self.inner());
    }

    /// Makes a join code, which voids the one before. `endpoint` is where home shall dial.
    ///
    /// # Errors
    /// See [`EnrolError`].
    pub async fn invite(&self, endpoint: Endpoint, lifetime: Duration) -> Result<JoinCode, EnrolError> {
        let mut changes = self.changes.lock().await;
        let code = block_in_place(|| changes.enrolment.invite(endpoint, lifetime, SystemTime::now()))?;
        changes.set_epochs(&self.inner());
        Ok(code)
    }

    /// Answers an enrolment request that came through the bootstrap epoch.
    ///
    /// # Errors
    /// The refusal to send back.
    pub async fn enrol(&self, body: &[u8], signature: Option<&str>) -> Result<EnrolResponse, Refusal> {
        let mut changes = self.changes.lock().await;
        let terms = self.terms();
        let former = enrol_status(&changes.enrolment).home;
        let answer = block_in_place(|| changes.enrolment.accept(body, signature, &terms, SystemTime::now()))?;
        changes.set_epochs(&self.inner());
        changes.unbound = self.zones.current().iter().map(|zone| zone.origin.clone()).collect();
        if former.is_some() && former != enrol_status(&changes.enrolment).home {
            block_in_place(|| self.forget_former_home(&mut changes));
        }
        Ok(answer)
    }

    /// The word of a home that was replaced counts no more: not its zones, whose serials could keep the new home's out,
    /// and not its forwarding. A failure costs nothing that the new home's first push does not mend.
    fn forget_former_home(&self, changes: &mut Changes) {
        let current = self.zones.current();
        let names = current.iter().map(|zone| zone.origin.to_string());
        let forgotten = names
            .map(|origin| changes.state.remove_zone(&origin))
            .chain([changes.state.remove_forward(), changes.state.remove_bans()])
            .chain([changes.state.remove_secondaries()])
            .collect::<Result<(), _>>()
            .map_err(ChangeError::from)
            .and_then(|()| Ok(changes.forwarding.change(self.wanted(changes, None))?));
        changes.bans = KeptBans::default();
        if let Err(error) = changes.apply_bans() {
            tracing::warn!(%error, "what the former home banned is still banned");
        }
        self.zones.replace(ZoneSet::default());
        self.secondaries.replace(SecondaryList::default());
        if let Err(error) = forgotten {
            tracing::warn!(%error, "what the former home pushed could not be forgotten");
        }
    }

    /// Notes that home was heard through its own epoch.
    pub async fn heard_from_home(&self) {
        let mut changes = self.changes.lock().await;
        match block_in_place(|| changes.enrolment.confirm()) {
            Ok(true) => changes.set_epochs(&self.inner()),
            Ok(false) => {}
            Err(error) => {
                tracing::warn!(%error, "that home has joined could not be noted; the invite lives on until its next call");
            }
        }
    }

    /// Checks a signed call.
    ///
    /// # Errors
    /// Why it is not believed.
    pub async fn authorize(
        &self,
        method: &str,
        path: &str,
        body: &[u8],
        signature: Option<&str>,
    ) -> Result<(), NotAuthorized> {
        let mut changes = self.changes.lock().await;
        block_in_place(|| changes.enrolment.authorize(method, path, body, signature))
    }

    /// Accepts an offered epoch of the tunnel.
    ///
    /// # Errors
    /// See [`StepError`]; the epochs are as before then.
    pub async fn offer_epoch(&self, offer: &Offer) -> Result<Answer, StepError> {
        let answer = self.climb(|enrolment| enrolment.offer(offer)).await?;
        tracing::info!(epoch = offer.epoch.0, "home has offered an epoch");
        Ok(answer)
    }

    /// Prefers an offered epoch.
    ///
    /// # Errors
    /// See [`StepError`]; the epochs are as before then.
    pub async fn commit_epoch(&self, commit: &Commit) -> Result<Changed, StepError> {
        let changed = self.climb(|enrolment| enrolment.commit(commit)).await?;
        tracing::info!(epoch = commit.epoch.0, "the epoch is preferred");
        Ok(changed)
    }

    /// What a home means that commits to an epoch by its number alone.
    ///
    /// # Errors
    /// See [`StepError`].
    pub async fn commit_by_number(&self, epoch: EpochId) -> Result<Commit, StepError> {
        self.changes.lock().await.enrolment.commit_by_number(epoch)
    }

    /// Drops a former epoch.
    ///
    /// # Errors
    /// See [`StepError`]; the epochs are as before then.
    pub async fn retire_epoch(&self, epoch: EpochId) -> Result<Changed, StepError> {
        let changed = self.climb(|enrolment| enrolment.retire(epoch)).await?;
        tracing::info!(epoch = epoch.0, "the epoch is retired");
        Ok(changed)
    }

    /// One step of the rotation: on the disk, then in the tunnel, then answered.
    async fn climb<T>(
        &self,
        step: impl FnOnce(&mut Enrolment) -> Result<T, StepError>,
    ) -> Result<T, StepError> {
        let mut changes = self.changes.lock().await;
        let answer = block_in_place(|| step(&mut changes.enrolment))?;
        changes.set_epochs(&self.inner());
        Ok(answer)
    }

    /// What home is told.
    pub async fn control_status(&self) -> control::Status {
        let changes = self.changes.lock().await;
        let enrolment = enrol_status(&changes.enrolment);
        control::Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            protocol: control::VERSION,
            public_addresses: self.public().addresses,
            joined: enrolment.home.is_some(),
            time: SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).ok().map(|since| since.as_secs()),
            last_counter: enrolment.last_counter,
            zones: self.zone_statuses(),
            forward: forward_of(changes.forwarding.state()),
            bans: Some(changes.bans_held()),
            secondaries: Some(self.secondaries_held()),
            counters: counters(),
        }
    }

    /// What the operator is told.
    pub async fn edge_status(&self) -> EdgeStatus {
        let surveyed = host::survey().await;
        let changes = self.changes.lock().await;
        let mut status = EdgeStatus {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            public_interface: self.public().interface,
            public_addresses: self.public().addresses,
            enrolment: enrol_status(&changes.enrolment),
            tunnel: TunnelReport {
                interface: self.config.tunnel.interface.clone(),
                port: changes.tunnel.port(),
                epochs: changes.tunnel.status().epochs,
            },
            dns: self.config.dns.listen.clone(),
            zones: self.zone_statuses(),
            forward: forward_of(changes.forwarding.state()),
            holding: changes.forwarding.state().passage == Passage::Held,
            bans: changes.bans_held(),
            secondaries: self.secondaries_held().secondaries,
            counters: counters(),
            warnings: Vec::new(),
        };
        status.warnings = status.missing();
        status.warnings.extend(status.not_stored());
        status.warnings.extend(status.second_homes());
        match surveyed {
            Ok(survey) => status.warnings.extend(host::warnings(&self.config, &survey)),
            Err(error) => {
                status.warnings.push(format!("This machine's interfaces cannot be listed: {error}."))
            }
        }
        status
    }

    /// Where home shall dial unless the operator names another endpoint: the first public address.
    pub fn default_endpoint(&self) -> Option<String> {
        let port = self.config.tunnel.port;
        self.public().addresses.first().map(|address| std::net::SocketAddr::new(*address, port).to_string())
    }

    fn inner(&self) -> InnerAddresses {
        inner_addresses(&self.config.tunnel)
    }

    fn terms(&self) -> Terms {
        Terms {
            inner: self.inner(),
            mtu: self.config.tunnel.mtu,
            control_port: self.config.control.port,
            public_addresses: self.public().addresses,
        }
    }

    fn public(&self) -> Public {
        self.public.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Changes {
    fn set_epochs(&self, inner: &InnerAddresses) {
        self.tunnel.set_epochs(self.enrolment.epochs(inner, SystemTime::now()));
    }
}

fn enrol_status(enrolment: &Enrolment) -> EnrolStatus {
    enrolment.status(SystemTime::now())
}

/// This machine's clock, in seconds since 1970.
fn seconds_now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Whether an address is the one that homes have while they join.
pub fn is_bootstrap(address: IpAddr) -> bool {
    address.to_canonical() == IpAddr::V4(postern_shared::enrolment::BOOTSTRAP_HOME_V4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bootstrap_peer_is_known_in_both_notations() {
        assert!(is_bootstrap("169.254.118.2".parse().unwrap()));
        assert!(is_bootstrap("::ffff:169.254.118.2".parse().unwrap()));
        assert!(!is_bootstrap("10.118.0.2".parse().unwrap()));
    }
}
