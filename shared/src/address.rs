//! What kind of address an IP address is.

use std::net::IpAddr;

/// Whether the world can send to an address (RFC 6890). Documentation ranges count: laboratories use them as the internet.
pub fn is_global(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            let [first, second, ..] = v4.octets();
            let is_shared = first == 100 && (64..128).contains(&second);
            let is_reserved = first == 0 || first >= 240;
            ![
                v4.is_private(),
                v4.is_loopback(),
                v4.is_link_local(),
                v4.is_multicast(),
                is_shared,
                is_reserved,
            ]
            .contains(&true)
        }
        IpAddr::V6(v6) => {
            let is_local = v6.is_unicast_link_local() || v6.is_unique_local();
            ![v6.is_loopback(), v6.is_unspecified(), v6.is_multicast(), is_local].contains(&true)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_world_can_send_to_is_global() {
        let is_global = |text: &str| is_global(text.parse().unwrap());
        for address in ["192.0.2.1", "198.51.100.7", "8.8.8.8", "2001:db8::1", "2600::1", "::ffff:8.8.8.8"] {
            assert!(is_global(address), "{address}");
        }
        for address in [
            "10.0.0.1",
            "192.168.1.1",
            "172.16.0.1",
            "127.0.0.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::1",
            "::",
            "fe80::1",
            "fd00::1",
            "ff02::1",
            "::ffff:192.168.1.1",
        ] {
            assert!(!is_global(address), "{address}");
        }
    }
}
