//! Who another mail server has to be, where something vouches for it.
//!
//! In: TLSA records (RFC 6698) and the names that the server may have (RFC 7672), or the names alone, for which an authority has to
//! vouch (RFC 8461 §4.1). Out: a client configuration whose handshake fails with any other server. Refused: records that mean
//! nothing for mail (RFC 7672 §3.1.3); where no other is left, they tell nobody from anybody.
//!
//! | usage | the server is right when |
//! |---|---|
//! | DANE-EE (3) | its own certificate matches: names and times say nothing (RFC 7672 §3.1.1) |
//! | DANE-TA (2) | a certificate of its chain matches, and vouches for one that holds a name and counts now (§3.1.2) |

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, SHA512, digest};
use hickory_proto::rr::rdata::TLSA;
use hickory_proto::rr::rdata::tlsa::{CertUsage, Matching, Selector};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use super::{AcceptAny, posture, proof};

/// A configuration for a server that these records describe; `None` where none of them can be used. `names` are those that a
/// certificate may hold: the host's, and the domain whose mail it takes (RFC 7672 §3.2.3).
pub fn by_dane(records: &[TLSA], names: &[String]) -> Option<Arc<ClientConfig>> {
    let records: Vec<TLSA> = records.iter().filter(|record| is_usable(record)).cloned().collect();
    if records.is_empty() {
        return None;
    }
    let names = names.iter().filter_map(|name| ServerName::try_from(name.clone()).ok()).collect();
    Some(configuration(Dane { records, names, signatures: AcceptAny(posture::provider()) }))
}

/// A configuration for a server that an authority vouches for, whom this machine trusts; `None` where it trusts nobody.
pub fn by_authorities() -> Option<Arc<ClientConfig>> {
    static CLIENT: std::sync::OnceLock<Option<Arc<ClientConfig>>> = std::sync::OnceLock::new();
    let make = || {
        let client = posture::client().dangerous().with_custom_certificate_verifier(proof::roots()?);
        Some(Arc::new(client.with_no_client_auth()))
    };
    CLIENT.get_or_init(make).clone()
}

fn configuration(verifier: Dane) -> Arc<ClientConfig> {
    let client = posture::client().dangerous().with_custom_certificate_verifier(Arc::new(verifier));
    Arc::new(client.with_no_client_auth())
}

/// Whether a record says something here; those of the public authorities' usages do not.
fn is_usable(record: &TLSA) -> bool {
    let length = record.cert_data.len();
    matches!(record.cert_usage, CertUsage::DaneEe | CertUsage::DaneTa)
        && matches!(record.selector, Selector::Full | Selector::Spki)
        && match record.matching {
            Matching::Raw => length > 0,
            Matching::Sha256 => length == 32,
            Matching::Sha512 => length == 64,
            _ => false,
        }
}

#[derive(Debug)]
struct Dane {
    records: Vec<TLSA>,
    names: Vec<ServerName<'static>>,
    signatures: AcceptAny,
}

impl Dane {
    fn matches(&self, usage: CertUsage, certificate: &CertificateDer<'_>) -> bool {
        let of_usage = self.records.iter().filter(|record| record.cert_usage == usage);
        of_usage.into_iter().any(|record| matches(record, certificate))
    }

    /// Whether a certificate of the chain that the records name vouches for the server's.
    fn is_vouched_for(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let mut roots = RootCertStore::empty();
        let named = intermediates.iter().filter(|one| self.matches(CertUsage::DaneTa, one));
        roots.add_parsable_certificates(named.map(|one| one.clone().into_owned()));
        if roots.is_empty() {
            return Err(none_matches());
        }
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), posture::provider());
        let verifier = verifier.build().map_err(|error| Error::General(error.to_string()))?;
        let judge = |name| verifier.verify_server_cert(end_entity, intermediates, name, &[], now);
        let mut refusal = none_matches();
        for name in &self.names {
            match judge(name) {
                Ok(verified) => return Ok(verified),
                Err(error) => refusal = error,
            }
        }
        Err(refusal)
    }
}

fn none_matches() -> Error {
    let told = "no certificate of the server matches the TLSA records of its name";
    Error::InvalidCertificate(CertificateError::Other(rustls::OtherError(Arc::new(std::io::Error::other(
        told,
    )))))
}

fn matches(record: &TLSA, certificate: &CertificateDer<'_>) -> bool {
    let selected = match record.selector {
        Selector::Full => certificate.as_ref().to_vec(),
        _ => match webpki::EndEntityCert::try_from(certificate) {
            Ok(parsed) => parsed.subject_public_key_info().to_vec(),
            Err(_) => return false,
        },
    };
    match record.matching {
        Matching::Raw => selected == record.cert_data,
        Matching::Sha256 => digest(&SHA256, &selected).as_ref() == record.cert_data,
        Matching::Sha512 => digest(&SHA512, &selected).as_ref() == record.cert_data,
        _ => false,
    }
}

impl ServerCertVerifier for Dane {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if self.matches(CertUsage::DaneEe, end_entity) {
            return Ok(ServerCertVerified::assertion());
        }
        self.is_vouched_for(end_entity, intermediates, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signatures.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signatures.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.signatures.supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, PublicKeyData};

    use super::*;

    /// A server's chain: its own certificate for `mx.example`, and that of the authority that issued it.
    struct Chain {
        key: KeyPair,
        end_entity: CertificateDer<'static>,
        issuer: CertificateDer<'static>,
    }

    fn chain() -> Chain {
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let parameters = CertificateParams::new(vec!["mx.example".to_owned()]).unwrap();
        let end_entity = parameters.signed_by(&key, &issuer).unwrap().der().clone();
        Chain { key, end_entity, issuer: issuer.der().clone() }
    }

    fn record(usage: CertUsage, selector: Selector, matching: Matching, selected: &[u8]) -> TLSA {
        let data = match matching {
            Matching::Sha256 => digest(&SHA256, selected).as_ref().to_vec(),
            Matching::Sha512 => digest(&SHA512, selected).as_ref().to_vec(),
            _ => selected.to_vec(),
        };
        TLSA::new(usage, selector, matching, data)
    }

    fn judge(chain: &Chain, records: Vec<TLSA>, name: &str) -> Result<(), String> {
        let names = vec![ServerName::try_from(name.to_owned()).unwrap()];
        let dane = Dane { records, names, signatures: AcceptAny(posture::provider()) };
        let unasked = ServerName::try_from("another.example").unwrap();
        let now = UnixTime::since_unix_epoch(Duration::from_secs(1_800_000_000));
        let intermediates = [chain.issuer.clone()];
        let verified = dane.verify_server_cert(&chain.end_entity, &intermediates, &unasked, &[], now);
        verified.map(drop).map_err(|error| error.to_string())
    }

    #[test]
    fn the_servers_own_certificate_or_key_is_enough_whatever_its_name() {
        let (chain, other) = (chain(), self::chain());
        for matching in [Matching::Raw, Matching::Sha256, Matching::Sha512] {
            let spki = chain.key.subject_public_key_info();
            let key = record(CertUsage::DaneEe, Selector::Spki, matching, &spki);
            let whole = record(CertUsage::DaneEe, Selector::Full, matching, &chain.end_entity);
            assert_eq!(judge(&chain, vec![key.clone()], "elsewhere.example"), Ok(()));
            assert_eq!(judge(&chain, vec![whole.clone()], "elsewhere.example"), Ok(()));
            for wrong in [key, whole] {
                assert!(judge(&other, vec![wrong], "mx.example").unwrap_err().contains("TLSA"));
            }
        }
        let next = record(CertUsage::DaneEe, Selector::Spki, Matching::Sha256, b"the next key");
        let spki = chain.key.subject_public_key_info();
        let now = record(CertUsage::DaneEe, Selector::Spki, Matching::Sha256, &spki);
        assert_eq!(judge(&chain, vec![next, now], "mx.example"), Ok(()));
    }

    #[test]
    fn an_authority_of_the_domains_choice_vouches_for_the_name() {
        let (chain, other) = (chain(), self::chain());
        let issuer = record(CertUsage::DaneTa, Selector::Full, Matching::Sha256, &chain.issuer);
        assert_eq!(judge(&chain, vec![issuer.clone()], "mx.example"), Ok(()));
        assert!(judge(&chain, vec![issuer.clone()], "elsewhere.example").is_err());
        assert!(judge(&other, vec![issuer], "mx.example").is_err());
        // What names the authority does not name the server.
        let issuer = record(CertUsage::DaneEe, Selector::Full, Matching::Sha256, &chain.issuer);
        assert!(judge(&chain, vec![issuer], "mx.example").is_err());
    }

    #[test]
    fn records_that_mean_nothing_for_mail_are_left_out() {
        let digest = [0; 32];
        let usable = |usage, selector, matching, octets: &[u8]| {
            is_usable(&TLSA::new(usage, selector, matching, octets.to_vec()))
        };
        assert!(usable(CertUsage::DaneEe, Selector::Spki, Matching::Sha256, &digest));
        assert!(!usable(CertUsage::PkixEe, Selector::Spki, Matching::Sha256, &digest));
        assert!(!usable(CertUsage::PkixTa, Selector::Full, Matching::Sha256, &digest));
        assert!(!usable(CertUsage::DaneEe, Selector::Unassigned(9), Matching::Sha256, &digest));
        assert!(!usable(CertUsage::DaneEe, Selector::Spki, Matching::Unassigned(9), &digest));
        assert!(!usable(CertUsage::DaneEe, Selector::Spki, Matching::Sha512, &digest));
        assert!(!usable(CertUsage::DaneEe, Selector::Spki, Matching::Raw, &[]));
    }
}
