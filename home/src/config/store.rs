//! The `[store]` section: what is kept of deleted mail.

use std::time::Duration;

use serde::Deserialize;

/// The `[store]` section.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Store {
    /// For so many days deleted mail can be put back; 0 keeps none.
    pub undelete_days: u16,
}

impl Default for Store {
    fn default() -> Self {
        Self { undelete_days: 30 }
    }
}

impl Store {
    /// How long deleted mail is kept; `None` where it is not.
    pub fn undelete(&self) -> Option<Duration> {
        (self.undelete_days > 0).then(|| Duration::from_secs(u64::from(self.undelete_days) * 86_400))
    }
}
