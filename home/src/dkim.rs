//! DKIM signatures on what this home sends.
//!
//! In: a whole message, in parts, and the keys of its author's domain. Out: one `DKIM-Signature` field for each key,
//! to be put before the message. Each message carries an RSA and an Ed25519 signature, so that every verifier finds
//! one it can check (RFC 8463 §3).
//!
//! A field that a forger could gain by adding is named once more than it occurs (RFC 6376 §8.15), so that a second
//! From or Subject breaks the signature. Canonicalization is relaxed/relaxed; no `l=` tag, since it would let
//! anyone append to the body (RFC 6376 §8.2); no `x=` tag, since mail may wait for days.
//!
//! Implements RFC 6376 §5 (signer actions), RFC 8463 (Ed25519).

use std::sync::Arc;

use mail_auth::common::crypto::{DkimKey as SigningKey, Ed25519Key, RsaKey, Sha256};
use mail_auth::common::headers::HeaderWriter;
use mail_auth::dkim::{Canonicalization, DkimSigner};
use postern_store::directory::{DkimAlgorithm, DkimKey};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

/// Signed, and named once more than they occur.
const OVERSIGNED: [&str; 12] = [
    "From",
    "Reply-To",
    "Subject",
    "Date",
    "To",
    "Cc",
    "Message-ID",
    "In-Reply-To",
    "References",
    "MIME-Version",
    "Content-Type",
    "Content-Transfer-Encoding",
];

/// A message could not be signed.
#[derive(Debug, thiserror::Error)]
#[error("DKIM signature with {key:?} failed: {cause}")]
pub struct SignError {
    key: Arc<DkimKey>,
    cause: mail_auth::Error,
}

/// Signs a message with every key. `message` is the header fields that stand before it, if any, and the message as
/// received; together they are what the receiver will see. Takes time proportional to the message.
///
/// # Errors
/// Where a key cannot be used, or the message has no header fields.
pub fn sign(keys: &[Arc<DkimKey>], message: &[&[u8]]) -> Result<Vec<u8>, SignError> {
    let mut fields = Vec::new();
    for key in keys {
        let field = sign_with(key, message).map_err(|cause| SignError { key: key.clone(), cause })?;
        fields.extend_from_slice(field.as_bytes());
    }
    Ok(fields)
}

fn sign_with(key: &DkimKey, message: &[&[u8]]) -> mail_auth::Result<String> {
    let signature = DkimSigner::from_key(signing_key(key)?)
        .domain(key.domain.as_str())
        .selector(key.selector.as_str())
        .headers(OVERSIGNED.iter().flat_map(|name| [*name, *name]))
        .header_canonicalization(Canonicalization::Relaxed)
        .body_canonicalization(Canonicalization::Relaxed)
        .sign_chained(message.iter().copied())?;
    Ok(signature.to_header())
}

fn signing_key(key: &DkimKey) -> mail_auth::Result<SigningKey> {
    Ok(match key.algorithm {
        DkimAlgorithm::RsaSha256 => {
            let der = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.private_key.as_slice()));
            SigningKey::from(RsaKey::<Sha256>::from_key_der(der)?)
        }
        DkimAlgorithm::Ed25519Sha256 => {
            SigningKey::from(Ed25519Key::from_pkcs8_maybe_unchecked_der(&key.private_key)?)
        }
    })
}
