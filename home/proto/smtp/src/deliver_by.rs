//! The BY parameter of MAIL: the time within which a message is to be delivered (RFC 2852 §4).
//!
//! In: the parameter's value, or what it is to say. Out: the one from the other. Refused: a time of zero or less after which the
//! message would have to come back, numbers of more than nine digits, anything else that is not of its grammar.

use std::fmt::{self, Display, Formatter};

/// A message's time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeliverBy {
    /// Seconds from now; below zero they have passed.
    pub seconds: i64,
    /// What is to be done when they have.
    pub mode: ByMode,
    /// Whether each server on the way is to report that it has handed the message on.
    pub trace: bool,
}

/// What is done with a message whose time is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ByMode {
    /// The sender is told, and it is tried further.
    Notify,
    /// It goes back.
    Return,
}

/// Most digits of the time.
const DIGITS_MAX: usize = 9;
/// The longest time that the digits hold, in seconds.
const SECONDS_MAX: i64 = 999_999_999;

impl DeliverBy {
    /// Reads the parameter's value, such as `120;R`.
    pub fn parse(value: &str) -> Option<Self> {
        let (time, how) = value.split_once(';')?;
        let (mode, trace) = match how.to_ascii_uppercase().as_str() {
            "N" => (ByMode::Notify, false),
            "NT" => (ByMode::Notify, true),
            "R" => (ByMode::Return, false),
            "RT" => (ByMode::Return, true),
            _ => return None,
        };
        let digits = time.strip_prefix(['+', '-']).unwrap_or(time);
        let well_formed =
            (1..=DIGITS_MAX).contains(&digits.len()) && digits.bytes().all(|octet| octet.is_ascii_digit());
        let seconds: i64 = Some(time).filter(|_| well_formed)?.parse().ok()?;
        // A message that is late already cannot be asked to come back for being late (RFC 2852 §4).
        (mode == ByMode::Notify || seconds > 0).then_some(DeliverBy { seconds, mode, trace })
    }
}

impl Display for DeliverBy {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        let mode = match self.mode {
            ByMode::Notify => 'N',
            ByMode::Return => 'R',
        };
        let trace = if self.trace { "T" } else { "" };
        write!(formatter, "{};{mode}{trace}", self.seconds.clamp(-SECONDS_MAX, SECONDS_MAX))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn values_are_read() {
        let by = |seconds, mode, trace| Some(DeliverBy { seconds, mode, trace });
        for (value, expected) in [
            ("120;R", by(120, ByMode::Return, false)),
            ("+120;rt", by(120, ByMode::Return, true)),
            ("-5;N", by(-5, ByMode::Notify, false)),
            ("0;NT", by(0, ByMode::Notify, true)),
            ("0;R", None),
            ("-1;R", None),
            ("120", None),
            ("120;", None),
            ("120;X", None),
            ("120;TR", None),
            (";R", None),
            ("+;N", None),
            ("--5;N", None),
            ("1234567890;N", None),
            ("1.5;N", None),
        ] {
            assert_eq!(DeliverBy::parse(value), expected, "{value}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(seconds in 1..=SECONDS_MAX, is_late: bool, trace: bool, returns: bool) {
            let mode = if returns { ByMode::Return } else { ByMode::Notify };
            let seconds = if is_late && !returns { -seconds } else { seconds };
            let by = DeliverBy { seconds, mode, trace };
            prop_assert_eq!(DeliverBy::parse(&by.to_string()), Some(by));
        }

        #[test]
        fn nothing_breaks_it(value in "\\PC*") {
            let _ = DeliverBy::parse(&value);
        }
    }
}
