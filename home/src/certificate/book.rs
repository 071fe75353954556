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
use super::life::{Life, Stage};
use super::names::NameSet;
use super::x509::{self, Description};
use crate::zone::{EXPIRE, TLSA_TTL};

/// The name of the value in the directory.
const SETTING: &str = "certificates";

/// How long a TLSA record may be remembered that the zone does not have any more, in seconds: by a secondary that cannot
/// refresh the zone, then by a resolver.
const MEMORY: u64 = EXPIRE.unsigned_abs() as u64 + 2 * TLSA_TTL as u64;

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
    /// Since when there is no such set any more, in seconds since 1970.
    pub dismissed: Option<u64>,
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
    /// Where its terms of service are, to which the account has agreed.
    #[serde(default)]
    pub terms: Option<String>,
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

    /// Marks sets that are not among these, and lets go of them when nobody can remember their TLSA records any more: a host
    /// name that is changed, and changed back soon, comes back with its keys. `now` is in seconds since 1970; `None` where
    /// the clock is in doubt.
    pub fn dismiss(&mut self, sets: &[NameSet], now: Option<u64>) {
        for (id, entry) in &mut self.sets {
            let is_meant = sets.iter().any(|set| set.id() == id);
            let since = entry.dismissed.into_iter().chain(now).min();
            entry.dismissed = since.filter(|_| !is_meant);
        }
        let is_remembered = |since: u64| now.is_none_or(|now| now < since + MEMORY);
        self.sets.retain(|_, entry| entry.dismissed.is_none_or(is_remembered));
    }

    /// The orders of a stage are an account's that is no more.
    pub fn forget_orders(&mut self, stage: Stage) {
        for entry in self.sets.values_mut() {
            let order = entry.life.next.as_ref().and_then(|next| next.order.as_ref());
            if order.is_some_and(|order| order.stage == stage) {
                entry.life.order_over();
            }
        }
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

#[cfg(test)]
mod tests {
    use super::super::names::Role;
    use super::*;

    const NOW: u64 = 1_800_000_000;

    fn set(name: &str) -> NameSet {
        NameSet { names: vec![name.to_owned()], role: Role::Host }
    }

    #[test]
    fn a_name_that_comes_back_soon_comes_back_with_its_keys() {
        let mut book = Book::default();
        let mut entry = Entry { names: vec!["mail.home.example".to_owned()], ..Entry::default() };
        entry.life.key_made(KeyId([7; 32]));
        book.sets.insert("mail.home.example".to_owned(), entry);
        let (mail, other) = ([set("mail.home.example")], [set("mx.home.example")]);
        book.dismiss(&other, None);
        assert_eq!(book.sets["mail.home.example"].dismissed, None, "a clock in doubt says no time");
        book.dismiss(&other, Some(NOW + 99));
        book.dismiss(&other, Some(NOW));
        assert_eq!(book.sets["mail.home.example"].dismissed, Some(NOW), "the clock was set back");
        book.dismiss(&other, Some(NOW + MEMORY - 1));
        let mut back = book.clone();
        back.dismiss(&mail, Some(NOW + MEMORY - 1));
        back.dismiss(&mail, Some(NOW + 2 * MEMORY));
        assert_eq!(back.sets["mail.home.example"].life.keys(None), [KeyId([7; 32])]);
        book.dismiss(&other, None);
        assert_eq!(book.sets.len(), 1);
        book.dismiss(&other, Some(NOW + MEMORY));
        assert!(book.sets.is_empty(), "nobody remembers it");
    }
}
