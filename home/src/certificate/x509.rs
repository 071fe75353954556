//! What a certificate says: for whom, by whom, from when until when, and of which key.
//!
//! In: an X.509 certificate in DER (RFC 5280). Out: a [`Description`]; the hash that binds a login to it (RFC 5929 §4.1); and
//! whether a chain holds together. Refused: DER
//! that is not of the form that the standard gives. Names, keys and signatures are read by webpki, as rustls does with the
//! certificates of others; what it keeps to itself (validity, issuer, key identifier) is read here.

use aws_lc_rs::digest::{self, SHA256, SHA384, SHA512};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::{CertificateDer, Der, ServerName, UnixTime};
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};

use super::key::KeyId;
use super::life::Span;

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const VERSION: u8 = 0xa0;
const EXTENSIONS: u8 = 0xa3;
const OCTET_STRING: u8 = 0x04;
const OBJECT_IDENTIFIER: u8 = 0x06;
const KEY_IDENTIFIER: u8 = 0x80;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// id-ce-authorityKeyIdentifier (RFC 5280 §4.2.1.1).
const AUTHORITY_KEY_IDENTIFIER: &[u8] = &[0x55, 0x1d, 0x23];
/// id-at-commonName and id-at-organizationName (RFC 5280 Appendix A.1).
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
const ORGANIZATION: &[u8] = &[0x55, 0x04, 0x0a];

/// What a certificate says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// The DNS names of its subjectAltName, in lower case.
    pub names: Vec<String>,
    /// Who issued it.
    pub issuer: String,
    /// When it counts.
    pub span: Span,
    /// Its key.
    pub key: KeyId,
}

/// Why a chain is not one that clients accept for some names.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// There is no certificate at all.
    #[error("there is no certificate")]
    Empty,
    /// The first one is not understood.
    #[error("the certificate is not understood: {0}")]
    Malformed(String),
    /// The key is another.
    #[error("the certificate is of another key")]
    OtherKey,
    /// It does not count now.
    #[error("the certificate counts from {} until {}, and not now", day(.0.from), day(.0.until))]
    Time(Span),
    /// A name is missing.
    #[error("the certificate is not for {0}")]
    Name(String),
    /// The signatures do not lead from the first to the last.
    #[error("the certificates after the first do not vouch for it: {0}")]
    Chain(String),
}

fn day(seconds: u64) -> String {
    crate::zone::clock::timestamp(seconds).strftime("%Y-%m-%d").to_string()
}

/// What a certificate says.
pub fn describe(certificate: &CertificateDer<'_>) -> Option<Description> {
    let parsed = EndEntityCert::try_from(certificate).ok()?;
    let [from, until] = validity(certificate)?;
    Some(Description {
        names: parsed.valid_dns_names().map(str::to_ascii_lowercase).collect(),
        issuer: readable(parsed.issuer()),
        span: Span { from: seconds(from), until: seconds(until) },
        key: KeyId::of_spki(&parsed.subject_public_key_info()),
    })
}

/// Checks that a chain is of this key, counts now, is for all these names, and that each certificate vouches for the one
/// before it. Whether the last is an authority that clients trust is for clients to say.
///
/// # Errors
/// See [`ChainError`].
pub fn check(
    chain: &[CertificateDer<'_>],
    key: KeyId,
    names: &[String],
    now: u64,
    algorithms: &WebPkiSupportedAlgorithms,
) -> Result<Description, ChainError> {
    let (first, rest) = chain.split_first().ok_or(ChainError::Empty)?;
    let malformed = || ChainError::Malformed("it is no X.509 certificate of a server".to_owned());
    let description = describe(first).ok_or_else(malformed)?;
    if description.key != key {
        return Err(ChainError::OtherKey);
    }
    if !(description.span.from..description.span.until).contains(&now) {
        return Err(ChainError::Time(description.span));
    }
    let parsed = EndEntityCert::try_from(first).map_err(|error| ChainError::Malformed(error.to_string()))?;
    for name in names {
        covers(&parsed, name)?;
    }
    vouched_for(&parsed, rest, now, algorithms)?;
    Ok(description)
}

/// A wildcard is asked for by one of the names that it stands for.
fn covers(certificate: &EndEntityCert<'_>, name: &str) -> Result<(), ChainError> {
    let missing = || ChainError::Name(name.to_owned());
    let example = name.strip_prefix('*').map_or(name.to_owned(), |rest| format!("x{rest}"));
    let server = ServerName::try_from(example).map_err(|_| missing())?;
    certificate.verify_is_valid_for_subject_name(&server).map_err(|_| missing())
}

fn vouched_for(
    certificate: &EndEntityCert<'_>,
    rest: &[CertificateDer<'_>],
    now: u64,
    algorithms: &WebPkiSupportedAlgorithms,
) -> Result<(), ChainError> {
    // Alone, it was issued by an authority directly, or by itself.
    let Some((last, between)) = rest.split_last() else { return Ok(()) };
    let broken = |error: webpki::Error| ChainError::Chain(error.to_string());
    let anchors = [anchor_from_trusted_cert(last).map_err(broken)?];
    let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(now));
    let verified = certificate.verify_for_usage(
        algorithms.all,
        &anchors,
        between,
        now,
        KeyUsage::server_auth(),
        None,
        None,
    );
    verified.map(drop).map_err(broken)
}

/// What names the certificate to its authority (RFC 9773 §4.1): the identifier of the authority's key, and the serial.
pub fn renewal_identifier(
    certificate: &CertificateDer<'_>,
) -> Option<instant_acme::CertificateIdentifier<'static>> {
    let parsed = EndEntityCert::try_from(certificate).ok()?;
    let key = authority_key_identifier(certificate)?;
    Some(
        instant_acme::CertificateIdentifier::new(Der::from_slice(key), Der::from_slice(parsed.serial()))
            .into_owned(),
    )
}

/// Signature algorithms by the hash that goes with them, their identifiers' octets (RFC 5758 §3.2, RFC 4055 §5): those with
/// SHA-384 and SHA-512; and those with SHA-256, or with MD5 or SHA-1, which SHA-256 replaces (RFC 5929 §4.1).
const WITH_SHA_384: [&[u8]; 2] =
    [b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0c", b"\x2a\x86\x48\xce\x3d\x04\x03\x03"];
const WITH_SHA_512: [&[u8]; 2] =
    [b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0d", b"\x2a\x86\x48\xce\x3d\x04\x03\x04"];
const WITH_SHA_256: [&[u8]; 5] = [
    b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b",
    b"\x2a\x86\x48\xce\x3d\x04\x03\x02",
    b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x04",
    b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x05",
    b"\x2a\x86\x48\xce\x3d\x04\x01",
];

/// The hash of the certificate by its signature's own hash function (RFC 5929 §4.1); none where that is not the one
/// hash function of the algorithm's name (Ed25519, RSASSA-PSS).
pub fn end_point_hash(certificate: &CertificateDer<'_>) -> Option<Vec<u8>> {
    let (content, _) = inside(certificate, SEQUENCE)?;
    let (_, _, rest) = element(content)?;
    let (algorithm, _) = inside(rest, SEQUENCE)?;
    let (identifier, _) = inside(algorithm, OBJECT_IDENTIFIER)?;
    let hash = if WITH_SHA_256.contains(&identifier) {
        &SHA256
    } else if WITH_SHA_384.contains(&identifier) {
        &SHA384
    } else if WITH_SHA_512.contains(&identifier) {
        &SHA512
    } else {
        return None;
    };
    Some(digest::digest(hash, certificate).as_ref().to_vec())
}

fn authority_key_identifier(certificate: &[u8]) -> Option<&[u8]> {
    let (extensions, _) = inside(content_after_validity(certificate)?.1, EXTENSIONS)?;
    let (mut extensions, _) = inside(extensions, SEQUENCE)?;
    while let Some((extension, rest)) = inside(extensions, SEQUENCE) {
        let (id, value) = inside(extension, OBJECT_IDENTIFIER)?;
        if id == AUTHORITY_KEY_IDENTIFIER {
            // It is never critical (RFC 5280 §4.2.1.1), so the value comes next.
            let (value, _) = inside(value, OCTET_STRING)?;
            let (identifier, _) = inside(value, SEQUENCE)?;
            return inside(identifier, KEY_IDENTIFIER).map(|(key, _)| key);
        }
        extensions = rest;
    }
    None
}

/// The organisation and common name of a distinguished name.
fn readable(name: &[u8]) -> String {
    let parts = [ORGANIZATION, COMMON_NAME].into_iter().filter_map(|wanted| attribute(name, wanted));
    let parts: Vec<String> = parts.collect();
    if parts.is_empty() { "unnamed".to_owned() } else { parts.join(", ") }
}

fn attribute(mut name: &[u8], wanted: &[u8]) -> Option<String> {
    while let Some((relative, rest)) = inside(name, SET) {
        let (attribute, _) = inside(relative, SEQUENCE)?;
        let (id, value) = inside(attribute, OBJECT_IDENTIFIER)?;
        if id == wanted {
            let (_, text, _) = element(value)?;
            return Some(String::from_utf8_lossy(text).replace(char::is_control, " "));
        }
        name = rest;
    }
    None
}

/// Before 1970 no certificate was made.
fn seconds(time: Timestamp) -> u64 {
    u64::try_from(time.as_second()).unwrap_or(0)
}

/// The begin and the end of the certificate's validity (RFC 5280 §4.1.2.5).
fn validity(certificate: &[u8]) -> Option<[Timestamp; 2]> {
    let (validity, _) = content_after_validity(certificate)?;
    let (tag, begin, rest) = element(validity)?;
    let begin = instant(tag, std::str::from_utf8(begin).ok()?)?;
    let (tag, end, _) = element(rest)?;
    Some([begin, instant(tag, std::str::from_utf8(end).ok()?)?])
}

/// The content of the validity, and what follows the subject's key.
fn content_after_validity(certificate: &[u8]) -> Option<(&[u8], &[u8])> {
    let (certificate, _) = inside(certificate, SEQUENCE)?;
    let (signed, _) = inside(certificate, SEQUENCE)?;
    // RFC 5280 §4.1: version (absent in version 1), serialNumber, signature, issuer, validity, subject, key.
    let after_version = inside(signed, VERSION).map_or(signed, |(_, rest)| rest);
    let after = |octets, count| (0..count).try_fold(octets, |rest, _| element(rest).map(|(_, _, rest)| rest));
    let (validity, rest) = inside(after(after_version, 3)?, SEQUENCE)?;
    Some((validity, after(rest, 2)?))
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
mod tests;
