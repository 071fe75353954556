//! What home agrees to under TLS, at every listener and towards other servers: versions, suites, groups, tickets.
//!
//! | | |
//! |---|---|
//! | versions | 1.3 and 1.2 (RFC 8996 forbids older ones) |
//! | suites | ephemeral elliptic-curve key exchange with an AEAD, the server's order (RFC 9325 §4.2) |
//! | groups | X25519MLKEM768, then X25519, P-256, P-384 |
//! | resumption | tickets alone, their key renewed every six hours and forgotten after twelve (RFC 9325 §3.4) |
//! | absent | renegotiation, compression, early data: the library has no code for the first two, and the third is off |
//!
//! They are named here one by one, so that a new version of the library changes none of them unseen.

use std::sync::Arc;

use rustls::crypto::aws_lc_rs::{Ticketer, cipher_suite as suite, default_provider, kx_group};
use rustls::crypto::{CryptoProvider, SupportedKxGroup};
use rustls::server::{NoServerSessionStorage, ResolvesServerCert};
use rustls::version::{TLS12, TLS13};
use rustls::{
    ClientConfig, ConfigBuilder, ServerConfig, SupportedCipherSuite, SupportedProtocolVersion, WantsVerifier,
};

const VERSIONS: [&SupportedProtocolVersion; 2] = [&TLS13, &TLS12];

const SUITES: [SupportedCipherSuite; 9] = [
    suite::TLS13_AES_256_GCM_SHA384,
    suite::TLS13_AES_128_GCM_SHA256,
    suite::TLS13_CHACHA20_POLY1305_SHA256,
    suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
    suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
];

/// The hybrid with ML-KEM-768 first: what is recorded today stays secret from tomorrow's quantum computer.
const GROUPS: [&dyn SupportedKxGroup; 4] =
    [kx_group::X25519MLKEM768, kx_group::X25519, kx_group::SECP256R1, kx_group::SECP384R1];

/// The suites and groups, for servers and clients.
pub(super) fn provider() -> Arc<CryptoProvider> {
    Arc::new(CryptoProvider {
        cipher_suites: SUITES.to_vec(),
        kx_groups: GROUPS.to_vec(),
        ..default_provider()
    })
}

/// The beginning of a client's configuration; who the server may be is the caller's.
pub(super) fn client() -> ConfigBuilder<ClientConfig, WantsVerifier> {
    client_of(&VERSIONS)
}

/// The same of some versions only: 1.3, 1.2.
pub(super) fn client_of(
    versions: &[&'static SupportedProtocolVersion],
) -> ConfigBuilder<ClientConfig, WantsVerifier> {
    ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(versions)
        .expect("the provider supports TLS 1.2 and 1.3")
}

/// The configuration of a server that shows what `certificates` chooses.
///
/// # Errors
/// Where the system gives no random numbers for the key of the tickets.
pub(super) fn server(certificates: Arc<dyn ResolvesServerCert>) -> Result<ServerConfig, rustls::Error> {
    let mut server = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&VERSIONS)?
        .with_no_client_auth()
        .with_cert_resolver(certificates);
    server.ignore_client_order = true;
    server.session_storage = Arc::new(NoServerSessionStorage {});
    server.ticketer = Ticketer::new()?;
    Ok(server)
}

#[cfg(test)]
mod tests {
    use rustls::{CipherSuite, NamedGroup};

    use super::*;

    #[test]
    fn every_suite_is_forward_secret_and_authenticated() {
        for offered in provider().cipher_suites.iter().map(SupportedCipherSuite::suite) {
            let name = format!("{offered:?}");
            assert!(name.starts_with("TLS13_") || name.starts_with("TLS_ECDHE_"), "{name}");
            assert!(name.contains("_GCM_") || name.contains("_POLY1305_"), "{name}");
        }
        assert_eq!(provider().cipher_suites[0].suite(), CipherSuite::TLS13_AES_256_GCM_SHA384);
    }

    #[test]
    fn the_group_that_outlives_quantum_computers_is_first() {
        let groups: Vec<NamedGroup> = provider().kx_groups.iter().map(|group| group.name()).collect();
        let wanted =
            [NamedGroup::X25519MLKEM768, NamedGroup::X25519, NamedGroup::secp256r1, NamedGroup::secp384r1];
        assert_eq!(groups, wanted);
    }
}
