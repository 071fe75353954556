//! The words of which rules are made: matches, verdicts and statements, as the crate `nftables` has them.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv6Addr};

use nftables::expr::{
    BinaryOperation, CT, Expression, Fib, FibFlag, FibResult, Meta, MetaKey, NamedExpression, Payload,
    PayloadField, RT, RTKey, SetItem, TcpOption,
};
use nftables::stmt::{
    Counter as CounterStatement, JumpTarget, Limit, Mangle, Match, NAT, NATFamily, Operator, Reject,
    RejectType, Statement,
};
use nftables::types::RejectCode;

pub fn text(value: &str) -> Expression<'static> {
    Expression::String(value.to_owned().into())
}

pub fn set(items: impl IntoIterator<Item = Expression<'static>>) -> Expression<'static> {
    Expression::Named(NamedExpression::Set(items.into_iter().map(SetItem::Element).collect()))
}

pub fn matches(left: Expression<'static>, op: Operator, right: Expression<'static>) -> Statement<'static> {
    Statement::Match(Match { left, right, op })
}

pub fn meta(key: MetaKey) -> Expression<'static> {
    Expression::Named(NamedExpression::Meta(Meta { key }))
}

pub fn payload(protocol: &'static str, field: &'static str) -> Expression<'static> {
    let field = PayloadField { protocol: protocol.into(), field: field.into() };
    Expression::Named(NamedExpression::Payload(Payload::PayloadField(field)))
}

pub fn through(key: MetaKey, interface: &str) -> Statement<'static> {
    matches(meta(key), Operator::EQ, text(interface))
}

pub fn not_through(key: MetaKey, interface: &str) -> Statement<'static> {
    matches(meta(key), Operator::NEQ, text(interface))
}

pub fn protocol_is(protocol: &str) -> Statement<'static> {
    matches(meta(MetaKey::Nfproto), Operator::EQ, text(protocol))
}

pub fn ip_protocol(address: IpAddr) -> &'static str {
    if address.is_ipv4() { "ip" } else { "ip6" }
}

pub fn source_is(address: IpAddr) -> Statement<'static> {
    matches(payload(ip_protocol(address), "saddr"), Operator::EQ, text(&address.to_string()))
}

pub fn source_is_not(address: IpAddr) -> Statement<'static> {
    matches(payload(ip_protocol(address), "saddr"), Operator::NEQ, text(&address.to_string()))
}

pub fn destination_is(address: IpAddr) -> Statement<'static> {
    matches(payload(ip_protocol(address), "daddr"), Operator::EQ, text(&address.to_string()))
}

pub fn destination_is_not(address: IpAddr) -> Statement<'static> {
    matches(payload(ip_protocol(address), "daddr"), Operator::NEQ, text(&address.to_string()))
}

/// An address of this machine, also where the public address is translated one-to-one in front of it.
pub fn to_local_address() -> Statement<'static> {
    let fib = Fib { result: FibResult::Type, flags: [FibFlag::Daddr].into() };
    matches(Expression::Named(NamedExpression::Fib(fib)), Operator::EQ, text("local"))
}

pub fn to_tcp_ports(ports: &BTreeSet<u16>) -> Statement<'static> {
    to_ports("tcp", ports)
}

pub fn to_ports(protocol: &'static str, ports: &BTreeSet<u16>) -> Statement<'static> {
    matches(payload(protocol, "dport"), Operator::EQ, port_set(ports))
}

fn port_set(ports: &BTreeSet<u16>) -> Expression<'static> {
    set(ports.iter().map(|port| Expression::Number(u32::from(*port))))
}

pub fn is_syn() -> Statement<'static> {
    let flags =
        BinaryOperation::AND(payload("tcp", "flags"), Expression::List(["syn", "rst"].map(text).into()));
    matches(Expression::BinaryOperation(Box::new(flags)), Operator::EQ, text("syn"))
}

pub fn clamp_mss() -> Statement<'static> {
    let mss = TcpOption { name: "maxseg".into(), field: Some("size".into()) };
    Statement::Mangle(Mangle {
        key: Expression::Named(NamedExpression::TcpOption(mss)),
        value: Expression::Named(NamedExpression::RT(RT { key: RTKey::MTU, family: None })),
    })
}

pub fn connection(key: &'static str) -> Expression<'static> {
    Expression::Named(NamedExpression::CT(CT { key: key.into(), family: None, dir: None }))
}

pub fn known_flow() -> Statement<'static> {
    matches(connection("state"), Operator::IN, Expression::List(["established", "related"].map(text).into()))
}

pub fn new_flow() -> Statement<'static> {
    matches(connection("state"), Operator::IN, text("new"))
}

pub fn was_translated() -> Statement<'static> {
    matches(connection("status"), Operator::IN, text("dnat"))
}

pub fn count(name: impl Into<String>) -> Statement<'static> {
    Statement::Counter(CounterStatement::Named(name.into().into()))
}

pub fn jump(target: &'static str) -> Statement<'static> {
    Statement::Jump(JumpTarget { target: target.into() })
}

pub fn dnat(address: IpAddr, port: u16) -> Statement<'static> {
    Statement::DNAT(Some(NAT {
        addr: Some(text(&address.to_string())),
        family: Some(if address.is_ipv4() { NATFamily::IP } else { NATFamily::IP6 }),
        port: Some(Expression::Number(u32::from(port))),
        flags: None,
    }))
}

pub fn snat(address: IpAddr) -> Statement<'static> {
    Statement::SNAT(Some(NAT {
        addr: Some(text(&address.to_string())),
        family: Some(if address.is_ipv4() { NATFamily::IP } else { NATFamily::IP6 }),
        port: None,
        flags: None,
    }))
}

/// More than so many MiB in a second.
pub fn faster_than(mebibytes: u32) -> Statement<'static> {
    Statement::Limit(Limit {
        rate: mebibytes,
        rate_unit: Some("mbytes".into()),
        per: Some("second".into()),
        burst: Some(mebibytes),
        burst_unit: Some("mbytes".into()),
        inv: Some(true),
    })
}

/// To the machine itself, at another port.
pub fn redirect(port: u16) -> Statement<'static> {
    Statement::Redirect(Some(NAT {
        addr: None,
        family: None,
        port: Some(Expression::Number(u32::from(port))),
        flags: None,
    }))
}

/// RFC 9293 §3.10.7.1: what a closed port answers.
pub fn reset() -> Statement<'static> {
    Statement::Reject(Some(Reject { _type: Some(RejectType::TCPReset), expr: None }))
}

/// What a router answers where a rule of its operator forbids the way (RFC 4443 §3.1).
pub fn prohibited() -> Statement<'static> {
    Statement::Reject(Some(Reject {
        _type: Some(RejectType::ICMPX),
        expr: Some(RejectCode::AdminProhibited),
    }))
}

/// The source is in the named set.
pub fn source_in(protocol: &'static str, set: &str) -> Statement<'static> {
    matches(payload(protocol, "saddr"), Operator::EQ, text(&format!("@{set}")))
}

/// What one client is taken to own: the address itself in IPv4, its /64 in IPv6.
pub fn client_network(protocol: &'static str) -> Expression<'static> {
    let address = payload(protocol, "saddr");
    match protocol {
        "ip6" => {
            let mask = Ipv6Addr::from_bits(!u128::from(u64::MAX));
            Expression::BinaryOperation(Box::new(BinaryOperation::AND(address, text(&mask.to_string()))))
        }
        _ => address,
    }
}

/// Any segment but the one that opens a connection (RFC 9293 §3.5).
pub fn opens_nothing() -> Statement<'static> {
    let flags =
        BinaryOperation::AND(payload("tcp", "flags"), Expression::List(["syn", "ack"].map(text).into()));
    matches(Expression::BinaryOperation(Box::new(flags)), Operator::NEQ, text("syn"))
}

pub fn from_tcp_ports(ports: &BTreeSet<u16>) -> Statement<'static> {
    matches(payload("tcp", "sport"), Operator::EQ, port_set(ports))
}
