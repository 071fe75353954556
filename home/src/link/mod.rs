//! Home's side of the tunnel: joins an edge, keeps connected to it, and pushes what the edge shall serve.
//!
//! In: a join code or an edge's address from the operator, the zones from `zone`. Out: the tunnel interface with home's inner addresses and
//! its policy rule, signed control requests, and the edge's addresses for whoever builds zones or binds outbound
//! connections. Refused: join codes that are mistyped, expired or used, and an edge that is not the one of the code.
//!
//! ```text
//!  Unjoined --join--> Joining --answer stored--> Connecting <--> Connected
//!     ^                  |                            \             /
//!     +------refused-----+                             +--- join --+
//! ```
//! A home that is a copy of another one, which is connected, is fenced: Connecting --> Fenced (see `tunnel`'s epochs).
//!
//! The link tries forever: an edge that is not heard is dialled again, looked up again, and tried at all its addresses.
//! Zones are a desired state. They are pushed until the edge reports the same digest, and again whenever it does not.

mod task;

mod age;
mod ask;
mod client;
mod finder;
mod invitation;
mod join;
mod line;
mod push;
mod rotate;
mod signed;
mod state;

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use postern_shared::bans::RefusedBan;
use postern_shared::control::{Count, is_routed};
use postern_shared::identity::{Identity, IdentityError, PublicIdentity};
use postern_shared::rotation::Step;
use postern_shared::secondary::{SecondariesHeld, SecondaryList, SecondaryStatus};
use postern_shared::tunnel::{EpochId, EpochStatus, PublicKey};
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, mpsc, oneshot, watch};

use crate::bans::Book;
use crate::inner::{InterfaceError, Kind, Network};

pub use age::{InvalidAge, RotateEvery};
pub use ask::NotAsked;
pub use client::ControlError;
pub use invitation::JoinBy;
pub use push::{DeclaredZones, EdgeZones};
pub(crate) use signed::seconds_now;
pub use state::LinkStateError;

/// What the link must know from home's configuration.
#[derive(Debug, Clone)]
pub struct LinkConfig {
    /// Where `identity.key` and `link.json` are kept.
    pub state_dir: PathBuf,
    /// Where home's inner addresses live.
    pub network: Network,
    /// Why the inner network is of this kind; `None` for the first choice.
    pub network_reason: Option<String>,
    /// The name of the TUN interface, up to 15 octets.
    pub interface: String,
    /// The TCP ports of home's services: what may be reached through the tunnel.
    pub service_ports: Vec<u16>,
    /// What the edge shall forward: public TCP port to the port at home.
    pub forward: BTreeMap<u16, u16>,
    /// Who shall be banned.
    pub bans: watch::Receiver<Book>,
    /// The greatest MTU of the tunnel in octets; the edge may ask for less.
    pub mtu: u16,
    /// How long an old epoch must have been idle before its keys are deleted.
    pub drain: Duration,
}

/// Addresses that only the edge knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EdgeAddresses {
    /// The edge's addresses on the internet: what MX and NS names point to.
    pub public: Vec<IpAddr>,
    /// Home's inner IPv4 address: the source of connections that shall leave from the edge.
    pub home_v4: Ipv4Addr,
    /// Home's inner IPv6 address.
    pub home_v6: Ipv6Addr,
}

impl EdgeAddresses {
    /// Where the world finds home's mail, and where home's own leaves from: the edge's addresses, but home's own IPv6
    /// address where that is a public one.
    pub fn of_mail(&self) -> Vec<IpAddr> {
        let is_own = is_routed(self.home_v6);
        let edges = self.public.iter().copied().filter(|address| address.is_ipv4() || !is_own);
        edges.chain(is_own.then_some(self.home_v6.into())).collect()
    }
}

/// Where the link stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LinkState {
    /// No edge is known: `postern-home join` is the next step.
    Unjoined,
    /// A join code is being used.
    Joining,
    /// The edge is known but does not answer (yet).
    Connecting,
    /// The edge answers and takes control requests.
    Connected,
    /// The edge answers, but another home with the same keys is connected to it: this one carries no mail.
    Fenced,
}

impl Display for LinkState {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            LinkState::Unjoined => "not joined",
            LinkState::Joining => "joining",
            LinkState::Connecting => "connecting",
            LinkState::Connected => "connected",
            LinkState::Fenced => "fenced",
        })
    }
}

/// The edge's copy of one zone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ZonePush {
    /// The zone's name.
    pub origin: String,
    /// The serial that the edge shall serve.
    pub serial: u32,
    /// Whether the edge serves exactly this content.
    pub accepted: bool,
    /// Why the edge did not take it, if it said so.
    pub error: Option<String>,
}

/// The keys of the tunnel, and how far a rotation has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TunnelKeys {
    /// The epoch that is certain to work.
    pub epoch: EpochId,
    /// When home had it, in seconds since 1970; 0 where that is not known.
    pub since: u64,
    /// Home's public key of this epoch.
    pub home_key: PublicKey,
    /// The edge's public key of this epoch.
    pub edge_key: PublicKey,
    /// The rung of the ladder.
    pub step: Step,
    /// The epoch that the rotation leads to; the current one where none is under way.
    pub target: EpochId,
    /// Why the last step failed; it is repeated.
    pub error: Option<String>,
}

/// What `postern-home status` shows about the link.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LinkStatus {
    /// Where the link stands.
    pub state: LinkState,
    /// Home's identity as a fingerprint.
    pub identity: String,
    /// What has home's inner addresses.
    #[serde(default)]
    pub kind: Kind,
    /// Why it is not a kind that comes before; `None` for the first, or where the operator chose.
    #[serde(default)]
    pub kind_reason: Option<String>,
    /// The edge's endpoint as the join code named it.
    pub edge: Option<String>,
    /// The edge's addresses.
    pub addresses: Option<EdgeAddresses>,
    /// The epochs of the tunnel, newest last.
    pub epochs: Vec<EpochStatus>,
    /// The tunnel's keys; `None` before the first join.
    #[serde(default)]
    pub keys: Option<TunnelKeys>,
    /// The age at which keys are renewed by themselves.
    #[serde(default)]
    pub rotate_every: RotateEvery,
    /// The zones that were handed to the link.
    pub zones: Vec<ZonePush>,
    /// How the secondary name servers are, as the edge says.
    #[serde(default)]
    pub secondaries: Vec<SecondaryStatus>,
    /// By how many seconds home's clock is ahead of the edge's, when they last spoke; negative where it is behind.
    #[serde(default)]
    pub clock_ahead: i64,
    /// What the edge forwards and keeps out; `None` until it has been asked.
    #[serde(default)]
    pub protection: Option<Protection>,
    /// The last thing that went wrong, until the link is well again.
    pub last_error: Option<String>,
}

/// What the edge forwards and keeps out, as it last said.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Protection {
    /// Public TCP port to the port at home.
    pub forward: BTreeMap<u16, u16>,
    /// How many networks are banned; `None` where the edge is too old to ban.
    pub bans: Option<usize>,
    /// Bans that the edge does not take.
    pub refused: Vec<RefusedBan>,
    /// The edge's firewall counters, by name.
    pub counters: BTreeMap<String, Count>,
}

/// How long the edge is waited for when somebody wants to know.
const ASKED: Duration = Duration::from_secs(3);

/// From this many seconds on a difference between the clocks is worth a word: it is more than a leap or a slow line.
const CLOCK_NOTICE: u64 = 120;

impl LinkStatus {
    /// What a person should do where this machine's clock is wrong.
    pub fn clock_warning(&self) -> Option<String> {
        let seconds = Some(self.clock_ahead.unsigned_abs()).filter(|seconds| *seconds >= CLOCK_NOTICE)?;
        let direction = if self.clock_ahead > 0 { "ahead of" } else { "behind" };
        Some(format!(
            "This machine's clock is {} {direction} the edge's. Mail passes, but its dates are wrong, and signatures of \
             senders may count as expired. Set it: `timedatectl set-ntp true`.",
            rough(seconds)
        ))
    }

    /// The kind with its reason, for people.
    pub fn described_kind(&self) -> String {
        match &self.kind_reason {
            Some(reason) => format!("{} ({reason})", self.kind),
            None => self.kind.to_string(),
        }
    }

    /// What a person should do where this home is fenced.
    pub fn fenced_warning(&self) -> Option<String> {
        let fenced =
            self.epochs.iter().find_map(|epoch| epoch.fenced).filter(|_| self.state == LinkState::Fenced)?;
        Some(format!(
            "Another home with the same keys has been connected to the edge, from {}, for as long as this one knows ({} s), \
             so this one is fenced and carries no mail. One of the two is a copy, such as a restored backup. To keep the \
             other, stop this one. To keep this one, stop the other, then restart this one; or `postern-edge invite` and \
             `postern-home join` here, which locks the other out for good.",
            fenced.endpoint,
            fenced.since.as_secs()
        ))
    }
}

/// A time for people: its largest unit.
fn rough(seconds: u64) -> String {
    match (seconds / 86_400, seconds / 3600, seconds / 60) {
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, _) => format!("{hours} h"),
        (days, ..) => format!("{days} d"),
    }
}

/// Why the link could not be started, or a join failed.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The identity key could not be used.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// `link.json` could not be read or written.
    #[error(transparent)]
    State(#[from] LinkStateError),
    /// The UDP socket or the thread could not be made.
    #[error(transparent)]
    Tunnel(#[from] postern_shared::tunnel::TunnelError),
    /// The interface could not be made, or its addresses, routes or rules not be set.
    #[error(transparent)]
    Interface(#[from] InterfaceError),
    /// This machine uses the tunnel's inner addresses for something else.
    #[error(transparent)]
    Conflict(postern_shared::netlink::Conflict),
    /// The operating system gave no random numbers.
    #[error(transparent)]
    NoRandomness(#[from] postern_shared::tunnel::NoRandomness),
    /// There is no tunnel whose keys could be renewed.
    #[error("no edge is joined. Run `postern-edge invite` there and `postern-home join` here")]
    Unjoined,
    /// The join code's time is over.
    #[error(
        "the edge does not answer, and by this machine's clock the join code has expired. Run `postern-edge invite` on the \
         edge again and join with the new code"
    )]
    CodeExpired,
    /// The endpoint's name has no address.
    #[error(
        "the edge's name {name} cannot be resolved: {source}. Check the name and this machine's resolver, or make an \
         invite with the edge's address: `postern-edge invite`"
    )]
    Unresolvable {
        /// The name in the join code.
        name: String,
        /// What the resolver said.
        source: std::io::Error,
    },
    /// No handshake came back.
    #[error(
        "the edge at {endpoint} did not answer within {seconds} s. Its UDP port must be open to the internet (cloud \
         firewall or security group), `postern-edge run` must be running, and the code must be its newest one"
    )]
    NoAnswer {
        /// Where the handshakes were sent.
        endpoint: String,
        /// How long the link waited.
        seconds: u64,
    },
    /// No handshake came back from an edge that was to wait for this home.
    #[error(
        "the edge at {endpoint} did not answer within {seconds} s. Its UDP port must be open to the internet (cloud \
         firewall or security group), `postern-edge run` must be running, and `home` in the section `[enrolment]` of its \
         edge.toml must be what `postern-home identity` prints. An edge that a home has joined already waits for nobody: \
         use a code from `postern-edge invite`"
    )]
    NotAwaited {
        /// Where the handshakes were sent.
        endpoint: String,
        /// How long the link waited.
        seconds: u64,
    },
    /// Another edge than the one of the given key has answered.
    #[error(
        "the edge that answered has the key {answered}, not {expected}. Compare with `postern-edge status` on the edge; if \
         the key there is the one that you gave, somebody stands between this home and the edge"
    )]
    OtherEdge {
        /// What the operator gave.
        expected: PublicKey,
        /// What the edge answered.
        answered: PublicKey,
    },
    /// The edge answered and refused.
    #[error(transparent)]
    Refused(#[from] postern_shared::enrolment::Refusal),
    /// The control request failed for another reason.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// Another join is under way, or the link has stopped.
    #[error("the link is {0}; try again in a moment")]
    Busy(&'static str),
}

/// A handle to the running link; cheap to clone.
#[derive(Debug, Clone)]
pub struct Link {
    commands: mpsc::Sender<Command>,
    status: watch::Receiver<LinkStatus>,
    addresses: watch::Receiver<Option<EdgeAddresses>>,
    identity: PublicIdentity,
    report: watch::Receiver<push::Report>,
    wanted: Arc<Notify>,
    /// The edge, while it is heard.
    edge: watch::Receiver<Option<client::ControlClient>>,
    signer: Arc<signed::Signer>,
    stop: Arc<Notify>,
}

/// What the handle asks of the task.
enum Command {
    Join(Box<JoinBy>, oneshot::Sender<Result<EdgeAddresses, LinkError>>),
    Zones(DeclaredZones),
    Secondaries(SecondaryList),
    Rotate(oneshot::Sender<Result<TunnelKeys, LinkError>>),
    RotateEvery(RotateEvery, oneshot::Sender<Result<(), LinkError>>),
}

impl Link {
    /// Starts the link on the current runtime and returns at once; connects by itself if home has joined before.
    ///
    /// # Errors
    /// When the identity or the link's state cannot be loaded. A tunnel that cannot be made is retried and shown in the
    /// status, so that mail in the local network goes on.
    pub fn start(config: LinkConfig) -> Result<Link, LinkError> {
        let identity = Identity::load_or_generate(&config.state_dir.join("identity.key"))?;
        let file = state::LinkFile::open(&config.state_dir)?;
        let public = identity.public();
        let (commands, inbox) = mpsc::channel(16);
        let (task, task::Views { status, addresses, report, wanted, edge, signer }) =
            task::Task::new(config, identity, file, inbox);
        let stop = Arc::new(Notify::new());
        tokio::spawn(task.run(Arc::clone(&stop)));
        Ok(Link { commands, status, addresses, report, identity: public, wanted, edge, signer, stop })
    }

    /// Who home is, for an edge that shall wait for it.
    pub fn identity(&self) -> PublicIdentity {
        self.identity
    }

    /// Joins the edge that made the code, or waits for this home; returns once the first real epoch carries data.
    ///
    /// # Errors
    /// The reason with how to mend it; nothing has changed at home unless the edge had answered, and joining again with
    /// the same code is always safe.
    pub async fn join(&self, by: JoinBy) -> Result<EdgeAddresses, LinkError> {
        let (answer, result) = oneshot::channel();
        self.commands
            .send(Command::Join(Box::new(by), answer))
            .await
            .map_err(|_| LinkError::Busy("stopped"))?;
        result.await.map_err(|_| LinkError::Busy("stopping"))?
    }

    /// Declares what the edge shall serve; all else is withdrawn. Until the first call the edge keeps what it has.
    pub async fn declare_zones(&self, zones: DeclaredZones) {
        // A closed channel means that home is stopping; the next start declares the zones again.
        let _ = self.commands.send(Command::Zones(zones)).await;
    }

    /// Declares the secondary name servers that the edge shall let transfer the zones.
    pub async fn set_secondaries(&self, list: SecondaryList) {
        // As with zones.
        let _ = self.commands.send(Command::Secondaries(list)).await;
    }

    /// How the edge said that the secondaries are; `None` before the edge has been heard.
    pub fn secondaries(&self) -> Option<SecondariesHeld> {
        self.report.borrow().secondaries.clone()
    }

    /// Waits until the edge has been asked once more how things are, or does not answer soon.
    pub async fn ask_edge(&self) {
        let mut report = self.report.clone();
        report.mark_unchanged();
        self.wanted.notify_one();
        // An edge that is not heard is asked nothing.
        let _ = tokio::time::timeout(ASKED, report.changed()).await;
    }

    /// Waits until the edge has been asked how things are.
    pub async fn edge_was_asked(&self) {
        let mut report = self.report.clone();
        report.mark_unchanged();
        if report.changed().await.is_err() {
            std::future::pending().await
        }
    }

    /// Begins to renew the tunnel's keys, or finds that under way; the status tells each step. On return the wish is
    /// durable.
    ///
    /// # Errors
    /// When no edge is joined, or the state cannot be stored.
    pub async fn rotate(&self) -> Result<TunnelKeys, LinkError> {
        let (answer, result) = oneshot::channel();
        let sent = self.commands.send(Command::Rotate(answer)).await;
        sent.map_err(|_| LinkError::Busy("stopped"))?;
        result.await.map_err(|_| LinkError::Busy("stopping"))?
    }

    /// Renews the keys by themselves at this age from now on. Durable on return.
    ///
    /// # Errors
    /// When it cannot be stored.
    pub async fn rotate_every(&self, every: RotateEvery) -> Result<(), LinkError> {
        let (answer, result) = oneshot::channel();
        let sent = self.commands.send(Command::RotateEvery(every, answer)).await;
        sent.map_err(|_| LinkError::Busy("stopped"))?;
        result.await.map_err(|_| LinkError::Busy("stopping"))?
    }

    /// What the link is doing.
    pub fn status(&self) -> LinkStatus {
        self.status.borrow().clone()
    }

    /// The status as it changes, for those who wait for a state.
    pub fn watch_status(&self) -> watch::Receiver<LinkStatus> {
        self.status.clone()
    }

    /// The edge's addresses as they change; `None` before the first join.
    pub fn edge_addresses(&self) -> watch::Receiver<Option<EdgeAddresses>> {
        self.addresses.clone()
    }

    /// What the edge said of its zones when it was last asked, at most half a minute ago while it is heard.
    pub fn edge_zones(&self) -> EdgeZones {
        self.report.borrow().edge.clone()
    }

    /// Takes the tunnel down and removes the policy rules; also in the middle of a join.
    pub async fn shutdown(&self) {
        self.stop.notify_one();
        // The task drops its end of the channel when all is down.
        self.commands.closed().await;
    }
}
