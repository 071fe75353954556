//! The `[journal]` section: how much is kept of what became of each message.

use std::time::Duration;

use postern_shared::config::{ConfigError, Source};
use postern_store::journal::Bounds;
use serde::Deserialize;

/// The `[journal]` section.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Journal {
    /// A message's story is kept for so many days after its last event.
    pub keep_days: u16,
    /// Octets of the whole journal; beyond them the oldest stories go sooner.
    pub max_octets: u64,
}

impl Default for Journal {
    /// A message's story has some 3,000 octets.
    fn default() -> Self {
        Self { keep_days: 30, max_octets: 256 << 20 }
    }
}

impl Journal {
    /// The bounds of the journal.
    pub fn bounds(&self) -> Bounds {
        Bounds { keep: Duration::from_secs(u64::from(self.keep_days) * 86_400), octets: self.max_octets }
    }

    pub(super) fn check(&self, source: &Source) -> Result<(), ConfigError> {
        if self.keep_days == 0 {
            return Err(source.invalid("journal.keep_days", "expected at least 1 day. 30 is usual."));
        }
        if self.max_octets < 1 << 20 {
            let complaint = "expected at least 1048576 octets. 268435456 is usual.";
            return Err(source.invalid("journal.max_octets", complaint));
        }
        Ok(())
    }
}
