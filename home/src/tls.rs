//! TLS: the certificate that home shows, and the configurations of its servers and of its outbound client.
//!
//! In: a certificate chain and key by path, or none: then a self-signed certificate for the host name is made at the
//! first start and kept in `STATE_DIR/tls/NAME.crt` and `NAME.key` (0600), and serves until `certificate` brings a better
//! one. Out: a [`rustls::ServerConfig`] for every service, which chooses by the name that the client asks for (SNI, RFC 6066
//! §3) and shows the mail host's certificate where none fits; client configurations, one that believes nobody (for
//! opportunistic STARTTLS towards other servers) and one that verifies.
//!
//! Refused: files that cannot be read, that hold no certificate or no key, or whose key does not fit.
//!
//! Versions are TLS 1.2 and 1.3 (RFC 8996 forbids older ones, RFC 8314 §4.1). Towards other servers every certificate
//! is accepted where nothing says which one it shall be (the module `peer`): encryption without authentication is what
//! STARTTLS between servers gives then (RFC 7435), and refusing it would only send the mail in clear.

pub mod peer;

mod posture;
mod proof;

use std::collections::BTreeMap;
use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use aws_lc_rs::digest::{SHA256, digest};
use jiff::Timestamp;
use postern_message::address::DomainName;
use postern_shared::cli::Failure;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig, SignatureScheme,
    SupportedProtocolVersion,
};

use crate::certificate::names::wildcard;
use crate::certificate::x509::{self, Description};
use crate::config;
use crate::zone::clock::timestamp;

pub use proof::{Flaw, Life, believed};

/// The certificate that is shown now and the server configuration that shows it.
#[derive(Debug, Clone)]
pub struct Tls {
    source: Source,
    shown: Arc<Shown>,
    server: Arc<ServerConfig>,
}

/// Where the certificate comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Source {
    Files { certificate: PathBuf, key: PathBuf },
    SelfSigned { directory: PathBuf },
}

/// Why there is no certificate to show; each text is a paragraph for the operator.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{}: reading failed: {source}. See that the path in the section `[tls]` is right and that the service's user may read the file.", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file cannot be written.
    #[error("{}: writing failed: {source}. See that the service's user may write there.", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file does not hold what it should.
    #[error("{}: the file holds no {wanted} in PEM format (-----BEGIN …-----). Name the right file in the section `[tls]`.", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What was looked for.
        wanted: &'static str,
    },
    /// Key and certificate do not belong together, or the key is of an unknown kind.
    #[error("{}: the private key cannot be used with the certificate {}: {reason}. Name a certificate and key that belong together.", key.display(), certificate.display())]
    Mismatch {
        /// The key's file.
        key: PathBuf,
        /// The certificate's file.
        certificate: PathBuf,
        /// What rustls said.
        reason: String,
    },
    /// A self-signed certificate could not be made.
    #[error("a self-signed certificate for {name} could not be made: {reason}.")]
    Generate {
        /// The host name.
        name: DomainName,
        /// What failed.
        reason: String,
    },
    /// The library cannot serve.
    #[error("TLS cannot be served: {0}.")]
    Library(String),
}

/// Files that the configuration names and that cannot be used are the configuration's fault.
impl From<TlsError> for Failure {
    fn from(error: TlsError) -> Self {
        match error {
            TlsError::File { .. } | TlsError::Content { .. } | TlsError::Mismatch { .. } => {
                Self::usage(error.to_string())
            }
            TlsError::Unwritable { .. } | TlsError::Generate { .. } | TlsError::Library(_) => {
                Self::failed(error.to_string())
            }
        }
    }
}

impl Tls {
    /// Loads the configured certificate, or the self-signed one of this host name, made where it is missing.
    ///
    /// # Errors
    /// See [`TlsError`].
    pub fn open(config: &config::Tls, state_dir: &Path, hostname: &DomainName) -> Result<Self, TlsError> {
        let source = match (&config.certificate, &config.key) {
            (Some(certificate), Some(key)) => {
                Source::Files { certificate: certificate.clone(), key: key.clone() }
            }
            _ => Source::SelfSigned { directory: state_dir.join("tls") },
        };
        let choice = Choice { fallback: source.load(hostname)?, better: Better::default() };
        let shown = Arc::new(Shown(RwLock::new(choice)));
        let server = posture::server(shown.clone()).map_err(|error| TlsError::Library(error.to_string()))?;
        Ok(Self { source, shown, server: Arc::new(server) })
    }

    /// Reads the configured files, where there are some, without taking them up.
    ///
    /// # Errors
    /// See [`TlsError`].
    pub fn check(config: &config::Tls) -> Result<(), TlsError> {
        match (&config.certificate, &config.key) {
            (Some(certificate), Some(key)) => load(certificate, key).map(drop),
            _ => Ok(()),
        }
    }

    /// Takes up the certificate again: changed files, or the self-signed one of a new host name. Connections that are
    /// open keep the old one.
    ///
    /// # Errors
    /// See [`TlsError`]; the old certificate is shown on.
    pub fn reload(&self, hostname: &DomainName) -> Result<(), TlsError> {
        let certified = self.source.load(hostname)?;
        self.shown.0.write().unwrap_or_else(PoisonError::into_inner).fallback = certified;
        Ok(())
    }

    /// Shows these certificates from now on, instead of those of the call before. Connections that are open go on.
    pub fn show(&self, better: Better) {
        self.shown.0.write().unwrap_or_else(PoisonError::into_inner).better = better;
    }

    /// Whether the operator has named files, which come before everything else for the mail host.
    pub fn has_files(&self) -> bool {
        matches!(self.source, Source::Files { .. })
    }

    /// The certificate of the files, or the self-signed one: what is shown where there is no better one.
    pub fn fallback(&self) -> Option<Description> {
        let choice = self.shown.0.read().unwrap_or_else(PoisonError::into_inner);
        x509::describe(choice.fallback.cert.first()?)
    }

    /// The configuration of a service whose protocol has no name in RFC 7301's registry.
    pub fn server(&self) -> Arc<ServerConfig> {
        self.server.clone()
    }

    /// The configuration of a service that speaks this protocol (its name in RFC 7301's registry): a client that asks for
    /// others only is refused, so that nobody leads one protocol's client to another's server.
    pub fn server_speaking(&self, protocol: &str) -> Arc<ServerConfig> {
        let mut server = ServerConfig::clone(&self.server);
        server.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        Arc::new(server)
    }

    /// The certificate that a client gets who asks for this name, or for none.
    fn certificate_for(&self, name: Option<&str>) -> Arc<CertifiedKey> {
        self.shown.for_name(name)
    }

    /// The certificates that a client gets who asks for this name.
    pub fn shown(&self, name: &str) -> Vec<CertificateDer<'static>> {
        self.certificate_for(Some(name)).cert.clone()
    }

    /// Whether the certificate is one that no client trusts by itself.
    pub fn is_self_signed(&self) -> bool {
        let choice = self.shown.0.read().unwrap_or_else(PoisonError::into_inner);
        choice.better.host.is_none() && !self.has_files()
    }

    /// When the mail host's certificate ends.
    pub fn expires(&self) -> Option<Timestamp> {
        Some(timestamp(x509::describe(self.shown.for_name(None).cert.first()?)?.span.until))
    }

    /// SHA-256 over the DER of the mail host's certificate, in upper-case hexadecimal with colons, as mail programs
    /// show it.
    pub fn fingerprint(&self) -> String {
        let certified = self.shown.for_name(None);
        let der = certified.cert.first().map_or(&[][..], |certificate| certificate.as_ref());
        let octets: Vec<String> =
            digest(&SHA256, der).as_ref().iter().map(|octet| format!("{octet:02X}")).collect();
        octets.join(":")
    }
}

/// The client configuration for STARTTLS towards other servers, which accepts any certificate (RFC 7435).
pub fn opportunistic_client() -> Arc<ClientConfig> {
    let verifier = AcceptAny(posture::provider());
    let client = posture::client().dangerous().with_custom_certificate_verifier(Arc::new(verifier));
    Arc::new(client.with_no_client_auth())
}

/// A client configuration for one version only, which accepts any certificate: for a look at what a server shows.
pub fn looking_client(version: &'static SupportedProtocolVersion) -> Arc<ClientConfig> {
    let verifier = AcceptAny(posture::provider());
    let client =
        posture::client_of(&[version]).dangerous().with_custom_certificate_verifier(Arc::new(verifier));
    Arc::new(client.with_no_client_auth())
}

/// The client configuration for servers that must be who they say.
pub fn verifying_client(roots: RootCertStore) -> Arc<ClientConfig> {
    Arc::new(posture::client().with_root_certificates(roots).with_no_client_auth())
}

/// Certificates that come before the self-signed one.
#[derive(Debug, Default)]
pub struct Better {
    /// The mail host's, for every client that asks for no other name.
    pub host: Option<Arc<CertifiedKey>>,
    /// Those of other names, in lower case; `*.` stands for one label.
    pub by_name: BTreeMap<String, Arc<CertifiedKey>>,
}

/// What there is to choose from.
#[derive(Debug)]
struct Choice {
    fallback: Arc<CertifiedKey>,
    better: Better,
}

/// Gives every client the certificate of the moment that fits the name it asks for.
#[derive(Debug)]
struct Shown(RwLock<Choice>);

impl Shown {
    fn for_name(&self, name: Option<&str>) -> Arc<CertifiedKey> {
        let Choice { fallback, better } = &*self.0.read().unwrap_or_else(PoisonError::into_inner);
        let fitting = name.and_then(|name| better.for_name(&name.to_ascii_lowercase()));
        fitting.or(better.host.as_ref()).unwrap_or(fallback).clone()
    }
}

impl Better {
    fn for_name(&self, name: &str) -> Option<&Arc<CertifiedKey>> {
        let wildcard = || self.by_name.get(&wildcard(name)?);
        self.by_name.get(name).or_else(wildcard)
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.for_name(hello.server_name()))
    }
}

impl Source {
    fn load(&self, hostname: &DomainName) -> Result<Arc<CertifiedKey>, TlsError> {
        match self {
            Self::Files { certificate, key } => load(certificate, key),
            Self::SelfSigned { directory } => {
                let certificate = directory.join(format!("{hostname}.crt"));
                let key = directory.join(format!("{hostname}.key"));
                if !certificate.exists() || !key.exists() {
                    make_self_signed(hostname, directory, &certificate, &key)?;
                }
                load(&certificate, &key)
            }
        }
    }
}

fn load(certificate: &Path, key: &Path) -> Result<Arc<CertifiedKey>, TlsError> {
    let chain: Vec<_> =
        CertificateDer::pem_slice_iter(&read(certificate)?).collect::<Result<_, _>>().unwrap_or_default();
    if chain.is_empty() {
        return Err(TlsError::Content { path: certificate.to_owned(), wanted: "certificate" });
    }
    let private = PrivateKeyDer::from_pem_slice(&read(key)?)
        .map_err(|_| TlsError::Content { path: key.to_owned(), wanted: "private key" })?;
    CertifiedKey::from_der(chain, private, &posture::provider()).map(Arc::new).map_err(|error| {
        TlsError::Mismatch {
            key: key.to_owned(),
            certificate: certificate.to_owned(),
            reason: error.to_string(),
        }
    })
}

fn read(path: &Path) -> Result<zeroize::Zeroizing<Vec<u8>>, TlsError> {
    std::fs::read(path).map(Into::into).map_err(|source| TlsError::File { path: path.to_owned(), source })
}

/// Writes the key before the certificate: a certificate that is there has its key.
fn make_self_signed(
    name: &DomainName,
    directory: &Path,
    certificate: &Path,
    key: &Path,
) -> Result<(), TlsError> {
    let failed = |error: rcgen::Error| TlsError::Generate { name: name.clone(), reason: error.to_string() };
    let pair = rcgen::generate_simple_self_signed([name.to_string()]).map_err(failed)?;
    let made = DirBuilder::new().recursive(true).mode(0o700).create(directory);
    made.map_err(|source| TlsError::Unwritable { path: directory.to_owned(), source })?;
    let secret = zeroize::Zeroizing::new(pair.signing_key.serialize_pem());
    write(key, 0o600, secret.as_bytes())?;
    write(certificate, 0o644, pair.cert.pem().as_bytes())
}

fn write(path: &Path, mode: u32, octets: &[u8]) -> Result<(), TlsError> {
    let unfinished = path.with_extension("new");
    let written = || -> io::Result<()> {
        let _ = std::fs::remove_file(&unfinished);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&unfinished)?;
        file.write_all(octets)?;
        file.sync_all()?;
        std::fs::rename(&unfinished, path)
    };
    written().map_err(|source| TlsError::Unwritable { path: path.to_owned(), source })
}

/// Checks the handshake's signatures, so that the peer holds the key it shows, but not whose key it is.
#[derive(Debug)]
struct AcceptAny(Arc<CryptoProvider>);

impl ServerCertVerifier for AcceptAny {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests;
