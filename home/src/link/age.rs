//! When keys are old enough to be renewed by themselves.
//!
//! In: when the keys were made, the time of day, a clock that never jumps. Out: whether to renew them, or to correct the
//! time that is kept with them. Refused: ages of less than an hour.
//!
//! The time of day of a machine without a battery clock cannot be trusted. A clock that stands before the keys' making is
//! waiting to be set, so nothing happens; only when it has stood there for a whole day of uptime is it the keys' time that
//! is wrong. So a clock that jumps to and fro renews the keys once and not at every jump.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

/// The shortest age at which keys are renewed by themselves.
const LEAST: Duration = Duration::from_secs(3600);

/// How long the time of day must have stood before the keys' making until that counts as wrong.
const DISBELIEF: Duration = Duration::from_secs(86_400);

/// The age at which keys are renewed by themselves: `30d`, `12h` or `never`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RotateEvery(Option<Duration>);

/// A text that is no such age.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a time of at least an hour; expected one like 30d or 12h, or never")]
pub struct InvalidAge(String);

/// What the age of the keys asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing.
    Wait,
    /// The keys are old.
    Renew,
    /// The time of their making lies in the future and cannot be right: they count as made now.
    Correct,
}

/// Watches the age of the keys.
#[derive(Debug, Default)]
pub struct AgeWatch {
    /// Since when the time of day lies before the keys' making.
    behind_since: Option<Instant>,
}

impl RotateEvery {
    /// Keys are renewed when somebody asks for it.
    pub const NEVER: RotateEvery = RotateEvery(None);

    /// How long keys of this age (seconds) still have; `None` for ever.
    pub fn left(self, age: u64) -> Option<Duration> {
        Some(self.0?.saturating_sub(Duration::from_secs(age)))
    }
}

impl AgeWatch {
    /// Judges keys made at `since` (seconds since 1970; 0 where unknown, which is old) at the time of day `today`.
    pub fn judge(&mut self, since: u64, every: RotateEvery, today: u64, now: Instant) -> Verdict {
        if today < since {
            let behind = now.duration_since(*self.behind_since.get_or_insert(now));
            return if behind >= DISBELIEF { Verdict::Correct } else { Verdict::Wait };
        }
        self.behind_since = None;
        match every.left(today - since) {
            Some(Duration::ZERO) => Verdict::Renew,
            Some(_) | None => Verdict::Wait,
        }
    }
}

impl FromStr for RotateEvery {
    type Err = InvalidAge;

    fn from_str(text: &str) -> Result<Self, InvalidAge> {
        if text == "never" {
            return Ok(Self::NEVER);
        }
        let age = parse(text).filter(|age| *age >= LEAST);
        age.map(|age| Self(Some(age))).ok_or_else(|| InvalidAge(text.to_owned()))
    }
}

fn parse(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let unit = match unit {
        "h" => 3600,
        "d" => 86_400,
        _ => return None,
    };
    Some(Duration::from_secs(number.parse::<u64>().ok()?.checked_mul(unit)?))
}

impl fmt::Display for RotateEvery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(age) = self.0 else { return f.write_str("never") };
        let hours = age.as_secs() / 3600;
        if hours.is_multiple_of(24) { write!(f, "{}d", hours / 24) } else { write!(f, "{hours}h") }
    }
}

impl TryFrom<String> for RotateEvery {
    type Error = InvalidAge;

    fn try_from(text: String) -> Result<Self, InvalidAge> {
        text.parse()
    }
}

impl From<RotateEvery> for String {
    fn from(every: RotateEvery) -> String {
        every.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 86_400;
    const MADE: u64 = 1_900_000_000;

    fn monthly() -> RotateEvery {
        "30d".parse().expect("an age")
    }

    #[test]
    fn ages_are_hours_or_days_and_print_as_they_are_written() {
        for text in ["30d", "12h", "25h", "1h", "never"] {
            assert_eq!(text.parse::<RotateEvery>().expect(text).to_string(), text);
        }
        assert_eq!("48h".parse::<RotateEvery>().expect("an age").to_string(), "2d");
        for wrong in ["", "d", "0d", "0h", "30", "30m", "-1d", "é", "99999999999999999999d", "Never"] {
            assert_eq!(wrong.parse::<RotateEvery>(), Err(InvalidAge(wrong.to_owned())));
        }
    }

    #[test]
    fn keys_are_renewed_at_their_age_and_unknown_age_is_old() {
        let (mut watch, now) = (AgeWatch::default(), Instant::now());
        let mut judge = |since, every, today| watch.judge(since, every, today, now);
        assert_eq!(judge(MADE, monthly(), MADE + 30 * DAY - 1), Verdict::Wait);
        assert_eq!(judge(MADE, monthly(), MADE + 30 * DAY), Verdict::Renew);
        assert_eq!(judge(MADE, RotateEvery::NEVER, MADE + 3000 * DAY), Verdict::Wait);
        assert_eq!(judge(0, monthly(), MADE), Verdict::Renew);
    }

    /// A machine without a battery clock boots in 1970 every day, and is set right a minute later.
    #[test]
    fn a_clock_that_boots_in_1970_renews_nothing() {
        for boot in 0..20 {
            let (mut watch, now) = (AgeWatch::default(), Instant::now());
            assert_eq!(watch.judge(MADE, monthly(), 5, now), Verdict::Wait);
            let later = now + Duration::from_secs(60);
            assert_eq!(watch.judge(MADE, monthly(), MADE + boot * DAY, later), Verdict::Wait);
        }
    }

    /// Each round the clock jumps ten years ahead and back again; the keys' time is that of their last renewal.
    #[test]
    fn a_clock_that_jumps_to_and_fro_renews_once() {
        let (mut watch, mut now) = (AgeWatch::default(), Instant::now());
        let (mut since, mut renewals) = (MADE, 0);
        for round in 0..1000 {
            for today in [MADE + 3650 * DAY + round * 60, MADE + round * 60] {
                now += Duration::from_secs(30);
                match watch.judge(since, monthly(), today, now) {
                    Verdict::Renew => (since, renewals) = (today, renewals + 1),
                    Verdict::Correct => since = today,
                    Verdict::Wait => {}
                }
            }
        }
        assert_eq!(renewals, 1);
    }

    #[test]
    fn keys_from_the_future_are_corrected_after_a_day() {
        let (mut watch, now) = (AgeWatch::default(), Instant::now());
        let mut judge =
            |today, passed| watch.judge(MADE, monthly(), today, now + Duration::from_secs(passed));
        assert_eq!(judge(MADE - 3650 * DAY, 0), Verdict::Wait);
        assert_eq!(judge(MADE - 3649 * DAY, DAY - 1), Verdict::Wait);
        assert_eq!(judge(MADE - 3649 * DAY, DAY), Verdict::Correct);
    }
}
