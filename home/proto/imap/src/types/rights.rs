//! Rights on the wire (RFC 4314 §2.1): letters, which only the host knows the meaning of.

/// Letters that are rights, with the old `c` and `d` (RFC 4314 §2.1.1).
const LETTERS: &str = "lrswipkxteacd";

/// Some of the letters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rights(String);

impl Rights {
    /// Takes letters; `None` when one of them is not a right, which must not be passed over (RFC 4314 §3.1).
    pub fn new(letters: &str) -> Option<Rights> {
        letters.chars().all(|letter| LETTERS.contains(letter)).then(|| Rights(letters.to_owned()))
    }

    /// The letters.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
