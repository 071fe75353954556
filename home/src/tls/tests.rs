//! Certificates made, loaded, exchanged and refused.

use std::os::unix::fs::PermissionsExt;

use super::*;

fn name(text: &str) -> DomainName {
    text.parse().expect("a name")
}

fn open(state_dir: &Path, hostname: &str) -> Tls {
    Tls::open(&config::Tls::default(), state_dir, &name(hostname)).expect("a certificate")
}

#[test]
fn the_self_signed_certificate_is_made_once_and_its_key_is_private() {
    let state_dir = tempfile::tempdir().expect("temporary directory");
    let first = open(state_dir.path(), "mail.home.example");
    let again = open(state_dir.path(), "mail.home.example");
    assert_eq!(first.fingerprint(), again.fingerprint());
    assert_eq!(first.fingerprint().len(), 32 * 3 - 1);
    let mode = |file: &str| {
        state_dir.path().join("tls").join(file).metadata().expect("a file").permissions().mode() & 0o777
    };
    assert_eq!(mode("mail.home.example.key"), 0o600);
    assert_eq!(mode("mail.home.example.crt"), 0o644);
}

#[test]
fn a_new_host_name_gets_its_own_certificate_while_running() {
    let state_dir = tempfile::tempdir().expect("temporary directory");
    let tls = open(state_dir.path(), "localhost");
    let before = tls.fingerprint();
    tls.reload(&name("mail.home.example")).expect("reloaded");
    assert_ne!(tls.fingerprint(), before);
}

#[test]
fn client_and_server_shake_hands() {
    let state_dir = tempfile::tempdir().expect("temporary directory");
    let tls = open(state_dir.path(), "mail.home.example");
    let mut server = rustls::ServerConnection::new(tls.server()).expect("a server");
    let to = ServerName::try_from("other.example").expect("a name");
    let mut client = rustls::ClientConnection::new(opportunistic_client(), to).expect("a client");
    while client.is_handshaking() || server.is_handshaking() {
        let mut octets = Vec::new();
        client.write_tls(&mut octets).expect("written");
        server.read_tls(&mut octets.as_slice()).expect("read");
        server.process_new_packets().expect("accepted");
        octets.clear();
        server.write_tls(&mut octets).expect("written");
        client.read_tls(&mut octets.as_slice()).expect("read");
        client.process_new_packets().expect("accepted");
    }
    assert_eq!(client.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_3));
}

#[test]
fn wrong_files_are_named_with_what_was_expected() {
    let state_dir = tempfile::tempdir().expect("temporary directory");
    for hostname in ["a.example", "b.example"] {
        open(state_dir.path(), hostname);
    }
    let at = |file: &str| Some(state_dir.path().join("tls").join(file));
    let refusal = |certificate, key| {
        let config = config::Tls { certificate, key };
        Tls::open(&config, state_dir.path(), &name("a.example")).expect_err("refused").to_string()
    };
    assert!(refusal(at("none.crt"), at("a.example.key")).contains("none.crt: reading failed"));
    assert!(refusal(at("a.example.key"), at("a.example.key")).contains("holds no certificate in PEM"));
    assert!(refusal(at("a.example.crt"), at("a.example.crt")).contains("holds no private key in PEM"));
    assert!(
        refusal(at("a.example.crt"), at("b.example.key")).contains("cannot be used with the certificate")
    );
}

/// What a client gets that asks for this name.
fn shown(tls: &Tls, asked: &str) -> Vec<u8> {
    let certified = tls.shown.for_name(Some(asked));
    certified.cert.first().expect("a certificate").to_vec()
}

#[test]
fn the_name_that_is_asked_for_chooses_the_certificate() {
    let state_dir = tempfile::tempdir().expect("temporary directory");
    let tls = open(state_dir.path(), "mail.home.example");
    let self_signed = shown(&tls, "mail.home.example");
    assert!(tls.is_self_signed());
    let other = |hostname: &str| {
        let tls = open(state_dir.path(), hostname);
        tls.shown.for_name(None)
    };
    let (host, web, star) = (other("host.example"), other("web.example"), other("star.example"));
    let names = [("mta-sts.home.example", &web), ("*.far.example", &star)];
    let by_name = names.map(|(name, certified)| (name.to_owned(), certified.clone())).into();
    tls.show(Better { host: Some(host.clone()), by_name });
    assert!(!tls.is_self_signed());
    let der = |certified: &Arc<CertifiedKey>| certified.cert[0].to_vec();
    assert_eq!(shown(&tls, "MTA-STS.home.example"), der(&web));
    assert_eq!(shown(&tls, "a.far.example"), der(&star));
    for unknown in ["a.b.far.example", "far.example", "mail.home.example", "x"] {
        assert_eq!(shown(&tls, unknown), der(&host), "{unknown}");
    }
    tls.show(Better::default());
    assert_eq!(shown(&tls, "mta-sts.home.example"), self_signed);
}
