//! Spans of time as arguments: `90s`, `30m`, `1h`, `2d`.

use std::time::Duration;

const UNITS: [(char, u64); 4] = [('d', 86_400), ('h', 3600), ('m', 60), ('s', 1)];

/// Reads a number and a unit, at least a second.
///
/// # Errors
/// What was expected, for the operator.
pub fn parse_time(text: &str) -> Result<Duration, String> {
    let wrong = || "expected a number and a unit, like 90s, 30m, 1h or 2d".to_owned();
    let unit = text.chars().next_back().ok_or_else(wrong)?;
    let (_, seconds) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?;
    let number = text.strip_suffix(unit).unwrap_or_default();
    let total =
        number.parse::<u64>().ok().and_then(|number| number.checked_mul(*seconds)).ok_or_else(wrong)?;
    if total == 0 { Err("0 is no time".to_owned()) } else { Ok(Duration::from_secs(total)) }
}

/// The same in the greatest unit that fits.
pub fn time_text(time: Duration) -> String {
    let seconds = time.as_secs();
    let unit = UNITS.iter().find(|(_, size)| seconds.is_multiple_of(*size));
    unit.map_or(format!("{seconds}s"), |(name, size)| format!("{}{name}", seconds / size))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_and_shown() {
        for text in ["90s", "30m", "1h", "2d"] {
            assert_eq!(time_text(parse_time(text).unwrap()), text);
        }
        for wrong in ["", "h", "1", "0h", "1w", "-1h", "99999999999999999999d", "é"] {
            assert!(parse_time(wrong).is_err(), "{wrong}");
        }
    }
}
