//! What is said of a domain's DNS.

use postern_message::address::DomainName;
use postern_store::directory::DnsHosting;
use serde::{Deserialize, Serialize};

/// The DNS of one domain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DomainDns {
    /// The domain.
    pub domain: DomainName,
    /// Where the DNS is.
    #[serde(default)]
    pub dns: DnsHosting,
    /// The serial of the zone; `None` while there is none.
    pub serial: Option<u32>,
    /// The data of the DS records that the parent zone shall have.
    pub ds: Vec<String>,
    /// The signed zone, in canonical order; what is to be published, where the DNS is elsewhere.
    pub records: Vec<DnsRecord>,
}

/// One record in presentation form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DnsRecord {
    /// The owner name, absolute.
    pub owner: String,
    /// Seconds.
    pub ttl: u32,
    /// The type.
    #[serde(rename = "type")]
    pub record_type: String,
    /// The data.
    pub data: String,
}

/// A record of the operator's own, as written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WrittenRecord {
    /// `@`, a name relative to the domain, or an absolute one with its final dot.
    pub owner: String,
    /// The type.
    #[serde(rename = "type")]
    pub record_type: String,
    /// Seconds.
    pub ttl: Option<u32>,
    /// The data, in one or several parts; none where all records of the name and type are meant.
    pub data: Vec<String>,
}
