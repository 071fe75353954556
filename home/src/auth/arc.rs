//! ARC with home's own resolver, and what a trusted chain may change.
//!
//! In: the message, whose seals are believed. Out: the result for the trace field; and whether those who passed the message on
//! vouch that it passed DMARC when it was still as its author's domain sent it.

use std::time::Duration;

use postern_arc::{Chain, Dns, Fault, NoAnswer, Status, read};
use postern_message::{
    address::DomainName,
    authres::{MethodResult, result_of},
};
use postern_store::stage::INLINE_LIMIT;
use tokio::task::block_in_place;
use tokio::time::timeout;

use crate::link::seconds_now;
use crate::resolver::{Answer, ResolveError, Resolver};

/// Time for the keys of all seals.
const PATIENCE: Duration = Duration::from_secs(10);

/// Judges the chain of a message. A long body is hashed where that holds up nobody.
pub async fn judge(resolver: &Resolver, message: &[u8]) -> Chain {
    let claim = match message.len() <= INLINE_LIMIT {
        true => read(message, seconds_now()),
        false => block_in_place(|| read(message, seconds_now())),
    };
    match claim {
        Ok(claim) => {
            let judged = timeout(PATIENCE, claim.check(&Asked(resolver))).await;
            judged.unwrap_or(Chain::broken(Fault::OutOfTime))
        }
        Err(fault) => Chain::broken(fault),
    }
}

/// The outcome as the trace field has it (RFC 8601 §2.7, RFC 8617 §10.1).
pub fn result(chain: &Chain) -> MethodResult {
    match &chain.status {
        Status::None => MethodResult::new("arc", "none"),
        Status::Fail(fault) => MethodResult::new("arc", "fail").because(fault.to_string()),
        Status::Pass => {
            let sealers: Vec<&str> = chain.seals.iter().map(|seal| seal.domain.as_str()).collect();
            MethodResult::new("arc", "pass").because(format!("sealed by {}", sealers.join(", ")))
        }
    }
}

/// The first sealer, where all sealers are trusted and it found that the message passed DMARC for `author_domain` (RFC 8617
/// §7.2.1). One who is not trusted may have changed anything, so one such sealer spoils the chain.
pub fn voucher<'a>(chain: &'a Chain, trusted: &[DomainName], author_domain: &str) -> Option<&'a str> {
    let first = chain.seals.first()?;
    let is_trusted = |domain: &str| trusted.iter().any(|trusted| trusted.as_str() == domain);
    let all_trusted = chain.seals.iter().all(|seal| is_trusted(&seal.domain));
    let (result, from) = result_of(&first.results, "dmarc", "header.from")?;
    let same_author = from.is_none_or(|from| from.eq_ignore_ascii_case(author_domain));
    (all_trusted && result == "pass" && same_author).then_some(first.domain.as_str())
}

/// The name system as home sees it.
struct Asked<'a>(&'a Resolver);

impl Dns for Asked<'_> {
    async fn txt(&self, name: &str) -> Result<Vec<Vec<u8>>, NoAnswer> {
        match self.0.txt(name).await {
            Ok(Answer::Records(texts)) => Ok(texts),
            Ok(Answer::NoData | Answer::NoSuchName) | Err(ResolveError::InvalidName { .. }) => Ok(Vec::new()),
            Err(ResolveError::Temporary { .. }) => Err(NoAnswer),
        }
    }
}

#[cfg(test)]
mod tests {
    use postern_arc::Sealed;

    use super::*;

    fn chain(seals: &[(&str, &str)]) -> Chain {
        let sealed = |(domain, results): &(&str, &str)| Sealed {
            domain: (*domain).to_owned(),
            selector: "s".to_owned(),
            results: (*results).to_owned(),
        };
        Chain { status: Status::Pass, seals: seals.iter().map(sealed).collect() }
    }

    #[test]
    fn only_a_wholly_trusted_chain_vouches_and_only_for_a_pass() {
        let trusted = [DomainName::parse("list.example").expect("a name")];
        let voucher =
            |seals: &[(&str, &str)]| voucher(&chain(seals), &trusted, "home.example").map(str::to_owned);
        let passed = ("list.example", "mx.list.example; dmarc=pass header.from=home.example");
        assert_eq!(voucher(&[passed]), Some("list.example".to_owned()));
        assert_eq!(voucher(&[passed, ("list.example", "mx; dmarc=fail")]), Some("list.example".to_owned()));
        assert_eq!(voucher(&[passed, ("other.example", "mx; dmarc=pass")]), None);
        assert_eq!(voucher(&[("other.example", passed.1)]), None);
        assert_eq!(voucher(&[("list.example", "mx; dmarc=fail; spf=pass")]), None);
        assert_eq!(voucher(&[("list.example", "mx; dmarc=pass header.from=other.example")]), None);
        assert_eq!(voucher(&[]), None);
    }
}
