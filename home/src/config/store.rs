//! The `[store]` section: what is kept of deleted mail, and what opens sealed mail.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use postern_shared::config::{ConfigError, Source};
use serde::{Deserialize, Deserializer};

/// The `[store]` section.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Store {
    /// For so many days deleted mail can be put back; 0 keeps none.
    pub undelete_days: u16,
    /// Where the key to the mail is; none where the mail is not sealed.
    pub key: Option<KeySource>,
}

/// Where the key to sealed mail is: `file:/PATH`, `credential:NAME` or `passphrase`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// A file, on another disk than the mail at best.
    File(PathBuf),
    /// A credential that systemd passes to the service.
    Credential(String),
    /// A passphrase, typed at each start.
    Passphrase,
}

impl Default for Store {
    fn default() -> Self {
        Self { undelete_days: 30, key: None }
    }
}

impl Store {
    /// How long deleted mail is kept; `None` where it is not.
    pub fn undelete(&self) -> Option<Duration> {
        (self.undelete_days > 0).then(|| Duration::from_secs(u64::from(self.undelete_days) * 86_400))
    }

    /// A key beside what it opens would be no key.
    pub(super) fn check(&self, state_dir: &Path, source: &Source) -> Result<(), ConfigError> {
        match &self.key {
            Some(KeySource::File(path)) if path.starts_with(state_dir) => Err(source.invalid(
                "store.key",
                "the key lies in `state_dir`, beside the mail that it is to protect. Keep it elsewhere, /etc/postern/store.key for example.",
            )),
            _ => Ok(()),
        }
    }
}

impl FromStr for KeySource {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_name = |name: &str| !name.is_empty() && !name.contains('/') && name != "." && name != "..";
        match text.split_once(':') {
            None if text == "passphrase" => Ok(Self::Passphrase),
            Some(("file", path)) if path.starts_with('/') => Ok(Self::File(path.into())),
            Some(("credential", name)) if is_name(name) => Ok(Self::Credential(name.to_owned())),
            _ => Err(format!("`{text}` is not `file:/PATH`, `credential:NAME` or `passphrase`.")),
        }
    }
}

impl fmt::Display for KeySource {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(formatter, "file:{}", path.display()),
            Self::Credential(name) => write!(formatter, "credential:{name}"),
            Self::Passphrase => formatter.write_str("passphrase"),
        }
    }
}

impl<'de> Deserialize<'de> for KeySource {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_read_and_written_alike() {
        for text in ["file:/etc/postern/store.key", "credential:store.key", "passphrase"] {
            assert_eq!(text.parse::<KeySource>().expect("a source").to_string(), text);
        }
        for text in
            ["", "file:", "file:store.key", "credential:", "credential:../x", "/etc/store.key", "Passphrase"]
        {
            assert!(text.parse::<KeySource>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_key_beside_the_mail_is_refused() {
        let store = |path: &str| Store { key: Some(KeySource::File(path.into())), ..Store::default() };
        let source = Source::from_text(Path::new("home.toml"), "[store]\nkey = \"x\"\n");
        let state_dir = Path::new("/var/lib/postern-home");
        assert!(store("/var/lib/postern-home/store.key").check(state_dir, &source).is_err());
        assert!(store("/etc/postern/store.key").check(state_dir, &source).is_ok());
    }
}
