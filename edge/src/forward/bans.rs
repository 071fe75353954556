//! The banned networks in the kernel's sets, changed one by one.
//!
//! In: what shall be banned until when, and what the sets hold. Out: the elements to add and to delete. The kernel ends
//! each ban itself. A set of intervals holds no network inside another, so of nested ones the widest stands there, and
//! what lies within comes in when that has ended.

use std::collections::BTreeMap;

use ipnet::IpNet;
use serde_json::{Value, json};

/// The set of banned IPv4 networks.
pub const BANNED_V4: &str = "banned4";
/// The set of banned IPv6 networks.
pub const BANNED_V6: &str = "banned6";

/// Elements of one set.
const MOST_ELEMENTS: u32 = 65_536;

/// Elements in one transaction: the kernel is not held up for longer than some tens of milliseconds.
pub const BATCH: usize = 4096;

/// Deletions that are made one by one. `nft` searches the whole set for each (2.7 s for 256 of 9,000 elements with version
/// 1.0.6), where filling the set anew takes 0.24 s.
pub const FEW: usize = 16;

/// An element that ends within so many seconds is left to end by itself, since deleting what is gone fails.
const ENDING: u64 = 3;

/// Each banned network and when that ends, in seconds since 1970; `None` for never.
pub type Bans = BTreeMap<IpNet, Option<u64>>;

/// What to change.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// Elements to delete.
    pub delete: Vec<IpNet>,
    /// Elements to add.
    pub add: Vec<(IpNet, Option<u64>)>,
}

/// What a set is made with, besides its name and type.
pub fn set_options() -> Value {
    json!({ "flags": ["interval", "timeout"], "size": MOST_ELEMENTS, "stmt": [{ "counter": null }] })
}

/// The set that a network belongs to.
pub fn set_of(network: &IpNet) -> &'static str {
    if network.addr().is_ipv4() { BANNED_V4 } else { BANNED_V6 }
}

/// The networks that hold now and lie in no other.
pub fn outermost(bans: &Bans, now: u64) -> Bans {
    let mut kept = Bans::new();
    // Wider networks stand before what they contain.
    for (network, until) in bans.iter().filter(|(_, until)| until.is_none_or(|until| until > now)) {
        let around = kept.range(..=*network).next_back();
        if around.is_none_or(|(outer, _)| !outer.contains(network)) {
            kept.insert(*network, *until);
        }
    }
    kept
}

/// The way from what the sets `hold` to what is `wanted`, both outermost. What has ended is no longer held.
pub fn difference(held: &Bans, wanted: &Bans, now: u64) -> Difference {
    let is_ending = |until: &Option<u64>| until.is_some_and(|until| until <= now + ENDING);
    let delete: Vec<IpNet> = held
        .iter()
        .filter(|(network, until)| wanted.get(network) != Some(until) && !is_ending(until))
        .map(|(network, _)| *network)
        .collect();
    let ending: Vec<&IpNet> =
        held.iter().filter(|(_, until)| is_ending(until)).map(|(network, _)| network).collect();
    let collides =
        |network: &IpNet| ending.iter().any(|held| held.contains(network) || network.contains(*held));
    let add = wanted.iter().filter(|(network, until)| held.get(network) != Some(until) && !collides(network));
    Difference { delete, add: add.map(|(network, until)| (*network, *until)).collect() }
}

/// The longest time-out that `nft` takes for sure, seconds: ten years.
const LONGEST: u64 = 10 * 365 * 86_400;

/// An element as `nft` takes it.
pub fn element(network: &IpNet, until: Option<u64>, now: u64) -> Value {
    let value = if network.prefix_len() == network.max_prefix_len() {
        json!(network.addr())
    } else {
        json!({ "prefix": { "addr": network.addr(), "len": network.prefix_len() } })
    };
    match until {
        Some(until) => {
            json!({ "elem": { "val": value, "timeout": until.saturating_sub(now).clamp(1, LONGEST) } })
        }
        None => value,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bans(list: &[(&str, Option<u64>)]) -> Bans {
        list.iter().map(|(network, until)| (network.parse().unwrap(), *until)).collect()
    }

    #[test]
    fn of_nested_networks_the_widest_that_holds_stands_in_the_set() {
        let all = bans(&[
            ("203.0.113.0/24", Some(100)),
            ("203.0.113.7/32", None),
            ("203.0.112.0/23", Some(50)),
            ("2001:db8::/64", Some(60)),
        ]);
        assert_eq!(outermost(&all, 10), bans(&[("203.0.112.0/23", Some(50)), ("2001:db8::/64", Some(60))]));
        assert_eq!(outermost(&all, 60), bans(&[("203.0.113.0/24", Some(100))]));
        assert_eq!(outermost(&all, 100), bans(&[("203.0.113.7/32", None)]));
    }

    #[test]
    fn only_what_differs_is_changed_and_what_ends_is_left() {
        let held = bans(&[("192.0.2.1/32", None), ("192.0.2.2/32", Some(12)), ("192.0.2.3/32", Some(90))]);
        let wanted = bans(&[("192.0.2.1/32", None), ("192.0.2.2/32", Some(80)), ("192.0.2.3/32", Some(70))]);
        let change = difference(&held, &wanted, 10);
        assert_eq!(change.delete, ["192.0.2.3/32".parse::<IpNet>().unwrap()]);
        assert_eq!(change.add, [("192.0.2.3/32".parse().unwrap(), Some(70))]);
        assert_eq!(difference(&wanted, &wanted, 10), Difference::default());
    }

    proptest! {
        #[test]
        fn no_network_in_the_set_lies_in_another(
            list in proptest::collection::btree_map((any::<u32>(), 8_u8..=32), proptest::option::of(0_u64..20), 0..40),
        ) {
            let all: Bans = list
                .into_iter()
                // Few distinct first octets, so that networks nest.
                .map(|((address, length), until)| {
                    let address = std::net::Ipv4Addr::from(address & 0x03ff_ffff | 0x0c00_0000);
                    (IpNet::new(address.into(), length).unwrap().trunc(), until)
                })
                .collect();
            let kept: Vec<_> = outermost(&all, 10).into_keys().collect();
            for (place, one) in kept.iter().enumerate() {
                prop_assert!(kept.iter().skip(place + 1).all(|other| !one.contains(other) && !other.contains(one)));
            }
            for (network, _) in all.iter().filter(|(_, until)| until.is_none_or(|until| until > 10)) {
                prop_assert!(kept.iter().any(|outer| outer.contains(network)));
            }
        }
    }
}
