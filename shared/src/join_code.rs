//! The join code: one line of text that carries an invitation from the edge's terminal to home's.
//!
//! In and out: groups of six characters of Crockford's base32 (no I, L, O, U; case does not matter; O is read as 0, I and
//! L as 1). The sixth of each group is a check character over the five others and the group's place, so that one wrong or
//! two exchanged characters name their group. A checksum over the whole finds the rest. Refused, each with its own
//! message: mistyped, truncated, too long, of another version, expired.
//!
//! | octets | field |
//! |---|---|
//! | 1 | version, 1 |
//! | 1 | kind of host: 0 IPv4, 1 IPv6, 2 name |
//! | 4, 16 or 1 + n | the edge's address, or the length of its name and the name |
//! | 2 | UDP port |
//! | 32 | the edge's static key of the bootstrap epoch |
//! | 16 | the one-time secret |
//! | 4 | expiry, seconds since 1970 |
//! | 4 | first octets of SHA-256 over all above |
//!
//! From the secret both sides derive home's throw-away static key and the pre-shared key of the bootstrap epoch
//! (HKDF-SHA-256, RFC 5869). The edge's key is real: whoever only sees the code cannot pose as the edge.

mod endpoint;
mod groups;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ring::digest::{SHA256, digest};
use ring::hkdf;
use ring::rand::{SecureRandom, SystemRandom};
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::tunnel::{NoRandomness, PresharedKey, PrivateKey, PublicKey};

pub use endpoint::{Endpoint, Host, InvalidEndpoint};

const VERSION: u8 = 1;
const KEY_OCTETS: usize = 32;
const SECRET_OCTETS: usize = 16;
const CHECKSUM_OCTETS: usize = 4;
/// Port, key, secret, expiry and checksum: what follows the host.
const TAIL_OCTETS: usize = 2 + KEY_OCTETS + SECRET_OCTETS + 4 + CHECKSUM_OCTETS;

/// An invitation to join one edge, once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinCode {
    /// Where the edge's tunnel listens.
    pub endpoint: Endpoint,
    /// The edge's static key of the bootstrap epoch.
    pub edge_key: PublicKey,
    /// What both sides derive the rest of the bootstrap epoch from.
    pub secret: Secret,
    /// When the edge stops taking the code, in seconds since 1970.
    pub expires: u32,
}

/// The one-time secret of 128 bits.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct Secret([u8; SECRET_OCTETS]);

/// Home's half of the bootstrap epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootstrapKeys {
    /// Home's throw-away static key.
    pub home_key: PrivateKey,
    /// The pre-shared key.
    pub preshared_key: PresharedKey,
}

/// Why a text is not a join code that can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JoinCodeError {
    /// One group's check character disagrees, or the group has a wrong length or a foreign character.
    #[error(
        "the join code is mistyped in group {group} (`{text}`): compare it with what `postern-edge invite` printed"
    )]
    Mistyped {
        /// The group's place, from 1.
        group: usize,
        /// The group as it was given.
        text: String,
    },
    /// All groups agree with themselves but not with the checksum.
    #[error(
        "the join code is mistyped: every group is well-formed, but they do not belong together. Was a group exchanged, \
         or taken from another code? Compare it with what `postern-edge invite` printed"
    )]
    Checksum,
    /// The end is missing.
    #[error("the join code is truncated: it has {have} of {expected} groups. Copy it whole")]
    Truncated {
        /// Whole groups that were given.
        have: usize,
        /// Groups that the code must have, as far as its beginning tells.
        expected: usize,
    },
    /// Something follows the code.
    #[error("the join code is too long: it has {have} groups instead of {expected}")]
    TooLong {
        /// Groups that were given.
        have: usize,
        /// Groups that the code must have.
        expected: usize,
    },
    /// Made by another version of `postern-edge`.
    #[error(
        "the join code is of version {0}, and this program reads version 1: bring edge and home to the same release"
    )]
    WrongVersion(u8),
    /// Its time is over.
    #[error(
        "the join code has expired. Run `postern-edge invite` on the edge again; if this machine's clock is wrong, set it \
         first"
    )]
    Expired,
}

impl JoinCode {
    /// Whether the code's time is over.
    ///
    /// # Errors
    /// [`JoinCodeError::Expired`].
    pub fn check_expiry(&self, now: SystemTime) -> Result<(), JoinCodeError> {
        let expires = UNIX_EPOCH + Duration::from_secs(self.expires.into());
        if now < expires { Ok(()) } else { Err(JoinCodeError::Expired) }
    }

    fn encode(&self) -> Vec<u8> {
        let mut octets = vec![VERSION];
        match &self.endpoint.host {
            Host::Address(IpAddr::V4(address)) => {
                octets.push(0);
                octets.extend(address.octets());
            }
            Host::Address(IpAddr::V6(address)) => {
                octets.push(1);
                octets.extend(address.octets());
            }
            Host::Name(name) => {
                octets.push(2);
                octets.push(u8::try_from(name.len()).expect("a host name has at most 253 octets"));
                octets.extend(name.bytes());
            }
        }
        octets.extend(self.endpoint.port.to_be_bytes());
        octets.extend(self.edge_key.octets());
        octets.extend(self.secret.0);
        octets.extend(self.expires.to_be_bytes());
        octets.extend(checksum(&octets));
        octets
    }

    /// Reads the fields of octets whose version, length and checksum have been checked.
    fn decode(octets: &[u8]) -> Option<JoinCode> {
        let mut reader = Reader(octets.get(1..)?);
        let host = match reader.octet()? {
            0 => Host::Address(Ipv4Addr::from(reader.array::<4>()?).into()),
            1 => Host::Address(Ipv6Addr::from(reader.array::<16>()?).into()),
            2 => {
                let length = reader.octet()?.into();
                Host::parse_name(std::str::from_utf8(reader.take(length)?).ok()?)?
            }
            _ => return None,
        };
        Some(JoinCode {
            endpoint: Endpoint { host, port: u16::from_be_bytes(reader.array()?) },
            edge_key: PublicKey::from_octets(reader.array()?),
            secret: Secret(reader.array()?),
            expires: u32::from_be_bytes(reader.array()?),
        })
    }
}

impl Secret {
    /// Draws a new secret.
    ///
    /// # Errors
    /// When the operating system gives no random numbers.
    pub fn generate() -> Result<Self, NoRandomness> {
        let mut octets = [0; SECRET_OCTETS];
        SystemRandom::new().fill(&mut octets).map_err(|_| NoRandomness)?;
        Ok(Self(octets))
    }

    /// Derives home's half of the bootstrap epoch.
    pub fn bootstrap_keys(&self) -> BootstrapKeys {
        bootstrap_keys(&hkdf::Salt::new(hkdf::HKDF_SHA256, b"postern-join-v1").extract(&self.0))
    }
}

/// Home's half of a bootstrap epoch.
pub(crate) fn bootstrap_keys(extracted: &hkdf::Prk) -> BootstrapKeys {
    BootstrapKeys {
        home_key: PrivateKey::from_octets(expand(extracted, b"home static key")),
        preshared_key: PresharedKey::from_octets(expand(extracted, b"pre-shared key")),
    }
}

pub(crate) fn expand(extracted: &hkdf::Prk, label: &[u8]) -> [u8; 32] {
    let mut octets = [0; 32];
    extracted
        .expand(&[label], hkdf::HKDF_SHA256)
        .and_then(|material| material.fill(&mut octets))
        .expect("HKDF-SHA-256 gives up to 255 * 32 octets");
    octets
}

fn checksum(octets: &[u8]) -> [u8; CHECKSUM_OCTETS] {
    let mut checksum = [0; CHECKSUM_OCTETS];
    checksum.copy_from_slice(&digest(&SHA256, octets).as_ref()[..CHECKSUM_OCTETS]);
    checksum
}

impl FromStr for JoinCode {
    type Err = JoinCodeError;

    fn from_str(text: &str) -> Result<Self, JoinCodeError> {
        let (read, has_rest) = groups::read(text)?;
        let mut octets = groups::to_octets(&read);
        let have = read.len();
        if octets.first().is_some_and(|version| *version != VERSION) {
            return Err(JoinCodeError::WrongVersion(octets[0]));
        }
        let length = expected_octets(&octets).ok_or(JoinCodeError::Checksum)?;
        let expected = groups::count(length);
        if have > expected || (have == expected && has_rest) {
            return Err(JoinCodeError::TooLong { have: have + usize::from(has_rest), expected });
        }
        if have < expected {
            return Err(JoinCodeError::Truncated { have, expected });
        }
        let padding = octets.split_off(length);
        let (fields, sum) = octets.split_at(length - CHECKSUM_OCTETS);
        if checksum(fields) != sum || padding.iter().any(|octet| *octet != 0) {
            return Err(JoinCodeError::Checksum);
        }
        JoinCode::decode(fields).ok_or(JoinCodeError::Checksum)
    }
}

/// How many octets the code must have, as far as its first octets tell; `None` for an unknown kind of host.
fn expected_octets(octets: &[u8]) -> Option<usize> {
    let host = match (octets.get(1), octets.get(2)) {
        (Some(0) | None, _) => 4,
        (Some(1), _) => 16,
        (Some(2), length) => 1 + usize::from(length.copied().unwrap_or(1)),
        (Some(_), _) => return None,
    };
    Some(2 + host + TAIL_OCTETS)
}

impl fmt::Display for JoinCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&groups::write(&self.encode()))
    }
}

/// Checked reading from the front of a slice.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn octet(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sample() -> JoinCode {
        JoinCode {
            endpoint: "198.51.100.7:51820".parse().unwrap(),
            edge_key: PublicKey::from_octets([0xa7; 32]),
            secret: Secret([0x5c; 16]),
            expires: 2_000_000_000,
        }
    }

    fn codes() -> impl Strategy<Value = JoinCode> {
        let host = prop_oneof![
            any::<[u8; 4]>().prop_map(|octets| Host::Address(IpAddr::from(octets))),
            any::<[u8; 16]>().prop_map(|octets| Host::Address(IpAddr::from(octets))),
            "[a-z][a-z0-9]{0,20}(\\.[a-z][a-z0-9]{0,20}){0,3}".prop_map(Host::Name),
        ];
        (host, 1u16.., any::<[u8; 32]>(), any::<[u8; 16]>(), any::<u32>()).prop_map(
            |(host, port, key, secret, expires)| JoinCode {
                endpoint: Endpoint { host, port },
                edge_key: PublicKey::from_octets(key),
                secret: Secret(secret),
                expires,
            },
        )
    }

    proptest! {
        #[test]
        fn round_trips(code in codes()) {
            let text = code.to_string();
            prop_assert_eq!(text.parse::<JoinCode>().unwrap(), code.clone());
            let spoken = text.replace('-', " ").replace('0', "o").replace('1', "l").to_lowercase();
            prop_assert_eq!(spoken.parse::<JoinCode>().unwrap(), code.clone());
            prop_assert_eq!(text.replace('-', "").parse::<JoinCode>().unwrap(), code);
        }

        #[test]
        fn a_wrong_character_names_its_group(code in codes(), place in any::<prop::sample::Index>(), shift in 1usize..32) {
            let mut text = code.to_string().into_bytes();
            let at = place.index(text.len());
            prop_assume!(text[at] != b'-');
            let value = groups::ALPHABET.iter().position(|c| *c == text[at]).unwrap();
            text[at] = groups::ALPHABET[(value + shift) % 32];
            let wrong = String::from_utf8(text).unwrap();
            match wrong.parse::<JoinCode>() {
                Err(JoinCodeError::Mistyped { group, .. }) => prop_assert_eq!(group, at / 7 + 1),
                other => prop_assert!(false, "{other:?}"),
            }
        }

        #[test]
        fn exchanged_neighbours_name_their_group(code in codes(), place in any::<prop::sample::Index>()) {
            let mut text = code.to_string().into_bytes();
            let at = place.index(text.len() - 1);
            prop_assume!(text[at] != b'-' && text[at + 1] != b'-' && text[at] != text[at + 1]);
            text.swap(at, at + 1);
            let wrong = String::from_utf8(text).unwrap();
            match wrong.parse::<JoinCode>() {
                Err(JoinCodeError::Mistyped { group, .. }) => prop_assert_eq!(group, at / 7 + 1),
                other => prop_assert!(false, "{other:?}"),
            }
        }

        #[test]
        fn any_prefix_is_truncated(code in codes(), place in any::<prop::sample::Index>()) {
            let text = code.to_string();
            let cut = &text[..place.index(text.len())];
            prop_assert!(matches!(cut.parse::<JoinCode>(), Err(JoinCodeError::Truncated { .. })), "{cut}");
        }

        #[test]
        fn garbage_never_panics(text in "\\PC{0,200}") {
            prop_assert!(text.parse::<JoinCode>().is_err());
        }
    }

    #[test]
    fn a_missing_character_names_its_group() {
        let text = sample().to_string();
        let wrong = format!("{}{}", &text[..9], &text[10..]);
        assert!(matches!(wrong.parse::<JoinCode>(), Err(JoinCodeError::Mistyped { group: 2, .. })));
    }

    #[test]
    fn exchanged_groups_are_found() {
        let text = sample().to_string();
        let mut groups: Vec<&str> = text.split('-').collect();
        groups.swap(3, 4);
        assert!(matches!(
            groups.join("-").parse::<JoinCode>(),
            Err(JoinCodeError::Mistyped { group: 4, .. })
        ));
    }

    #[test]
    fn a_group_of_another_code_is_found() {
        let mut other = sample();
        other.secret = Secret([1; 16]);
        let (text, other) = (sample().to_string(), other.to_string());
        let mixed: Vec<&str> = text
            .split('-')
            .zip(other.split('-'))
            .enumerate()
            .map(|(i, (a, b))| if i == 16 { b } else { a })
            .collect();
        assert_ne!(mixed.join("-"), text);
        assert_eq!(mixed.join("-").parse::<JoinCode>(), Err(JoinCodeError::Checksum));
    }

    #[test]
    fn other_versions_and_surplus_groups_are_told_apart() {
        let mut octets = sample().encode();
        octets[0] = 2;
        assert_eq!(groups::write(&octets).parse::<JoinCode>(), Err(JoinCodeError::WrongVersion(2)));
        let text = format!("{}-0", sample());
        assert!(matches!(text.parse::<JoinCode>(), Err(JoinCodeError::TooLong { .. })), "{text}");
    }

    #[test]
    fn expiry_is_the_first_second_that_is_too_late() {
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        assert_eq!(sample().check_expiry(at(1_999_999_999)), Ok(()));
        assert_eq!(sample().check_expiry(at(2_000_000_000)), Err(JoinCodeError::Expired));
    }

    #[test]
    fn bootstrap_keys_are_a_function_of_the_secret() {
        let keys = Secret([0x5c; 16]).bootstrap_keys();
        assert_eq!(keys, Secret([0x5c; 16]).bootstrap_keys());
        assert_ne!(keys, Secret([0x5d; 16]).bootstrap_keys());
        assert!(!format!("{:?}", sample()).contains("92, 92"));
    }
}
