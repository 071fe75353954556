//! The `[queue]` section: how delivery to other servers is tried.

use std::time::Duration;

use postern_shared::config::{ConfigError, Source};
use serde::Deserialize;

use crate::outbound::{Concurrency, Families, RetryPolicy, Settings};

/// The `[queue]` section.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Queue {
    /// Minutes to wait after the first attempt, the second, and so on; the last one repeats.
    pub retry_minutes: Vec<u32>,
    /// The sender is told of a delay after so many hours.
    pub delay_report_hours: u32,
    /// A message is given up after so many hours.
    pub expire_hours: u32,
    /// Deliveries at once.
    pub concurrency: usize,
    /// Deliveries at once to one destination.
    pub concurrency_per_destination: usize,
    /// Whether other servers are tried by IPv6 too; sensible where the edge's IPv6 address has a reverse name.
    pub ipv6: bool,
}

impl Default for Queue {
    fn default() -> Self {
        Self {
            retry_minutes: vec![5, 15, 30, 60, 120, 240],
            delay_report_hours: 4,
            expire_hours: 5 * 24,
            concurrency: 40,
            concurrency_per_destination: 5,
            ipv6: false,
        }
    }
}

impl Queue {
    /// Delivery's settings.
    pub fn settings(&self) -> Settings {
        let hours = |count: u32| Duration::from_secs(u64::from(count) * 3600);
        let minutes = |count: &u32| Duration::from_secs(u64::from(*count) * 60);
        Settings {
            retry: RetryPolicy {
                waits: self.retry_minutes.iter().map(minutes).collect(),
                expire_after: hours(self.expire_hours),
                report_delay_after: hours(self.delay_report_hours),
                ..RetryPolicy::default()
            },
            concurrency: Concurrency {
                total: self.concurrency,
                per_destination: self.concurrency_per_destination,
            },
            families: if self.ipv6 { Families::Both } else { Families::V4 },
            ..Settings::default()
        }
    }

    pub(super) fn check(&self, source: &Source) -> Result<(), ConfigError> {
        let waits = &self.retry_minutes;
        if waits.is_empty() || !waits.iter().all(|minutes| (1..=1440).contains(minutes)) {
            let complaint =
                "expected one or more waits of 1 to 1440 minutes. [5, 15, 30, 60, 120, 240] is usual.";
            return Err(source.invalid("queue.retry_minutes", complaint));
        }
        for (key, value) in [
            ("queue.expire_hours", self.expire_hours as usize),
            ("queue.delay_report_hours", self.delay_report_hours as usize),
            ("queue.concurrency", self.concurrency),
            ("queue.concurrency_per_destination", self.concurrency_per_destination),
        ] {
            if !(1..=10_000).contains(&value) {
                return Err(source.invalid(key, format!("{value} is out of range; expected 1 to 10000.")));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_those_of_delivery() {
        assert_eq!(Queue::default().settings(), Settings::default());
    }
}
