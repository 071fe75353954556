//! What is kept of certificates: the life of each set of names, keys, chains, and accounts with authorities.
//!
//! One value of the directory's settings, `certificates`, in JSON; it is replaced whole, so that a crash leaves the state
//! before a step or after it. It holds private keys, as the database does elsewhere:
//!
//! ```text
//! { "sets": { "mail.home.example": { "names": [..], "life": {..}, "keys": { KEY: { "pkcs8": .., "chain": PEM, .. } } } },
//!   "accounts": { DIRECTORY: { "key": .., "url": .., "authorities": [..], "proven": .. } } }
//! ```

use std::collections::BTreeMap;

use postern_store::directory::{Directory, DirectoryError};
use rustls::crypto::aws_lc_rs as provider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::sign::CertifiedKey;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::key::{KeyId, Pkcs8};
use super::life::Life;
use super::x509::{self, Description};

/// The name of the value in the directory.
const SETTING: &str = "certificates";

/// Everything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Book {
    /// Each set of names, under its first name.
    pub sets: BTreeMap<String, Entry>,
    /// Each account, under its authority's directory.
    pub accounts: BTreeMap<String, Account>,
}

/// One set of names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Entry {
    /// The names; a wildcard begins with `*.`.
    pub names: Vec<String>,
    /// What has happened.
    pub life: Life,
    /// The keys that the life speaks of, as long as they may be shown.
    pub keys: BTreeMap<KeyId, Material>,
}

/// A key and its certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Material {
    /// The private key.
    pub pkcs8: Pkcs8,
    /// The certificate and those that vouch for it, in PEM; none yet where absent.
    pub chain: Option<String>,
    /// Whether the operator brought them.
    #[serde(default)]
    pub imported: bool,
}

/// An account with an authority (RFC 8555 §7.1.2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Its key.
    pub key: Pkcs8,
    /// Its URL, once the authority has given it.
    pub url: Option<String>,
    /// The names by which the authority knows itself in CAA records.
    #[serde(default)]
    pub authorities: Vec<String>,
    /// Whether the test service has issued once, so that the real one may be asked.
    #[serde(default)]
    pub proven: bool,
}

/// What is kept cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum BookError {
    /// The database.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// The value.
    #[error("what is kept of certificates is not understood: {0}")]
    Damaged(#[from] serde_json::Error),
    /// The program is stopping.
    #[error("the daemon is stopping")]
    Stopped,
}

impl Book {
    /// Reads what is kept; nothing at the first start.
    ///
    /// # Errors
    /// See [`BookError`].
    pub fn open(directory: &Directory) -> Result<Self, BookError> {
        let kept = directory.setting(SETTING)?.map(Zeroizing::new);
        Ok(kept.map(|kept| serde_json::from_slice(&kept)).transpose()?.unwrap_or_default())
    }

    /// Keeps all of it, durably on return.
    ///
    /// # Errors
    /// See [`BookError`]; what was kept before is then kept on.
    pub fn keep(&self, directory: &Directory) -> Result<(), BookError> {
        Ok(directory.set_setting(SETTING, serde_json::to_vec(self)?)?)
    }
}

impl Entry {
    /// The certificate that is to be shown, ready for handshakes; `None` where there is none, or it cannot be used.
    pub fn shown(&self) -> Option<CertifiedKey> {
        let material = self.keys.get(&self.life.present.as_ref()?.key)?;
        let signer = provider::sign::any_supported_type(&material.pkcs8.to_der()).ok()?;
        Some(CertifiedKey::new(material.certificates(), signer))
    }

    /// What the certificate that is shown says.
    pub fn described(&self) -> Option<Description> {
        self.keys.get(&self.life.present.as_ref()?.key)?.described()
    }

    /// Takes other names; a certificate that is not for all of them is to be renewed.
    pub fn change_names(&mut self, names: Vec<String>, now: u64) {
        let is_known = |name: &String| self.names.contains(name);
        if !self.names.is_empty() && !names.iter().all(is_known) {
            self.life.hurried(now);
            self.life.dropped();
        }
        self.life.order_over();
        self.names = names;
        self.sweep();
    }

    /// Lets go of keys that will not be shown any more.
    pub fn sweep(&mut self) {
        let present = self.life.present.as_ref().map(|present| present.key);
        let next = self.life.next.as_ref().map(|next| next.key);
        self.keys.retain(|key, _| Some(*key) == present || Some(*key) == next);
    }
}

impl Material {
    /// The chain, the server's own certificate first.
    pub fn certificates(&self) -> Vec<CertificateDer<'static>> {
        self.chain.as_deref().map(certificates).unwrap_or_default()
    }

    /// What the certificate says.
    pub fn described(&self) -> Option<Description> {
        x509::describe(self.certificates().first()?)
    }
}

/// The certificates of a PEM text; none where one of them is damaged.
pub fn certificates(pem: &str) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<_, _>>().unwrap_or_default()
}
