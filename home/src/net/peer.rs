//! Who is at the other end: the canonical address, and the network that limits are counted for.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// The two ends of a connection, IPv4-mapped IPv6 addresses turned into IPv4 (RFC 4291 §2.5.5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The client's address and port.
    pub remote: SocketAddr,
    /// Our own address and port of this connection.
    pub local: SocketAddr,
}

impl Peer {
    /// Makes both ends canonical.
    pub fn new(remote: SocketAddr, local: SocketAddr) -> Peer {
        Peer { remote: canonical(remote), local: canonical(local) }
    }

    /// The client's address.
    pub fn address(&self) -> IpAddr {
        self.remote.ip()
    }
}

fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// The network one client is taken to own: the address itself in IPv4, its /64 in IPv6.
pub fn client_network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mapped_addresses_are_ipv4() {
        let peer = Peer::new(
            "[::ffff:192.0.2.7]:4000".parse().expect("address"),
            "[::ffff:10.118.0.2]:25".parse().expect("address"),
        );
        assert_eq!(peer.address().to_string(), "192.0.2.7");
        assert_eq!(peer.local.to_string(), "10.118.0.2:25");
    }

    #[test]
    fn one_ipv6_client_is_a_64() {
        let network = |text: &str| client_network(text.parse().expect("address"));
        assert_eq!(network("2001:db8:1:2:3:4:5:6"), network("2001:db8:1:2::1"));
        assert_ne!(network("2001:db8:1:2::1"), network("2001:db8:1:3::1"));
        assert_eq!(network("::ffff:192.0.2.7"), network("192.0.2.7"));
    }
}
