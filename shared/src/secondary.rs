//! Secondary name servers: who may transfer which zone from the edge with which key, and how far each of them is.
//!
//! In and out: JSON of the control protocol, and of the edge's cache. Refused, with a sentence ([`SecondaryList::check`]): names
//! that no host or key can have, a secondary without an address or a key, two keys of one name, too many of anything.
//!
//! A key is of hmac-sha256 (RFC 8945 §6). A secondary may have several, so that a new one can come before the old one goes.

use std::collections::BTreeSet;
use std::fmt;
use std::net::SocketAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::zone::is_older;

/// The port of name servers.
pub const DNS_PORT: u16 = 53;

/// Secondaries in one list.
pub const MOST_SECONDARIES: usize = 16;

/// Addresses and keys of one secondary.
pub const MOST_ADDRESSES: usize = 8;
/// See [`MOST_ADDRESSES`].
pub const MOST_KEYS: usize = 4;

/// Octets of a secret: as many as the hash gives (RFC 2104 §3).
pub const SECRET: usize = 32;

/// All secondaries, in the place of all before.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecondaryList {
    /// Home's name for this list, which the edge repeats in its status: the same list has the same name.
    pub revision: String,
    /// The secondaries, at most [`MOST_SECONDARIES`].
    pub secondaries: Vec<Secondary>,
}

/// One secondary name server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secondary {
    /// Its host name, in lower case without a final dot: the name in the NS records.
    pub name: String,
    /// Where it is told of changes, and asked what it serves.
    pub addresses: Vec<SocketAddr>,
    /// The zones that it may have, without final dots; all where absent.
    #[serde(default)]
    pub zones: Option<Vec<String>>,
    /// Its keys, the oldest first.
    pub keys: Vec<TransferKey>,
}

/// A key of hmac-sha256.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransferKey {
    /// Its name, in lower case without a final dot.
    pub name: String,
    /// The secret.
    pub secret: Secret,
}

/// A secret; never printed, wiped when dropped.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct Secret([u8; SECRET]);

/// What the edge says of all secondaries.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecondariesHeld {
    /// The list that home pushed last; empty before.
    pub revision: String,
    /// How each of them is.
    pub secondaries: Vec<SecondaryStatus>,
}

/// How one secondary is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecondaryStatus {
    /// Its host name.
    pub name: String,
    /// The key that all of its addresses use; `None` while they use several, or have not all shown one since the edge
    /// started.
    #[serde(default)]
    pub key: Option<String>,
    /// What went wrong that belongs to no single zone, until a transfer succeeds.
    #[serde(default)]
    pub error: Option<String>,
    /// Each of its zones.
    #[serde(default)]
    pub zones: Vec<SecondaryZone>,
}

/// How one zone is at one secondary.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecondaryZone {
    /// The apex, without its final dot.
    pub origin: String,
    /// The serial that the secondary should serve.
    pub wanted: u32,
    /// The oldest serial that it was last seen to serve at any of its addresses.
    #[serde(default)]
    pub serial: Option<u32>,
    /// The last transfer to it.
    #[serde(default)]
    pub transfer: Option<Transferred>,
    /// What is wrong, until it is right.
    #[serde(default)]
    pub error: Option<String>,
}

/// A transfer that was sent whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transferred {
    /// When, in seconds since 1970.
    pub at: u64,
    /// The serial that was transferred.
    pub serial: u32,
    /// Whether the whole zone went or what had changed.
    pub kind: TransferKind,
    /// Octets of all messages.
    pub octets: u64,
}

/// What was transferred.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TransferKind {
    /// The whole zone (RFC 5936).
    Axfr,
    /// The differences (RFC 1995 §4).
    Ixfr,
}

/// Why a list is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSecondary {
    /// More than [`MOST_SECONDARIES`].
    #[error("{0} secondaries are too many; the edge holds {MOST_SECONDARIES}")]
    TooMany(usize),
    /// A name that cannot be one.
    #[error("`{0}` is no name that a host or a key can have")]
    Name(String),
    /// No address, or more than [`MOST_ADDRESSES`].
    #[error("{0} must have 1 to {MOST_ADDRESSES} addresses")]
    Addresses(String),
    /// No key, or more than [`MOST_KEYS`].
    #[error("{0} must have 1 to {MOST_KEYS} keys")]
    Keys(String),
    /// Two secondaries or keys of one name.
    #[error("`{0}` is named twice")]
    Twice(String),
}

impl SecondaryList {
    /// The list of these; equal lists have equal revisions.
    pub fn new(secondaries: Vec<Secondary>) -> Self {
        let json = Zeroizing::new(serde_json::to_vec(&secondaries).unwrap_or_default());
        let hash = ring::digest::digest(&ring::digest::SHA256, &json);
        Self { revision: STANDARD.encode(hash), secondaries }
    }

    /// Checks that the list can be used.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn check(&self) -> Result<(), InvalidSecondary> {
        if self.secondaries.len() > MOST_SECONDARIES {
            return Err(InvalidSecondary::TooMany(self.secondaries.len()));
        }
        let mut names = BTreeSet::new();
        for secondary in &self.secondaries {
            let name = &secondary.name;
            if !(1..=MOST_ADDRESSES).contains(&secondary.addresses.len()) {
                return Err(InvalidSecondary::Addresses(name.clone()));
            }
            if !(1..=MOST_KEYS).contains(&secondary.keys.len()) {
                return Err(InvalidSecondary::Keys(name.clone()));
            }
            for name in secondary.keys.iter().map(|key| &key.name).chain([name]) {
                if !is_plain_name(name) {
                    return Err(InvalidSecondary::Name(name.clone()));
                }
                if !names.insert(name) {
                    return Err(InvalidSecondary::Twice(name.clone()));
                }
            }
        }
        Ok(())
    }
}

impl Secondary {
    /// Whether it may have the zone of this apex, without its final dot.
    pub fn may_have(&self, origin: &str) -> bool {
        let is_it = |zone: &String| zone.trim_end_matches('.').eq_ignore_ascii_case(origin);
        self.zones.as_ref().is_none_or(|zones| zones.iter().any(is_it))
    }
}

/// One line for people: `ns3.example: home.example serial 7, up to date`.
impl fmt::Display for SecondaryStatus {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let zones: Vec<String> = self.zones.iter().map(ToString::to_string).collect();
        write!(
            formatter,
            "{}: {}",
            self.name,
            if zones.is_empty() { "no zone".into() } else { zones.join("; ") }
        )?;
        self.error.iter().try_for_each(|error| write!(formatter, "; {error}"))
    }
}

impl fmt::Display for SecondaryZone {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} ", self.origin)?;
        match self.serial {
            Some(serial) if !self.is_behind() => write!(formatter, "serial {serial}, up to date")?,
            Some(serial) => write!(formatter, "serial {serial}, behind {}", self.wanted)?,
            None => formatter.write_str("not seen to be served")?,
        }
        self.error.iter().try_for_each(|error| write!(formatter, " ({error})"))
    }
}

impl SecondaryZone {
    /// Whether the world may get an older zone there, or none.
    pub fn is_behind(&self) -> bool {
        self.serial.is_none_or(|serial| is_older(serial, self.wanted))
    }
}

/// A host name (RFC 1123 §2.1) in lower case, underscores allowed, at most 200 octets: room for a label before it.
fn is_plain_name(name: &str) -> bool {
    let is_label = |label: &str| {
        let plain = |octet: u8| matches!(octet, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_');
        (1..64).contains(&label.len()) && label.bytes().all(plain)
    };
    name.len() <= 200 && name.split('.').all(is_label)
}

impl Secret {
    /// Takes the octets over.
    pub fn new(octets: [u8; SECRET]) -> Self {
        Self(octets)
    }

    /// The octets themselves.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// The secret as name servers' configurations have it.
    pub fn to_base64(&self) -> String {
        STANDARD.encode(self.0)
    }

    /// Reads what [`Secret::to_base64`] wrote.
    pub fn from_base64(text: &str) -> Option<Self> {
        let mut octets = STANDARD.decode(text).ok()?;
        let secret = <[u8; SECRET]>::try_from(octets.as_slice()).ok().map(Self);
        octets.zeroize();
        secret
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(…)")
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut text = self.to_base64();
        let done = serializer.serialize_str(&text);
        text.zeroize();
        done
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut text = String::deserialize(deserializer)?;
        let secret = Self::from_base64(&text);
        text.zeroize();
        secret.ok_or_else(|| serde::de::Error::custom("a secret is 32 octets in base64"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secondary(name: &str) -> Secondary {
        let key = TransferKey { name: format!("k1.{name}"), secret: Secret::new([7; SECRET]) };
        let addresses = vec!["192.0.2.3:53".parse().unwrap()];
        Secondary { name: name.to_owned(), addresses, zones: None, keys: vec![key] }
    }

    fn check(secondaries: Vec<Secondary>) -> Result<(), InvalidSecondary> {
        SecondaryList { revision: String::new(), secondaries }.check()
    }

    #[test]
    fn what_cannot_be_used_is_refused() {
        assert_eq!(check(vec![secondary("ns3.example"), secondary("ns4.example")]), Ok(()));
        assert!(matches!(check(vec![secondary("a"); 17]), Err(InvalidSecondary::TooMany(17))));
        assert!(matches!(check(vec![secondary("a"); 2]), Err(InvalidSecondary::Twice(_))));
        for name in ["", "a..b", "A.example", "a b", "ns3.example."] {
            assert!(matches!(check(vec![secondary(name)]), Err(InvalidSecondary::Name(_))), "{name}");
        }
        let without = |change: fn(&mut Secondary)| {
            let mut secondary = secondary("a");
            change(&mut secondary);
            check(vec![secondary])
        };
        assert!(matches!(without(|one| one.addresses.clear()), Err(InvalidSecondary::Addresses(_))));
        assert!(matches!(without(|one| one.keys.clear()), Err(InvalidSecondary::Keys(_))));
    }

    #[test]
    fn a_secret_goes_through_json_and_not_into_logs() {
        let one = secondary("ns3.example");
        let json = serde_json::to_string(&one).unwrap();
        assert_eq!(serde_json::from_str::<Secondary>(&json).unwrap(), one);
        assert!(!format!("{one:?}").contains("BwcH"));
        assert!(serde_json::from_str::<Secondary>(&json.replace("BwcH", "")).is_err());
    }

    #[test]
    fn zones_are_some_or_all() {
        let mut one = secondary("a");
        assert!(one.may_have("home.example"));
        one.zones = Some(vec!["home.example".to_owned()]);
        assert!(one.may_have("HOME.example") && !one.may_have("other.example"));
    }
}
