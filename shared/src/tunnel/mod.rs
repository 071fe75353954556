//! The WireGuard tunnel between edge and home.
//!
//! In: UDP datagrams from the internet and IP packets from a TUN device. Out: the same, the other way round. Refused:
//! everything that does not authenticate, is replayed, carries an inner source address that its epoch does not own, or
//! wants to reach what its epoch does not admit.
//! The protocol is boringtun's (`noise::Tunn`); this module is the only one that knows it.
//!
//! | module | holds |
//! |---|---|
//! | `keys` | static and pre-shared keys |
//! | `device` | the TUN device, or what stands in its place |
//! | `offload` | super-packets cut and put together |
//! | `socket` | the UDP sockets, many datagrams a call |
//! | `ends` | where a datagram comes from or goes to, and at which address of ours |
//! | `batch` | datagrams gathered for one call |
//! | `thread` | the event loop, which owns all of these |
//! | `core` | the pure core: which epoch a datagram belongs to, which one a packet takes |
//! | `epoch` | one epoch: which of its sessions carries packets, with the checks that `Tunn` leaves to its caller |
//! | `gate` | which handshake messages may cost a handshake |
//! | `session` | one `Tunn` |
//! | `admission` | what the peer may send inside |
//! | `beats` | the sign of life: when it is sent, and what it tells of the path |
//! | `heartbeat` | its messages |
//! | `path` | the search for the path MTU |
//! | `roaming` | where the peer was |
//! | `describe` | the same in words |
//!
//! One thread runs the data plane. The control plane talks to it by messages: a channel and an eventfd. Nothing is
//! allocated per packet; what goes to the kernel goes in batches.
mod batch;
mod device;
mod ends;
mod keys;
mod offload;
mod socket;
mod thread;

mod admission;
mod beats;
mod core;
mod describe;
mod epoch;
mod gate;
mod heartbeat;
mod path;
mod roaming;
mod session;

pub mod fuzz;

#[cfg(test)]
mod tests;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use ipnet::IpNet;
use rustix::event::{EventfdFlags, eventfd};
use rustix::fd::OwnedFd;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

pub use self::core::Refused;
pub use admission::Admission;
pub use beats::{DEAD_AFTER, INTERVAL as HEARTBEAT_INTERVAL};
pub use describe::{Measured, moves};
pub use device::Device;
pub use keys::{InvalidKey, NoRandomness, PresharedKey, PrivateKey, PublicKey};
pub use path::START as FIRST_LIMIT;
pub use roaming::Roamed;

/// Which end of the tunnel this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Dials, sends heartbeats, and never gives up.
    Home,
    /// Waits to be dialled and answers.
    Edge,
}

/// Names an epoch: a pair of static keys and a pre-shared key. A greater number is newer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EpochId(pub u32);

impl EpochId {
    /// The throw-away epoch of enrolment; every real epoch is newer.
    pub const BOOTSTRAP: EpochId = EpochId(0);
    /// The epoch that enrolment makes.
    pub const FIRST: EpochId = EpochId(1);
}

/// One epoch as the tunnel needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EpochConfig {
    /// Which epoch this is; unique in a tunnel.
    pub id: EpochId,
    /// Our static key.
    pub private_key: PrivateKey,
    /// The peer's static key.
    pub peer: PublicKey,
    /// Mixed into every handshake.
    pub preshared_key: PresharedKey,
    /// Where to send the first handshake; `None` waits for the peer. Follows the peer afterwards.
    pub endpoint: Option<SocketAddr>,
    /// Inner addresses that belong to the peer: what it may send from and what is sent to it.
    pub allowed_ips: Vec<IpNet>,
    /// What the peer may send inside.
    pub admission: Admission,
    /// The inner addresses between which the heartbeat runs.
    pub heartbeat: HeartbeatAddresses,
}

/// The inner addresses between which heartbeats run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeartbeatAddresses {
    /// Ours.
    pub local: Ipv4Addr,
    /// The peer's, inside its allowed IPs.
    pub peer: Ipv4Addr,
}

/// What one epoch has done so far.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EpochStatus {
    /// Which epoch.
    pub id: EpochId,
    /// Our static key in it: new with each offer, so that it tells two offers of one number apart.
    #[serde(default)]
    pub local_key: Option<PublicKey>,
    /// Whether octets passed both ways within the last [`DEAD_AFTER`]: at home, a beat was answered; at the edge, home
    /// has said that an answer came. A peer that knows no beats only has to be heard.
    pub alive: bool,
    /// Where the peer was last heard from, or is expected.
    pub endpoint: Option<SocketAddr>,
    /// How long ago the last authenticated packet came.
    pub last_received: Option<Duration>,
    /// How long ago a packet other than a heartbeat passed, either way.
    #[serde(default)]
    pub last_carried: Option<Duration>,
    /// How long ago the session's keys were agreed.
    #[serde(default)]
    pub handshake_age: Option<Duration>,
    /// Round trip of the latest answered heartbeat, as home measured it.
    pub round_trip: Option<Duration>,
    /// The share of the latest 64 heartbeats that were not answered, 0 to 1, as home counted them.
    #[serde(default)]
    pub loss: Option<f32>,
    /// The longest IP datagram that is known to pass the path in one piece, both ways, octets.
    #[serde(default)]
    pub path_mtu: Option<u16>,
    /// Inner octets received.
    pub received_octets: u64,
    /// Inner octets sent.
    pub sent_octets: u64,
    /// Handshakes that this end began and the peer answered.
    #[serde(default)]
    pub handshakes: u64,
    /// Set where two homes hold this epoch's keys and are connected.
    #[serde(default)]
    pub fenced: Option<Fenced>,
    /// Where the peer was, newest last, at most 16.
    #[serde(default)]
    pub roamed: Vec<Roamed>,
}

/// Two homes with the same keys: the current one carries the mail, the other one is fenced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fenced {
    /// The other home's endpoint as the edge sees it: at home that of the current one, at the edge that of the fenced one.
    pub endpoint: SocketAddr,
    /// For how long.
    pub since: Duration,
}

/// What the tunnel has done so far; renewed every second and when an epoch comes alive or dies.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TunnelStatus {
    /// The epochs, newest first.
    pub epochs: Vec<EpochStatus>,
    /// What was refused.
    pub refused: Refused,
    /// The longest inner packet that the path takes in one piece, octets; `None` while no epoch is alive.
    #[serde(default)]
    pub limit: Option<u16>,
}

/// How to make a tunnel.
#[derive(Debug, Clone)]
pub struct TunnelConfig {
    /// Which end this is.
    pub role: Role,
    /// The name of the TUN interface, 1 to 15 octets. It is made here and vanishes with the tunnel.
    pub interface: String,
    /// The UDP port, on all addresses; 0 lets the system choose.
    pub port: u16,
}

/// Why a tunnel could not be made. Each text says how to mend it.
#[derive(Debug, thiserror::Error)]
pub enum TunnelError {
    /// The TUN driver is not there.
    #[error(
        "/dev/net/tun does not exist, so the tunnel interface {0} cannot be made. Load the driver with `modprobe tun`; in \
         a container, pass the device in (`--device /dev/net/tun`)"
    )]
    NoTunDriver(String),
    /// CAP_NET_ADMIN is missing, or the device file is closed to us.
    #[error(
        "no permission to make the tunnel interface {0}: the program needs CAP_NET_ADMIN and access to /dev/net/tun. Start \
         it by its systemd unit, or as root"
    )]
    NoPermission(String),
    /// Another program holds an interface of that name.
    #[error(
        "the tunnel interface {0} exists already: another program, or another copy of this one, holds it. `ip -details link \
         show {0}` describes it; stop that program, or choose another name for `interface` in `[tunnel]`"
    )]
    InterfaceExists(String),
    /// The name is not an interface name.
    #[error("`{0}` cannot be the tunnel interface's name: expected 1 to 15 letters, digits, `-`, `_` or `.`")]
    InvalidName(String),
    /// The TUN device could not be made for another reason.
    #[error("the tunnel interface {interface} cannot be made: {source}")]
    Device {
        /// The interface.
        interface: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// Another program listens on the port.
    #[error(
        "UDP port {0} is in use by another program. `ss -ulpn 'sport = :{0}'` names it; stop that program, or choose \
         another `port` in `[tunnel]`"
    )]
    PortInUse(u16),
    /// The sockets could not be made for another reason.
    #[error("the tunnel's UDP socket on port {port} cannot be made: {source}")]
    Socket {
        /// The port.
        port: u16,
        /// What the operating system said.
        source: io::Error,
    },
    /// The thread could not be started.
    #[error("the tunnel's thread cannot be started: {0}")]
    Thread(io::Error),
}

/// A handle to a running tunnel. Dropping it takes the tunnel and its interface down.
#[derive(Debug)]
pub struct Tunnel {
    commands: mpsc::Sender<thread::Command>,
    wake: Arc<OwnedFd>,
    status: watch::Receiver<TunnelStatus>,
    port: u16,
    thread: Option<JoinHandle<()>>,
}

impl Tunnel {
    /// Makes the TUN device and the sockets, and starts the thread. The interface is down and has no address yet: see
    /// [`crate::netlink`].
    ///
    /// # Errors
    /// What is missing, with how to mend it.
    pub fn spawn(config: TunnelConfig) -> Result<Tunnel, TunnelError> {
        Self::with_device(config.role, Device::open(&config.interface)?, config.port)
    }

    /// Makes the sockets on a UDP port (0 lets the system choose) and starts the thread with a device that exists.
    ///
    /// # Errors
    /// What is missing, with how to mend it.
    pub fn with_device(role: Role, device: Device, port: u16) -> Result<Tunnel, TunnelError> {
        let (sockets, port) = socket::open(port)?;
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK);
        let wake = Arc::new(wake.map_err(|error| TunnelError::Thread(error.into()))?);
        let (commands, inbox) = mpsc::channel();
        let (publish, status) = watch::channel(TunnelStatus::default());
        let shell = thread::Shell::new(role, device, sockets, Arc::clone(&wake), inbox, publish)
            .map_err(TunnelError::Thread)?;
        let thread = std::thread::Builder::new().name("tunnel".into()).spawn(move || shell.run());
        Ok(Tunnel { commands, wake, status, port, thread: Some(thread.map_err(TunnelError::Thread)?) })
    }

    /// Keeps exactly these epochs: unchanged ones live on with their sessions, others go, new ones start.
    pub fn set_epochs(&self, epochs: Vec<EpochConfig>) {
        self.command(thread::Command::SetEpochs(epochs));
    }

    /// Sends an epoch's datagrams to another address, until the peer is heard from yet another.
    pub fn set_endpoint(&self, id: EpochId, endpoint: SocketAddr) {
        self.command(thread::Command::SetEndpoint(id, endpoint));
    }

    /// Agrees new session keys on an epoch, before they are due; for home, which is the end that dials.
    pub fn renew(&self, id: EpochId) {
        self.command(thread::Command::Renew(id));
    }

    /// Probes the path up to this inner length, octets; 1380 until it is called. For home, which is the end that probes.
    pub fn set_ceiling(&self, octets: u16) {
        self.command(thread::Command::SetCeiling(octets));
    }

    /// What the tunnel has done so far.
    pub fn status(&self) -> TunnelStatus {
        self.status.borrow().clone()
    }

    /// The status as it changes.
    pub fn watch_status(&self) -> watch::Receiver<TunnelStatus> {
        self.status.clone()
    }

    /// Completes when the tunnel's thread has ended: after a shutdown, or by a fault of its own.
    pub fn ended(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut status = self.status.clone();
        async move { while status.changed().await.is_ok() {} }
    }

    /// The UDP port in use.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Stops the thread and waits for it; the interface is gone on return.
    pub fn shutdown(self) {}

    fn command(&self, command: thread::Command) {
        // The thread ends only when it is told to, so a closed channel means that this tunnel is being dropped.
        if self.commands.send(command).is_ok() {
            let _ = rustix::io::write(&*self.wake, &1u64.to_ne_bytes());
        }
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        self.command(thread::Command::Shutdown);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
