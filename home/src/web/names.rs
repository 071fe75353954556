//! The host names below each domain that this service is for.

use postern_message::address::DomainName;
use serde::{Deserialize, Serialize};

/// A host name below a domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WebName {
    /// Where senders fetch the policy (RFC 8461 §3.2).
    MtaSts,
    /// Where Thunderbird and its like ask for settings.
    Autoconfig,
    /// Where Outlook asks for settings.
    Autodiscover,
}

impl WebName {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::MtaSts, Self::Autoconfig, Self::Autodiscover];

    /// Its one label.
    pub fn label(self) -> &'static str {
        match self {
            Self::MtaSts => "mta-sts",
            Self::Autoconfig => "autoconfig",
            Self::Autodiscover => "autodiscover",
        }
    }

    /// The whole name; the domain itself where that is too long for a further label.
    pub fn below(self, domain: &DomainName) -> DomainName {
        domain.child(self.label()).unwrap_or_else(|_| domain.clone())
    }
}
