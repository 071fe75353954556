//! The pre-shared key of a new epoch: ML-KEM-768 (FIPS 203) and random octets, joined by HKDF (RFC 5869).
//!
//! In: home's offer, the edge's answer. Out: the same 32 octets at both ends. Refused: texts of another length, and
//! encapsulation keys that FIPS 203 §7.2 refuses. The random part travels through the epoch that is in use, so an
//! attacker has to break that epoch and ML-KEM as well.
//!
//! ```text
//! IKM  = random part (32 octets) || ML-KEM shared secret (32 octets)
//! info = "postern epoch psk v1" || epoch (u32, big-endian) || home's key || edge's key || SHA-256(ek || ciphertext)
//! ```

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ml_kem::{Decapsulate, KeyExport, MlKem768};
use ring::digest::{SHA256, digest};
use ring::hkdf::{HKDF_SHA256, KeyType, Salt};
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::tunnel::{EpochId, NoRandomness, PresharedKey, PublicKey};

const CONTEXT: &[u8] = b"postern epoch psk v1";

/// Octets of an encapsulation key (FIPS 203, table 3).
const ENCAPSULATION_KEY_OCTETS: usize = 1184;

/// Octets of a ciphertext (FIPS 203, table 3).
const CIPHERTEXT_OCTETS: usize = 1088;

/// What does not belong to an ML-KEM-768 exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an ML-KEM-768 value in standard Base64")]
pub struct Malformed;

/// The seed of a decapsulation key (FIPS 203 §3.3: `d` and `z`); wiped when dropped.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Seed([u8; 64]);

/// The random part of a pre-shared key; wiped when dropped.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RandomPart([u8; 32]);

/// An encapsulation key: what home offers.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EncapsulationKey(Vec<u8>);

/// A ciphertext: what the edge answers.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Ciphertext(Vec<u8>);

/// All that both ends know of one exchange but its secrets.
#[derive(Debug, Clone, Copy)]
pub struct Transcript<'a> {
    /// The epoch that the key is for.
    pub epoch: EpochId,
    /// Home's static key.
    pub home_key: &'a PublicKey,
    /// The edge's static key.
    pub edge_key: &'a PublicKey,
    /// Home's encapsulation key.
    pub encapsulation_key: &'a EncapsulationKey,
    /// The edge's ciphertext.
    pub ciphertext: &'a Ciphertext,
}

/// The shared secret of the exchange (FIPS 203 §3.3); wiped when dropped.
pub type SharedSecret = Zeroizing<[u8; 32]>;

impl Seed {
    /// Draws a new seed.
    ///
    /// # Errors
    /// When the operating system gives no random numbers.
    pub fn generate() -> Result<Self, NoRandomness> {
        random_octets().map(Self)
    }

    /// The key that the edge encapsulates to.
    pub fn encapsulation_key(&self) -> EncapsulationKey {
        EncapsulationKey(self.decapsulation_key().encapsulation_key().to_bytes().to_vec())
    }

    /// Opens the edge's ciphertext; a forged one gives a secret that the edge does not have (implicit rejection).
    pub fn decapsulate(&self, ciphertext: &Ciphertext) -> Result<SharedSecret, Malformed> {
        let shared = self.decapsulation_key().decapsulate_slice(&ciphertext.0).map_err(|_| Malformed)?;
        Ok(secret(shared))
    }

    fn decapsulation_key(&self) -> ml_kem::DecapsulationKey<MlKem768> {
        ml_kem::DecapsulationKey::from_seed(self.0.into())
    }
}

impl RandomPart {
    /// Draws a new one.
    ///
    /// # Errors
    /// When the operating system gives no random numbers.
    pub fn generate() -> Result<Self, NoRandomness> {
        random_octets().map(Self)
    }
}

impl EncapsulationKey {
    /// Makes a shared secret and the ciphertext that carries it; `randomness` must be new and uniform.
    ///
    /// # Errors
    /// When the key is none (FIPS 203 §7.2).
    pub fn encapsulate(&self, randomness: &[u8; 32]) -> Result<(Ciphertext, SharedSecret), Malformed> {
        let key = self.0.as_slice().try_into().map_err(|_| Malformed)?;
        let key = ml_kem::EncapsulationKey::<MlKem768>::new(key).map_err(|_| Malformed)?;
        let (ciphertext, shared) = key.encapsulate_deterministic(&(*randomness).into());
        Ok((Ciphertext(ciphertext.to_vec()), secret(shared)))
    }
}

/// Derives the pre-shared key.
pub fn preshared_key(random: &RandomPart, shared: &SharedSecret, transcript: Transcript) -> PresharedKey {
    let mut material = Zeroizing::new([0; 64]);
    material[..32].copy_from_slice(&random.0);
    material[32..].copy_from_slice(&shared[..]);
    let exchange = [transcript.encapsulation_key.0.as_slice(), &transcript.ciphertext.0].concat();
    let exchange = digest(&SHA256, &exchange);
    let epoch = transcript.epoch.0.to_be_bytes();
    let (home, edge) = (transcript.home_key.octets(), transcript.edge_key.octets());
    let info: [&[u8]; 5] = [CONTEXT, &epoch, home, edge, exchange.as_ref()];
    let mut octets = Zeroizing::new([0; 32]);
    Salt::new(HKDF_SHA256, &[])
        .extract(&material[..])
        .expand(&info, KeyOctets)
        .and_then(|key| key.fill(&mut octets[..]))
        .expect("32 octets are less than HKDF-SHA256 can give");
    PresharedKey::from_octets(*octets)
}

/// 32 octets of output.
struct KeyOctets;

impl KeyType for KeyOctets {
    fn len(&self) -> usize {
        32
    }
}

/// Draws octets for a secret.
pub fn random_octets<const N: usize>() -> Result<[u8; N], NoRandomness> {
    let mut octets = [0; N];
    SystemRandom::new().fill(&mut octets).map_err(|_| NoRandomness)?;
    Ok(octets)
}

fn secret(mut shared: ml_kem::SharedKey) -> SharedSecret {
    let mut octets = Zeroizing::new([0; 32]);
    octets.copy_from_slice(&shared);
    shared.as_mut_slice().zeroize();
    octets
}

fn decode(mut text: String) -> Result<Zeroizing<Vec<u8>>, Malformed> {
    let octets = STANDARD.decode(text.trim()).map(Zeroizing::new);
    text.zeroize();
    octets.map_err(|_| Malformed)
}

macro_rules! base64_conversions {
    ($($name:ident, $octets:ident => $checked:expr;)*) => {$(
        impl TryFrom<String> for $name {
            type Error = Malformed;

            fn try_from(text: String) -> Result<Self, Malformed> {
                let $octets = decode(text)?;
                $checked.map(Self).ok_or(Malformed)
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> String {
                STANDARD.encode(&value.0[..])
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }
    )*};
}
base64_conversions! {
    Seed, octets => octets[..].try_into().ok();
    RandomPart, octets => octets[..].try_into().ok();
    EncapsulationKey, octets => (octets.len() == ENCAPSULATION_KEY_OCTETS).then(|| octets.to_vec());
    Ciphertext, octets => (octets.len() == CIPHERTEXT_OCTETS).then(|| octets.to_vec());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_derive_the_same_key_and_any_change_another() {
        let (seed, random) = (Seed::generate().unwrap(), RandomPart::generate().unwrap());
        let offered = seed.encapsulation_key();
        let (ciphertext, at_edge) = offered.encapsulate(&random_octets().unwrap()).unwrap();
        let at_home = seed.decapsulate(&ciphertext).unwrap();
        let (home, edge) = (PublicKey::from_octets([1; 32]), PublicKey::from_octets([2; 32]));
        let transcript = |epoch| Transcript {
            epoch: EpochId(epoch),
            home_key: &home,
            edge_key: &edge,
            encapsulation_key: &offered,
            ciphertext: &ciphertext,
        };
        let key = preshared_key(&random, &at_edge, transcript(2));
        assert_eq!(key, preshared_key(&random, &at_home, transcript(2)));
        assert_ne!(key, preshared_key(&random, &at_home, transcript(3)));
        assert_ne!(key, preshared_key(&RandomPart::generate().unwrap(), &at_home, transcript(2)));
        let stranger = Seed::generate().unwrap().decapsulate(&ciphertext).unwrap();
        assert_ne!(key, preshared_key(&random, &stranger, transcript(2)));
    }

    #[test]
    fn values_survive_json_and_other_lengths_are_refused() {
        let seed = Seed::generate().unwrap();
        let json = serde_json::to_string(&seed).unwrap();
        assert_eq!(serde_json::from_str::<Seed>(&json).unwrap(), seed);
        let key = seed.encapsulation_key();
        let json = serde_json::to_string(&key).unwrap();
        assert_eq!(serde_json::from_str::<EncapsulationKey>(&json).unwrap(), key);
        assert!(serde_json::from_str::<Ciphertext>(&json).is_err());
        assert!(serde_json::from_str::<Seed>("\"AAAA\"").is_err());
        // FIPS 203 §7.2: coefficients that are not reduced.
        let unreduced = EncapsulationKey(vec![0xff; ENCAPSULATION_KEY_OCTETS]);
        assert_eq!(unreduced.encapsulate(&[0; 32]).map(|_| ()), Err(Malformed));
    }
}
