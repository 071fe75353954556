//! The `[bans]` section: who is never banned, and who is by himself.

use std::time::Duration;

use ipnet::IpNet;
use postern_shared::bans::parse_network;
use postern_shared::cli::parse_time;
use serde::{Deserialize, Deserializer};

use crate::bans::BanPolicy;

/// The `[bans]` section.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Bans {
    /// Networks that are never banned, beside those that cannot be.
    #[serde(deserialize_with = "networks")]
    pub never: Vec<IpNet>,
    /// Failed logins of one client that ban it; 0 for no number.
    pub login_failures: u32,
    /// How long such a ban lasts.
    #[serde(deserialize_with = "time")]
    pub ban_for: Duration,
}

impl Default for Bans {
    /// The waits between failures grow to 30 s, so that 20 take a guesser several minutes. People who have forgotten a
    /// password give up sooner, and for a mail program that never does the ban ends by itself.
    fn default() -> Self {
        Self { never: Vec::new(), login_failures: 20, ban_for: Duration::from_secs(3600) }
    }
}

impl Bans {
    /// The policy of the list.
    pub fn policy(&self) -> BanPolicy {
        let failures = (self.login_failures > 0).then_some(self.login_failures);
        BanPolicy { never: self.never.clone(), login_failures: failures, ban_for: self.ban_for }
    }
}

fn networks<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<IpNet>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    texts.iter().map(|text| parse_network(text).map_err(serde::de::Error::custom)).collect()
}

fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse_time(&text).map_err(|error| serde::de::Error::custom(format!("`{text}` is no time: {error}")))
}
