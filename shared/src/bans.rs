//! Networks that the edge takes nothing from, and those that nobody can ban.
//!
//! In: addresses and prefixes. Out: bans in one canonical form, as home pushes them and the edge holds them. Refused, with
//! a sentence: what would cut off the tunnel, a private network, or half the world ([`Protected::refusal`]).
//!
//! An IPv6 client is taken to own its /64, so a longer IPv6 prefix bans the whole /64. Times are durations, not
//! points in time: the clocks of home and edge need not agree.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde::{Deserialize, Serialize};

/// Bans in one list.
pub const MOST_BANS: usize = 20_000;

/// Octets of a reason.
pub const MOST_REASON_OCTETS: usize = 120;

/// The longest IPv6 prefix that is told apart from its neighbours.
const CLIENT_PREFIX_V6: u8 = 64;

/// The shortest prefixes that can be banned: an allocation of a registry to one provider.
const WIDEST_V4: u8 = 8;
const WIDEST_V6: u8 = 20;

/// A network that the edge takes nothing from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ban {
    /// The network, [canonical].
    pub network: IpNet,
    /// The seconds that are left of it; without end where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<u64>,
    /// Why, in words.
    #[serde(default)]
    pub reason: String,
}

/// All bans that shall hold, in the place of all before.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BanList {
    /// Home's name for this list, which the edge repeats in its status: the same list has the same name.
    pub revision: String,
    /// The bans, at most [`MOST_BANS`].
    pub bans: Vec<Ban>,
}

/// The edge's answer to a [`BanList`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BansTaken {
    /// Whether anything is different now.
    pub changed: bool,
    /// What the edge left out; the rest holds.
    #[serde(default)]
    pub refused: Vec<RefusedBan>,
}

/// A ban that the edge did not take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedBan {
    /// The network.
    pub network: IpNet,
    /// The edge's sentence.
    pub why: String,
}

/// The network that a ban of this one means: IPv4-mapped addresses as IPv4, an IPv6 client as its /64, no host bits.
pub fn canonical(network: IpNet) -> IpNet {
    match network.trunc() {
        IpNet::V6(v6) => match v6.addr().to_ipv4_mapped().zip(v6.prefix_len().checked_sub(96)) {
            Some((v4, length)) => Ipv4Net::new(v4, length).map_or(IpNet::V6(v6), IpNet::V4),
            None => shortened(v6).into(),
        },
        v4 => v4,
    }
}

fn shortened(network: Ipv6Net) -> Ipv6Net {
    let length = network.prefix_len().min(CLIENT_PREFIX_V6);
    Ipv6Net::new(network.addr(), length).map_or(network, |network| network.trunc())
}

/// The network of one client, as [`canonical`] has it.
pub fn client_network(address: IpAddr) -> IpNet {
    canonical(address.into())
}

/// Parses an address or a prefix; the text of an error says what was expected.
///
/// # Errors
/// The sentence for the operator.
pub fn parse_network(text: &str) -> Result<IpNet, String> {
    let address = || text.parse::<IpAddr>().map(IpNet::from).ok();
    let network = text.parse().ok().or_else(address).map(canonical);
    network.ok_or_else(|| {
        format!(
            "`{text}` is no address or prefix; expected one like 203.0.113.7, 203.0.113.0/24 or 2001:db8::/64"
        )
    })
}

/// The networks that nobody can ban, each with what it is.
#[derive(Debug, Clone)]
pub struct Protected(Vec<(IpNet, &'static str)>);

impl Default for Protected {
    /// What is no part of the internet: loopback, private, link-local, multicast and unspecified addresses.
    fn default() -> Self {
        let v4 = |octets: [u8; 4], length, what| (Ipv4Net::new(octets.into(), length).map(IpNet::V4), what);
        let v6 = |first: u16, length, what| {
            let address = Ipv6Addr::new(first, 0, 0, 0, 0, 0, 0, 0);
            (Ipv6Net::new(address, length).map(IpNet::V6), what)
        };
        let all = [
            v4([127, 0, 0, 0], 8, "loopback"),
            v4([10, 0, 0, 0], 8, "a private network (RFC 1918)"),
            v4([172, 16, 0, 0], 12, "a private network (RFC 1918)"),
            v4([192, 168, 0, 0], 16, "a private network (RFC 1918)"),
            v4([169, 254, 0, 0], 16, "link-local"),
            v4([224, 0, 0, 0], 4, "multicast"),
            v4(Ipv4Addr::UNSPECIFIED.octets(), 8, "no address of a host"),
            v6(0, 64, "no address of a stranger"),
            v6(0xfc00, 7, "a private network (RFC 4193)"),
            v6(0xfe80, 10, "link-local"),
            v6(0xff00, 8, "multicast"),
        ];
        Self(all.into_iter().filter_map(|(network, what)| Some((network.ok()?, what))).collect())
    }
}

impl Protected {
    /// Protects a network too.
    pub fn add(&mut self, network: impl Into<IpNet>, what: &'static str) {
        self.0.push((canonical_protected(network.into()), what));
    }

    /// Protects several networks of one kind.
    pub fn add_all(&mut self, networks: impl IntoIterator<Item = impl Into<IpNet>>, what: &'static str) {
        networks.into_iter().for_each(|network| self.add(network, what));
    }

    /// Why a canonical network cannot be banned; `None` where it can.
    pub fn refusal(&self, network: &IpNet) -> Option<String> {
        let widest = if network.addr().is_ipv4() { WIDEST_V4 } else { WIDEST_V6 };
        if network.prefix_len() < widest {
            return Some(format!("{network} is too wide to be banned; the widest prefix is /{widest}"));
        }
        let overlaps = |(held, _): &&(IpNet, _)| held.contains(network) || network.contains(held);
        let (held, what) = self.0.iter().find(overlaps)?;
        Some(format!("{network} cannot be banned: {held} is {what}"))
    }
}

/// As [`canonical`], but an address stays an address: what shares its /64 may be a stranger's.
fn canonical_protected(network: IpNet) -> IpNet {
    match network {
        IpNet::V6(v6) if v6.addr().to_ipv4_mapped().is_none() => IpNet::V6(v6.trunc()),
        other => canonical(other),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn network(text: &str) -> IpNet {
        parse_network(text).unwrap()
    }

    #[test]
    fn one_form_for_each_client() {
        for (text, expected) in [
            ("203.0.113.7", "203.0.113.7/32"),
            ("203.0.113.7/24", "203.0.113.0/24"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
            ("2001:db8:1:2:3::/80", "2001:db8:1:2::/64"),
            ("2001:db8::/32", "2001:db8::/32"),
            ("::ffff:203.0.113.7", "203.0.113.7/32"),
        ] {
            assert_eq!(network(text).to_string(), expected);
        }
        for wrong in ["", "mail.example", "203.0.113.7/33", "203.0.113", "::/129"] {
            assert!(parse_network(wrong).unwrap_err().contains("no address or prefix"), "{wrong}");
        }
    }

    #[test]
    fn what_is_protected_is_refused_with_its_name() {
        let mut protected = Protected::default();
        protected.add(IpAddr::from([192, 0, 2, 10]), "the edge itself");
        protected.add("2001:db8:ed::10".parse::<IpAddr>().unwrap(), "the edge itself");
        for (text, why) in [
            ("127.0.0.1", "loopback"),
            ("192.168.1.20", "a private network"),
            ("10.118.0.2", "a private network"),
            ("fd70:6f73:7465::1", "a private network"),
            ("192.0.2.10", "the edge itself"),
            ("192.0.0.0/16", "192.0.2.10/32 is the edge itself"),
            ("2001:db8:ed::99", "2001:db8:ed::10/128 is the edge itself"),
            ("0.0.0.0/0", "too wide"),
            ("2001::/16", "too wide"),
        ] {
            let refusal = protected.refusal(&network(text)).unwrap_or_default();
            assert!(refusal.contains(why), "{text}: {refusal:?}");
        }
        for text in ["192.0.2.11", "203.0.113.0/24", "2001:db8:ee::/64"] {
            assert_eq!(protected.refusal(&network(text)), None);
        }
    }

    proptest! {
        #[test]
        fn canonical_networks_stay_as_they_are(address: [u8; 16], length in 0_u8..=128) {
            let once = canonical(Ipv6Net::new(address.into(), length).unwrap().into());
            prop_assert_eq!(canonical(once), once);
            prop_assert!(once.prefix_len() <= 64);
        }
    }
}
