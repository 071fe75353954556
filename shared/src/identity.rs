//! Home's long-term Ed25519 identity (RFC 8032) and the signature of a control request.
//!
//! In: key files and request parts. Out: signatures and fingerprints. Refused: key files that others may read, malformed
//! keys, a signature that does not verify. The caller keeps the request counter and refuses one that did not grow.
//!
//! The key file holds the PKCS#8 v2 document (RFC 5958) in Base64, mode 0600.
//!
//! A signed request carries one header, `postern-signature: v1 COUNTER BASE64`, whose signature covers
//! ```text
//! "postern-control-v1" LF METHOD LF PATH LF COUNTER LF lower-case hex of SHA-256(body) LF
//! ```
//! so that it is worth nothing on another path, with another body, or a second time.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::digest::{SHA256, digest};
use ring::rand::SystemRandom;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::durable;

/// The name of the header that carries a [`RequestSignature`].
pub const SIGNATURE_HEADER: &str = "postern-signature";

const CONTEXT: &str = "postern-control-v1";

/// Why an identity could not be loaded or made.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The file could not be read or written.
    #[error("the identity key {path}: {source}", path = path.display())]
    File {
        /// The key file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The file does not hold an Ed25519 key.
    #[error(
        "the identity key {path} is damaged: it does not hold an Ed25519 key. Restore it from a backup, or move it away \
         and join the edge again with a new code", path = .0.display()
    )]
    Damaged(PathBuf),
    /// Other users may read the file.
    #[error(
        "the identity key {path} can be read by other users (mode {mode:03o}). Run `chmod 600 {path}`; if somebody may \
         have read it, move it away and join the edge again", path = path.display()
    )]
    Exposed {
        /// The key file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The operating system gave no random numbers.
    #[error("the operating system's random number generator failed")]
    NoRandomness,
}

/// A long-term identity: an Ed25519 key pair. Prints as its fingerprint.
pub struct Identity(Ed25519KeyPair);

/// The public half of an [`Identity`]: 32 octets, Base64 in JSON.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PublicIdentity([u8; 32]);

/// A text that is not an Ed25519 public key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an identity is 32 octets in standard Base64 (44 characters)")]
pub struct InvalidIdentity;

/// The signature of one control request and the counter that makes it good only once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestSignature {
    /// Grows with every signed request of an identity.
    pub counter: u64,
    /// The 64 octets of the signature.
    pub signature: [u8; 64],
}

/// Why a signed request is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// The header is not of the form `v1 COUNTER BASE64`.
    #[error("malformed {SIGNATURE_HEADER} header")]
    Malformed,
    /// The signature does not belong to this identity, method, path, body and counter.
    #[error("the request's signature does not verify")]
    Invalid,
}

impl Identity {
    /// Loads the identity, or makes a new one where the file does not exist yet.
    ///
    /// # Errors
    /// When the file cannot be read or written, holds something else, or other users may read it.
    pub fn load_or_generate(path: &Path) -> Result<Self, IdentityError> {
        match std::fs::read_to_string(path) {
            Ok(text) => Self::parse(path, Zeroizing::new(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::generate(path),
            Err(source) => Err(IdentityError::File { path: path.into(), source }),
        }
    }

    fn generate(path: &Path) -> Result<Self, IdentityError> {
        let document =
            Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(|_| IdentityError::NoRandomness)?;
        let text = Zeroizing::new(STANDARD.encode(document.as_ref()) + "\n");
        durable::write_secret(path, text.as_bytes())
            .map_err(|source| IdentityError::File { path: path.into(), source })?;
        Self::parse(path, text)
    }

    fn parse(path: &Path, text: Zeroizing<String>) -> Result<Self, IdentityError> {
        refuse_exposed(path)?;
        let document = STANDARD.decode(text.trim()).map(Zeroizing::new);
        document
            .ok()
            .and_then(|document| Ed25519KeyPair::from_pkcs8(&document).ok())
            .map(Self)
            .ok_or_else(|| IdentityError::Damaged(path.into()))
    }

    /// The public half.
    pub fn public(&self) -> PublicIdentity {
        let mut octets = [0; 32];
        octets.copy_from_slice(self.0.public_key().as_ref());
        PublicIdentity(octets)
    }

    /// Signs a control request. `counter` must be greater than that of every request signed before.
    pub fn sign_request(&self, method: &str, path: &str, body: &[u8], counter: u64) -> RequestSignature {
        let signed = self.0.sign(signed_text(method, path, body, counter).as_bytes());
        let mut signature = [0; 64];
        signature.copy_from_slice(signed.as_ref());
        RequestSignature { counter, signature }
    }
}

fn refuse_exposed(path: &Path) -> Result<(), IdentityError> {
    use std::os::unix::fs::PermissionsExt;
    let metadata =
        std::fs::metadata(path).map_err(|source| IdentityError::File { path: path.into(), source })?;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 == 0 { Ok(()) } else { Err(IdentityError::Exposed { path: path.into(), mode }) }
}

impl PublicIdentity {
    /// Checks that this identity signed the request.
    ///
    /// # Errors
    /// [`SignatureError::Invalid`] when it did not.
    pub fn verify_request(
        &self,
        method: &str,
        path: &str,
        body: &[u8],
        signature: &RequestSignature,
    ) -> Result<(), SignatureError> {
        UnparsedPublicKey::new(&ED25519, &self.0)
            .verify(signed_text(method, path, body, signature.counter).as_bytes(), &signature.signature)
            .map_err(|_| SignatureError::Invalid)
    }

    /// The key's octets.
    pub fn octets(&self) -> &[u8; 32] {
        &self.0
    }

    /// The first 10 octets of the key's SHA-256 in hex, in groups of four: short enough to compare by eye.
    pub fn fingerprint(&self) -> String {
        let digest = hex(&digest(&SHA256, &self.0).as_ref()[..10]);
        digest.as_bytes().chunks(4).map(String::from_utf8_lossy).collect::<Vec<_>>().join("-")
    }
}

fn signed_text(method: &str, path: &str, body: &[u8], counter: u64) -> String {
    format!("{CONTEXT}\n{method}\n{path}\n{counter}\n{}\n", hex(digest(&SHA256, body).as_ref()))
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

impl fmt::Display for RequestSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v1 {} {}", self.counter, STANDARD.encode(self.signature))
    }
}

impl FromStr for RequestSignature {
    type Err = SignatureError;

    fn from_str(text: &str) -> Result<Self, SignatureError> {
        let mut parts = text.split(' ');
        let (Some("v1"), Some(counter), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(SignatureError::Malformed);
        };
        let counter = counter.parse().map_err(|_| SignatureError::Malformed)?;
        let signature = STANDARD.decode(signature).ok().and_then(|octets| octets.try_into().ok());
        Ok(Self { counter, signature: signature.ok_or(SignatureError::Malformed)? })
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({})", self.public().fingerprint())
    }
}

impl fmt::Debug for PublicIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicIdentity({})", self.fingerprint())
    }
}

impl fmt::Display for PublicIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.fingerprint())
    }
}

impl TryFrom<String> for PublicIdentity {
    type Error = InvalidIdentity;

    fn try_from(text: String) -> Result<Self, InvalidIdentity> {
        STANDARD.decode(text).ok().and_then(|octets| octets.try_into().ok()).map(Self).ok_or(InvalidIdentity)
    }
}

impl From<PublicIdentity> for String {
    fn from(identity: PublicIdentity) -> String {
        STANDARD.encode(identity.0)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn is_made_once_and_kept_private() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("identity.key");
        let made = Identity::load_or_generate(&path).unwrap().public();
        assert_eq!(Identity::load_or_generate(&path).unwrap().public(), made);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(Identity::load_or_generate(&path), Err(IdentityError::Exposed { mode: 0o640, .. })));
    }

    #[test]
    fn a_damaged_file_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("identity.key");
        durable::write_secret(&path, b"AAAA\n").unwrap();
        assert!(matches!(Identity::load_or_generate(&path), Err(IdentityError::Damaged(_))));
    }

    #[test]
    fn a_signature_holds_for_its_own_request_only() {
        let directory = tempfile::tempdir().unwrap();
        let identity = Identity::load_or_generate(&directory.path().join("a")).unwrap();
        let stranger = Identity::load_or_generate(&directory.path().join("b")).unwrap();
        let header = identity.sign_request("PUT", "/v1/zones/home.example", b"zone", 7).to_string();
        let signature: RequestSignature = header.parse().unwrap();
        let check = |identity: &Identity, method: &str, path: &str, body: &[u8], counter: u64| {
            let signature = RequestSignature { counter, ..signature.clone() };
            identity.public().verify_request(method, path, body, &signature)
        };
        assert_eq!(check(&identity, "PUT", "/v1/zones/home.example", b"zone", 7), Ok(()));
        assert!(check(&stranger, "PUT", "/v1/zones/home.example", b"zone", 7).is_err());
        assert!(check(&identity, "DELETE", "/v1/zones/home.example", b"zone", 7).is_err());
        assert!(check(&identity, "PUT", "/v1/zones/other.example", b"zone", 7).is_err());
        assert!(check(&identity, "PUT", "/v1/zones/home.example", b"Zone", 7).is_err());
        assert!(check(&identity, "PUT", "/v1/zones/home.example", b"zone", 8).is_err());
    }

    #[test]
    fn malformed_headers_are_refused() {
        for text in ["", "v1", "v1 7", "v1 x AAAA", "v1 7 AAAA", "v2 7 AAAA", "v1 7 AAAA extra"] {
            assert_eq!(text.parse::<RequestSignature>(), Err(SignatureError::Malformed), "{text}");
        }
    }
}
