//! Passwords: what is kept of one, and how one is checked.
//!
//! In: a clear password. Out: an Argon2id hash in the PHC format (for PLAIN and LOGIN) and SCRAM-SHA-256 keys; the
//! clear text is dropped. Refused: a password that is too short, too long, or has control characters.
//!
//! A password is normalised to NFC before anything else, so that an `ü` typed on one system is the `ü` of another
//! (RFC 8265 §4.2.2, `OpaqueString`).
//!
//! Deviates: RFC 8265 also maps non-ASCII spaces to U+0020 and bars unassigned code points; both are left out, so
//! such a password is simply compared as it stands.

use std::sync::{Condvar, Mutex, PoisonError};

use argon2::password_hash::{self, Output, PasswordHash, PasswordHasher, Salt, SaltString};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use icu_normalizer::ComposingNormalizerBorrowed;
use postern_sasl::ScramCredentials;
use zeroize::Zeroizing;

use super::DirectoryError;

/// Fewest characters in a password (NIST SP 800-63B §5.1.1.2).
pub const MIN_PASSWORD_CHARACTERS: usize = 8;
/// Most octets in a password, so that hashing one stays cheap.
pub const MAX_PASSWORD_OCTETS: usize = 1024;
/// PBKDF2 iterations of the SCRAM keys (RFC 7677 §4 asks for 4096 at least).
pub const SCRAM_ITERATIONS: u32 = 16_384;

/// Argon2id memory in KiB, passes and lanes: the second choice of the OWASP password sheet, fit for 1 GiB of RAM.
const ARGON2_COST: (u32, u32, u32) = (19_456, 2, 1);
/// Password checks that run at the same time; each takes 19 MiB.
const CHECKS_AT_ONCE: usize = 4;

/// What is kept of a password.
pub(super) struct Credentials {
    /// Argon2id in the PHC string format.
    pub(super) password_hash: String,
    pub(super) scram: ScramCredentials,
}

impl Credentials {
    /// Derives all that is kept from a new password.
    pub(super) fn derive(password: &str) -> Result<Self, DirectoryError> {
        let password = prepare(password);
        check(&password)?;
        Ok(Self {
            password_hash: hash(&password)?,
            scram: ScramCredentials::derive(&password, &random::<16>()?, SCRAM_ITERATIONS),
        })
    }
}

/// Checks passwords, a few at a time, in the same time for known and unknown users.
pub(super) struct Verifier {
    /// The hash of a random password, for users who do not exist.
    decoy: String,
    /// Checks that may begin now. None keeps its memory: nobody checks a password most of the day.
    free: Mutex<usize>,
    freed: Condvar,
}

impl Verifier {
    pub(super) fn new() -> Result<Self, DirectoryError> {
        let password: String = random::<16>()?.iter().map(|octet| char::from(b'a' + octet % 26)).collect();
        Ok(Self { decoy: hash(&password)?, free: Mutex::new(CHECKS_AT_ONCE), freed: Condvar::new() })
    }

    /// Whether the password gives the hash. Without a hash the answer is no, at the same cost.
    pub(super) fn verify(&self, password: &str, hash: Option<&str>) -> bool {
        let fits = password.len() <= MAX_PASSWORD_OCTETS;
        let password = prepare(if fits { password } else { "" });
        let stored = hash.unwrap_or(&self.decoy);
        let matches = self.in_turn(|| matches_hash(password.as_bytes(), stored).unwrap_or(false));
        matches && fits && hash.is_some()
    }

    fn in_turn<T>(&self, work: impl FnOnce() -> T) -> T {
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let mut free = self.freed.wait_while(free, |free| *free == 0).unwrap_or_else(PoisonError::into_inner);
        *free -= 1;
        drop(free);
        let outcome = work();
        *self.free.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.freed.notify_one();
        outcome
    }
}

/// Whether the password gives the hash. Compares in constant time.
fn matches_hash(password: &[u8], hash: &str) -> password_hash::Result<bool> {
    let hash = PasswordHash::new(hash)?;
    let (Some(salt), Some(expected)) = (hash.salt, hash.hash) else { return Ok(false) };
    let mut salt_octets = [0; Salt::MAX_LENGTH];
    let salt = salt.decode_b64(&mut salt_octets)?;
    let params = Params::try_from(&hash)?;
    let mut memory = vec![Block::default(); params.block_count()];
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let output = Output::init_with(expected.len(), |output| {
        Ok(argon2.hash_password_into_with_memory(password, salt, output, &mut memory)?)
    })?;
    Ok(output == expected)
}

/// Fresh random octets from the system.
pub(super) fn random<const N: usize>() -> Result<[u8; N], DirectoryError> {
    let mut octets = [0; N];
    aws_lc_rs::rand::fill(&mut octets).map_err(|_| DirectoryError::KeyGeneration)?;
    Ok(octets)
}

fn prepare(password: &str) -> Zeroizing<String> {
    Zeroizing::new(ComposingNormalizerBorrowed::new_nfc().normalize(password).into_owned())
}

fn check(password: &str) -> Result<(), DirectoryError> {
    if password.chars().any(char::is_control) {
        return Err(DirectoryError::PasswordControl);
    }
    if password.len() > MAX_PASSWORD_OCTETS {
        return Err(DirectoryError::PasswordTooLong);
    }
    if password.chars().count() < MIN_PASSWORD_CHARACTERS {
        return Err(DirectoryError::PasswordTooShort);
    }
    Ok(())
}

fn hash(password: &str) -> Result<String, DirectoryError> {
    let salt = SaltString::encode_b64(&random::<16>()?).map_err(|_| DirectoryError::KeyGeneration)?;
    let argon2 = argon2().map_err(|_| DirectoryError::KeyGeneration)?;
    let hash = argon2.hash_password(password.as_bytes(), &salt).map_err(|_| DirectoryError::KeyGeneration)?;
    Ok(hash.to_string())
}

fn argon2() -> Result<Argon2<'static>, argon2::password_hash::Error> {
    let (memory, passes, lanes) = ARGON2_COST;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(memory, passes, lanes, None)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_kept_as_argon2id_and_scram_keys_only() {
        let credentials = Credentials::derive("correct horse").expect("derived");
        assert!(credentials.password_hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        let ScramCredentials { salt, iterations, stored_key, server_key } = &credentials.scram;
        assert_eq!(*iterations, SCRAM_ITERATIONS);
        let again = ScramCredentials::derive("correct horse", salt, *iterations);
        assert_eq!((&again.stored_key, &again.server_key), (stored_key, server_key));
    }

    #[test]
    fn both_spellings_of_an_umlaut_are_one_password() {
        let verifier = Verifier::new().expect("verifier");
        let hash = Credentials::derive("fl\u{fc}gelhorn").expect("derived").password_hash;
        assert!(verifier.verify("flu\u{308}gelhorn", Some(&hash)));
        assert!(!verifier.verify("flugelhorn", Some(&hash)));
    }

    #[test]
    fn a_check_gives_its_place_back() {
        let verifier = Verifier::new().expect("verifier");
        let hash = Credentials::derive("correct horse").expect("derived").password_hash;
        for (password, expected) in [("correct horse", true), ("wrong", false), ("correct horse", true)] {
            assert_eq!(verifier.verify(password, Some(&hash)), expected, "{password}");
        }
        assert_eq!(*verifier.free.lock().expect("not poisoned"), CHECKS_AT_ONCE);
    }

    #[test]
    fn nobody_logs_in_without_a_hash_or_with_a_giant_password() {
        let verifier = Verifier::new().expect("verifier");
        let hash = Credentials::derive("correct horse").expect("derived").password_hash;
        assert!(!verifier.verify("correct horse", None));
        assert!(!verifier.verify("", None));
        assert!(!verifier.verify(&"x".repeat(MAX_PASSWORD_OCTETS + 1), Some(&hash)));
    }

    #[test]
    fn checking_for_nobody_costs_what_checking_for_a_user_costs() {
        let decoy = Verifier::new().expect("verifier").decoy;
        let hash = Credentials::derive("correct horse").expect("derived").password_hash;
        let cost = |hash: &str| hash.rsplitn(3, '$').last().map(str::to_owned);
        assert_eq!(cost(&decoy), cost(&hash));
        assert_eq!(cost(&decoy).as_deref(), Some("$argon2id$v=19$m=19456,t=2,p=1"));
    }

    #[test]
    fn bad_passwords_are_refused() {
        let refusal = |password: &str| Credentials::derive(password).map(|_| ()).expect_err("refused");
        assert!(matches!(refusal("short"), DirectoryError::PasswordTooShort));
        assert!(matches!(refusal("tab\tinside it"), DirectoryError::PasswordControl));
        assert!(matches!(refusal(&"x".repeat(1025)), DirectoryError::PasswordTooLong));
    }
}
