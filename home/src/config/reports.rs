//! The `[reports]` section: what other mail systems are told of their mail and servers.

use serde::Deserialize;

/// The `[reports]` section.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Reports {
    /// Whether domains that ask for it are told once a day who sent mail in their name.
    pub dmarc: bool,
}

impl Default for Reports {
    fn default() -> Self {
        Self { dmarc: true }
    }
}
