//! The firewall as a value: a pure function from what is wanted to the one nftables table `inet postern`.
//!
//! | chain | hook | does |
//! |---|---|---|
//! | `prerouting` | nat, dstnat | world → local address, listed TCP port: jump `to_home` |
//! | `to_home` | | DNAT to home's inner address, counted for each port; the source address is never touched |
//! | `postrouting` | nat, srcnat | home → world, listed TCP port: masquerade |
//! | `mss` | forward, mangle | SYN through the tunnel: MSS at most what the route's MTU allows (RFC 9293 §3.7.1) |
//! | `forward` | forward, filter | accept; what concerns the tunnel jumps to `from_home` or `towards_home` |
//! | `from_home` | | home's own address, to listed ports or as part of a known flow; all else is dropped |
//! | `towards_home` | | what `to_home` translated, or part of a known flow; all else is dropped |
//! | `input` | input, filter | the inner addresses are reached through the tunnel only; the optional closed door |
//!
//! Forwarding that does not concern the tunnel (containers, other tunnels of this host) passes untouched: the base
//! chain's policy is accept, and the two inner chains end in a counted drop.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use nftables::batch::Batch;
use nftables::expr::{
    BinaryOperation, CT, Expression, Fib, FibFlag, FibResult, Meta, MetaKey, NamedExpression, Payload,
    PayloadField, RT, RTKey, SetItem, TcpOption,
};
use nftables::schema::{Chain, Counter, NfListObject, Nftables, Rule, Table};
use nftables::stmt::{
    Counter as CounterStatement, JumpTarget, Mangle, Match, NAT, NATFamily, Operator, Statement,
};
use nftables::types::{NfChainPolicy, NfChainType, NfFamily, NfHook};

/// The table's name, in the family `inet`.
pub const TABLE: &str = "postern";

/// Counts what home sends through the tunnel and may not.
pub const DROPPED_FROM_HOME: &str = "dropped_from_home";
/// Counts what others send towards home and may not.
pub const DROPPED_TOWARDS_HOME: &str = "dropped_towards_home";
/// Counts connections that home opens to the world.
pub const HOME_OUTBOUND: &str = "home_outbound";
/// Counts what the closed door drops.
pub const DROPPED_INPUT: &str = "dropped_input";

/// The name of the counter of connections to one public port.
pub fn port_counter(port: u16) -> String {
    format!("port_{port}")
}

/// All that the table depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DesiredState {
    /// The TUN device.
    pub tunnel_interface: String,
    /// The edge's inner IPv4 address.
    pub edge_v4: Ipv4Addr,
    /// The edge's inner IPv6 address.
    pub edge_v6: Ipv6Addr,
    /// Home's inner IPv4 address.
    pub home_v4: Ipv4Addr,
    /// Home's inner IPv6 address.
    pub home_v6: Ipv6Addr,
    /// Public TCP port to the port at home.
    pub ports: BTreeMap<u16, u16>,
    /// TCP ports of the world that home may connect to.
    pub home_may_connect_to: BTreeSet<u16>,
    /// What stays open on this machine's input; `None` leaves the input alone.
    pub closed_input: Option<OpenPorts>,
}

/// The ports that a closed input still answers on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenPorts {
    /// TCP, from everywhere.
    pub tcp: BTreeSet<u16>,
    /// UDP, from everywhere.
    pub udp: BTreeSet<u16>,
}

/// The transaction that replaces the whole table by the one for `state`, or makes it.
pub fn replace(state: &DesiredState) -> Nftables<'static> {
    let mut batch = removal();
    batch.add(table());
    for name in counters(state) {
        batch.add(counter(name));
    }
    for chain in chains(state) {
        batch.add(chain);
    }
    for (chain, expr) in rules(state) {
        let rule = Rule {
            family: FAMILY,
            table: TABLE.into(),
            chain: chain.into(),
            expr: expr.into(),
            ..Rule::default()
        };
        batch.add(NfListObject::Rule(rule));
    }
    batch.to_nftables()
}

/// The transaction after which the table is gone, whether it was there or not.
pub fn remove() -> Nftables<'static> {
    removal().to_nftables()
}

const FAMILY: NfFamily = NfFamily::INet;

type Rules = Vec<(&'static str, Vec<Statement<'static>>)>;

/// Adding before deleting makes the deletion valid where there is no table yet.
fn removal() -> Batch<'static> {
    let mut batch = Batch::new();
    batch.add(table());
    batch.delete(table());
    batch
}

fn table() -> NfListObject<'static> {
    NfListObject::Table(Table { family: FAMILY, name: TABLE.into(), handle: None })
}

fn counters(state: &DesiredState) -> Vec<String> {
    let fixed = [DROPPED_FROM_HOME, DROPPED_TOWARDS_HOME, HOME_OUTBOUND, DROPPED_INPUT];
    fixed.into_iter().map(str::to_owned).chain(state.ports.keys().map(|port| port_counter(*port))).collect()
}

fn counter(name: String) -> NfListObject<'static> {
    NfListObject::Counter(Counter {
        family: FAMILY,
        table: TABLE.into(),
        name: name.into(),
        handle: None,
        packets: Some(0),
        bytes: Some(0),
    })
}

fn chains(state: &DesiredState) -> Vec<NfListObject<'static>> {
    let input_policy = match state.closed_input {
        Some(_) => NfChainPolicy::Drop,
        None => NfChainPolicy::Accept,
    };
    vec![
        base_chain("prerouting", NfChainType::NAT, NfHook::Prerouting, -100, NfChainPolicy::Accept),
        base_chain("postrouting", NfChainType::NAT, NfHook::Postrouting, 100, NfChainPolicy::Accept),
        base_chain("mss", NfChainType::Filter, NfHook::Forward, -150, NfChainPolicy::Accept),
        base_chain("forward", NfChainType::Filter, NfHook::Forward, 0, NfChainPolicy::Accept),
        base_chain("input", NfChainType::Filter, NfHook::Input, 0, input_policy),
        chain("to_home"),
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

fn rules(state: &DesiredState) -> Rules {
    [nat_rules(state), mss_rules(state), forward_rules(state), input_rules(state)].concat()
}

fn nat_rules(state: &DesiredState) -> Rules {
    let tunnel = &state.tunnel_interface;
    let mut rules = Vec::new();
    if !state.ports.is_empty() {
        let wanted = state.ports.keys().copied().collect();
        rules.push((
            "prerouting",
            vec![
                not_through(MetaKey::Iifname, tunnel),
                to_local_address(),
                to_tcp_ports(&wanted),
                jump("to_home"),
            ],
        ));
    }
    for (public, home) in &state.ports {
        let counted = || vec![to_tcp_ports(&BTreeSet::from([*public])), count(port_counter(*public))];
        rules.push((
            "to_home",
            [vec![protocol_is("ipv4")], counted(), vec![dnat(state.home_v4.into(), *home)]].concat(),
        ));
        rules.push((
            "to_home",
            [vec![protocol_is("ipv6")], counted(), vec![dnat(state.home_v6.into(), *home)]].concat(),
        ));
    }
    if !state.home_may_connect_to.is_empty() {
        for home in [IpAddr::from(state.home_v4), IpAddr::from(state.home_v6)] {
            rules.push((
                "postrouting",
                vec![
                    not_through(MetaKey::Oifname, tunnel),
                    source_is(home),
                    to_tcp_ports(&state.home_may_connect_to),
                    Statement::Masquerade(None),
                ],
            ));
        }
    }
    rules
}

fn mss_rules(state: &DesiredState) -> Rules {
    [MetaKey::Oifname, MetaKey::Iifname]
        .map(|key| ("mss", vec![through(key, &state.tunnel_interface), is_syn(), clamp_mss()]))
        .into()
}

fn forward_rules(state: &DesiredState) -> Rules {
    let tunnel = &state.tunnel_interface;
    let mut rules = vec![
        ("forward", vec![through(MetaKey::Iifname, tunnel), jump("from_home")]),
        ("forward", vec![through(MetaKey::Oifname, tunnel), jump("towards_home")]),
        (
            "from_home",
            vec![through(MetaKey::Oifname, tunnel), count(DROPPED_FROM_HOME), Statement::Drop(None)],
        ),
    ];
    for (protocol, home) in [("ipv4", IpAddr::from(state.home_v4)), ("ipv6", IpAddr::from(state.home_v6))] {
        let spoofed =
            vec![protocol_is(protocol), source_is_not(home), count(DROPPED_FROM_HOME), Statement::Drop(None)];
        rules.push(("from_home", spoofed));
    }
    rules.push(("from_home", vec![known_flow(), Statement::Accept(None)]));
    if !state.home_may_connect_to.is_empty() {
        let outbound = vec![to_tcp_ports(&state.home_may_connect_to), new_flow(), count(HOME_OUTBOUND)];
        rules.push(("from_home", [outbound, vec![Statement::Accept(None)]].concat()));
    }
    rules.push(("from_home", vec![count(DROPPED_FROM_HOME), Statement::Drop(None)]));
    rules.push(("towards_home", vec![known_flow(), Statement::Accept(None)]));
    rules.push(("towards_home", vec![was_translated(), Statement::Accept(None)]));
    rules.push(("towards_home", vec![count(DROPPED_TOWARDS_HOME), Statement::Drop(None)]));
    rules
}

/// Linux answers for any of its addresses on any interface; the first two rules undo that for the inner addresses.
fn input_rules(state: &DesiredState) -> Rules {
    let mut rules: Rules = [IpAddr::from(state.edge_v4), IpAddr::from(state.edge_v6)]
        .map(|inner| {
            let elsewhere = set(["lo", state.tunnel_interface.as_str()].map(text));
            let outside = matches(meta(MetaKey::Iifname), Operator::NEQ, elsewhere);
            ("input", vec![outside, destination_is(inner), count(DROPPED_INPUT), Statement::Drop(None)])
        })
        .into();
    if let Some(open) = &state.closed_input {
        rules.extend(closed_input_rules(&state.tunnel_interface, open));
    }
    rules
}

fn closed_input_rules(tunnel: &str, open: &OpenPorts) -> Rules {
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

fn text(value: &str) -> Expression<'static> {
    Expression::String(value.to_owned().into())
}

fn set(items: impl IntoIterator<Item = Expression<'static>>) -> Expression<'static> {
    Expression::Named(NamedExpression::Set(items.into_iter().map(SetItem::Element).collect()))
}

fn matches(left: Expression<'static>, op: Operator, right: Expression<'static>) -> Statement<'static> {
    Statement::Match(Match { left, right, op })
}

fn meta(key: MetaKey) -> Expression<'static> {
    Expression::Named(NamedExpression::Meta(Meta { key }))
}

fn payload(protocol: &'static str, field: &'static str) -> Expression<'static> {
    let field = PayloadField { protocol: protocol.into(), field: field.into() };
    Expression::Named(NamedExpression::Payload(Payload::PayloadField(field)))
}

fn through(key: MetaKey, interface: &str) -> Statement<'static> {
    matches(meta(key), Operator::EQ, text(interface))
}

fn not_through(key: MetaKey, interface: &str) -> Statement<'static> {
    matches(meta(key), Operator::NEQ, text(interface))
}

fn protocol_is(protocol: &str) -> Statement<'static> {
    matches(meta(MetaKey::Nfproto), Operator::EQ, text(protocol))
}

fn ip_protocol(address: IpAddr) -> &'static str {
    if address.is_ipv4() { "ip" } else { "ip6" }
}

fn source_is(address: IpAddr) -> Statement<'static> {
    matches(payload(ip_protocol(address), "saddr"), Operator::EQ, text(&address.to_string()))
}

fn source_is_not(address: IpAddr) -> Statement<'static> {
    matches(payload(ip_protocol(address), "saddr"), Operator::NEQ, text(&address.to_string()))
}

fn destination_is(address: IpAddr) -> Statement<'static> {
    matches(payload(ip_protocol(address), "daddr"), Operator::EQ, text(&address.to_string()))
}

/// An address of this machine, also where the public address is translated one-to-one in front of it.
fn to_local_address() -> Statement<'static> {
    let fib = Fib { result: FibResult::Type, flags: [FibFlag::Daddr].into() };
    matches(Expression::Named(NamedExpression::Fib(fib)), Operator::EQ, text("local"))
}

fn to_tcp_ports(ports: &BTreeSet<u16>) -> Statement<'static> {
    to_ports("tcp", ports)
}

fn to_ports(protocol: &'static str, ports: &BTreeSet<u16>) -> Statement<'static> {
    let ports = set(ports.iter().map(|port| Expression::Number(u32::from(*port))));
    matches(payload(protocol, "dport"), Operator::EQ, ports)
}

fn is_syn() -> Statement<'static> {
    let flags =
        BinaryOperation::AND(payload("tcp", "flags"), Expression::List(["syn", "rst"].map(text).into()));
    matches(Expression::BinaryOperation(Box::new(flags)), Operator::EQ, text("syn"))
}

fn clamp_mss() -> Statement<'static> {
    let mss = TcpOption { name: "maxseg".into(), field: Some("size".into()) };
    Statement::Mangle(Mangle {
        key: Expression::Named(NamedExpression::TcpOption(mss)),
        value: Expression::Named(NamedExpression::RT(RT { key: RTKey::MTU, family: None })),
    })
}

fn connection(key: &'static str) -> Expression<'static> {
    Expression::Named(NamedExpression::CT(CT { key: key.into(), family: None, dir: None }))
}

fn known_flow() -> Statement<'static> {
    matches(connection("state"), Operator::IN, Expression::List(["established", "related"].map(text).into()))
}

fn new_flow() -> Statement<'static> {
    matches(connection("state"), Operator::IN, text("new"))
}

fn was_translated() -> Statement<'static> {
    matches(connection("status"), Operator::IN, text("dnat"))
}

fn count(name: impl Into<String>) -> Statement<'static> {
    Statement::Counter(CounterStatement::Named(name.into().into()))
}

fn jump(target: &'static str) -> Statement<'static> {
    Statement::Jump(JumpTarget { target: target.into() })
}

fn dnat(address: IpAddr, port: u16) -> Statement<'static> {
    Statement::DNAT(Some(NAT {
        addr: Some(text(&address.to_string())),
        family: Some(if address.is_ipv4() { NATFamily::IP } else { NATFamily::IP6 }),
        port: Some(Expression::Number(u32::from(port))),
        flags: None,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> DesiredState {
        DesiredState {
            tunnel_interface: "postern0".to_owned(),
            edge_v4: Ipv4Addr::new(10, 118, 0, 1),
            edge_v6: "fd70:6f73:7465::1".parse().unwrap(),
            home_v4: Ipv4Addr::new(10, 118, 0, 2),
            home_v6: "fd70:6f73:7465::2".parse().unwrap(),
            ports: BTreeMap::from([(25, 25), (993, 1993)]),
            home_may_connect_to: BTreeSet::from([25]),
            closed_input: None,
        }
    }

    fn json(transaction: &Nftables<'_>) -> String {
        serde_json::to_string(transaction).unwrap()
    }

    fn chain_rules(state: &DesiredState, chain: &str) -> Vec<String> {
        let rules = rules(state).into_iter().filter(|(name, _)| *name == chain);
        rules.map(|(_, rule)| serde_json::to_string(&rule).unwrap()).collect()
    }

    #[test]
    fn one_transaction_replaces_the_table_whether_it_was_there_or_not() {
        let transaction = json(&replace(&state()));
        let add = r#"{"add":{"table":{"family":"inet","name":"postern"}}}"#;
        let delete = r#"{"delete":{"table":{"family":"inet","name":"postern"}}}"#;
        assert!(transaction.starts_with(&format!(r#"{{"nftables":[{add},{delete},{add}"#)), "{transaction}");
        assert_eq!(json(&remove()), format!(r#"{{"nftables":[{add},{delete}]}}"#));
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
        assert!(!json(&replace(&state())).contains("snat"), "a source address would be hidden");
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
        let policy = |state: &DesiredState| {
            json(&replace(state)).contains(r#""hook":"input","prio":0,"policy":"drop""#)
        };
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
}
