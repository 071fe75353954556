//! The mechanisms that are offered, by their registered names.

use std::fmt;

use crate::ChannelBindings;

/// A SASL mechanism this server speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mechanism {
    /// One message with the password in it; only under TLS (RFC 4616).
    Plain,
    /// Proof of the password without sending it (RFC 7677).
    ScramSha256,
    /// The same, bound to the TLS connection.
    ScramSha256Plus,
}

impl Mechanism {
    /// Every mechanism, the strongest first.
    pub const ALL: [Mechanism; 3] = [Mechanism::ScramSha256Plus, Mechanism::ScramSha256, Mechanism::Plain];

    /// What is announced on a connection with these bindings, the strongest first.
    pub fn offered(bindings: &ChannelBindings) -> impl Iterator<Item = Mechanism> {
        let binds = !bindings.is_empty();
        Mechanism::ALL.into_iter().filter(move |mechanism| binds || *mechanism != Mechanism::ScramSha256Plus)
    }

    /// The registered name.
    pub fn name(self) -> &'static str {
        match self {
            Mechanism::Plain => "PLAIN",
            Mechanism::ScramSha256 => "SCRAM-SHA-256",
            Mechanism::ScramSha256Plus => "SCRAM-SHA-256-PLUS",
        }
    }

    /// The mechanism with this name, letters in any case, if it is offered with these bindings.
    pub fn from_name(name: &str, bindings: &ChannelBindings) -> Option<Mechanism> {
        Mechanism::offered(bindings).find(|mechanism| mechanism.name().eq_ignore_ascii_case(name))
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
    use crate::BindingType;

    #[test]
    fn names_are_found_in_any_case_and_plus_where_there_is_a_binding() {
        let clear = ChannelBindings::default();
        assert_eq!(Mechanism::from_name("plain", &clear), Some(Mechanism::Plain));
        assert_eq!(Mechanism::from_name("Scram-Sha-256", &clear), Some(Mechanism::ScramSha256));
        assert_eq!(Mechanism::from_name("SCRAM-SHA-256-PLUS", &clear), None);
        let bound = ChannelBindings::from_iter([(BindingType::TlsExporter, vec![0; 32])]);
        assert_eq!(Mechanism::from_name("scram-sha-256-plus", &bound), Some(Mechanism::ScramSha256Plus));
    }
}
