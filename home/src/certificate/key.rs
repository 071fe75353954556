//! The keys of certificates: made here, named by the digest that a TLSA record holds.
//!
//! In: chance, or PKCS #8. Out: a key that prints as its name, and wipes itself. Refused: what is no private key.

use std::fmt::{self, Display, Formatter};
use std::str::FromStr;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::PublicKeyData;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

/// The SHA-256 digest of a key's SubjectPublicKeyInfo (RFC 6698 §2.1.2 and §2.1.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId(pub [u8; 32]);

impl KeyId {
    /// Of the DER of a SubjectPublicKeyInfo.
    pub fn of_spki(spki: &[u8]) -> Self {
        let mut id = [0; 32];
        id.copy_from_slice(digest(&SHA256, spki).as_ref());
        Self(id)
    }
}

impl Display for KeyId {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|octet| write!(formatter, "{octet:02x}"))
    }
}

/// The text is not 64 hexadecimal digits.
#[derive(Debug, thiserror::Error)]
#[error("not the name of a key")]
pub struct NotAKeyId;

impl FromStr for KeyId {
    type Err = NotAKeyId;

    fn from_str(text: &str) -> Result<Self, NotAKeyId> {
        let mut id = [0; 32];
        if text.len() != 64 || !text.is_ascii() {
            return Err(NotAKeyId);
        }
        for (octet, digits) in id.iter_mut().zip(text.as_bytes().chunks(2)) {
            let digits = std::str::from_utf8(digits).map_err(|_| NotAKeyId)?;
            *octet = u8::from_str_radix(digits, 16).map_err(|_| NotAKeyId)?;
        }
        Ok(Self(id))
    }
}

impl Serialize for KeyId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for KeyId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A private key in PKCS #8.
#[derive(Clone, PartialEq, Eq)]
pub struct Pkcs8(Zeroizing<Vec<u8>>);

impl Pkcs8 {
    /// Takes octets over.
    pub fn new(octets: Vec<u8>) -> Self {
        Self(Zeroizing::new(octets))
    }

    /// For rustls, which keeps a copy of its own.
    pub fn to_der(&self) -> PrivateKeyDer<'_> {
        PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.0.as_slice()))
    }

    /// The octets.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Pkcs8 {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        formatter.write_str("Pkcs8(…)")
    }
}

impl Serialize for Pkcs8 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&Zeroizing::new(STANDARD.encode(&*self.0)))
    }
}

impl<'de> Deserialize<'de> for Pkcs8 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Zeroizing::new(String::deserialize(deserializer)?);
        STANDARD.decode(&*text).map(Self::new).map_err(serde::de::Error::custom)
    }
}

/// A fresh ECDSA key on P-256, which every client takes.
///
/// # Errors
/// When the system gives no random numbers.
pub fn generate() -> Result<(KeyId, Pkcs8), rcgen::Error> {
    let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
    Ok((KeyId::of_spki(&pair.subject_public_key_info()), Pkcs8::new(pair.serialize_der())))
}

/// The request that makes an authority certify a key for these names (RFC 2986, RFC 8555 §7.4), in DER.
///
/// # Errors
/// When the key is not one of [`generate`]'s, or a name is no name.
pub fn signing_request(key: &Pkcs8, names: &[String]) -> Result<Vec<u8>, rcgen::Error> {
    let pair = rcgen::KeyPair::from_pkcs8_der_and_sign_algo(
        &PrivatePkcs8KeyDer::from(key.expose()),
        &rcgen::PKCS_ECDSA_P256_SHA256,
    )?;
    let mut parameters = rcgen::CertificateParams::new(names)?;
    // The names stand in subjectAltName; a subject is of no use (CA/Browser Forum Baseline Requirements §7.1.4.2).
    parameters.distinguished_name = rcgen::DistinguishedName::new();
    Ok(parameters.serialize_request(&pair)?.der().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_named_by_its_public_half_and_does_not_print_the_other() {
        let (id, key) = generate().expect("a key");
        assert_eq!(id.to_string().parse::<KeyId>().expect("a name"), id);
        assert_eq!(format!("{key:?}"), "Pkcs8(…)");
        let kept = serde_json::to_string(&key).expect("written");
        assert_eq!(serde_json::from_str::<Pkcs8>(&kept).expect("read"), key);
        assert!("g".repeat(64).parse::<KeyId>().is_err());
        assert!("é".repeat(32).parse::<KeyId>().is_err());
    }

    #[test]
    fn a_request_is_made_for_all_names() {
        let (_, key) = generate().expect("a key");
        let names = ["mail.home.example".to_owned(), "*.home.example".to_owned()];
        let request = signing_request(&key, &names).expect("a request");
        for name in names {
            assert!(request.windows(name.len()).any(|window| window == name.as_bytes()), "{name}");
        }
    }
}
