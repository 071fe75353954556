//! The `[inbound]` section: how strangers' mail is judged.

use postern_message::address::DomainName;
use serde::Deserialize;

/// The `[inbound]` section.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Inbound {
    /// Domains whose ARC seals are believed (RFC 8617).
    pub trusted_sealers: Vec<DomainName>,
}
