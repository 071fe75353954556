//! Dates of messages and trace fields.
//!
//! In: a point in time, or the text of a `Date` field. Out: the text of RFC 5322 §3.3, or the point in time with
//! its offset. Refused: text that is not a date of that grammar. The clock is read by the caller.
//!
//! Implements RFC 5322 §3.3 and, when reading, the two-digit years and zone names of RFC 5322 §4.3.

use jiff::fmt::rfc2822::{DateTimeParser, DateTimePrinter};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

static PARSER: DateTimeParser = DateTimeParser::new();
static PRINTER: DateTimePrinter = DateTimePrinter::new();

/// Writes a point in time for a `Date` or trace field, in UTC: `Sun, 22 Nov 2026 13:10:37 +0000`.
///
/// A time before the year 1 or after 9999 cannot be written and becomes the start of 1970.
pub fn format(time: Timestamp) -> String {
    PRINTER
        .zoned_to_string(&time.to_zoned(TimeZone::UTC))
        .unwrap_or_else(|_| "Thu, 1 Jan 1970 00:00:00 +0000".to_owned())
}

/// Reads the text of a `Date` field; `None` when it is not a date.
pub fn parse(text: &str) -> Option<Zoned> {
    PARSER.parse_zoned(text.trim()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_utc() {
        let time: Timestamp = "2026-11-02T03:04:05Z".parse().expect("valid");
        assert_eq!(format(time), "Mon, 2 Nov 2026 03:04:05 +0000");
    }

    #[test]
    fn reads_offsets_comments_and_old_zones() {
        let expected: Timestamp = "2026-11-02T03:04:05Z".parse().expect("valid");
        for text in [
            "Mon, 2 Nov 2026 04:04:05 +0100 (CET)",
            "2 Nov 2026 03:04:05 GMT",
            "Mon, 02 Nov 26 03:04:05 +0000",
            "Sun, 1 Nov 2026 22:04:05 EST",
        ] {
            assert_eq!(parse(text).map(|zoned| zoned.timestamp()), Some(expected), "{text}");
        }
    }

    #[test]
    fn refuses_other_text() {
        for text in ["", "yesterday", "2026-11-02T03:04:05Z", "Mon, 32 Nov 2026 04:04:05 +0100"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
