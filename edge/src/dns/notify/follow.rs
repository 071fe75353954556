//! When a secondary is told that a zone has changed, and when it is asked what it serves: a pure schedule for one zone at
//! one address.
//!
//! In: the serial that should be there, what came of telling and asking, the time. Out: what to do now, and when to look
//! again. A secondary that does not have the serial is told again and again, more and more seldom (RFC 1996 §3.6), for ever: it may
//! come back after days. One that has it is asked every [`CHECK`], so that the operator sees one that has lost the zone.
//!
//! | phase | goes on to |
//! |---|---|
//! | Tell: a NOTIFY is due | Ask, after a moment for the transfer |
//! | Ask: the SOA is to be asked | Rest where the serial is there; else Tell, later and later |
//! | Rest | Ask after [`CHECK`]; Tell as soon as the zone changes |

use std::time::{Duration, Instant};

use postern_shared::zone::is_older;

/// The time that a transfer gets after a NOTIFY was answered.
const MOMENT: Duration = Duration::from_secs(1);

/// The pause after the first round that did not help; it doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_secs(2);
const LONGEST_PAUSE: Duration = Duration::from_secs(15 * 60);

/// How often a secondary that is up to date is asked.
const CHECK: Duration = Duration::from_secs(15 * 60);

/// One zone at one address.
#[derive(Debug, Clone)]
pub struct Follow {
    wanted: u32,
    phase: Phase,
    due: Instant,
    pause: Duration,
    rounds: usize,
}

/// What comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Telling by NOTIFY.
    Tell,
    /// Asking for the SOA.
    Ask,
    /// Nothing until the next check.
    Rest,
}

/// What came of telling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// It took note.
    Answered,
    /// It did not answer, or refused.
    InVain,
}

impl Follow {
    /// Begins by asking: the secondary may have the zone already.
    pub fn new(wanted: u32, now: Instant) -> Self {
        Self { wanted, phase: Phase::Ask, due: now, pause: FIRST_PAUSE, rounds: 0 }
    }

    /// Begins by telling.
    pub fn telling(wanted: u32, now: Instant) -> Self {
        Self { phase: Phase::Tell, ..Self::new(wanted, now) }
    }

    /// The zone has this serial now.
    pub fn wants(&mut self, serial: u32, now: Instant) {
        if self.wanted != serial {
            *self = Self::telling(serial, now);
        }
    }

    /// What to do now, if it is time.
    pub fn todo(&self, now: Instant) -> Option<Phase> {
        (self.due <= now).then_some(match self.phase {
            Phase::Rest => Phase::Ask,
            phase => phase,
        })
    }

    /// When to look again.
    pub fn due(&self) -> Instant {
        self.due
    }

    /// Whether the secondary had the serial when it was last asked.
    pub fn is_content(&self) -> bool {
        self.phase == Phase::Rest
    }

    /// How often it was told in vain: the keys take turns by it.
    pub fn rounds(&self) -> usize {
        self.rounds
    }

    /// It was told, with this outcome.
    pub fn was_told(&mut self, told: Told, now: Instant) {
        self.phase = Phase::Ask;
        self.due = match told {
            Told::Answered => now + MOMENT,
            Told::InVain => now,
        };
    }

    /// It was asked, and serves this serial, or said nothing of use.
    pub fn was_asked(&mut self, serves: Option<u32>, now: Instant) {
        if serves.is_some_and(|serial| !is_older(serial, self.wanted)) {
            (self.phase, self.due) = (Phase::Rest, now + CHECK);
            (self.pause, self.rounds) = (FIRST_PAUSE, 0);
            return;
        }
        // The first time it may not have been told yet.
        let pause = if self.rounds == 0 { Duration::ZERO } else { self.pause };
        (self.phase, self.due) = (Phase::Tell, now + pause);
        self.rounds += 1;
        if self.rounds > 1 {
            self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    #[test]
    fn a_secondary_that_has_the_zone_is_left_alone_and_asked_now_and_then() {
        let start = Instant::now();
        let mut follow = Follow::new(7, start);
        assert_eq!(follow.todo(start), Some(Phase::Ask));
        follow.was_asked(Some(7), start);
        assert_eq!(follow.todo(start + CHECK - seconds(1)), None);
        assert_eq!(follow.todo(start + CHECK), Some(Phase::Ask));
        follow.wants(7, start);
        assert_eq!(follow.todo(start), None);
        follow.wants(8, start);
        assert_eq!(follow.todo(start), Some(Phase::Tell));
        follow.was_told(Told::Answered, start);
        assert_eq!((follow.todo(start), follow.todo(start + MOMENT)), (None, Some(Phase::Ask)));
        follow.was_asked(Some(9), start);
        assert_eq!(follow.todo(start + MOMENT), None, "newer is as good");
    }

    #[test]
    fn one_that_does_not_follow_is_told_less_and_less_often_and_never_given_up() {
        let start = Instant::now();
        let (mut now, mut follow) = (start, Follow::new(7, start));
        let mut told = Vec::new();
        while told.len() < 14 {
            now = now.max(follow.due());
            match follow.todo(now) {
                Some(Phase::Tell) => {
                    told.push((now - start).as_secs());
                    follow.was_told(Told::InVain, now);
                }
                _ => follow.was_asked(Some(6), now),
            }
        }
        assert_eq!(told[..6], [0, 2, 6, 14, 30, 62]);
        assert_eq!(told[13] - told[12], LONGEST_PAUSE.as_secs());
        follow.wants(8, now);
        assert_eq!(follow.todo(now), Some(Phase::Tell), "a new version is told at once");
        follow.was_asked(None, now);
        assert_eq!((follow.rounds(), follow.todo(now)), (1, Some(Phase::Tell)));
    }
}
