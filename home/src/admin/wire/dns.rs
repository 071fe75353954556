//! What is said of a domain's DNS.

use jiff::Timestamp;
use postern_message::address::DomainName;
use postern_store::directory::{DkimStage, DnsHosting};
use serde::{Deserialize, Serialize};

use crate::zone::roll::Step;

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

/// The keys that sign a domain's mail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DkimKeys {
    /// The domain.
    pub domain: DomainName,
    /// Where its DNS is.
    pub dns: DnsHosting,
    /// The keys whose records are published.
    pub keys: Vec<ListedDkimKey>,
}

/// A key that signs mail, did, or will.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedDkimKey {
    /// The name of the key within the domain.
    pub selector: String,
    /// `rsa` or `ed25519`.
    pub algorithm: String,
    /// How far it is in its life.
    pub stage: DkimStage,
    /// Since when; of an announced key since when all name servers have its record.
    pub since: Option<Timestamp>,
}

/// The keys that sign a domain's zone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DomainKeys {
    /// The domain.
    pub domain: DomainName,
    /// The keys, the oldest first.
    pub keys: Vec<SigningKey>,
    /// How far their change has come; `None` while none is under way.
    pub roll: Option<Step>,
}

/// A key that signs a zone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SigningKey {
    /// The key tag (RFC 4034 Appendix B).
    pub key_tag: u16,
    /// The data of its DS record.
    pub ds: String,
    /// Whether the parent zone shall have that.
    pub at_parent: bool,
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

/// A master file to take over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Import {
    /// Its text.
    pub file: String,
    /// Only say what would become of it.
    pub dry_run: bool,
}

/// What became of a master file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Imported {
    /// Whether anything was changed.
    pub applied: bool,
    /// Every record that can be taken, in the order of the file.
    pub records: Vec<ImportedRecord>,
    /// What cannot; where there is any, nothing was changed.
    pub refused: Vec<RefusedLine>,
}

/// A record of a master file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportedRecord {
    /// The line on which it begins.
    pub line: usize,
    /// The owner name, absolute.
    pub owner: String,
    /// The type.
    #[serde(rename = "type")]
    pub record_type: String,
    /// The data.
    pub data: String,
    /// What becomes of it.
    pub fate: ImportedFate,
    /// What Postern has in its place.
    pub replaced_by: Option<String>,
}

/// What becomes of a record of a master file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ImportedFate {
    /// It is one of the operator's own from now on.
    Kept,
    /// It was one already.
    Present,
    /// Postern has another in its place.
    Replaced,
    /// Postern makes such records itself.
    Made,
}

/// A line of a master file that cannot be taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedLine {
    /// Its number; `None` for what no one line is the cause of.
    pub line: Option<usize>,
    /// Why.
    pub reason: String,
}
