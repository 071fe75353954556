//! The tunnel's core: octets in, octets out, no sockets.
//!
//! In: datagrams from the internet, packets from the TUN device, the passing of time, the wanted epochs. Out, through an
//! [`Outlet`]: datagrams to send and packets to deliver. Refused and counted: what no epoch can authenticate, replays,
//! inner sources that are not the peer's, packets that their epoch does not admit, packets that no epoch leads to.
//!
//! Several epochs live side by side on one port. A handshake initiation goes to the epoch under whose static key its mac1
//! verifies; every other message carries a receiver index whose upper 16 bits name the epoch. A packet for the peer goes
//! by the epoch with the longest matching prefix; among equals by the newest on which the peer is heard.
//!
//! Nothing is allocated per packet: packets are sealed and opened into the outlet's own room, from where they leave. An
//! [`Outlet`] gathers what it is given and passes it on in batches.

use std::net::{IpAddr, SocketAddr};
use std::time::{Instant, SystemTime};

use boringtun::noise::Tunn;
use serde::{Deserialize, Serialize};

use super::ends::Ends;
use super::epoch::{Epoch, Received};
use super::path::START;
use super::session::{INITIATION, message_type, receiver};
use super::{EpochConfig, EpochId, EpochStatus, Role};

/// The largest packet with its overhead: 65,535 octets and 32 for WireGuard, rounded up.
pub const BUFFER_OCTETS: usize = 66 * 1024;

/// Where the core's output goes. The slices are valid during the call only.
pub trait Outlet {
    /// Room for one datagram of at most `octets` (up to [`BUFFER_OCTETS`]), so that a packet is sealed into the place that
    /// it is sent from. The next call is [`Outlet::send_slot`], or the room is given up.
    fn slot(&mut self, octets: usize) -> &mut [u8];

    /// Sends the first `octets` of the slot over the internet.
    fn send_slot(&mut self, to: Ends, octets: usize);

    /// Sends the first `octets` of the slot in one piece, by a path that may not fragment them; tells whether the kernel
    /// took them.
    fn send_slot_whole(&mut self, to: Ends, octets: usize) -> bool {
        self.send_slot(to, octets);
        true
    }

    /// Room for one inner packet of at most `octets` (up to 65,536), so that a datagram is opened into the place that its
    /// packet is delivered from. What is written there stays until the next [`Outlet::deliver`].
    fn room(&mut self, octets: usize) -> &mut [u8];

    /// Delivers the first `octets` of the room to the TUN device.
    fn deliver(&mut self, octets: usize);

    /// Sends a datagram that lies elsewhere.
    fn send(&mut self, to: Ends, datagram: &[u8]) {
        if let Some(room) = self.slot(datagram.len()).get_mut(..datagram.len()) {
            room.copy_from_slice(datagram);
            self.send_slot(to, datagram.len());
        }
    }
}

/// What the core has refused.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// Datagrams that no epoch authenticated, replays among them.
    pub datagrams: u64,
    /// Authentic packets with an inner source address that is not the peer's.
    pub spoofed: u64,
    /// Authentic packets to something that the epoch does not admit.
    #[serde(default)]
    pub not_admitted: u64,
    /// Authentic packets of a home beside the current one, which holds the same keys.
    #[serde(default)]
    pub fenced: u64,
    /// Packets from the TUN device for an address that no epoch leads to.
    pub unroutable: u64,
}

/// All epochs of one tunnel.
pub struct Core {
    role: Role,
    epochs: Vec<Epoch>,
    next_number: u16,
    first_session: u8,
    /// The longest inner packet that is ever tried, octets.
    ceiling: u16,
    scratch: Box<[u8]>,
    refused: Refused,
}

impl Core {
    /// Makes a core without epochs. `run` should be random: its lower 24 bits tell this run of the program from another.
    pub fn new(role: Role, run: u32) -> Self {
        let scratch = vec![0; BUFFER_OCTETS].into_boxed_slice();
        let [_, number @ .., first_session] = run.to_be_bytes();
        Self {
            role,
            epochs: Vec::new(),
            next_number: u16::from_be_bytes(number),
            first_session,
            ceiling: START,
            scratch,
            refused: Refused::default(),
        }
    }

    /// Keeps exactly these epochs: unchanged ones live on with their sessions, others go, new ones start.
    pub fn set_epochs(&mut self, wanted: Vec<EpochConfig>) {
        self.epochs.retain(|epoch| wanted.iter().any(|config| is_same(config, &epoch.config)));
        for config in wanted {
            if !self.epochs.iter().any(|epoch| is_same(&config, &epoch.config)) {
                let number = self.free_number();
                let mut epoch = Epoch::new(config, self.role, number, self.first_session);
                epoch.set_ceiling(self.ceiling);
                if let Some(other) = self.epochs.first() {
                    epoch.inherit_path(other);
                }
                self.epochs.push(epoch);
            }
        }
        self.epochs.sort_by_key(|epoch| std::cmp::Reverse(epoch.config.id));
    }

    fn free_number(&mut self) -> u16 {
        self.next_number = self.next_number.wrapping_add(1);
        self.next_number
    }

    /// Sends an epoch's datagrams to another address from now on, until the peer is heard from yet another.
    pub fn set_endpoint(&mut self, id: EpochId, endpoint: SocketAddr) {
        for epoch in self.epochs.iter_mut().filter(|epoch| epoch.config.id == id) {
            epoch.set_endpoint(endpoint);
        }
    }

    /// Tries inner packets up to this length from now on, octets.
    pub fn set_ceiling(&mut self, octets: u16) {
        self.ceiling = octets;
        self.epochs.iter_mut().for_each(|epoch| epoch.set_ceiling(octets));
    }

    /// Takes the kernel's word that the way to an address passes no more than these octets, headers included.
    pub fn hint(&mut self, to: SocketAddr, octets: u16) {
        self.epochs.iter_mut().for_each(|epoch| epoch.hint(to, octets));
    }

    /// The longest inner packet that the path takes in one piece, octets; `None` while no epoch is alive.
    pub fn limit(&self, now: Instant) -> Option<u16> {
        self.epochs.iter().find(|epoch| epoch.is_alive(now)).map(Epoch::limit)
    }

    /// Takes a datagram from the internet.
    pub fn handle_datagram(
        &mut self,
        from: impl Into<Ends>,
        datagram: &[u8],
        now: Instant,
        out: &mut impl Outlet,
    ) {
        let from = from.into();
        let received = match message_type(datagram) {
            Some(INITIATION) => self.receive_initiation(from, datagram, now, out),
            _ => self.receive_indexed(from, datagram, now, out),
        };
        match received {
            Received::Authentic => {}
            Received::Spoofed => self.refused.spoofed += 1,
            Received::NotAdmitted => self.refused.not_admitted += 1,
            Received::Fenced => self.refused.fenced += 1,
            Received::Rejected | Received::NotOurs => self.refused.datagrams += 1,
        }
    }

    /// mac1 is the first thing that boringtun checks, so a wrong epoch costs one keyed hash.
    fn receive_initiation(
        &mut self,
        from: Ends,
        datagram: &[u8],
        now: Instant,
        out: &mut impl Outlet,
    ) -> Received {
        for epoch in &mut self.epochs {
            match epoch.receive(from, datagram, &mut self.scratch, now, out) {
                Received::NotOurs => {}
                received => return received,
            }
        }
        Received::NotOurs
    }

    fn receive_indexed(
        &mut self,
        from: Ends,
        datagram: &[u8],
        now: Instant,
        out: &mut impl Outlet,
    ) -> Received {
        let Some(index) = receiver(datagram) else { return Received::NotOurs };
        match self.epochs.iter_mut().find(|epoch| u32::from(epoch.number) == index >> 16) {
            Some(epoch) => epoch.receive(from, datagram, &mut self.scratch, now, out),
            None => Received::NotOurs,
        }
    }

    /// Takes a packet from the TUN device.
    pub fn handle_packet(&mut self, packet: &[u8], now: Instant, out: &mut impl Outlet) {
        if let Some(epoch) = self.route(packet, now) {
            epoch.send_packet(packet, now, out);
        }
    }

    /// The epoch that a packet or super-packet from the TUN device takes; one that none leads to is refused.
    pub fn route(&mut self, packet: &[u8], now: Instant) -> Option<&mut Epoch> {
        let epoch = Tunn::dst_address(packet).and_then(|to| route(&mut self.epochs, to, now));
        if epoch.is_none() {
            self.refused.unroutable += 1;
        }
        epoch
    }

    /// Agrees new session keys on an epoch, before they are due.
    pub fn renew(&mut self, id: EpochId, out: &mut impl Outlet) {
        for epoch in self.epochs.iter_mut().filter(|epoch| epoch.config.id == id) {
            epoch.renew(&mut self.scratch, out);
        }
    }

    /// Does what time asks for; call it every 100 to 250 ms.
    pub fn handle_timeout(&mut self, now: Instant, out: &mut impl Outlet) {
        for epoch in &mut self.epochs {
            epoch.handle_timeout(&mut self.scratch, now, out);
        }
    }

    /// What the epochs have done so far, newest first.
    pub fn status(&self, now: Instant, wall: SystemTime) -> Vec<EpochStatus> {
        self.epochs.iter().map(|epoch| epoch.status(now, wall)).collect()
    }

    /// What was refused so far.
    pub fn refused(&self) -> Refused {
        self.refused
    }
}

/// The epoch whose allowed IPs hold the address most closely; among equals one that is alive, then the newest.
fn route(epochs: &mut [Epoch], to: IpAddr, now: Instant) -> Option<&mut Epoch> {
    if to.is_multicast() {
        return None;
    }
    let candidates = epochs.iter_mut().filter_map(|epoch| Some((epoch.prefix_of(to)?, epoch)));
    let best = candidates.max_by_key(|(prefix, epoch)| (*prefix, epoch.is_alive(now), epoch.config.id));
    best.map(|(_, epoch)| epoch)
}

/// Whether a configuration asks for the epoch that exists; its first endpoint does not matter.
fn is_same(wanted: &EpochConfig, existing: &EpochConfig) -> bool {
    EpochConfig { endpoint: existing.endpoint, ..wanted.clone() } == *existing
}
