//! Puts consecutive segments of a TCP flow together into one super-packet for the device.
//!
//! A flow is held while its segments follow each other; several flows may interleave. It is given out when a segment does
//! not continue it (and then before that segment, so that no flow is reordered), when it is full, when its data is pushed
//! (PSH), when its place is needed, and at the end of each turn. A single segment is given out as it came.
//!
//! Held are only plain data segments: flags ACK or ACK and PSH, a payload, a right checksum. A segment continues a flow when
//! its headers are the same octets but for lengths, checksums, PSH, the sequence number, which must be the next, and
//! IPv4's identification, which must be the next too. So cutting the super-packet gives back exactly what came in.

use super::tcp::{ACK, CHECKSUM, Layout, MAX_HEADER_OCTETS, PSH};
use super::vnet::{Gso, UnfinishedChecksum, VnetHeader};

/// Flows held at once.
const FLOWS: usize = 8;

/// The largest IP packet.
const MAX_PACKET_OCTETS: usize = 65_535;

/// Takes packets, gives out packets and super-packets.
pub struct Coalescer {
    flows: [Flow; FLOWS],
    next: usize,
}

/// Consecutive segments; free when `segments` is zero.
struct Flow {
    buffer: Box<[u8]>,
    length: usize,
    layout: Layout,
    constant: [u8; MAX_HEADER_OCTETS],
    /// The payload of every segment but the last.
    octets: usize,
    segments: u16,
}

impl Coalescer {
    /// Makes a coalescer with all the memory that it will ever use.
    pub fn new() -> Self {
        Self { flows: std::array::from_fn(|_| Flow::new()), next: 0 }
    }

    /// Takes a packet; `deliver` gets what is complete by this.
    pub fn push(&mut self, packet: &[u8], mut deliver: impl FnMut(VnetHeader, &[u8])) {
        let Some(layout) = Layout::of(packet) else { return deliver(VnetHeader::default(), packet) };
        let held = self.flows.iter_mut().find(|flow| flow.is_of(layout, packet));
        let is_data = is_plain_data(layout, packet);
        match held {
            Some(flow) if is_data && flow.is_continued_by(layout, packet) => {
                flow.append(layout, packet, deliver);
            }
            Some(flow) => {
                flow.give_out(&mut deliver);
                flow.begin_or_pass(is_data, layout, packet, deliver);
            }
            None if is_data => self.place(&mut deliver).begin_or_pass(is_data, layout, packet, deliver),
            None => deliver(VnetHeader::default(), packet),
        }
    }

    /// A free place; where there is none, the places are cleared in turn.
    fn place(&mut self, deliver: impl FnMut(VnetHeader, &[u8])) -> &mut Flow {
        let free = self.flows.iter().position(|flow| flow.segments == 0);
        let place = free.unwrap_or_else(|| {
            self.next = (self.next + 1) % FLOWS;
            self.next
        });
        let flow = &mut self.flows[place];
        flow.give_out(deliver);
        flow
    }

    /// Gives out all that is held.
    pub fn flush(&mut self, mut deliver: impl FnMut(VnetHeader, &[u8])) {
        for flow in &mut self.flows {
            flow.give_out(&mut deliver);
        }
    }
}

/// Whether a packet is what a super-packet is made of.
fn is_plain_data(layout: Layout, packet: &[u8]) -> bool {
    layout.flags(packet) & !PSH == ACK && packet.len() > layout.payload && layout.verifies(packet)
}

impl Flow {
    fn new() -> Self {
        let buffer = vec![0; MAX_PACKET_OCTETS].into_boxed_slice();
        let layout = Layout { gso: Gso::TcpV4, tcp: 0, payload: 0 };
        Self { buffer, length: 0, layout, constant: [0; MAX_HEADER_OCTETS], octets: 0, segments: 0 }
    }

    fn packet(&self) -> &[u8] {
        self.buffer.get(..self.length).unwrap_or_default()
    }

    fn is_of(&self, layout: Layout, packet: &[u8]) -> bool {
        self.segments > 0
            && self.layout.gso == layout.gso
            && self.layout.flow(self.packet()) == layout.flow(packet)
    }

    fn is_continued_by(&self, layout: Layout, packet: &[u8]) -> bool {
        let held = self.packet();
        let sequence = self.layout.sequence(held).wrapping_add((self.length - self.layout.payload) as u32);
        let identification = match layout.gso {
            Gso::TcpV4 => self.layout.identification(held).wrapping_add(self.segments),
            Gso::TcpV6 => 0,
        };
        let payload = packet.len() - layout.payload;
        self.layout == layout
            && layout.sequence(packet) == sequence
            && layout.identification(packet) == identification
            && payload <= self.octets
            && self.length + payload <= MAX_PACKET_OCTETS
            && layout.constant_part(packet) == self.constant
    }

    fn append(&mut self, layout: Layout, packet: &[u8], deliver: impl FnMut(VnetHeader, &[u8])) {
        let payload = packet.get(layout.payload..).unwrap_or_default();
        if let Some(room) = self.buffer.get_mut(self.length..self.length + payload.len()) {
            room.copy_from_slice(payload);
            self.length += payload.len();
            self.segments += 1;
        }
        let flags = layout.flags(packet);
        layout.set_flags(&mut self.buffer, flags);
        // A shorter segment can only be the last.
        if flags & PSH != 0 || payload.len() < self.octets {
            self.give_out(deliver);
        }
    }

    /// Holds a data segment that may be continued; passes on any other packet.
    fn begin_or_pass(
        &mut self,
        is_data: bool,
        layout: Layout,
        packet: &[u8],
        mut deliver: impl FnMut(VnetHeader, &[u8]),
    ) {
        let may_continue = is_data && layout.flags(packet) & PSH == 0;
        match self.buffer.get_mut(..packet.len()) {
            Some(room) if may_continue => room.copy_from_slice(packet),
            _ => return deliver(VnetHeader::default(), packet),
        }
        self.length = packet.len();
        self.layout = layout;
        self.constant = layout.constant_part(packet);
        self.octets = packet.len() - layout.payload;
        self.segments = 1;
    }

    fn give_out(&mut self, mut deliver: impl FnMut(VnetHeader, &[u8])) {
        let header = match std::mem::take(&mut self.segments) {
            0 => return,
            1 => VnetHeader::default(),
            _ => self.finish(),
        };
        deliver(header, self.packet());
    }

    /// Makes the headers those of a super-packet whose checksum is unfinished.
    fn finish(&mut self) -> VnetHeader {
        let (layout, length) = (self.layout, self.length);
        let identification = layout.identification(&self.buffer);
        layout.set_ip(&mut self.buffer, length, identification);
        let pseudo = layout.pseudo_header(&self.buffer, length - layout.tcp);
        layout.set_checksum(&mut self.buffer, pseudo.unfinished());
        VnetHeader {
            gso: Some((layout.gso, self.octets as u16)),
            header_octets: layout.payload as u16,
            checksum: Some(UnfinishedChecksum { start: layout.tcp as u16, offset: CHECKSUM as u16 }),
        }
    }
}
