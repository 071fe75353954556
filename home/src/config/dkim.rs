//! The `[dkim]` section: how long a key signs.

use std::time::Duration;

use serde::Deserialize;

/// The `[dkim]` section.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Dkim {
    /// After so many days the keys are followed by new ones; 0 leaves that to `dns dkim rotate`.
    pub rotate_days: u16,
}

impl Default for Dkim {
    fn default() -> Self {
        Self { rotate_days: 180 }
    }
}

impl Dkim {
    /// The age at which keys are followed by others; `None` where that is a person's to say.
    pub fn lifetime(&self) -> Option<Duration> {
        (self.rotate_days > 0).then(|| Duration::from_secs(u64::from(self.rotate_days) * 86_400))
    }
}
