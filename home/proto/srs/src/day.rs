//! The day in a rewritten address: two letters of base32, which return after 1,024 days.

use crate::key::BASE32;

/// For so many days a rewritten address leads back: longer than any queue keeps a message.
pub const LIFETIME_DAYS: u16 = 21;

const CYCLE_DAYS: u16 = 1024;

/// A day, as far as a rewritten address tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Day(u16);

impl Day {
    /// The day of a time in seconds since 1970, UTC.
    pub fn of_unix_seconds(seconds: u64) -> Self {
        let day = seconds / 86_400 % u64::from(CYCLE_DAYS);
        Self(u16::try_from(day).unwrap_or_default())
    }

    pub(crate) fn encode(self) -> String {
        [self.0 >> 5, self.0 & 31].into_iter().filter_map(letter).collect()
    }

    pub(crate) fn decode(text: &str) -> Option<Self> {
        match text.as_bytes() {
            [high, low] => Some(Self(value(*high)? << 5 | value(*low)?)),
            _ => None,
        }
    }

    /// Whether it lies at most [`LIFETIME_DAYS`] back, or is tomorrow, as clocks may be set back.
    pub(crate) fn is_recent(self, today: Self) -> bool {
        let tomorrow = today.0 + 1;
        (tomorrow + CYCLE_DAYS - self.0) % CYCLE_DAYS <= LIFETIME_DAYS + 1
    }
}

fn letter(value: u16) -> Option<char> {
    BASE32.get(usize::from(value)).map(|octet| char::from(*octet))
}

fn value(letter: u8) -> Option<u16> {
    let position = BASE32.iter().position(|it| it.eq_ignore_ascii_case(&letter))?;
    u16::try_from(position).ok()
}
