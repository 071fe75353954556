//! What the peer may send inside, beyond its own addresses.
//!
//! In: a decrypted packet whose source has been checked. Out: whether it may be delivered. The edge admits everything and
//! leaves the choice to its firewall. Home admits packets to its inner addresses only, and of these what mail needs: TCP
//! to the service ports, TCP that belongs to a connection, and of ICMP what TCP needs to hear: errors, and echo. Router
//! advertisements and redirects, which could change home's routes, are not among them. So a taken-over edge reaches
//! nothing else on the home machine or behind it, whatever home's own firewall says.
//!
//! The check keeps no state: a TCP segment that opens no connection (SYN without ACK, RFC 9293 §3.5) is passed, and the
//! kernel refuses it where there is no connection. Fragments and IPv6 extension headers are refused, since their ports
//! cannot be known, and IPv4 options, since they can send a packet on; inside this tunnel TCP needs none of them.

use std::net::IpAddr;

use boringtun::noise::Tunn;

const ICMP: u8 = 1;
const TCP: u8 = 6;
const ICMP_V6: u8 = 58;

/// Echo reply, destination unreachable, echo, time exceeded, parameter problem (RFC 792).
const ICMP_TYPES: [u8; 5] = [0, 3, 8, 11, 12];
/// Destination unreachable, packet too big, time exceeded, parameter problem, echo, echo reply (RFC 4443).
const ICMP_V6_TYPES: [u8; 6] = [1, 2, 3, 4, 128, 129];

/// Offset of the flags in a TCP header (RFC 9293 §3.1), and two of them.
const TCP_FLAGS: usize = 13;
const SYN: u8 = 0x02;
const ACK: u8 = 0x10;

/// What may come through an epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admission {
    /// Any destination: the edge, whose firewall decides.
    Everything,
    /// Only these destinations, and new TCP connections only to these ports.
    Services {
        /// Our inner addresses.
        addresses: Vec<IpAddr>,
        /// The ports of our services.
        tcp_ports: Vec<u16>,
    },
}

impl Admission {
    /// Whether a packet may be delivered.
    pub fn admits(&self, packet: &[u8]) -> bool {
        match self {
            Admission::Everything => true,
            Admission::Services { addresses, tcp_ports } => {
                Tunn::dst_address(packet).is_some_and(|address| addresses.contains(&address))
                    && transport(packet)
                        .is_some_and(|(protocol, segment)| serves(tcp_ports, protocol, segment))
            }
        }
    }
}

fn serves(tcp_ports: &[u16], protocol: u8, segment: &[u8]) -> bool {
    match protocol {
        ICMP => segment.first().is_some_and(|kind| ICMP_TYPES.contains(kind)),
        ICMP_V6 => segment.first().is_some_and(|kind| ICMP_V6_TYPES.contains(kind)),
        TCP => {
            let port = segment.get(2..4).and_then(|octets| octets.try_into().ok()).map(u16::from_be_bytes);
            let opens = segment.get(TCP_FLAGS).map(|flags| flags & (SYN | ACK) == SYN);
            match (port, opens) {
                (Some(port), Some(true)) => tcp_ports.contains(&port),
                (Some(_), Some(false)) => true,
                _ => false,
            }
        }
        _ => false,
    }
}

/// The transport protocol and its octets; `None` for fragments and what is no IP packet.
fn transport(packet: &[u8]) -> Option<(u8, &[u8])> {
    match packet.first()? >> 4 {
        4 => {
            let header = usize::from(packet.first()? & 0x0f) * 4;
            let fragment = u16::from_be_bytes(packet.get(6..8)?.try_into().ok()?);
            // More-fragments flag or an offset (RFC 791 §3.1).
            let is_whole = fragment & 0x3fff == 0;
            (is_whole && header == 20).then_some(())?;
            Some((*packet.get(9)?, packet.get(header..)?))
        }
        6 => Some((*packet.get(6)?, packet.get(40..)?)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOME: [u8; 4] = [10, 118, 0, 2];

    fn home() -> Admission {
        let v6 = "fd70:6f73:7465::2".parse().unwrap();
        Admission::Services { addresses: vec![IpAddr::from(HOME), v6], tcp_ports: vec![25, 993] }
    }

    fn tcp(port: u16, flags: u8) -> Vec<u8> {
        let mut segment = vec![0; 20];
        segment[2..4].copy_from_slice(&port.to_be_bytes());
        segment[TCP_FLAGS] = flags;
        segment
    }

    fn v4(to: [u8; 4], protocol: u8, segment: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, protocol, 0, 0, 203, 0, 113, 9];
        packet.extend(to);
        packet.extend(segment);
        packet
    }

    fn v6(next_header: u8, segment: &[u8]) -> Vec<u8> {
        let mut packet = vec![0; 40];
        packet[0] = 0x60;
        packet[6] = next_header;
        packet[24..40].copy_from_slice(&"fd70:6f73:7465::2".parse::<std::net::Ipv6Addr>().unwrap().octets());
        packet.extend(segment);
        packet
    }

    #[test]
    fn new_connections_reach_the_services_only() {
        assert!(home().admits(&v4(HOME, TCP, &tcp(25, SYN))));
        assert!(home().admits(&v6(TCP, &tcp(993, SYN))));
        assert!(!home().admits(&v4(HOME, TCP, &tcp(22, SYN))));
        assert!(!home().admits(&v6(TCP, &tcp(22, SYN))));
        assert!(!home().admits(&v4([192, 168, 1, 10], TCP, &tcp(25, SYN))));
    }

    #[test]
    fn replies_to_home_and_icmp_pass() {
        assert!(home().admits(&v4(HOME, TCP, &tcp(40_000, SYN | ACK))));
        assert!(home().admits(&v4(HOME, TCP, &tcp(40_000, ACK))));
        assert!(home().admits(&v4(HOME, ICMP, &[3, 4, 0, 0])));
        assert!(home().admits(&v6(ICMP_V6, &[2, 0, 0, 0])));
    }

    #[test]
    fn messages_that_change_routes_are_refused() {
        assert!(!home().admits(&v4(HOME, ICMP, &[5, 1, 0, 0])), "redirect");
        for kind in 133..=137 {
            assert!(!home().admits(&v6(ICMP_V6, &[kind, 0, 0, 0])), "RFC 4861, type {kind}");
        }
        assert!(!home().admits(&v4(HOME, ICMP, &[])));
    }

    #[test]
    fn what_hides_its_port_is_refused() {
        let mut first_fragment = v4(HOME, TCP, &tcp(25, SYN));
        first_fragment[6] = 0x20;
        let mut later_fragment = v4(HOME, TCP, &tcp(25, ACK));
        later_fragment[7] = 1;
        let mut options = v4(HOME, TCP, &[]);
        options[0] = 0x46;
        options.extend([0x83, 4, 4, 0].into_iter().chain(tcp(25, SYN)));
        let extension_header = v6(0, &tcp(25, SYN));
        let udp = v4(HOME, 17, &[0; 8]);
        let short = v4(HOME, TCP, &[0; 8]);
        for packet in
            [first_fragment, later_fragment, options, extension_header, udp, short, vec![], vec![0x45; 19]]
        {
            assert!(!home().admits(&packet), "{packet:?}");
        }
    }

    #[test]
    fn the_edge_admits_everything() {
        assert!(Admission::Everything.admits(&v4([1, 1, 1, 1], 17, &[])));
    }
}
