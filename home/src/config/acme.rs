//! The `[acme]` section: who certifies home's names.

use std::path::PathBuf;

use postern_message::address::EmailAddress;
use postern_shared::config::{ConfigError, Source};
use serde::Deserialize;

/// Let's Encrypt, which costs nothing and asks for no contract.
const LETS_ENCRYPT: &str = "https://acme-v02.api.letsencrypt.org/directory";
/// Its test service.
const LETS_ENCRYPT_STAGING: &str = "https://acme-staging-v02.api.letsencrypt.org/directory";
/// The value of `directory` that orders nothing.
const OFF: &str = "off";

/// The `[acme]` section.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Acme {
    /// The authority's directory (RFC 8555 §7.1.1), or `off`.
    pub directory: String,
    /// The directory of its test service, which is tried first.
    pub staging: Option<String>,
    /// A PEM file with the authority that vouches for the directory's own HTTPS, beside those that the system trusts.
    pub root: Option<PathBuf>,
    /// Where the authority may write to.
    pub contact: Option<EmailAddress>,
    /// Whether the mail host's certificate is also for every other name of its domain.
    pub wildcard: bool,
}

impl Default for Acme {
    fn default() -> Self {
        Self { directory: LETS_ENCRYPT.to_owned(), staging: None, root: None, contact: None, wildcard: false }
    }
}

impl Acme {
    /// The authority's directory; `None` where nothing is ordered.
    pub fn directory(&self) -> Option<&str> {
        Some(self.directory.as_str()).filter(|directory| *directory != OFF)
    }

    /// The directory of the test service, if there is one.
    pub fn staging(&self) -> Option<&str> {
        let known = (self.directory == LETS_ENCRYPT).then_some(LETS_ENCRYPT_STAGING);
        self.staging.as_deref().or(known).filter(|_| self.directory().is_some())
    }

    pub(super) fn check(&self, source: &Source) -> Result<(), ConfigError> {
        let urls = [("acme.directory", self.directory()), ("acme.staging", self.staging.as_deref())];
        for (key, url) in urls {
            if let Some(url) = url.filter(|url| !is_https(url)) {
                let complaint = format!(
                    "`{url}` is not the https address of a directory, such as \"{LETS_ENCRYPT}\". \"off\" orders nothing."
                );
                return Err(source.invalid(key, complaint));
            }
        }
        Ok(())
    }
}

fn is_https(url: &str) -> bool {
    url.strip_prefix("https://").is_some_and(|rest| !rest.is_empty())
        && url.parse::<hyper::Uri>().is_ok_and(|uri| uri.host().is_some())
}
