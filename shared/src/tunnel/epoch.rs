//! One epoch: the session that carries packets, with the checks that `Tunn` leaves to its caller.
//!
//! In: datagrams that may be meant for this epoch, packets for the peer, the passing of time. Out: datagrams, inner packets
//! for the device, beats. Refused: inner sources that are not the peer's, what the epoch does not admit, and all that a
//! session says which is not the current one.
//!
//! The two roles differ:
//! * The edge's endpoint follows the last authenticated packet, and only that: an initiation can be replayed, so it does
//!   not count. The edge never dials, so that nothing is sent to an address that home has left. Its current session takes
//!   no initiation: `candidate` holds those that were answered, and `edge` says which one comes next.
//! * Home dials for ever, also where `Tunn` has given up, and keeps to the address that it dials: the edge does not roam,
//!   and an address that a router made up on the way back would be a trap. `home` dials, and knows what the edge thinks of
//!   this home.
mod candidate;
mod edge;
mod home;

use std::net::{IpAddr, SocketAddr};
use std::time::{Instant, SystemTime};

use ipnet::IpNet;

use super::beats::Beats;
use super::core::Outlet;
use super::ends::Ends;
use super::gate::{Gate, Verdict};
use super::heartbeat::{Kind, LONGEST_OCTETS, MESSAGE_OCTETS, Message, fenced_by};
use super::path::{BASE, START};
use super::roaming::Roaming;
use super::session::{DATA, INITIATION, OVERHEAD_OCTETS, Opened, Session, message_type, receiver};
use super::{EpochConfig, EpochStatus, PublicKey, Role};
use candidate::Candidates;
use edge::Previous;
use home::Standing;

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
    /// It authenticated, but comes from a home beside the current one.
    Fenced,
    /// Its mac1 belongs to another static key.
    NotOurs,
}

/// An epoch at work.
pub struct Epoch {
    /// As it was configured.
    pub config: EpochConfig,
    public_key: PublicKey,
    /// The upper 16 bits of all receiver indices of this epoch.
    pub number: u16,
    role: Role,
    /// Where all handshake messages pass first.
    gate: Gate,
    next_session: u8,
    current: Session,
    previous: Option<Previous>,
    candidates: Candidates,
    standing: Standing,
    beats: Beats,
    roaming: Roaming,
    /// Whether packets longer than any path must take were sent since the last beat.
    has_sent_long: bool,
    /// When the first packet was sent after the latest one that came.
    unanswered: Option<Instant>,
    last_attempt: Option<Instant>,
    /// Initiations since the peer was heard.
    attempts: u32,
    /// When something other than a heartbeat passed, either way.
    last_carried: Option<Instant>,
    received_octets: u64,
    sent_octets: u64,
    /// Handshakes that this end began and the peer answered.
    handshakes: u64,
}

impl Epoch {
    /// Makes an epoch. `number` must differ between the epochs of a core; `first_session` and it together should be
    /// random at each start, since they tell one run of home from another.
    pub fn new(config: EpochConfig, role: Role, number: u16, first_session: u8) -> Self {
        let public_key = config.private_key.public();
        let gate = Gate::new(&public_key.point());
        let keepalive = match role {
            Role::Home => Some(home::KEEPALIVE_SECONDS),
            Role::Edge => None,
        };
        let index = session_index(number, first_session);
        Self {
            current: Session::new(&config, index, keepalive, &gate.open()),
            config,
            public_key,
            number,
            role,
            gate,
            next_session: first_session,
            previous: None,
            candidates: Candidates::default(),
            standing: Standing::default(),
            beats: Beats::new(role, START),
            roaming: Roaming::default(),
            has_sent_long: false,
            unanswered: None,
            last_attempt: None,
            attempts: 0,
            last_carried: None,
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

    /// Whether octets passed both ways lately. Where the peer knows no beats it only has to be heard; home also has to be
    /// the one that the edge admits.
    pub fn is_alive(&self, now: Instant) -> bool {
        let is_admitted = self.role == Role::Edge || self.standing.is_admitted(now);
        self.is_heard(now) && is_admitted && self.beats.is_alive(now).unwrap_or(true)
    }

    fn is_heard(&self, now: Instant) -> bool {
        let patience = self.standing.patience();
        self.current.last_received.is_some_and(|heard| now.saturating_duration_since(heard) < patience)
    }

    /// The longest inner packet to be sent, octets.
    pub fn limit(&self) -> u16 {
        self.beats.limit()
    }

    /// Begins with what another epoch knows of the path that both share.
    pub fn inherit_path(&mut self, other: &Epoch) {
        self.beats = other.beats.on_the_same_path();
    }

    /// Takes a datagram that may be meant for this epoch.
    pub fn receive(
        &mut self,
        from: Ends,
        datagram: &[u8],
        scratch: &mut [u8],
        now: Instant,
        out: &mut impl Outlet,
    ) -> Received {
        let kind = message_type(datagram);
        if kind == Some(INITIATION)
            && let Some(halted) = self.halt(from, datagram, scratch, now, out)
        {
            return halted;
        }
        match self.role {
            Role::Edge if kind == Some(INITIATION) => self.answer(from, datagram, scratch, now, out),
            Role::Edge => match receiver(datagram).map(|index| index >> 8) {
                Some(index) if index != self.current.index => {
                    self.receive_beside(index, (from, datagram), scratch, now, out)
                }
                _ => self.receive_current(from, datagram, scratch, now, out),
            },
            Role::Home => self.receive_current(from, datagram, scratch, now, out),
        }
    }

    /// What becomes of an initiation that does not pass the gate. A response needs none: it costs nothing unless it answers
    /// the initiation that is under way, and the edge, which gives home's responses, takes no cookies.
    fn halt(
        &mut self,
        from: Ends,
        datagram: &[u8],
        scratch: &mut [u8],
        now: Instant,
        out: &mut impl Outlet,
    ) -> Option<Received> {
        match self.gate.admit(from.peer.ip(), datagram, now, scratch) {
            Verdict::Pass => None,
            Verdict::Reply(octets) => {
                out.send(from, scratch.get(..octets).unwrap_or_default());
                Some(Received::Authentic)
            }
            Verdict::NotOurs => Some(Received::NotOurs),
            Verdict::Refused => Some(Received::Rejected),
        }
    }

    fn receive_current(
        &mut self,
        from: Ends,
        datagram: &[u8],
        scratch: &mut [u8],
        now: Instant,
        out: &mut impl Outlet,
    ) -> Received {
        let received = match self.current.open(from, datagram, scratch, out) {
            Opened::Packet { octets, source } => {
                self.heard(from, now);
                self.take(source, octets, now, out)
            }
            Opened::Keepalive => self.heard(from, now),
            Opened::Reply { octets, kind } => {
                out.send(from, scratch.get(..octets).unwrap_or_default());
                // Only a response that has been opened makes a transport packet; an initiation is answered by a
                // response and proves nothing about its sender's address, a cookie reply nothing at all.
                if kind == Some(DATA) { self.connected(from, now, out) } else { Received::Authentic }
            }
            Opened::Cookie => Received::Authentic,
            Opened::Rejected => Received::Rejected,
            Opened::NotOurs => Received::NotOurs,
        };
        if received == Received::Authentic && message_type(datagram) != Some(INITIATION) {
            self.flush(scratch, out);
        }
        received
    }

    /// Notes an authenticated packet: the peer is alive and is where it came from.
    fn heard(&mut self, from: Ends, now: Instant) -> Received {
        if self.role == Role::Edge && self.current.endpoint != Some(from) {
            self.current.endpoint = Some(from);
        }
        self.current.last_received = Some(now);
        (self.unanswered, self.attempts) = (None, 0);
        Received::Authentic
    }

    /// Takes the inner packet of the current home, or of the edge, that lies in the outlet's room.
    fn take(&mut self, source: IpAddr, octets: usize, now: Instant, out: &mut impl Outlet) -> Received {
        if self.prefix_of(source).is_none() {
            return Received::Spoofed;
        }
        self.received_octets += octets as u64;
        let packet = &*out.room(octets);
        if let Some(message) = Message::decode(packet, self.config.heartbeat) {
            self.take_beat(&message, octets, now, out);
        } else if self.config.admission.admits(packet) {
            self.last_carried = Some(now);
            out.deliver(octets);
        } else {
            return Received::NotAdmitted;
        }
        Received::Authentic
    }

    fn take_beat(&mut self, message: &Message, octets: usize, now: Instant, out: &mut impl Outlet) {
        match (self.role, message.kind) {
            (Role::Home, Kind::Answer) => self.answered(),
            (Role::Home, Kind::Fenced) => self.told_of(fenced_by(out.room(octets)), now),
            (Role::Edge, Kind::Answer) => self.vouched(message.sequence),
            (Role::Edge, Kind::Fenced) | (_, Kind::Beat) => {}
        }
        let octets = octets as u16;
        if let Some(answer) = self.beats.receive(message, octets, self.has_sent_long, now) {
            self.has_sent_long = false;
            self.send_beat(&answer, octets, out);
        }
    }

    /// Sends a beat or an answer, a long one in one piece or not at all: it shall tell whether it can. Tells whether the
    /// kernel took it.
    fn send_beat(&mut self, message: &Message, octets: u16, out: &mut impl Outlet) -> bool {
        let mut room = [0; LONGEST_OCTETS as usize];
        let (packet, _) = room.split_at_mut(octets.clamp(MESSAGE_OCTETS, LONGEST_OCTETS).into());
        message.write(packet, self.config.heartbeat);
        let Some((to, length)) = self.seal(packet, out) else { return true };
        if octets > MESSAGE_OCTETS {
            return out.send_slot_whole(to, length);
        }
        out.send_slot(to, length);
        true
    }

    /// Sends a packet of the TUN device.
    pub fn send_packet(&mut self, packet: &[u8], now: Instant, out: &mut impl Outlet) {
        self.last_carried = Some(now);
        self.unanswered = self.unanswered.or(Some(now));
        self.has_sent_long |= packet.len() > BASE.into();
        if let Some((to, octets)) = self.seal(packet, out) {
            out.send_slot(to, octets);
        }
    }

    /// Seals an inner packet into the outlet's slot, or queues it and starts a handshake where there is no session. Gives
    /// what the slot holds and where it shall go.
    fn seal(&mut self, packet: &[u8], out: &mut impl Outlet) -> Option<(Ends, usize)> {
        let (octets, kind) = self.current.seal(packet, out)?;
        if kind == Some(DATA) {
            self.sent_octets += packet.len() as u64;
        }
        self.destination(kind).map(|to| (to, octets))
    }

    /// Sends what was queued while there was no session.
    fn flush(&mut self, scratch: &mut [u8], out: &mut impl Outlet) {
        let Some(to) = self.current.endpoint else { return };
        while let Some(datagram) = self.current.next_queued(scratch) {
            out.send(to, datagram);
        }
    }

    /// Does what time asks for: rekeying, keepalives, heartbeats, and new handshakes with a dead peer.
    pub fn handle_timeout(&mut self, scratch: &mut [u8], now: Instant, out: &mut impl Outlet) {
        if let Some(datagram) = self.current.handle_timeout(scratch) {
            let kind = message_type(datagram);
            if let Some(to) = self.destination(kind) {
                out.send(to, datagram);
            }
        }
        self.note_endpoint(now);
        match self.role {
            Role::Home => self.keep_connected(scratch, now, out),
            Role::Edge => self.judge(now, out),
        }
    }

    /// Notes where the peer is, and logs home's moves: home dials, so where the edge is it knows.
    fn note_endpoint(&mut self, now: Instant) {
        let Some(endpoint) = self.current.peer_address() else { return };
        if let Some(moves) = self.roaming.note(endpoint, now)
            && self.role == Role::Edge
        {
            tracing::info!(epoch = self.config.id.0, %endpoint, moves, "home is at a new endpoint");
        }
    }

    /// Where a message of this type goes: the edge never dials, and neither does a fenced home that has lost the edge.
    fn destination(&self, kind: Option<u32>) -> Option<Ends> {
        let may_dial = self.role == Role::Home && !self.standing.is_quiet();
        if kind == Some(INITIATION) && !may_dial { None } else { self.current.endpoint }
    }

    /// Sends to another address from now on, and tries it at once where the peer is not heard.
    pub fn set_endpoint(&mut self, endpoint: SocketAddr) {
        if self.current.peer_address() != Some(endpoint) {
            self.current.endpoint = Some(endpoint.into());
            self.last_attempt = None;
            self.forget_path();
        }
    }

    /// What the epoch has done so far.
    pub fn status(&self, now: Instant, wall: SystemTime) -> EpochStatus {
        let heard = self.current.last_received;
        let report = self.beats.report();
        let path_mtu = |to| Some(self.beats.confirmed_limit()? + outer_octets(to));
        EpochStatus {
            id: self.config.id,
            local_key: Some(self.public_key),
            alive: self.is_alive(now),
            endpoint: self.current.peer_address(),
            last_received: heard.map(|heard| now.saturating_duration_since(heard)),
            last_carried: self.last_carried.map(|carried| now.saturating_duration_since(carried)),
            handshake_age: self.current.handshake_age(),
            round_trip: report.round_trip,
            loss: report.loss.share(),
            path_mtu: self.current.peer_address().and_then(path_mtu),
            received_octets: self.received_octets,
            sent_octets: self.sent_octets,
            handshakes: self.handshakes,
            fenced: match self.role {
                Role::Home => self.standing.fenced(now),
                Role::Edge => self.fenced(now),
            },
            roamed: self.roaming.history(now, wall),
        }
    }
}

/// What stands around an inner packet on the way to an address: IP, UDP and WireGuard.
fn outer_octets(to: SocketAddr) -> u16 {
    let ip = if to.is_ipv4() { 20 } else { 40 };
    ip + 8 + OVERHEAD_OCTETS as u16
}

/// The upper 24 bits of a session's receiver indices.
fn session_index(number: u16, session: u8) -> u32 {
    u32::from(number) << 8 | u32::from(session)
}
