//! How much at once, and whose. Pure: time is given.
//!
//! In: what began, what ended, which destinations could not be reached. Out: the lane that is served next, and whether it may
//! have a slot at a destination. Nothing here is written down: after a restart each destination has
//! a fresh start, while the next attempt of every recipient is in the queue.
//!
//! A lane ([`Lane`]) may hold slots up to a multiple of those that are left free, in all and at each destination: so however much
//! waits in one, and however slow its destinations are, something is left for another one. Among those that may have another
//! slot the one is served that holds the fewest, and among equals the one that was served longest ago.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;
use postern_store::queue::{Job, Kind, Lane, QueueId, Slots};

use super::retry::later;

/// How much at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Concurrency {
    /// Attempts in all.
    pub total: usize,
    /// Attempts at one destination.
    pub per_destination: usize,
}

impl Default for Concurrency {
    fn default() -> Self {
        Concurrency { total: 40, per_destination: 5 }
    }
}

/// A destination that could not be reached is tried again after these waits, however new the message is.
const UNREACHABLE_WAITS: [Duration; 4] =
    [Duration::from_secs(60), Duration::from_secs(300), Duration::from_secs(900), Duration::from_secs(1800)];
/// Unreachable destinations that are remembered; beyond that the one due first is forgotten.
const UNREACHABLE_MAX: usize = 4096;

/// What is going on, destination by destination.
#[derive(Debug, Clone, Default)]
pub struct Schedule {
    concurrency: Concurrency,
    in_flight: HashMap<String, HashMap<QueueId, Lane>>,
    unreachable: HashMap<String, Unreachable>,
    served: HashMap<Lane, Served>,
    turns: u64,
}

/// When a lane was served last, and what for.
#[derive(Debug, Clone)]
struct Served {
    turn: u64,
    domain: String,
}

#[derive(Debug, Clone, Copy)]
struct Unreachable {
    failures: usize,
    until: Timestamp,
}

impl Schedule {
    /// Begins with nothing going on.
    pub fn new(concurrency: Concurrency) -> Self {
        Schedule { concurrency, ..Schedule::default() }
    }

    /// Attempts that may begin now.
    pub fn free(&self) -> usize {
        let busy: usize = self.in_flight.values().map(HashMap::len).sum();
        self.concurrency.total.saturating_sub(busy)
    }

    /// Attempts at this destination that may begin now.
    pub fn free_for(&self, domain: &str, now: Timestamp) -> usize {
        if self.unreachable.get(domain).is_some_and(|unreachable| now < unreachable.until) {
            return 0;
        }
        let busy = self.in_flight.get(domain).map_or(0, HashMap::len);
        // After a failure one attempt finds out whether the destination is back.
        let limit = if self.unreachable.contains_key(domain) { 1 } else { self.concurrency.per_destination };
        limit.saturating_sub(busy).min(self.free())
    }

    /// Whether the message is being tried at this destination.
    pub fn is_busy(&self, message: QueueId, domain: &str) -> bool {
        self.in_flight.get(domain).is_some_and(|messages| messages.contains_key(&message))
    }

    /// The lane of these that is served next; `None` where none may have another slot.
    pub fn next_lane(&self, lanes: &[Lane]) -> Option<Lane> {
        let free = self.free();
        let held = |lane: &Lane| self.in_flight.values().map(|messages| count(messages, *lane)).sum();
        let turn = |lane: &Lane| self.served.get(lane).map_or(0, |served| served.turn);
        let waiting = lanes.iter().map(|lane| (held(lane), turn(lane), *lane));
        let may_begin = waiting.filter(|(held, _, lane)| may_hold_another(*lane, *held, free));
        may_begin.min().map(|(_, _, lane)| lane)
    }

    /// Whether a lane may have another slot at this destination.
    pub fn is_free(&self, lane: Lane, domain: &str, now: Timestamp) -> bool {
        let held = self.in_flight.get(domain).map_or(0, |messages| count(messages, lane));
        may_hold_another(lane, held, self.free_for(domain, now))
    }

    /// The destination that a lane was served for last; the search goes on behind it.
    pub fn last_served(&self, lane: Lane) -> &str {
        self.served.get(&lane).map_or("", |served| &served.domain)
    }

    /// An attempt begins.
    pub fn begin(&mut self, job: &Job) {
        self.in_flight.entry(job.domain.clone()).or_default().insert(job.message, job.lane);
        self.turns += 1;
        self.served.insert(job.lane, Served { turn: self.turns, domain: job.domain.clone() });
    }

    /// An attempt has ended.
    pub fn end(&mut self, message: QueueId, domain: &str) {
        if let Some(messages) = self.in_flight.get_mut(domain) {
            messages.remove(&message);
            if messages.is_empty() {
                self.in_flight.remove(domain);
            }
        }
    }

    /// All attempts at this message have ended, wherever they were made.
    pub fn end_everywhere(&mut self, message: QueueId) {
        for messages in self.in_flight.values_mut() {
            messages.remove(&message);
        }
        self.in_flight.retain(|_, messages| !messages.is_empty());
    }

    /// The destination answered.
    pub fn reached(&mut self, domain: &str) {
        self.unreachable.remove(domain);
    }

    /// No host of the destination answered; gives the time until which it is left alone.
    pub fn not_reached(&mut self, domain: &str, now: Timestamp) -> Timestamp {
        let failures = match self.unreachable.get(domain) {
            // Attempts that began together fail together; they count once.
            Some(known) if now < known.until => return known.until,
            Some(known) => known.failures + 1,
            None => 1,
        };
        let wait = UNREACHABLE_WAITS[(failures - 1).min(UNREACHABLE_WAITS.len() - 1)];
        let until = later(now, wait);
        self.forget_beyond_bound();
        self.unreachable.insert(domain.to_owned(), Unreachable { failures, until });
        until
    }

    /// Forgets that destinations were unreachable, as when the tunnel comes up or the operator says `retry`.
    pub fn forget_unreachable(&mut self) {
        self.unreachable.clear();
    }

    /// When the next destination is no longer left alone.
    pub fn next_wake(&self, now: Timestamp) -> Option<Timestamp> {
        self.unreachable.values().map(|unreachable| unreachable.until).filter(|until| *until > now).min()
    }

    fn forget_beyond_bound(&mut self) {
        if self.unreachable.len() < UNREACHABLE_MAX {
            return;
        }
        let first = self.unreachable.iter().min_by_key(|(_, unreachable)| unreachable.until);
        if let Some(domain) = first.map(|(domain, _)| domain.clone()) {
            self.unreachable.remove(&domain);
        }
    }
}

fn count(messages: &HashMap<QueueId, Lane>, lane: Lane) -> usize {
    messages.values().filter(|other| **other == lane).count()
}

/// Whether a lane that holds so many slots may have another one of those that are free.
fn may_hold_another(lane: Lane, held: usize, free: usize) -> bool {
    let multiple = match lane.kind {
        Kind::Personal => 2,
        Kind::Bulk | Kind::Forwarded => 1,
    };
    held < multiple * free
}

/// The schedule at one moment.
#[derive(Debug)]
pub struct Moment {
    /// The schedule.
    pub schedule: Schedule,
    /// The moment.
    pub now: Timestamp,
}

impl Slots for Moment {
    fn next_lane(&self, lanes: &[Lane]) -> Option<Lane> {
        self.schedule.next_lane(lanes)
    }

    fn last_served(&self, lane: Lane) -> &str {
        self.schedule.last_served(lane)
    }

    fn is_free(&self, lane: Lane, domain: &str) -> bool {
        self.schedule.is_free(lane, domain, self.now)
    }

    fn is_busy(&self, message: QueueId, domain: &str) -> bool {
        self.schedule.is_busy(message, domain)
    }

    fn begin(&mut self, job: &Job) {
        self.schedule.begin(job);
    }
}

#[cfg(test)]
pub(super) mod tests {
    use postern_store::queue::{Envelope, Ret};

    use super::*;

    pub(crate) fn job(message: i64, domain: &str) -> Job {
        let envelope = Envelope {
            reverse_path: None,
            sender: None,
            forwarder: None,
            smtp_utf8: false,
            envelope_id: None,
            ret: Ret::Headers,
            octets: 1,
            arrived: Timestamp::UNIX_EPOCH,
            wishes: Default::default(),
            story: postern_store::journal::StoryId::of_session("test"),
        };
        let lane = Lane { account: None, kind: Kind::Personal };
        Job { message: QueueId(message), lane, domain: domain.to_owned(), recipients: Vec::new(), envelope }
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    #[test]
    fn slots_are_limited_in_all_and_by_destination() {
        let mut schedule = Schedule::new(Concurrency { total: 3, per_destination: 2 });
        schedule.begin(&job(1, "a.example"));
        schedule.begin(&job(2, "a.example"));
        assert_eq!(schedule.free_for("a.example", at(0)), 0);
        assert_eq!(schedule.free_for("b.example", at(0)), 1);
        assert!(schedule.is_busy(QueueId(1), "a.example") && !schedule.is_busy(QueueId(1), "b.example"));
        schedule.begin(&job(1, "b.example"));
        let lane = Lane { account: None, kind: Kind::Personal };
        assert_eq!((schedule.free(), schedule.last_served(lane)), (0, "b.example"));
        assert_eq!(schedule.next_lane(&[lane]), None);
        schedule.end(QueueId(1), "a.example");
        assert_eq!(schedule.free_for("a.example", at(0)), 1);
    }

    #[test]
    fn a_lane_leaves_slots_to_others() {
        let slots = |kind| {
            let lane = Lane { account: None, kind };
            let mut schedule = Schedule::new(Concurrency::default());
            let mut begun = 0;
            while schedule.is_free(lane, "a.example", at(0)) {
                begun += 1;
                schedule.begin(&Job { lane, ..job(begun, "a.example") });
            }
            while schedule.next_lane(&[lane]).is_some() {
                begun += 1;
                schedule.begin(&Job { lane, ..job(begun, &format!("{begun}.example")) });
            }
            (schedule.free_for("a.example", at(0)), schedule.free())
        };
        assert_eq!(slots(Kind::Personal), (1, 13), "of five and of forty");
        assert_eq!(slots(Kind::Bulk), (2, 20));
        assert_eq!(slots(Kind::Forwarded), (2, 20));
    }

    #[test]
    fn an_unreachable_destination_is_left_alone_then_probed_by_one() {
        let mut schedule = Schedule::new(Concurrency::default());
        assert_eq!(schedule.not_reached("a.example", at(0)), at(60));
        assert_eq!(schedule.not_reached("a.example", at(1)), at(60), "failures of one time count once");
        assert_eq!(schedule.free_for("a.example", at(59)), 0);
        assert_eq!(schedule.next_wake(at(0)), Some(at(60)));
        assert_eq!(schedule.free_for("a.example", at(60)), 1);
        assert_eq!(schedule.not_reached("a.example", at(60)), at(360));
        assert_eq!(schedule.not_reached("a.example", at(400)), at(1300));
        assert_eq!(schedule.not_reached("a.example", at(2000)), at(3800));
        assert_eq!(schedule.not_reached("a.example", at(4000)), at(5800), "the last wait repeats");
        schedule.reached("a.example");
        assert_eq!(schedule.free_for("a.example", at(4001)), 5);
        assert_eq!(schedule.next_wake(at(0)), None);
    }

    #[test]
    fn memory_of_unreachable_destinations_is_bounded() {
        let mut schedule = Schedule::new(Concurrency::default());
        for number in 0..UNREACHABLE_MAX as i64 + 10 {
            schedule.not_reached(&format!("d{number}.example"), at(number));
        }
        assert_eq!(schedule.unreachable.len(), UNREACHABLE_MAX);
        assert!(!schedule.unreachable.contains_key("d0.example"));
    }
}
