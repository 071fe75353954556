//! Entry for fuzzing: two cores that are connected, and a script of what an attacker and a misbehaving peer may do.
//!
//! In: any octets, read as steps: what to do, where, and with which octets. Promised for any script: nothing panics; the
//! edge delivers only what home sent from its own address; and an attacker, who holds no key, does not end the session.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use super::core::{Core, Outlet};
use super::ends::Ends;
use super::{Admission, EpochConfig, EpochId, HeartbeatAddresses, PresharedKey, PrivateKey, Role};

const EDGE: Ipv4Addr = Ipv4Addr::new(10, 118, 0, 1);
const HOME: Ipv4Addr = Ipv4Addr::new(10, 118, 0, 2);
const EDGE_OUTER: SocketAddr = outer(1);
const HOME_OUTER: SocketAddr = outer(2);

const fn outer(last: u8) -> SocketAddr {
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(192, 0, 2, last)), 51820)
}

/// Runs a script.
///
/// # Panics
/// When a promise is broken.
pub fn fuzz_core(mut script: &[u8]) {
    let mut wire = Wire::connected();
    while let Some((step, octets)) = next_step(&mut script) {
        wire.take(step, octets);
    }
    wire.homes_out.delivered.clear();
    wire.edges_out.delivered.clear();
    let packet = packet(HOME, b"still there");
    wire.home.handle_packet(&packet, wire.now, &mut wire.homes_out);
    wire.carry();
    assert_eq!(wire.edges_out.delivered, [packet], "the session has ended");
}

/// One step: what to do, two parameters, and up to 255 octets.
fn next_step<'a>(script: &mut &'a [u8]) -> Option<([u8; 3], &'a [u8])> {
    let (step, rest) = script.split_first_chunk::<3>()?;
    let (length, rest) = rest.split_first()?;
    let (octets, rest) = rest.split_at(rest.len().min(usize::from(*length)));
    *script = rest;
    Some((*step, octets))
}

/// The two cores, and all that home has sent so far.
struct Wire {
    edge: Core,
    home: Core,
    edges_out: Collected,
    homes_out: Collected,
    record: Vec<Vec<u8>>,
    now: Instant,
}

impl Wire {
    fn connected() -> Self {
        let (edges, homes) = epoch();
        let (mut edge, mut home) = (Core::new(Role::Edge, 1), Core::new(Role::Home, 2));
        edge.set_epochs(vec![edges]);
        home.set_epochs(vec![homes]);
        let (edges_out, homes_out) = (Collected::default(), Collected::default());
        let mut wire = Wire { edge, home, edges_out, homes_out, record: Vec::new(), now: Instant::now() };
        wire.pass(Duration::ZERO);
        wire.pass(Duration::from_millis(200));
        wire
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.edge.handle_timeout(self.now, &mut self.edges_out);
        self.home.handle_timeout(self.now, &mut self.homes_out);
        self.carry();
    }

    fn carry(&mut self) {
        loop {
            if let Some((_, datagram)) = self.homes_out.sent.pop_front() {
                self.edge.handle_datagram(HOME_OUTER, &datagram, self.now, &mut self.edges_out);
                self.record.push(datagram);
            } else if let Some((to, datagram)) = self.edges_out.sent.pop_front() {
                if to == HOME_OUTER {
                    self.home.handle_datagram(EDGE_OUTER, &datagram, self.now, &mut self.homes_out);
                }
            } else {
                return;
            }
        }
    }

    fn take(&mut self, [what, which, place]: [u8; 3], octets: &[u8]) {
        let from = if place == 0 { HOME_OUTER } else { outer(place) };
        let recorded = self.record.get(usize::from(which) % self.record.len().max(1)).cloned();
        match what % 6 {
            0 => self.edge.handle_datagram(from, octets, self.now, &mut self.edges_out),
            1 => self.home.handle_datagram(from, octets, self.now, &mut self.homes_out),
            // A recorded datagram, changed where there are octets to change it with.
            2 => {
                let mut datagram = recorded.unwrap_or_default();
                for (octet, change) in datagram.iter_mut().skip(usize::from(place)).zip(octets) {
                    *octet ^= change;
                }
                self.edge.handle_datagram(from, &datagram, self.now, &mut self.edges_out);
            }
            // A home that is misled sends any inner packet; the edge delivers it only where it comes from home.
            3 => {
                self.home.handle_packet(octets, self.now, &mut self.homes_out);
                self.carry();
                for delivered in self.edges_out.delivered.drain(..) {
                    assert!(is_from_home(&delivered), "a foreign source: {delivered:?}");
                }
            }
            4 => {
                self.edge.handle_packet(octets, self.now, &mut self.edges_out);
                self.carry();
            }
            // Not so long that home has time to dial: boringtun's own clock does not follow.
            _ => self.pass(Duration::from_millis(u64::from(which) % 200)),
        }
        // What the attacker has provoked goes nowhere else.
        self.carry();
        assert!(self.edges_out.delivered.is_empty(), "delivered without having been sent");
    }
}

fn is_from_home(packet: &[u8]) -> bool {
    packet.first().is_some_and(|first| first >> 4 == 4) && packet.get(12..16) == Some(&HOME.octets())
}

fn epoch() -> (EpochConfig, EpochConfig) {
    let (edge_key, home_key) = (PrivateKey::from_octets([1; 32]), PrivateKey::from_octets([2; 32]));
    let config = |private_key: &PrivateKey, peer: &PrivateKey| EpochConfig {
        id: EpochId::FIRST,
        private_key: private_key.clone(),
        peer: peer.public(),
        preshared_key: PresharedKey::from_octets([3; 32]),
        endpoint: None,
        allowed_ips: Vec::new(),
        admission: Admission::Everything,
        heartbeat: HeartbeatAddresses { local: EDGE, peer: HOME },
    };
    let edge = EpochConfig {
        allowed_ips: vec![std::net::IpAddr::from(HOME).into()],
        ..config(&edge_key, &home_key)
    };
    let home = EpochConfig {
        endpoint: Some(EDGE_OUTER),
        allowed_ips: vec![ipnet::IpNet::V4(Default::default()), ipnet::IpNet::V6(Default::default())],
        admission: Admission::Services { addresses: vec![HOME.into()], tcp_ports: vec![25] },
        heartbeat: HeartbeatAddresses { local: HOME, peer: EDGE },
        ..config(&home_key, &edge_key)
    };
    (edge, home)
}

/// An IPv4 packet from an inner address to the world.
fn packet(from: Ipv4Addr, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, 17, 0, 0];
    packet.extend(from.octets());
    packet.extend([203, 0, 113, 9]);
    packet.extend(body);
    let length = packet.len() as u16;
    if let Some(field) = packet.get_mut(2..4) {
        field.copy_from_slice(&length.to_be_bytes());
    }
    packet
}

/// Collects what a core gives out.
#[derive(Default)]
struct Collected {
    sent: VecDeque<(SocketAddr, Vec<u8>)>,
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
        self.sent.push_back((to.peer, self.slot.get(..octets).unwrap_or_default().to_vec()));
    }

    fn room(&mut self, octets: usize) -> &mut [u8] {
        self.room.resize(octets.max(self.room.len()), 0);
        self.room.get_mut(..octets).unwrap_or_default()
    }

    fn deliver(&mut self, octets: usize) {
        self.delivered.push(self.room.get(..octets).unwrap_or_default().to_vec());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn any_script_keeps_the_promises(script in prop::collection::vec(any::<u8>(), 0..2000)) {
            fuzz_core(&script);
        }
    }
}
