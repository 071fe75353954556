//! Channel bindings: what ties an exchange to the one TLS connection that it runs in, so that nobody in the middle can
//! carry it over from another (RFC 5056).
//!
//! In: the octets that the network's side has of its connection. Out: those of the type that a client names.

use std::fmt;

/// A type of channel binding, by its registered name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BindingType {
    /// Keying material exported from the connection (RFC 9266 §2).
    TlsExporter,
    /// The hash of the certificate that the server showed (RFC 5929 §4).
    TlsServerEndPoint,
}

impl BindingType {
    fn name(self) -> &'static str {
        match self {
            BindingType::TlsExporter => "tls-exporter",
            BindingType::TlsServerEndPoint => "tls-server-end-point",
        }
    }
}

/// The bindings of one connection; none in clear. Prints their types only.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ChannelBindings(Vec<(BindingType, Vec<u8>)>);

impl ChannelBindings {
    /// Whether -PLUS mechanisms cannot be offered.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The octets of the type that a client names, letters exactly so (RFC 5802 §7).
    pub(crate) fn named(&self, name: &str) -> Option<&[u8]> {
        self.0.iter().find(|(binding, _)| binding.name() == name).map(|(_, octets)| octets.as_slice())
    }
}

impl FromIterator<(BindingType, Vec<u8>)> for ChannelBindings {
    fn from_iter<I: IntoIterator<Item = (BindingType, Vec<u8>)>>(bindings: I) -> ChannelBindings {
        ChannelBindings(bindings.into_iter().collect())
    }
}

impl fmt::Debug for ChannelBindings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(binding, _)| binding)).finish()
    }
}
