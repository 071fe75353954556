//! DKIM key pairs: each domain signs with RSA-2048 (RFC 6376, RFC 8301) and with Ed25519 (RFC 8463).
//!
//! In: a domain. Out: private keys in PKCS#8 DER for the signer, public keys in the form of the `p=` tag for the
//! zone.

use std::fmt;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair, RsaKeyPair};
use postern_message::address::DomainName;
use zeroize::Zeroizing;

use super::DirectoryError;

/// Selector of the first RSA key of a domain.
const RSA_SELECTOR: &str = "r1";
/// Selector of the first Ed25519 key of a domain.
const ED25519_SELECTOR: &str = "e1";

/// The signature algorithm of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DkimAlgorithm {
    /// `rsa-sha256` (RFC 6376 §3.3.1).
    RsaSha256,
    /// `ed25519-sha256` (RFC 8463 §3).
    Ed25519Sha256,
}

impl DkimAlgorithm {
    /// The value of the `k=` tag in the key record (RFC 6376 §3.6.1).
    pub fn key_type(self) -> &'static str {
        match self {
            Self::RsaSha256 => "rsa",
            Self::Ed25519Sha256 => "ed25519",
        }
    }

    pub(super) fn from_key_type(key_type: &str) -> Option<Self> {
        [Self::RsaSha256, Self::Ed25519Sha256].into_iter().find(|algorithm| algorithm.key_type() == key_type)
    }
}

/// One key pair of one domain.
#[derive(PartialEq, Eq)]
pub struct DkimKey {
    /// The domain it signs for, the `d=` tag.
    pub domain: DomainName,
    /// The name of the key within the domain, the `s=` tag.
    pub selector: String,
    /// What it signs with.
    pub algorithm: DkimAlgorithm,
    /// PKCS#8 DER.
    pub private_key: Zeroizing<Vec<u8>>,
    /// The octets of the `p=` tag before base64: SubjectPublicKeyInfo for RSA, the bare 32 octets for Ed25519.
    pub public_key: Vec<u8>,
}

impl fmt::Debug for DkimKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "DkimKey({}._domainkey.{})", self.selector, self.domain)
    }
}

/// Makes the two keys of a new domain. Takes up to a second.
pub(super) fn generate_pair(domain: &DomainName) -> Result<[DkimKey; 2], DirectoryError> {
    Ok([generate_rsa(domain)?, generate_ed25519(domain)?])
}

fn generate_rsa(domain: &DomainName) -> Result<DkimKey, DirectoryError> {
    let failed = |_| DirectoryError::KeyGeneration;
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).map_err(failed)?;
    let private_key: Pkcs8V1Der<'_> = pair.as_der().map_err(failed)?;
    let public_key: PublicKeyX509Der<'_> = pair.public_key().as_der().map_err(failed)?;
    Ok(DkimKey {
        domain: domain.clone(),
        selector: RSA_SELECTOR.to_owned(),
        algorithm: DkimAlgorithm::RsaSha256,
        private_key: Zeroizing::new(private_key.as_ref().to_vec()),
        public_key: public_key.as_ref().to_vec(),
    })
}

fn generate_ed25519(domain: &DomainName) -> Result<DkimKey, DirectoryError> {
    let failed = |_| DirectoryError::KeyGeneration;
    let pair = Ed25519KeyPair::generate().map_err(failed)?;
    Ok(DkimKey {
        domain: domain.clone(),
        selector: ED25519_SELECTOR.to_owned(),
        algorithm: DkimAlgorithm::Ed25519Sha256,
        private_key: Zeroizing::new(pair.to_pkcs8().map_err(failed)?.as_ref().to_vec()),
        public_key: pair.public_key().as_ref().to_vec(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_pairs_load_again_and_fit_together() {
        let domain: DomainName = "home.example".parse().expect("valid");
        let [rsa, ed25519] = generate_pair(&domain).expect("generated");
        let pair = RsaKeyPair::from_pkcs8(&rsa.private_key).expect("PKCS#8");
        let public_key: PublicKeyX509Der<'_> = pair.public_key().as_der().expect("DER");
        assert_eq!(rsa.public_key, public_key.as_ref());
        let pair = Ed25519KeyPair::from_pkcs8(&ed25519.private_key).expect("PKCS#8");
        assert_eq!(ed25519.public_key, pair.public_key().as_ref());
        assert_eq!(ed25519.public_key.len(), 32);
        assert_eq!(format!("{rsa:?}"), "DkimKey(r1._domainkey.home.example)");
    }
}
