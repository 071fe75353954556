//! The rules that slow down who opens connections too fast.
//!
//! In: the limits. Out: a set of clients for each port family and protocol, kept by the kernel, and the rules that drop
//! what is too fast. Only packets that open a flow are looked at. A dropped SYN comes again after a second (RFC 6298 §2),
//! so who was a little too fast is served a little later.
//!
//! The rules are JSON by hand where the crate's statement lacks a field: an update of a set with a limit in it.

use serde_json::{Value, json};

use super::rules::{Rules, json};
use super::state::{DROPPED_LIMITED, DesiredState, SMTP};
use super::words::{client_network, count, to_tcp_ports};
use nftables::stmt::Statement;

/// Clients remembered in one set; further ones are not limited.
const MOST_CLIENTS: u32 = 16_384;

/// Seconds for which a client is remembered: longer than any burst takes to be earned anew at the default rates.
const MEMORY: u32 = 300;

/// One port family and its limit.
struct Family {
    sets: [&'static str; 2],
    ports: Vec<u16>,
    per_minute: u32,
    burst: u32,
}

/// The name and type of each set.
pub fn sets() -> [(&'static str, &'static str); 4] {
    [
        ("smtp_clients4", "ipv4_addr"),
        ("smtp_clients6", "ipv6_addr"),
        ("clients4", "ipv4_addr"),
        ("clients6", "ipv6_addr"),
    ]
}

/// What a set is made with, besides its name and type. `nft` makes it dynamic by itself, since a rule updates it; the JSON
/// of version 1.0.6 has no word for that.
pub fn set_options() -> Value {
    json!({ "flags": ["timeout"], "timeout": MEMORY, "size": MOST_CLIENTS })
}

/// The rules of the chain `new_flows`.
pub fn rules(state: &DesiredState) -> Rules {
    families(state)
        .iter()
        .filter(|family| family.per_minute > 0 && !family.ports.is_empty())
        .flat_map(family_rules)
        .collect()
}

fn families(state: &DesiredState) -> [Family; 2] {
    let (smtp, others) = state.ports.keys().partition(|port| **port == SMTP);
    let limits = &state.limits;
    [
        Family {
            sets: ["smtp_clients4", "smtp_clients6"],
            ports: smtp,
            per_minute: limits.smtp_per_minute,
            burst: limits.smtp_burst,
        },
        Family {
            sets: ["clients4", "clients6"],
            ports: others,
            per_minute: limits.clients_per_minute,
            burst: limits.clients_burst,
        },
    ]
}

fn family_rules(family: &Family) -> [(&'static str, Vec<Value>); 2] {
    let [v4, v6] = family.sets;
    [("ip", v4), ("ip6", v6)].map(|(protocol, set)| {
        let ports = to_tcp_ports(&family.ports.iter().copied().collect());
        let limit = json!({ "rate": family.per_minute, "per": "minute", "burst": family.burst, "inv": true });
        let update = json!({ "set": {
            "op": "update", "elem": json(&client_network(protocol)), "set": format!("@{set}"), "stmt": [{ "limit": limit }],
        } });
        ("new_flows", vec![json(&ports), update, json(&count(DROPPED_LIMITED)), json(&Statement::Drop(None))])
    })
}
