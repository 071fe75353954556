//! The firewall table in a real kernel, with clients and servers that are not ours.
//!
//! ```text
//! world 203.0.113.2 ---- eth0 203.0.113.1  edge  postern0 10.118.0.1 ---- 10.118.0.2 home
//!       2001:db8:1::2                       | lan0 192.0.2.1
//!                                           +----------------------------- 192.0.2.2 lan
//! ```
//! `postern0` is a plain cable here: to the firewall the tunnel is only an interface.

#![allow(clippy::unwrap_used)] // Helpers of tests are tests.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use postern_edge::forward::{
    Bans, DROPPED_BANNED, DROPPED_FROM_HOME, DROPPED_INPUT, DROPPED_LIMITED, DROPPED_TOWARDS_HOME,
    DesiredState, Forwarding, HELD_OTHERS, HELD_SMTP, HOME_OUTBOUND, Limits, MIRRORED_SMTP, Mirror, OnStop,
    OpenPorts, Passage, read_counters,
};
use support::{Namespace, Server, require_root};

/// Tells each client its address as seen here, and the segment size of the connection.
const TELL: &str = "
import socket, sys
s = socket.create_server(('::', int('PORT')), family=socket.AF_INET6, dualstack_ipv6=True)
print('ready', flush=True)
while True:
    c, a = s.accept()
    c.sendall(f'{a[0].removeprefix(\"::ffff:\")} {c.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG)}'.encode())
    c.close()
";

/// Connects from an address to a server, within so many seconds, and prints what the server tells.
const ASK: &str = "
import socket, sys
source, host, port, seconds = sys.argv[1:]
c = socket.create_connection((host, int(port)), timeout=int(seconds), source_address=(source, 0) if source else None)
print(c.recv(100).decode())
";

struct World {
    world: Namespace,
    edge: Namespace,
    home: Namespace,
    lan: Namespace,
    _servers: Vec<Server>,
}

impl World {
    fn new() -> Self {
        require_root();
        let [world, edge, home, lan] = ["world", "edge", "home", "lan"].map(Namespace::new);
        edge.cable("eth0", &world, "eth0");
        edge.cable("postern0", &home, "up0");
        edge.cable("lan0", &lan, "eth0");
        edge.ip("link set postern0 mtu 1380");
        for (namespace, interface, address) in [
            (&world, "eth0", "203.0.113.2/24"),
            (&world, "eth0", "2001:db8:1::2/64"),
            (&edge, "eth0", "203.0.113.1/24"),
            (&edge, "eth0", "2001:db8:1::1/64"),
            (&edge, "postern0", "10.118.0.1/24"),
            (&edge, "postern0", "fd70:6f73:7465::1/64"),
            (&home, "up0", "10.118.0.2/24"),
            (&home, "up0", "fd70:6f73:7465::2/64"),
            (&edge, "lan0", "192.0.2.1/24"),
            (&lan, "eth0", "192.0.2.2/24"),
        ] {
            namespace.address(interface, address);
        }
        world.ip("route add default via 203.0.113.1");
        world.ip("route add default via 2001:db8:1::1");
        home.ip("route add default via 10.118.0.1");
        home.ip("route add default via fd70:6f73:7465::1");
        lan.ip("route add default via 192.0.2.1");
        let tell = |namespace: &Namespace, port: &str| namespace.python_server(&TELL.replace("PORT", port));
        let servers = vec![
            tell(&home, "2525"),
            tell(&home, "993"),
            tell(&world, "25"),
            tell(&world, "80"),
            tell(&lan, "80"),
            tell(&edge, "8053"),
            tell(&edge, "22"),
        ];
        Self { world, edge, home, lan, _servers: servers }
    }

    /// Runs `work` in the edge's namespace, with the forwarding of `state` in force.
    fn forwarding(&self, state: DesiredState, work: impl FnOnce(&mut Forwarding) + Send) {
        self.edge.inside(|| work(&mut Forwarding::start(state, Some("eth0"), OnStop::Remove).unwrap()));
    }
}

/// Long enough for a lost neighbour solicitation on a busy machine.
const PATIENCE: &str = "10";

/// Long enough to be sure that nothing comes on a cable.
const NOTHING_COMES: &str = "1";

fn ask(from: &Namespace, host: &str, port: &str) -> Option<String> {
    from.try_output("/usr/bin/python3", &["-ISc", ASK, "", host, port, PATIENCE])
        .map(|text| text.trim().to_owned())
}

fn is_shut(from: &Namespace, host: &str, port: &str) -> bool {
    from.try_output("/usr/bin/python3", &["-ISc", ASK, "", host, port, NOTHING_COMES]).is_none()
}

fn address_seen(from: &Namespace, host: &str, port: &str) -> Option<String> {
    ask(from, host, port)?.split(' ').next().map(str::to_owned)
}

fn counted(name: &str) -> u64 {
    read_counters().unwrap()[name].packets
}

fn wanted() -> DesiredState {
    DesiredState {
        tunnel_interface: "postern0".to_owned(),
        tunnel_port: 51820,
        edge_v4: "10.118.0.1".parse().unwrap(),
        edge_v6: "fd70:6f73:7465::1".parse().unwrap(),
        home_v4: "10.118.0.2".parse().unwrap(),
        home_v6: "fd70:6f73:7465::2".parse().unwrap(),
        ports: BTreeMap::from([(25, 2525), (993, 993)]),
        home_may_connect_to: BTreeSet::from([25]),
        closed_input: None,
        operator_ports: BTreeSet::from([22]),
        limits: Limits::default(),
        passage: Passage::ToHome,
        hold_port: 2525,
        mirror: Mirror::Shut,
    }
}

#[test]
fn the_world_reaches_home_and_home_sees_its_true_address() {
    let net = World::new();
    net.forwarding(wanted(), |_| {
        assert_eq!(address_seen(&net.world, "203.0.113.1", "25").as_deref(), Some("203.0.113.2"));
        assert_eq!(address_seen(&net.world, "2001:db8:1::1", "25").as_deref(), Some("2001:db8:1::2"));
        assert_eq!(address_seen(&net.world, "203.0.113.1", "993").as_deref(), Some("203.0.113.2"));
        assert_eq!((counted("port_25"), counted("port_993")), (2, 1));
        let segment =
            |host| ask(&net.world, host, "25").unwrap().split(' ').nth(1).unwrap().parse::<u32>().unwrap();
        assert!(segment("203.0.113.1") <= 1380 - 40, "the tunnel's MTU must bound IPv4 segments");
        assert!(segment("2001:db8:1::1") <= 1380 - 60, "the tunnel's MTU must bound IPv6 segments");
    });
}

#[test]
fn home_reaches_mail_servers_as_the_edge_and_nothing_else() {
    let net = World::new();
    net.forwarding(wanted(), |_| {
        assert_eq!(address_seen(&net.home, "203.0.113.2", "25").as_deref(), Some("203.0.113.1"));
        assert_eq!(address_seen(&net.home, "2001:db8:1::2", "25").as_deref(), Some("2001:db8:1::1"));
        assert_eq!(counted(HOME_OUTBOUND), 2);
        assert_eq!(counted(DROPPED_FROM_HOME), 0);
        assert!(is_shut(&net.home, "203.0.113.2", "80"));
        assert!(is_shut(&net.home, "192.0.2.2", "80"));
        net.home.address("lo", "10.118.0.9/32");
        assert_eq!(
            net.home.try_output(
                "/usr/bin/python3",
                &["-ISc", ASK, "10.118.0.9", "203.0.113.2", "25", NOTHING_COMES]
            ),
            None
        );
        assert!(counted(DROPPED_FROM_HOME) >= 3);
    });
}

#[test]
fn home_sees_itself_as_the_world_does_while_the_mirror_is_open() {
    let net = World::new();
    net.forwarding(wanted(), |forwarding| {
        assert!(is_shut(&net.home, "203.0.113.1", "25"), "the edge itself has nothing at port 25");
        forwarding.change(DesiredState { mirror: Mirror::Open, ..wanted() }).unwrap();
        assert_eq!(address_seen(&net.home, "203.0.113.1", "25").as_deref(), Some("192.0.0.8"));
        assert_eq!(address_seen(&net.home, "2001:db8:1::1", "25").as_deref(), Some("100:0:0:1::1"));
        assert_eq!(address_seen(&net.home, "203.0.113.1", "993").as_deref(), Some("192.0.0.8"));
        assert_eq!((counted("port_25"), counted("port_993")), (2, 1), "by the chains of strangers");
        assert_eq!(counted(MIRRORED_SMTP), 2);
        assert_eq!(address_seen(&net.world, "203.0.113.1", "25").as_deref(), Some("203.0.113.2"));
        assert_eq!(address_seen(&net.home, "203.0.113.2", "25").as_deref(), Some("203.0.113.1"));
        assert!(ask(&net.home, "10.118.0.1", "8053").is_some(), "the control port is the edge's");
        assert!(is_shut(&net.home, "203.0.113.2", "80") && is_shut(&net.world, "10.118.0.2", "2525"));
        forwarding.change(DesiredState { passage: Passage::Held, mirror: Mirror::Open, ..wanted() }).unwrap();
        assert!(is_shut(&net.home, "203.0.113.1", "25"), "nothing is mirrored while home is silent");
        forwarding.change(wanted()).unwrap();
        assert!(is_shut(&net.home, "203.0.113.1", "25"));
    });
}

#[test]
fn nobody_passes_beside_the_listed_ports() {
    let net = World::new();
    net.forwarding(wanted(), |_| {
        assert!(is_shut(&net.world, "10.118.0.2", "2525"), "home's inner address is not for the world");
        assert!(counted(DROPPED_TOWARDS_HOME) > 0);
        assert_eq!(
            ask(&net.world, "10.118.0.1", "8053"),
            None,
            "the edge's inner address is not for the world"
        );
        assert!(counted(DROPPED_INPUT) > 0);
        assert!(ask(&net.home, "10.118.0.1", "8053").is_some(), "home reaches the control port");
        assert!(ask(&net.world, "203.0.113.1", "22").is_some(), "the machine's own ports are left alone");
        assert!(ask(&net.world, "192.0.2.2", "80").is_some(), "forwarding beside the tunnel is left alone");
        assert!(ask(&net.lan, "203.0.113.1", "25").is_some(), "any side but the tunnel's is the world");
    });
}

#[test]
fn a_change_replaces_the_table_and_a_stop_removes_it() {
    let net = World::new();
    let forwards = |net: &World| net.edge.try_output("cat", &["/proc/sys/net/ipv4/ip_forward"]).unwrap();
    assert_eq!(forwards(&net).trim(), "0");
    net.forwarding(wanted(), |forwarding| {
        assert_eq!(forwards(&net).trim(), "1");
        forwarding.change(DesiredState { ports: BTreeMap::from([(2500, 2525)]), ..wanted() }).unwrap();
        assert!(is_shut(&net.world, "203.0.113.1", "25"));
        assert!(ask(&net.world, "203.0.113.1", "2500").is_some());
    });
    assert_eq!(net.edge.try_output("nft", &["list", "tables"]).as_deref(), Some(""));
    assert_eq!(forwards(&net).trim(), "0");
}

#[test]
fn counters_bans_and_limited_clients_outlive_a_change() {
    let net = World::new();
    net.forwarding(wanted(), |forwarding| {
        assert!(ask(&net.world, "203.0.113.1", "25").is_some());
        forwarding.ban(&bans(&[("198.51.100.0/24", None)]), 0).unwrap();
        forwarding.change(DesiredState { ports: BTreeMap::from([(25, 2525)]), ..wanted() }).unwrap();
        assert_eq!(counted("port_25"), 1);
        let table = net.edge.try_output("nft", &["list", "table", "inet", "postern"]).unwrap();
        assert!(table.contains("198.51.100.0/24"), "{table}");
        assert!(table.contains("203.0.113.2 limit rate over 60/minute"), "{table}");
    });
}

fn bans(list: &[(&str, Option<u64>)]) -> Bans {
    list.iter().map(|(network, until)| (network.parse().unwrap(), *until)).collect()
}

#[test]
fn a_banned_client_is_shut_out_but_not_from_the_operators_port_and_its_own_mail_server_can_be_reached() {
    let net = World::new();
    net.forwarding(wanted(), |forwarding| {
        forwarding.ban(&bans(&[("203.0.113.2/32", None), ("2001:db8:1::/64", Some(1000))]), 0).unwrap();
        assert!(is_shut(&net.world, "203.0.113.1", "25"));
        assert!(is_shut(&net.world, "2001:db8:1::1", "993"));
        assert!(counted(DROPPED_BANNED) >= 2);
        assert!(ask(&net.world, "203.0.113.1", "22").is_some(), "the operator is never locked out");
        assert!(ask(&net.lan, "203.0.113.1", "25").is_some(), "others come in");
        assert_eq!(address_seen(&net.home, "203.0.113.2", "25").as_deref(), Some("203.0.113.1"));
        forwarding.ban(&Bans::new(), 0).unwrap();
        assert!(ask(&net.world, "203.0.113.1", "25").is_some());
    });
}

#[test]
fn long_lists_and_nested_networks_of_bans_are_changed_one_by_one() {
    let net = World::new();
    net.forwarding(wanted(), |forwarding| {
        let many = |from: u32| -> Bans {
            let address = |number: u32| IpAddr::from((0x0b00_0000 + number * 3).to_be_bytes());
            (from..from + 9000).map(|number| (address(number).into(), Some(100_000))).collect()
        };
        forwarding.ban(&many(0), 0).unwrap();
        assert_eq!(elements(&net), 9000);
        forwarding.ban(&many(4000), 0).unwrap();
        assert_eq!(elements(&net), 9000);
        let mut nested = bans(&[("198.51.100.7/32", Some(900)), ("198.51.100.0/24", Some(2))]);
        forwarding.ban(&nested, 0).unwrap();
        assert_eq!(elements(&net), 1);
        nested.insert("198.51.0.0/16".parse().unwrap(), Some(500));
        forwarding.ban(&nested, 0).unwrap();
        forwarding.ban(&nested, 501).unwrap();
        let set = net.edge.try_output("nft", &["list", "set", "inet", "postern", "banned4"]).unwrap();
        assert!(set.contains("198.51.100.7 ") && set.contains("timeout 6m39s"), "{set}");
    });
}

fn elements(net: &World) -> usize {
    let set = net.edge.try_output("nft", &["list", "set", "inet", "postern", "banned4"]).unwrap();
    set.matches("timeout").count() - 1
}

#[test]
fn who_opens_connections_too_fast_is_slowed_down_alone() {
    let net = World::new();
    let limits = Limits { smtp_per_minute: 1, smtp_burst: 2, ..Limits::default() };
    net.world.address("eth0", "2001:db8:1::3/64");
    let from = |source, host| {
        net.world.try_output("/usr/bin/python3", &["-ISc", ASK, source, host, "25", NOTHING_COMES])
    };
    net.forwarding(DesiredState { limits, ..wanted() }, |_| {
        for (host, first, other) in
            [("203.0.113.1", "", ""), ("2001:db8:1::1", "2001:db8:1::2", "2001:db8:1::3")]
        {
            assert!(from(first, host).is_some() && from(first, host).is_some());
            assert_eq!(from(other, host), None, "{host}: the third connection in a moment, of one /64");
            assert!(ask(&net.world, host, "993").is_some(), "{host}: another port family");
        }
        assert!(counted(DROPPED_LIMITED) >= 2);
        assert!(ask(&net.lan, "203.0.113.1", "25").is_some(), "another client");
    });
}

/// Prints how a connection attempt ends, and after how many milliseconds.
const TRY: &str = "
import socket, sys, time
start = time.monotonic()
try: outcome = socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=10).recv(100).decode()
except OSError as error: outcome = type(error).__name__
print(outcome, int((time.monotonic() - start) * 1000))
";

#[test]
fn while_home_is_silent_smtp_goes_to_the_local_listener_and_the_rest_is_refused() {
    let net = World::new();
    let listener = net.edge.python_server(&TELL.replace("PORT", "2526"));
    let state = DesiredState { hold_port: 2526, ..wanted() };
    net.forwarding(state.clone(), |forwarding| {
        assert!(is_shut(&net.world, "203.0.113.1", "2526"), "the listener is for held connections only");
        forwarding.change(DesiredState { passage: Passage::Held, ..state.clone() }).unwrap();
        for host in ["203.0.113.1", "2001:db8:1::1"] {
            assert!(ask(&net.world, host, "25").is_some(), "{host}");
            let refused = net.world.try_output("/usr/bin/python3", &["-ISc", TRY, host, "993"]).unwrap();
            let (outcome, milliseconds) = refused.trim().split_once(' ').unwrap();
            assert_eq!(outcome, "ConnectionRefusedError", "{host}");
            assert!(milliseconds.parse::<u32>().unwrap() < 500, "{refused}");
        }
        assert_eq!(counted("port_25"), 0, "none of them went home");
        assert_eq!((counted(HELD_SMTP), counted(HELD_OTHERS)), (2, 2));
        assert!(is_shut(&net.world, "203.0.113.1", "2526"), "the listener is reached at port 25 only");
        forwarding.change(state).unwrap();
        assert!(ask(&net.world, "203.0.113.1", "993").is_some());
        assert_eq!(counted("port_993"), 1);
    });
    drop(listener);
}

#[test]
fn a_syn_on_its_way_to_a_silent_home_reaches_the_listener_after_the_swap() {
    let net = World::new();
    let _listener = net.edge.python_server(&TELL.replace("PORT", "2526"));
    let state = DesiredState { hold_port: 2526, ..wanted() };
    net.home.ip("link set up0 down");
    net.forwarding(state.clone(), |forwarding| {
        std::thread::scope(|scope| {
            let attempt =
                scope.spawn(|| net.world.try_output("/usr/bin/python3", &["-ISc", TRY, "203.0.113.1", "25"]));
            while counted("port_25") == 0 {
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
            forwarding.change(DesiredState { passage: Passage::Held, ..state.clone() }).unwrap();
            let outcome = attempt.join().unwrap().unwrap();
            assert!(outcome.starts_with("203.0.113.2 "), "{outcome}");
        });
    });
}

#[test]
fn a_routed_address_is_reached_without_translation() {
    let net = World::new();
    net.edge.ip("route add 2001:db8:ed::25/128 dev postern0");
    net.home.address("up0", "2001:db8:ed::25/128");
    let state = DesiredState { home_v6: "2001:db8:ed::25".parse().unwrap(), ..wanted() };
    net.forwarding(state.clone(), |forwarding| {
        assert_eq!(address_seen(&net.world, "2001:db8:ed::25", "993").as_deref(), Some("2001:db8:1::2"));
        assert_eq!(address_seen(&net.world, "2001:db8:ed::25", "25").as_deref(), Some("2001:db8:1::2"));
        assert_eq!((counted("port_25"), counted("port_993")), (1, 1));
        assert!(is_shut(&net.world, "2001:db8:ed::25", "2525"), "only the listed ports");
        let out = ["-ISc", ASK, "2001:db8:ed::25", "2001:db8:1::2", "25", PATIENCE];
        let seen = net.home.try_output("/usr/bin/python3", &out).unwrap();
        assert!(seen.starts_with("2001:db8:ed::25 "), "{seen}");
        forwarding.change(DesiredState { passage: Passage::Held, ..state.clone() }).unwrap();
        let refused =
            net.world.try_output("/usr/bin/python3", &["-ISc", TRY, "2001:db8:ed::25", "993"]).unwrap();
        assert!(refused.starts_with("ConnectionRefusedError"), "{refused}");
    });
}

#[test]
fn the_closed_door_lets_in_what_is_listed() {
    let net = World::new();
    let closed = |tcp: &[u16]| OpenPorts { tcp: tcp.iter().copied().collect(), udp: BTreeSet::from([53]) };
    net.forwarding(DesiredState { closed_input: Some(closed(&[22])), ..wanted() }, |forwarding| {
        assert!(ask(&net.world, "203.0.113.1", "22").is_some());
        assert!(ask(&net.world, "203.0.113.1", "25").is_some());
        assert!(ask(&net.world, "2001:db8:1::1", "22").is_some(), "neighbour discovery passes");
        assert!(ask(&net.home, "10.118.0.1", "8053").is_some());
        assert!(is_shut(&net.world, "203.0.113.1", "8053"));
        forwarding.change(DesiredState { closed_input: Some(closed(&[])), ..wanted() }).unwrap();
        assert!(is_shut(&net.world, "203.0.113.1", "22"));
    });
}
