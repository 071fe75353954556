//! Several homes with the same keys, wrong clocks, and attackers who replay what they have recorded.

use super::*;
use crate::tunnel::Fenced;
use crate::tunnel::heartbeat::{Kind, MESSAGE_OCTETS, Message};

const FIRST: usize = 0;
const SECOND: usize = 1;
const BEAT: Duration = Duration::from_secs(2);

/// The address of a home whose line is down.
const NOWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// One edge, and homes that hold the same keys.
struct World {
    edge: End,
    homes: Vec<End>,
    keys: (EpochConfig, EpochConfig),
    now: Instant,
    /// Every datagram that a home sent.
    record: Vec<(SocketAddr, Vec<u8>)>,
    /// Every so many datagrams one is lost; 0 loses none.
    one_lost_in: usize,
}

impl World {
    fn new() -> Self {
        let keys = epoch(1);
        let edge = End::new(Role::Edge, "192.0.2.1:51820", vec![keys.0.clone()]);
        Self { edge, homes: Vec::new(), keys, now: Instant::now(), record: Vec::new(), one_lost_in: 0 }
    }

    /// Starts another run of home; it dials at the next tick.
    fn start_home(&mut self, address: &str) -> usize {
        let run = 0x0100 * (self.homes.len() as u32 + 1);
        let mut core = Core::new(Role::Home, run);
        core.set_epochs(vec![self.keys.1.clone()]);
        self.homes.push(End { core, out: Collected::default(), address: address.parse().unwrap() });
        self.homes.len() - 1
    }

    /// Ends a home: nothing reaches it any more.
    fn stop_home(&mut self, which: usize) {
        self.homes[which].address = NOWHERE;
        self.homes[which].core.set_epochs(Vec::new());
        self.homes[which].out.sent.clear();
    }

    fn restart_edge(&mut self) {
        self.edge = End::new(Role::Edge, "192.0.2.1:51820", vec![self.keys.0.clone()]);
    }

    /// Moves the clock in ticks of the event loop.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.now += Duration::from_millis(200);
            self.tick();
        }
    }

    fn tick(&mut self) {
        self.edge.core.handle_timeout(self.now, &mut self.edge.out);
        for home in &mut self.homes {
            home.core.handle_timeout(self.now, &mut home.out);
        }
        self.carry();
    }

    fn carry(&mut self) {
        loop {
            let speaking = self.homes.iter().position(|home| !home.out.sent.is_empty());
            if let Some(which) = speaking {
                let (_, datagram) = self.homes[which].out.sent.pop_front().unwrap();
                let from = self.homes[which].address;
                self.record.push((from, datagram.clone()));
                if from != NOWHERE && !self.loses() {
                    self.deliver(from, &datagram);
                }
            } else if let Some((to, datagram)) = self.edge.out.sent.pop_front() {
                let (from, lost) = (self.edge.address, self.loses());
                if let Some(home) = self.homes.iter_mut().find(|home| home.address == to && !lost)
                    && to != NOWHERE
                {
                    home.core.handle_datagram(from, &datagram, self.now, &mut home.out);
                }
                self.record.push((from, Vec::new()));
            } else {
                self.record.retain(|(_, datagram)| !datagram.is_empty());
                return;
            }
        }
    }

    fn loses(&self) -> bool {
        self.one_lost_in != 0 && self.record.len().is_multiple_of(self.one_lost_in)
    }

    fn deliver(&mut self, from: SocketAddr, datagram: &[u8]) {
        self.edge.core.handle_datagram(from, datagram, self.now, &mut self.edge.out);
    }

    fn sends(&mut self, which: usize, packet: &[u8]) -> bool {
        let home = &mut self.homes[which];
        home.core.handle_packet(packet, self.now, &mut home.out);
        self.carry();
        std::mem::take(&mut self.edge.out.delivered) == [packet]
    }

    /// Whether packets pass between this home and the edge, both ways.
    fn carries(&mut self, which: usize) -> bool {
        let (there, back) = (packet(HOME, WORLD, b"out"), packet(WORLD, HOME, b"in"));
        let is_sent = self.sends(which, &there);
        self.edge.core.handle_packet(&back, self.now, &mut self.edge.out);
        self.carry();
        is_sent && std::mem::take(&mut self.homes[which].out.delivered) == [back]
    }

    fn is_alive(&self, which: usize) -> bool {
        self.homes[which].core.status(self.now, WALL)[0].alive
    }

    fn fenced(&self, which: usize) -> Option<Fenced> {
        self.homes[which].core.status(self.now, WALL)[0].fenced
    }

    /// Every initiation sent so far.
    fn initiations(&self) -> Vec<(SocketAddr, Vec<u8>)> {
        self.record.iter().filter(|(_, datagram)| datagram[0] == 1).cloned().collect()
    }

    /// Lets the first home agree new keys that often, a second apart; every initiation sent so far.
    fn initiations_of_renewals(&mut self, times: usize) -> Vec<(SocketAddr, Vec<u8>)> {
        for _ in 0..times {
            let home = &mut self.homes[FIRST];
            home.core.renew(EpochId(1), &mut home.out);
            self.now += Duration::from_secs(1);
            self.tick();
        }
        self.initiations()
    }
}

fn with_home() -> World {
    let mut world = World::new();
    world.start_home("198.51.100.20:40000");
    world.pass(BEAT);
    assert!(world.carries(FIRST));
    world
}

/// The initiation that a new run of home sends first; it is not delivered.
fn held_back_initiation(world: &mut World, which: usize) -> Vec<u8> {
    let home = &mut world.homes[which];
    home.core.handle_timeout(world.now, &mut home.out);
    home.out.sent.pop_front().unwrap().1
}

#[test]
fn a_home_whose_clock_went_back_is_taken() {
    let mut world = World::new();
    let late = world.start_home("198.51.100.20:40000");
    let initiation = held_back_initiation(&mut world, late);
    let ahead = world.start_home("198.51.100.20:40001");
    world.homes.swap(late, ahead);
    world.pass(Duration::from_millis(400));
    assert!(world.carries(FIRST), "the one whose clock is ahead");
    world.stop_home(FIRST);
    let address = world.homes[SECOND].address;
    world.deliver(address, &initiation);
    // Before the late one dials again, by a clock that has gone on.
    world.pass(Duration::from_secs(2));
    assert!(world.carries(SECOND), "an initiation with an older time stamp must lead to a session");
}

#[test]
fn a_restarted_home_is_let_in_within_two_seconds() {
    let mut world = with_home();
    world.pass(BEAT);
    world.stop_home(FIRST);
    world.start_home("198.51.100.20:40001");
    world.pass(Duration::from_secs(2));
    assert!(world.is_alive(SECOND) && world.carries(SECOND));
    assert_eq!(world.fenced(SECOND), None);
}

#[test]
fn a_home_that_is_restarted_twice_is_let_in_as_soon_the_second_time() {
    let mut world = with_home();
    world.stop_home(FIRST);
    let second = world.start_home("198.51.100.20:40001");
    // It is just let in; the answer to its first beat had to wait for that.
    world.pass(Duration::from_millis(2000));
    assert!(world.carries(second));
    world.stop_home(second);
    let third = world.start_home("198.51.100.20:40002");
    world.pass(Duration::from_secs(2));
    assert!(world.carries(third));
}

#[test]
fn a_restarted_home_at_the_same_endpoint_is_let_in_at_once() {
    let mut world = with_home();
    world.stop_home(FIRST);
    world.start_home("198.51.100.20:40000");
    world.pass(Duration::from_millis(200));
    assert!(world.carries(SECOND));
}

#[test]
fn new_keys_at_a_new_address_interrupt_nothing() {
    let mut world = with_home();
    world.homes[FIRST].address = "203.0.113.40:5555".parse().unwrap();
    let home = &mut world.homes[FIRST];
    home.core.renew(EpochId(1), &mut home.out);
    world.carry();
    assert!(world.carries(FIRST));
}

#[test]
fn packets_under_way_when_the_keys_change_are_delivered() {
    let mut world = with_home();
    let late = packet(HOME, WORLD, b"late");
    let home = &mut world.homes[FIRST];
    home.core.handle_packet(&late, world.now, &mut home.out);
    let (_, datagram) = home.out.sent.pop_front().unwrap();
    home.core.renew(EpochId(1), &mut home.out);
    world.carry();
    assert!(world.carries(FIRST));
    let from = world.homes[FIRST].address;
    world.deliver(from, &datagram);
    assert_eq!(world.edge.out.delivered, [late]);
    world.deliver(from, &datagram);
    assert_eq!(world.edge.out.delivered.len(), 1, "but once");
}

#[test]
fn the_second_of_two_homes_is_fenced_and_told_so() {
    let mut world = with_home();
    world.start_home("198.18.7.5:40000");
    for _ in 0..30 {
        world.pass(Duration::from_secs(1));
        assert!(world.carries(FIRST), "the living home does not notice");
        assert!(world.is_alive(FIRST));
    }
    assert!(!world.is_alive(SECOND));
    let (first, second) = (world.homes[FIRST].address, world.homes[SECOND].address);
    assert_eq!(world.fenced(SECOND).map(|fenced| fenced.endpoint), Some(first));
    assert_eq!(world.fenced(FIRST), None);
    let edge = world.edge.core.status(world.now, WALL).remove(0);
    assert_eq!((edge.endpoint, edge.fenced.map(|fenced| fenced.endpoint)), (Some(first), Some(second)));
    assert!(!world.sends(SECOND, &packet(HOME, WORLD, b"from the copy")));
    assert!(world.edge.core.refused().fenced > 0);
}

#[test]
fn a_second_home_is_fenced_within_a_tick_and_carries_nothing_before() {
    let mut world = with_home();
    world.start_home("198.18.7.5:40000");
    world.pass(Duration::from_millis(200));
    assert!(!world.is_alive(SECOND) && !world.sends(SECOND, &packet(HOME, WORLD, b"early")));
    world.pass(Duration::from_millis(400));
    assert!(world.fenced(SECOND).is_some());
}

#[test]
fn a_bad_line_does_not_let_the_second_home_in() {
    for one_lost_in in 3..6 {
        let mut world = with_home();
        world.one_lost_in = one_lost_in;
        world.start_home("198.18.7.5:40000");
        world.pass(Duration::from_secs(120));
        world.one_lost_in = 0;
        assert!(world.carries(FIRST), "one datagram in {one_lost_in} is lost");
    }
}

#[test]
fn a_packet_that_was_withheld_does_not_fence_the_restarted_home() {
    let mut world = with_home();
    let home = &mut world.homes[FIRST];
    home.core.handle_packet(&packet(HOME, WORLD, b"withheld"), world.now, &mut home.out);
    let withheld = home.out.sent.pop_front().unwrap().1;
    let address = world.homes[FIRST].address;
    world.stop_home(FIRST);
    world.start_home("198.51.100.20:40001");
    world.pass(Duration::from_millis(600));
    world.deliver(address, &withheld);
    assert_eq!(std::mem::take(&mut world.edge.out.delivered).len(), 1);
    world.pass(Duration::from_millis(1400));
    assert_eq!(world.fenced(SECOND), None);
    assert!(world.carries(SECOND));
}

#[test]
fn an_answer_to_an_older_challenge_does_not_fence_the_restarted_home() {
    let mut world = with_home();
    world.start_home("198.18.7.5:40000");
    world.pass(Duration::from_millis(200));
    // The living home's answer to the copy's challenge is withheld until the home has died.
    let address = world.homes[FIRST].address;
    world.edge.core.handle_timeout(world.now, &mut world.edge.out);
    let (_, challenge) = world.edge.out.sent.iter().rfind(|(to, _)| *to == address).unwrap().clone();
    world.edge.out.sent.clear();
    let (edge, home) = (world.edge.address, &mut world.homes[FIRST]);
    home.core.handle_datagram(edge, &challenge, world.now, &mut home.out);
    let withheld = home.out.sent.pop_front().unwrap().1;
    world.stop_home(FIRST);
    world.stop_home(SECOND);
    let third = world.start_home("198.51.100.20:40001");
    world.pass(Duration::from_millis(600));
    world.deliver(address, &withheld);
    world.pass(Duration::from_millis(1400));
    assert_eq!(world.fenced(third), None);
    assert!(world.carries(third));
}

#[test]
fn an_answer_to_a_challenge_that_was_never_sent_does_not_fence_the_restarted_home() {
    let mut world = with_home();
    let heartbeat = world.keys.1.heartbeat;
    for sequence in [1, 2, u64::MAX] {
        let mut answer = [0; MESSAGE_OCTETS as usize];
        Message { kind: Kind::Answer, sequence, ..Message::default() }.write(&mut answer, heartbeat);
        assert!(!world.sends(FIRST, &answer), "the edge keeps a message of the heartbeat to itself");
    }
    world.stop_home(FIRST);
    let second = world.start_home("198.51.100.20:40001");
    world.pass(Duration::from_secs(2));
    assert_eq!(world.fenced(second), None);
    assert!(world.carries(second));
}

#[test]
fn a_fenced_home_takes_over_after_an_hour_of_silence_and_not_before() {
    let mut world = with_home();
    world.start_home("198.18.7.5:40000");
    world.pass(BEAT);
    world.stop_home(FIRST);
    world.pass(Duration::from_secs(3500));
    assert!(!world.is_alive(SECOND) && world.fenced(SECOND).is_some());
    world.pass(Duration::from_secs(110));
    assert!(world.is_alive(SECOND) && world.fenced(SECOND).is_none());
    assert!(world.carries(SECOND));
}

#[test]
fn a_fenced_home_that_is_started_again_takes_over_at_once_where_the_other_is_gone() {
    let mut world = with_home();
    world.start_home("198.18.7.5:40000");
    world.pass(BEAT);
    world.stop_home(FIRST);
    world.stop_home(SECOND);
    let third = world.start_home("198.18.7.5:40001");
    world.pass(BEAT);
    assert!(world.carries(third));
}

#[test]
fn an_edge_that_is_restarted_takes_the_living_home_and_not_the_fenced_one() {
    let mut world = with_home();
    world.start_home("198.18.7.5:40000");
    world.pass(BEAT);
    assert!(world.fenced(SECOND).is_some());
    world.restart_edge();
    // The living home's line is down meanwhile.
    let address = std::mem::replace(&mut world.homes[FIRST].address, NOWHERE);
    world.pass(Duration::from_secs(120));
    assert!(!world.is_alive(SECOND));
    world.homes[FIRST].address = address;
    world.pass(Duration::from_secs(4));
    assert!(world.carries(FIRST));
}

#[test]
fn replayed_initiations_do_not_touch_the_living_session() {
    let mut world = with_home();
    let recorded = world.initiations_of_renewals(20);
    assert!(recorded.len() > 20);
    let endpoint = world.homes[FIRST].address;
    for round in 0..20 {
        world.now += Duration::from_secs(1);
        for (_, initiation) in &recorded {
            let thief = SocketAddr::from((Ipv4Addr::new(203, 0, 113, round), 1));
            world.deliver(thief, initiation);
            world.deliver(endpoint, initiation);
        }
        world.edge.out.sent.clear();
        world.tick();
        assert!(world.carries(FIRST));
        assert_eq!(world.edge.core.status(world.now, WALL)[0].endpoint, Some(endpoint));
    }
}

#[test]
fn replays_between_handshake_and_proof_do_not_keep_home_out() {
    let mut world = with_home();
    let recorded = world.initiations_of_renewals(15);
    world.restart_edge();
    world.stop_home(FIRST);
    let home = world.start_home("198.51.100.20:40001");
    let initiation = held_back_initiation(&mut world, home);
    let address = world.homes[home].address;
    world.deliver(address, &initiation);
    let responses: Vec<_> = world.edge.out.sent.drain(..).collect();
    // 15 spoofed addresses, and one that sends as many as it can.
    for (last, (_, replay)) in (1u8..).zip(recorded.iter().take(15)) {
        world.deliver((Ipv4Addr::new(203, 0, 113, last), 1).into(), replay);
        world.edge.core.handle_timeout(world.now, &mut world.edge.out);
    }
    world.edge.out.sent.clear();
    world.edge.out.sent.extend(responses);
    world.carry();
    world.pass(Duration::from_millis(200));
    assert!(world.carries(home));
}

#[test]
fn replayed_responses_do_not_keep_home_from_new_keys() {
    let mut world = with_home();
    let (edge, handshakes) =
        (world.edge.address, |world: &World| world.homes[FIRST].core.status(world.now, WALL)[0].handshakes);
    let recorded = renewed(&mut world).0;
    world.carry();
    let before = handshakes(&world);
    for _ in 0..5 {
        world.now += Duration::from_secs(1);
        let home = &mut world.homes[FIRST];
        for _ in 0..1000 {
            home.core.handle_datagram(edge, &recorded, world.now, &mut home.out);
        }
        assert!(home.out.sent.is_empty(), "home answers a replay");
        home.core.renew(EpochId(1), &mut home.out);
        world.carry();
    }
    assert_eq!(handshakes(&world), before + 5);
}

#[test]
fn a_late_packet_of_an_older_session_does_not_bring_it_back() {
    let mut world = with_home();
    let address = world.homes[FIRST].address;
    let first = renewed(&mut world).1;
    // boringtun tells two sessions apart by its own clock, in ticks.
    world.now += Duration::from_millis(300);
    std::thread::sleep(Duration::from_millis(300));
    let home = &mut world.homes[FIRST];
    home.core.handle_timeout(world.now, &mut home.out);
    home.out.sent.clear();
    let second = renewed(&mut world).1;
    world.deliver(address, &second);
    world.deliver(address, &first);
    for _ in 0..8 {
        world.pass(BEAT);
        assert!(world.carries(FIRST));
        assert!(world.edge.core.status(world.now, WALL)[0].alive);
    }
}

/// Lets home agree new keys; gives back the edge's response, and home's first packet, which is not delivered.
fn renewed(world: &mut World) -> (Vec<u8>, Vec<u8>) {
    let (edge, address) = (world.edge.address, world.homes[FIRST].address);
    let home = &mut world.homes[FIRST];
    home.core.renew(EpochId(1), &mut home.out);
    let initiation = home.out.sent.pop_front().unwrap().1;
    world.deliver(address, &initiation);
    let response = world.edge.out.sent.pop_front().unwrap().1;
    let home = &mut world.homes[FIRST];
    home.core.handle_datagram(edge, &response, world.now, &mut home.out);
    let proof = home.out.sent.pop_front().unwrap().1;
    (response, proof)
}

#[test]
fn one_address_cannot_push_the_others_out() {
    let mut world = with_home();
    for _ in 0..18 {
        let home = &mut world.homes[FIRST];
        home.core.renew(EpochId(1), &mut home.out);
        world.tick();
    }
    let recorded = world.initiations();
    world.restart_edge();
    world.stop_home(FIRST);
    let home = world.start_home("198.51.100.20:40001");
    let initiation = held_back_initiation(&mut world, home);
    let address = world.homes[home].address;
    world.deliver(address, &initiation);
    let responses: Vec<_> = world.edge.out.sent.drain(..).collect();
    for (port, (_, replay)) in (1u16..).zip(&recorded) {
        world.deliver((Ipv4Addr::new(203, 0, 113, 1), port).into(), replay);
    }
    world.edge.out.sent.clear();
    world.edge.out.sent.extend(responses);
    world.carry();
    assert!(world.carries(home));
}

#[test]
fn a_stock_peer_in_the_place_of_the_edge_is_believed_although_it_answers_no_beat() {
    use boringtun::noise::{Tunn, TunnResult};

    let (edge, home) = epoch(1);
    let (private, peer) = (edge.private_key.secret(), edge.peer.point());
    let mut stock = Tunn::new(private, peer, Some(edge.preshared_key.octets()), None, 7, None);
    let mut home = End::new(Role::Home, "198.51.100.20:40000", vec![home]);
    let (from, mut now): (SocketAddr, _) = ("192.0.2.1:51820".parse().unwrap(), Instant::now());
    let mut dials = 0;
    for tick in 0..300u32 {
        now += Duration::from_millis(200);
        home.core.handle_timeout(now, &mut home.out);
        let mut answers = Vec::new();
        while let Some((_, datagram)) = home.out.sent.pop_front() {
            dials += u32::from(datagram[0] == 1);
            let mut buffer = vec![0; 2000];
            if let TunnResult::WriteToNetwork(answer) = stock.decapsulate(None, &datagram, &mut buffer) {
                answers.push(answer.to_vec());
            }
        }
        // What it has to say for itself is a keepalive, ten seconds after our data (whitepaper §6.5).
        if tick % 50 == 49 {
            let mut buffer = vec![0; 200];
            if let TunnResult::WriteToNetwork(keepalive) = stock.encapsulate(&[], &mut buffer) {
                answers.push(keepalive.to_vec());
            }
        }
        for answer in answers {
            home.core.handle_datagram(from, &answer, now, &mut home.out);
        }
        assert_eq!(home.core.status(now, WALL)[0].alive, tick >= 15, "tick {tick}");
    }
    assert_eq!(dials, 1, "a stock peer is not dialled again and again");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whoever holds no key may send anything that was ever sent, from anywhere, at any time.
    #[test]
    fn replays_never_harm(steps in prop::collection::vec((any::<prop::sample::Index>(), 0u8..4, 0u8..8), 1..120)) {
        let mut world = with_home();
        world.start_home("198.18.7.5:40000");
        world.pass(BEAT);
        for (which, place, step) in steps {
            let (from, datagram) = world.record[which.index(world.record.len())].clone();
            let from = if place == 0 { from } else { SocketAddr::from((Ipv4Addr::new(203, 0, 113, place), 9)) };
            world.deliver(from, &datagram);
            world.carry();
            if step == 0 {
                let home = &mut world.homes[FIRST];
                home.core.renew(EpochId(1), &mut home.out);
            }
            if step < 3 {
                world.now += Duration::from_millis(200);
                world.tick();
                // A cookie may be asked for; the session lives on meanwhile.
                prop_assert!(world.carries(FIRST));
            }
        }
        prop_assert!(world.edge.core.status(world.now, WALL)[0].endpoint == Some(world.homes[FIRST].address));
        prop_assert!(world.edge.out.delivered.is_empty());
    }
}
