//! One epoch: a `Tunn` of boringtun with the checks that it leaves to its caller.
//!
//! What this adds to `noise::Tunn`: inner sources and destinations are checked after decryption; a dead
//! peer is noticed by the heartbeat; and the two roles:
//! * The edge's endpoint follows the last authenticated packet, and only that: an initiation can be replayed, so it does
//!   not count. The edge never dials, so that nothing is sent to an address that home has left.
//! * Home dials for ever, also where `Tunn` has given up, and keeps to the address that it dials: the edge does not roam,
//!   and an address that a router made up on the way back would be a trap.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use boringtun::noise::errors::WireGuardError;
use boringtun::noise::rate_limiter::RateLimiter;
use boringtun::noise::{Tunn, TunnResult};
use ipnet::IpNet;

use super::core::Outlet;
use super::heartbeat::{self, DEAD_AFTER, Heartbeat, Kind};
use super::{EpochConfig, EpochStatus, Role};

/// Handshake messages answered a second before cookies are asked for (WireGuard's "under load").
const HANDSHAKES_PER_SECOND: u64 = 20;

/// Home's persistent keepalive, seconds; the heartbeat is faster, this holds while it is off.
const KEEPALIVE_SECONDS: u16 = 10;

/// How often a dead peer is sent a new handshake initiation.
const RETRY: Duration = Duration::from_secs(3);

/// WireGuard's message types (whitepaper §5.4): the first four octets, little-endian.
pub const INITIATION: u32 = 1;
/// The answer to an initiation.
pub const RESPONSE: u32 = 2;
/// Asks an initiator to prove its address.
pub const COOKIE_REPLY: u32 = 3;
/// Transport data.
pub const DATA: u32 = 4;

/// What sealing adds: a header of 16 octets and a tag of 16 (whitepaper §5.4.6).
const OVERHEAD_OCTETS: usize = 32;
/// The length of a handshake initiation (whitepaper §5.4.2).
const INITIATION_OCTETS: usize = 148;

/// The type of a WireGuard message.
pub fn message_type(datagram: &[u8]) -> Option<u32> {
    word(datagram, 0)
}

/// The 32-bit little-endian word at `offset`.
pub fn word(datagram: &[u8], offset: usize) -> Option<u32> {
    let octets = datagram.get(offset..offset.checked_add(4)?)?;
    octets.try_into().ok().map(u32::from_le_bytes)
}

/// What became of a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Received {
    /// It was meant for this epoch and was authentic.
    Authentic,
    /// It was meant for this epoch's key but did not authenticate, or was replayed.
    Rejected,
    /// It authenticated, but its inner source address is not the peer's.
    Spoofed,
    /// It authenticated, but wants to reach what this epoch does not admit.
    NotAdmitted,
    /// Its mac1 belongs to another static key.
    NotOurs,
}

/// An epoch at work.
pub struct Epoch {
    /// As it was configured.
    pub config: EpochConfig,
    /// The upper 24 bits of all receiver indices of this epoch.
    pub index: u32,
    role: Role,
    tunn: Tunn,
    limiter: Arc<RateLimiter>,
    limiter_reset: Option<Instant>,
    endpoint: Option<SocketAddr>,
    heartbeat: Heartbeat,
    last_received: Option<Instant>,
    /// When something other than a heartbeat passed, either way.
    last_carried: Option<Instant>,
    last_attempt: Option<Instant>,
    has_queued: bool,
    received_octets: u64,
    sent_octets: u64,
    /// Handshakes that this end began and the peer answered.
    handshakes: u64,
}

impl Epoch {
    /// Makes an epoch; `index` (24 bits) must differ between the epochs of a core.
    pub fn new(config: EpochConfig, role: Role, index: u32) -> Self {
        let public = boringtun::x25519::PublicKey::from(&config.private_key.secret());
        let limiter = Arc::new(RateLimiter::new(&public, HANDSHAKES_PER_SECOND));
        let keepalive = match role {
            Role::Home => Some(KEEPALIVE_SECONDS),
            Role::Edge => None,
        };
        let tunn = Tunn::new(
            config.private_key.secret(),
            config.peer.point(),
            Some(config.preshared_key.octets()),
            keepalive,
            index,
            Some(Arc::clone(&limiter)),
        );
        Self {
            endpoint: config.endpoint,
            config,
            index,
            role,
            tunn,
            limiter,
            limiter_reset: None,
            heartbeat: Heartbeat::default(),
            last_received: None,
            last_carried: None,
            last_attempt: None,
            has_queued: false,
            received_octets: 0,
            sent_octets: 0,
            handshakes: 0,
        }
    }

    /// The length of the longest of the peer's prefixes that hold an inner address; `None` if it is not the peer's.
    pub fn prefix_of(&self, address: IpAddr) -> Option<u8> {
        let holding = self.config.allowed_ips.iter().filter(|network| network.contains(&address));
        holding.map(IpNet::prefix_len).max()
    }

    /// Whether the peer was heard lately.
    pub fn is_alive(&self, now: Instant) -> bool {
        self.last_received.is_some_and(|heard| now.saturating_duration_since(heard) < DEAD_AFTER)
    }

    /// Takes a datagram that may be meant for this epoch.
    pub fn receive(
        &mut self,
        from: SocketAddr,
        datagram: &[u8],
        scratch: &mut [u8],
        now: Instant,
        out: &mut impl Outlet,
    ) -> Received {
        let received = match self.tunn.decapsulate(Some(from.ip()), datagram, scratch) {
            TunnResult::Done if message_type(datagram) == Some(DATA) => self.heard(from, now),
            TunnResult::Done => Received::Authentic,
            TunnResult::Err(WireGuardError::InvalidMac) => Received::NotOurs,
            TunnResult::Err(error) => {
                tracing::trace!(epoch = self.config.id.0, ?error, "datagram rejected");
                Received::Rejected
            }
            TunnResult::WriteToNetwork(reply) => {
                out.send(from, reply);
                // Only a response that has been opened makes a transport packet; an initiation is answered by a
                // response and proves nothing about its sender's address, a cookie reply nothing at all.
                if message_type(reply) == Some(DATA) {
                    self.handshakes += 1;
                    self.heard(from, now)
                } else {
                    Received::Authentic
                }
            }
            TunnResult::WriteToTunnelV4(packet, source) => {
                let length = packet.len();
                self.open(from, source.into(), scratch.get(..length).unwrap_or(&[]), now, out)
            }
            TunnResult::WriteToTunnelV6(packet, source) => {
                let length = packet.len();
                self.open(from, source.into(), scratch.get(..length).unwrap_or(&[]), now, out)
            }
        };
        if self.has_queued && received == Received::Authentic && message_type(datagram) != Some(INITIATION) {
            self.flush(scratch, out);
        }
        received
    }

    /// Notes an authenticated packet: the peer is alive and is where it came from.
    fn heard(&mut self, from: SocketAddr, now: Instant) -> Received {
        if self.role == Role::Edge && self.endpoint != Some(from) {
            tracing::info!(epoch = self.config.id.0, endpoint = %from, "home is at a new endpoint");
            self.endpoint = Some(from);
        }
        self.last_received = Some(now);
        Received::Authentic
    }

    fn open(
        &mut self,
        from: SocketAddr,
        source: IpAddr,
        packet: &[u8],
        now: Instant,
        out: &mut impl Outlet,
    ) -> Received {
        self.heard(from, now);
        if self.prefix_of(source).is_none() {
            return Received::Spoofed;
        }
        self.received_octets += packet.len() as u64;
        match heartbeat::decode(packet, self.config.heartbeat) {
            Some((Kind::Beat, sequence)) => self.send_heartbeat(Kind::Answer, sequence, out),
            Some((Kind::Answer, sequence)) => self.heartbeat.answered(sequence, now),
            None if self.config.admission.admits(packet) => {
                self.last_carried = Some(now);
                out.deliver(packet);
            }
            None => return Received::NotAdmitted,
        }
        Received::Authentic
    }

    fn send_heartbeat(&mut self, kind: Kind, sequence: u64, out: &mut impl Outlet) {
        self.send(&heartbeat::encode(kind, sequence, self.config.heartbeat), out);
    }

    /// Sends a packet of the TUN device.
    pub fn send_packet(&mut self, packet: &[u8], now: Instant, out: &mut impl Outlet) {
        self.last_carried = Some(now);
        self.send(packet, out);
    }

    /// Seals an inner packet and sends it, or queues it and starts a handshake where there is no session.
    fn send(&mut self, packet: &[u8], out: &mut impl Outlet) {
        let slot = out.slot((packet.len() + OVERHEAD_OCTETS).max(INITIATION_OCTETS));
        match self.tunn.encapsulate(packet, slot) {
            TunnResult::WriteToNetwork(datagram) => {
                let (octets, kind) = (datagram.len(), message_type(datagram));
                if kind == Some(DATA) {
                    self.sent_octets += packet.len() as u64;
                } else {
                    self.has_queued = true;
                }
                if let Some(to) = destination(self.role, self.endpoint, kind) {
                    out.send_slot(to, octets);
                }
            }
            TunnResult::Done => self.has_queued = true,
            TunnResult::Err(error) => {
                tracing::debug!(epoch = self.config.id.0, ?error, "cannot seal a packet")
            }
            TunnResult::WriteToTunnelV4(..) | TunnResult::WriteToTunnelV6(..) => {}
        }
    }

    /// Sends what was queued while there was no session.
    fn flush(&mut self, scratch: &mut [u8], out: &mut impl Outlet) {
        while let TunnResult::WriteToNetwork(datagram) = self.tunn.decapsulate(None, &[], scratch) {
            transmit(self.role, self.endpoint, datagram, out);
        }
        self.has_queued = false;
    }

    /// Does what time asks for: rekeying, keepalives, heartbeats, and new handshakes with a dead peer.
    pub fn handle_timeout(&mut self, scratch: &mut [u8], now: Instant, out: &mut impl Outlet) {
        if self
            .limiter_reset
            .is_none_or(|reset| now.saturating_duration_since(reset) >= Duration::from_secs(1))
        {
            self.limiter.reset_count();
            self.limiter_reset = Some(now);
        }
        if let TunnResult::WriteToNetwork(datagram) = self.tunn.update_timers(scratch) {
            transmit(self.role, self.endpoint, datagram, out);
        }
        match self.role {
            Role::Home => self.keep_connected(scratch, now, out),
            Role::Edge => {}
        }
    }

    fn keep_connected(&mut self, scratch: &mut [u8], now: Instant, out: &mut impl Outlet) {
        if self.tunn.time_since_last_handshake().is_some()
            && let Some(sequence) = self.heartbeat.due(now)
        {
            self.send_heartbeat(Kind::Beat, sequence, out);
        }
        if self.is_alive(now)
            || self.last_attempt.is_some_and(|last| now.saturating_duration_since(last) < RETRY)
        {
            return;
        }
        self.last_attempt = Some(now);
        if let TunnResult::WriteToNetwork(initiation) = self.tunn.format_handshake_initiation(scratch, true) {
            transmit(self.role, self.endpoint, initiation, out);
        }
    }

    /// Agrees new session keys with a peer that is heard, before they are due; the session goes on until then.
    pub fn renew(&mut self, scratch: &mut [u8], out: &mut impl Outlet) {
        if let TunnResult::WriteToNetwork(initiation) = self.tunn.format_handshake_initiation(scratch, true) {
            transmit(self.role, self.endpoint, initiation, out);
        }
    }

    /// Sends to another address from now on, and tries it at once where the peer is not heard.
    pub fn set_endpoint(&mut self, endpoint: SocketAddr) {
        if self.endpoint != Some(endpoint) {
            self.endpoint = Some(endpoint);
            self.last_attempt = None;
        }
    }

    /// What the epoch has done so far.
    pub fn status(&self, now: Instant) -> EpochStatus {
        EpochStatus {
            id: self.config.id,
            alive: self.is_alive(now),
            endpoint: self.endpoint,
            last_received: self.last_received.map(|heard| now.saturating_duration_since(heard)),
            last_carried: self.last_carried.map(|carried| now.saturating_duration_since(carried)),
            round_trip: self.heartbeat.round_trip(),
            received_octets: self.received_octets,
            sent_octets: self.sent_octets,
            handshakes: self.handshakes,
        }
    }
}

fn transmit(role: Role, endpoint: Option<SocketAddr>, datagram: &[u8], out: &mut impl Outlet) {
    if let Some(to) = destination(role, endpoint, message_type(datagram)) {
        out.send(to, datagram);
    }
}

/// Where a message of this type goes: the edge never dials.
fn destination(role: Role, endpoint: Option<SocketAddr>, kind: Option<u32>) -> Option<SocketAddr> {
    match (role, kind) {
        (Role::Edge, Some(INITIATION)) => None,
        (Role::Edge | Role::Home, _) => endpoint,
    }
}
