//! The heartbeat's messages: inner packets that one core sends and the other answers, through the data plane of one epoch.
//!
//! They tell home that the edge is alive, the edge where home is now, and both that an epoch carries bytes. A message is
//! an IPv4 packet (RFC 791) of protocol 253 (RFC 3692 §2.1, experimentation) between the epoch's two heartbeat addresses,
//! so that it passes the same checks as all traffic, and it never reaches the TUN device. Zeros pad it to any length: a
//! long one probes the path ([`super::path`]), and its answer is as long as itself.
//!
//! | octets | field |
//! |---|---|
//! | 20 | IPv4 header without options, TTL 1 |
//! | 4 | `PSTN` |
//! | 1 | 0 beat, 1 answer, 2 fenced |
//! | 1 | 1: the sender has sent long packets since its last message; else 0 |
//! | 1 | of home's latest beats so many were lost |
//! | 1 | out of so many; 0 not known |
//! | 8 | sequence number of the beat |
//! | 8 | in a beat: the greatest sequence number that was answered |
//! | 4 | in a beat: home's latest round trip in microseconds; 0 not known |
//! | 2 | in a beat: the longest inner packet that the path takes, octets |
//! | 2 | zero |
//! | 18 | fenced only: the current home's endpoint, an IPv6 address, IPv4 mapped into it, and a port |
//! | any | padding |

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use super::HeartbeatAddresses;

/// The length of a message without padding.
pub const MESSAGE_OCTETS: u16 = 52;

/// The length of the longest message that is written: the greatest MTU that can be configured.
pub const LONGEST_OCTETS: u16 = 9000;

/// The length of a message of the kind [`Kind::Fenced`].
const FENCED_OCTETS: usize = MESSAGE_OCTETS as usize + 18;

const PROTOCOL: u8 = 253;
const MAGIC: &[u8; 4] = b"PSTN";
const HEADER_OCTETS: usize = 20;

/// What a message is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Kind {
    /// Asks for an answer.
    #[default]
    Beat = 0,
    /// Answers a beat.
    Answer = 1,
    /// Answers a beat of a home that is fenced, because another one with the same keys is alive.
    Fenced = 2,
}

/// What a message says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Message {
    /// Beat or answer.
    pub kind: Kind,
    /// The beat's number; its answer repeats it.
    pub sequence: u64,
    /// The greatest number that was answered; 0 none yet.
    pub answered: u64,
    /// Whether the sender has sent packets lately that a narrow path might not take.
    pub has_sent_long: bool,
    /// What home has measured.
    pub path: PathReport,
}

/// What home has measured of the path; each beat tells the edge.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PathReport {
    /// The longest inner packet that passes, octets; 0 not known.
    pub limit: u16,
    /// The latest round trip.
    pub round_trip: Option<Duration>,
    /// The latest beats.
    pub loss: Loss,
}

/// How many of the latest beats were lost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Loss {
    /// Beats without an answer.
    pub lost: u8,
    /// All beats whose fate is known, up to 64.
    pub of: u8,
}

impl Loss {
    /// The lost ones' share, 0 to 1; `None` before the first beat's fate is known.
    pub fn share(self) -> Option<f32> {
        (self.of > 0).then(|| f32::from(self.lost) / f32::from(self.of))
    }
}

impl Message {
    /// Writes the packet from our address to the peer's, as long as `packet`, which is at least [`MESSAGE_OCTETS`] long and
    /// all zero.
    pub fn write(&self, packet: &mut [u8], addresses: HeartbeatAddresses) {
        let octets = packet.len() as u16;
        let Some(message) = packet.first_chunk_mut::<{ MESSAGE_OCTETS as usize }>() else { return };
        message[..20].copy_from_slice(&header(octets, addresses));
        message[20..24].copy_from_slice(MAGIC);
        let Loss { lost, of } = self.path.loss;
        message[24..28].copy_from_slice(&[self.kind as u8, self.has_sent_long.into(), lost, of]);
        message[28..36].copy_from_slice(&self.sequence.to_be_bytes());
        message[36..44].copy_from_slice(&self.answered.to_be_bytes());
        message[44..48].copy_from_slice(&microseconds(self.path.round_trip).to_be_bytes());
        message[48..50].copy_from_slice(&self.path.limit.to_be_bytes());
    }

    /// Reads a message from the peer to us; `None` for any other packet.
    pub fn decode(packet: &[u8], addresses: HeartbeatAddresses) -> Option<Message> {
        let is_ours = packet.first() == Some(&0x45)
            && packet.get(9) == Some(&PROTOCOL)
            && array(packet, 12).map(Ipv4Addr::from) == Some(addresses.peer)
            && array(packet, 16).map(Ipv4Addr::from) == Some(addresses.local)
            && array(packet, 20).as_ref() == Some(MAGIC)
            && packet.len() >= MESSAGE_OCTETS.into();
        let [kind, has_sent_long, lost, of] = array(packet, 24).filter(|_| is_ours)?;
        let kind = match kind {
            0 => Kind::Beat,
            1 => Kind::Answer,
            2 => Kind::Fenced,
            _ => return None,
        };
        let round_trip = u32::from_be_bytes(array(packet, 44)?);
        Some(Message {
            kind,
            sequence: u64::from_be_bytes(array(packet, 28)?),
            answered: u64::from_be_bytes(array(packet, 36)?),
            has_sent_long: has_sent_long != 0,
            path: PathReport {
                limit: u16::from_be_bytes(array(packet, 48)?),
                round_trip: (round_trip != 0).then(|| Duration::from_micros(round_trip.into())),
                loss: Loss { lost, of },
            },
        })
    }
}

/// The answer to a fenced home's beat: where the current home is.
pub fn encode_fenced(
    sequence: u64,
    current: SocketAddr,
    addresses: HeartbeatAddresses,
) -> [u8; FENCED_OCTETS] {
    let mut packet = [0; FENCED_OCTETS];
    Message { kind: Kind::Fenced, sequence, ..Message::default() }.write(&mut packet, addresses);
    let address = match current.ip() {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    };
    packet[MESSAGE_OCTETS as usize..FENCED_OCTETS - 2].copy_from_slice(&address.octets());
    packet[FENCED_OCTETS - 2..].copy_from_slice(&current.port().to_be_bytes());
    packet
}

/// Where the current home is, in a message of the kind [`Kind::Fenced`].
pub fn fenced_by(packet: &[u8]) -> Option<SocketAddr> {
    let at = usize::from(MESSAGE_OCTETS);
    let address = Ipv6Addr::from(array::<16>(packet, at)?);
    Some((address.to_canonical(), u16::from_be_bytes(array(packet, at + 16)?)).into())
}

fn header(octets: u16, addresses: HeartbeatAddresses) -> [u8; HEADER_OCTETS] {
    let mut header = [0; HEADER_OCTETS];
    header[0] = 0x45;
    header[2..4].copy_from_slice(&octets.to_be_bytes());
    header[8] = 1;
    header[9] = PROTOCOL;
    header[12..16].copy_from_slice(&addresses.local.octets());
    header[16..20].copy_from_slice(&addresses.peer.octets());
    let checksum = header_checksum(&header);
    header[10..12].copy_from_slice(&checksum.to_be_bytes());
    header
}

fn microseconds(time: Option<Duration>) -> u32 {
    time.map_or(0, |time| u32::try_from(time.as_micros()).unwrap_or(u32::MAX).max(1))
}

fn array<const N: usize>(packet: &[u8], at: usize) -> Option<[u8; N]> {
    packet.get(at..)?.first_chunk().copied()
}

/// The Internet checksum (RFC 1071) of a header whose checksum field is zero.
fn header_checksum(header: &[u8]) -> u16 {
    let sum: u32 = header.chunks_exact(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    !((folded & 0xffff) + (folded >> 16)) as u16
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HOME: HeartbeatAddresses =
        HeartbeatAddresses { local: Ipv4Addr::new(10, 118, 0, 2), peer: Ipv4Addr::new(10, 118, 0, 1) };
    const EDGE: HeartbeatAddresses = HeartbeatAddresses { local: HOME.peer, peer: HOME.local };

    impl Message {
        fn encode(&self, octets: u16, addresses: HeartbeatAddresses) -> Vec<u8> {
            let mut packet = vec![0; octets.max(MESSAGE_OCTETS).into()];
            self.write(&mut packet, addresses);
            packet
        }
    }

    fn message() -> Message {
        Message {
            kind: Kind::Answer,
            sequence: 7,
            answered: 6,
            has_sent_long: true,
            path: PathReport {
                limit: 1380,
                round_trip: Some(Duration::from_micros(23_400)),
                loss: Loss { lost: 3, of: 64 },
            },
        }
    }

    proptest! {
        #[test]
        fn round_trips_at_any_length_between_the_two_ends_only(octets in 0u16..9000) {
            let packet = message().encode(octets, HOME);
            prop_assert_eq!(packet.len(), usize::from(octets.max(MESSAGE_OCTETS)));
            prop_assert_eq!(Message::decode(&packet, EDGE), Some(message()));
            prop_assert_eq!(Message::decode(&packet, HOME), None);
        }

        #[test]
        fn a_part_or_another_kind_is_no_message(octets in 0usize..52, kind in 3u8..) {
            let mut packet = message().encode(52, HOME);
            prop_assert_eq!(Message::decode(&packet[..octets], EDGE), None);
            packet[24] = kind;
            prop_assert_eq!(Message::decode(&packet, EDGE), None);
        }
    }

    #[test]
    fn a_fenced_home_learns_where_the_other_one_is() {
        for endpoint in ["203.0.113.10:4500", "[2001:db8:cafe::5]:51820"] {
            let endpoint: SocketAddr = endpoint.parse().unwrap();
            let packet = encode_fenced(9, endpoint, EDGE);
            let message = Message::decode(&packet, HOME).unwrap();
            assert_eq!((message.kind, message.sequence), (Kind::Fenced, 9));
            assert_eq!(fenced_by(&packet), Some(endpoint));
            assert_eq!(fenced_by(&packet[..69]), None);
        }
    }

    #[test]
    fn the_header_checksum_verifies() {
        let packet = message().encode(1400, HOME);
        assert_eq!(header_checksum(&packet[..HEADER_OCTETS]), 0);
        assert_eq!(packet[2..4], 1400u16.to_be_bytes());
    }

    #[test]
    fn what_is_not_known_stays_unknown() {
        let nothing = Message::default();
        let there = Message::decode(&nothing.encode(0, HOME), EDGE).unwrap();
        assert_eq!((there.path.round_trip, there.path.loss.share()), (None, None));
        assert_eq!(Loss { lost: 1, of: 4 }.share(), Some(0.25));
    }
}
