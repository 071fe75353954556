//! The `[mta_sts]` section: when other servers are told to insist on TLS (RFC 8461).

use std::time::Duration;

use postern_shared::cli::parse_time;
use serde::{Deserialize, Deserializer};

/// The word for a policy that stays in testing.
const NEVER: &str = "never";

/// The `[mta_sts]` section.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MtaSts {
    /// How long certificates and MX record must have been right; `None` where senders are never to insist.
    #[serde(deserialize_with = "time_or_never")]
    pub enforce_after: Option<Duration>,
}

impl Default for MtaSts {
    /// A week sees what happens weekly, such as a backup that is restored or a router that is changed.
    fn default() -> Self {
        Self { enforce_after: Some(Duration::from_secs(7 * 86_400)) }
    }
}

pub(super) fn time_or_never<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Duration>, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text == NEVER {
        return Ok(None);
    }
    let complaint = |error: String| {
        let expected = error.replacen("expected a", "expected `never`, or a", 1);
        serde::de::Error::custom(format!("`{text}` is no time: {expected}"))
    };
    parse_time(&text).map(Some).map_err(complaint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_or_never_is_understood() {
        let read =
            |text: &str| toml_section(text).map(|section| section.enforce_after.map(|time| time.as_secs()));
        assert_eq!(read("enforce_after = \"2h\""), Ok(Some(7200)));
        assert_eq!(read("enforce_after = \"never\""), Ok(None));
        assert_eq!(read(""), Ok(Some(604_800)));
    }

    fn toml_section(text: &str) -> Result<MtaSts, String> {
        let source = postern_shared::config::Source::from_text(std::path::Path::new("home.toml"), text);
        source.parse().map_err(|error: postern_shared::config::ConfigError| error.to_string())
    }
}
