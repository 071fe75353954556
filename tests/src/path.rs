//! What lies between home and the edge, and what may happen to it: width, lost ICMP, fragments, IPv6, NAT.

use anyhow::Result;

use crate::lab::Lab;
use crate::topology::{Host, ISP_OTHER_V4, ISP_V4};

/// The prefix of home's network once it has IPv6: the router's address is `::1`, home's `::20`.
const LAN_V6: &str = "2001:db8:40e:";
/// The prefix of the provider's line.
const LINE_V6: &str = "2001:db8:15b:";

/// What routers do with fragments of IPv4.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fragments {
    /// They pass, as the standard has it.
    Pass,
    /// They vanish, as on many a real line.
    Vanish,
}

impl Lab {
    /// Lets home's line pass datagrams of this length at most from now on. No router tells anybody: ICMP is dropped.
    ///
    /// # Errors
    /// When a router refuses.
    pub fn narrow_home_line(&self, octets: u16, fragments: Fragments) -> Result<()> {
        let drop_fragments = match fragments {
            Fragments::Pass => "",
            // Before connection tracking puts fragments together.
            Fragments::Vanish => {
                "nft add chain inet narrow in '{ type filter hook prerouting priority -450 ; }'
                 nft add rule inet narrow in 'ip frag-off & 16383 != 0 drop'"
            }
        };
        for (host, link) in [(Host::Internet, "isp"), (Host::Isp, "eth0")] {
            self.host(host).sh(&format!(
                "nft add table inet narrow
                 nft add chain inet narrow out '{{ type filter hook output priority 0 ; }}'
                 nft add rule inet narrow out icmp type destination-unreachable drop
                 nft add rule inet narrow out icmpv6 type packet-too-big drop
                 {drop_fragments}
                 ip link set {link} mtu {octets}"
            ))?;
        }
        Ok(())
    }

    /// Gives home's network IPv6 through the provider, without NAT.
    ///
    /// # Errors
    /// When a host refuses.
    pub fn give_home_v6(&self) -> Result<()> {
        self.host(Host::Internet).sh(&format!(
            "ip address add {LINE_V6}:1/64 dev isp nodad
             ip route add {LAN_V6}:/64 via {LINE_V6}:2"
        ))?;
        self.host(Host::Isp).sh(&format!(
            "ip address add {LINE_V6}:2/64 dev eth0 nodad
             ip address add {LAN_V6}:1/64 dev lan0 nodad
             ip route add ::/0 via {LINE_V6}:1"
        ))?;
        self.host(Host::Home).sh(&format!(
            "ip address add {LAN_V6}:20/64 dev eth0 nodad
             ip route add ::/0 via {LAN_V6}:1"
        ))?;
        Ok(())
    }

    /// Lets the provider's router forget its NAT state and choose source ports from another range, at the same address.
    ///
    /// # Errors
    /// When the router refuses.
    pub fn rebind_nat(&self, ports: std::ops::RangeInclusive<u16>) -> Result<()> {
        let (first, last) = (ports.start(), ports.end());
        let isp = self.host(Host::Isp);
        isp.sh(&format!(
            "nft flush chain ip isp postrouting
             nft add rule ip isp postrouting oifname eth0 meta l4proto udp masquerade to :{first}-{last}
             nft add rule ip isp postrouting oifname eth0 masquerade"
        ))?;
        // The kernel forgets what it has masqueraded to an address when the address goes.
        let now = isp.sh("ip -4 -o address show dev eth0")?.stdout;
        let address = if now.contains(&format!(" {ISP_V4}/")) { ISP_V4 } else { ISP_OTHER_V4 };
        isp.sh(&format!(
            "ip address del {address}/24 dev eth0
             ip address add {address}/24 dev eth0
             ip route replace default via 203.0.113.1"
        ))?;
        Ok(())
    }
}
