//! When a message is tried again, told of, given up. Pure: time and chance are given.
//!
//! In: when it came, how often it was tried. Out: the time of the next attempt, or that there is none.
//!
//! Implements RFC 5321 §4.5.4.1.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

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

/// A time so much later.
pub(super) fn later(time: Timestamp, wait: Duration) -> Timestamp {
    let wait = SignedDuration::try_from(wait).unwrap_or(SignedDuration::MAX);
    time.checked_add(wait).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
