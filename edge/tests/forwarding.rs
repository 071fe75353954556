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

use postern_edge::forward::{
    DROPPED_FROM_HOME, DROPPED_INPUT, DROPPED_TOWARDS_HOME, DesiredState, Forwarding, HOME_OUTBOUND, OnStop,
    OpenPorts, read_counters,
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
        edge_v4: "10.118.0.1".parse().unwrap(),
        edge_v6: "fd70:6f73:7465::1".parse().unwrap(),
        home_v4: "10.118.0.2".parse().unwrap(),
        home_v6: "fd70:6f73:7465::2".parse().unwrap(),
        ports: BTreeMap::from([(25, 2525), (993, 993)]),
        home_may_connect_to: BTreeSet::from([25]),
        closed_input: None,
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
