//! Dates of SEARCH and date-times of INTERNALDATE and APPEND (RFC 9051 §9 `date`, `date-time`).

use crate::parser::{ParseError, Parser, Result};

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// A day of the calendar, without time or zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Date(jiff::civil::Date);

impl Date {
    /// The day, in the Gregorian calendar; `None` when there is no such day.
    pub fn new(year: i16, month: i8, day: i8) -> Option<Date> {
        jiff::civil::Date::new(year, month, day).ok().map(Date)
    }

    /// Days since 1 January 1970.
    pub fn days_since_epoch(self) -> i64 {
        let seconds = self.0.to_zoned(jiff::tz::TimeZone::UTC).map(|zoned| zoned.timestamp().as_second());
        seconds.unwrap_or_default().div_euclid(86_400)
    }

    /// `1-Feb-1994`, in quotes or not.
    pub(crate) fn parse(parser: &mut Parser<'_>) -> Result<Date> {
        let quoted = parser.eat(b'"');
        let date = day_month_year(parser)?;
        if quoted {
            parser.expect(b'"', "Invalid date")?;
        }
        Ok(date)
    }

    /// Writes `1-Feb-1994`.
    pub fn encode(self, out: &mut Vec<u8>) {
        out.extend_from_slice(
            format!("{}-{}-{:04}", self.0.day(), month_name(self.0), self.0.year()).as_bytes(),
        );
    }
}

/// A moment with the zone it was written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DateTime {
    /// Seconds since 1 January 1970 UTC.
    pub seconds: i64,
    /// Minutes east of UTC.
    pub zone_minutes: i16,
}

impl DateTime {
    /// `"17-Jul-1996 02:44:25 -0700"`.
    pub(crate) fn parse(parser: &mut Parser<'_>) -> Result<DateTime> {
        parser.expect(b'"', "Expected a date-time")?;
        parser.eat(b' ');
        let date = day_month_year(parser)?;
        parser.space()?;
        let hour = two_digits(parser)?;
        parser.expect(b':', "Invalid time")?;
        let minute = two_digits(parser)?;
        parser.expect(b':', "Invalid time")?;
        let second = two_digits(parser)?;
        parser.space()?;
        let zone_minutes = zone(parser)?;
        parser.expect(b'"', "Invalid date-time")?;
        // A leap second is the second before it.
        if hour > 23 || minute > 59 || second > 60 {
            return Err(ParseError::Syntax("Invalid time"));
        }
        let local = date.days_since_epoch() * 86_400 + i64::from(hour * 3600 + minute * 60 + second.min(59));
        Ok(DateTime { seconds: local - i64::from(zone_minutes) * 60, zone_minutes })
    }

    /// Writes `"17-Jul-1996 02:44:25 -0700"`, quotes included.
    pub fn encode(self, out: &mut Vec<u8>) {
        let local = self.seconds.saturating_add(i64::from(self.zone_minutes) * 60);
        let civil = jiff::Timestamp::from_second(local)
            .unwrap_or_default()
            .to_zoned(jiff::tz::TimeZone::UTC)
            .datetime();
        let (sign, zone) =
            if self.zone_minutes < 0 { ('-', -self.zone_minutes) } else { ('+', self.zone_minutes) };
        let text = format!(
            "\"{:2}-{}-{:04} {:02}:{:02}:{:02} {sign}{:02}{:02}\"",
            civil.day(),
            month_name(civil.date()),
            civil.year(),
            civil.hour(),
            civil.minute(),
            civil.second(),
            zone / 60,
            zone % 60,
        );
        out.extend_from_slice(text.as_bytes());
    }
}

fn day_month_year(parser: &mut Parser<'_>) -> Result<Date> {
    const INVALID: ParseError = ParseError::Syntax("Invalid date");
    let day = i8::try_from(parser.number()?).map_err(|_| INVALID)?;
    parser.expect(b'-', "Invalid date")?;
    let name = parser.take_while(|octet| octet.is_ascii_alphabetic(), "Invalid date")?;
    let month = MONTHS.iter().position(|month| month.as_bytes().eq_ignore_ascii_case(name)).ok_or(INVALID)?;
    parser.expect(b'-', "Invalid date")?;
    let digits = parser.take_while(|octet| octet.is_ascii_digit(), "Invalid date")?;
    let year: i16 = match digits.len() {
        4 => std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok()).ok_or(INVALID)?,
        _ => return Err(INVALID),
    };
    Date::new(year, month as i8 + 1, day).ok_or(INVALID)
}

fn two_digits(parser: &mut Parser<'_>) -> Result<u32> {
    let digits = parser.take_while(|octet| octet.is_ascii_digit(), "Invalid time")?;
    match digits {
        [tens, units] => Ok(u32::from(tens - b'0') * 10 + u32::from(units - b'0')),
        _ => Err(ParseError::Syntax("Invalid time")),
    }
}

fn zone(parser: &mut Parser<'_>) -> Result<i16> {
    let west = parser.eat(b'-');
    if !west {
        parser.expect(b'+', "Invalid zone")?;
    }
    let digits = parser.take_while(|octet| octet.is_ascii_digit(), "Invalid zone")?;
    let &[h1, h2, m1, m2] = digits else {
        return Err(ParseError::Syntax("Invalid zone"));
    };
    let value = |tens: u8, units: u8| i16::from(tens - b'0') * 10 + i16::from(units - b'0');
    let minutes = value(h1, h2) * 60 + value(m1, m2);
    Ok(if west { -minutes } else { minutes })
}

fn month_name(date: jiff::civil::Date) -> &'static str {
    MONTHS.get(date.month().unsigned_abs() as usize - 1).copied().unwrap_or("Jan")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::NameEncoding;

    fn date_time(text: &str) -> Result<DateTime> {
        DateTime::parse(&mut Parser::new(text.as_bytes(), NameEncoding::Utf8))
    }

    #[test]
    fn the_rfc_example() {
        let parsed = date_time("\"17-Jul-1996 02:44:25 -0700\"").unwrap();
        assert_eq!(parsed, DateTime { seconds: 837_596_665, zone_minutes: -420 });
        let mut out = Vec::new();
        parsed.encode(&mut out);
        assert_eq!(out, b"\"17-Jul-1996 02:44:25 -0700\"");
        assert_eq!(date_time("\" 1-Jan-1970 00:00:00 +0000\"").unwrap().seconds, 0);
    }

    #[test]
    fn impossible_dates() {
        for bad in [
            "\"31-Feb-2020 00:00:00 +0000\"",
            "\"1-Foo-2020 00:00:00 +0000\"",
            "\"1-Jan-20 00:00:00 +0000\"",
            "\"1-Jan-2020 24:00:00 +0000\"",
            "\"1-Jan-2020 00:00:00 0000\"",
            "\"1-Jan-2020 00:00:00 +00\"",
        ] {
            assert!(date_time(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn extreme_moments_do_not_panic() {
        for seconds in [i64::MIN, i64::MAX, 0] {
            DateTime { seconds, zone_minutes: -1 }.encode(&mut Vec::new());
        }
    }
}
