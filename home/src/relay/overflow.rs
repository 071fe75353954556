//! Destinations that distrust the edge's address, and until when their mail goes by the relay for overflow. Pure.
//!
//! In: what a destination said, and when. Out: whether its mail goes by the relay at a moment. A destination that says it
//! again after its time gets twice as long, up to a month; one that takes mail directly is forgotten. Refused: more than
//! [`MOST`] destinations; the one whose time ends first goes.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// The first time.
const FIRST: SignedDuration = SignedDuration::from_hours(24);
/// The longest time.
const LONGEST: SignedDuration = SignedDuration::from_hours(30 * 24);
/// Destinations that are known.
const MOST: usize = 1000;

/// One destination.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diversion {
    /// The domain.
    pub destination: String,
    /// Whose words they were.
    pub provider: String,
    /// The words.
    pub reply: String,
    /// When it said so last.
    pub since: Timestamp,
    /// Until when nothing is sent to it directly, where there is a relay.
    pub until: Timestamp,
    /// How often in a row.
    pub times: u32,
}

/// All of them, by domain.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overflow {
    diversions: BTreeMap<String, Diversion>,
}

impl Overflow {
    /// Whether a destination's mail is not sent directly now.
    pub fn is_diverted(&self, destination: &str, now: Timestamp) -> bool {
        self.diversions.get(destination).is_some_and(|diversion| now < diversion.until)
    }

    /// Those that are not sent to directly now.
    pub fn current(&self, now: Timestamp) -> impl Iterator<Item = &Diversion> {
        self.diversions.values().filter(move |diversion| now < diversion.until)
    }

    /// Whether the destination has said so before.
    pub fn knows(&self, destination: &str) -> bool {
        self.diversions.contains_key(destination)
    }

    /// It says so. Attempts that began together are refused together; they count once.
    pub fn note(&mut self, destination: &str, provider: &str, reply: &str, now: Timestamp) {
        let known = self.diversions.get(destination);
        if known.is_some_and(|known| now < known.until && known.since <= now) {
            return;
        }
        let times = known.map_or(1, |known| known.times.saturating_add(1));
        self.diversions.insert(
            destination.to_owned(),
            Diversion {
                destination: destination.to_owned(),
                provider: provider.to_owned(),
                reply: reply.to_owned(),
                since: now,
                until: now.checked_add(lasting(times)).unwrap_or(Timestamp::MAX),
                times,
            },
        );
        self.forget_beyond_bound();
    }

    /// It takes our mail again.
    pub fn forget(&mut self, destination: &str) {
        self.diversions.remove(destination);
    }

    fn forget_beyond_bound(&mut self) {
        if self.diversions.len() > MOST {
            let first = self.diversions.values().min_by_key(|diversion| diversion.until);
            if let Some(destination) = first.map(|diversion| diversion.destination.clone()) {
                self.diversions.remove(&destination);
            }
        }
    }
}

/// A day, two, four and so on, to the longest.
fn lasting(times: u32) -> SignedDuration {
    let doublings = times.saturating_sub(1).min(16);
    FIRST.checked_mul(1 << doublings).map_or(LONGEST, |time| time.min(LONGEST))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hours: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + hours * 3600).unwrap()
    }

    #[test]
    fn who_distrusts_again_gets_longer() {
        let mut overflow = Overflow::default();
        overflow.note("far.example", "Gmail", "421 no", at(0));
        overflow.note("far.example", "Gmail", "421 no", at(1));
        assert!(overflow.is_diverted("far.example", at(23)) && !overflow.is_diverted("far.example", at(24)));
        assert!(!overflow.is_diverted("other.example", at(1)));
        overflow.note("far.example", "Gmail", "421 no", at(25));
        assert!(overflow.is_diverted("far.example", at(72)) && !overflow.is_diverted("far.example", at(73)));
        overflow.forget("far.example");
        overflow.note("far.example", "Gmail", "421 no", at(100));
        assert!(!overflow.is_diverted("far.example", at(124)), "as if for the first time");
        assert_eq!(lasting(40), LONGEST);
    }

    #[test]
    fn destinations_are_bounded() {
        let mut overflow = Overflow::default();
        for number in 0..=MOST {
            overflow.note(&format!("{number}.example"), "x", "x", at(i64::try_from(number).unwrap()));
        }
        assert_eq!(overflow.diversions.len(), MOST);
        assert!(!overflow.knows("0.example"));
    }
}
