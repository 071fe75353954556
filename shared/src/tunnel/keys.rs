//! The keys of an epoch: X25519 static keys and the pre-shared key, as WireGuard uses them.
//!
//! In and out: 32 octets, or their standard Base64 in JSON. Anything of another length is refused when it is parsed.
//! Private and pre-shared keys are wiped on drop and print as the fingerprint of what they belong to, never as
//! themselves.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use boringtun::x25519;
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// A text that is not 32 octets of Base64.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a key is 32 octets in standard Base64 (44 characters)")]
pub struct InvalidKey;

/// The operating system gave no random numbers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the operating system's random number generator failed")]
pub struct NoRandomness;

/// An X25519 static private key.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PrivateKey([u8; 32]);

/// An X25519 static public key: the name of one end of an epoch.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PublicKey([u8; 32]);

/// The pre-shared key mixed into every handshake of an epoch.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PresharedKey([u8; 32]);

impl PrivateKey {
    /// Draws a new key from the operating system.
    ///
    /// # Errors
    /// When the operating system gives no random numbers.
    pub fn generate() -> Result<Self, NoRandomness> {
        random_octets().map(Self)
    }

    /// Wraps 32 octets that were derived elsewhere.
    pub fn from_octets(octets: [u8; 32]) -> Self {
        Self(octets)
    }

    /// Computes the public key.
    pub fn public(&self) -> PublicKey {
        PublicKey(x25519::PublicKey::from(&self.secret()).to_bytes())
    }

    /// The key in boringtun's type.
    pub(crate) fn secret(&self) -> x25519::StaticSecret {
        x25519::StaticSecret::from(self.0)
    }
}

impl PublicKey {
    /// Wraps 32 octets from a message or a join code.
    pub fn from_octets(octets: [u8; 32]) -> Self {
        Self(octets)
    }

    /// The 32 octets.
    pub fn octets(&self) -> &[u8; 32] {
        &self.0
    }

    /// The key in boringtun's type.
    pub(crate) fn point(&self) -> x25519::PublicKey {
        x25519::PublicKey::from(self.0)
    }
}

impl PresharedKey {
    /// Draws a new key from the operating system.
    ///
    /// # Errors
    /// When the operating system gives no random numbers.
    pub fn generate() -> Result<Self, NoRandomness> {
        random_octets().map(Self)
    }

    /// Wraps 32 octets that were derived elsewhere.
    pub fn from_octets(octets: [u8; 32]) -> Self {
        Self(octets)
    }

    /// The 32 octets.
    pub(crate) fn octets(&self) -> [u8; 32] {
        self.0
    }
}

fn random_octets() -> Result<[u8; 32], NoRandomness> {
    let mut octets = [0; 32];
    SystemRandom::new().fill(&mut octets).map_err(|_| NoRandomness)?;
    Ok(octets)
}

fn decode(text: &str) -> Result<[u8; 32], InvalidKey> {
    STANDARD.decode(text.trim()).ok().and_then(|octets| octets.try_into().ok()).ok_or(InvalidKey)
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey(of {})", self.public())
    }
}

impl fmt::Debug for PresharedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PresharedKey(..)")
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&STANDARD.encode(self.0))
    }
}

impl FromStr for PublicKey {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        decode(text).map(Self)
    }
}

/// Serde's way in and out of Base64 for the three key types.
macro_rules! base64_conversions {
    ($($key:ident),*) => {$(
        impl TryFrom<String> for $key {
            type Error = InvalidKey;

            fn try_from(mut text: String) -> Result<Self, InvalidKey> {
                let key = decode(&text).map(Self);
                text.zeroize();
                key
            }
        }

        impl From<$key> for String {
            fn from(key: $key) -> String {
                STANDARD.encode(key.0)
            }
        }
    )*};
}
base64_conversions!(PrivateKey, PublicKey, PresharedKey);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_survive_json_and_refuse_other_lengths() {
        let key = PrivateKey::generate().unwrap();
        let json = serde_json::to_string(&key).unwrap();
        assert_eq!(serde_json::from_str::<PrivateKey>(&json).unwrap(), key);
        assert!(serde_json::from_str::<PrivateKey>("\"AAAA\"").is_err());
        assert!("not base64!".parse::<PublicKey>().is_err());
    }

    #[test]
    fn secrets_do_not_print_themselves() {
        let key = PrivateKey::from_octets([7; 32]);
        let psk = PresharedKey::from_octets([7; 32]);
        let secret = STANDARD.encode([7; 32]);
        assert!(!format!("{key:?}{psk:?}").contains(&secret));
        assert!(format!("{key:?}").contains(&key.public().to_string()));
    }
}
