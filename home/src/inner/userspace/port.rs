//! The network card of the stack: one packet in, a bounded row of packets out, all octets in memory.
//!
//! Each packet going out stands behind the ten octets of an empty virtio-net header, as the tunnel's device wants it.

use std::collections::VecDeque;

use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::time::Instant;

/// The octets of a virtio-net header; all zero says: one packet, checksums complete.
pub const HEADER: usize = 10;

/// Packets that may wait to go out. Beyond that connections keep their data, and go on when there is room.
const MOST_WAITING: usize = 64;

/// Packets that may lie in the row in all. The answers to packets that come, one for each, are lost beyond that.
const MOST_OUTGOING: usize = 4 * MOST_WAITING;

/// Used packets that are kept for the next ones.
const MOST_SPARE: usize = MOST_WAITING;

/// The card.
pub struct Port {
    mtu: usize,
    incoming: Option<Vec<u8>>,
    outgoing: VecDeque<Vec<u8>>,
    spare: Vec<Vec<u8>>,
}

impl Port {
    /// An idle card with an MTU in octets.
    pub fn new(mtu: usize) -> Self {
        Self { mtu, incoming: None, outgoing: VecDeque::new(), spare: Vec::new() }
    }

    /// Changes the MTU (octets); interfaces that exist keep the former.
    pub fn set_mtu(&mut self, mtu: usize) {
        self.mtu = mtu;
    }

    /// Lays a packet ready to be received.
    pub fn put(&mut self, packet: &[u8]) {
        let mut room = self.spare.pop().unwrap_or_default();
        room.clear();
        room.extend_from_slice(packet);
        self.incoming = Some(room);
    }

    /// Forgets a packet that nobody has received.
    pub fn discard(&mut self) {
        if let Some(packet) = self.incoming.take() {
            self.recycle(packet);
        }
    }

    /// The packet that goes out next, header first.
    pub fn front(&self) -> Option<&[u8]> {
        self.outgoing.front().map(Vec::as_slice)
    }

    /// Notes that the front packet is gone.
    pub fn pop(&mut self) {
        if let Some(packet) = self.outgoing.pop_front() {
            self.recycle(packet);
        }
    }

    /// Whether connections must wait.
    pub fn is_full(&self) -> bool {
        self.outgoing.len() >= MOST_WAITING
    }

    fn recycle(&mut self, packet: Vec<u8>) {
        if self.spare.len() < MOST_SPARE {
            self.spare.push(packet);
        }
    }
}

impl Device for Port {
    type RxToken<'a> = Incoming;
    type TxToken<'a> = Outgoing<'a>;

    fn receive(&mut self, _: Instant) -> Option<(Incoming, Outgoing<'_>)> {
        let packet = self.incoming.take()?;
        Some((Incoming(packet), Outgoing(self)))
    }

    fn transmit(&mut self, _: Instant) -> Option<Outgoing<'_>> {
        (!self.is_full()).then_some(Outgoing(self))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = self.mtu;
        capabilities
    }
}

/// A packet that came.
pub struct Incoming(Vec<u8>);

impl RxToken for Incoming {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, read: F) -> R {
        read(&self.0)
    }
}

/// Room for a packet that goes.
pub struct Outgoing<'a>(&'a mut Port);

impl TxToken for Outgoing<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, octets: usize, write: F) -> R {
        let mut packet = self.0.spare.pop().unwrap_or_default();
        packet.clear();
        packet.resize(HEADER + octets, 0);
        let result = write(packet.get_mut(HEADER..).unwrap_or_default());
        if self.0.outgoing.len() < MOST_OUTGOING {
            self.0.outgoing.push_back(packet);
        }
        result
    }
}
