//! The whole tunnel between two network namespaces: TUN devices, sockets, addresses and policy rules are real.
//!
//! Each end is a thread that has left the common network namespace (`unshare`), so that nothing needs a name, nothing
//! meets the machine's own network, and all is gone when the threads end. Needs root and `ip`.

#![allow(clippy::unwrap_used, reason = "in a test, an unwrap is an assertion")]

use std::fs::File;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd};
use std::process::Command;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use postern_shared::netlink::Interface;
use postern_shared::tunnel::{
    Admission, EpochConfig, EpochId, HeartbeatAddresses, PresharedKey, PrivateKey, Role, Tunnel,
    TunnelConfig, TunnelError,
};
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space, unshare_unsafe};

const EDGE_V4: Ipv4Addr = Ipv4Addr::new(10, 118, 0, 1);
const HOME_V4: Ipv4Addr = Ipv4Addr::new(10, 118, 0, 2);
const PORT: u16 = 51820;
const MTU: u16 = 1380;

fn edge_v6() -> Ipv6Addr {
    "fd70:6f73:7465::1".parse().unwrap()
}

fn home_v6() -> Ipv6Addr {
    "fd70:6f73:7465::2".parse().unwrap()
}

/// A network namespace that lives as long as this file.
struct Namespace(File);

impl Namespace {
    fn new() -> Self {
        assert!(rustix::process::geteuid().is_root(), "this test makes network namespaces: run it as root");
        let made = std::thread::spawn(|| {
            // SAFETY: a new network namespace does not affect memory.
            unsafe { unshare_unsafe(UnshareFlags::NEWNET) }.unwrap();
            let namespace = Namespace(File::open("/proc/thread-self/ns/net").unwrap());
            ip("link set lo up");
            namespace
        });
        made.join().unwrap()
    }

    /// A path by which `ip` finds the namespace.
    fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.0.as_raw_fd())
    }

    /// Runs a closure on a thread inside the namespace.
    fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        self.start(work).join().unwrap()
    }

    fn start<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> std::thread::JoinHandle<T> {
        let namespace = self.0.try_clone().unwrap();
        std::thread::spawn(move || {
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
            work()
        })
    }
}

fn ip(arguments: &str) {
    run("ip", arguments);
}

fn run(program: &str, arguments: &str) {
    let output = Command::new(program).args(arguments.split(' ')).output();
    let output = output.unwrap_or_else(|error| panic!("`{program}` is needed: {error}"));
    assert!(output.status.success(), "{program} {arguments}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Two hosts on one wire: the edge at 192.0.2.1, home at 192.0.2.20.
struct Wire {
    edge: Namespace,
    home: Namespace,
}

impl Wire {
    fn new() -> Self {
        let wire = Wire { edge: Namespace::new(), home: Namespace::new() };
        let path = wire.home.path();
        wire.edge.run(move || {
            ip(&format!("link add wire type veth peer name wire netns {path}"));
            ip("addr add 192.0.2.1/24 dev wire");
            ip("link set wire up");
        });
        wire.home.run(|| {
            ip("addr add 192.0.2.20/24 dev wire");
            ip("link set wire up");
        });
        wire
    }
}

/// The same two hosts with a router between them that passes 1280 octets and never says so.
fn narrow_wire() -> (Wire, Namespace) {
    let (edge, home, router) = (Namespace::new(), Namespace::new(), Namespace::new());
    let path = router.path();
    edge.run(move || {
        ip(&format!("link add wire type veth peer name edge netns {path}"));
        ip("addr add 192.0.2.1/24 dev wire");
        ip("link set wire up");
        ip("route add default via 192.0.2.254");
    });
    let path = router.path();
    home.run(move || {
        ip(&format!("link add wire type veth peer name home netns {path}"));
        ip("addr add 198.51.100.20/24 dev wire");
        ip("link set wire up");
        ip("route add default via 198.51.100.254");
    });
    router.run(|| {
        for (link, network, address) in
            [("edge", "192.0.2.0/24", "192.0.2.254"), ("home", "198.51.100.0/24", "198.51.100.254")]
        {
            ip(&format!("addr add {address}/24 dev {link} noprefixroute"));
            ip(&format!("link set {link} up"));
            ip(&format!("route add {network} dev {link} mtu lock 1280"));
        }
        std::fs::write("/proc/sys/net/ipv4/ip_forward", "1").unwrap();
        run("nft", "add table ip silent");
        run("nft", "add chain ip silent out { type filter hook output priority 0 ; }");
        run("nft", "add rule ip silent out meta l4proto icmp drop");
    });
    (Wire { edge, home }, router)
}

/// Both configurations of an epoch: the edge's and home's.
fn epoch() -> (EpochConfig, EpochConfig) {
    let (edge_key, home_key) = (PrivateKey::generate().unwrap(), PrivateKey::generate().unwrap());
    let preshared_key = PresharedKey::generate().unwrap();
    let edge = EpochConfig {
        id: EpochId::FIRST,
        private_key: edge_key.clone(),
        peer: home_key.public(),
        preshared_key: preshared_key.clone(),
        endpoint: None,
        allowed_ips: vec![IpAddr::from(HOME_V4).into(), IpAddr::from(home_v6()).into()],
        admission: Admission::Everything,
        heartbeat: HeartbeatAddresses { local: EDGE_V4, peer: HOME_V4 },
    };
    let home = EpochConfig {
        id: EpochId::FIRST,
        private_key: home_key,
        peer: edge_key.public(),
        preshared_key,
        endpoint: Some((Ipv4Addr::new(192, 0, 2, 1), PORT).into()),
        allowed_ips: vec!["0.0.0.0/0".parse().unwrap(), "::/0".parse().unwrap()],
        admission: Admission::Services {
            addresses: vec![HOME_V4.into(), home_v6().into()],
            tcp_ports: vec![25],
        },
        heartbeat: HeartbeatAddresses { local: HOME_V4, peer: EDGE_V4 },
    };
    (edge, home)
}

/// Makes one end: tunnel, interface, addresses, and home's policy.
fn bring_up(role: Role, epoch: EpochConfig) -> Tunnel {
    let port = if role == Role::Edge { PORT } else { 0 };
    let tunnel = Tunnel::spawn(TunnelConfig { role, interface: "postern0".into(), port }).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let interface = Interface::open("postern0").unwrap();
        interface.bring_up(MTU).await.unwrap();
        let (local4, peer4, local6, peer6) = match role {
            Role::Edge => (EDGE_V4, HOME_V4, edge_v6(), home_v6()),
            Role::Home => (HOME_V4, EDGE_V4, home_v6(), edge_v6()),
        };
        for _ in 0..2 {
            interface.add_address(local4.into(), peer4.into()).await.unwrap();
            interface.add_address(local6.into(), peer6.into()).await.unwrap();
            if role == Role::Home {
                interface.add_policy(HOME_V4, home_v6()).await.unwrap();
            }
        }
    });
    tunnel.set_epochs(vec![epoch]);
    tunnel
}

fn wait_alive(tunnel: &Tunnel, limit: Duration) -> Duration {
    let start = Instant::now();
    while !tunnel.status().epochs.iter().any(|epoch| epoch.alive) {
        assert!(start.elapsed() < limit, "the tunnel is not alive after {limit:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
    start.elapsed()
}

fn connect(to: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect_timeout(&to, Duration::from_secs(10)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream.set_write_timeout(Some(Duration::from_secs(30))).unwrap();
    stream
}

/// Sends back whatever comes, connection by connection.
fn serve_echo(home: &Namespace, address: IpAddr) {
    let (ready, is_ready) = mpsc::channel();
    home.start(move || {
        let listener = TcpListener::bind((address, 25)).unwrap();
        ready.send(()).unwrap();
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let (mut from, mut to) = (stream.try_clone().unwrap(), stream);
                let _ = std::io::copy(&mut from, &mut to);
            });
        }
    });
    is_ready.recv().unwrap();
}

fn echo(stream: &mut TcpStream, text: &[u8]) {
    stream.write_all(text).unwrap();
    let mut back = vec![0; text.len()];
    stream.read_exact(&mut back).unwrap();
    assert_eq!(back, text);
}

/// Sends so many octets to home's echo and compares what comes back.
fn transfer(octets: usize) {
    let mut stream = connect((HOME_V4, 25).into());
    let mut reader = stream.try_clone().unwrap();
    let octet = |i: usize| (i ^ (i >> 8) ^ (i >> 16)) as u8;
    let reading = std::thread::spawn(move || {
        let (mut block, mut total) = (vec![0; 65536], 0);
        while total < octets {
            let length = reader.read(&mut block).unwrap();
            assert_ne!(length, 0, "the connection ended after {total} octets");
            assert!(block[..length].iter().enumerate().all(|(i, got)| *got == octet(total + i)));
            total += length;
        }
    });
    let all: Vec<u8> = (0..octets).map(octet).collect();
    stream.write_all(&all).unwrap();
    reading.join().unwrap();
}

#[test]
fn a_narrow_path_that_says_nothing_still_carries() {
    let (wire, _router) = narrow_wire();
    let (edge_epoch, home_epoch) = epoch();
    let _edge = wire.edge.run(move || bring_up(Role::Edge, edge_epoch));
    let home = wire.home.run(move || bring_up(Role::Home, home_epoch));
    wait_alive(&home, Duration::from_secs(3));
    serve_echo(&wire.home, HOME_V4.into());
    wire.edge.run(|| transfer(25_000_000));
}

/// The kernel refuses a run of datagrams that are longer than its own link's MTU (EMSGSIZE); singly they are fragmented.
#[test]
fn a_link_narrower_than_a_datagram_still_carries() {
    let wire = Wire::new();
    let (edge_epoch, home_epoch) = epoch();
    let _edge = wire.edge.run(move || bring_up(Role::Edge, edge_epoch));
    let home = wire.home.run(move || bring_up(Role::Home, home_epoch));
    wait_alive(&home, Duration::from_secs(3));
    serve_echo(&wire.home, HOME_V4.into());
    for end in [&wire.edge, &wire.home] {
        end.run(|| ip("link set wire mtu 1280"));
    }
    wire.edge.run(|| transfer(5_000_000));
}

#[test]
fn mail_sized_transfers_pass_and_survive_roaming_and_restarts() {
    let wire = Wire::new();
    let (edge_epoch, home_epoch) = epoch();
    let edge = wire.edge.run({
        let epoch = edge_epoch.clone();
        move || bring_up(Role::Edge, epoch)
    });
    let home = wire.home.run(move || bring_up(Role::Home, home_epoch));
    wait_alive(&home, Duration::from_secs(3));
    serve_echo(&wire.home, HOME_V4.into());
    serve_echo(&wire.home, home_v6().into());

    // A stranger's true address behind the edge: home's reply must take the tunnel by the policy rule alone.
    wire.edge.run(|| {
        ip("addr add 203.0.113.9/32 dev lo");
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from(([203, 0, 113, 9], 0)).into()).unwrap();
        socket.connect_timeout(&SocketAddr::from((HOME_V4, 25)).into(), Duration::from_secs(5)).unwrap();
        let mut stream: TcpStream = socket.into();
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        echo(&mut stream, b"EHLO stranger");
        echo(&mut connect((home_v6(), 25).into()), b"EHLO by IPv6");
    });

    wire.edge.run(|| transfer(25_000_000));

    // The ISP gives home another address while a connection is open.
    let mut open = wire.edge.run(|| {
        let mut stream = connect((HOME_V4, 25).into());
        echo(&mut stream, b"before the change");
        stream
    });
    wire.home.run(|| {
        ip("addr del 192.0.2.20/24 dev wire");
        ip("addr add 192.0.2.77/24 dev wire");
    });
    let changed = Instant::now();
    echo(&mut open, b"after the change");
    assert!(changed.elapsed() < Duration::from_secs(8), "roaming took {:?}", changed.elapsed());

    // The edge dies and comes back; home finds it by itself, and the open connection lives.
    edge.shutdown();
    let edge = wire.edge.run(move || bring_up(Role::Edge, edge_epoch));
    wait_alive(&edge, Duration::from_secs(12));
    echo(&mut open, b"after the restart");
    assert_eq!(edge.status().refused.spoofed, 0);
}

#[test]
fn what_is_missing_is_said() {
    let namespace = Namespace::new();
    namespace.run(|| {
        let config =
            |interface: &str, port| TunnelConfig { role: Role::Edge, interface: interface.into(), port };
        let first = Tunnel::spawn(config("postern0", PORT)).unwrap();
        let taken = Tunnel::spawn(config("postern0", 0)).unwrap_err();
        assert!(matches!(taken, TunnelError::InterfaceExists(_)), "{taken}");
        let taken = Tunnel::spawn(config("postern1", PORT)).unwrap_err();
        assert!(matches!(taken, TunnelError::PortInUse(PORT)), "{taken}");
        let ended = first.ended();
        first.shutdown();
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(ended);
        Tunnel::spawn(config("postern0", PORT)).unwrap();
        ip("link add postern2 type veth peer name other");
        let taken = Tunnel::spawn(config("postern2", 0)).unwrap_err();
        assert!(matches!(taken, TunnelError::InterfaceExists(_)), "{taken}");
    });
}

#[test]
fn addresses_of_another_network_are_a_conflict() {
    let namespace = Namespace::new();
    namespace.run(|| {
        let _tunnel = bring_up(Role::Home, epoch().1);
        ip("link add lan0 type veth peer name lan1");
        let conflict = || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                Interface::open("postern0")
                    .unwrap()
                    .conflict(&[EDGE_V4.into(), HOME_V4.into()])
                    .await
                    .unwrap()
            })
        };
        ip("addr add 10.117.255.1/16 dev lan0");
        assert_eq!(conflict(), None);
        ip("addr add 10.118.3.1/16 dev lan0");
        let found = conflict().unwrap();
        assert_eq!((found.network.to_string().as_str(), found.interface.as_str()), ("10.118.0.0/16", "lan0"));
    });
}

#[test]
fn the_policy_leaves_nothing_behind() {
    let namespace = Namespace::new();
    namespace.run(|| {
        let rules = || {
            let output = Command::new("ip").args(["rule"]).output().unwrap();
            String::from_utf8(output.stdout).unwrap()
        };
        let before = rules();
        let tunnel = bring_up(Role::Home, epoch().1);
        assert_eq!(rules().lines().count(), before.lines().count() + 1, "{}", rules());
        assert!(rules().contains("1000:\tfrom 10.118.0.2 lookup 51820"), "{}", rules());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            Interface::open("postern0").unwrap().remove_policy(HOME_V4, home_v6()).await.unwrap();
        });
        tunnel.shutdown();
        assert_eq!(rules(), before);
    });
}
