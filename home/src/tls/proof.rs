//! Whether a stranger would believe the certificate that home shows for a name.
//!
//! In: the chain that is shown for the name, the system's root certificates, a time. Out: for how long the certificate
//! counts, or the [`Flaw`] that a sender or browser would meet: one made here, another name, an end that has passed. The
//! judgement is that of the library that such programs use (RFC 5280 §6, RFC 6125), not one of our own.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use jiff::Timestamp;
use postern_message::address::DomainName;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, RootCertStore};

use super::{Tls, posture};
use crate::certificate::x509;
use crate::zone::clock::timestamp;

/// From when until when a certificate counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Life {
    /// `notBefore`.
    pub from: Timestamp,
    /// `notAfter`.
    pub until: Timestamp,
}

/// Why a stranger would not believe the certificate; the text ends the sentence "the certificate …".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// No authority that the system trusts has issued it.
    #[error("is not issued by an authority that this machine trusts")]
    Untrusted,
    /// It is for other names.
    #[error("does not hold the name {0}")]
    Name(DomainName),
    /// Its time is over, or has not come.
    #[error("does not count at this time")]
    Time,
    /// This machine has no root certificates to judge by.
    #[error(
        "cannot be judged: this machine has no root certificates (on Debian: `apt install ca-certificates`)"
    )]
    NoRoots,
    /// Anything else that a verifier says.
    #[error("is refused: {0}")]
    Other(String),
}

impl Tls {
    /// Whether a stranger believes, at a time in seconds since 1970, what is shown for this name.
    ///
    /// # Errors
    /// The [`Flaw`] that is found.
    pub fn proof(&self, name: &DomainName, now: u64) -> Result<Life, Flaw> {
        let roots = roots().ok_or(Flaw::NoRoots)?;
        let shown = self.certificate_for(Some(name.as_str()));
        judge(roots, &shown.cert, name, now)
    }
}

/// Whether a stranger believes, at a time in seconds since 1970, this chain for this name.
///
/// # Errors
/// The [`Flaw`] that is found.
pub fn believed(chain: &[CertificateDer<'static>], name: &DomainName, now: u64) -> Result<Life, Flaw> {
    judge(roots().ok_or(Flaw::NoRoots)?, chain, name, now)
}

/// The system's verifier; its root certificates are read once, since packages renew them rarely.
pub(super) fn roots() -> Option<Arc<WebPkiServerVerifier>> {
    static ROOTS: OnceLock<Option<Arc<WebPkiServerVerifier>>> = OnceLock::new();
    ROOTS.get_or_init(|| verifier(rustls_native_certs::load_native_certs().certs)).clone()
}

/// `None` where there is no root.
fn verifier(roots: Vec<CertificateDer<'static>>) -> Option<Arc<WebPkiServerVerifier>> {
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(roots);
    WebPkiServerVerifier::builder_with_provider(Arc::new(store), posture::provider()).build().ok()
}

fn judge(
    roots: Arc<WebPkiServerVerifier>,
    chain: &[CertificateDer<'static>],
    name: &DomainName,
    now: u64,
) -> Result<Life, Flaw> {
    let other = |what: &str| Flaw::Other(what.to_owned());
    let (end_entity, intermediates) = chain.split_first().ok_or_else(|| other("there is none"))?;
    let server = ServerName::try_from(name.as_str()).map_err(|error| other(&error.to_string()))?;
    let now = UnixTime::since_unix_epoch(Duration::from_secs(now));
    roots
        .verify_server_cert(end_entity, intermediates, &server, &[], now)
        .map_err(|error| flaw(error, name))?;
    let span = x509::describe(end_entity).ok_or_else(|| other("it cannot be read"))?.span;
    Ok(Life { from: timestamp(span.from), until: timestamp(span.until) })
}

fn flaw(error: rustls::Error, name: &DomainName) -> Flaw {
    let rustls::Error::InvalidCertificate(error) = error else { return Flaw::Other(error.to_string()) };
    match error {
        // An issuer of a trusted name with a key of its own is none that is trusted.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => Flaw::Untrusted,
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            Flaw::Name(name.clone())
        }
        CertificateError::Expired
        | CertificateError::ExpiredContext { .. }
        | CertificateError::NotValidYet
        | CertificateError::NotValidYetContext { .. } => Flaw::Time,
        other => Flaw::Other(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};

    use super::*;

    fn name(text: &str) -> DomainName {
        text.parse().expect("a name")
    }

    fn seconds(text: &str) -> u64 {
        text.parse::<Timestamp>().expect("a time").as_second() as u64
    }

    fn authority() -> CertifiedIssuer<'static, KeyPair> {
        let mut parameters = CertificateParams::default();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        CertifiedIssuer::self_signed(parameters, KeyPair::generate().expect("a key")).expect("signed")
    }

    fn parameters() -> CertificateParams {
        let mut parameters = CertificateParams::new(vec!["mail.home.example".to_owned()]).expect("a name");
        parameters.not_before = date_time_ymd(2027, 1, 1);
        parameters.not_after = date_time_ymd(2027, 4, 1);
        parameters
    }

    #[test]
    fn what_a_stranger_believes_and_what_not() {
        let (trusted, unknown) = (authority(), authority());
        let issue = |issuer: &CertifiedIssuer<'_, KeyPair>| {
            let key = KeyPair::generate().expect("a key");
            vec![parameters().signed_by(&key, issuer).expect("signed").der().clone()]
        };
        let key = KeyPair::generate().expect("a key");
        let own = vec![parameters().self_signed(&key).expect("signed").der().clone()];
        let roots = verifier(vec![trusted.der().clone()]).expect("a root");
        let judge = |chain: &[CertificateDer<'static>], host: &str, time: &str| {
            judge(roots.clone(), chain, &name(host), seconds(time))
        };
        let (good, mail) = (issue(&trusted), "mail.home.example");
        let life = judge(&good, mail, "2027-02-01T00:00:00Z").expect("believed");
        assert_eq!(
            (life.from.to_string(), life.until.to_string()),
            ("2027-01-01T00:00:00Z".to_owned(), "2027-04-01T00:00:00Z".to_owned())
        );
        assert_eq!(judge(&good, mail, "2027-04-02T00:00:00Z"), Err(Flaw::Time));
        assert_eq!(judge(&good, mail, "2026-12-31T00:00:00Z"), Err(Flaw::Time));
        let other = "mta-sts.home.example";
        assert_eq!(judge(&good, other, "2027-02-01T00:00:00Z"), Err(Flaw::Name(name(other))));
        assert_eq!(judge(&issue(&unknown), mail, "2027-02-01T00:00:00Z"), Err(Flaw::Untrusted));
        assert_eq!(judge(&own, mail, "2027-02-01T00:00:00Z"), Err(Flaw::Untrusted));
        assert!(matches!(judge(&[], mail, "2027-02-01T00:00:00Z"), Err(Flaw::Other(_))));
        assert!(verifier(Vec::new()).is_none());
    }
}
