//! The data key, and the envelope that keeps it: `state_dir/seal.json`.
//!
//! In: a [`Secret`], which the operator keeps. Out: the [`DataKey`], drawn once at random, from which every file's key is
//! derived. The envelope holds it sealed under a key made from the secret, so that the secret can be changed without touching
//! the mail. Refused: another secret than the envelope's, short keys, an envelope that is damaged or of a newer program.
//!
//! A passphrase goes through Argon2id with 64 MiB and three passes (RFC 9106 §4, the second choice, in one lane): about a second
//! on a Raspberry Pi 4, and no more memory than the smallest of them has.

use std::path::{Path, PathBuf};

use argon2::{Algorithm, Argon2, Params, Version};
use aws_lc_rs::{hkdf, rand};
use icu_normalizer::ComposingNormalizerBorrowed;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::SealError;
use super::cipher::{Cipher, OVERHEAD};
use crate::hex::{hex, unhex};
use crate::{Error, Result, files};

/// The file in a state directory whose presence says that what lies there is sealed.
pub(crate) const ENVELOPE: &str = "seal.json";
/// Fewer octets than this make no key.
pub const KEY_OCTETS_MIN: usize = 32;

const VERSION: u32 = 1;
const ASSOCIATED: &[u8] = b"postern data key 1";
const MEMORY_KIB: u32 = 64 * 1024;
const PASSES: u32 = 3;
const LANES: u32 = 1;
/// More than this is not believed of an envelope: it would take the machine down.
const MEMORY_KIB_MAX: u32 = 1024 * 1024;

/// What the operator keeps, and without which the mail is lost.
#[derive(Debug, Clone)]
pub enum Secret {
    /// Random octets, [`KEY_OCTETS_MIN`] at least.
    Key(Zeroizing<Vec<u8>>),
    /// What a person remembers.
    Passphrase(Zeroizing<String>),
}

/// What a [`Secret`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SecretKind {
    /// A key.
    Key,
    /// A passphrase.
    Passphrase,
}

/// How far a state directory is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Some of it is sealed; `store seal` goes on.
    Sealing,
    /// All of it is sealed.
    Sealed,
    /// Some of it is still sealed; `store unseal` goes on.
    Unsealing,
}

/// The key from which all others are derived.
pub(crate) struct DataKey(Zeroizing<[u8; 32]>);

impl std::fmt::Debug for DataKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("DataKey")
    }
}

impl DataKey {
    fn random() -> Result<DataKey> {
        let mut key = Zeroizing::new([0; 32]);
        rand::fill(key.as_mut()).map_err(|_| Error::Fault("no random numbers".to_owned()))?;
        Ok(DataKey(key))
    }

    /// The cipher for one purpose and place. `salt` is random and stands with what is sealed.
    pub(crate) fn cipher(&self, salt: &[u8], purpose: &str, place: &str) -> Result<Cipher> {
        let key = hkdf::Salt::new(hkdf::HKDF_SHA256, salt).extract(self.0.as_ref());
        Cipher::derived(&key, &[purpose.as_bytes(), b"\0", place.as_bytes()])
    }
}

/// The content of [`ENVELOPE`].
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Envelope {
    version: u32,
    phase: Phase,
    derivation: Derivation,
    /// Hexadecimal: the data key, its tag, the nonce.
    sealed_key: String,
}

/// How the key of the envelope is made from the secret. Salts are hexadecimal.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "from", rename_all = "lowercase", deny_unknown_fields)]
enum Derivation {
    Key { salt: String },
    Passphrase { salt: String, memory_kib: u32, passes: u32, lanes: u32 },
}

impl Envelope {
    /// The envelope of a state directory; `None` where nothing is sealed.
    ///
    /// # Errors
    /// [`SealError::Damaged`] where it cannot be understood.
    pub fn of(state_dir: &Path) -> Result<Option<Envelope>, SealError> {
        let path = path(state_dir);
        let text = match std::fs::read(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            read => read.map_err(|error| files::at(&path, &error))?,
        };
        let damaged = |what: String| SealError::Damaged { path: path.clone(), what };
        let envelope: Envelope = serde_json::from_slice(&text).map_err(|error| damaged(error.to_string()))?;
        if envelope.version != VERSION {
            return Err(damaged(format!("version {} is not known to this program", envelope.version)));
        }
        Ok(Some(envelope))
    }

    /// Whether a directory has one.
    pub(crate) fn is_in(state_dir: &Path) -> bool {
        path(state_dir).exists()
    }

    /// How far the directory is.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Which kind of secret opens it.
    pub fn secret_kind(&self) -> SecretKind {
        match self.derivation {
            Derivation::Key { .. } => SecretKind::Key,
            Derivation::Passphrase { .. } => SecretKind::Passphrase,
        }
    }

    /// Makes an envelope around a new data key.
    pub(crate) fn random(secret: &Secret) -> Result<(Envelope, DataKey), SealError> {
        let key = DataKey::random()?;
        Ok((Envelope::around(&key, secret, Phase::Sealing)?, key))
    }

    pub(crate) fn around(key: &DataKey, secret: &Secret, phase: Phase) -> Result<Envelope, SealError> {
        let derivation = Derivation::new(secret)?;
        let mut sealed = [0; 32 + OVERHEAD];
        sealed.iter_mut().zip(key.0.iter()).for_each(|(place, octet)| *place = *octet);
        let sealing = derivation.cipher(secret)?.seal(ASSOCIATED, &mut sealed);
        sealing.map_err(|_| Error::Fault("the data key was not sealed".to_owned()))?;
        Ok(Envelope { version: VERSION, phase, derivation, sealed_key: hex(&sealed) })
    }

    /// The data key.
    ///
    /// # Errors
    /// [`SealError::WrongSecret`]
    pub(crate) fn open(&self, state_dir: &Path, secret: &Secret) -> Result<DataKey, SealError> {
        let path = path(state_dir);
        let damaged = |what: &str| SealError::Damaged { path: path.clone(), what: what.to_owned() };
        let sealed = unhex(&self.sealed_key).ok_or_else(|| damaged("`sealed_key` is not hexadecimal"))?;
        let mut sealed = Zeroizing::new(sealed);
        if sealed.len() != 32 + OVERHEAD {
            return Err(damaged("`sealed_key` is not whole"));
        }
        let wrong = || SealError::WrongSecret { path: path.clone() };
        let cipher = match self.derivation.cipher(secret) {
            Err(SealError::OtherKind) => return Err(wrong()),
            other => other?,
        };
        cipher.open(ASSOCIATED, &mut sealed).map_err(|_| wrong())?;
        let key = sealed.first_chunk().ok_or_else(|| damaged("`sealed_key` is not whole"))?;
        Ok(DataKey(Zeroizing::new(*key)))
    }

    pub(crate) fn in_phase(self, phase: Phase) -> Envelope {
        Envelope { phase, ..self }
    }

    /// Writes it, whole or not at all.
    pub(crate) fn write(&self, state_dir: &Path) -> Result<(), SealError> {
        let path = path(state_dir);
        let text = serde_json::to_vec_pretty(self).map_err(|error| Error::Fault(error.to_string()))?;
        Ok(files::replace(&path, &text)?)
    }

    /// Takes it away: nothing is sealed any more.
    pub(crate) fn remove(state_dir: &Path) -> Result<(), SealError> {
        let path = path(state_dir);
        std::fs::remove_file(&path).map_err(|error| files::at(&path, &error))?;
        Ok(files::sync_directory(state_dir)?)
    }
}

impl Derivation {
    fn new(secret: &Secret) -> Result<Derivation, SealError> {
        let mut salt = [0; 16];
        rand::fill(&mut salt).map_err(|_| Error::Fault("no random numbers".to_owned()))?;
        let salt = hex(&salt);
        Ok(match secret {
            Secret::Key(key) if key.len() < KEY_OCTETS_MIN => return Err(SealError::ShortKey),
            Secret::Passphrase(text) if text.is_empty() => return Err(SealError::NoPassphrase),
            Secret::Key(_) => Derivation::Key { salt },
            Secret::Passphrase(_) => {
                Derivation::Passphrase { salt, memory_kib: MEMORY_KIB, passes: PASSES, lanes: LANES }
            }
        })
    }

    fn cipher(&self, secret: &Secret) -> Result<Cipher, SealError> {
        let fault = |what: &str| SealError::Storage(Error::Corrupt(format!("{ENVELOPE}: {what}")));
        let salt = match self {
            Derivation::Key { salt } | Derivation::Passphrase { salt, .. } => unhex(salt),
        };
        let salt = salt.ok_or_else(|| fault("`salt` is not hexadecimal"))?;
        let stretched;
        let material: &[u8] = match (self, secret) {
            (Derivation::Key { .. }, Secret::Key(key)) => key,
            (Derivation::Passphrase { memory_kib, passes, lanes, .. }, Secret::Passphrase(text)) => {
                // One terminal composes an `ü`, another does not.
                let text =
                    Zeroizing::new(ComposingNormalizerBorrowed::new_nfc().normalize(text).into_owned());
                let memory = (*memory_kib).min(MEMORY_KIB_MAX);
                let params = Params::new(memory, *passes, *lanes, Some(32));
                let params = params.map_err(|_| fault("parameters that Argon2id does not know"))?;
                let mut key = Zeroizing::new([0; 32]);
                Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
                    .hash_password_into(text.as_bytes(), &salt, key.as_mut())
                    .map_err(|_| fault("a salt that Argon2id does not take"))?;
                stretched = key;
                stretched.as_ref()
            }
            _ => return Err(SealError::OtherKind),
        };
        let key = hkdf::Salt::new(hkdf::HKDF_SHA256, &salt).extract(material);
        Ok(Cipher::derived(&key, &[b"postern envelope"])?)
    }
}

fn path(state_dir: &Path) -> PathBuf {
    state_dir.join(ENVELOPE)
}
