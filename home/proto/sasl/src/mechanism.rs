//! The mechanisms that are offered, by their registered names.

use std::fmt;

/// A SASL mechanism this server speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mechanism {
    /// One message with the password in it; only under TLS (RFC 4616).
    Plain,
    /// Proof of the password without sending it (RFC 7677).
    ScramSha256,
}

impl Mechanism {
    /// Every mechanism, the strongest first, as it is announced.
    pub const ALL: [Mechanism; 2] = [Mechanism::ScramSha256, Mechanism::Plain];

    /// The registered name.
    pub fn name(self) -> &'static str {
        match self {
            Mechanism::Plain => "PLAIN",
            Mechanism::ScramSha256 => "SCRAM-SHA-256",
        }
    }

    /// The mechanism with this name, letters in any case.
    pub fn from_name(name: &str) -> Option<Mechanism> {
        Mechanism::ALL.into_iter().find(|mechanism| mechanism.name().eq_ignore_ascii_case(name))
    }
}

impl fmt::Display for Mechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_in_any_case() {
        assert_eq!(Mechanism::from_name("plain"), Some(Mechanism::Plain));
        assert_eq!(Mechanism::from_name("Scram-Sha-256"), Some(Mechanism::ScramSha256));
        assert_eq!(Mechanism::from_name("SCRAM-SHA-256-PLUS"), None);
    }
}
