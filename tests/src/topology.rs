//! The hosts of the small internet and their addresses.
//!
//! Every public host hangs on its own routed link of the `internet` host, whose end of the link is the
//! first address of the subnet. The subnets are the ones set aside for documentation and benchmarks
//! (RFC 5737, RFC 2544, RFC 3849), so a leaked packet goes nowhere.
//!
//! ```text
//!  root  registry  resolver  stranger   edge   cafe  authority
//!    └───────┴─────────┴───┬─────┴────────┴──────┴──────┘
//!                       internet
//!                          │ 203.0.113.0/24, IPv4 only, address changes
//!                         isp     NAT
//!                          │ 192.168.1.0/24
//!                         home    no route in
//! ```

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A host of the lab: one network, mount and UTS namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Host {
    /// The core router that all public links end on.
    Internet,
    /// The root name server.
    Root,
    /// The name server of `test`, `example` and the reverse zones.
    Registry,
    /// The public validating resolver that every host asks.
    Resolver,
    /// A mail system we did not write: Postfix with the domain `stranger.test`.
    Stranger,
    /// The rented server that runs `postern-edge`.
    Edge,
    /// The internet provider's router in front of home: NAT and a changing address.
    Isp,
    /// The machine at home that runs `postern-home`.
    Home,
    /// A computer on another network, from which ana reads and writes her mail.
    Cafe,
    /// A certificate authority that issues by ACME: Pebble, where a scenario starts it.
    Authority,
}

/// A link of a public host to the core router; the router's end has the first host address.
#[derive(Debug, Clone, Copy)]
pub struct Uplink {
    /// The host's IPv4 address, in a /24 of its own.
    pub v4: Ipv4Addr,
    /// The host's IPv6 address, in a /64 of its own; the provider of home has none.
    pub v6: Option<Ipv6Addr>,
}

/// The address of the machine that [`crate::Lab::replace_edge`] puts in the edge's place.
pub const EDGE_OTHER_V4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 77);
/// The same, IPv6.
pub const EDGE_OTHER_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xed, 0, 0, 0, 0, 0x77);
/// The provider's first address; [`crate::Lab::change_isp_address`] alternates it with [`ISP_OTHER_V4`].
pub const ISP_V4: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 10);
/// The address that the provider's router has after the first change.
pub const ISP_OTHER_V4: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 77);
/// The router's address on the home network.
pub const ISP_LAN_V4: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 1);
/// The home server's address on the home network.
pub const HOME_LAN_V4: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 20);

impl Host {
    /// Every host, routers first.
    pub const ALL: [Host; 10] = [
        Host::Internet,
        Host::Isp,
        Host::Root,
        Host::Registry,
        Host::Resolver,
        Host::Stranger,
        Host::Edge,
        Host::Home,
        Host::Cafe,
        Host::Authority,
    ];

    /// The host's name, as given to `lab sh`.
    pub fn name(self) -> &'static str {
        match self {
            Host::Internet => "internet",
            Host::Root => "root",
            Host::Registry => "registry",
            Host::Resolver => "resolver",
            Host::Stranger => "stranger",
            Host::Edge => "edge",
            Host::Isp => "isp",
            Host::Home => "home",
            Host::Cafe => "cafe",
            Host::Authority => "authority",
        }
    }

    /// The host's link to the core router; `None` for the router itself and for home.
    pub fn uplink(self) -> Option<Uplink> {
        let (v4, v6) = match self {
            Host::Internet | Host::Home => return None,
            Host::Root => ([198, 18, 0, 53], Some([0xa, 0x53])),
            Host::Registry => ([198, 18, 1, 53], Some([0xb, 0x53])),
            Host::Resolver => ([198, 18, 53, 53], Some([0xc, 0x53])),
            Host::Stranger => ([198, 51, 100, 25], Some([0x25, 0x25])),
            Host::Edge => ([192, 0, 2, 10], Some([0xed, 0x10])),
            Host::Cafe => ([198, 18, 7, 5], Some([0xcafe, 0x5])),
            Host::Authority => ([198, 18, 14, 14], Some([0xace, 0x14])),
            Host::Isp => (ISP_V4.octets(), None),
        };
        let v6 = v6.map(|[subnet, host]| Ipv6Addr::new(0x2001, 0xdb8, subnet, 0, 0, 0, 0, host));
        Some(Uplink { v4: Ipv4Addr::from(v4), v6 })
    }

    /// The host's IPv4 address: the public one, or home's on its own network.
    pub fn v4(self) -> Ipv4Addr {
        match self.uplink() {
            Some(uplink) => uplink.v4,
            None => HOME_LAN_V4,
        }
    }

    /// The host's public IPv6 address, if it has one.
    pub fn v6(self) -> Option<Ipv6Addr> {
        self.uplink().and_then(|uplink| uplink.v6)
    }

    /// Says whether the host passes packets on.
    pub fn is_router(self) -> bool {
        matches!(self, Host::Internet | Host::Isp)
    }
}

impl Uplink {
    /// The core router's IPv4 address on this link.
    pub fn gateway_v4(&self) -> Ipv4Addr {
        let [a, b, c, _] = self.v4.octets();
        Ipv4Addr::new(a, b, c, 1)
    }

    /// The core router's IPv6 address on this link.
    pub fn gateway_v6(&self) -> Option<Ipv6Addr> {
        let [a, b, c, ..] = self.v6?.segments();
        Some(Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 1))
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Host {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Host::ALL.into_iter().find(|host| host.name() == name).ok_or_else(|| {
            let names: Vec<_> = Host::ALL.iter().map(|host| host.name()).collect();
            format!("no host {name:?} in the lab; the hosts are {}", names.join(", "))
        })
    }
}
