//! What is open, what has ended, and what of that was told: pure, the caller has the clock.
//!
//! In: conditions that begin and end, and looks at all that is watched, two a minute. Out: what is to be told. Patience is
//! counted in looks and not by the clock, since a clock without a battery jumps.
//!
//! | an entry is | and was told | then |
//! |---|---|---|
//! | open | nothing, or that an earlier one ended an hour ago | is told after its kind's patience: `Begun` |
//! | open | that it began, a week ago | is told again: `Lasts` |
//! | ended | that it began | is told after [`CALM`] looks: `Ended` |
//! | ended | nothing, or that it ended an hour ago | is forgotten |

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Condition, Kind};

/// For how many looks something must stay away before that is told: what comes and goes is told once.
const CALM: u32 = 20;
/// Not sooner than this after the last word.
const PAUSE: SignedDuration = SignedDuration::from_hours(1);
/// What lasts is told again after this.
const REMINDER: SignedDuration = SignedDuration::from_hours(7 * 24);
/// The most entries; more are not news but a fault.
const MOST: usize = 500;

/// All entries.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Book {
    entries: Vec<Entry>,
}

/// Something that is, or was, to be looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// What it is about.
    pub kind: Kind,
    /// Which of its kind.
    pub subject: String,
    /// What is wrong, as it was said last.
    pub text: String,
    /// When it began.
    pub since: Timestamp,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// What was told last.
    pub told: Option<Told>,
    /// Who says that it ends.
    origin: Origin,
    /// The looks since it began or ended, in this run of the program.
    #[serde(skip)]
    looks: u32,
}

/// What was told last of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// What.
    pub what: Telling,
    /// When.
    pub at: Timestamp,
}

/// What is told of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Telling {
    /// That it is there.
    Begun,
    /// That it is still there.
    Lasts,
    /// That it is over.
    Ended,
}

/// Who says that an entry ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Origin {
    /// A look that does not find it.
    Watched,
    /// Whoever raised it.
    Raised,
}

impl Book {
    pub(super) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }

    pub(super) fn raise(&mut self, condition: Condition, now: Timestamp) {
        self.open(condition, Origin::Raised, now);
    }

    pub(super) fn resolve(&mut self, kind: Kind, subject: &str, now: Timestamp) {
        let entry = self.entries.iter_mut().find(|entry| entry.is(kind, subject));
        entry.into_iter().for_each(|entry| entry.end(now));
    }

    /// Takes up a look: what is watched and is not among `conditions` has ended.
    pub(super) fn look(&mut self, conditions: Vec<Condition>, now: Timestamp) {
        let is_gone = |entry: &Entry| {
            entry.origin == Origin::Watched
                && !conditions.iter().any(|seen| entry.is(seen.kind, &seen.subject))
        };
        self.entries.iter_mut().filter(|entry| is_gone(entry)).for_each(|entry| entry.end(now));
        for condition in merged(conditions) {
            self.open(condition, Origin::Watched, now);
        }
        self.entries.iter_mut().for_each(|entry| entry.looks = entry.looks.saturating_add(1));
        self.entries.retain(|entry| !entry.is_over(now));
    }

    /// What is to be told now.
    pub(super) fn due(&self, now: Timestamp) -> Vec<(Telling, Entry)> {
        self.entries.iter().filter_map(|entry| Some((entry.due(now)?, entry.clone()))).collect()
    }

    pub(super) fn note_told(&mut self, told: &[(Telling, Entry)], now: Timestamp) {
        for (what, of) in told {
            let entry = self.entries.iter_mut().find(|entry| entry.is(of.kind, &of.subject));
            entry.into_iter().for_each(|entry| entry.told = Some(Told { what: *what, at: now }));
        }
    }

    fn open(&mut self, condition: Condition, origin: Origin, now: Timestamp) {
        let Condition { kind, subject, text } = condition;
        let has_room = self.entries.len() < MOST;
        match self.entries.iter_mut().find(|entry| entry.is(kind, &subject)) {
            Some(entry) => entry.begin(text, now),
            None if has_room => {
                self.entries.push(Entry { origin, ..Entry::new(kind, &subject, &text, now) });
            }
            None => tracing::error!(%kind, subject, "too much is wrong at once to tell of all"),
        }
    }
}

/// Conditions of one kind and subject are one, with all that is said of them.
fn merged(conditions: Vec<Condition>) -> Vec<Condition> {
    let mut merged: BTreeMap<(Kind, String), String> = BTreeMap::new();
    for Condition { kind, subject, text } in conditions {
        let all = merged.entry((kind, subject)).or_default();
        if !all.is_empty() {
            all.push('\n');
        }
        all.push_str(&text);
    }
    merged.into_iter().map(|((kind, subject), text)| Condition { kind, subject, text }).collect()
}

impl Entry {
    /// Something that has just begun and that somebody raised.
    pub fn new(kind: Kind, subject: &str, text: &str, now: Timestamp) -> Self {
        let (subject, text) = (subject.to_owned(), text.to_owned());
        Self { kind, subject, text, since: now, ended: None, told: None, origin: Origin::Raised, looks: 0 }
    }

    fn is(&self, kind: Kind, subject: &str) -> bool {
        self.kind == kind && self.subject == subject
    }

    fn begin(&mut self, text: String, now: Timestamp) {
        self.text = text;
        if self.ended.take().is_some() {
            (self.since, self.looks) = (now, 0);
        }
    }

    fn end(&mut self, now: Timestamp) {
        if self.ended.is_none() {
            (self.ended, self.looks) = (Some(now), 0);
        }
    }

    fn due(&self, now: Timestamp) -> Option<Telling> {
        let patience = self.kind.patience()?;
        let is_past = |wait| self.told.is_none_or(|told| now.duration_since(told.at) >= wait);
        match (self.ended, self.told.map(|told| told.what)) {
            (None, None | Some(Telling::Ended)) => {
                (self.looks >= patience && is_past(PAUSE)).then_some(Telling::Begun)
            }
            (None, Some(Telling::Begun | Telling::Lasts)) => is_past(REMINDER).then_some(Telling::Lasts),
            (Some(_), Some(Telling::Begun | Telling::Lasts)) => {
                (self.looks >= CALM).then_some(Telling::Ended)
            }
            (Some(_), None | Some(Telling::Ended)) => None,
        }
    }

    /// Whether nothing will be told of it any more, and nothing must be remembered.
    fn is_over(&self, now: Timestamp) -> bool {
        let is_silent = match self.told {
            None => true,
            Some(told) => told.what == Telling::Ended && now.duration_since(told.at) >= PAUSE,
        };
        self.ended.is_some() && is_silent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minutes: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + 60 * minutes).expect("a time")
    }

    fn down() -> Vec<Condition> {
        vec![Condition::new(Kind::Tunnel, "edge", "The edge does not answer.")]
    }

    /// Looks twice a minute; gives what was told, and when.
    fn told(book: &mut Book, minutes: std::ops::Range<i64>, conditions: &[Condition]) -> Vec<(i64, Telling)> {
        let mut told = Vec::new();
        for half in minutes.start * 2..minutes.end * 2 {
            let now = at(half / 2);
            book.look(conditions.to_vec(), now);
            let due = book.due(now);
            book.note_told(&due, now);
            told.extend(due.iter().map(|(what, _)| (half / 2, *what)));
        }
        told
    }

    #[test]
    fn what_lasts_is_told_once_and_its_end_once() {
        let mut book = Book::default();
        assert_eq!(told(&mut book, 0..300, &down()), [(9, Telling::Begun)]);
        assert_eq!(told(&mut book, 300..500, &[]), [(309, Telling::Ended)]);
        assert_eq!(book.entries().count(), 0, "nothing is left");
    }

    #[test]
    fn what_ends_by_itself_is_never_told() {
        let mut book = Book::default();
        for hour in 0..10 {
            let begin = hour * 60;
            assert_eq!(told(&mut book, begin..begin + 8, &down()), []);
            assert_eq!(told(&mut book, begin + 8..begin + 60, &[]), []);
        }
    }

    #[test]
    fn what_comes_and_goes_is_told_once() {
        let mut book = Book::default();
        let mut all = Vec::new();
        for round in 0..20 {
            let begin = round * 20;
            all.extend(told(&mut book, begin..begin + 15, &down()));
            all.extend(told(&mut book, begin + 15..begin + 20, &[]));
        }
        assert_eq!(all, [(9, Telling::Begun)]);
    }

    #[test]
    fn what_lasts_a_week_is_told_again() {
        let mut book = Book::default();
        told(&mut book, 0..60, &down());
        let week = 7 * 24 * 60;
        assert_eq!(told(&mut book, week..week + 60, &down()), [(week + 9, Telling::Lasts)]);
    }

    #[test]
    fn what_was_raised_stays_until_it_is_resolved() {
        let mut book = Book::default();
        book.raise(Condition::new(Kind::Account, "ana@home.example", "It is held."), at(0));
        assert_eq!(told(&mut book, 0..100, &[]), [(0, Telling::Begun)]);
        book.resolve(Kind::Account, "ana@home.example", at(100));
        assert_eq!(told(&mut book, 100..120, &[]), [(109, Telling::Ended)]);
    }

    #[test]
    fn a_clock_that_jumps_tells_nothing_too_soon() {
        let mut book = Book::default();
        book.look(down(), Timestamp::from_second(0).expect("a time"));
        book.look(down(), at(0));
        assert_eq!(book.due(at(0)), []);
    }

    #[test]
    fn what_is_still_to_be_set_up_is_not_told() {
        let mut book = Book::default();
        let conditions = [Condition::new(Kind::Setup, "edge", "No edge is joined.")];
        assert_eq!(told(&mut book, 0..1000, &conditions), []);
    }

    #[test]
    fn the_number_of_entries_is_bounded() {
        let mut book = Book::default();
        (0..MOST + 10).for_each(|n| book.raise(Condition::new(Kind::Account, n, "held"), at(0)));
        assert_eq!(book.entries().count(), MOST);
    }
}
