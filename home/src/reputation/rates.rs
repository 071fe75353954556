//! How much each destination took, put off and refused today. Pure but for [`Tally`], which knows the day.
//!
//! In: what came of each recipient. Out: the counts, the destination with most put off or refused first. Refused: more than
//! [`MOST`] destinations a day; what comes then is not counted. Nothing is written down: after a restart the day begins anew.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

/// Destinations that are counted.
const MOST: usize = 1000;

/// What became of a recipient at its destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Taken.
    Taken,
    /// To be tried again.
    Deferred,
    /// Refused for good.
    Refused,
}

/// The counts of one destination.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rate {
    /// The domain.
    pub destination: String,
    /// Recipients that were taken.
    pub taken: u64,
    /// Attempts that were put off.
    pub deferred: u64,
    /// Recipients that were refused.
    pub refused: u64,
}

/// The counts of today, in UTC; clones share them.
#[derive(Debug, Clone, Default)]
pub struct Tally(Arc<Mutex<Rates>>);

impl Tally {
    /// Counts one recipient.
    pub fn count(&self, destination: &str, fate: Fate) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).count(today(), destination, fate);
    }

    /// So many destinations, the worst first.
    pub fn worst(&self, most: usize) -> Vec<Rate> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).worst(today(), most)
    }
}

fn today() -> Date {
    Timestamp::now().to_zoned(TimeZone::UTC).date()
}

/// The counts of a day.
#[derive(Debug, Default)]
pub struct Rates {
    day: Date,
    counts: HashMap<String, Rate>,
}

impl Rates {
    /// Counts one recipient.
    pub fn count(&mut self, day: Date, destination: &str, fate: Fate) {
        self.begin(day);
        if self.counts.len() >= MOST && !self.counts.contains_key(destination) {
            return;
        }
        let rate = self.counts.entry(destination.to_owned()).or_default();
        match fate {
            Fate::Taken => rate.taken += 1,
            Fate::Deferred => rate.deferred += 1,
            Fate::Refused => rate.refused += 1,
        }
    }

    /// The counts of this day for so many destinations.
    pub fn worst(&mut self, day: Date, most: usize) -> Vec<Rate> {
        self.begin(day);
        let named =
            |(destination, rate): (&String, &Rate)| Rate { destination: destination.clone(), ..rate.clone() };
        let mut rates: Vec<Rate> = self.counts.iter().map(named).collect();
        rates.sort_by(|one, other| {
            let wrong = |rate: &Rate| rate.deferred + rate.refused;
            wrong(other).cmp(&wrong(one)).then_with(|| one.destination.cmp(&other.destination))
        });
        rates.truncate(most);
        rates
    }

    fn begin(&mut self, day: Date) {
        if self.day != day {
            *self = Self { day, counts: HashMap::new() };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_comes_first_and_a_day_begins_anew() {
        let (today, tomorrow) = (jiff::civil::date(2026, 11, 23), jiff::civil::date(2026, 11, 24));
        let mut rates = Rates::default();
        rates.count(today, "good.example", Fate::Taken);
        for fate in [Fate::Deferred, Fate::Refused, Fate::Taken] {
            rates.count(today, "bad.example", fate);
        }
        let worst = rates.worst(today, 10);
        let bad = Rate { destination: "bad.example".into(), taken: 1, deferred: 1, refused: 1 };
        assert_eq!((worst.len(), &worst[0]), (2, &bad));
        assert_eq!(rates.worst(today, 1), [bad]);
        assert!(rates.worst(tomorrow, 10).is_empty());
    }

    #[test]
    fn destinations_are_bounded() {
        let mut rates = Rates::default();
        let day = jiff::civil::date(2026, 11, 23);
        (0..=MOST).for_each(|number| rates.count(day, &format!("{number}.example"), Fate::Taken));
        assert_eq!(rates.worst(day, usize::MAX).len(), MOST);
    }
}
