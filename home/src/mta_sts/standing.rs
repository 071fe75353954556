//! How a domain's policy stands, and how a look at the world moves it.
//!
//! In: what was, a [`Judgement`] of certificates and MX record, the time of a believed clock. Out: what is, and what is
//! awaited. Pure.
//!
//! | mode | judgement | for how long | mode then |
//! |---|---|---|---|
//! | testing | right | `enforce_after` | enforce |
//! | testing | unproven | | testing; what passed counts once it is right again, as far as one look counts |
//! | testing | ending, wrong | | testing; the time begins anew |
//! | enforce | right, unproven | | enforce |
//! | enforce | ending | at once | testing |
//! | enforce | wrong | [`LASTING`] | testing |
//! | enforce | any, but senders are never to insist | at once | testing |
//! | enforce, another mail host | any | at once | testing, from the beginning |
//!
//! A look credits the time since the look before that found something, and at most [`MOST_CREDIT`]: a clock that jumps by a
//! year has not seen a year. By a clock that is in doubt only what is wrong whatever the time may be counts, and the wish
//! that senders are not to insist; else who holds the edge could hold senders to a certificate that is no good.
//!
//! Senders who were told to insist remember it: [`Standing::is_remembered`]. As long as they do, the policy is announced
//! (RFC 8461 §8.3), so that they can learn that it has changed.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::policy::Mode;

/// The most that one look adds to the time of being right or wrong.
pub const MOST_CREDIT: Duration = Duration::from_secs(3600);
/// How long something must be wrong before senders are told not to insist any more. What is set right sooner costs them a
/// retry and nothing else.
pub const LASTING: Duration = Duration::from_secs(3600);

/// What a look found. The texts are clauses for the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judgement {
    /// A sender that insists would deliver.
    Right,
    /// Home finds nothing wrong, but the world may see something else.
    Unproven(String),
    /// A sender that insists would deliver, but not for long any more.
    Ending(String),
    /// A sender that insists would not deliver.
    Wrong(String),
}

/// The time of a look, in seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    /// This machine's clock and the edge's agree on it.
    Believed(u64),
    /// Nobody but this machine's clock says so.
    Doubted(u64),
}

/// How a policy stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// What senders are told.
    pub mode: Mode,
    /// Since when, in seconds since 1970; 0 before the first look.
    pub since: u64,
    /// Whether all was right at the last look.
    is_right: bool,
    /// For how many credited seconds that has been so.
    held: u64,
    /// When the last look was that found one or the other, in seconds since 1970.
    looked: u64,
    /// When senders were last told to insist, in seconds since 1970, by a believed clock.
    #[serde(default)]
    enforced: Option<u64>,
    /// Whether senders were told to insist since then, at a time that nobody knows.
    #[serde(default)]
    is_enforced_in_doubt: bool,
}

impl Standing {
    /// The standing after a look.
    pub fn look(self, clock: Clock, judgement: &Judgement, enforce_after: Option<Duration>) -> Self {
        let (looked, mode, now) = match (clock, judgement) {
            (Clock::Believed(now), _) | (Clock::Doubted(now), Judgement::Wrong(_)) => {
                let since = if self.since == 0 { now } else { self.since };
                let looked = Self { since, ..self }.count(judgement, now);
                (looked, looked.next_mode(judgement, enforce_after), now)
            }
            (Clock::Doubted(now), _) if enforce_after.is_none() => (self, Mode::Testing, now),
            (Clock::Doubted(_), _) => return self,
        };
        let since = if mode == self.mode { looked.since } else { now };
        let is_told = self.mode == Mode::Enforce || mode == Mode::Enforce;
        Self { mode, since, ..looked }.remember(clock, is_told)
    }

    /// Keeps when senders were told to insist. A doubted clock neither prolongs that nor shortens it: the next time that is
    /// believed stands for it.
    fn remember(self, clock: Clock, is_told: bool) -> Self {
        let is_told = is_told || self.is_enforced_in_doubt;
        match clock {
            Clock::Doubted(_) => Self { is_enforced_in_doubt: is_told, ..self },
            Clock::Believed(now) if is_told => {
                Self { enforced: Some(now), is_enforced_in_doubt: false, ..self }
            }
            // A time that lies ahead is of a clock that was wrong.
            Clock::Believed(now) => {
                Self { enforced: self.enforced.map(|enforced| enforced.min(now)), ..self }
            }
        }
    }

    /// Whether senders may still hold a policy by which they insist.
    pub fn is_remembered(self, now: u64) -> bool {
        let memory = u64::from(Mode::Enforce.max_age()) + MOST_CREDIT.as_secs();
        self.is_enforced_in_doubt
            || self.enforced.is_some_and(|enforced| now.saturating_sub(enforced) < memory)
    }

    /// The standing of a policy for another mail host, which nobody has seen in order yet.
    pub fn anew(self) -> Self {
        Self { enforced: self.enforced, is_enforced_in_doubt: self.is_enforced_in_doubt, ..Self::default() }
    }

    fn credit(self, now: u64) -> u64 {
        if self.looked == 0 { 0 } else { now.saturating_sub(self.looked).min(MOST_CREDIT.as_secs()) }
    }

    fn count(self, judgement: &Judgement, now: u64) -> Self {
        let is_right = match judgement {
            Judgement::Unproven(_) => return self,
            Judgement::Right => true,
            Judgement::Ending(_) | Judgement::Wrong(_) => false,
        };
        let held = if is_right == self.is_right { self.held.saturating_add(self.credit(now)) } else { 0 };
        Self { is_right, held, looked: now, ..self }
    }

    fn next_mode(self, judgement: &Judgement, enforce_after: Option<Duration>) -> Mode {
        let has_held = |time: Duration| self.held >= time.as_secs();
        match (self.mode, judgement) {
            (_, _) if enforce_after.is_none() => Mode::Testing,
            (Mode::Testing, Judgement::Right) if enforce_after.is_some_and(has_held) => Mode::Enforce,
            (Mode::Enforce, Judgement::Ending(_)) => Mode::Testing,
            (Mode::Enforce, Judgement::Wrong(_)) if has_held(LASTING) => Mode::Testing,
            (mode, _) => mode,
        }
    }

    /// Whether this says more than what is on the disk, which is not written at every look.
    pub fn differs(self, kept: Self) -> bool {
        (self.mode, self.is_right, self.is_enforced_in_doubt)
            != (kept.mode, kept.is_right, kept.is_enforced_in_doubt)
            || self.held < kept.held
            || self.looked.abs_diff(kept.looked) >= MOST_CREDIT.as_secs()
    }

    /// What is awaited, as a clause for the operator; `None` where all is as it shall be.
    pub fn awaited(self, judgement: &Judgement, enforce_after: Option<Duration>) -> Option<String> {
        match (self.mode, judgement, enforce_after) {
            (Mode::Testing, Judgement::Right, None) => None,
            (Mode::Testing, Judgement::Right, Some(after)) => {
                let left = after.saturating_sub(Duration::from_secs(self.held));
                Some(format!("enforce in {} if all stays right", in_two_units(left)))
            }
            (_, Judgement::Unproven(why) | Judgement::Ending(why) | Judgement::Wrong(why), _) => {
                Some(why.clone())
            }
            (Mode::Enforce, Judgement::Right, _) => None,
        }
    }
}

/// Minutes at least, days at most.
fn in_two_units(time: Duration) -> String {
    let minutes = time.as_secs().div_ceil(60);
    let (days, hours) = (minutes / 1440, minutes / 60 % 24);
    match (days, hours) {
        (0, 0) => format!("{minutes} min"),
        (0, _) => format!("{hours} h {} min", minutes % 60),
        _ => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DAY: u64 = 86_400;
    const START: u64 = 1_800_000_000;
    const WEEK: Option<Duration> = Some(Duration::from_secs(7 * DAY));

    fn at(now: u64) -> Clock {
        Clock::Believed(now)
    }

    fn wrong() -> Judgement {
        Judgement::Wrong("the certificate is another".to_owned())
    }

    fn unproven() -> Judgement {
        Judgement::Unproven("the edge is not heard".to_owned())
    }

    /// Looks once a minute for so many minutes; gives back the standing and the time.
    fn minutes(standing: Standing, from: u64, count: u64, judgement: &Judgement) -> (Standing, u64) {
        let looks = (1..=count).map(|minute| from + minute * 60);
        (looks.fold(standing, |standing, now| standing.look(at(now), judgement, WEEK)), from + count * 60)
    }

    fn enforced() -> (Standing, u64) {
        let first = Standing::default().look(at(START), &Judgement::Right, WEEK);
        let (standing, now) = minutes(first, START, 7 * 24 * 60, &Judgement::Right);
        assert_eq!(standing.mode, Mode::Enforce);
        (standing, now)
    }

    #[test]
    fn a_week_without_a_break_leads_to_enforce() {
        let first = Standing::default().look(at(START), &Judgement::Right, WEEK);
        assert_eq!(
            first.awaited(&Judgement::Right, WEEK).as_deref(),
            Some("enforce in 7 d 0 h if all stays right")
        );
        let (almost, now) = minutes(first, START, 7 * 24 * 60 - 1, &Judgement::Right);
        assert_eq!((almost.mode, almost.since), (Mode::Testing, START));
        let there = almost.look(at(now + 60), &Judgement::Right, WEEK);
        assert_eq!((there.mode, there.since), (Mode::Enforce, START + 7 * DAY));
        assert_eq!(there.awaited(&Judgement::Right, WEEK), None);
    }

    #[test]
    fn a_break_begins_the_week_anew_and_what_is_unproven_does_not() {
        let first = Standing::default().look(at(START), &Judgement::Right, WEEK);
        let (six_days, now) = minutes(first, START, 6 * 24 * 60, &Judgement::Right);
        let (unsure, now) = minutes(six_days, now, 24 * 60, &unproven());
        assert_eq!((unsure.held, unsure.mode), (6 * DAY, Mode::Testing));
        let (sure, now) = minutes(unsure, now, 23 * 60, &Judgement::Right);
        assert_eq!(sure.mode, Mode::Testing, "of the day of doubt an hour counts");
        let broken = sure.look(at(now + 60), &wrong(), WEEK);
        assert_eq!(broken.held, 0);
        assert_eq!(broken.awaited(&wrong(), WEEK).as_deref(), Some("the certificate is another"));
        assert_eq!(minutes(broken, now + 60, 6 * 24 * 60, &Judgement::Right).0.mode, Mode::Testing);
    }

    #[test]
    fn what_breaks_for_good_is_no_longer_insisted_on() {
        let (standing, now) = enforced();
        let (short, _) = minutes(standing, now, 50, &wrong());
        assert_eq!(short.mode, Mode::Enforce);
        assert_eq!(minutes(short, now, 60, &Judgement::Right).0.mode, Mode::Enforce);
        assert_eq!(minutes(standing, now, 61, &wrong()).0.mode, Mode::Testing);
        let ending = Judgement::Ending("the certificate ends in two days".to_owned());
        assert_eq!(standing.look(at(now + 60), &ending, WEEK).mode, Mode::Testing);
        assert_eq!(
            minutes(standing, now, 30 * 24 * 60, &unproven()).0.mode,
            Mode::Enforce,
            "an edge's word ends nothing"
        );
        assert_eq!(standing.look(at(now + 60), &Judgement::Right, None).mode, Mode::Testing);
    }

    #[test]
    fn a_restart_loses_nothing() {
        let kept = Standing::default().look(at(START), &Judgement::Right, WEEK);
        let (lost, now) = minutes(kept, START, 59, &Judgement::Right);
        assert!(!lost.differs(kept));
        assert_eq!(
            kept.look(at(now + 60), &Judgement::Right, WEEK),
            lost.look(at(now + 60), &Judgement::Right, WEEK)
        );
        assert!(minutes(lost, now, 1, &Judgement::Right).0.differs(kept), "an hour is kept");
        assert!(lost.look(at(now), &wrong(), WEEK).differs(kept));
    }

    #[test]
    fn a_clock_in_doubt_does_not_hold_senders_to_what_is_wrong() {
        let (standing, now) = enforced();
        let doubted = |count: u64, judgement: &Judgement, after: Option<Duration>| {
            let looks = (1..=count).map(|minute| Clock::Doubted(now + minute * 60));
            looks.fold(standing, |standing, clock| standing.look(clock, judgement, after))
        };
        assert_eq!(doubted(50, &wrong(), WEEK).mode, Mode::Enforce);
        assert_eq!(doubted(62, &wrong(), WEEK).mode, Mode::Testing);
        assert_eq!(doubted(62, &unproven(), WEEK), standing);
        assert_eq!(doubted(1, &unproven(), None).mode, Mode::Testing, "senders are never to insist");
    }

    #[test]
    fn who_was_told_to_insist_remembers_it_for_two_weeks() {
        assert!(!Standing::default().look(at(START), &wrong(), WEEK).is_remembered(START));
        let (standing, now) = enforced();
        let (testing, then) = minutes(standing, now, 61, &wrong());
        assert_eq!(testing.mode, Mode::Testing);
        assert!(testing.is_remembered(then + 14 * DAY) && !testing.is_remembered(then + 15 * DAY));
        let ahead = Standing { enforced: Some(START + 4000 * DAY), ..testing };
        assert!(!ahead.look(at(then), &wrong(), WEEK).is_remembered(then + 15 * DAY));
    }

    #[test]
    fn a_clock_in_doubt_neither_shortens_nor_prolongs_what_senders_remember() {
        let (standing, now) = enforced();
        for doubted in [0, now - 400 * DAY, now + 4000 * DAY] {
            let looks = (1..=62).map(|minute| Clock::Doubted(doubted + minute * 60));
            let testing = looks.fold(standing, |standing, clock| standing.look(clock, &wrong(), WEEK));
            assert_eq!(testing.mode, Mode::Testing);
            assert!(testing.is_remembered(now + 30 * DAY), "nobody knows yet when senders were last told");
            let known = testing.look(at(now + DAY), &wrong(), WEEK);
            assert!(known.is_remembered(now + 15 * DAY) && !known.is_remembered(now + 16 * DAY));
        }
    }

    #[test]
    fn another_mail_host_begins_anew_and_old_policies_are_not_forgotten() {
        let (standing, now) = enforced();
        let other = standing.anew();
        assert_eq!((other.mode, other.held, other.since), (Mode::Testing, 0, 0));
        assert!(other.is_remembered(now + 13 * DAY));
        assert_eq!(other.look(at(now + 60), &Judgement::Right, WEEK).mode, Mode::Testing);
    }

    fn judgements() -> impl Strategy<Value = Judgement> {
        prop_oneof![
            4 => Just(Judgement::Right),
            1 => Just(unproven()),
            1 => Just(Judgement::Ending("soon".to_owned())),
            1 => Just(wrong()),
        ]
    }

    proptest! {
        /// Whatever the clock does, senders insist only after so many looks as the time takes, none of which found a fault.
        #[test]
        fn no_clock_leads_to_enforce(
            looks in proptest::collection::vec((proptest::option::of(any::<u64>()), judgements()), 0..200),
            hours in 2_u64..12,
        ) {
            let after = Duration::from_secs(hours * 3600);
            let mut standing = Standing::default();
            let mut right = 0;
            for (now, judgement) in looks {
                let before = standing;
                let clock = now.map_or(Clock::Doubted(0), Clock::Believed);
                standing = standing.look(clock, &judgement, Some(after));
                match (now, &judgement) {
                    (None, Judgement::Wrong(_)) => right = 0,
                    (None, _) => prop_assert_eq!(standing, before),
                    (_, Judgement::Unproven(_)) => prop_assert_eq!(standing.mode, before.mode),
                    (_, Judgement::Right) => right += 1,
                    _ => right = 0,
                }
                if before.mode == Mode::Testing && standing.mode == Mode::Enforce {
                    prop_assert_eq!(&judgement, &Judgement::Right);
                    prop_assert!(right > hours);
                }
            }
        }

        /// Kept and read again, it is the same.
        #[test]
        fn a_standing_is_kept_whole(looks in proptest::collection::vec((any::<u64>(), judgements()), 0..20)) {
            let standing = looks.iter().fold(Standing::default(), |standing, (now, judgement)| {
                standing.look(at(*now), judgement, WEEK)
            });
            let text = serde_json::to_vec(&standing).expect("written");
            prop_assert_eq!(serde_json::from_slice::<Standing>(&text).expect("read"), standing);
        }
    }
}
