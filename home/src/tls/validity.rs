//! When a certificate ends.
//!
//! In: an X.509 certificate in DER. Out: its `notAfter` (RFC 5280 §4.1.2.5), or nothing where the DER is not of the form
//! that the standard gives. rustls checks the validity of others' certificates, and tells nothing about one's own.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// The end of the certificate's validity.
pub(super) fn not_after(certificate: &[u8]) -> Option<Timestamp> {
    let (certificate, _) = inside(certificate, SEQUENCE)?;
    let (signed, _) = inside(certificate, SEQUENCE)?;
    // RFC 5280 §4.1: version (absent in version 1), serialNumber, signature, issuer, validity.
    let after_version = inside(signed, VERSION).map_or(signed, |(_, rest)| rest);
    let after_issuer = (0..3).try_fold(after_version, |rest, _| element(rest).map(|(_, _, rest)| rest))?;
    let (validity, _) = inside(after_issuer, SEQUENCE)?;
    let (_, _, after_begin) = element(validity)?;
    let (tag, time, _) = element(after_begin)?;
    instant(tag, std::str::from_utf8(time).ok()?)
}

/// The content of the first element, if it has this tag, and what follows it.
fn inside(octets: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (found, content, rest) = element(octets)?;
    (found == tag).then_some((content, rest))
}

/// The first element of DER: its tag, its content, and what follows it.
fn element(octets: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, octets) = octets.split_first()?;
    let (&first, octets) = octets.split_first()?;
    let (length, octets) = match first {
        0..=0x7f => (usize::from(first), octets),
        _ => {
            let (digits, octets) = octets.split_at_checked(usize::from(first & 0x7f))?;
            (big_endian(digits)?, octets)
        }
    };
    let (content, rest) = octets.split_at_checked(length)?;
    Some((tag, content, rest))
}

/// A certificate is far smaller than four octets of length allow.
fn big_endian(digits: &[u8]) -> Option<usize> {
    (1..=4)
        .contains(&digits.len())
        .then(|| digits.iter().fold(0, |sum, digit| sum << 8 | usize::from(*digit)))
}

/// RFC 5280 §4.1.2.5.1: two digits of a year are of 1950 to 2049. Both forms end with Z and have seconds.
fn instant(tag: u8, text: &str) -> Option<Timestamp> {
    let digits = text.strip_suffix('Z')?;
    let digits = match tag {
        UTC_TIME if digits < "5" => format!("20{digits}"),
        UTC_TIME => format!("19{digits}"),
        GENERALIZED_TIME => digits.to_owned(),
        _ => return None,
    };
    let time = DateTime::strptime("%Y%m%d%H%M%S", digits).ok()?;
    Some(time.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certificate(year: i32) -> Vec<u8> {
        let mut parameters =
            rcgen::CertificateParams::new(vec!["mail.home.example".to_owned()]).expect("a name");
        parameters.not_after = rcgen::date_time_ymd(year, 3, 15);
        let key = rcgen::KeyPair::generate().expect("a key");
        parameters.self_signed(&key).expect("signed").der().to_vec()
    }

    #[test]
    fn the_end_is_read_in_both_forms_of_time() {
        for year in [2031, 2049, 2050, 4096] {
            let end = not_after(&certificate(year)).expect("an end").to_string();
            assert_eq!(end, format!("{year}-03-15T00:00:00Z"));
        }
    }

    #[test]
    fn a_certificate_that_is_cut_has_no_end_or_its_own() {
        let whole = certificate(2031);
        for length in 0..whole.len() {
            assert_eq!(not_after(&whole[..length]), None, "{length}");
        }
        assert_eq!(not_after(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff]), None);
        assert_eq!(instant(UTC_TIME, "é"), None);
        assert_eq!(
            instant(UTC_TIME, "500101000000Z").map(|time| time.to_string()).as_deref(),
            Some("1950-01-01T00:00:00Z")
        );
    }
}
