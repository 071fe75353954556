//! The `[notices]` section: how the owner hears of what a person should look at.

use hyper::Uri;
use postern_message::address::EmailAddress;
use serde::{Deserialize, Deserializer};

/// The `[notices]` section.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Notices {
    /// Who is written to; whoever reads postmaster's mail where empty.
    pub mail: Vec<EmailAddress>,
    /// What is sent a JSON object by POST.
    pub webhook: Option<Secure>,
    /// A topic of ntfy.
    pub ntfy: Option<Secure>,
}

/// An address with TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secure(pub Uri);

impl<'de> Deserialize<'de> for Secure {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let uri = text.parse::<Uri>().ok();
        let is_secure = |uri: &Uri| uri.scheme_str() == Some("https") && uri.host().is_some();
        uri.filter(is_secure).map(Self).ok_or_else(|| {
            // It may hold a secret, so it is not repeated.
            serde::de::Error::custom(
                "expected an address that begins with https://, such as \"https://ntfy.sh/topic\"",
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_with_tls_are_taken() {
        let read = |text: &str| {
            let source = postern_shared::config::Source::from_text(std::path::Path::new("home.toml"), text);
            source.parse::<Notices>().map_err(|error| error.to_string())
        };
        assert_eq!(read(""), Ok(Notices::default()));
        let topic = read("ntfy = \"https://ntfy.sh/home\"").expect("a section");
        assert_eq!(topic.ntfy.map(|uri| uri.0.to_string()), Some("https://ntfy.sh/home".to_owned()));
        let error = read("webhook = \"http://hooks.example/secret\"").expect_err("no TLS");
        assert!(error.contains("https://") && !error.contains("secret,"), "{error}");
    }
}
