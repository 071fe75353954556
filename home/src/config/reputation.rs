//! The `[reputation]` section: what is watched of the address that home's mail leaves from.

use postern_message::address::DomainName;
use serde::Deserialize;

/// The `[reputation]` section.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Reputation {
    /// DNS lists of distrusted addresses that are asked about it four times a day.
    pub blocklists: Vec<DomainName>,
}

impl Default for Reputation {
    fn default() -> Self {
        let lists = ["zen.spamhaus.org", "bl.spamcop.net", "psbl.surriel.com"];
        Self { blocklists: lists.iter().filter_map(|list| DomainName::parse(list).ok()).collect() }
    }
}
