//! Lives of certificates, told step by step and driven through chance.

use proptest::prelude::*;

use super::told::LONGEST_PAUSE;
use super::*;

const DAY: u64 = 86_400;
const TTL: u64 = 3600;
const START: u64 = 1_800_000_000;
const LIFE: u64 = 90 * DAY;
const EXPIRE: u64 = 14 * DAY;

fn key(number: u8) -> KeyId {
    KeyId([number; 32])
}

fn policy() -> Policy {
    Policy {
        stage: Some(Stage::Production),
        tlsa_ttl: Some(TTL),
        zone_expire: EXPIRE,
        fallback: Some(key(0)),
    }
}

fn at(now: u64) -> Moment {
    Moment { now, is_clock_right: true, is_published: true }
}

fn span(from: u64) -> Span {
    Span { from, until: from + LIFE }
}

/// A life whose first certificate was taken up at [`START`], with a key made for the next.
fn settled() -> Life {
    let mut life = Life::default();
    life.key_made(key(1));
    life.seen(&[key(0), key(1)], Extent::Everywhere, START);
    life.issued(span(START));
    life.taken_up(Some(key(0)), START);
    life.key_made(key(2));
    life.not_suggested(START);
    life
}

#[test]
fn the_first_certificate_comes_without_a_wait() {
    let mut life = Life::default();
    assert_eq!(life.plan(&policy(), &at(START)), Step::MakeKey);
    life.key_made(key(1));
    let unpublished = Moment { is_published: false, ..at(START) };
    assert_eq!(life.plan(&policy(), &unpublished), Step::Rest(None));
    life.seen(&[key(0), key(1)], Extent::Everywhere, START);
    assert_eq!(life.plan(&policy(), &at(START)), Step::Order(Stage::Production));
    life.issued(span(START));
    assert_eq!(life.plan(&policy(), &at(START + 1)), Step::TakeUp);
    life.taken_up(Some(key(0)), START + 1);
    assert_eq!(life.keys(Some(key(0))), [key(0), key(1)]);
    assert_eq!(life.plan(&policy(), &at(START + 1)), Step::MakeKey);
}

#[test]
fn a_retired_key_keeps_its_record_for_two_ttls() {
    let life = settled();
    assert_eq!(life.keys(Some(key(0))), [key(0), key(1), key(2)]);
    let Step::Rest(Some(wake)) = life.plan(&policy(), &at(START + 2 * TTL - 1)) else { panic!("{life:?}") };
    assert_eq!(wake, START + 2 * TTL);
    assert_eq!(life.plan(&policy(), &at(wake)), Step::Forget(key(0)));
}

#[test]
fn a_new_key_waits_until_no_sender_remembers_records_without_it() {
    let mut life = settled();
    life.forgotten(key(0));
    life.seen(&[key(1), key(2)], Extent::Everywhere, START + 70 * DAY);
    life.issued(span(START + 70 * DAY));
    let policy = policy();
    let Step::Rest(Some(wake)) = life.plan(&policy, &at(START + 70 * DAY)) else { panic!("{life:?}") };
    assert_eq!(wake, START + 70 * DAY + 2 * TTL);
    assert_eq!(life.take_up_at(&policy), Some(wake));
    assert_eq!(life.plan(&policy, &at(wake)), Step::TakeUp);
    let without_records = Policy { tlsa_ttl: None, ..policy };
    assert_eq!(life.plan(&without_records, &at(START + 70 * DAY)), Step::TakeUp);
}

#[test]
fn a_new_key_waits_for_a_secondary_as_long_as_that_may_serve_records_without_it() {
    let renewed = START + 70 * DAY;
    let mut life = settled();
    life.forgotten(key(0));
    life.seen(&[key(1), key(2)], Extent::Somewhere, renewed);
    life.issued(span(renewed));
    assert_eq!(life.take_up_at(&policy()), Some(renewed + EXPIRE + 2 * TTL));
    let mut followed = life.clone();
    followed.seen(&[key(1), key(2)], Extent::Everywhere, renewed + DAY);
    assert_eq!(followed.take_up_at(&policy()), Some(renewed + DAY + 2 * TTL));
    life.seen(&[key(1), key(2)], Extent::Everywhere, renewed + 20 * DAY);
    assert_eq!(life.take_up_at(&policy()), Some(renewed + EXPIRE + 2 * TTL));
}

#[test]
fn an_order_that_comes_to_nothing_is_gone_back_to_for_two_days() {
    let mut life = settled();
    let due = START + 60 * DAY;
    life.ordered(Order { url: "https://ca.test/1".to_owned(), stage: Stage::Production, placed: due });
    let order = |life: &Life| life.next.as_ref().is_some_and(|next| next.order.is_some());
    for now in [due, due + 3600, due + 2 * DAY - 1] {
        life.failed("the chain is refused".to_owned(), None, now, 0.0);
        assert!(order(&life), "five certificates a week are soon used up");
    }
    life.failed("the chain is refused".to_owned(), None, due + 2 * DAY, 0.0);
    assert!(!order(&life), "an order that leads nowhere is not gone back to for ever");
}

#[test]
fn a_wish_is_fulfilled_on_the_first_day_too() {
    let mut life = settled();
    life.forgotten(key(0));
    life.seen(&[key(1), key(2)], Extent::Everywhere, START);
    assert_ne!(life.plan(&policy(), &at(START + 60)), Step::Order(Stage::Production));
    assert_eq!(life.hurried(START + 60), None);
    assert_eq!(life.plan(&policy(), &at(START + 60)), Step::Order(Stage::Production));
    life.issued(span(START + 61));
    life.taken_up(None, START + 3 * TTL);
    assert_eq!(life.present.as_ref().and_then(|present| present.wished), None, "once");
}

#[test]
fn a_wish_does_not_shorten_a_pause_that_the_authority_asked_for() {
    let mut life = settled();
    life.failed("busy".to_owned(), Some(DAY), START, 0.0);
    assert_eq!(life.hurried(START + 60), Some(START + DAY));
    let trouble = |life: &Life| life.trouble.as_ref().map(|trouble| trouble.again);
    assert_eq!(trouble(&life), Some(START + DAY));
    assert_eq!(life.hurried(START + DAY), None);
    assert_eq!(trouble(&life), None);
    life.failed("no route".to_owned(), None, START, 0.0);
    assert_eq!((life.hurried(START + 1), trouble(&life)), (None, None), "a pause of our own");
}

#[test]
fn renewal_begins_when_a_third_is_left_or_the_authority_says() {
    let mut life = settled();
    life.forgotten(key(0));
    life.seen(&[key(2)], Extent::Everywhere, START);
    let due = START + LIFE / 3 * 2;
    assert_ne!(life.plan(&policy(), &at(due - 1)), Step::Order(Stage::Production));
    assert_eq!(life.plan(&policy(), &at(due)), Step::Order(Stage::Production));
    let window = Span { from: START + 10 * DAY, until: START + 12 * DAY };
    life.suggested(window, 6 * 3600, START, 0.5);
    assert_eq!(life.plan(&policy(), &at(START + 11 * DAY)), Step::Order(Stage::Production));
    let past = Span { from: START - 2 * DAY, until: START - DAY };
    life.suggested(past, 6 * 3600, START, 0.5);
    assert_ne!(
        life.plan(&policy(), &at(START + DAY - 1)),
        Step::Order(Stage::Production),
        "no order after order"
    );
    assert_eq!(life.plan(&policy(), &at(START + DAY)), Step::Order(Stage::Production));
    let late = Span { from: START + 89 * DAY, until: START + 90 * DAY };
    life.suggested(late, 6 * 3600, START, 0.5);
    assert_eq!(life.plan(&policy(), &at(due)), Step::Order(Stage::Production));
}

#[test]
fn a_clock_in_doubt_orders_takes_up_and_retires_nothing() {
    let doubt = |now| Moment { is_clock_right: false, ..at(now) };
    let mut life = settled();
    assert_eq!(life.plan(&policy(), &doubt(START + 80 * DAY)), Step::Rest(None));
    life.issued(span(START));
    assert_eq!(life.plan(&policy(), &doubt(START + 80 * DAY)), Step::Rest(None));
    assert_eq!(Life::default().plan(&policy(), &doubt(12)), Step::MakeKey);
}

#[test]
fn failures_come_back_later_and_later_but_never_stop() {
    let mut life = settled();
    life.forgotten(key(0));
    life.seen(&[key(2)], Extent::Everywhere, START);
    let mut now = START + 60 * DAY;
    let mut attempts = 0;
    while now < START + 90 * DAY {
        assert_eq!(life.plan(&policy(), &at(now)), Step::Order(Stage::Production));
        life.failed("refused".to_owned(), None, now, 1.0);
        attempts += 1;
        let Some(trouble) = &life.trouble else { panic!("no trouble") };
        assert!(trouble.again - now <= LONGEST_PAUSE.as_secs() * 5 / 4, "{trouble:?}");
        now = trouble.again;
    }
    assert!((60..250).contains(&attempts), "{attempts}");
    life.failed("busy".to_owned(), Some(3 * DAY), now, 0.0);
    assert_eq!(life.trouble.as_ref().map(|trouble| trouble.again), Some(now + 3 * DAY));
    life.issued(span(now));
    assert_eq!(life.trouble, None);
}

#[test]
fn a_certificate_that_ended_before_it_was_shown_is_ordered_again() {
    let mut life = settled();
    life.forgotten(key(0));
    life.issued(span(START));
    assert_eq!(life.plan(&policy(), &at(START + 91 * DAY)), Step::Drop);
    life.dropped();
    assert_eq!(life.plan(&policy(), &at(START + 91 * DAY)), Step::MakeKey);
}

#[test]
fn a_clock_that_was_ahead_holds_nothing_up_for_years() {
    let mut life = settled();
    let later = START + 4000 * DAY;
    life.seen(&[key(2)], Extent::Everywhere, later);
    life.failed("no route".to_owned(), None, later, 0.0);
    life.retired[0].since = later;
    life.settle(START + 61 * DAY);
    let plan = life.plan(&policy(), &at(START + 61 * DAY + 2 * TTL));
    assert_eq!(plan, Step::Forget(key(0)));
    life.forgotten(key(0));
    let plan = life.plan(&policy(), &at(START + 61 * DAY + 2 * TTL));
    assert_eq!(plan, Step::Order(Stage::Production));
}

/// What one name server has served: the record sets, none where it does not answer, and when each began.
#[derive(Debug, Default)]
struct Server(Vec<(u64, Vec<KeyId>)>);

impl Server {
    fn serve(&mut self, keys: Vec<KeyId>, now: u64) {
        if self.0.last().is_none_or(|(_, last)| *last != keys) {
            self.0.push((now, keys));
        }
    }

    fn current(&self) -> &[KeyId] {
        self.0.last().map(|(_, keys)| keys.as_slice()).unwrap_or_default()
    }

    /// Every record set of it that somebody may still remember.
    fn remembered(&self, now: u64) -> impl Iterator<Item = &Vec<KeyId>> {
        let ends = self.0.iter().skip(1).map(|(begin, _)| *begin).chain([u64::MAX]);
        self.0
            .iter()
            .zip(ends)
            .filter(move |((_, keys), end)| !keys.is_empty() && end.saturating_add(TTL) > now)
            .map(|((_, keys), _)| keys)
    }
}

/// The zone as the world saw it.
#[derive(Debug, Default)]
struct Zone {
    edge: Server,
    secondary: Server,
    /// When the secondary last followed the edge.
    refreshed: u64,
}

impl Zone {
    fn refresh(&mut self, now: u64) {
        self.secondary.serve(self.edge.current().to_vec(), now);
        self.refreshed = now;
    }

    /// RFC 1035 §3.3.13: a zone that cannot be refreshed is given up.
    fn expire(&mut self, now: u64) {
        if now >= self.refreshed + EXPIRE {
            self.secondary.serve(Vec::new(), self.refreshed + EXPIRE);
        }
    }

    fn extent(&self) -> Extent {
        if self.edge.current() == self.secondary.current() { Extent::Everywhere } else { Extent::Somewhere }
    }

    fn remembered(&self, now: u64) -> impl Iterator<Item = &Vec<KeyId>> {
        self.edge.remembered(now).chain(self.secondary.remembered(now))
    }
}

/// What chance does to a home in one step.
#[derive(Debug, Clone)]
struct Event {
    /// Seconds that pass.
    pause: u64,
    authority_works: bool,
    zone_is_served: bool,
    secondary_follows: bool,
    /// The operator brings a key and its certificate, so that a key is young when its time comes.
    is_imported: bool,
    clock_is_right: bool,
    dice: f64,
}

fn event() -> impl Strategy<Value = Event> {
    let pause = prop_oneof![1..600_u64, 600..2 * TTL, DAY / 2..5 * DAY];
    let often = prop::bool::weighted;
    (pause, often(0.6), often(0.8), often(0.4), often(0.1), often(0.9), 0.0..1.0).prop_map(
        |(pause, authority_works, zone_is_served, secondary_follows, is_imported, clock_is_right, dice)| {
            Event {
                pause,
                authority_works,
                zone_is_served,
                secondary_follows,
                is_imported,
                clock_is_right,
                dice,
            }
        },
    )
}

/// A home that does what the life asks for.
struct Home {
    life: Life,
    zone: Zone,
    made: u8,
    now: u64,
    orders: Vec<u64>,
}

impl Home {
    fn live(&mut self, event: &Event) {
        self.now += event.pause;
        if event.is_imported {
            self.made = self.made.wrapping_add(1).max(1);
            self.life.imported(key(self.made), span(self.now));
        }
        let has_keys = self.life.next.is_some() || self.life.present.is_some();
        if event.zone_is_served && has_keys {
            self.zone.edge.serve(self.life.keys(Some(key(0))), self.now);
        }
        // What it gave up meanwhile it had given up when it follows again.
        self.zone.expire(self.now);
        if event.secondary_follows {
            self.zone.refresh(self.now);
        }
        if event.clock_is_right {
            self.life.settle(self.now);
            self.life.seen(self.zone.edge.current(), self.zone.extent(), self.now);
        }
        for _ in 0..20 {
            let is_current = self.zone.edge.current() == self.life.keys(Some(key(0)));
            let moment = Moment {
                now: self.now,
                is_clock_right: event.clock_is_right,
                is_published: event.zone_is_served && is_current,
            };
            match self.life.plan(&policy(), &moment) {
                Step::Rest(_) => return,
                step => self.carry_out(step, event),
            }
        }
        panic!("there is always something to do: {:?}", self.life);
    }

    fn carry_out(&mut self, step: Step, event: &Event) {
        match step {
            Step::MakeKey => {
                self.made = self.made.wrapping_add(1).max(1);
                self.life.key_made(key(self.made));
            }
            Step::Order(_) => {
                self.orders.push(self.now);
                if event.authority_works {
                    self.life.issued(span(self.now));
                } else {
                    self.life.failed("refused".to_owned(), None, self.now, event.dice);
                }
            }
            Step::TakeUp => self.life.taken_up(Some(key(0)), self.now),
            Step::Drop => self.life.dropped(),
            Step::Forget(key) => self.life.forgotten(key),
            Step::AskSuggestion => self.life.not_suggested(self.now),
            Step::Rest(_) => {}
        }
    }

    fn shown(&self) -> KeyId {
        self.life.present.as_ref().map_or(key(0), |present| present.key)
    }
}

proptest! {
    #[test]
    fn whatever_happens_the_shown_key_is_in_every_remembered_record_set(
        events in prop::collection::vec(event(), 1..400),
    ) {
        let mut home = Home { life: Life::default(), zone: Zone::default(), made: 0, now: START, orders: Vec::new() };
        for event in &events {
            home.live(event);
            let shown = home.shown();
            for keys in home.zone.remembered(home.now) {
                prop_assert!(keys.contains(&shown), "{shown} is not in {keys:?} at {}", home.now);
            }
        }
        // A large authority's limit: five failed orders an hour.
        for window in home.orders.windows(6) {
            prop_assert!(window[5] - window[0] > 3600, "{:?}", home.orders);
        }
    }

    #[test]
    fn after_any_past_an_authority_that_works_brings_a_good_certificate_within_two_days(
        events in prop::collection::vec(event(), 0..200),
    ) {
        let mut home = Home { life: Life::default(), zone: Zone::default(), made: 0, now: START, orders: Vec::new() };
        events.iter().for_each(|event| home.live(event));
        let good = Event {
            pause: 600,
            authority_works: true,
            zone_is_served: true,
            secondary_follows: true,
            is_imported: false,
            clock_is_right: true,
            dice: 0.5,
        };
        let begin = home.now;
        while home.now < begin + 2 * DAY {
            home.live(&good);
        }
        let left = home.life.present.as_ref().map_or(0, |present| present.span.until.saturating_sub(home.now));
        prop_assert!(left > LIFE / 3 - DAY, "{:?}", home.life);
    }
}
