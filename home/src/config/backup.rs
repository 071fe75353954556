//! The `[backup]` section: where backups go, how often, and how many are kept.

use std::path::PathBuf;
use std::time::Duration;

use postern_shared::cli::parse_time;
use postern_shared::config::{ConfigError, Source};
use serde::{Deserialize, Deserializer};

use crate::backup::Keep;

/// The `[backup]` section.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Backup {
    /// The directory of the repository, on another disk than the mail; no backups are made where absent.
    pub repository: Option<PathBuf>,
    /// How often one is made.
    #[serde(deserialize_with = "time")]
    pub every: Duration,
    /// How often the newest one is restored for a trial; `None` for never.
    #[serde(deserialize_with = "super::mta_sts::time_or_never")]
    pub drill_every: Option<Duration>,
    /// Of so many days the newest is kept.
    pub keep_daily: u16,
    /// Of so many weeks.
    pub keep_weekly: u16,
    /// Of so many months.
    pub keep_monthly: u16,
}

impl Default for Backup {
    fn default() -> Self {
        let day = Duration::from_secs(86_400);
        Self {
            repository: None,
            every: day,
            drill_every: Some(7 * day),
            keep_daily: 7,
            keep_weekly: 5,
            keep_monthly: 12,
        }
    }
}

impl Backup {
    /// Which snapshots are kept.
    pub fn keep(&self) -> Keep {
        Keep { daily: self.keep_daily, weekly: self.keep_weekly, monthly: self.keep_monthly }
    }

    pub(super) fn check(&self, source: &Source) -> Result<(), ConfigError> {
        if self.every < Duration::from_secs(600) {
            let complaint =
                "a backup more often than every 10 minutes is none of use. Write \"1d\" or \"6h\".";
            return Err(source.invalid("backup.every", complaint.to_owned()));
        }
        Ok(())
    }
}

fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse_time(&text).map_err(|error| serde::de::Error::custom(format!("`{text}` is no time: {error}")))
}
