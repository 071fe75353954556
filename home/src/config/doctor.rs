//! The `[doctor]` section: whom `postern-home doctor` asks whether mail can leave.

use postern_message::address::DomainName;
use serde::Deserialize;

/// The `[doctor]` section.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Doctor {
    /// Domains of which one mail server each is greeted at port 25; the first four count.
    pub mail_servers: Vec<DomainName>,
}

impl Default for Doctor {
    /// Large receivers that are always there, of different owners.
    fn default() -> Self {
        let domains = ["gmail.com", "outlook.com", "icloud.com"];
        Self { mail_servers: domains.map(|domain| DomainName::parse(domain).expect("a domain")).into() }
    }
}
