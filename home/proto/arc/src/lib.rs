//! Authenticated Received Chain: what did those find who passed this message on, and is it still as they passed it on? And what
//! this server found, sealed for the next one. Pure but for the name system and the signer, which the caller lends.
//!
//! In: a message as it came, and the time. Out: a [`Chain`]: whether it holds, and what each sealer says it found. Refused,
//! and that breaks the chain: a header field that is not of the form the standard gives it, a set that is not whole, more
//! than 50 sets, a signature that does not verify, a key that the DNS does not give (§5.2.1: all failures are permanent).
//!
//! | file | what it holds |
//! |---|---|
//! | `tags` | tag lists (RFC 6376 §3.2) |
//! | `fields` | the three header fields (§4.1) |
//! | `set` | the fields of a message as sets (§4.2) |
//! | `signature` | what is signed and whether the signature holds (§5.1.1, RFC 6376 §3.7) |
//! | `check` | the steps of §5.2 |
//! | `seal` | the fields of a set of our own (§5.1) |
//!
//! Implements RFC 8617 §4, §5.1 and §5.2 but for the optional step 5 (oldest-pass). Deviates: a body-length tag (`l`) is not
//! obeyed, because what it leaves out could be anything.

mod check;
mod fields;
mod seal;
mod set;
mod signature;
mod tags;

use std::future::Future;

pub use check::{Claim, check, read};
pub use seal::{Sealing, seal};

/// A message's chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// Whether it holds.
    pub status: Status,
    /// Who sealed the message, the first one first; none unless the chain holds.
    pub seals: Vec<Sealed>,
}

impl Chain {
    /// A chain that does not hold.
    pub fn broken(fault: Fault) -> Self {
        Self { status: Status::Fail(fault), seals: Vec::new() }
    }
}

/// The Chain Validation Status (§4.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// The message has no set.
    None,
    /// Every seal holds, and so does the last signature.
    Pass,
    /// The chain is broken.
    Fail(Fault),
}

/// One who passed the message on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// The sealing domain, in lower case.
    pub domain: String,
    /// Which of its keys.
    pub selector: String,
    /// What it found: the results of an `Authentication-Results` field, from the name of the server on.
    pub results: String,
}

/// Why a chain is broken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// More sets than anybody may add.
    #[error("more than 50 ARC sets")]
    TooLong,
    /// A header field is not of its form.
    #[error("{0} is malformed")]
    Malformed(&'static str),
    /// A set lacks a field or has one twice, or there is a gap between the sets.
    #[error("ARC set {0} is not whole")]
    Incomplete(usize),
    /// A sealer says that the chain was broken before it, or does not say what it must.
    #[error("the seal of ARC set {0} does not vouch for those before it")]
    NotVouchedFor(usize),
    /// The signature has a date after which it is worth nothing.
    #[error("the signature of ARC set {0} has expired")]
    Expired(usize),
    /// The body is not what was signed.
    #[error("the body was changed after ARC set {0}")]
    BodyChanged(usize),
    /// The key cannot be found or used.
    #[error("no key for ARC set {0}")]
    NoKey(usize),
    /// The keys did not come in the time that the caller gives.
    #[error("the keys did not come in time")]
    OutOfTime,
    /// A signature does not verify.
    #[error("the {field} of ARC set {instance} does not verify")]
    Forged {
        /// Which field.
        field: &'static str,
        /// In which set.
        instance: usize,
    },
}

/// The DNS gave no usable answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoAnswer;

/// The name system.
pub trait Dns: Sync {
    /// The texts of a name, the strings of each joined. The name is in presentation form without a final dot.
    fn txt(&self, name: &str) -> impl Future<Output = Result<Vec<Vec<u8>>, NoAnswer>> + Send;
}
