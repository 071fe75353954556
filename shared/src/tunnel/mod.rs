//! The WireGuard tunnel between edge and home.
//!
//! In: UDP datagrams from the internet and IP packets from a TUN device. Out: the same, the other way round. Refused:
//! everything that does not authenticate, is replayed, or carries an inner source address that its epoch does not own.
//!
//! | module | holds |
//! |---|---|
//! | [`keys`](self) | static and pre-shared keys |
mod keys;

use std::net::SocketAddr;
use std::time::Duration;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

pub use keys::{InvalidKey, NoRandomness, PresharedKey, PrivateKey, PublicKey};

/// Names an epoch: a pair of static keys and a pre-shared key. A greater number is newer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EpochId(pub u32);

impl EpochId {
    /// The throw-away epoch of enrolment; every real epoch is newer.
    pub const BOOTSTRAP: EpochId = EpochId(0);
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
    /// Our inner IPv4 address and the peer's: the ends of the heartbeat.
    pub heartbeat: HeartbeatAddresses,
}

/// The inner addresses between which heartbeats run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeartbeatAddresses {
    /// Ours.
    pub local: std::net::Ipv4Addr,
    /// The peer's, inside its allowed IPs.
    pub peer: std::net::Ipv4Addr,
}

/// What one epoch has done so far.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EpochStatus {
    /// Which epoch.
    pub id: EpochId,
    /// Whether the peer was heard within the last [`heartbeat`](self) limit.
    pub alive: bool,
    /// Where the peer was last heard from.
    pub endpoint: Option<SocketAddr>,
    /// How long ago the last authenticated packet came.
    pub last_received: Option<Duration>,
    /// Round trip of the last heartbeat, through both ends.
    pub round_trip: Option<Duration>,
    /// Inner octets received.
    pub received_octets: u64,
    /// Inner octets sent.
    pub sent_octets: u64,
}

/// Placeholder so that the types can be read early.
#[derive(Debug, thiserror::Error)]
#[error("tunnel")]
pub struct TunnelError;
