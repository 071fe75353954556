//! What the data of each type are made of: a table.
//!
//! In: a type. Out: its fields in their order, each of a kind that [`read`](super::read) and [`write`](super::write) know.
//! Types that are not here have the general form alone (RFC 3597 §5). To add a type, add its line.

use hickory_proto::rr::RecordType;
use postern_shared::zone::digest::ZONEMD;
use postern_shared::zone::type_from_text;

/// One field of the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    /// Four octets.
    Ipv4,
    /// Sixteen octets.
    Ipv6,
    /// One octet.
    U8,
    /// Two octets.
    U16,
    /// Four octets.
    U32,
    /// Four octets, which may be written with units: `1h30m`.
    Period,
    /// A number of a DNSSEC algorithm, or its mnemonic; one octet.
    Algorithm,
    /// A domain name.
    Name,
    /// A character-string: its length in one octet, and its octets.
    Text,
    /// One or more character-strings.
    Texts,
    /// A character-string of letters and digits, without quotation marks.
    Tag,
    /// Octets in quotation marks, to the end of the data.
    Value,
    /// To the end of the data, in hexadecimal digits.
    Hexadecimal,
    /// To the end of the data, in base64.
    Base64,
    /// A place on Earth (RFC 1876 §2), all of the data.
    Location,
}

/// The fields of one type, each with its name.
pub(super) type Form = &'static [(&'static str, Field)];

use Field as F;

const DIGEST_OF_KEY: Form =
    &[("KEY-TAG", F::U16), ("ALGORITHM", F::Algorithm), ("DIGEST-TYPE", F::U8), ("DIGEST", F::Hexadecimal)];
const KEY: Form =
    &[("FLAGS", F::U16), ("PROTOCOL", F::U8), ("ALGORITHM", F::Algorithm), ("PUBLIC-KEY", F::Base64)];
const ASSOCIATION: Form =
    &[("USAGE", F::U8), ("SELECTOR", F::U8), ("MATCHING-TYPE", F::U8), ("DATA", F::Hexadecimal)];
const TARGET: Form = &[("TARGET", F::Name)];
const PREFERRED: Form = &[("PREFERENCE", F::U16), ("HOST", F::Name)];
const TEXTS: Form = &[("TEXT", F::Texts)];

/// Number and form of each type, in the order of the numbers.
pub(super) const FORMS: [(u16, Form); 33] = [
    (1, &[("ADDRESS", F::Ipv4)]),
    (2, TARGET),
    (5, TARGET),
    (
        6,
        &[
            ("PRIMARY", F::Name),
            ("RESPONSIBLE", F::Name),
            ("SERIAL", F::U32),
            ("REFRESH", F::Period),
            ("RETRY", F::Period),
            ("EXPIRE", F::Period),
            ("MINIMUM", F::Period),
        ],
    ),
    (12, TARGET),
    (13, &[("CPU", F::Text), ("OS", F::Text)]),
    (15, PREFERRED),
    (16, TEXTS),
    (17, &[("MAILBOX", F::Name), ("TEXT-NAME", F::Name)]),
    (18, PREFERRED),
    (21, PREFERRED),
    (28, &[("ADDRESS", F::Ipv6)]),
    (29, &[("LOCATION", F::Location)]),
    (33, &[("PRIORITY", F::U16), ("WEIGHT", F::U16), ("PORT", F::U16), ("TARGET", F::Name)]),
    (
        35,
        &[
            ("ORDER", F::U16),
            ("PREFERENCE", F::U16),
            ("FLAGS", F::Text),
            ("SERVICES", F::Text),
            ("REGEXP", F::Text),
            ("REPLACEMENT", F::Name),
        ],
    ),
    (36, PREFERRED),
    (37, &[("TYPE", F::U16), ("KEY-TAG", F::U16), ("ALGORITHM", F::Algorithm), ("CERTIFICATE", F::Base64)]),
    (39, TARGET),
    (43, DIGEST_OF_KEY),
    (44, &[("ALGORITHM", F::U8), ("FINGERPRINT-TYPE", F::U8), ("FINGERPRINT", F::Hexadecimal)]),
    (48, KEY),
    (49, &[("DIGEST", F::Base64)]),
    (52, ASSOCIATION),
    (53, ASSOCIATION),
    (59, DIGEST_OF_KEY),
    (60, KEY),
    (61, &[("KEY", F::Base64)]),
    (63, &[("SERIAL", F::U32), ("SCHEME", F::U8), ("ALGORITHM", F::U8), ("DIGEST", F::Hexadecimal)]),
    (99, TEXTS),
    (107, PREFERRED),
    (256, &[("PRIORITY", F::U16), ("WEIGHT", F::U16), ("TARGET", F::Value)]),
    (257, &[("FLAGS", F::U8), ("TAG", F::Tag), ("VALUE", F::Value)]),
    (32769, DIGEST_OF_KEY),
];

/// Types that have a form here and no name in hickory.
const NAMES: [(&str, u16); 10] = [
    ("RP", 17),
    ("AFSDB", 18),
    ("RT", 21),
    ("LOC", 29),
    ("KX", 36),
    ("DNAME", 39),
    ("DHCID", 49),
    ("SPF", 99),
    ("LP", 107),
    ("URI", 256),
];

/// The form of a type; `None` where there is none here.
pub(super) fn form(record_type: RecordType) -> Option<Form> {
    let number = u16::from(record_type);
    FORMS
        .binary_search_by_key(&number, |(number, _)| *number)
        .ok()
        .and_then(|at| FORMS.get(at))
        .map(|it| it.1)
}

/// The type of a mnemonic, in any case, or of RFC 3597's `TYPE` and number.
pub fn type_of(text: &str) -> Option<RecordType> {
    let text = text.to_ascii_uppercase();
    let named = NAMES.iter().find(|(name, _)| *name == text).map(|(_, number)| RecordType::from(*number));
    if text == "ZONEMD" { Some(ZONEMD) } else { named.or_else(|| type_from_text(&text)) }
}

/// The type's name, or RFC 3597's `TYPE` and number.
pub fn type_text(record_type: RecordType) -> String {
    if record_type == ZONEMD {
        return "ZONEMD".to_owned();
    }
    let named = NAMES.iter().find(|(_, number)| *number == u16::from(record_type));
    named.map_or_else(|| postern_shared::zone::type_to_text(record_type), |(name, _)| (*name).to_owned())
}

impl Field {
    /// What a person is to write.
    pub(super) fn expected(self) -> &'static str {
        match self {
            Self::Ipv4 => "an IPv4 address such as 192.0.2.7",
            Self::Ipv6 => "an IPv6 address such as 2001:db8::7",
            Self::U8 => "a number from 0 to 255",
            Self::U16 => "a number from 0 to 65535",
            Self::U32 => "a number from 0 to 4294967295",
            Self::Period => "seconds, or a time such as 1h30m",
            Self::Algorithm => "the number of a DNSSEC algorithm such as 13",
            Self::Name => {
                "a domain name such as `www` (below the domain) or `www.example.net.` (with its final dot); labels of at \
                 most 63 letters, digits and hyphens, other scripts as `xn--…`"
            }
            Self::Text => "a text of at most 255 octets",
            Self::Texts => {
                "texts of at most 255 octets each; give a longer one as several, which readers join: \"first part\" \
                 \"second part\""
            }
            Self::Tag => "letters and digits such as `issue`",
            Self::Value => "a text, in quotation marks where it has blanks",
            Self::Hexadecimal => "hexadecimal digits, two for each octet",
            Self::Base64 => {
                "base64: letters, digits, `+` and `/`, with `=` at the end where it needs filling up"
            }
            Self::Location => "a place such as `52 22 23 N 4 53 32 E 1m` (RFC 1876)",
        }
    }
}
