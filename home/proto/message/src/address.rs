//! Mail addresses, parsed once at the boundary.
//!
//! In: text from the wire, a header field, the command line or the configuration. Out: [`DomainName`],
//! [`LocalPart`] and [`EmailAddress`], which cannot hold nonsense; the same value is used for every look-up,
//! comparison and rendering after that.
//!
//! Refused: control characters anywhere (so no address can carry a line end into a header or a command), empty or
//! overlong parts, address literals (`[192.0.2.1]`), names whose last label is a number, labels that are not
//! letters, digits and hyphens after IDNA processing.
//!
//! Implements RFC 5321 §4.1.2 (`Mailbox`, without `address-literal`), RFC 5321 §4.5.3.1 (lengths), RFC 6531 §3.3
//! (UTF-8 local parts), RFC 5890 §2.3.2.1 (A-labels, U-labels).
//!
//! Deviates: RFC 5321 §2.4 lets a host give meaning to the case of a local part. Here two local parts that differ
//! in case only are equal; the spelling is kept for output.

use std::borrow::Cow;
use std::fmt::{self, Display, Formatter, Write as _};
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

/// Most octets in a local part (RFC 5321 §4.5.3.1.1).
pub const MAX_LOCAL_PART_OCTETS: usize = 64;
/// Most octets in an address: a path of 256 less its angle brackets (RFC 5321 §4.5.3.1.3).
pub const MAX_ADDRESS_OCTETS: usize = 254;
/// Divides the user's name from the detail in a subaddress, `ana+shop@home.example` (RFC 5233 §1).
pub const DETAIL_SEPARATOR: char = '+';

/// Why a text is not an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum AddressError {
    /// There is no `@`.
    #[error("has no @: an address looks like ana@home.example")]
    MissingAt,
    /// Nothing stands before the `@`.
    #[error("has nothing before the @")]
    EmptyLocalPart,
    /// The part before the `@` is over 64 octets.
    #[error("has more than 64 octets before the @")]
    LocalPartTooLong,
    /// The part before the `@` holds a character that must be quoted, or cannot appear at all.
    #[error("has a character before the @ that is not allowed there")]
    BadLocalPart,
    /// The part after the `@` is not a domain name.
    #[error("has no valid domain name after the @")]
    BadDomain,
    /// The part after the `@` is an IP address in brackets.
    #[error("has an IP address in the place of a domain name")]
    AddressLiteral,
    /// The whole is over 254 octets.
    #[error("is longer than 254 octets")]
    TooLong,
}

/// Says that a text is not a domain name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("is not a domain name: labels of letters, digits and hyphens, as in home.example")]
pub struct DomainError;

/// A fully qualified domain name in its one canonical spelling: lower-case A-labels, no dot at the end, at most
/// 253 octets.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DomainName(Box<str>);

impl DomainName {
    /// Parses a name in ASCII or in Unicode (U-labels become A-labels); one dot at the end is accepted.
    ///
    /// # Errors
    /// [`DomainError`] when a label is empty, over 63 octets, has characters other than letters, digits and inner
    /// hyphens after IDNA processing, or when the last label is a number.
    pub fn parse(text: &str) -> Result<Self, DomainError> {
        let text = text.strip_suffix('.').unwrap_or(text);
        let ascii = Uts46::new()
            .to_ascii(text.as_bytes(), AsciiDenyList::STD3, Hyphens::CheckFirstLast, DnsLength::Verify)
            .map_err(|_| DomainError)?;
        // A number at the end would make the name read as an IPv4 address (RFC 3696 §2).
        let last_label = ascii.rsplit('.').next().unwrap_or_default();
        if last_label.bytes().all(|octet| octet.is_ascii_digit()) {
            return Err(DomainError);
        }
        Ok(Self(ascii.into()))
    }

    /// The name in lower-case A-labels, without a dot at the end.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The labels from left to right.
    pub fn labels(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('.')
    }

    /// Whether this name is `other` or lies below it.
    pub fn is_within(&self, other: &Self) -> bool {
        match self.0.strip_suffix(&*other.0) {
            Some(rest) => rest.is_empty() || rest.ends_with('.'),
            None => false,
        }
    }

    /// The name one label below this one, for instance `mail` below `home.example`.
    ///
    /// # Errors
    /// [`DomainError`] when `label` is not a label or the whole becomes too long.
    pub fn child(&self, label: &str) -> Result<Self, DomainError> {
        Self::parse(&format!("{label}.{}", self.0))
    }

    /// The name as people write it: U-labels where they are valid.
    pub fn to_unicode(&self) -> Cow<'_, str> {
        Uts46::new().to_unicode(self.0.as_bytes(), AsciiDenyList::STD3, Hyphens::Allow).0
    }
}

impl FromStr for DomainName {
    type Err = DomainError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl Display for DomainName {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.0)
    }
}

impl fmt::Debug for DomainName {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, formatter)
    }
}

/// The part of an address before the `@`, unquoted, in the spelling it came in. Equality and order ignore case.
#[derive(Clone)]
pub struct LocalPart(Box<str>);

impl LocalPart {
    /// Takes the text itself, without quotes or escapes: `john doe`, not `"john doe"`.
    ///
    /// # Errors
    /// [`AddressError`] when it is empty, over 64 octets, or has a control character.
    pub fn from_unquoted(text: &str) -> Result<Self, AddressError> {
        if text.is_empty() {
            return Err(AddressError::EmptyLocalPart);
        }
        if text.len() > MAX_LOCAL_PART_OCTETS {
            return Err(AddressError::LocalPartTooLong);
        }
        if text.chars().any(char::is_control) {
            return Err(AddressError::BadLocalPart);
        }
        Ok(Self(text.into()))
    }

    /// Parses a `Dot-string` or a `Quoted-string` (RFC 5321 §4.1.2, extended to UTF-8 by RFC 6531 §3.3).
    ///
    /// # Errors
    /// [`AddressError`] as for [`LocalPart::from_unquoted`], and for a quoted string that does not close or a
    /// dot-string with a special character.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        match text.strip_prefix('"') {
            Some(quoted) => match take_quoted(quoted)? {
                (local_part, "") => Self::from_unquoted(&local_part),
                _ => Err(AddressError::BadLocalPart),
            },
            None if is_dot_string(text) => Self::from_unquoted(text),
            None if text.is_empty() => Err(AddressError::EmptyLocalPart),
            None => Err(AddressError::BadLocalPart),
        }
    }

    /// The text without quotes, in the spelling it came in.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The spelling under which equal local parts are one: all lower case. This is the key for look-ups.
    pub fn folded(&self) -> String {
        self.0.to_lowercase()
    }

    /// Splits `ana+shop` into `ana` and `shop` (RFC 5233 §1). A separator at the start divides nothing.
    pub fn split_detail(&self) -> (Self, Option<&str>) {
        match self.0.split_once(DETAIL_SEPARATOR) {
            Some((user, detail)) if !user.is_empty() => (Self(user.into()), Some(detail)),
            _ => (self.clone(), None),
        }
    }
}

impl PartialEq for LocalPart {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0 || self.folded() == other.folded()
    }
}

impl Eq for LocalPart {}

impl Hash for LocalPart {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.folded().hash(state);
    }
}

impl PartialOrd for LocalPart {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for LocalPart {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.folded().cmp(&other.folded())
    }
}

impl FromStr for LocalPart {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl Display for LocalPart {
    /// Writes the wire form: quoted only where it must be (RFC 5321 §4.1.2).
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        if is_dot_string(&self.0) {
            return formatter.write_str(&self.0);
        }
        formatter.write_char('"')?;
        for character in self.0.chars() {
            if matches!(character, '"' | '\\') {
                formatter.write_char('\\')?;
            }
            formatter.write_char(character)?;
        }
        formatter.write_char('"')
    }
}

impl fmt::Debug for LocalPart {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, formatter)
    }
}

/// A mailbox on the internet: `local_part@domain`. Ordered by domain first.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EmailAddress {
    domain: DomainName,
    local_part: LocalPart,
}

impl EmailAddress {
    /// Joins two parts.
    ///
    /// # Errors
    /// [`AddressError::TooLong`] when the wire form is over 254 octets.
    pub fn new(local_part: LocalPart, domain: DomainName) -> Result<Self, AddressError> {
        let address = Self { domain, local_part };
        if address.to_string().len() > MAX_ADDRESS_OCTETS {
            return Err(AddressError::TooLong);
        }
        Ok(address)
    }

    /// Parses a `Mailbox` (RFC 5321 §4.1.2): no display name, no angle brackets, no comments.
    ///
    /// # Errors
    /// [`AddressError`] says which part is wrong.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let (local_part, domain) = match text.strip_prefix('"') {
            Some(quoted) => {
                let (local_part, rest) = take_quoted(quoted)?;
                let domain = rest.strip_prefix('@').ok_or(AddressError::MissingAt)?;
                (LocalPart::from_unquoted(&local_part)?, domain)
            }
            None => {
                let (local_part, domain) = text.split_once('@').ok_or(AddressError::MissingAt)?;
                (LocalPart::parse(local_part)?, domain)
            }
        };
        if domain.starts_with('[') {
            return Err(AddressError::AddressLiteral);
        }
        Self::new(local_part, DomainName::parse(domain).map_err(|_| AddressError::BadDomain)?)
    }

    /// The part before the `@`.
    pub fn local_part(&self) -> &LocalPart {
        &self.local_part
    }

    /// The part after the `@`.
    pub fn domain(&self) -> &DomainName {
        &self.domain
    }

    /// The same mailbox without its detail: `ana@home.example` for `ana+shop@home.example`.
    pub fn without_detail(&self) -> Self {
        Self { domain: self.domain.clone(), local_part: self.local_part.split_detail().0 }
    }

    /// Whether the address can be sent to a server that does not offer SMTPUTF8 (RFC 6531 §3.2).
    pub fn is_ascii(&self) -> bool {
        self.local_part.0.is_ascii()
    }
}

impl FromStr for EmailAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl Display for EmailAddress {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}@{}", self.local_part, self.domain)
    }
}

impl fmt::Debug for EmailAddress {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        write!(formatter, "<{self}>")
    }
}

/// Serializes a type as its `Display` text and parses it back through `FromStr`.
macro_rules! serde_as_text {
    ($($type:ty),+) => {$(
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = Cow::<'_, str>::deserialize(deserializer)?;
                text.parse().map_err(|error| serde::de::Error::custom(format!("`{text}` {error}")))
            }
        }
    )+};
}
serde_as_text!(DomainName, LocalPart, EmailAddress);

/// Reads a quoted string after its opening quote; gives its text and what follows the closing quote.
fn take_quoted(text: &str) -> Result<(String, &str), AddressError> {
    let mut unquoted = String::new();
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' => return Ok((unquoted, characters.as_str())),
            '\\' => unquoted.push(characters.next().ok_or(AddressError::BadLocalPart)?),
            _ => unquoted.push(character),
        }
    }
    Err(AddressError::BadLocalPart)
}

/// `Dot-string` of RFC 5321 §4.1.2: atoms joined by single dots.
fn is_dot_string(text: &str) -> bool {
    text.split('.').all(|atom| !atom.is_empty() && atom.chars().all(is_atext))
}

/// `atext` of RFC 5322 §3.2.3, with every non-ASCII character that is not a control (RFC 6531 §3.3).
fn is_atext(character: char) -> bool {
    character.is_ascii_alphanumeric()
        || "!#$%&'*+-/=?^_`{|}~".contains(character)
        || (!character.is_ascii() && !character.is_control())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn address(text: &str) -> EmailAddress {
        text.parse().expect("a valid address")
    }

    #[test]
    fn domain_names_have_one_spelling() {
        let name = DomainName::parse("Büro.Home.Example.").expect("valid");
        assert_eq!(name.as_str(), "xn--bro-hoa.home.example");
        assert_eq!(name.to_unicode(), "büro.home.example");
        assert!(name.is_within(&"home.example".parse().expect("valid")));
        assert!(!DomainName::parse("myhome.example").expect("valid").is_within(&name));
        let lookalike = DomainName::parse("nothome.example").expect("valid");
        assert!(!lookalike.is_within(&"home.example".parse().expect("valid")));
    }

    #[test]
    fn nonsense_domains_are_refused() {
        let long_label = "a".repeat(64) + ".example";
        let long_name = "abcdefgh.".repeat(29) + "example";
        for text in [
            "",
            ".",
            "a..b",
            ".a",
            "-a.example",
            "a-.example",
            "a b.example",
            "a_b.example",
            "192.0.2.1",
            "a\r\n.example",
            "a\0.example",
            "[192.0.2.1]",
            &long_label,
            &long_name,
        ] {
            assert_eq!(DomainName::parse(text), Err(DomainError), "{text:?}");
        }
    }

    #[test]
    fn local_parts_compare_without_case_and_keep_it() {
        assert_eq!(address("Ana@Home.Example"), address("ana@home.example"));
        assert_eq!(address("Ana@Home.Example").to_string(), "Ana@home.example");
        assert_eq!(address("JÜRGEN@home.example"), address("jürgen@home.example"));
        assert!(!address("jürgen@home.example").is_ascii());
    }

    #[test]
    fn quotes_are_removed_and_put_back_where_needed() {
        assert_eq!(address(r#""john doe"@a.example"#).local_part().as_str(), "john doe");
        assert_eq!(address(r#""john doe"@a.example"#).to_string(), r#""john doe"@a.example"#);
        assert_eq!(address(r#""a@b\"c\\d"@a.example"#).local_part().as_str(), r#"a@b"c\d"#);
        assert_eq!(address(r#""plain"@a.example"#).to_string(), "plain@a.example");
    }

    #[test]
    fn nonsense_addresses_are_refused_with_the_reason() {
        use AddressError::*;
        let long = "a".repeat(65) + "@b.example";
        for (text, reason) in [
            ("ana", MissingAt),
            ("@a.example", EmptyLocalPart),
            (r#"""@a.example"#, EmptyLocalPart),
            ("a@b@c.example", BadDomain),
            ("a..b@c.example", BadLocalPart),
            ("a b@c.example", BadLocalPart),
            ("a\r\nb@c.example", BadLocalPart),
            ("\"a\r\nb\"@c.example", BadLocalPart),
            ("\"a@c.example", BadLocalPart),
            ("a@[192.0.2.1]", AddressLiteral),
            ("a@", BadDomain),
            (&long, LocalPartTooLong),
        ] {
            assert_eq!(EmailAddress::parse(text), Err(reason), "{text:?}");
        }
    }

    #[test]
    fn subaddresses_lead_to_the_user() {
        assert_eq!(address("ana+shop+x@a.example").without_detail(), address("ana@a.example"));
        assert_eq!(address("ana+shop@a.example").local_part().split_detail().1, Some("shop"));
        assert_eq!(address("+shop@a.example").local_part().split_detail().1, None);
    }

    proptest! {
        #[test]
        fn parsing_never_panics(text in "\\PC{0,80}") {
            let _ = EmailAddress::parse(&text);
        }

        #[test]
        fn what_is_printed_parses_back(local in "[ -~ü]{1,20}", domain in "[a-z]{1,9}(\\.[a-z]{1,9}){0,3}") {
            let address = EmailAddress::new(
                LocalPart::from_unquoted(&local).expect("no controls"),
                DomainName::parse(&domain).expect("letters and dots"),
            ).expect("short");
            prop_assert_eq!(EmailAddress::parse(&address.to_string()), Ok(address));
        }
    }
}
