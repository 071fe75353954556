//! Sender Policy Framework: may this address send mail for that domain? Pure but for the name system, which the caller
//! lends ([`Dns`]).
//!
//! In: the client's address, its HELO, the sender, a domain. Out: a [`Verdict`], with the domain's explanation where it refuses.
//! Refused: records that are wrong anywhere (permerror), and more questions to the DNS than a record may cause: ten terms,
//! ten names for each, two answers without records.
//!
//! | file | what it holds |
//! |---|---|
//! | `record` | a record's text as terms (§4.6, §12) |
//! | `macros` | texts with macros, their syntax and expansion (§7) |
//! | `check` | the evaluation (§4, §5, §6) |
//! | `name` | domain names as text (§4.3, §7.3) |
//!
//! Implements RFC 7208. A name that no zone could have, which a macro may make, does not match (§4.8 leaves it open). The
//! `%{p}` macro and `ptr` are supported as they must be.

mod check;
mod macros;
mod name;
mod record;

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub use check::check;

/// Who is asked about.
#[derive(Debug, Clone, Copy)]
pub struct Query<'a> {
    /// The client's address.
    pub address: IpAddr,
    /// The argument of HELO or EHLO.
    pub helo: &'a str,
    /// The envelope sender without brackets; empty for the null reverse-path, whose domain is that of HELO (§2.4).
    pub sender: &'a str,
    /// The host that asks, for explanations.
    pub receiver: &'a str,
    /// Seconds since 1970, for explanations.
    pub now: u64,
}

/// What the check comes to (§2.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// There is no record to judge by.
    None,
    /// The record says nothing of the client.
    Neutral,
    /// The client may send.
    Pass,
    /// It may not.
    Fail,
    /// It probably may not.
    SoftFail,
    /// The DNS did not answer.
    TempError,
    /// The record cannot be understood, or asks for too much.
    PermError,
}

/// The outcome, and what the domain wants people to read where it refuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The outcome.
    pub outcome: Outcome,
    /// The domain's explanation of a [`Outcome::Fail`]: ASCII, from a stranger.
    pub explanation: Option<String>,
}

/// The DNS gave no usable answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoAnswer;

/// The records of one question; none where there is no such name or no such record.
pub type Records<T> = Result<Vec<T>, NoAnswer>;

/// The name system. Names are presentation form without a final dot.
pub trait Dns: Sync {
    /// The texts of a name, the strings of each joined.
    fn txt(&self, name: &str) -> impl Future<Output = Records<Vec<u8>>> + Send;
    /// The IPv4 addresses of a name.
    fn ipv4(&self, name: &str) -> impl Future<Output = Records<Ipv4Addr>> + Send;
    /// The IPv6 addresses of a name.
    fn ipv6(&self, name: &str) -> impl Future<Output = Records<Ipv6Addr>> + Send;
    /// The exchanges of a name's MX records.
    fn mx(&self, name: &str) -> impl Future<Output = Records<String>> + Send;
    /// The names of an address.
    fn ptr(&self, address: IpAddr) -> impl Future<Output = Records<String>> + Send;
}
