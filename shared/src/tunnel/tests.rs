//! Two cores talk over an imaginary internet.
mod hot_path;
mod succession;

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant, SystemTime};

use proptest::prelude::*;

use super::core::{Core, Outlet};
use super::ends::Ends;
use super::{
    Admission, Device, EpochConfig, EpochId, HeartbeatAddresses, PresharedKey, PrivateKey, Role, Tunnel,
};

const EDGE: Ipv4Addr = Ipv4Addr::new(10, 118, 0, 1);
const HOME: Ipv4Addr = Ipv4Addr::new(10, 118, 0, 2);
const WALL: SystemTime = SystemTime::UNIX_EPOCH;
const WORLD: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 9);

/// Collects what a core gives out.
#[derive(Default)]
struct Collected {
    sent: VecDeque<(SocketAddr, Vec<u8>)>,
    /// Which address of ours the last one shall leave from.
    sent_from: Option<IpAddr>,
    delivered: Vec<Vec<u8>>,
    slot: Vec<u8>,
    room: Vec<u8>,
}

impl Outlet for Collected {
    fn slot(&mut self, octets: usize) -> &mut [u8] {
        self.slot.resize(octets, 0);
        &mut self.slot
    }

    fn send_slot(&mut self, to: Ends, octets: usize) {
        self.sent.push_back((to.peer, self.slot[..octets].to_vec()));
        self.sent_from = to.local;
    }

    fn room(&mut self, octets: usize) -> &mut [u8] {
        self.room.resize(octets.max(self.room.len()), 0);
        &mut self.room[..octets]
    }

    fn deliver(&mut self, octets: usize) {
        self.delivered.push(self.room[..octets].to_vec());
    }
}

struct End {
    core: Core,
    out: Collected,
    address: SocketAddr,
}

impl End {
    fn new(role: Role, address: &str, epochs: Vec<EpochConfig>) -> Self {
        let mut core = Core::new(role, 41);
        core.set_epochs(epochs);
        Self { core, out: Collected::default(), address: address.parse().unwrap() }
    }
}

/// An edge and a home with the wire between them, and a clock that is moved by hand.
struct Pair {
    edge: End,
    home: End,
    now: Instant,
    /// Every datagram that home sent.
    record: Vec<Vec<u8>>,
}

impl Pair {
    fn new(epochs: Vec<(EpochConfig, EpochConfig)>) -> Self {
        let (edge, home) = epochs.into_iter().unzip();
        Self {
            edge: End::new(Role::Edge, "192.0.2.1:51820", edge),
            home: End::new(Role::Home, "198.51.100.20:40000", home),
            now: Instant::now(),
            record: Vec::new(),
        }
    }

    /// Moves the clock and carries datagrams until both ends are silent.
    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.edge.core.handle_timeout(self.now, &mut self.edge.out);
        self.home.core.handle_timeout(self.now, &mut self.home.out);
        self.carry();
    }

    fn carry(&mut self) {
        loop {
            if let Some((to, datagram)) = self.home.out.sent.pop_front() {
                self.record.push(datagram.clone());
                if to == self.edge.address {
                    self.edge.core.handle_datagram(
                        self.home.address,
                        &datagram,
                        self.now,
                        &mut self.edge.out,
                    );
                }
            } else if let Some((to, datagram)) = self.edge.out.sent.pop_front() {
                if to == self.home.address {
                    self.home.core.handle_datagram(
                        self.edge.address,
                        &datagram,
                        self.now,
                        &mut self.home.out,
                    );
                }
            } else {
                return;
            }
        }
    }

    fn home_sends(&mut self, packet: &[u8]) -> Vec<Vec<u8>> {
        self.home.core.handle_packet(packet, self.now, &mut self.home.out);
        self.carry();
        std::mem::take(&mut self.edge.out.delivered)
    }

    fn edge_sends(&mut self, packet: &[u8]) -> Vec<Vec<u8>> {
        self.edge.core.handle_packet(packet, self.now, &mut self.edge.out);
        self.carry();
        std::mem::take(&mut self.home.out.delivered)
    }
}

/// The two configurations of one epoch: the edge's, home's.
fn epoch(number: u32) -> (EpochConfig, EpochConfig) {
    let (edge_key, home_key) = (PrivateKey::generate().unwrap(), PrivateKey::generate().unwrap());
    let preshared_key = PresharedKey::generate().unwrap();
    let edge = EpochConfig {
        id: EpochId(number),
        private_key: edge_key.clone(),
        peer: home_key.public(),
        preshared_key: preshared_key.clone(),
        endpoint: None,
        allowed_ips: vec![IpAddr::from(HOME).into()],
        admission: Admission::Everything,
        heartbeat: HeartbeatAddresses { local: EDGE, peer: HOME },
    };
    let home = EpochConfig {
        id: EpochId(number),
        private_key: home_key,
        peer: edge_key.public(),
        preshared_key,
        endpoint: Some("192.0.2.1:51820".parse().unwrap()),
        allowed_ips: vec!["0.0.0.0/0".parse().unwrap()],
        admission: Admission::Services { addresses: vec![HOME.into()], tcp_ports: vec![25] },
        heartbeat: HeartbeatAddresses { local: HOME, peer: EDGE },
    };
    (edge, home)
}

/// A TCP segment in the middle of a connection.
fn packet(from: Ipv4Addr, to: Ipv4Addr, body: &[u8]) -> Vec<u8> {
    let length = 40 + body.len() as u16;
    let mut packet = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, 6, 0, 0];
    packet[2..4].copy_from_slice(&length.to_be_bytes());
    packet.extend(from.octets());
    packet.extend(to.octets());
    packet.extend([0, 25, 0, 25, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, 0x10, 0, 0, 0, 0, 0, 0]);
    packet.extend(body);
    packet
}

fn connected() -> Pair {
    let mut pair = Pair::new(vec![epoch(1)]);
    pair.pass(Duration::ZERO);
    pair.pass(Duration::from_millis(200));
    pair
}

#[test]
fn home_dials_and_packets_pass_both_ways() {
    let mut pair = connected();
    let there = packet(HOME, WORLD, b"out");
    let back = packet(WORLD, HOME, b"in");
    assert_eq!(pair.home_sends(&there), [there]);
    assert_eq!(pair.edge_sends(&back), [back]);
}

#[test]
fn heartbeats_show_life_and_never_reach_the_device() {
    let mut pair = connected();
    pair.pass(Duration::from_secs(2));
    let (edge, home) = (pair.edge.core.status(pair.now, WALL), pair.home.core.status(pair.now, WALL));
    assert!(edge[0].alive && home[0].alive);
    assert_eq!(home[0].round_trip, Some(Duration::ZERO));
    assert!(pair.edge.out.delivered.is_empty() && pair.home.out.delivered.is_empty());
}

#[test]
fn a_renewed_session_carries_on_and_heartbeats_are_no_use_of_it() {
    let mut pair = connected();
    pair.pass(Duration::from_secs(2));
    let before = pair.home.core.status(pair.now, WALL).remove(0);
    assert_eq!((before.handshakes, before.last_carried), (1, None));
    pair.home.core.renew(EpochId(1), &mut pair.home.out);
    pair.carry();
    assert_eq!(pair.home.core.status(pair.now, WALL)[0].handshakes, 2);
    let (there, back) = (packet(HOME, WORLD, b"out"), packet(WORLD, HOME, b"in"));
    assert_eq!(pair.home_sends(&there), [there]);
    pair.pass(Duration::from_secs(3));
    assert_eq!(pair.home.core.status(pair.now, WALL)[0].last_carried, Some(Duration::from_secs(3)));
    assert_eq!(pair.edge_sends(&back), [back]);
    assert_eq!(pair.home.core.status(pair.now, WALL)[0].last_carried, Some(Duration::ZERO));
}

#[test]
fn packets_sent_before_the_handshake_are_delivered_after_it() {
    let mut pair = Pair::new(vec![epoch(1)]);
    let early = packet(HOME, WORLD, b"early");
    assert_eq!(pair.home_sends(&early), [early]);
}

#[test]
fn a_replayed_datagram_is_refused() {
    let mut pair = connected();
    let body = packet(HOME, WORLD, b"once");
    assert_eq!(pair.home_sends(&body).len(), 1);
    let refused = pair.edge.core.refused().datagrams;
    for datagram in pair.record.clone() {
        pair.edge.core.handle_datagram(pair.home.address, &datagram, pair.now, &mut pair.edge.out);
    }
    assert!(pair.edge.out.delivered.is_empty());
    assert_eq!(pair.edge.core.refused().datagrams, refused + pair.record.len() as u64);
}

#[test]
fn a_replay_from_elsewhere_does_not_move_the_peer() {
    let mut pair = connected();
    let thief: SocketAddr = "203.0.113.66:1".parse().unwrap();
    for datagram in pair.record.clone() {
        pair.edge.core.handle_datagram(thief, &datagram, pair.now, &mut pair.edge.out);
    }
    assert_eq!(pair.edge.core.status(pair.now, WALL)[0].endpoint, Some(pair.home.address));
}

#[test]
fn a_spoofed_inner_source_is_refused() {
    let mut pair = connected();
    for source in [EDGE, WORLD, Ipv4Addr::new(10, 118, 0, 3)] {
        assert!(pair.home_sends(&packet(source, WORLD, b"not mine")).is_empty());
    }
    assert_eq!(pair.edge.core.refused().spoofed, 3);
}

#[test]
fn home_takes_packets_for_itself_only() {
    let (mut edge, home) = epoch(1);
    edge.allowed_ips = vec!["0.0.0.0/0".parse().unwrap()];
    let mut pair = Pair::new(vec![(edge, home)]);
    pair.pass(Duration::ZERO);
    let to_the_lan = packet(WORLD, Ipv4Addr::new(192, 168, 1, 10), b"a taken-over edge");
    assert!(pair.edge_sends(&to_the_lan).is_empty());
    assert_eq!(pair.home.core.refused().not_admitted, 1);
}

#[test]
fn packets_that_lead_nowhere_are_refused() {
    let mut pair = connected();
    assert!(pair.edge_sends(&packet(EDGE, WORLD, b"no epoch")).is_empty());
    assert!(pair.edge_sends(b"").is_empty());
    assert!(pair.edge_sends(&[0x60; 10]).is_empty());
    assert_eq!(pair.edge.core.refused().unroutable, 3);
}

#[test]
fn the_endpoint_follows_home_within_one_beat() {
    let mut pair = connected();
    pair.home.address = "203.0.113.40:5555".parse().unwrap();
    pair.pass(Duration::from_secs(2));
    assert_eq!(pair.edge.core.status(pair.now, WALL)[0].endpoint, Some(pair.home.address));
    let back = packet(WORLD, HOME, b"after the move");
    assert_eq!(pair.edge_sends(&back), [back]);
}

#[test]
fn the_edge_answers_from_the_address_at_which_home_reached_it_last() {
    let mut pair = connected();
    let addressed = [1u8, 2].map(|last| IpAddr::from([192, 0, 2, last]));
    for local in [addressed[1], addressed[0]] {
        let beat = packet(HOME, WORLD, b"out");
        pair.home.core.handle_packet(&beat, pair.now, &mut pair.home.out);
        let (_, datagram) = pair.home.out.sent.pop_front().unwrap();
        let at = |local| Ends { peer: pair.home.address, local: Some(local) };
        // A replay at another address of the edge's changes nothing.
        for (from, datagram) in [(at(local), &datagram), (at(addressed[0]), &datagram)] {
            pair.edge.core.handle_datagram(from, datagram, pair.now, &mut pair.edge.out);
        }
        let answer = packet(WORLD, HOME, b"in");
        pair.edge.core.handle_packet(&answer, pair.now, &mut pair.edge.out);
        assert_eq!(pair.edge.out.sent_from, Some(local));
        assert_eq!(pair.edge.core.status(pair.now, WALL)[0].endpoint, Some(pair.home.address));
    }
    pair.home.core.handle_packet(&packet(HOME, WORLD, b"out"), pair.now, &mut pair.home.out);
    assert_eq!(pair.home.out.sent_from, None, "home is where its routes say, and moves");
}

#[test]
fn home_keeps_to_the_address_it_dials() {
    let mut pair = connected();
    let address = pair.edge.address;
    pair.edge.core.handle_packet(&packet(WORLD, HOME, b"x"), pair.now, &mut pair.edge.out);
    let (_, datagram) = pair.edge.out.sent.pop_front().unwrap();
    let router: SocketAddr = "192.0.2.1:10849".parse().unwrap();
    pair.home.core.handle_datagram(router, &datagram, pair.now, &mut pair.home.out);
    assert_eq!(pair.home.out.delivered.len(), 1);
    assert_eq!(pair.home.core.status(pair.now, WALL)[0].endpoint, Some(address));
}

#[test]
fn the_edge_never_dials() {
    let mut pair = connected();
    pair.home.core.set_epochs(Vec::new());
    pair.home.out.sent.clear();
    for _ in 0..600 {
        pair.now += Duration::from_secs(1);
        pair.edge.core.handle_packet(&packet(WORLD, HOME, b"anybody?"), pair.now, &mut pair.edge.out);
        pair.edge.core.handle_timeout(pair.now, &mut pair.edge.out);
    }
    assert!(pair.edge.out.sent.iter().all(|(_, datagram)| datagram[0] != 1));
}

#[test]
fn a_restarted_edge_is_found_again() {
    let (edge, home) = epoch(1);
    let mut pair = Pair::new(vec![(edge.clone(), home)]);
    pair.pass(Duration::ZERO);
    pair.pass(Duration::from_millis(200));
    pair.edge = End::new(Role::Edge, "192.0.2.1:51820", vec![edge]);
    let mut waited = Duration::ZERO;
    while !pair.edge.core.status(pair.now, WALL)[0].alive {
        pair.pass(Duration::from_millis(200));
        waited += Duration::from_millis(200);
        assert!(waited < Duration::from_secs(10), "home must notice by the missing heartbeats");
    }
    let there = packet(HOME, WORLD, b"again");
    assert_eq!(pair.home_sends(&there), [there]);
}

#[test]
fn a_silent_edge_is_dialled_for_ever_and_looks_dead() {
    let (edge, home) = epoch(1);
    let mut pair = Pair::new(vec![(edge.clone(), home)]);
    pair.edge.core.set_epochs(Vec::new());
    for _ in 0..1000 {
        pair.pass(Duration::from_secs(1));
    }
    assert!(!pair.home.core.status(pair.now, WALL)[0].alive);
    pair.edge.core.set_epochs(vec![edge]);
    pair.pass(Duration::from_secs(4));
    assert!(pair.home.core.status(pair.now, WALL)[0].alive);
}

#[test]
fn two_epochs_carry_data_side_by_side() {
    let mut pair = Pair::new(vec![epoch(1), epoch(2)]);
    for _ in 0..3 {
        pair.pass(Duration::from_secs(2));
    }
    for end in [&pair.edge, &pair.home] {
        let status = end.core.status(pair.now, WALL);
        assert_eq!(status.iter().map(|epoch| epoch.id.0).collect::<Vec<_>>(), [2, 1]);
        assert!(status.iter().all(|epoch| epoch.alive));
    }
    let before = pair.home.core.status(pair.now, WALL);
    let there = packet(HOME, WORLD, b"by the newest");
    assert_eq!(pair.home_sends(&there), [there]);
    let after = pair.home.core.status(pair.now, WALL);
    assert!(after[0].sent_octets > before[0].sent_octets);
    assert_eq!(after[1].sent_octets, before[1].sent_octets);
}

#[test]
fn a_new_epoch_is_used_once_it_lives_and_the_old_one_until_then() {
    let (first, second) = (epoch(1), epoch(2));
    let mut pair = Pair::new(vec![first.clone()]);
    pair.pass(Duration::ZERO);
    pair.pass(Duration::from_secs(2));
    pair.edge.core.set_epochs(vec![first.0.clone(), second.0.clone()]);
    let back = packet(WORLD, HOME, b"by the old one");
    assert_eq!(pair.edge_sends(&back), [back]);
    pair.home.core.set_epochs(vec![first.1, second.1.clone()]);
    pair.pass(Duration::ZERO);
    pair.pass(Duration::from_millis(200));
    pair.edge.core.set_epochs(vec![second.0]);
    pair.home.core.set_epochs(vec![second.1]);
    let back = packet(WORLD, HOME, b"by the new one");
    assert_eq!(pair.edge_sends(&back), [back]);
}

#[test]
fn another_preshared_key_or_static_key_gets_no_session() {
    let (edge, mut home) = epoch(1);
    home.preshared_key = PresharedKey::generate().unwrap();
    let mut pair = Pair::new(vec![(edge, home)]);
    let (edge, mut home) = epoch(2);
    home.private_key = PrivateKey::generate().unwrap();
    pair.pass(Duration::ZERO);
    pair.pass(Duration::from_secs(5));
    assert!(
        !pair.edge.core.status(pair.now, WALL)[0].alive && !pair.home.core.status(pair.now, WALL)[0].alive
    );
    let mut pair = Pair::new(vec![(edge, home)]);
    pair.pass(Duration::ZERO);
    assert!(!pair.edge.core.status(pair.now, WALL)[0].alive);
}

#[test]
fn a_flood_of_handshakes_is_asked_for_cookies() {
    let (edge, home) = epoch(1);
    let mut edge = End::new(Role::Edge, "192.0.2.1:51820", vec![edge]);
    let (mut replies, now) = (Vec::new(), Instant::now());
    for _ in 0..60 {
        let mut dialler = End::new(Role::Home, "198.51.100.20:40000", vec![home.clone()]);
        dialler.core.handle_timeout(now, &mut dialler.out);
        for (_, datagram) in dialler.out.sent.drain(..) {
            edge.core.handle_datagram(dialler.address, &datagram, now, &mut edge.out);
        }
        replies.extend(edge.out.sent.drain(..).map(|(_, datagram)| datagram.len()));
    }
    assert!(replies.iter().filter(|length| **length == 64).count() >= 30, "cookie replies: {replies:?}");
}

proptest! {
    #[test]
    fn garbage_never_panics(octets in prop::collection::vec(any::<u8>(), 0..300), kind in 0u8..6) {
        let mut pair = connected();
        let mut datagram = octets.clone();
        if let Some(first) = datagram.first_mut() {
            *first = kind;
        }
        for octets in [&octets, &datagram] {
            pair.edge.core.handle_datagram(pair.home.address, octets, pair.now, &mut pair.edge.out);
            pair.home.core.handle_packet(octets, pair.now, &mut pair.home.out);
            pair.carry();
        }
    }

    #[test]
    fn damaged_datagrams_are_refused(at in any::<prop::sample::Index>(), bit in 0u8..8, which in any::<prop::sample::Index>()) {
        let mut pair = connected();
        pair.home_sends(&packet(HOME, WORLD, b"data"));
        let mut datagram = pair.record[which.index(pair.record.len())].clone();
        let at = at.index(datagram.len());
        datagram[at] ^= 1 << bit;
        let thief: SocketAddr = "203.0.113.66:1".parse().unwrap();
        pair.edge.core.handle_datagram(thief, &datagram, pair.now, &mut pair.edge.out);
        prop_assert!(pair.edge.out.delivered.is_empty());
        prop_assert_eq!(pair.edge.core.status(pair.now, WALL)[0].endpoint, Some(pair.home.address));
    }

    #[test]
    fn any_body_passes_unchanged(body in prop::collection::vec(any::<u8>(), 0..1340)) {
        let mut pair = connected();
        let there = packet(HOME, WORLD, &body);
        prop_assert_eq!(pair.home_sends(&there), vec![there]);
    }
}

#[tokio::test]
async fn a_device_that_goes_ends_the_tunnel() {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let (kernel, device) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap();
    let tunnel = Tunnel::with_device(Role::Home, Device::from_packets(device), 0).unwrap();
    let ended = tunnel.ended();
    drop(kernel);
    tokio::time::timeout(Duration::from_secs(5), ended).await.expect("the thread has ended");
}
