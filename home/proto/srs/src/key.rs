//! The keys of the tags, and the tags: the first 40 bits of HMAC-SHA256 over the text with its case lowered.

use aws_lc_rs::{constant_time, hmac};
use zeroize::Zeroizing;

use crate::Rejected;

/// Octets in a key.
pub const KEY_OCTETS: usize = 32;

/// Letters of RFC 4648 §6, lower case.
pub(crate) const BASE32: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

const TAG_LETTERS: u32 = 8;

/// One secret key.
pub struct Key(Zeroizing<[u8; KEY_OCTETS]>);

impl Key {
    /// Takes octets that are random and nobody else's.
    pub fn new(octets: [u8; KEY_OCTETS]) -> Self {
        Self(Zeroizing::new(octets))
    }

    fn tag(&self, text: &str) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.0.as_ref());
        let mac = hmac::sign(&key, text.to_lowercase().as_bytes());
        let bits = mac.as_ref().iter().take(8).fold(0_u64, |bits, octet| bits << 8 | u64::from(*octet));
        let letter = |at: u32| BASE32[usize::from((bits >> (59 - 5 * at)) as u8 & 31)];
        (0..TAG_LETTERS).map(|at| char::from(letter(at))).collect()
    }
}

/// The key that tags, and the one before it, whose tags still count.
pub struct Keys {
    current: Key,
    previous: Option<Key>,
}

impl Keys {
    /// `previous` is to be left out once all that it tagged is older than [`crate::LIFETIME_DAYS`].
    pub fn new(current: Key, previous: Option<Key>) -> Self {
        Self { current, previous }
    }

    pub(crate) fn tag(&self, text: &str) -> String {
        self.current.tag(text)
    }

    pub(crate) fn verify(&self, text: &str, tag: &str) -> Result<(), Rejected> {
        let tag = tag.to_ascii_lowercase();
        let fits = |key: &Key| {
            constant_time::verify_slices_are_equal(key.tag(text).as_bytes(), tag.as_bytes()).is_ok()
        };
        let known = std::iter::once(&self.current).chain(&self.previous).any(fits);
        if known { Ok(()) } else { Err(Rejected::Forged) }
    }
}
