//! Relays that are known by name. A uniform table.
//!
//! Each row is from the provider's own pages on sending by SMTP. `{region}` in a host name is the operator's to fill in.

use super::book::Security;

/// A provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Provider {
    /// The word for it on the command line.
    pub name: &'static str,
    /// Its server.
    pub host: &'static str,
    /// The port that is used unless another is named.
    pub port: u16,
    /// What the SPF record must include.
    pub spf: &'static str,
    /// Which user name it wants.
    pub login_hint: &'static str,
    /// Which password it wants.
    pub password_hint: &'static str,
}

/// All of them.
pub const PROVIDERS: [Provider; 5] = [
    Provider {
        name: "ses",
        host: "email-smtp.{region}.amazonaws.com",
        port: 465,
        spf: "amazonses.com",
        login_hint: "the user name of the SMTP credentials, which begins with AKIA",
        password_hint: "the password of the SMTP credentials, which is no IAM secret access key",
    },
    Provider {
        name: "postmark",
        host: "smtp.postmarkapp.com",
        port: 587,
        spf: "spf.mtasv.net",
        login_hint: "the server API token",
        password_hint: "the same token",
    },
    Provider {
        name: "brevo",
        host: "smtp-relay.brevo.com",
        port: 465,
        spf: "spf.brevo.com",
        login_hint: "the login under SMTP & API, SMTP",
        password_hint: "an SMTP key, which is no API key",
    },
    Provider {
        name: "mailgun",
        host: "smtp.mailgun.org",
        port: 465,
        spf: "mailgun.org",
        login_hint: "postmaster@ and the sending domain, or another SMTP user of it",
        password_hint: "the password of that SMTP user, which is no API key",
    },
    Provider {
        name: "mailgun-eu",
        host: "smtp.eu.mailgun.org",
        port: 465,
        spf: "eu.mailgun.org",
        login_hint: "postmaster@ and the sending domain, or another SMTP user of it",
        password_hint: "the password of that SMTP user, which is no API key",
    },
];

impl Provider {
    /// The provider of this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        PROVIDERS.iter().find(|provider| provider.name == name)
    }

    /// How TLS begins on its usual port.
    pub fn security(&self) -> Security {
        Security::of_port(self.port)
    }

    /// Its server in a region; `None` where it needs one and none is named.
    pub fn host_in(&self, region: Option<&str>) -> Option<String> {
        match region {
            Some(region) => Some(self.host.replace("{region}", region)),
            None => (!self.host.contains("{region}")).then(|| self.host.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use postern_message::address::DomainName;

    use super::*;

    #[test]
    fn every_row_leads_to_a_server() {
        for provider in &PROVIDERS {
            let host = provider.host_in(Some("eu-central-1")).unwrap();
            assert!(DomainName::parse(&host).is_ok() && DomainName::parse(provider.spf).is_ok(), "{host}");
            assert!(matches!(provider.port, 465 | 587), "{}", provider.name);
            assert_eq!(Provider::named(provider.name), Some(provider));
        }
        assert_eq!(Provider::named("ses").unwrap().host_in(None), None);
    }
}
