//! Which connection a packet belongs to.

use std::net::{IpAddr, SocketAddr};

use smoltcp::wire::{IpProtocol, IpVersion, Ipv4Packet, Ipv6Packet, TcpPacket};

/// The two ends of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ends {
    /// Ours.
    pub local: SocketAddr,
    /// The peer's.
    pub remote: SocketAddr,
}

/// What a TCP packet is to the demultiplexer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// The connection.
    pub ends: Ends,
    /// Whether it opens one: SYN without ACK (RFC 9293 §3.5).
    pub opens: bool,
}

/// Reads the addresses, the ports and the flags; `None` for what is not TCP, not whole, or not well-formed.
pub fn parse(packet: &[u8]) -> Option<Segment> {
    // The library takes it that there is a first octet.
    packet.first()?;
    match IpVersion::of_packet(packet).ok()? {
        IpVersion::Ipv4 => {
            let ip = Ipv4Packet::new_checked(packet).ok()?;
            let is_whole = !ip.more_frags() && ip.frag_offset() == 0;
            (is_whole && ip.next_header() == IpProtocol::Tcp).then_some(())?;
            segment(ip.src_addr().into(), ip.dst_addr().into(), ip.payload())
        }
        IpVersion::Ipv6 => {
            let ip = Ipv6Packet::new_checked(packet).ok()?;
            (ip.next_header() == IpProtocol::Tcp).then_some(())?;
            segment(ip.src_addr().into(), ip.dst_addr().into(), ip.payload())
        }
    }
}

fn segment(source: IpAddr, destination: IpAddr, octets: &[u8]) -> Option<Segment> {
    let tcp = TcpPacket::new_checked(octets).ok()?;
    let local = SocketAddr::new(destination, tcp.dst_port());
    let remote = SocketAddr::new(source, tcp.src_port());
    Some(Segment { ends: Ends { local, remote }, opens: tcp.syn() && !tcp.ack() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v4(protocol: u8, flags: u8) -> Vec<u8> {
        let mut packet =
            vec![0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, protocol, 0, 0, 203, 0, 113, 9, 10, 118, 0, 2];
        packet.extend([0x9c, 0x40, 0, 25, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, flags, 0, 0, 0, 0, 0, 0]);
        packet
    }

    #[test]
    fn a_segment_names_its_connection() {
        let found = parse(&v4(6, 0x02)).expect("TCP");
        assert_eq!(found.ends.local, "10.118.0.2:25".parse().expect("an address"));
        assert_eq!(found.ends.remote, "203.0.113.9:40000".parse().expect("an address"));
        assert!(found.opens);
        assert!(!parse(&v4(6, 0x12)).expect("TCP").opens, "SYN with ACK answers");
        let mut v6 = vec![0x60, 0, 0, 0, 0, 20, 6, 64];
        v6.extend([0xfd; 32]);
        v6.extend(&v4(6, 0x02)[20..]);
        assert!(parse(&v6).expect("TCP").opens);
    }

    #[test]
    fn what_is_not_a_whole_segment_is_none() {
        let mut fragment = v4(6, 0x02);
        fragment[6] = 0x20;
        for packet in [fragment, v4(17, 0), v4(6, 2)[..39].to_vec(), vec![], vec![0x45], vec![0x60; 40]] {
            assert_eq!(parse(&packet), None, "{packet:?}");
        }
    }
}
