//! Certificates and chains, made here and read.

use super::*;

fn certificate(year: i32) -> Vec<u8> {
    let mut parameters = rcgen::CertificateParams::new(vec!["mail.home.example".to_owned()]).expect("a name");
    parameters.not_after = rcgen::date_time_ymd(year, 3, 15);
    let key = rcgen::KeyPair::generate().expect("a key");
    parameters.self_signed(&key).expect("signed").der().to_vec()
}

#[test]
fn the_end_is_read_in_both_forms_of_time() {
    for year in [2031, 2049, 2050, 4096] {
        let [_, end] = validity(&certificate(year)).expect("an end");
        assert_eq!(end.to_string(), format!("{year}-03-15T00:00:00Z"));
    }
}

#[test]
fn a_certificate_that_is_cut_has_no_end_or_its_own() {
    let whole = certificate(2031);
    for length in 0..whole.len() {
        assert_eq!(validity(&whole[..length]), None, "{length}");
        assert_eq!(authority_key_identifier(&whole[..length]), None, "{length}");
    }
    assert_eq!(validity(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff]), None);
    assert_eq!(instant(UTC_TIME, "é"), None);
    assert_eq!(
        instant(UTC_TIME, "500101000000Z").map(|time| time.to_string()).as_deref(),
        Some("1950-01-01T00:00:00Z")
    );
}

/// An authority, and a certificate that it issued for these names, for the next ten years.
struct Issued {
    chain: Vec<CertificateDer<'static>>,
    key: KeyId,
}

fn issued(names: &[&str]) -> Issued {
    let authority_key = rcgen::KeyPair::generate().expect("a key");
    let mut authority = rcgen::CertificateParams::default();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    authority.distinguished_name.push(rcgen::DnType::OrganizationName, "Test");
    authority.distinguished_name.push(rcgen::DnType::CommonName, "Authority");
    let certificate = authority.self_signed(&authority_key).expect("signed");
    let issuer = rcgen::Issuer::new(authority, authority_key);
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut leaf = rcgen::CertificateParams::new(names).expect("names");
    leaf.not_before = rcgen::date_time_ymd(2027, 1, 1);
    leaf.not_after = rcgen::date_time_ymd(2037, 1, 1);
    leaf.use_authority_key_identifier_extension = true;
    leaf.serial_number = Some(rcgen::SerialNumber::from_slice(&[0x12, 0x34]));
    let key = rcgen::KeyPair::generate().expect("a key");
    let leaf = leaf.signed_by(&key, &issuer).expect("signed");
    let id = KeyId::of_spki(&rcgen::PublicKeyData::subject_public_key_info(&key));
    Issued { chain: vec![leaf.der().clone(), certificate.der().clone()], key: id }
}

/// 2030-01-01.
const NOW: u64 = 1_893_456_000;

fn checked(issued: &Issued, names: &[&str], now: u64) -> Result<Description, ChainError> {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let algorithms = rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms;
    check(&issued.chain, issued.key, &names, now, &algorithms)
}

#[test]
fn a_good_chain_is_described() {
    let issued = issued(&["mail.home.example", "*.home.example"]);
    let description = checked(&issued, &["mail.home.example", "*.home.example"], NOW).expect("good");
    assert_eq!(description.names, ["mail.home.example", "*.home.example"]);
    assert_eq!(description.issuer, "Test, Authority");
    assert_eq!(description.key, issued.key);
    let identifier = renewal_identifier(&issued.chain[0]).expect("an identifier").to_string();
    assert!(identifier.ends_with(".EjQ"), "{identifier}");
}

/// Those that rcgen makes are signed with ECDSA and SHA-256.
#[test]
fn the_end_point_is_hashed_as_it_was_signed() {
    let certificate = &issued(&["mail.home.example"]).chain[0];
    let hash = end_point_hash(certificate).expect("a hash");
    assert_eq!(hash, aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, certificate).as_ref());
    let mut with_sha384 = certificate.to_vec();
    let at = with_sha384.windows(8).rposition(|octets| octets == WITH_SHA_256[1]).expect("the algorithm");
    with_sha384[at + 7] = 3;
    assert_eq!(end_point_hash(&with_sha384.into()).map(|hash| hash.len()), Some(48));
    assert_eq!(end_point_hash(&CertificateDer::from(&b"no certificate"[..])), None);
}

#[test]
fn a_chain_that_clients_would_refuse_is_refused() {
    let good = issued(&["mail.home.example"]);
    assert!(matches!(checked(&good, &["home.example"], NOW), Err(ChainError::Name(_))));
    assert!(matches!(checked(&good, &["*.home.example"], NOW), Err(ChainError::Name(_))));
    assert!(matches!(checked(&good, &[], NOW + 10 * 366 * 86_400), Err(ChainError::Time(_))));
    assert!(matches!(checked(&good, &[], NOW - 4 * 366 * 86_400), Err(ChainError::Time(_))));
    let other = issued(&["mail.home.example"]);
    let with_other_key = Issued { chain: good.chain.clone(), key: other.key };
    assert_eq!(checked(&with_other_key, &[], NOW), Err(ChainError::OtherKey));
    let by_other = Issued { chain: vec![good.chain[0].clone(), other.chain[1].clone()], key: good.key };
    assert!(matches!(checked(&by_other, &[], NOW), Err(ChainError::Chain(_))));
    let empty = Issued { chain: Vec::new(), key: good.key };
    assert_eq!(checked(&empty, &[], NOW), Err(ChainError::Empty));
}
