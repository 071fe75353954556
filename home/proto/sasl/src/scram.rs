//! SCRAM-SHA-256 and -PLUS: the keys kept for a user, and the two messages of the server (RFC 5802 §3, §5; RFC 7677).
//!
//! Kept for a user are `salt`, `iterations`, `StoredKey` and `ServerKey`: enough to verify, not enough to log in.

use std::{fmt, num::NonZeroU32};

use aws_lc_rs::{constant_time, digest, hmac, pbkdf2};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::{ChannelBindings, Failure, Mechanism};

/// Fewest iterations that RFC 7677 §4 allows.
pub const MIN_ITERATIONS: u32 = 4096;

/// What the directory keeps of a password for SCRAM.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct ScramCredentials {
    /// Random, per user; 16 octets are usual.
    pub salt: Vec<u8>,
    /// Rounds of PBKDF2.
    pub iterations: u32,
    /// H(HMAC(SaltedPassword, "Client Key")).
    pub stored_key: [u8; 32],
    /// HMAC(SaltedPassword, "Server Key").
    pub server_key: [u8; 32],
}

impl ScramCredentials {
    /// Derives the keys from a password; `iterations` below [`MIN_ITERATIONS`] are raised to it.
    pub fn derive(password: &str, salt: &[u8], iterations: u32) -> ScramCredentials {
        let iterations = iterations.max(MIN_ITERATIONS);
        let Keys { client_key, server_key } = keys(password, salt, iterations);
        ScramCredentials {
            salt: salt.to_vec(),
            iterations,
            stored_key: sha256(client_key.as_ref()),
            server_key,
        }
    }

    /// Credentials for a user who does not exist: the same salt at every try, and keys that no password
    /// fits, so that a stranger cannot tell the difference (RFC 5802 §9). `secret` is the server's own.
    pub fn decoy(secret: &[u8], login: &str, iterations: u32) -> ScramCredentials {
        let part = |label: &[u8]| hmac_sha256(secret, &[label, b"\0", login.as_bytes()]);
        let salt = part(b"salt").iter().copied().take(16).collect();
        ScramCredentials {
            salt,
            iterations: iterations.max(MIN_ITERATIONS),
            stored_key: part(b"stored key"),
            server_key: part(b"server key"),
        }
    }
}

impl fmt::Debug for ScramCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScramCredentials").field("iterations", &self.iterations).finish_non_exhaustive()
    }
}

/// The client-first-message (RFC 5802 §7).
#[derive(Debug)]
pub(crate) struct ClientFirst {
    pub(crate) authorization: String,
    pub(crate) login: String,
    /// What the client says again in its final message: the GS2 header and the binding's octets.
    binding_input: Vec<u8>,
    bare: String,
    nonce: String,
}

impl ClientFirst {
    /// Reads `gs2-cbind-flag "," [a=authzid] "," n=user "," r=nonce [extensions]`.
    pub(crate) fn parse(
        message: &[u8],
        mechanism: Mechanism,
        bindings: &ChannelBindings,
    ) -> Result<ClientFirst, Failure> {
        let text = std::str::from_utf8(message).map_err(|_| Failure::Malformed)?;
        let (flag, rest) = text.split_once(',').ok_or(Failure::Malformed)?;
        let binding = bound_by(flag, mechanism, bindings)?;
        let (authorization, bare) = rest.split_once(',').ok_or(Failure::Malformed)?;
        let binding_input = [format!("{flag},{authorization},").as_bytes(), binding].concat();
        let mut attributes = bare.split(',');
        // An "m=" extension would stand here; it is mandatory to understand, and none is defined.
        let login = attribute(attributes.next(), "n=")?;
        let nonce = attribute(attributes.next(), "r=")?;
        if !is_nonce(nonce) {
            return Err(Failure::Malformed);
        }
        Ok(ClientFirst {
            authorization: match authorization {
                "" => String::new(),
                given => unescape_name(attribute(Some(given), "a=")?)?,
            },
            login: unescape_name(login)?,
            binding_input,
            bare: bare.to_owned(),
            nonce: nonce.to_owned(),
        })
    }
}

/// The octets that the client must repeat, by its channel binding flag (RFC 5802 §6): `n`, it cannot bind; `y`, it could but
/// saw no -PLUS, which is a lie of somebody between us where -PLUS was offered; `p`, it binds, in -PLUS and nowhere else.
fn bound_by<'a>(
    flag: &str,
    mechanism: Mechanism,
    bindings: &'a ChannelBindings,
) -> Result<&'a [u8], Failure> {
    match (flag, flag.strip_prefix("p="), mechanism) {
        (_, Some(name), Mechanism::ScramSha256Plus) => bindings.named(name).ok_or(Failure::ChannelBinding),
        (_, Some(_), _) | ("n" | "y", _, Mechanism::ScramSha256Plus) => Err(Failure::ChannelBinding),
        ("n", ..) => Ok(&[]),
        ("y", ..) if bindings.is_empty() => Ok(&[]),
        ("y", ..) => Err(Failure::ChannelBinding),
        _ => Err(Failure::Malformed),
    }
}

fn attribute<'a>(part: Option<&'a str>, prefix: &str) -> Result<&'a str, Failure> {
    part.and_then(|part| part.strip_prefix(prefix))
        .filter(|value| !value.is_empty())
        .ok_or(Failure::Malformed)
}

/// Printable ASCII without the comma.
fn is_nonce(nonce: &str) -> bool {
    nonce.bytes().all(|octet| octet.is_ascii_graphic() && octet != b',')
}

/// A name has `,` and `=` written as `=2C` and `=3D`, and no other `=` (RFC 5802 §5.1).
fn unescape_name(name: &str) -> Result<String, Failure> {
    let mut parts = name.split('=');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (escaped, rest) = match part {
            part if part.starts_with("2C") => (',', part.get(2..)),
            part if part.starts_with("3D") => ('=', part.get(2..)),
            _ => return Err(Failure::Malformed),
        };
        plain.push(escaped);
        plain.push_str(rest.unwrap_or_default());
    }
    if plain.contains('\0') { Err(Failure::Malformed) } else { Ok(plain) }
}

/// The server-first-message, with all that is needed to judge the client's answer to it.
#[derive(Debug)]
pub(crate) struct ServerFirst {
    client_first: ClientFirst,
    credentials: ScramCredentials,
    nonce: String,
    message: String,
}

impl ServerFirst {
    pub(crate) fn new(client_first: ClientFirst, credentials: ScramCredentials, nonce: &str) -> ServerFirst {
        let nonce = format!("{}{nonce}", client_first.nonce);
        let salt = BASE64.encode(&credentials.salt);
        let message = format!("r={nonce},s={salt},i={}", credentials.iterations);
        ServerFirst { client_first, credentials, nonce, message }
    }

    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// Judges the client-final-message; gives the server-final-message.
    pub(crate) fn verify(&self, client_final: &[u8]) -> Result<String, Failure> {
        let text = std::str::from_utf8(client_final).map_err(|_| Failure::Malformed)?;
        let (without_proof, proof) = text.rsplit_once(",p=").ok_or(Failure::Malformed)?;
        let mut attributes = without_proof.split(',');
        let binding = attribute(attributes.next(), "c=")?;
        let nonce = attribute(attributes.next(), "r=")?;
        if BASE64.decode(binding).ok().as_deref() != Some(&self.client_first.binding_input[..]) {
            return Err(Failure::ChannelBinding);
        }
        if nonce != self.nonce {
            return Err(Failure::Rejected);
        }
        let proof = BASE64.decode(proof).map_err(|_| Failure::Malformed)?;
        let auth_message = format!("{},{},{without_proof}", self.client_first.bare, self.message);
        self.check_proof(&proof, auth_message.as_bytes())?;
        let signature = hmac_sha256(&self.credentials.server_key, &[auth_message.as_bytes()]);
        Ok(format!("v={}", BASE64.encode(signature)))
    }

    /// ClientKey = ClientProof XOR ClientSignature; H(ClientKey) must be StoredKey (RFC 5802 §3).
    fn check_proof(&self, proof: &[u8], auth_message: &[u8]) -> Result<(), Failure> {
        let signature = hmac_sha256(&self.credentials.stored_key, &[auth_message]);
        if proof.len() != signature.len() {
            return Err(Failure::Malformed);
        }
        let client_key: Zeroizing<Vec<u8>> =
            Zeroizing::new(proof.iter().zip(signature).map(|(proof, signature)| proof ^ signature).collect());
        constant_time::verify_slices_are_equal(&sha256(&client_key), &self.credentials.stored_key)
            .map_err(|_| Failure::Rejected)
    }
}

/// ClientKey and ServerKey (RFC 5802 §3).
pub(crate) struct Keys {
    pub(crate) client_key: Zeroizing<[u8; 32]>,
    pub(crate) server_key: [u8; 32],
}

/// Derives both from a password.
pub(crate) fn keys(password: &str, salt: &[u8], iterations: u32) -> Keys {
    let rounds = NonZeroU32::new(iterations).unwrap_or(NonZeroU32::MIN);
    let mut salted = Zeroizing::new([0u8; 32]);
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, rounds, salt, password.as_bytes(), salted.as_mut());
    Keys {
        client_key: Zeroizing::new(hmac_sha256(salted.as_ref(), &[b"Client Key"])),
        server_key: hmac_sha256(salted.as_ref(), &[b"Server Key"]),
    }
}

pub(crate) fn hmac_sha256(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
    parts.iter().for_each(|part| context.update(part));
    octets(context.sign().as_ref())
}

pub(crate) fn sha256(data: &[u8]) -> [u8; 32] {
    octets(digest::digest(&digest::SHA256, data).as_ref())
}

fn octets(output: &[u8]) -> [u8; 32] {
    output.try_into().expect("SHA-256 gives 32 octets")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_unescape() {
        assert_eq!(unescape_name("a=2Cb=3Dc"), Ok("a,b=c".to_owned()));
        assert_eq!(unescape_name("a=b"), Err(Failure::Malformed));
        assert_eq!(unescape_name("a="), Err(Failure::Malformed));
    }

    #[test]
    fn decoys_are_stable_and_differ_by_login() {
        let one = ScramCredentials::decoy(b"secret", "ana", 4096);
        assert_eq!(one, ScramCredentials::decoy(b"secret", "ana", 4096));
        assert_ne!(one, ScramCredentials::decoy(b"secret", "bo", 4096));
        assert_eq!(one.salt.len(), 16);
    }
}
