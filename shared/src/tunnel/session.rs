//! A session: one `Tunn` of boringtun, and what the epoch must know beside it.
//!
//! In: datagrams that carry one of the session's receiver indices, inner packets to seal. Out: what a datagram held, and
//! datagrams to send. Refused: what does not authenticate, and replays.
//!
//! Home has one session an epoch; it dials, and renews its keys inside. The edge makes a session of its own for every
//! initiation that it answers (see `candidate`).

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use boringtun::noise::errors::WireGuardError;
use boringtun::noise::rate_limiter::RateLimiter;
use boringtun::noise::{Tunn, TunnResult};

use super::EpochConfig;
use super::core::Outlet;
use super::ends::Ends;

/// WireGuard's message types (whitepaper §5.4): the first four octets, little-endian.
pub const INITIATION: u32 = 1;
/// The answer to an initiation.
pub const RESPONSE: u32 = 2;
/// Asks an initiator to prove its address.
pub const COOKIE_REPLY: u32 = 3;
/// Transport data.
pub const DATA: u32 = 4;

/// What sealing adds: a header of 16 octets and a tag of 16 (whitepaper §5.4.6).
pub const OVERHEAD_OCTETS: usize = 32;
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

/// The receiver index of a message that has one (whitepaper §5.4.3, §5.4.6, §5.4.7).
pub fn receiver(datagram: &[u8]) -> Option<u32> {
    match message_type(datagram)? {
        RESPONSE => word(datagram, 8),
        COOKIE_REPLY | DATA => word(datagram, 4),
        _ => None,
    }
}

/// The octets of mac1 in an initiation (whitepaper §5.4.2).
const MAC1: std::ops::Range<usize> = 116..132;

/// Recognises an initiation that comes again from where it came from. From elsewhere it is answered again: otherwise
/// somebody who overhears home, and is faster, could take the answer away from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint {
    from: SocketAddr,
    mac1: [u8; 16],
}

impl Fingerprint {
    /// The fingerprint of an initiation; `None` if it is too short for one.
    pub fn new(from: SocketAddr, initiation: &[u8]) -> Option<Self> {
        Some(Self { from, mac1: initiation.get(MAC1)?.try_into().ok()? })
    }
}

/// What a datagram held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opened {
    /// An inner packet: the first `octets` of the outlet's room.
    Packet {
        /// Its length.
        octets: usize,
        /// Its inner source address.
        source: IpAddr,
    },
    /// An empty transport packet.
    Keepalive,
    /// A message to send back: the first `octets` of the scratch buffer.
    Reply {
        /// Its length.
        octets: usize,
        /// Its type.
        kind: Option<u32>,
    },
    /// A cookie.
    Cookie,
    /// Nothing authentic, or a replay.
    Rejected,
    /// Its mac1 belongs to another static key.
    NotOurs,
}

/// One `Tunn` at work.
pub struct Session {
    /// The upper 24 bits of all its receiver indices.
    pub index: u32,
    /// Names the run of the program at the other end: the upper 24 bits of its indices, drawn when it started. Known where
    /// the peer dialled.
    pub run: Option<u32>,
    /// Where the peer was last heard, and at which address of ours, or where it is expected.
    pub endpoint: Option<Ends>,
    /// When the last authenticated packet came.
    pub last_received: Option<Instant>,
    /// The greatest of the edge's challenges that was sent on this session (see `candidate`); 0 none yet.
    pub challenged: u64,
    /// The greatest of those that the peer has answered; 0 none yet.
    pub answered: u64,
    tunn: Tunn,
    initiation: Option<Fingerprint>,
    has_queued: bool,
}

impl Session {
    /// A session without keys; `keepalive` in seconds.
    pub fn new(config: &EpochConfig, index: u32, keepalive: Option<u16>, limiter: &Arc<RateLimiter>) -> Self {
        let tunn = Tunn::new(
            config.private_key.secret(),
            config.peer.point(),
            Some(config.preshared_key.octets()),
            keepalive,
            index,
            Some(Arc::clone(limiter)),
        );
        Self {
            index,
            run: None,
            endpoint: config.endpoint.map(Ends::from),
            last_received: None,
            challenged: 0,
            answered: 0,
            tunn,
            initiation: None,
            has_queued: false,
        }
    }

    /// A session for one initiation, which came from `from` and has passed the gate; with the response to it.
    /// `None` where it does not authenticate.
    pub fn answering<'a>(
        config: &EpochConfig,
        index: u32,
        limiter: &Arc<RateLimiter>,
        (from, initiation): (Ends, &[u8]),
        scratch: &'a mut [u8],
    ) -> Option<(Self, &'a [u8])> {
        let mut session = Self::new(config, index, None, limiter);
        session.run = word(initiation, 4).map(|index| index >> 8);
        session.endpoint = Some(from);
        session.initiation = Fingerprint::new(from.peer, initiation);
        match session.tunn.decapsulate(Some(from.peer.ip()), initiation, scratch) {
            TunnResult::WriteToNetwork(response) => Some((session, response)),
            refused => {
                tracing::trace!(epoch = config.id.0, ?refused, "initiation rejected");
                None
            }
        }
    }

    /// Opens a datagram: transport data into the outlet's room, what a handshake message gives into the scratch buffer.
    pub fn open(&mut self, from: Ends, datagram: &[u8], scratch: &mut [u8], out: &mut impl Outlet) -> Opened {
        let is_data = message_type(datagram) == Some(DATA);
        let room = if is_data { out.room(datagram.len()) } else { scratch };
        match self.tunn.decapsulate(Some(from.peer.ip()), datagram, room) {
            TunnResult::WriteToTunnelV4(packet, source) => {
                Opened::Packet { octets: packet.len(), source: source.into() }
            }
            TunnResult::WriteToTunnelV6(packet, source) => {
                Opened::Packet { octets: packet.len(), source: source.into() }
            }
            TunnResult::WriteToNetwork(reply) => {
                Opened::Reply { octets: reply.len(), kind: message_type(reply) }
            }
            TunnResult::Done if is_data => Opened::Keepalive,
            TunnResult::Done => Opened::Cookie,
            TunnResult::Err(WireGuardError::InvalidMac) => Opened::NotOurs,
            TunnResult::Err(error) => {
                tracing::trace!(?error, "datagram rejected");
                Opened::Rejected
            }
        }
    }

    /// Seals an inner packet into the outlet's slot; gives the datagram's length and type, or nothing where the packet is
    /// queued.
    pub fn seal(&mut self, packet: &[u8], out: &mut impl Outlet) -> Option<(usize, Option<u32>)> {
        let slot = out.slot((packet.len() + OVERHEAD_OCTETS).max(INITIATION_OCTETS));
        match self.tunn.encapsulate(packet, slot) {
            TunnResult::WriteToNetwork(datagram) => {
                let kind = message_type(datagram);
                self.has_queued |= kind != Some(DATA);
                Some((datagram.len(), kind))
            }
            TunnResult::Err(error) => {
                tracing::debug!(?error, "cannot seal a packet");
                None
            }
            TunnResult::Done | TunnResult::WriteToTunnelV4(..) | TunnResult::WriteToTunnelV6(..) => {
                self.has_queued = true;
                None
            }
        }
    }

    /// The next datagram of those that waited for the keys.
    pub fn next_queued<'a>(&mut self, scratch: &'a mut [u8]) -> Option<&'a [u8]> {
        if !self.has_queued {
            return None;
        }
        match self.tunn.decapsulate(None, &[], scratch) {
            TunnResult::WriteToNetwork(datagram) => Some(datagram),
            _ => {
                self.has_queued = false;
                None
            }
        }
    }

    /// The message that time asks for: a keepalive, or an initiation that renews the keys.
    pub fn handle_timeout<'a>(&mut self, scratch: &'a mut [u8]) -> Option<&'a [u8]> {
        match self.tunn.update_timers(scratch) {
            TunnResult::WriteToNetwork(datagram) => Some(datagram),
            _ => None,
        }
    }

    /// A new initiation, also where one is under way.
    pub fn dial<'a>(&mut self, scratch: &'a mut [u8]) -> Option<&'a [u8]> {
        match self.tunn.format_handshake_initiation(scratch, true) {
            TunnResult::WriteToNetwork(initiation) => Some(initiation),
            _ => None,
        }
    }

    /// Whether packets can be sealed at once.
    pub fn has_keys(&self) -> bool {
        self.tunn.time_since_last_handshake().is_some()
    }

    /// How long ago the keys were agreed.
    pub fn handshake_age(&self) -> Option<Duration> {
        self.tunn.time_since_last_handshake()
    }

    /// Whether this session answers that initiation.
    pub fn answers(&self, initiation: Fingerprint) -> bool {
        self.initiation == Some(initiation)
    }

    /// The address that the initiation came from, for a session that answers one.
    pub fn initiator(&self) -> Option<IpAddr> {
        self.initiation.map(|initiation| initiation.from.ip())
    }

    /// Whether another session is the same home's: of the same run of the program, or of another run at the same endpoint.
    /// What an initiation says of the run is known to be true once a transport packet has come, since only the answer to
    /// that index leads there.
    pub fn is_same_home(&self, other: &Session) -> bool {
        (self.run.is_some() && self.run == other.run)
            || (self.endpoint.is_some() && self.peer_address() == other.peer_address())
    }

    /// The peer's address.
    pub fn peer_address(&self) -> Option<SocketAddr> {
        self.endpoint.map(|ends| ends.peer)
    }
}
