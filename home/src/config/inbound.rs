//! The `[inbound]` section: how strangers' mail is judged.

use std::time::Duration;

use postern_message::address::DomainName;
use postern_shared::cli::parse_time;
use postern_shared::config::{ConfigError, Source};
use serde::{Deserialize, Deserializer};

/// The word for a check that is not made.
const OFF: &str = "off";
/// The longest greet pause; clients wait five minutes for the greeting (RFC 5321 §4.5.3.2.1), but every stranger waits.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// The longest wait of a greylisted sender; some give up after four hours.
const LONGEST_GREYLIST: Duration = Duration::from_secs(3600);
/// Lists that are asked of one client.
const MOST_LISTS: usize = 8;

/// The `[inbound]` section.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Inbound {
    /// How long a stranger waits for the greeting; `None` for not at all.
    #[serde(deserialize_with = "time_or_off")]
    pub greet_pause: Option<Duration>,
    /// Messages that one IPv4 address or IPv6 /64 may begin in an hour.
    pub messages_per_hour: u32,
    /// A name in HELO that is ours, or another's address.
    pub helo: Severity,
    /// DNS lists of clients that nothing is taken from (RFC 5782).
    pub dnsbl: Vec<DomainName>,
    /// DNS lists of clients that are not asked to wait and not refused for another list.
    pub dnswl: Vec<DomainName>,
    /// A client without a name that leads back to its address.
    pub reverse_name: Severity,
    /// A sender's domain that does not exist or takes no mail.
    pub sender_domain: Severity,
    /// A report to several recipients.
    pub null_sender: Severity,
    /// A header that two readers would understand differently.
    pub header: Severity,
    /// The author's domain's wishes.
    pub dmarc: Severity,
    /// Domains whose ARC seals are believed (RFC 8617).
    pub trusted_sealers: Vec<DomainName>,
    /// How long a doubtful stranger is asked to wait; `None` for not at all.
    #[serde(deserialize_with = "time_or_off")]
    pub greylist: Option<Duration>,
}

/// What follows from a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// It is not made.
    Off,
    /// What it finds is written down.
    Note,
    /// What it finds is acted on.
    Refuse,
}

impl Default for Inbound {
    /// Refused is only what an honest server never does. A missing reverse name alone is no such thing; it is a reason to
    /// have a sender come again who proves nothing else.
    fn default() -> Self {
        Self {
            greet_pause: Some(Duration::from_secs(1)),
            messages_per_hour: 500,
            helo: Severity::Refuse,
            dnsbl: Vec::new(),
            dnswl: Vec::new(),
            reverse_name: Severity::Note,
            sender_domain: Severity::Refuse,
            null_sender: Severity::Refuse,
            header: Severity::Refuse,
            dmarc: Severity::Refuse,
            trusted_sealers: Vec::new(),
            greylist: Some(Duration::from_secs(300)),
        }
    }
}

impl Inbound {
    pub(super) fn check(&self, source: &Source) -> Result<(), ConfigError> {
        if self.messages_per_hour == 0 {
            return Err(source.invalid("inbound.messages_per_hour", "expected at least 1.".to_owned()));
        }
        let times = [
            ("inbound.greet_pause", self.greet_pause, LONGEST_PAUSE),
            ("inbound.greylist", self.greylist, LONGEST_GREYLIST),
        ];
        for (key, time, longest) in times {
            if time.is_some_and(|time| time > longest) {
                let complaint = format!("expected at most {} seconds, or \"off\".", longest.as_secs());
                return Err(source.invalid(key, complaint));
            }
        }
        for (key, lists) in [("inbound.dnsbl", &self.dnsbl), ("inbound.dnswl", &self.dnswl)] {
            if lists.len() > MOST_LISTS {
                let complaint =
                    format!("expected at most {MOST_LISTS} lists; each is asked of every client.");
                return Err(source.invalid(key, complaint));
            }
        }
        Ok(())
    }
}

fn time_or_off<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text == OFF {
        return Ok(None);
    }
    let complaint = |error: String| {
        let expected = error.replacen("expected a", "expected `off`, or a", 1);
        serde::de::Error::custom(format!("`{text}` is no time: {expected}"))
    };
    parse_time(&text).map(Some).map_err(complaint)
}
