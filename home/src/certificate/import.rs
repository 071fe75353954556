//! A key and certificate that the operator brings: checked before anything is changed.
//!
//! In: both in PEM. Out: the material and what the certificate says. Refused: a key that does not fit, names that are not
//! home's, a certificate that has ended or does not count yet, a chain that does not hold together.

use rustls::crypto::aws_lc_rs as provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{PrivateKeyDer, SubjectPublicKeyInfoDer};

use super::book::{Material, certificates};
use super::key::{KeyId, Pkcs8};
use super::x509::{self, ChainError, Description};

/// Why a certificate is not imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// No private key.
    #[error("the key's file holds no private key in PEM format (-----BEGIN PRIVATE KEY-----)")]
    NoKey,
    /// A key in another form than PKCS #8.
    #[error("the private key is in an old form; `openssl pkcs8 -topk8 -nodes -in KEY` turns it into PKCS #8")]
    OldKey,
    /// A key of an unknown kind.
    #[error(
        "the private key is of a kind that is not known here; use ECDSA on P-256 or P-384, RSA or Ed25519"
    )]
    UnknownKey,
    /// The chain.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// It is for no names of this home.
    #[error("the certificate is for {found}, and home's names are {wanted}")]
    Names {
        /// The certificate's names.
        found: String,
        /// Home's.
        wanted: String,
    },
}

/// Checks key and chain; the names are for the caller to compare.
///
/// # Errors
/// See [`ImportError`].
pub fn check(chain: &str, key: &str, now: u64) -> Result<(KeyId, Material, Description), ImportError> {
    let private = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|_| ImportError::NoKey)?;
    let PrivateKeyDer::Pkcs8(pkcs8) = &private else { return Err(ImportError::OldKey) };
    let signer = provider::sign::any_supported_type(&private).map_err(|_| ImportError::UnknownKey)?;
    let public: SubjectPublicKeyInfoDer<'_> = signer.public_key().ok_or(ImportError::UnknownKey)?;
    let id = KeyId::of_spki(&public);
    let algorithms = provider::default_provider().signature_verification_algorithms;
    let description = x509::check(&certificates(chain), id, &[], now, &algorithms)?;
    let pkcs8 = Pkcs8::new(pkcs8.secret_pkcs8_der().to_vec());
    Ok((id, Material { pkcs8, chain: Some(chain.to_owned()), imported: true }, description))
}
