//! SPF with home's own resolver.
//!
//! In: who hands the message over. Out: what the check came to, for the trace field and for DMARC.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use mail_auth::{SpfOutput, SpfResult};
use postern_message::authres::MethodResult;
use postern_spf::{Dns, NoAnswer, Outcome, Query, Records, check};
use tokio::time::timeout;

use super::Submitter;
use crate::link::seconds_now;
use crate::resolver::{Answer, ResolveError, Resolver};

/// Time for the whole check; RFC 7208 §4.6.4 wants no less.
const PATIENCE: Duration = Duration::from_secs(20);

/// Judges the client by the domain of the reverse path, or by its HELO where that is null (RFC 7208 §2.4).
pub async fn judge(resolver: &Resolver, submitter: Submitter<'_>) -> Outcome {
    let Submitter { address, helo, reverse_path, hostname, .. } = submitter;
    let query = Query { address, helo, sender: reverse_path, receiver: hostname, now: seconds_now() };
    let judged = timeout(PATIENCE, check(&Asked(resolver), query)).await;
    judged.map_or(Outcome::TempError, |judged| judged.outcome)
}

/// The outcome as the trace field has it (RFC 8601 §2.7.2).
pub fn result(outcome: Outcome, submitter: Submitter<'_>) -> MethodResult {
    let word = match outcome {
        Outcome::Pass => "pass",
        Outcome::Fail => "fail",
        Outcome::SoftFail => "softfail",
        Outcome::Neutral => "neutral",
        Outcome::TempError => "temperror",
        Outcome::PermError => "permerror",
        Outcome::None => "none",
    };
    match submitter.reverse_path {
        "" => MethodResult::new("spf", word).with("smtp.helo", submitter.helo),
        sender => MethodResult::new("spf", word).with("smtp.mailfrom", sender),
    }
}

/// Whether the client is the sender's.
pub fn has_passed(outcome: Outcome) -> bool {
    matches!(outcome, Outcome::Pass)
}

/// Whether the sender's domain says, firmly or not, that it is not.
pub fn has_failed(outcome: Outcome) -> bool {
    matches!(outcome, Outcome::Fail | Outcome::SoftFail)
}

/// The outcome as DMARC takes it.
pub fn output(outcome: Outcome, domain: &str) -> SpfOutput {
    SpfOutput::new(domain.to_owned()).with_result(match outcome {
        Outcome::Pass => SpfResult::Pass,
        Outcome::Fail => SpfResult::Fail,
        Outcome::SoftFail => SpfResult::SoftFail,
        Outcome::Neutral => SpfResult::Neutral,
        Outcome::TempError => SpfResult::TempError,
        Outcome::PermError => SpfResult::PermError,
        Outcome::None => SpfResult::None,
    })
}

/// The name system as home sees it.
struct Asked<'a>(&'a Resolver);

fn records<T>(answer: Result<Answer<T>, ResolveError>) -> Records<T> {
    match answer {
        Ok(Answer::Records(records)) => Ok(records),
        Ok(Answer::NoData | Answer::NoSuchName) | Err(ResolveError::InvalidName { .. }) => Ok(Vec::new()),
        Err(ResolveError::Temporary { .. }) => Err(NoAnswer),
    }
}

impl Dns for Asked<'_> {
    async fn txt(&self, name: &str) -> Records<Vec<u8>> {
        records(self.0.txt(name).await)
    }

    async fn ipv4(&self, name: &str) -> Records<Ipv4Addr> {
        records(self.0.ipv4(name).await)
    }

    async fn ipv6(&self, name: &str) -> Records<Ipv6Addr> {
        records(self.0.ipv6(name).await)
    }

    async fn mx(&self, name: &str) -> Records<String> {
        let hosts = records(self.0.mx(name).await)?;
        Ok(hosts.into_iter().map(|mx| mx.exchange).collect())
    }

    async fn ptr(&self, address: IpAddr) -> Records<String> {
        records(self.0.ptr(address).await)
    }
}
