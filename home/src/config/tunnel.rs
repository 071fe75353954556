//! The `[tunnel]` section: the interface to the edge, and how long its old keys are kept.

use std::time::Duration;

use postern_shared::config::{ConfigError, Source};
use serde::Deserialize;

use crate::inner::choice::Wanted;

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
    /// The largest inner packet that is ever tried, in octets; the path may take less.
    pub mtu: u16,
    /// How long an old epoch must have been idle before its keys are deleted, in seconds.
    pub drain_seconds: u32,
}

impl Default for Tunnel {
    /// 180 s is as long as a WireGuard session lives that is not renewed, so the new epoch has renewed its own by then.
    fn default() -> Self {
        Self { link: Wanted::Auto, interface: "postern0".to_owned(), mtu: 1440, drain_seconds: 180 }
    }
}

impl Tunnel {
    /// How long an old epoch must have been idle before its keys are deleted.
    pub fn drain(&self) -> Duration {
        Duration::from_secs(self.drain_seconds.into())
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
                format!("{} is out of range; expected 1280 to 9000 octets. 1440 is usual.", self.mtu);
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
