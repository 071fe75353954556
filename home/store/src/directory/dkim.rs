//! DKIM key pairs: each domain signs with RSA-2048 (RFC 6376, RFC 8301) and with Ed25519 (RFC 8463).
//!
//! In: a domain, and what becomes of its keys. Out: private keys in PKCS#8 DER for the signer, public keys in the form of the
//! `p=` tag for the zone, and how far each key is in its life. Refused: a second pair of new keys while one is announced. When a
//! key goes on is the caller's to say.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair, RsaKeyPair};
use postern_message::address::DomainName;
use rusqlite::Connection;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::domains::required;
use super::{Directory, DirectoryError};

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

/// How far a key is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DkimStage {
    /// Its record is to be seen by the world; it signs nothing yet.
    Announced,
    /// It signs.
    Signing,
    /// It signs nothing any more; its record stays for the mail that is under way.
    Retiring,
}

impl DkimStage {
    fn as_str(self) -> &'static str {
        match self {
            Self::Announced => "announced",
            Self::Signing => "signing",
            Self::Retiring => "retiring",
        }
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        [Self::Announced, Self::Signing, Self::Retiring].into_iter().find(|stage| stage.as_str() == text)
    }
}

/// What becomes of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DkimMove {
    /// It is at this stage, since that moment in seconds since 1970.
    To {
        /// The key.
        selector: String,
        /// Where it is from now on.
        stage: DkimStage,
        /// Since when; for an announced key since all name servers have its record.
        since: u64,
    },
    /// It is needed no more.
    Away {
        /// The key.
        selector: String,
    },
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
    /// How far it is.
    pub stage: DkimStage,
    /// Since when it is at that stage, in seconds since 1970, as far as that is known.
    pub since: Option<u64>,
}

impl fmt::Debug for DkimKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "DkimKey({}._domainkey.{})", self.selector, self.domain)
    }
}

impl Directory {
    /// Makes a pair of keys beside those that are there, whose records are to be seen before they sign; `false`, and nothing is
    /// changed, where such a pair is there. Takes up to a second. Gives notice.
    ///
    /// # Errors
    /// [`DirectoryError::UnknownDomain`], [`DirectoryError::KeyGeneration`].
    pub fn announce_dkim_keys(&self, name: &DomainName) -> Result<bool, DirectoryError> {
        let keys = self.dkim_keys(name);
        if keys.iter().any(|key| key.stage == DkimStage::Announced) {
            return Ok(false);
        }
        let pair = generate_pair(name, number_after(&keys), DkimStage::Announced)?;
        let name = name.clone();
        self.change(move |connection| {
            let domain = required(connection, &name)?;
            pair.iter().try_for_each(|key| insert_key(connection, domain, key))
        })?;
        Ok(true)
    }

    /// Keeps what became of keys, all of it or nothing, durable on return. Gives notice.
    ///
    /// # Errors
    /// [`DirectoryError::UnknownDomain`].
    pub fn move_dkim_keys(&self, name: &DomainName, moves: Vec<DkimMove>) -> Result<(), DirectoryError> {
        let name = name.clone();
        self.change(move |connection| {
            let domain = required(connection, &name)?;
            for step in moves {
                match step {
                    DkimMove::To { selector, stage, since } => connection.execute(
                        "UPDATE dkim_key SET stage = ?3, since = ?4 WHERE domain = ?1 AND selector = ?2",
                        (domain, selector, stage.as_str(), since.cast_signed()),
                    )?,
                    DkimMove::Away { selector } => connection.execute(
                        "DELETE FROM dkim_key WHERE domain = ?1 AND selector = ?2",
                        (domain, selector),
                    )?,
                };
            }
            Ok(())
        })
    }
}

pub(super) fn insert_key(connection: &Connection, domain: i64, key: &DkimKey) -> Result<(), DirectoryError> {
    connection.execute(
        "INSERT INTO dkim_key (domain, selector, key_type, private_key, public_key, stage)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        (
            domain,
            &key.selector,
            key.algorithm.key_type(),
            key.private_key.as_slice(),
            &key.public_key,
            key.stage.as_str(),
        ),
    )?;
    Ok(())
}

/// The number in the selectors of the next pair: one that no key of the domain has had since the oldest that is left.
fn number_after(keys: &[Arc<DkimKey>]) -> u32 {
    let number = |key: &Arc<DkimKey>| key.selector.get(1..)?.parse::<u32>().ok();
    keys.iter().filter_map(number).max().map_or(1, |newest| newest.saturating_add(1))
}

/// Makes the two keys of a new domain, which sign at once. Takes up to a second.
pub(super) fn first_pair(domain: &DomainName) -> Result<[DkimKey; 2], DirectoryError> {
    generate_pair(domain, 1, DkimStage::Signing)
}

fn generate_pair(domain: &DomainName, number: u32, stage: DkimStage) -> Result<[DkimKey; 2], DirectoryError> {
    Ok([generate_rsa(domain, number, stage)?, generate_ed25519(domain, number, stage)?])
}

fn generate_rsa(domain: &DomainName, number: u32, stage: DkimStage) -> Result<DkimKey, DirectoryError> {
    let failed = |_| DirectoryError::KeyGeneration;
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).map_err(failed)?;
    let private_key: Pkcs8V1Der<'_> = pair.as_der().map_err(failed)?;
    let public_key: PublicKeyX509Der<'_> = pair.public_key().as_der().map_err(failed)?;
    Ok(DkimKey {
        domain: domain.clone(),
        selector: format!("r{number}"),
        algorithm: DkimAlgorithm::RsaSha256,
        private_key: Zeroizing::new(private_key.as_ref().to_vec()),
        public_key: public_key.as_ref().to_vec(),
        stage,
        since: None,
    })
}

fn generate_ed25519(domain: &DomainName, number: u32, stage: DkimStage) -> Result<DkimKey, DirectoryError> {
    let failed = |_| DirectoryError::KeyGeneration;
    let pair = Ed25519KeyPair::generate().map_err(failed)?;
    Ok(DkimKey {
        domain: domain.clone(),
        selector: format!("e{number}"),
        algorithm: DkimAlgorithm::Ed25519Sha256,
        private_key: Zeroizing::new(pair.to_pkcs8().map_err(failed)?.as_ref().to_vec()),
        public_key: pair.public_key().as_ref().to_vec(),
        stage,
        since: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_pairs_load_again_and_fit_together() {
        let domain: DomainName = "home.example".parse().expect("valid");
        let [rsa, ed25519] = first_pair(&domain).expect("generated");
        let pair = RsaKeyPair::from_pkcs8(&rsa.private_key).expect("PKCS#8");
        let public_key: PublicKeyX509Der<'_> = pair.public_key().as_der().expect("DER");
        assert_eq!(rsa.public_key, public_key.as_ref());
        let pair = Ed25519KeyPair::from_pkcs8(&ed25519.private_key).expect("PKCS#8");
        assert_eq!(ed25519.public_key, pair.public_key().as_ref());
        assert_eq!(ed25519.public_key.len(), 32);
        assert_eq!(format!("{rsa:?}"), "DkimKey(r1._domainkey.home.example)");
    }
}
