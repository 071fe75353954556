//! Where the headers of a TCP packet lie, and the fields that change from segment to segment.
//!
//! Taken: whole IPv4 packets (RFC 791 §3.1) without options, and IPv6 packets (RFC 8200 §3) without extension headers, whose
//! length fields agree with their true lengths, and in them a complete TCP header (RFC 9293 §3.1). All else is `None`, and
//! is passed on as it is.

use super::checksum::Sum;
use super::vnet::Gso;

/// The longest headers: IPv6 and a TCP header with all options.
pub const MAX_HEADER_OCTETS: usize = V6_OCTETS + 60;

/// TCP's flags (RFC 9293 §3.1).
pub const FIN: u8 = 0x01;
/// Opens a connection.
pub const SYN: u8 = 0x02;
/// Resets a connection.
pub const RST: u8 = 0x04;
/// Push.
pub const PSH: u8 = 0x08;
/// Acknowledgement.
pub const ACK: u8 = 0x10;
/// The urgent pointer counts.
pub const URG: u8 = 0x20;
/// Congestion window reduced (RFC 3168 §6.1).
pub const CWR: u8 = 0x80;

/// Where the checksum lies in a TCP header.
pub const CHECKSUM: usize = 16;

const TCP: u8 = 6;
const V4_OCTETS: usize = 20;
const V6_OCTETS: usize = 40;
const SEQUENCE: usize = 4;
const FLAGS: usize = 13;

/// Where things lie in one packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// IPv4 or IPv6.
    pub gso: Gso,
    /// Where the TCP header begins.
    pub tcp: usize,
    /// Where the payload begins.
    pub payload: usize,
}

impl Layout {
    /// Looks at a packet.
    pub fn of(packet: &[u8]) -> Option<Layout> {
        let (gso, tcp) = match packet.first()? {
            0x45 => (Gso::TcpV4, V4_OCTETS),
            first if first >> 4 == 6 => (Gso::TcpV6, V6_OCTETS),
            _ => return None,
        };
        let is_plain = match gso {
            // No fragment: neither the more-fragments flag nor an offset.
            Gso::TcpV4 => {
                *packet.get(9)? == TCP
                    && word(packet, 6)? & 0x3fff == 0
                    && usize::from(word(packet, 2)?) == packet.len()
            }
            Gso::TcpV6 => *packet.get(6)? == TCP && usize::from(word(packet, 4)?) + V6_OCTETS == packet.len(),
        };
        let header = usize::from(*packet.get(tcp + 12)? >> 4) * 4;
        let payload = tcp + header;
        (is_plain && header >= 20 && payload <= packet.len()).then_some(Layout { gso, tcp, payload })
    }

    /// The octets that name the flow: both addresses, both ports.
    pub fn flow<'a>(&self, packet: &'a [u8]) -> (&'a [u8], &'a [u8]) {
        let addresses = match self.gso {
            Gso::TcpV4 => 12..20,
            Gso::TcpV6 => 8..40,
        };
        let ports = self.tcp..self.tcp + 4;
        (packet.get(addresses).unwrap_or_default(), packet.get(ports).unwrap_or_default())
    }

    /// The sum of the pseudo-header (RFC 9293 §3.1, RFC 8200 §8.1) for so many octets of TCP.
    pub fn pseudo_header(&self, packet: &[u8], tcp_octets: usize) -> Sum {
        let (addresses, _) = self.flow(packet);
        Sum::of(addresses).plus(u16::from(TCP)).plus(tcp_octets as u16)
    }

    /// Whether the TCP checksum is right.
    pub fn verifies(&self, packet: &[u8]) -> bool {
        let segment = packet.get(self.tcp..).unwrap_or_default();
        self.pseudo_header(packet, segment.len()).and(Sum::of(segment)).verifies()
    }

    /// The sequence number.
    pub fn sequence(&self, packet: &[u8]) -> u32 {
        let octets = packet.get(self.tcp + SEQUENCE..).and_then(|octets| octets.first_chunk());
        octets.copied().map_or(0, u32::from_be_bytes)
    }

    /// Writes the sequence number.
    pub fn set_sequence(&self, packet: &mut [u8], sequence: u32) {
        put(packet, self.tcp + SEQUENCE, &sequence.to_be_bytes());
    }

    /// TCP's flags.
    pub fn flags(&self, packet: &[u8]) -> u8 {
        packet.get(self.tcp + FLAGS).copied().unwrap_or(0)
    }

    /// Writes TCP's flags.
    pub fn set_flags(&self, packet: &mut [u8], flags: u8) {
        put(packet, self.tcp + FLAGS, &[flags]);
    }

    /// Writes the TCP checksum field.
    pub fn set_checksum(&self, packet: &mut [u8], checksum: u16) {
        put(packet, self.tcp + CHECKSUM, &checksum.to_be_bytes());
    }

    /// The identification of an IPv4 packet; 0 in IPv6, which has none.
    pub fn identification(&self, packet: &[u8]) -> u16 {
        match self.gso {
            Gso::TcpV4 => word(packet, 4).unwrap_or(0),
            Gso::TcpV6 => 0,
        }
    }

    /// Writes length, identification and checksum of the IP header for a packet of `octets` in all.
    pub fn set_ip(&self, packet: &mut [u8], octets: usize, identification: u16) {
        match self.gso {
            Gso::TcpV4 => {
                put(packet, 2, &(octets as u16).to_be_bytes());
                put(packet, 4, &identification.to_be_bytes());
                put(packet, 10, &[0, 0]);
                let sum = Sum::of(packet.get(..V4_OCTETS).unwrap_or_default());
                put(packet, 10, &sum.complement().to_be_bytes());
            }
            Gso::TcpV6 => put(packet, 4, &((octets - V6_OCTETS) as u16).to_be_bytes()),
        }
    }

    /// Whether two packets of one flow and one layout differ in nothing but what cutting makes differ: lengths, checksums,
    /// PSH, sequence number and identification. Both must have this layout.
    pub fn is_same_but_for_place(&self, one: &[u8], other: &[u8]) -> bool {
        let is_same = |from, to| one.get(from..to) == other.get(from..to);
        let ip = match self.gso {
            // All but length, identification and checksum (RFC 791 §3.1).
            Gso::TcpV4 => is_same(0, 2) && is_same(6, 10) && is_same(12, V4_OCTETS),
            // All but the length (RFC 8200 §3).
            Gso::TcpV6 => is_same(0, 4) && is_same(6, V6_OCTETS),
        };
        let tcp = |from, to| is_same(self.tcp + from, self.tcp + to);
        ip && tcp(0, SEQUENCE)
            && tcp(SEQUENCE + 4, FLAGS)
            && self.flags(one) & !PSH == self.flags(other) & !PSH
            && tcp(FLAGS + 1, CHECKSUM)
            && is_same(self.tcp + CHECKSUM + 2, self.payload)
    }
}

fn word(packet: &[u8], at: usize) -> Option<u16> {
    packet.get(at..)?.first_chunk().copied().map(u16::from_be_bytes)
}

/// Overwrites octets that the layout has proved to be there.
fn put(packet: &mut [u8], at: usize, octets: &[u8]) {
    if let Some(field) = packet.get_mut(at..at + octets.len()) {
        field.copy_from_slice(octets);
    }
}
