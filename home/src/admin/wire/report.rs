//! Reports of other mail systems.

use postern_message::address::DomainName;
use postern_store::reports::{TlsFailureRow, TlsPolicyRow};
use serde::{Deserialize, Serialize};

use crate::reports::sources::Source;

/// Which reports are asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportsOf {
    /// About this domain; absent for all.
    #[serde(default)]
    pub domain: Option<DomainName>,
    /// Received in so many days.
    pub days: u16,
}

/// How many reports an answer stands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportCounts {
    /// Reports that are counted.
    pub verified: u64,
    /// Reports that are left out, since nobody vouches for their senders.
    pub unverified: u64,
}

/// What DMARC's aggregate reports say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DmarcReports {
    /// What was asked for.
    pub of: ReportsOf,
    /// How many reports there are.
    pub reports: ReportCounts,
    /// Who sends mail in our name; the one with the most messages first.
    pub sources: Vec<Source>,
}

/// What TLS reports say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TlsReports {
    /// What was asked for.
    pub of: ReportsOf,
    /// How many reports there are.
    pub reports: ReportCounts,
    /// Sessions, for each reporter and policy.
    pub policies: Vec<TlsPolicyRow>,
    /// What went wrong.
    pub failures: Vec<TlsFailureRow>,
}
