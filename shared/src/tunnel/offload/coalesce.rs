//! Puts consecutive segments of a TCP flow together into one super-packet for the device.
//!
//! In: packets that their maker writes into the coalescer's own store ([`Coalescer::room`]) and then commits
//! ([`Coalescer::push`]). Out: packets and super-packets, in [`Pieces`] that lie where they were written: no payload is
//! copied.
//!
//! A flow is held while its segments follow each other; several flows may interleave. It is given out when a segment does
//! not continue it (and then before that segment, so that no flow is reordered), when it is full, when its data is pushed
//! (PSH), when its place is needed, and at the end of each turn. A single segment is given out as it came.
//!
//! Held are only plain data segments: flags ACK or ACK and PSH, a payload, a right checksum. A segment continues a flow when
//! its headers are the same octets but for lengths, checksums, PSH, the sequence number, which must be the next, and
//! IPv4's identification, which must be the next too. So cutting the super-packet gives back exactly what came in.

use std::ops::Range;

use super::tcp::{ACK, CHECKSUM, Layout, PSH};
use super::vnet::{Gso, UnfinishedChecksum, VnetHeader};

/// Flows held at once.
const FLOWS: usize = 8;

/// The largest IP packet.
const MAX_PACKET_OCTETS: usize = 65_535;

/// Segments in a super-packet.
const MAX_SEGMENTS: usize = 64;

/// The store: three full super-packets, which stay in a processor's own cache.
const STORE_OCTETS: usize = 3 * 65_536;

/// Takes packets, gives out packets and super-packets.
pub struct Coalescer {
    store: Box<[u8]>,
    /// Where the room begins; what lies before it is free again only when no flow is held.
    filled: usize,
    flows: [Flow; FLOWS],
    next: usize,
}

/// Consecutive segments; free when there are none.
#[derive(Clone)]
struct Flow {
    /// Where they lie in the store: the first with its headers, the others without.
    segments: [(u32, u32); MAX_SEGMENTS],
    count: usize,
    /// All of them together, as one packet.
    length: usize,
    layout: Layout,
    /// The payload of every segment but the last.
    octets: usize,
}

/// One packet, in pieces that follow each other.
#[derive(Clone, Copy, Default)]
pub struct Pieces<'a> {
    store: &'a [u8],
    segments: &'a [(u32, u32)],
}

impl<'a> Pieces<'a> {
    /// At most so many.
    pub const MOST: usize = MAX_SEGMENTS;

    /// In order.
    pub fn iter(self) -> impl Iterator<Item = &'a [u8]> {
        self.segments
            .iter()
            .map(move |&(start, end)| self.store.get(start as usize..end as usize).unwrap_or_default())
    }
}

impl Coalescer {
    /// Makes a coalescer with all the memory that it will ever use.
    pub fn new() -> Self {
        let store = vec![0; STORE_OCTETS].into_boxed_slice();
        Self { store, filled: 0, flows: std::array::from_fn(|_| Flow::free()), next: 0 }
    }

    /// Room for a packet of at most `octets` (up to 65,536); the same until the next push. `deliver` gets what has to leave
    /// for it.
    pub fn room(&mut self, octets: usize, deliver: impl FnMut(VnetHeader, Pieces<'_>)) -> &mut [u8] {
        if self.filled + octets > self.store.len() {
            self.flush(deliver);
        }
        let end = (self.filled + octets).min(self.store.len());
        self.store.get_mut(self.filled..end).unwrap_or_default()
    }

    /// Takes the first `octets` of the room as the next packet; `deliver` gets what is complete by this.
    pub fn push(&mut self, octets: usize, mut deliver: impl FnMut(VnetHeader, Pieces<'_>)) {
        let at = self.filled..self.filled + octets;
        match self.hold(at.clone(), &mut deliver) {
            Some(()) => self.filled = at.end,
            None => deliver_whole(&self.store, at, deliver),
        }
    }

    /// Delivers the first `octets` of the room as they are, behind all that is held.
    pub fn pass(&mut self, octets: usize, mut deliver: impl FnMut(VnetHeader, Pieces<'_>)) {
        let at = self.filled..self.filled + octets;
        self.flush(&mut deliver);
        deliver_whole(&self.store, at, deliver);
    }

    /// Gives out all that is held.
    pub fn flush(&mut self, mut deliver: impl FnMut(VnetHeader, Pieces<'_>)) {
        for flow in &mut self.flows {
            flow.give_out(&mut self.store, &mut deliver);
        }
        self.filled = 0;
    }

    /// Adds a packet to its flow or begins one with it, once the flow that it does not continue has left; `None` where it
    /// is none to be held.
    fn hold(&mut self, at: Range<usize>, deliver: &mut impl FnMut(VnetHeader, Pieces<'_>)) -> Option<()> {
        let packet = self.store.get(at.clone())?;
        let layout = Layout::of(packet)?;
        let is_data = is_plain_data(layout, packet);
        let is_pushed = layout.flags(packet) & PSH != 0;
        let mut place = self.flows.iter().position(|flow| flow.is_of(&self.store, layout, packet));
        if let Some(flow) = place.and_then(|place| self.flows.get_mut(place)) {
            if is_data && flow.is_continued_by(&self.store, layout, packet) {
                flow.append(&mut self.store, layout, at, &mut *deliver);
                return Some(());
            }
            flow.give_out(&mut self.store, &mut *deliver);
        }
        if !is_data || is_pushed {
            return None;
        }
        let place = *place.get_or_insert_with(|| self.free_place());
        let flow = self.flows.get_mut(place)?;
        flow.give_out(&mut self.store, deliver);
        flow.begin(layout, at);
        Some(())
    }

    /// A free place; where there is none, the places are cleared in turn.
    fn free_place(&mut self) -> usize {
        let free = self.flows.iter().position(|flow| flow.count == 0);
        free.unwrap_or_else(|| {
            self.next = (self.next + 1) % FLOWS;
            self.next
        })
    }
}

fn deliver_whole(store: &[u8], at: Range<usize>, mut deliver: impl FnMut(VnetHeader, Pieces<'_>)) {
    deliver(VnetHeader::default(), Pieces { store, segments: &[(at.start as u32, at.end as u32)] });
}

/// Whether a packet is what a super-packet is made of.
fn is_plain_data(layout: Layout, packet: &[u8]) -> bool {
    layout.flags(packet) & !PSH == ACK && packet.len() > layout.payload && layout.verifies(packet)
}

impl Flow {
    fn free() -> Self {
        let layout = Layout { gso: Gso::TcpV4, tcp: 0, payload: 0 };
        Self { segments: [(0, 0); MAX_SEGMENTS], count: 0, length: 0, layout, octets: 0 }
    }

    /// The first segment, whose headers stand for all.
    fn first<'a>(&self, store: &'a [u8]) -> &'a [u8] {
        let (start, end) = self.segments[0];
        store.get(start as usize..end as usize).unwrap_or_default()
    }

    fn is_of(&self, store: &[u8], layout: Layout, packet: &[u8]) -> bool {
        self.count > 0
            && self.layout.gso == layout.gso
            && self.layout.flow(self.first(store)) == layout.flow(packet)
    }

    fn is_continued_by(&self, store: &[u8], layout: Layout, packet: &[u8]) -> bool {
        let first = self.first(store);
        let sequence = layout.sequence(first).wrapping_add((self.length - self.layout.payload) as u32);
        let identification = match layout.gso {
            Gso::TcpV4 => layout.identification(first).wrapping_add(self.count as u16),
            Gso::TcpV6 => 0,
        };
        let payload = packet.len() - layout.payload;
        self.layout == layout
            && self.count < MAX_SEGMENTS
            && layout.sequence(packet) == sequence
            && layout.identification(packet) == identification
            && payload <= self.octets
            && self.length + payload <= MAX_PACKET_OCTETS
            && layout.is_same_but_for_place(first, packet)
    }

    fn append(
        &mut self,
        store: &mut [u8],
        layout: Layout,
        at: Range<usize>,
        deliver: impl FnMut(VnetHeader, Pieces<'_>),
    ) {
        let flags = store.get(at.clone()).map_or(0, |packet| layout.flags(packet));
        let payload = at.start + layout.payload..at.end;
        if let Some(segment) = self.segments.get_mut(self.count) {
            *segment = (payload.start as u32, payload.end as u32);
            self.count += 1;
            self.length += payload.len();
        }
        let start = self.segments[0].0 as usize;
        layout.set_flags(store.get_mut(start..).unwrap_or_default(), flags);
        // A shorter segment can only be the last.
        if flags & PSH != 0 || payload.len() < self.octets {
            self.give_out(store, deliver);
        }
    }

    fn begin(&mut self, layout: Layout, at: Range<usize>) {
        self.segments[0] = (at.start as u32, at.end as u32);
        self.count = 1;
        self.length = at.len();
        self.layout = layout;
        self.octets = at.len() - layout.payload;
    }

    fn give_out(&mut self, store: &mut [u8], mut deliver: impl FnMut(VnetHeader, Pieces<'_>)) {
        let count = std::mem::take(&mut self.count);
        let header = match count {
            0 => return,
            1 => VnetHeader::default(),
            _ => self.finish(store),
        };
        deliver(header, Pieces { store, segments: self.segments.get(..count).unwrap_or_default() });
    }

    /// Makes the headers those of a super-packet whose checksum is unfinished.
    fn finish(&self, store: &mut [u8]) -> VnetHeader {
        let (layout, length) = (self.layout, self.length);
        let headers = store.get_mut(self.segments[0].0 as usize..).unwrap_or_default();
        let identification = layout.identification(headers);
        layout.set_ip(headers, length, identification);
        let pseudo = layout.pseudo_header(headers, length - layout.tcp);
        layout.set_checksum(headers, pseudo.unfinished());
        VnetHeader {
            gso: Some((layout.gso, self.octets as u16)),
            header_octets: layout.payload as u16,
            checksum: Some(UnfinishedChecksum { start: layout.tcp as u16, offset: CHECKSUM as u16 }),
        }
    }
}
