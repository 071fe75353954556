//! When to try again, and how much at once. Pure: time and chance are given.
//!
//! In: what began, what ended, which destinations could not be reached. Out: the lane that is served next, whether it may have
//! a slot at a destination, and the time of the next attempt. Nothing here is written down: after a restart each destination has
//! a fresh start, while the next attempt of every recipient is in the queue.
//!
//! A lane ([`Lane`]) may hold slots up to a multiple of those that are left free, in all and at each destination: so however much
//! waits in one, and however slow its destinations are, something is left for another one. Among those that may have another
//! slot the one is served that holds the fewest, and among equals the one that was served longest ago.

use std::collections::HashMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use postern_store::queue::{Job, Kind, Lane, QueueId, Slots};

/// The rules of trying again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryPolicy {
    /// The waits after the first attempt, the second, and so on; the last one repeats.
    pub waits: Vec<Duration>,
    /// A message older than this is given up at its next deferral.
    pub expire_after: Duration,
    /// Attempts that are made in any case, so that a clock which jumps does not give up mail by itself.
    pub least_attempts: u32,
    /// The sender is told of a delay once the message is older than this.
    pub report_delay_after: Duration,
}

impl Default for RetryPolicy {
    /// RFC 5321 §4.5.4.1: at least 30 minutes between most attempts, 4 to 5 days before giving up.
    fn default() -> Self {
        let minutes = |count: u64| Duration::from_secs(count * 60);
        RetryPolicy {
            waits: [5, 15, 30, 60, 120, 240].into_iter().map(minutes).collect(),
            expire_after: Duration::from_secs(5 * 86_400),
            least_attempts: 10,
            report_delay_after: Duration::from_secs(4 * 3600),
        }
    }
}

impl RetryPolicy {
    /// The time of the attempt after `attempts`, which counts the one just made. `chance` is in 0..1 and moves the wait
    /// by up to a tenth either way, so that what failed together does not return together.
    pub fn next_attempt(&self, now: Timestamp, attempts: u32, chance: f64) -> Timestamp {
        let index = usize::try_from(attempts.saturating_sub(1)).unwrap_or(usize::MAX);
        let wait = self.waits.get(index).or(self.waits.last()).copied().unwrap_or(Duration::from_secs(300));
        later(now, wait.mul_f64(0.9 + 0.2 * chance.clamp(0.0, 1.0)))
    }

    /// The latest time that a next attempt can have been set to under a clock that shows `now`.
    pub fn latest_next_attempt(&self, now: Timestamp) -> Timestamp {
        let longest = self.waits.iter().max().copied().unwrap_or_default();
        later(now, longest.mul_f64(1.1) + Duration::from_secs(60))
    }

    /// When a message that arrived then is given up.
    pub fn expiry(&self, arrived: Timestamp) -> Timestamp {
        later(arrived, self.expire_after)
    }

    /// Whether a message is given up now, instead of being deferred once more.
    pub fn is_expired(&self, arrived: Timestamp, now: Timestamp, attempts: u32) -> bool {
        now >= self.expiry(arrived) && attempts >= self.least_attempts
    }

    /// Whether the sender is to be told of the delay now.
    pub fn is_delayed(&self, arrived: Timestamp, now: Timestamp) -> bool {
        now >= later(arrived, self.report_delay_after)
    }
}

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

fn later(time: Timestamp, wait: Duration) -> Timestamp {
    let wait = SignedDuration::try_from(wait).unwrap_or(SignedDuration::MAX);
    time.checked_add(wait).unwrap_or(Timestamp::MAX)
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
    fn waits_grow_to_the_last_one_and_spread() {
        let policy = RetryPolicy::default();
        let wait = |attempts, chance| policy.next_attempt(at(0), attempts, chance).as_second();
        assert_eq!(
            [1, 2, 3, 6, 7, 100].map(|attempts| wait(attempts, 0.5)),
            [300, 900, 1800, 14400, 14400, 14400]
        );
        assert_eq!((wait(1, 0.0), wait(1, 1.0)), (270, 330));
        assert!(policy.latest_next_attempt(at(0)) > policy.next_attempt(at(0), 100, 1.0));
    }

    #[test]
    fn five_days_of_attempts_then_an_end() {
        let policy = RetryPolicy::default();
        let (mut now, mut attempts, mut reported) = (at(0), 1, None);
        while !policy.is_expired(at(0), now, attempts) {
            if policy.is_delayed(at(0), now) {
                reported.get_or_insert(now);
            }
            now = policy.next_attempt(now, attempts, 0.5);
            attempts += 1;
        }
        assert!((30..45).contains(&attempts), "{attempts}");
        assert!((5 * 86_400..5 * 86_400 + 14_400).contains(&now.as_second()));
        assert!((14_400..2 * 14_400).contains(&reported.unwrap().as_second()));
    }

    #[test]
    fn a_clock_that_jumps_gives_up_nothing_by_itself() {
        let policy = RetryPolicy::default();
        assert!(!policy.is_expired(at(0), at(10_000_000_000), 9));
        assert!(policy.is_expired(at(0), at(10_000_000_000), 10));
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
