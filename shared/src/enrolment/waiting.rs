//! Enrolment without a code: an edge that was told which home to wait for, before that home has ever spoken to it.
//!
//! In: home's public identity, which is no secret. Out: the keys of a bootstrap epoch that both ends derive from it
//! (HKDF-SHA-256, RFC 5869), so that a home which knows nothing of the edge but its address can begin a handshake.
//!
//! These keys keep out who does not know the identity, and no one else. What they do not give:
//! * The edge knows home by its signature of the request, as always.
//! * Home does not know the edge: who sits on the way at the first contact can stand in its place, and home is then joined
//!   to a stranger's edge; between the two it cannot sit, since the signed request fixes home's key. The operator compares
//!   the keys that both ends show, or gives home the edge's key beforehand.
//! * The session is secret to all but an active attacker, as any Diffie-Hellman exchange, and not against quantum
//!   computers. So home renews all keys at once; that exchange (ML-KEM-768) is made inside the first epoch.

use crate::identity::PublicIdentity;
use crate::join_code::{BootstrapKeys, bootstrap_keys, expand};
use crate::tunnel::PrivateKey;

/// Both halves of the bootstrap epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitingKeys {
    /// The edge's static key.
    pub edge_key: PrivateKey,
    /// Home's half.
    pub home: BootstrapKeys,
}

/// The keys with which an edge waits for the home of this identity.
pub fn waiting_keys(identity: &PublicIdentity) -> WaitingKeys {
    let salt = ring::hkdf::Salt::new(ring::hkdf::HKDF_SHA256, b"postern-wait-v1");
    let extracted = salt.extract(identity.octets());
    WaitingKeys {
        edge_key: PrivateKey::from_octets(expand(&extracted, b"edge static key")),
        home: bootstrap_keys(&extracted),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Identity;

    #[test]
    fn keys_are_a_function_of_the_identity_and_differ_from_each_other() {
        let directory = tempfile::tempdir().unwrap();
        let identity =
            |name: &str| Identity::load_or_generate(&directory.path().join(name)).unwrap().public();
        let keys = waiting_keys(&identity("a"));
        assert_eq!(keys, waiting_keys(&identity("a")));
        assert_ne!(keys, waiting_keys(&identity("b")));
        assert_ne!(keys.edge_key, keys.home.home_key);
    }
}
