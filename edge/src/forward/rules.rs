//! The firewall as a value: a pure function from what is wanted to the chains and rules of the table `inet postern`.
//!
//! | chain | hook | does |
//! |---|---|---|
//! | `banned` | prerouting, raw | banned source: drop, before any state is kept of it |
//! | `arriving` | prerouting, mangle | world → listed TCP port, a new flow: jump `new_flows` |
//! | `new_flows` | | more new flows of one client than allowed: drop |
//! | `prerouting` | nat, dstnat | world → local address, listed TCP port: jump `to_home`; → home's routed address: jump `to_routed` |
//! | `to_home` | | DNAT to home's inner address, counted for each port; the source address is never touched |
//! | `to_routed` | | only counted; the port is translated where home's is another |
//! | `postrouting` | nat, srcnat | home's inner address → world, listed TCP port: masquerade |
//! | `mss` | forward, mangle | SYN through the tunnel: MSS at most what the route's MTU allows (RFC 9293 §3.7.1) |
//! | `forward` | forward, filter | accept; what concerns the tunnel jumps to `from_home` or `towards_home` |
//! | `from_home` | | home's own addresses, to listed ports or as part of a known flow; another TCP flow is told that it may not, all else is dropped |
//! | `towards_home` | | what was translated, what is for the routed address, or part of a known flow; all else is dropped |
//! | `input` | input, filter | the inner addresses are reached through the tunnel only; the optional closed door |
//!
//! While home is silent ([`Passage::Held`]) port 25 is redirected to a local listener and the other ports are answered
//! with a TCP reset. Known flows are not looked at again, so those to home go on through either change.
//!
//! While the mirror is open (`mirror`), what home sends to this machine's public addresses goes through the same chains.
//!
//! Forwarding that does not concern the tunnel (containers, other tunnels of this host) passes untouched: the base
//! chain's policy is accept, and the two inner chains end in a counted drop.

use std::collections::BTreeSet;
use std::net::IpAddr;

use nftables::expr::{Expression, MetaKey};
use nftables::schema::{Chain, NfListObject};
use nftables::stmt::{Operator, Statement};
use nftables::types::{NfChainPolicy, NfChainType, NfHook};
use serde::Serialize;
use serde_json::Value;

use super::bans::{BANNED_V4, BANNED_V6};
use super::state::{
    DROPPED_BANNED, DROPPED_FROM_HOME, DROPPED_INPUT, DROPPED_TOWARDS_HOME, DesiredState, HELD_OTHERS,
    HELD_SMTP, HOME_OUTBOUND, OpenPorts, Passage, SMTP, port_counter,
};
use super::table::{FAMILY, TABLE};
use super::words::*;
use super::{limits, mirror};

/// Rules as `nft` takes them, each with its chain.
pub type Rules = Vec<(&'static str, Vec<Value>)>;

/// The same, as the crate has them.
pub type Statements = Vec<(&'static str, Vec<Statement<'static>>)>;

/// Something of the crate's as JSON.
pub fn json(value: &impl Serialize) -> Value {
    serde_json::to_value(value).expect("the crate's types are plain data")
}

/// Every chain.
pub fn chains(state: &DesiredState) -> Vec<NfListObject<'static>> {
    use {NfChainPolicy::Accept, NfChainType::Filter, NfChainType::NAT};
    let input_policy = match state.closed_input {
        Some(_) => NfChainPolicy::Drop,
        None => Accept,
    };
    vec![
        base_chain("banned", Filter, NfHook::Prerouting, -300, Accept),
        base_chain("arriving", Filter, NfHook::Prerouting, -150, Accept),
        base_chain("prerouting", NAT, NfHook::Prerouting, -100, Accept),
        base_chain("postrouting", NAT, NfHook::Postrouting, 100, Accept),
        base_chain("mss", Filter, NfHook::Forward, -150, Accept),
        base_chain("forward", Filter, NfHook::Forward, 0, Accept),
        base_chain("input", Filter, NfHook::Input, 0, input_policy),
        chain("new_flows"),
        chain("to_home"),
        chain("to_routed"),
        chain("from_home"),
        chain("towards_home"),
    ]
}

fn chain(name: &'static str) -> NfListObject<'static> {
    NfListObject::Chain(Chain { family: FAMILY, table: TABLE.into(), name: name.into(), ..Chain::default() })
}

fn base_chain(
    name: &'static str,
    kind: NfChainType,
    hook: NfHook,
    priority: i32,
    policy: NfChainPolicy,
) -> NfListObject<'static> {
    NfListObject::Chain(Chain {
        family: FAMILY,
        table: TABLE.into(),
        name: name.into(),
        _type: Some(kind),
        hook: Some(hook),
        prio: Some(priority),
        policy: Some(policy),
        ..Chain::default()
    })
}

/// Every rule, in order within its chain.
pub fn rules(state: &DesiredState) -> Rules {
    let plain = [
        mirror::rules(state),
        banned_rules(state),
        arriving_rules(state),
        nat_rules(state),
        mss_rules(state),
        from_home_rules(state),
        towards_home_rules(state),
        input_rules(state),
    ];
    let plain = plain.concat().into_iter().map(|(chain, rule)| (chain, rule.iter().map(json).collect()));
    plain.chain(limits::rules(state)).collect()
}

/// A ban closes neither the tunnel (home may be behind a banned address) nor the operator's ports, and home may still
/// write to servers in a banned network: their answers open no connection.
fn banned_rules(state: &DesiredState) -> Statements {
    let tunnel = to_ports("udp", &BTreeSet::from([state.tunnel_port]));
    let mut rules = vec![("banned", vec![tunnel, Statement::Accept(None)])];
    if !state.operator_ports.is_empty() {
        rules.push(("banned", vec![to_tcp_ports(&state.operator_ports), Statement::Accept(None)]));
    }
    if !state.home_may_connect_to.is_empty() {
        let answers = from_tcp_ports(&state.home_may_connect_to);
        rules.push(("banned", vec![answers, opens_nothing(), Statement::Accept(None)]));
    }
    for (protocol, set) in [("ip", BANNED_V4), ("ip6", BANNED_V6)] {
        rules.push(("banned", vec![source_in(protocol, set), count(DROPPED_BANNED), Statement::Drop(None)]));
    }
    rules
}

fn arriving_rules(state: &DesiredState) -> Statements {
    let jump = |wanted| {
        (
            "arriving",
            [arriving(state, wanted, public_ports(state)), vec![new_flow(), jump("new_flows")]].concat(),
        )
    };
    destinations(state).into_iter().map(jump).collect()
}

/// Where the world finds home: the addresses of this machine, and the routed one where there is one.
fn destinations(state: &DesiredState) -> Vec<Statement<'static>> {
    if state.ports.is_empty() {
        return Vec::new();
    }
    let routed = state.routed_v6().map(|address| destination_is(address.into()));
    [to_local_address()].into_iter().chain(routed).collect()
}

fn public_ports(state: &DesiredState) -> BTreeSet<u16> {
    state.ports.keys().copied().collect()
}

/// From the world to a destination and one of these ports.
fn arriving(
    state: &DesiredState,
    destination: Statement<'static>,
    ports: BTreeSet<u16>,
) -> Vec<Statement<'static>> {
    vec![not_through(MetaKey::Iifname, &state.tunnel_interface), destination, to_tcp_ports(&ports)]
}

fn nat_rules(state: &DesiredState) -> Statements {
    let way_in = match state.passage {
        Passage::ToHome => to_home_rules(state),
        Passage::Held => held_rules(state),
    };
    [way_in, postrouting_rules(state)].concat()
}

fn to_home_rules(state: &DesiredState) -> Statements {
    let jumps = destinations(state).into_iter().zip(["to_home", "to_routed"]);
    let mut rules: Statements = jumps
        .map(|(destination, chain)| {
            let wanted = arriving(state, destination, public_ports(state));
            ("prerouting", [wanted, vec![jump(chain)]].concat())
        })
        .collect();
    for (public, home) in &state.ports {
        let counted = || vec![to_tcp_ports(&BTreeSet::from([*public])), count(port_counter(*public))];
        for (protocol, inner) in
            [("ipv4", IpAddr::from(state.home_v4)), ("ipv6", IpAddr::from(state.home_v6))]
        {
            let translated = vec![dnat(inner, *home)];
            rules.push(("to_home", [vec![protocol_is(protocol)], counted(), translated].concat()));
        }
        if let Some(routed) = state.routed_v6() {
            let other_port = (public != home).then(|| dnat(routed.into(), *home));
            rules.push(("to_routed", counted().into_iter().chain(other_port).collect()));
        }
    }
    rules
}

/// The other ports are closed in `input`, and for the routed address in `towards_home`.
fn held_rules(state: &DesiredState) -> Statements {
    if !state.ports.contains_key(&SMTP) {
        return Vec::new();
    }
    let held = |destination| {
        let wanted = arriving(state, destination, BTreeSet::from([SMTP]));
        ("prerouting", [wanted, vec![count(HELD_SMTP), redirect(state.hold_port)]].concat())
    };
    destinations(state).into_iter().map(held).collect()
}

/// The routed address needs no translation.
fn postrouting_rules(state: &DesiredState) -> Statements {
    if state.home_may_connect_to.is_empty() {
        return Vec::new();
    }
    let masquerade = |home: IpAddr| {
        let outbound = [not_through(MetaKey::Oifname, &state.tunnel_interface), source_is(home)];
        let listed = [to_tcp_ports(&state.home_may_connect_to), Statement::Masquerade(None)];
        ("postrouting", [outbound, listed].concat())
    };
    let translated_v6 = state.routed_v6().is_none().then_some(state.home_v6.into());
    [state.home_v4.into()].into_iter().chain(translated_v6).map(masquerade).collect()
}

fn mss_rules(state: &DesiredState) -> Statements {
    [MetaKey::Oifname, MetaKey::Iifname]
        .map(|key| ("mss", vec![through(key, &state.tunnel_interface), is_syn(), clamp_mss()]))
        .into()
}

fn from_home_rules(state: &DesiredState) -> Statements {
    let tunnel = &state.tunnel_interface;
    let dropped = || vec![count(DROPPED_FROM_HOME), Statement::Drop(None)];
    let spoofed = |protocol, home| {
        ("from_home", [vec![protocol_is(protocol), source_is_not(home)], dropped()].concat())
    };
    let mut rules = vec![
        ("forward", vec![through(MetaKey::Iifname, tunnel), jump("from_home")]),
        ("from_home", [vec![through(MetaKey::Oifname, tunnel)], dropped()].concat()),
        spoofed("ipv4", state.home_v4.into()),
        spoofed("ipv6", state.home_v6.into()),
        ("from_home", vec![known_flow(), Statement::Accept(None)]),
    ];
    if !state.home_may_connect_to.is_empty() {
        let outbound = vec![to_tcp_ports(&state.home_may_connect_to), new_flow(), count(HOME_OUTBOUND)];
        rules.push(("from_home", [outbound, vec![Statement::Accept(None)]].concat()));
    }
    // Not a silent drop: a program at home that picks the tunnel's address for its source has to learn at once that there is
    // no way, so that it tries another.
    rules.push(("from_home", vec![is_syn(), count(DROPPED_FROM_HOME), prohibited()]));
    rules.push(("from_home", dropped()));
    rules
}

fn towards_home_rules(state: &DesiredState) -> Statements {
    let mut rules = vec![
        ("forward", vec![through(MetaKey::Oifname, &state.tunnel_interface), jump("towards_home")]),
        ("towards_home", vec![known_flow(), Statement::Accept(None)]),
        ("towards_home", vec![was_translated(), Statement::Accept(None)]),
    ];
    if let Some(routed) = state.routed_v6().filter(|_| !state.ports.is_empty()) {
        let wanted = vec![destination_is(routed.into()), to_tcp_ports(&public_ports(state)), new_flow()];
        let answer = match state.passage {
            Passage::ToHome => vec![Statement::Accept(None)],
            Passage::Held => vec![count(HELD_OTHERS), reset()],
        };
        rules.push(("towards_home", [wanted, answer].concat()));
    }
    rules.push(("towards_home", vec![count(DROPPED_TOWARDS_HOME), Statement::Drop(None)]));
    rules
}

/// Linux answers for any of its addresses on any interface; the first two rules undo that for the inner addresses. The
/// hold's listener is reached at port 25 only, while it holds.
fn input_rules(state: &DesiredState) -> Statements {
    let dropped = || [count(DROPPED_INPUT), Statement::Drop(None)];
    let mut rules: Statements = [IpAddr::from(state.edge_v4), IpAddr::from(state.edge_v6)]
        .map(|inner| {
            let elsewhere = set(["lo", state.tunnel_interface.as_str()].map(text));
            let outside = matches(meta(MetaKey::Iifname), Operator::NEQ, elsewhere);
            ("input", [vec![outside, destination_is(inner)], dropped().into()].concat())
        })
        .into();
    let hold = || vec![not_through(MetaKey::Iifname, "lo"), to_tcp_ports(&BTreeSet::from([state.hold_port]))];
    rules.push(("input", [hold(), vec![was_translated(), Statement::Accept(None)]].concat()));
    rules.push(("input", [hold(), dropped().into()].concat()));
    rules.extend(closed_port_rules(state));
    if let Some(open) = &state.closed_input {
        rules.extend(closed_input_rules(&state.tunnel_interface, open));
    }
    rules
}

/// While home is silent its ports say so at once.
fn closed_port_rules(state: &DesiredState) -> Statements {
    let others: BTreeSet<u16> = public_ports(state).into_iter().filter(|port| *port != SMTP).collect();
    if state.passage == Passage::ToHome || others.is_empty() {
        return Vec::new();
    }
    let wanted = arriving(state, to_local_address(), others);
    vec![("input", [wanted, vec![count(HELD_OTHERS), reset()]].concat())]
}

fn closed_input_rules(tunnel: &str, open: &OpenPorts) -> Statements {
    let own = matches(meta(MetaKey::Iifname), Operator::EQ, set(["lo", tunnel].map(text)));
    // RFC 4890 §4.4: neighbour discovery and path MTU discovery need ICMPv6.
    let icmp = matches(meta(MetaKey::L4proto), Operator::EQ, set([1, 58].map(Expression::Number)));
    let mut rules = vec![
        ("input", vec![own, Statement::Accept(None)]),
        ("input", vec![known_flow(), Statement::Accept(None)]),
        ("input", vec![icmp, Statement::Accept(None)]),
    ];
    if !open.tcp.is_empty() {
        rules.push(("input", vec![to_tcp_ports(&open.tcp), Statement::Accept(None)]));
    }
    if !open.udp.is_empty() {
        rules.push(("input", vec![to_ports("udp", &open.udp), Statement::Accept(None)]));
    }
    rules.push(("input", vec![count(DROPPED_INPUT), Statement::Drop(None)]));
    rules
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::super::state::{Limits, Mirror};
    use super::super::table::{remove, replace, update};
    use super::*;

    fn state() -> DesiredState {
        DesiredState {
            tunnel_interface: "postern0".to_owned(),
            tunnel_port: 51820,
            edge_v4: Ipv4Addr::new(10, 118, 0, 1),
            edge_v6: "fd70:6f73:7465::1".parse().unwrap(),
            home_v4: Ipv4Addr::new(10, 118, 0, 2),
            home_v6: "fd70:6f73:7465::2".parse().unwrap(),
            ports: BTreeMap::from([(25, 25), (993, 1993)]),
            home_may_connect_to: BTreeSet::from([25]),
            closed_input: None,
            operator_ports: BTreeSet::from([22]),
            limits: Limits::default(),
            passage: Passage::ToHome,
            hold_port: 2525,
            mirror: Mirror::Shut,
        }
    }

    fn chain_rules(state: &DesiredState, chain: &str) -> Vec<String> {
        let rules = rules(state).into_iter().filter(|(name, _)| *name == chain);
        rules.map(|(_, rule)| serde_json::to_string(&rule).unwrap()).collect()
    }

    fn text_of(commands: &[Value]) -> String {
        commands.iter().map(Value::to_string).collect()
    }

    #[test]
    fn one_transaction_replaces_the_table_whether_it_was_there_or_not() {
        let add = r#"{"add":{"table":{"family":"inet","name":"postern"}}}"#;
        let delete = r#"{"delete":{"table":{"family":"inet","name":"postern"}}}"#;
        assert!(text_of(&replace(&state())).starts_with(&format!("{add}{delete}{add}")));
        assert_eq!(text_of(&remove()), format!("{add}{delete}"));
    }

    #[test]
    fn an_update_deletes_nothing_but_rules() {
        let update = text_of(&update(&state()));
        assert!(update.contains(r#"{"flush":{"table":"#) && !update.contains("delete"), "{update}");
    }

    #[test]
    fn each_port_is_translated_for_both_protocols_and_no_source_is() {
        let rules = chain_rules(&state(), "to_home");
        assert_eq!(rules.len(), 4);
        assert!(
            rules[2].contains(r#"{"dnat":{"addr":"10.118.0.2","family":"ip","port":1993}}"#),
            "{}",
            rules[2]
        );
        assert!(rules[3].contains(r#"{"dnat":{"addr":"fd70:6f73:7465::2","family":"ip6","port":1993}}"#));
        assert!(!text_of(&replace(&state())).contains("snat"), "a source address would be hidden");
    }

    #[test]
    fn only_homes_own_outbound_is_masqueraded() {
        let rules = chain_rules(&state(), "postrouting");
        assert_eq!(rules.len(), 2);
        for (rule, home) in rules.iter().zip(["10.118.0.2", "fd70:6f73:7465::2"]) {
            assert!(
                rule.contains("saddr") && rule.contains(home) && rule.contains(r#"{"set":[25]}"#),
                "{rule}"
            );
        }
        let nothing = DesiredState { home_may_connect_to: BTreeSet::new(), ..state() };
        assert!(chain_rules(&nothing, "postrouting").is_empty());
        assert!(!chain_rules(&nothing, "from_home").iter().any(|rule| rule.contains("dport")));
    }

    #[test]
    fn both_inner_chains_end_in_a_counted_drop() {
        for chain in ["from_home", "towards_home"] {
            let last = chain_rules(&state(), chain).pop().unwrap();
            assert!(
                last.starts_with(r#"[{"counter":"dropped_"#) && last.ends_with(r#"{"drop":null}]"#),
                "{last}"
            );
        }
    }

    #[test]
    fn input_stays_open_unless_asked() {
        let policy =
            |state: &DesiredState| text_of(&replace(state)).matches(r#""policy":"drop""#).count() == 1;
        assert!(!policy(&state()));
        let open = OpenPorts { tcp: BTreeSet::from([22, 53]), udp: BTreeSet::from([53, 51820]) };
        let closed = DesiredState { closed_input: Some(open), ..state() };
        assert!(policy(&closed));
        assert!(chain_rules(&closed, "input").iter().any(|rule| rule.contains("51820")));
    }

    #[test]
    fn no_ports_means_no_way_in() {
        let closed = DesiredState { ports: BTreeMap::new(), ..state() };
        assert!(chain_rules(&closed, "prerouting").is_empty());
        assert!(chain_rules(&closed, "to_home").is_empty());
    }

    #[test]
    fn while_home_is_silent_smtp_is_answered_here_and_the_rest_is_closed() {
        let held = DesiredState { passage: Passage::Held, ..state() };
        assert!(chain_rules(&held, "to_home").is_empty());
        let [smtp] = &chain_rules(&held, "prerouting")[..] else { panic!("one rule expected") };
        assert!(smtp.contains(r#"{"redirect":{"port":2525}}"#) && smtp.contains(r#"{"set":[25]}"#), "{smtp}");
        let resets: Vec<String> =
            chain_rules(&held, "input").into_iter().filter(|rule| rule.contains("tcp reset")).collect();
        assert!(resets.len() == 1 && resets[0].contains(r#"{"set":[993]}"#), "{resets:?}");
        assert!(!chain_rules(&state(), "input").iter().any(|rule| rule.contains("tcp reset")));
    }

    #[test]
    fn each_port_family_and_protocol_has_its_limit_unless_it_is_off() {
        let rules = chain_rules(&state(), "new_flows");
        assert_eq!(rules.len(), 4);
        assert!(rules[0].contains(r#""burst":100"#) && rules[0].contains("@smtp_clients4"), "{}", rules[0]);
        assert!(
            rules[3].contains("ffff:ffff:ffff:ffff::") && rules[3].contains(r#""rate":120"#),
            "{}",
            rules[3]
        );
        let limits = Limits { clients_per_minute: 0, ..Limits::default() };
        assert_eq!(chain_rules(&DesiredState { limits, ..state() }, "new_flows").len(), 2);
    }

    #[test]
    fn a_routed_address_is_not_translated() {
        let routed: Ipv6Addr = "2001:db8:ed:1::25".parse().unwrap();
        let state = DesiredState { home_v6: routed, ..state() };
        let rules = chain_rules(&state, "to_routed");
        assert!(rules.len() == 2 && !rules[0].contains("dnat"), "{rules:?}");
        assert!(rules[1].contains(r#""port":1993"#), "the port at home is another: {}", rules[1]);
        assert!(!chain_rules(&state, "postrouting").iter().any(|rule| rule.contains("2001:db8")));
    }
}
