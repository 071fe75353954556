//! The `[tunnel]` section: the interface to the edge, and how its keys are renewed.

use std::time::Duration;

use postern_shared::config::{ConfigError, Source};
use serde::{Deserialize, Deserializer};

use crate::inner::choice::Wanted;
use crate::link::RotationPolicy;

/// The shortest time between two rotations that start by themselves.
const LEAST_INTERVAL: Duration = Duration::from_secs(3600);

/// The longest time that an old epoch may have to be idle, seconds.
const MOST_DRAIN_SECONDS: u32 = 86_400;

/// The `[tunnel]` section.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tunnel {
    /// What has home's inner addresses.
    pub link: Wanted,
    /// The name of the TUN device.
    pub interface: String,
    /// The largest inner packet, in octets.
    pub mtu: u16,
    /// The age at which the keys are renewed; never by itself where absent.
    #[serde(deserialize_with = "interval")]
    pub rotate_every: Option<Duration>,
    /// How long an old epoch must have been idle before its keys are deleted, in seconds.
    pub drain_seconds: u32,
}

impl Default for Tunnel {
    /// 180 s is as long as a WireGuard session lives that is not renewed, so the new epoch has renewed its own by then.
    fn default() -> Self {
        Self {
            link: Wanted::Auto,
            interface: "postern0".to_owned(),
            mtu: 1380,
            rotate_every: None,
            drain_seconds: 180,
        }
    }
}

impl Tunnel {
    /// The link's policy.
    pub fn rotation(&self) -> RotationPolicy {
        RotationPolicy { every: self.rotate_every, drain: Duration::from_secs(self.drain_seconds.into()) }
    }

    pub(super) fn check(&self, source: &Source) -> Result<(), ConfigError> {
        let name = &self.interface;
        let plain = name.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"-_.".contains(&octet));
        if !(1..=15).contains(&name.len()) || !plain || name == "." || name == ".." {
            let complaint = format!(
                "`{name}` cannot name an interface; expected 1 to 15 letters, digits, `-`, `_` or `.`."
            );
            return Err(source.invalid("tunnel.interface", complaint));
        }
        // RFC 8200 §5: every link that carries IPv6 carries 1280 octets.
        if !(1280..=9000).contains(&self.mtu) {
            let complaint =
                format!("{} is out of range; expected 1280 to 9000 octets. 1380 is usual.", self.mtu);
            return Err(source.invalid("tunnel.mtu", complaint));
        }
        if !(1..=MOST_DRAIN_SECONDS).contains(&self.drain_seconds) {
            let complaint = format!(
                "{} is out of range; expected 1 to {MOST_DRAIN_SECONDS} seconds. 180 is usual.",
                self.drain_seconds
            );
            return Err(source.invalid("tunnel.drain_seconds", complaint));
        }
        Ok(())
    }
}

fn interval<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let wrong =
        || format!("`{text}` is not a time of at least an hour; expected one like \"30d\" or \"12h\"");
    parse_interval(&text).map(Some).ok_or_else(|| serde::de::Error::custom(wrong()))
}

fn parse_interval(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let unit = match unit {
        "h" => 3600,
        "d" => 86_400,
        _ => return None,
    };
    let interval = Duration::from_secs(number.parse::<u64>().ok()?.checked_mul(unit)?);
    (interval >= LEAST_INTERVAL).then_some(interval)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_hours_or_days() {
        assert_eq!(parse_interval("30d"), Some(Duration::from_secs(30 * 86_400)));
        assert_eq!(parse_interval("12h"), Some(Duration::from_secs(12 * 3600)));
        for wrong in ["", "d", "0d", "30", "30m", "-1d", "é", "99999999999999999999d"] {
            assert_eq!(parse_interval(wrong), None, "{wrong}");
        }
    }
}
