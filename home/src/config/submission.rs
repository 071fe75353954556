//! The `[submission]` section: what users may send, and what is told of where they write from.

use std::time::Duration;

use postern_shared::config::{ConfigError, Source};
use postern_store::queue::Allowance;
use serde::Deserialize;

/// The `[submission]` section.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Submission {
    /// Whether the recipients see from where a message was submitted.
    pub client_received: ClientReceived,
    /// For so many days a mail program may have a message wait before it is sent; 0 turns that off.
    pub future_release_days: u16,
    /// Messages of one user within an hour; here and below, more hold the account, and 0 is no limit.
    pub messages_per_hour: u32,
    /// Messages of one user within a day.
    pub messages_per_day: u32,
    /// Recipients of one user within an hour.
    pub recipients_per_hour: u32,
    /// Recipients of one user within a day.
    pub recipients_per_day: u32,
    /// Recipients of one user within a day to whom the user had never written.
    pub new_recipients_per_day: u32,
}

/// What the `Received` field of a submitted message says of the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClientReceived {
    /// Nothing.
    Strip,
    /// Its name and address.
    Keep,
}

impl Default for Submission {
    /// More than a family writes on its busiest day, and little for who sells drugs.
    fn default() -> Self {
        Self {
            client_received: ClientReceived::Strip,
            future_release_days: 30,
            messages_per_hour: 200,
            messages_per_day: 1000,
            recipients_per_hour: 500,
            recipients_per_day: 2000,
            new_recipients_per_day: 200,
        }
    }
}

impl Submission {
    /// What one user may send.
    pub fn allowance(&self) -> Allowance {
        Allowance {
            messages_per_hour: self.messages_per_hour,
            messages_per_day: self.messages_per_day,
            recipients_per_hour: self.recipients_per_hour,
            recipients_per_day: self.recipients_per_day,
            new_recipients_per_day: self.new_recipients_per_day,
        }
    }

    /// The longest wait before a message is sent.
    pub fn future_release(&self) -> Option<Duration> {
        let days = u64::from(self.future_release_days);
        (days > 0).then(|| Duration::from_secs(days * 86_400))
    }

    pub(super) fn check(&self, source: &Source) -> Result<(), ConfigError> {
        if self.future_release_days > 366 {
            return Err(source.invalid("submission.future_release_days", "expected at most 366 days."));
        }
        Ok(())
    }
}
