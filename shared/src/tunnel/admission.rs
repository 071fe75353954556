//! What the peer may send inside, beyond its own addresses.
//!
//! In: a decrypted packet whose source has been checked. Out: whether it may be delivered. The edge admits everything and
//! leaves the choice to its firewall. Home admits packets to its inner addresses only, and of these what mail needs: TCP
//! to the service ports, TCP that belongs to a connection, and of ICMP what TCP needs to hear: errors about TCP that an
//! inner address has sent, and echo. An error about anything else would speak of home's other connections, those of its
//! local network among them, and could narrow or break them. Router advertisements and redirects, which could change home's
//! routes, are not admitted either. So a taken-over edge reaches nothing else on the home machine or behind it, whatever
//! home's own firewall says.
//!
//! The check keeps no state: a TCP segment that opens no connection (SYN without ACK, RFC 9293 §3.5) is passed, and the
//! kernel refuses it where there is no connection. Fragments and IPv6 extension headers are refused, since their ports
//! cannot be known, and IPv4 options, since they can send a packet on; inside this tunnel TCP needs none of them.

use std::net::IpAddr;

use boringtun::noise::Tunn;

const ICMP: u8 = 1;
const TCP: u8 = 6;
const ICMP_V6: u8 = 58;

/// Echo reply and echo (RFC 792).
const ECHO: [u8; 2] = [0, 8];
/// Destination unreachable, time exceeded, parameter problem (RFC 792): they quote what they are about.
const ERRORS: [u8; 3] = [3, 11, 12];
/// Echo and echo reply (RFC 4443 §4).
const ECHO_V6: [u8; 2] = [128, 129];
/// Destination unreachable, packet too big, time exceeded, parameter problem (RFC 4443 §3).
const ERRORS_V6: [u8; 4] = [1, 2, 3, 4];

/// Octets of an ICMP header, before what an error quotes (RFC 792, RFC 4443 §3).
const ICMP_HEADER_OCTETS: usize = 8;

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
                    && transport(packet).is_some_and(|(protocol, segment)| match protocol {
                        TCP => serves(tcp_ports, segment),
                        ICMP => informs(addresses, segment, &ECHO, &ERRORS),
                        ICMP_V6 => informs(addresses, segment, &ECHO_V6, &ERRORS_V6),
                        _ => false,
                    })
            }
        }
    }
}

fn serves(tcp_ports: &[u16], segment: &[u8]) -> bool {
    let port = segment.get(2..4).and_then(|octets| octets.try_into().ok()).map(u16::from_be_bytes);
    let opens = segment.get(TCP_FLAGS).map(|flags| flags & (SYN | ACK) == SYN);
    match (port, opens) {
        (Some(port), Some(true)) => tcp_ports.contains(&port),
        (Some(_), Some(false)) => true,
        _ => false,
    }
}

/// Whether an ICMP message is an echo, or an error about TCP from one of the inner addresses.
fn informs(addresses: &[IpAddr], message: &[u8], echo: &[u8], errors: &[u8]) -> bool {
    let Some(kind) = message.first() else { return false };
    let quoted = message.get(ICMP_HEADER_OCTETS..).filter(|_| errors.contains(kind));
    echo.contains(kind) || quoted.and_then(tcp_sender).is_some_and(|sender| addresses.contains(&sender))
}

/// Who has sent a TCP segment, of which perhaps no more is there than the IP header.
fn tcp_sender(packet: &[u8]) -> Option<IpAddr> {
    let (TCP, _) = transport(packet)? else { return None };
    match packet.first()? >> 4 {
        4 => Some(IpAddr::from(*packet.get(12..)?.first_chunk::<4>()?)),
        _ => Some(IpAddr::from(*packet.get(8..)?.first_chunk::<16>()?)),
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
        assert!(home().admits(&v4(HOME, ICMP, &[8, 0, 0, 0])));
        assert!(home().admits(&v6(ICMP_V6, &[129, 0, 0, 0])));
    }

    /// An ICMP error of `kind` about a packet.
    fn error(kind: u8, about: &[u8]) -> Vec<u8> {
        [&[kind, 4, 0, 0, 0, 0, 5, 0], about].concat()
    }

    /// The head of a packet of the protocol that has been sent from an address to another.
    fn quoted_v4(from: [u8; 4], protocol: u8) -> Vec<u8> {
        let mut packet = v4([203, 0, 113, 9], protocol, &[0; 8]);
        packet[12..16].copy_from_slice(&from);
        packet
    }

    fn quoted_v6(from: &str, next_header: u8) -> Vec<u8> {
        let mut packet = v6(next_header, &[0; 8]);
        packet[8..24].copy_from_slice(&from.parse::<std::net::Ipv6Addr>().unwrap().octets());
        packet
    }

    #[test]
    fn errors_about_homes_own_tcp_pass_and_no_others() {
        for kind in [3, 11, 12] {
            assert!(home().admits(&v4(HOME, ICMP, &error(kind, &quoted_v4(HOME, TCP)))), "type {kind}");
            let elsewhere = error(kind, &quoted_v4([192, 168, 1, 20], TCP));
            assert!(!home().admits(&v4(HOME, ICMP, &elsewhere)), "type {kind}");
        }
        for kind in [1, 2, 3, 4] {
            let own = error(kind, &quoted_v6("fd70:6f73:7465::2", TCP));
            assert!(home().admits(&v6(ICMP_V6, &own)), "type {kind}");
            let elsewhere = error(kind, &quoted_v6("2001:db8:cafe::20", TCP));
            assert!(!home().admits(&v6(ICMP_V6, &elsewhere)), "type {kind}");
        }
        assert!(!home().admits(&v4(HOME, ICMP, &error(3, &quoted_v4(HOME, 17)))), "home sends no UDP");
        assert!(!home().admits(&v6(ICMP_V6, &error(2, &quoted_v6("fd70:6f73:7465::2", 0)))), "options");
        let whole = error(3, &quoted_v4(HOME, TCP));
        for octets in 0..ICMP_HEADER_OCTETS + 16 {
            assert!(!home().admits(&v4(HOME, ICMP, &whole[..octets])), "{octets} octets");
        }
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
