//! DMARC aggregate reports: for each sending address, how many messages it sent in the name of a domain and what was thought
//! of them.
//!
//! `read` reads their XML and `write` writes it; what is written is read back the same.
//!
//! Implements RFC 7489 Appendix C and its successor's format, RFC 9990: elements are known by their local names, whatever their order and
//! namespace, and those that are not known are passed over. Kept of the rest is what can be shown or counted.

mod read;
mod write;

use std::net::IpAddr;

use postern_message::address::DomainName;
use serde::{Deserialize, Serialize};

pub use read::{MAX_DEPTH, MAX_RECORDS, read};

/// A whole report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aggregate {
    /// Who reports, in its own words.
    pub org_name: String,
    /// Where it can be written to.
    pub email: String,
    /// Its name for this report; the same one means the same report.
    pub report_id: String,
    /// The first second that is reported on, since 1970.
    pub begin: i64,
    /// The last one.
    pub end: i64,
    /// What the domain had published.
    pub policy: Policy,
    /// What was seen.
    pub records: Vec<Record>,
}

/// The record that the reporter found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Where it was found.
    pub domain: DomainName,
    /// How strictly a signature's domain must be that of the author.
    pub adkim: AlignmentMode,
    /// How strictly the envelope sender's domain must be.
    pub aspf: AlignmentMode,
    /// What was asked for.
    pub p: Disposition,
    /// What was asked for names below it.
    pub sp: Option<Disposition>,
    /// What was asked for names below it that do not exist.
    pub np: Option<Disposition>,
}

/// Messages of one address that came out alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The address that they came from.
    pub source_ip: IpAddr,
    /// How many.
    pub count: u64,
    /// What was done with them.
    pub disposition: Disposition,
    /// Whether a signature of the author's domain was good.
    pub dkim: DmarcResult,
    /// Whether SPF was, for the author's domain.
    pub spf: DmarcResult,
    /// Why the disposition is not what was asked for.
    pub reasons: Vec<Reason>,
    /// The domain in From.
    pub header_from: String,
    /// The domain of the envelope sender.
    pub envelope_from: Option<String>,
    /// What each signature came to.
    pub dkim_results: Vec<DkimAuthResult>,
    /// What SPF came to.
    pub spf_results: Vec<SpfAuthResult>,
}

/// Why a policy was not followed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// `forwarded`, `mailing_list`, `local_policy`, …
    pub kind: String,
    /// In the reporter's words.
    pub comment: String,
}

/// One signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DkimAuthResult {
    /// Its `d=`.
    pub domain: String,
    /// Its `s=`.
    pub selector: String,
    /// What it came to.
    pub result: AuthResult,
}

/// One SPF check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpfAuthResult {
    /// The domain that was checked.
    pub domain: String,
    /// What it came to.
    pub result: AuthResult,
}

/// Declares an enum of the words that an element may hold.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal $(| $other:literal)*,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(rename_all = "lowercase")]
        pub enum $name { $($(#[$variant_doc])* $variant,)+ }

        impl $name {
            /// The word for it.
            pub fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }

            /// Reads the word, letters in any case.
            pub fn from_word(word: &str) -> Option<Self> {
                match word.to_ascii_lowercase().as_str() {
                    $($word $(| $other)* => Some(Self::$variant),)+
                    _ => None,
                }
            }
        }
    };
}

words! {
    /// How strictly two domains are compared.
    AlignmentMode {
        /// The same organization is enough.
        Relaxed = "r",
        /// They must be equal.
        Strict = "s",
    }
}

words! {
    /// What is asked for, or was done.
    Disposition {
        /// Nothing: delivered. RFC 9990 says `pass` where nothing had to be asked for.
        None = "none" | "pass",
        /// Looked at with suspicion.
        Quarantine = "quarantine",
        /// Refused.
        Reject = "reject",
    }
}

words! {
    /// Whether a method authenticated the author's domain.
    DmarcResult {
        /// It did.
        Pass = "pass",
        /// It did not.
        Fail = "fail",
    }
}

words! {
    /// What SPF or DKIM came to, whichever domain it was for.
    AuthResult {
        /// Nothing to judge by.
        None = "none",
        /// Good.
        Pass = "pass",
        /// Bad.
        Fail = "fail" | "hardfail",
        /// SPF: probably bad.
        SoftFail = "softfail",
        /// DKIM: good, but not to the reporter's taste.
        Policy = "policy",
        /// Nothing said.
        Neutral = "neutral",
        /// The DNS did not answer.
        TempError = "temperror" | "unknown",
        /// The record or signature is wrong.
        PermError = "permerror" | "error",
    }
}
