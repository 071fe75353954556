//! The virtio-net header that stands before each packet of a TUN device with IFF_VNET_HDR (linux/virtio_net.h).
//!
//! | octets | field, in the machine's byte order |
//! |---|---|
//! | 1 | flags: 1 the checksum is unfinished |
//! | 1 | GSO type: 0 none, 1 TCP over IPv4, 4 TCP over IPv6; 128 is added for ECN |
//! | 2 | length of all headers |
//! | 2 | octets of payload in each segment |
//! | 2 | where the checksum's cover begins |
//! | 2 | where the checksum lies, from there |

/// The length of the header.
const VNET_OCTETS: usize = 10;

const NEEDS_CHECKSUM: u8 = 1;
const GSO_NONE: u8 = 0;
const GSO_TCP_V4: u8 = 1;
const GSO_TCP_V6: u8 = 4;

/// What kind of super-packet follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gso {
    /// TCP over IPv4.
    TcpV4,
    /// TCP over IPv6.
    TcpV6,
}

/// The checksum that whoever puts the packet on a wire has to finish; its field holds the pseudo-header's sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnfinishedChecksum {
    /// Where its cover begins, in octets from the packet's start; it ends with the packet.
    pub start: u16,
    /// Where it lies, in octets from `start`.
    pub offset: u16,
}

/// A virtio-net header; the default one says that the packet is whole and complete.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct VnetHeader {
    /// The kind of super-packet with the octets of payload in each segment; `None` for a single packet.
    pub gso: Option<(Gso, u16)>,
    /// The length of all headers in octets; a hint only.
    pub header_octets: u16,
    /// The checksum still to be finished.
    pub checksum: Option<UnfinishedChecksum>,
}

impl VnetHeader {
    /// Splits what the device gave into header and packet; `None` for what is too short or of an unknown kind.
    pub fn decode(octets: &mut [u8]) -> Option<(VnetHeader, &mut [u8])> {
        let (header, packet) = octets.split_first_chunk_mut::<VNET_OCTETS>()?;
        let [flags, kind, h0, h1, g0, g1, s0, s1, o0, o1] = *header;
        let segment = u16::from_ne_bytes([g0, g1]);
        let gso = match kind {
            GSO_NONE => None,
            GSO_TCP_V4 => Some((Gso::TcpV4, segment)),
            GSO_TCP_V6 => Some((Gso::TcpV6, segment)),
            _ => return None,
        };
        let checksum =
            UnfinishedChecksum { start: u16::from_ne_bytes([s0, s1]), offset: u16::from_ne_bytes([o0, o1]) };
        let checksum = (flags & NEEDS_CHECKSUM != 0).then_some(checksum);
        Some((VnetHeader { gso, header_octets: u16::from_ne_bytes([h0, h1]), checksum }, packet))
    }

    /// The header as the device takes it.
    pub fn encode(&self) -> [u8; VNET_OCTETS] {
        let (kind, segment) = match self.gso {
            None => (GSO_NONE, 0),
            Some((Gso::TcpV4, segment)) => (GSO_TCP_V4, segment),
            Some((Gso::TcpV6, segment)) => (GSO_TCP_V6, segment),
        };
        let flags = if self.checksum.is_some() { NEEDS_CHECKSUM } else { 0 };
        let checksum = self.checksum.unwrap_or(UnfinishedChecksum { start: 0, offset: 0 });
        let [h0, h1] = self.header_octets.to_ne_bytes();
        let [g0, g1] = segment.to_ne_bytes();
        let [s0, s1] = checksum.start.to_ne_bytes();
        let [o0, o1] = checksum.offset.to_ne_bytes();
        [flags, kind, h0, h1, g0, g1, s0, s1, o0, o1]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_round_trip() {
        let whole = VnetHeader::default();
        let large = VnetHeader {
            gso: Some((Gso::TcpV6, 1340)),
            header_octets: 72,
            checksum: Some(UnfinishedChecksum { start: 40, offset: 16 }),
        };
        for header in [whole, large] {
            let mut octets = header.encode().to_vec();
            octets.push(0x45);
            assert_eq!(VnetHeader::decode(&mut octets), Some((header, &mut [0x45u8][..])));
        }
        assert_eq!(VnetHeader::decode(&mut [0; 9]), None);
        assert_eq!(VnetHeader::decode(&mut [0, 3, 0, 0, 0, 0, 0, 0, 0, 0]), None);
    }
}
