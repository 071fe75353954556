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
//! When a key begins and ends to sign is written in [`ladder`].
//!
//! Implements RFC 6376 §5 (signer actions), RFC 8463 (Ed25519).

pub mod ladder;

use std::sync::Arc;

use mail_auth::common::crypto::{DkimKey as SigningKey, Ed25519Key, RsaKey, Sha256, SigningKey as _};
use mail_auth::common::headers::HeaderWriter;
use mail_auth::dkim::{Canonicalization, DkimSigner};
use postern_message::address::DomainName;
use postern_store::directory::{Directory, DirectoryError, DkimAlgorithm, DkimKey};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use self::ladder::{Next, Sight};

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

/// Does what is next in the life of a domain's keys, see [`ladder`]. A change gives notice. Blocks on the disk.
///
/// # Errors
/// [`DirectoryError`] where it cannot be kept; it is next again then.
pub fn follow(
    directory: &Directory,
    domain: &DomainName,
    keys: &[Arc<DkimKey>],
    sight: Sight,
) -> Result<(), DirectoryError> {
    match ladder::next(keys, sight) {
        Next::Rest => {}
        Next::Announce => {
            directory.announce_dkim_keys(domain)?;
            tracing::info!(%domain, "new DKIM keys are announced");
        }
        Next::Move(moves) => {
            tracing::info!(%domain, ?moves, "DKIM keys go on");
            directory.move_dkim_keys(domain, moves)?;
        }
    }
    Ok(())
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

/// The signature of one key over these octets, for fields other than `DKIM-Signature`.
///
/// # Errors
/// Where the key cannot be used.
pub fn sign_octets(key: &Arc<DkimKey>, octets: &[u8]) -> Result<Vec<u8>, SignError> {
    let signed = signing_key(key).and_then(|signing| signing.sign(octets));
    signed.map_err(|cause| SignError { key: key.clone(), cause })
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

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::process::{Command, Stdio};

    use aws_lc_rs::rand;
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use postern_store::directory::Directory;

    use super::*;

    const FIELDS: &[u8] = b"Received: from a\r\n\tby b; now\r\n";
    const MESSAGE: &[u8] = b"From: Ana <ana@home.example>\r\nTo: bo@far.example\r\nSubject:  two  words\r\n\
        Date: Mon, 2 Nov 2026 03:04:05 +0000\r\n\r\n.dot  \r\n\ttab\r\n\r\n\r\n";

    /// dkimpy, which we did not write: one letter for each signature, from the top, `y` where it verifies.
    const DKIMPY: &str = "
import sys, dkim
records = dict(line.split('=', 1) for line in sys.argv[1:])
def txt(name, timeout=5):
    return records.get(name.decode().rstrip('.'), '').encode()
verifier = dkim.DKIM(sys.stdin.buffer.read())
count = sum(name.lower() == b'dkim-signature' for name, _ in verifier.headers)
def check(index):
    try:
        return verifier.verify(idx=index, dnsfunc=txt)
    except dkim.DKIMException:
        return False
print(''.join('y' if check(index) else 'n' for index in range(count)))
";

    fn keys() -> (tempfile::TempDir, Vec<Arc<DkimKey>>) {
        let state = tempfile::tempdir().expect("a directory");
        let directory = Directory::open(state.path()).expect("opened");
        let domain = "home.example".parse().expect("a domain");
        directory.add_domain(&domain).expect("added");
        let keys = directory.dkim_keys(&domain);
        assert_eq!(keys.len(), 2);
        (state, keys)
    }

    fn key_record(key: &DkimKey) -> String {
        let public_key = STANDARD.encode(&key.public_key);
        let name = format!("{}._domainkey.{}", key.selector, key.domain);
        format!("{name}=v=DKIM1; k={}; p={public_key}", key.algorithm.key_type())
    }

    fn verify(keys: &[Arc<DkimKey>], message: &[u8]) -> String {
        let mut python = Command::new("/usr/bin/python3")
            .args(["-c", DKIMPY])
            .args(keys.iter().map(|key| key_record(key)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 with python3-dkim and python3-nacl is installed");
        python.stdin.take().expect("piped").write_all(message).expect("written");
        let output = python.wait_with_output().expect("ended");
        assert!(output.status.success(), "python3-dkim and python3-nacl are needed");
        String::from_utf8(output.stdout).expect("letters").trim().to_owned()
    }

    #[test]
    fn another_implementation_verifies_both_signatures() {
        let (_state, keys) = keys();
        let signatures = sign(&keys, &[FIELDS, MESSAGE]).expect("signed");
        assert_eq!(verify(&keys, &[&signatures, FIELDS, MESSAGE].concat()), "yy");
    }

    #[test]
    fn a_large_body_with_every_octet_verifies() {
        let (_state, keys) = keys();
        let mut octets = vec![0; 200_000];
        rand::fill(&mut octets).expect("random");
        let body = STANDARD.encode(octets).into_bytes();
        let body = body.chunks(76).collect::<Vec<_>>().join(b"\r\n".as_slice());
        let message = [MESSAGE, &body, b"\r\n\xc3\xa9\r\n"].concat();
        let signatures = sign(&keys, &[&message]).expect("signed");
        assert_eq!(verify(&keys, &[&signatures, message.as_slice()].concat()), "yy");
    }

    #[test]
    fn a_changed_body_or_an_added_field_breaks_both() {
        let (_state, keys) = keys();
        let signatures = sign(&keys, &[MESSAGE]).expect("signed");
        let added = |field: &[u8]| verify(&keys, &[&signatures, field, MESSAGE].concat());
        assert_eq!(added(b"X-Later: is no matter\r\n"), "yy");
        assert_eq!(added(b"From: Mallory <m@evil.example>\r\n"), "nn");
        assert_eq!(added(b"Subject: another\r\n"), "nn");
        assert_eq!(added(b"Cc: there was none\r\n"), "nn");
        assert_eq!(verify(&keys, &[&signatures, MESSAGE, b"more\r\n"].concat()), "nn");
    }
}
