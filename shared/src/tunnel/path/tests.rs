//! A path that changes, and a clock that is moved by hand.

use proptest::prelude::*;

use super::*;

const TICK: Duration = Duration::from_millis(200);
const ROUND_TRIP: Duration = Duration::from_millis(40);
const PATIENCE: Duration = Duration::from_millis(300);

/// How long a flow may stand still after the path has become narrower.
const RECOVERY: Duration = Duration::from_secs(6);

/// What the path does to a packet of this length.
#[derive(Debug, Clone, Copy)]
struct Path {
    width: u16,
    is_down: bool,
    /// One packet of so many is lost, long or short; 0 none.
    loses_one_of: u64,
}

struct Simulation {
    mtu: PathMtu,
    path: Path,
    now: Instant,
    echoed: Option<Instant>,
    is_in_use: bool,
    packets: u64,
    probes: u64,
}

impl Simulation {
    fn new(ceiling: u16, width: u16) -> Self {
        Self {
            mtu: PathMtu::new(ceiling),
            path: Path { width, is_down: false, loses_one_of: 0 },
            now: Instant::now(),
            echoed: None,
            is_in_use: true,
            packets: 0,
            probes: 0,
        }
    }

    fn carries(&mut self, octets: u16) -> bool {
        self.packets += 1;
        // Fibonacci hashing: as good as chance here, and the same at every run.
        let dice = self.packets.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        let is_lost = self.path.loses_one_of > 0 && dice.is_multiple_of(self.path.loses_one_of);
        !self.path.is_down && !is_lost && octets <= self.path.width
    }

    fn tick(&mut self) {
        self.now += TICK;
        let Self { now, echoed, is_in_use, .. } = *self;
        let Some(octets) = self.mtu.due(Clock { now, patience: PATIENCE, echoed, is_in_use }) else { return };
        self.probes += 1;
        if self.carries(52) {
            self.echoed = Some(now);
        }
        if self.carries(octets) {
            self.mtu.passed(octets, now + ROUND_TRIP);
        }
    }

    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.tick();
        }
    }
}

proptest! {
    #[test]
    fn the_limit_becomes_the_paths_own(ceiling in 1280u16..9000, width in 516u16..9000) {
        let mut simulation = Simulation::new(ceiling, width);
        simulation.run(Duration::from_secs(60));
        prop_assert_eq!(simulation.mtu.limit(), ceiling.min(width));
        prop_assert!(simulation.mtu.is_confirmed());
    }

    #[test]
    fn a_narrowed_path_is_found_within_seconds_and_a_widened_one_in_time(
        widths in prop::collection::vec((516u16..1500, 5u64..900), 1..8),
    ) {
        let mut simulation = Simulation::new(1440, 1440);
        simulation.run(Duration::from_secs(60));
        for (width, seconds) in widths {
            simulation.path.width = width;
            simulation.run(RECOVERY);
            prop_assert!(simulation.mtu.limit() <= width, "{} on {width}", simulation.mtu.limit());
            for _ in 0..seconds {
                simulation.run(Duration::from_secs(1));
                prop_assert!(simulation.mtu.limit() <= width);
            }
        }
        simulation.run(RAISE + Duration::from_secs(60));
        prop_assert_eq!(simulation.mtu.limit(), simulation.path.width.min(1440));
    }

    #[test]
    fn an_outage_is_no_narrow_path(width in 516u16..1500, seconds in 1u64..600) {
        let mut simulation = Simulation::new(1440, width);
        simulation.run(Duration::from_secs(60));
        let limit = simulation.mtu.limit();
        simulation.path.is_down = true;
        simulation.run(Duration::from_secs(seconds));
        prop_assert_eq!(simulation.mtu.limit(), limit);
    }

    #[test]
    fn loss_does_not_hold_the_limit_above_the_path(width in 516u16..1440, one_of in 10u64..100) {
        let mut simulation = Simulation::new(1440, 1440);
        simulation.run(Duration::from_secs(60));
        simulation.path = Path { width, is_down: false, loses_one_of: one_of };
        simulation.run(RECOVERY * 3);
        prop_assert!(simulation.mtu.limit() <= width);
        simulation.run(Duration::from_secs(120));
        simulation.path.loses_one_of = 0;
        simulation.run(RAISE + Duration::from_secs(120));
        prop_assert_eq!(simulation.mtu.limit(), width);
    }

    #[test]
    fn no_order_of_events_breaks_the_bounds(
        ceiling in 600u16..9000,
        events in prop::collection::vec((0u8..6, 0u16..9100, 1u64..2000), 0..200),
    ) {
        let mut mtu = PathMtu::new(ceiling);
        let mut now = Instant::now();
        for (event, octets, milliseconds) in events {
            now += Duration::from_millis(milliseconds);
            match event {
                0 => mtu.passed(octets, now),
                1 => mtu.refuse(octets),
                2 => mtu.hint(octets),
                3 => mtu.restart(),
                _ => {
                    let clock = Clock { now, patience: PATIENCE, echoed: Some(now), is_in_use: event == 4 };
                    let probe = mtu.due(clock);
                    prop_assert!(probe.is_none_or(|octets| (mtu.limit()..=ceiling).contains(&octets)));
                }
            }
            prop_assert!((FLOOR..=ceiling).contains(&mtu.limit()), "{mtu:?}");
        }
    }
}

#[test]
fn a_path_that_nothing_long_uses_is_left_alone() {
    let mut simulation = Simulation::new(1440, 1440);
    simulation.is_in_use = false;
    simulation.run(Duration::from_secs(5));
    let settled = simulation.probes;
    simulation.run(Duration::from_secs(300));
    assert_eq!(simulation.probes, settled);
}

#[test]
fn a_use_after_a_long_rest_is_confirmed_at_once() {
    let mut simulation = Simulation::new(1440, 1440);
    simulation.is_in_use = false;
    simulation.run(Duration::from_secs(60));
    simulation.path.width = 1220;
    simulation.run(Duration::from_secs(60));
    assert_eq!(simulation.mtu.limit(), 1440, "nobody has asked");
    simulation.is_in_use = true;
    simulation.run(Duration::from_secs(2));
    assert!(simulation.mtu.limit() <= 1220);
}

#[test]
fn a_hint_lowers_at_once_and_is_not_believed_for_ever() {
    let mut simulation = Simulation::new(1440, 1440);
    simulation.run(Duration::from_secs(10));
    simulation.mtu.hint(1220);
    assert_eq!((simulation.mtu.limit(), simulation.mtu.is_confirmed()), (1220, false));
    simulation.mtu.hint(1400);
    assert_eq!(simulation.mtu.limit(), 1220, "a hint never raises");
    simulation.run(RAISE + Duration::from_secs(30));
    assert_eq!(simulation.mtu.limit(), 1440, "the hint was forged");
}

#[test]
fn a_new_path_is_searched_at_once() {
    let mut simulation = Simulation::new(1440, 1220);
    simulation.run(Duration::from_secs(60));
    assert_eq!(simulation.mtu.limit(), 1220);
    simulation.path.width = 1440;
    simulation.mtu.restart();
    simulation.run(Duration::from_secs(2));
    assert_eq!(simulation.mtu.limit(), 1440);
}
