//! The heartbeat: an inner packet that one core sends and the other answers, through the data plane of one epoch.
//!
//! It tells home that the edge is alive, the edge where home is now, and both that an epoch carries bytes. It is an IPv4
//! packet (RFC 791) of protocol 253 (RFC 3692 §2.1, experimentation) between the epoch's two heartbeat addresses, so that
//! it passes the same checks as all traffic, and it never reaches the TUN device.
//!
//! | octets | field |
//! |---|---|
//! | 20 | IPv4 header without options, TTL 1 |
//! | 4 | `PSTN` |
//! | 1 | 0 beat, 1 answer, 2 fenced |
//! | 3 | zero |
//! | 8 | sequence number |
//! | 18 | fenced only: the current home's endpoint, an IPv6 address, IPv4 mapped into it, and a port |

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use super::HeartbeatAddresses;

/// How often home sends a beat.
pub const INTERVAL: Duration = Duration::from_secs(2);

/// After this long without an authenticated packet the peer counts as dead.
pub const DEAD_AFTER: Duration = Duration::from_secs(6);

const PROTOCOL: u8 = 253;
const MAGIC: &[u8; 4] = b"PSTN";
const HEADER_OCTETS: usize = 20;
const PACKET_OCTETS: usize = HEADER_OCTETS + 16;

const FENCED_OCTETS: usize = PACKET_OCTETS + 18;

/// What a heartbeat says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Asks for an answer.
    Beat,
    /// Answers a beat.
    Answer,
    /// Answers a beat of a home that is fenced, because another one with the same keys is alive.
    Fenced,
}

/// Encodes a heartbeat from our address to the peer's.
pub fn encode(kind: Kind, sequence: u64, addresses: HeartbeatAddresses) -> [u8; PACKET_OCTETS] {
    encode_in(kind, sequence, addresses)
}

/// Encodes the answer to a fenced home: where the current home is.
pub fn encode_fenced(
    sequence: u64,
    current: SocketAddr,
    addresses: HeartbeatAddresses,
) -> [u8; FENCED_OCTETS] {
    let mut packet: [u8; FENCED_OCTETS] = encode_in(Kind::Fenced, sequence, addresses);
    let address = match current.ip() {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    };
    packet[PACKET_OCTETS..PACKET_OCTETS + 16].copy_from_slice(&address.octets());
    packet[PACKET_OCTETS + 16..].copy_from_slice(&current.port().to_be_bytes());
    packet
}

/// Where the current home is, in a heartbeat of the kind [`Kind::Fenced`].
pub fn fenced_by(packet: &[u8]) -> Option<SocketAddr> {
    let (address, port) = packet.get(PACKET_OCTETS..FENCED_OCTETS)?.split_at_checked(16)?;
    let address = Ipv6Addr::from(<[u8; 16]>::try_from(address).ok()?);
    Some((address.to_canonical(), u16::from_be_bytes(port.try_into().ok()?)).into())
}

/// `OCTETS` is at least [`PACKET_OCTETS`] and fits the length field.
fn encode_in<const OCTETS: usize>(kind: Kind, sequence: u64, addresses: HeartbeatAddresses) -> [u8; OCTETS] {
    let mut packet = [0; OCTETS];
    packet[0] = 0x45;
    packet[3] = OCTETS as u8;
    packet[8] = 1;
    packet[9] = PROTOCOL;
    packet[12..16].copy_from_slice(&addresses.local.octets());
    packet[16..20].copy_from_slice(&addresses.peer.octets());
    let checksum = header_checksum(&packet[..HEADER_OCTETS]);
    packet[10..12].copy_from_slice(&checksum.to_be_bytes());
    packet[20..24].copy_from_slice(MAGIC);
    packet[24] = kind as u8;
    packet[28..PACKET_OCTETS].copy_from_slice(&sequence.to_be_bytes());
    packet
}

/// Reads a heartbeat from the peer to us; `None` for any other packet.
pub fn decode(packet: &[u8], addresses: HeartbeatAddresses) -> Option<(Kind, u64)> {
    let packet: &[u8; PACKET_OCTETS] = packet.get(..PACKET_OCTETS)?.try_into().ok()?;
    let address = |at: usize| Some(Ipv4Addr::from(<[u8; 4]>::try_from(packet.get(at..at + 4)?).ok()?));
    let is_ours = packet[0] == 0x45
        && packet[9] == PROTOCOL
        && address(12)? == addresses.peer
        && address(16)? == addresses.local
        && packet[20..24] == *MAGIC;
    let kind = match packet[24] {
        0 => Kind::Beat,
        1 => Kind::Answer,
        2 => Kind::Fenced,
        _ => return None,
    };
    let sequence = u64::from_be_bytes(packet[28..].try_into().ok()?);
    is_ours.then_some((kind, sequence))
}

/// The Internet checksum (RFC 1071) of a header whose checksum field is zero.
fn header_checksum(header: &[u8]) -> u16 {
    let sum: u32 = header.chunks_exact(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    !((folded & 0xffff) + (folded >> 16)) as u16
}

/// When beats are sent and what came of them.
#[derive(Debug, Default)]
pub struct Heartbeat {
    sequence: u64,
    sent_at: Option<Instant>,
    round_trip: Option<Duration>,
}

impl Heartbeat {
    /// The sequence number of the beat that is due now, if one is.
    pub fn due(&mut self, now: Instant) -> Option<u64> {
        if self.sent_at.is_some_and(|sent| now.saturating_duration_since(sent) < INTERVAL) {
            return None;
        }
        self.sequence += 1;
        self.sent_at = Some(now);
        Some(self.sequence)
    }

    /// Takes an answer; one to an older beat says nothing about the round trip.
    pub fn answered(&mut self, sequence: u64, now: Instant) {
        if sequence == self.sequence {
            self.round_trip = self.sent_at.map(|sent| now.saturating_duration_since(sent));
        }
    }

    /// The round trip of the last answered beat.
    pub fn round_trip(&self) -> Option<Duration> {
        self.round_trip
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOME: HeartbeatAddresses =
        HeartbeatAddresses { local: Ipv4Addr::new(10, 118, 0, 2), peer: Ipv4Addr::new(10, 118, 0, 1) };
    const EDGE: HeartbeatAddresses = HeartbeatAddresses { local: HOME.peer, peer: HOME.local };

    #[test]
    fn round_trips_between_the_two_ends_only() {
        let packet = encode(Kind::Beat, 7, HOME);
        assert_eq!(decode(&packet, EDGE), Some((Kind::Beat, 7)));
        assert_eq!(decode(&packet, HOME), None);
        assert_eq!(decode(&packet[..35], EDGE), None);
    }

    #[test]
    fn a_fenced_home_learns_where_the_other_one_is() {
        for endpoint in ["203.0.113.10:4500", "[2001:db8:cafe::5]:51820"] {
            let endpoint: SocketAddr = endpoint.parse().unwrap();
            let packet = encode_fenced(9, endpoint, EDGE);
            assert_eq!(decode(&packet, HOME), Some((Kind::Fenced, 9)));
            assert_eq!(fenced_by(&packet), Some(endpoint));
            assert_eq!(fenced_by(&packet[..53]), None);
        }
    }

    #[test]
    fn the_header_checksum_verifies() {
        let packet = encode(Kind::Answer, 1, HOME);
        assert_eq!(header_checksum(&packet[..HEADER_OCTETS]), 0);
    }

    #[test]
    fn beats_are_paced_and_timed() {
        let start = Instant::now();
        let mut heartbeat = Heartbeat::default();
        assert_eq!(heartbeat.due(start), Some(1));
        assert_eq!(heartbeat.due(start + INTERVAL / 2), None);
        heartbeat.answered(1, start + Duration::from_millis(30));
        assert_eq!(heartbeat.round_trip(), Some(Duration::from_millis(30)));
        assert_eq!(heartbeat.due(start + INTERVAL), Some(2));
        heartbeat.answered(1, start + INTERVAL * 2);
        assert_eq!(heartbeat.round_trip(), Some(Duration::from_millis(30)));
    }
}
