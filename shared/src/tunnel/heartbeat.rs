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
//! | 1 | 0 beat, 1 answer |
//! | 3 | zero |
//! | 8 | sequence number |

use std::net::Ipv4Addr;
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

/// A beat or its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Asks for an answer.
    Beat,
    /// Answers a beat.
    Answer,
}

/// Encodes a heartbeat from our address to the peer's.
pub fn encode(kind: Kind, sequence: u64, addresses: HeartbeatAddresses) -> [u8; PACKET_OCTETS] {
    let mut packet = [0; PACKET_OCTETS];
    packet[0] = 0x45;
    packet[3] = PACKET_OCTETS as u8;
    packet[8] = 1;
    packet[9] = PROTOCOL;
    packet[12..16].copy_from_slice(&addresses.local.octets());
    packet[16..20].copy_from_slice(&addresses.peer.octets());
    let checksum = header_checksum(&packet[..HEADER_OCTETS]);
    packet[10..12].copy_from_slice(&checksum.to_be_bytes());
    packet[20..24].copy_from_slice(MAGIC);
    packet[24] = kind as u8;
    packet[28..].copy_from_slice(&sequence.to_be_bytes());
    packet
}

/// Reads a heartbeat from the peer to us; `None` for any other packet.
pub fn decode(packet: &[u8], addresses: HeartbeatAddresses) -> Option<(Kind, u64)> {
    let packet: &[u8; PACKET_OCTETS] = packet.try_into().ok()?;
    let address = |at: usize| Some(Ipv4Addr::from(<[u8; 4]>::try_from(packet.get(at..at + 4)?).ok()?));
    let is_ours = packet[0] == 0x45
        && packet[9] == PROTOCOL
        && address(12)? == addresses.peer
        && address(16)? == addresses.local
        && packet[20..24] == *MAGIC;
    let kind = match packet[24] {
        0 => Kind::Beat,
        1 => Kind::Answer,
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
