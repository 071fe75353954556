//! What the edge can be asked to do, whoever asks: the control protocol or the operator on this machine.
//!
//! In: parsed calls. Out: changed zones, forwarding, bans and epochs, durable before they are acknowledged. Refused: zones
//! that cannot be served, go back in serial or fail [`zone_check`], forwarding that would take this machine's own ports, bans
//! of what must not be cut off.
//!
//! One lock orders all changes. Answers to DNS queries never wait for it: they read [`SharedZones`].

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use hickory_proto::rr::{LowerName, Name};
use postern_shared::bans::{Ban, BanList, BansTaken, MOST_BANS, Protected, RefusedBan, canonical};
use postern_shared::control::{self, BansHeld, Changed, Count, Forward, ZoneStatus};
use postern_shared::enrolment::{EnrolResponse, InnerAddresses, Refusal};
use postern_shared::join_code::{Endpoint, JoinCode};
use postern_shared::rotation::{Answer, Offer};
use postern_shared::tunnel::{EpochId, Tunnel, TunnelStatus};
use postern_shared::zone::{Zone, ZoneError, is_older};
use tokio::sync::{Mutex, watch};
use tokio::task::block_in_place;

use crate::config::Config;
use crate::dns::{ServedZone, SharedZones, ZoneSet};
use crate::enrol::{EnrolError, EnrolStatus, Enrolment, NotAuthorized, StepError, Terms};
use crate::forward::{DesiredState, ForwardError, Forwarding, OnStop, OpenPorts, Passage, read_counters};
use crate::host::{self, Public, Survey};
use crate::state::{KeptBans, State};
use crate::status::{EdgeStatus, TunnelReport};
use crate::tunnel::inner_addresses;
use crate::zone_check;

/// Ports that home cannot have forwarded by itself: the machine's ssh and the name server.
const RESERVED_PORTS: [u16; 2] = [22, 53];

/// Everything that changes while the edge runs.
#[derive(Debug)]
pub struct Service {
    config: Config,
    /// How this machine faces the internet, as it was last looked up.
    public: RwLock<Public>,
    zones: SharedZones,
    /// What the tunnel says of itself.
    heard: watch::Receiver<TunnelStatus>,
    changes: Mutex<Changes>,
}

#[derive(Debug)]
struct Changes {
    state: State,
    enrolment: Enrolment,
    tunnel: Tunnel,
    forwarding: Forwarding,
    bans: KeptBans,
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
        zones: SharedZones,
        state: State,
        enrolment: Enrolment,
        tunnel: Tunnel,
        forwarding: Forwarding,
    ) -> Self {
        let heard = tunnel.watch_status();
        let bans = state.load_bans();
        let changes =
            Mutex::new(Changes { state, enrolment, tunnel, forwarding, bans, unbound: BTreeSet::new() });
        let service = Self { config, public: RwLock::new(public), zones, heard, changes };
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

    /// Brings the firewall's sets to the bans that hold now; to be repeated every few seconds.
    pub async fn refresh_bans(&self) {
        let mut changes = self.changes.lock().await;
        if let Err(error) = block_in_place(|| changes.apply_bans()) {
            tracing::error!(%error, "the firewall does not hold all bans");
        }
    }

    /// Sends new connections home, or holds them.
    pub async fn set_passage(&self, passage: Passage) {
        let mut changes = self.changes.lock().await;
        let wanted = DesiredState { passage, ..changes.forwarding.state().clone() };
        if wanted == *changes.forwarding.state() {
            return;
        }
        match (block_in_place(|| changes.forwarding.change(wanted)), passage) {
            (Ok(()), Passage::ToHome) => tracing::info!("home is heard: connections go to it"),
            (Ok(()), Passage::Held) => {
                tracing::warn!(
                    "home is silent: port 25 is told to try again later, the other ports are closed"
                );
            }
            (Err(error), _) => {
                tracing::error!(%error, ?passage, "the firewall cannot change where connections go")
            }
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
            .collect::<Result<(), _>>()
            .map_err(ChangeError::from)
            .and_then(|()| Ok(changes.forwarding.change(self.wanted(changes, None))?));
        changes.bans = KeptBans::default();
        if let Err(error) = changes.apply_bans() {
            tracing::warn!(%error, "what the former home banned is still banned");
        }
        self.zones.replace(ZoneSet::default());
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

    /// Serves `zone` from now on; `origin` is the one of the call's path.
    ///
    /// # Errors
    /// See [`ChangeError`]; the zone before is then still being served.
    pub async fn put_zone(&self, origin: &str, zone: &Zone) -> Result<ZoneStatus, ChangeError> {
        let mut changes = self.changes.lock().await;
        let served = block_in_place(|| ServedZone::new(zone))?;
        if path_origin(origin).as_ref() != Some(&served.origin) {
            return Err(ChangeError::OtherZone);
        }
        let current = self.zones.current();
        let before = current.get(&served.origin).filter(|_| !changes.unbound.contains(&served.origin));
        if let Some(before) = before.filter(|before| is_older(served.serial, before.serial)) {
            return Err(ChangeError::OlderSerial { got: served.serial, served: before.serial });
        }
        block_in_place(|| {
            let before = before.and_then(|_| changes.state.zone(&zone.origin));
            zone_check::check(zone, before.as_ref(), seconds_now())
        })?;
        block_in_place(|| changes.state.save_zone(zone))?;
        changes.unbound.remove(&served.origin);
        let status = zone_status(&served);
        tracing::info!(origin = %status.origin, serial = status.serial, "zone taken from home");
        self.zones.replace(current.with(Arc::new(served)));
        Ok(status)
    }

    /// Serves the zone at `origin` no longer.
    ///
    /// # Errors
    /// [`ChangeError::NotKept`]; the zone is then still being served.
    pub async fn delete_zone(&self, origin: &str) -> Result<Changed, ChangeError> {
        let changes = self.changes.lock().await;
        let current = self.zones.current();
        let Some(zone) = path_origin(origin).and_then(|name| current.get(&name)) else {
            return Ok(Changed { changed: false });
        };
        block_in_place(|| changes.state.remove_zone(&zone.origin.to_string()))?;
        tracing::info!(origin = %zone.origin, "zone removed by home");
        self.zones.replace(current.without(&zone.origin));
        Ok(Changed { changed: true })
    }

    /// Forwards as home asks from now on, instead of as the configuration file says.
    ///
    /// # Errors
    /// See [`ChangeError`]; the forwarding before is then still in force.
    pub async fn put_forward(&self, forward: &Forward) -> Result<Changed, ChangeError> {
        check_forward(forward)?;
        let mut changes = self.changes.lock().await;
        let wanted = self.wanted(&changes, Some(forward));
        let changed = *changes.forwarding.state() != wanted;
        block_in_place(|| {
            changes.state.save_forward(forward)?;
            changes.forwarding.change(wanted).map_err(ChangeError::from)
        })?;
        Ok(Changed { changed })
    }

    /// The table for what home pushed. What changes by itself stays as it is.
    fn wanted(&self, changes: &Changes, pushed: Option<&Forward>) -> DesiredState {
        let now = changes.forwarding.state();
        DesiredState { passage: now.passage, ..desired_state(&self.config, pushed, now.hold_port) }
    }

    /// Bans what home lists, and nothing else, from now on.
    ///
    /// # Errors
    /// See [`ChangeError`]; the bans before then hold.
    pub async fn put_bans(&self, list: &BanList) -> Result<BansTaken, ChangeError> {
        if list.bans.len() > MOST_BANS {
            return Err(ChangeError::TooManyBans(list.bans.len()));
        }
        let survey = host::survey().await.unwrap_or_default();
        let mut changes = self.changes.lock().await;
        let (taken, refused) = sorted_out(list, &self.protected(&survey, &changes));
        let bans = KeptBans::new(&taken, seconds_now());
        let changed = changes.bans.revision != bans.revision;
        let before = std::mem::replace(&mut changes.bans, bans);
        block_in_place(|| changes.keep_bans(before))?;
        tracing::info!(bans = taken.bans.len(), refused = refused.len(), "bans taken from home");
        Ok(BansTaken { changed, refused })
    }

    /// What home cannot have banned.
    fn protected(&self, survey: &Survey, changes: &Changes) -> Protected {
        let mut protected = Protected::default();
        let tunnel = &self.config.tunnel;
        for inner in [
            IpAddr::from(tunnel.edge_v4),
            tunnel.home_v4.into(),
            tunnel.edge_v6.into(),
            tunnel.home_v6.into(),
        ] {
            protected.add(inner, "an address of the tunnel");
        }
        let own = survey.interfaces.values().flatten().copied().chain(self.public().addresses);
        own.for_each(|address| protected.add(address, "an address of the edge itself"));
        let home = changes
            .tunnel
            .status()
            .epochs
            .into_iter()
            .filter_map(|epoch| Some(epoch.endpoint?.ip().to_canonical()));
        protected.add_all(home, "where home is now");
        protected
            .add_all(self.config.forward.never_ban.iter().copied(), "listed in `never_ban` of edge.toml");
        protected
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
    pub async fn commit_epoch(&self, epoch: EpochId) -> Result<Changed, StepError> {
        let changed = self.climb(|enrolment| enrolment.commit(epoch)).await?;
        tracing::info!(epoch = epoch.0, "the epoch is preferred");
        Ok(changed)
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

    fn zone_statuses(&self) -> Vec<ZoneStatus> {
        self.zones.current().iter().map(|zone| zone_status(zone)).collect()
    }
}

impl Changes {
    fn set_epochs(&self, inner: &InnerAddresses) {
        self.tunnel.set_epochs(self.enrolment.epochs(inner, SystemTime::now()));
    }

    /// Puts the bans on the disk and in force; where that fails, those before, so that home sees them and tries again.
    fn keep_bans(&mut self, before: KeptBans) -> Result<(), ChangeError> {
        let saved = self.state.save_bans(&self.bans).map_err(ChangeError::from);
        let kept = saved.and_then(|()| Ok(self.apply_bans()?));
        if kept.is_err() {
            self.bans = before;
            if let Err(error) = self.state.save_bans(&self.bans) {
                tracing::warn!(%error, "the former bans could not be stored again");
            }
        }
        kept
    }

    fn apply_bans(&mut self) -> Result<(), ForwardError> {
        let now = seconds_now();
        self.forwarding.ban(&self.bans.current(now), now)
    }

    fn bans_held(&self) -> BansHeld {
        BansHeld { revision: self.bans.revision.clone(), count: self.bans.current(seconds_now()).len() }
    }
}

/// What can be taken of a list, and what not.
fn sorted_out(list: &BanList, protected: &Protected) -> (BanList, Vec<RefusedBan>) {
    let (mut bans, mut refused) = (Vec::new(), Vec::new());
    for ban in &list.bans {
        let network = canonical(ban.network);
        match protected.refusal(&network) {
            Some(why) => refused.push(RefusedBan { network, why }),
            None => bans.push(Ban { network, ..ban.clone() }),
        }
    }
    for RefusedBan { network, why } in &refused {
        tracing::warn!(%network, why, "a ban of home's is not taken");
    }
    (BanList { revision: list.revision.clone(), bans }, refused)
}

/// The table for the configuration file, or for what home pushed where it has pushed something. `hold_port` is where SMTP
/// is answered while home is silent.
pub fn desired_state(config: &Config, pushed: Option<&Forward>, hold_port: u16) -> DesiredState {
    let ports = pushed.map_or(&config.forward.ports, |forward| &forward.ports).clone();
    let outbound = pushed.map(|forward| forward.home_may_connect_to.iter().copied().collect());
    DesiredState {
        tunnel_interface: config.tunnel.interface.clone(),
        tunnel_port: config.tunnel.port,
        edge_v4: config.tunnel.edge_v4,
        edge_v6: config.tunnel.edge_v6,
        home_v4: config.tunnel.home_v4,
        home_v6: config.tunnel.home_v6,
        ports,
        home_may_connect_to: outbound.unwrap_or_else(|| config.forward.home_may_connect_to.clone()),
        closed_input: config.forward.drop_other_input.then(|| open_ports(config)),
        operator_ports: config.forward.open_input.clone(),
        limits: config.limits,
        passage: Passage::ToHome,
        hold_port,
    }
}

/// What a closed input still needs: the name server, the tunnel, the operator's own, and DHCP (RFC 2131, RFC 8415).
fn open_ports(config: &Config) -> OpenPorts {
    const DHCP_CLIENT: [u16; 2] = [68, 546];
    let dns: BTreeSet<u16> = config.dns.listen.iter().map(|address| address.port()).collect();
    let udp = dns.iter().copied().chain(DHCP_CLIENT).chain([config.tunnel.port]).collect();
    OpenPorts { tcp: dns.union(&config.forward.open_input).copied().collect(), udp }
}

/// Whether the table stays after the daemon.
pub fn on_stop(config: &Config) -> OnStop {
    if config.forward.keep_on_stop { OnStop::Keep } else { OnStop::Remove }
}

fn check_forward(forward: &Forward) -> Result<(), ChangeError> {
    if let Some(port) = RESERVED_PORTS.iter().find(|port| forward.ports.contains_key(port)) {
        return Err(ChangeError::ReservedPort(*port));
    }
    let mut all =
        forward.ports.iter().flat_map(|(public, home)| [public, home]).chain(&forward.home_may_connect_to);
    if all.any(|port| *port == 0) { Err(ChangeError::NoPort) } else { Ok(()) }
}

fn forward_of(state: &DesiredState) -> Forward {
    Forward {
        ports: state.ports.clone(),
        home_may_connect_to: state.home_may_connect_to.iter().copied().collect(),
    }
}

fn zone_status(zone: &ServedZone) -> ZoneStatus {
    ZoneStatus { origin: zone.origin.to_string(), serial: zone.serial, digest: zone.digest.clone() }
}

fn enrol_status(enrolment: &Enrolment) -> EnrolStatus {
    enrolment.status(SystemTime::now())
}

fn counters() -> BTreeMap<String, Count> {
    block_in_place(read_counters).unwrap_or_else(|error| {
        tracing::warn!(%error, "firewall counters cannot be read");
        BTreeMap::new()
    })
}

/// This machine's clock, in seconds since 1970.
fn seconds_now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn path_origin(origin: &str) -> Option<LowerName> {
    let absolute = format!("{}.", origin.trim_end_matches('.'));
    Name::from_ascii(absolute).ok().map(LowerName::from)
}

/// Whether an address is the one that homes have while they join.
pub fn is_bootstrap(address: IpAddr) -> bool {
    address.to_canonical() == IpAddr::V4(postern_shared::enrolment::BOOTSTRAP_HOME_V4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn home_overrides_the_file_but_not_the_machine() {
        let config = Config::default();
        assert_eq!(forward_of(&desired_state(&config, None, 2525)).ports.len(), 4);
        let pushed = Forward { ports: [(25, 2525)].into(), home_may_connect_to: vec![] };
        assert_eq!(forward_of(&desired_state(&config, Some(&pushed), 2525)), pushed);
        assert!(check_forward(&pushed).is_ok());
        for port in RESERVED_PORTS {
            let greedy = Forward { ports: [(port, 25)].into(), home_may_connect_to: vec![] };
            assert!(matches!(check_forward(&greedy), Err(ChangeError::ReservedPort(_))));
        }
        let zero = Forward { ports: [(25, 0)].into(), home_may_connect_to: vec![] };
        assert!(matches!(check_forward(&zero), Err(ChangeError::NoPort)));
    }

    #[test]
    fn a_closed_input_keeps_what_the_edge_needs() {
        let mut config = Config::default();
        config.forward.drop_other_input = true;
        let open = desired_state(&config, None, 2525).closed_input.unwrap();
        assert_eq!(open.tcp, [22, 53].into());
        assert_eq!(open.udp, [53, 68, 546, 51820].into());
    }

    #[test]
    fn the_bootstrap_peer_is_known_in_both_notations() {
        assert!(is_bootstrap("169.254.118.2".parse().unwrap()));
        assert!(is_bootstrap("::ffff:169.254.118.2".parse().unwrap()));
        assert!(!is_bootstrap("10.118.0.2".parse().unwrap()));
    }
}
