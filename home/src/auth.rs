//! Who sent this? SPF, DKIM, ARC, DMARC and the client's reverse name, checked once the message is here.
//!
//! In: the client, its HELO, the envelope sender, the message as it came, and its author. Out: a [`Report`]: the results to be
//! written into `Authentication-Results`, what the author's domain wants done, and the client's confirmed name. Refused:
//! nothing here; the caller acts on [`Report::dmarc`].
//!
//! Every method has a time-out of its own, so that none uses up another's time: what a stranger's name servers do not answer
//! is `temperror`. It refuses no mail and lets none in: where it could be the missing proof for a domain that is known to ask
//! for refusal or quarantine, DMARC says [`Dmarc::Defer`].
//!
//! Bounded: the time-outs, [`dkim::MAX_SIGNATURES`] signatures, three reverse names.
//!
//! Implements RFC 7208 (SPF, by `postern-spf`), RFC 6376 and RFC 8463 (DKIM), RFC 8301 §3.1 (rsa-sha1 is not verified),
//! RFC 7489 §6.6 (DMARC, by mail-auth, which follows the successor's tree walk), RFC 8617 §5.2 and §7.2.1 (ARC, by
//! `postern-arc`), RFC 8601 §2.7 (results).

pub mod iprev;

mod spf;

pub mod dkim;

mod arc;

mod dmarc;

use std::net::IpAddr;

use postern_arc::Chain;
use postern_message::address::{DomainName, EmailAddress};
use postern_message::authres::MethodResult;

use crate::resolver::Resolver;
pub use dmarc::{Alignment, Dmarc};

/// Who hands the message over.
#[derive(Clone, Copy, Debug)]
pub struct Submitter<'a> {
    /// The client's address.
    pub address: IpAddr,
    /// What it called itself.
    pub helo: &'a str,
    /// The envelope sender without brackets; empty for the null reverse-path.
    pub reverse_path: &'a str,
    /// Our own name.
    pub hostname: &'a str,
    /// Whose ARC seals are believed.
    pub trusted_sealers: &'a [DomainName],
}

impl Submitter<'_> {
    /// The domain that SPF speaks for (RFC 7208 §2.4).
    fn spf_domain(&self) -> &str {
        self.reverse_path.rsplit_once('@').map_or(self.helo, |(_, domain)| domain)
    }
}

/// What was found.
#[derive(Debug)]
pub struct Report {
    /// For `Authentication-Results`.
    pub results: Vec<MethodResult>,
    /// What the author's domain wants done.
    pub dmarc: Dmarc,
    /// What vouches for the author, where its domain wants to be told (RFC 7489 §7.2).
    pub reportable: Option<Alignment>,
    /// Whether the chain of those who passed it on holds.
    pub chain: Chain,
    /// What stands for the author.
    pub proof: Proof,
}

/// What SPF and DKIM say of the author, whether its domain has a policy or not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Proof {
    /// One of them passed for the author's domain, or for one above or below it.
    pub is_aligned: bool,
    /// SPF says that the client is not the sender's.
    pub spf_failed: bool,
}

/// Makes all checks of a message; `author` is the one of its From field, where the caller has read it.
pub async fn check(
    resolver: &Resolver,
    submitter: Submitter<'_>,
    octets: &[u8],
    author: Option<&EmailAddress>,
) -> Report {
    let message = dkim::parsed(octets, author);
    let senders = async {
        let proofs =
            async { tokio::join!(spf::judge(resolver, submitter), dkim::judge(resolver, message.as_ref())) };
        let (spf, signatures) = proofs.await;
        let output = spf::output(spf, submitter.spf_domain());
        let dmarc = dmarc::judge(resolver, message.as_ref(), &signatures, &output).await;
        let is_aligned = dmarc.has_passed()
            || spf::has_passed(spf) && is_aligned(submitter.spf_domain(), author)
            || signatures.passed().any(|domain| is_aligned(domain, author));
        (spf, signatures.results(), dmarc, Proof { is_aligned, spf_failed: spf::has_failed(spf) })
    };
    let ((spf, signatures, dmarc, proof), chain) = tokio::join!(senders, arc::judge(resolver, octets));
    let voucher = arc::voucher(&chain, submitter.trusted_sealers, dmarc.domain());
    let voucher = voucher.filter(|_| dmarc.wish() != Dmarc::Accept);
    let mut results = vec![spf::result(spf, submitter)];
    results.extend(signatures);
    results.push(arc::result(&chain));
    results.push(match voucher {
        Some(sealer) => dmarc.result().because(format!("passed on by {sealer}, which found a pass")),
        None => dmarc.result(),
    });
    let reportable = dmarc.reportable();
    let dmarc = if voucher.is_some() { Dmarc::Accept } else { dmarc.wish() };
    Report { results, dmarc, reportable, chain, proof }
}

/// Whether one domain is the author's, or above or below it. A single label is nobody's.
fn is_aligned(domain: &str, author: Option<&EmailAddress>) -> bool {
    let Some(author) = author.map(EmailAddress::domain) else { return false };
    let domain = DomainName::parse(domain).ok().filter(|domain| domain.labels().count() > 1);
    domain.is_some_and(|domain| domain.is_within(author) || author.is_within(&domain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domains_above_and_below_are_aligned() {
        let author = EmailAddress::parse("bob@news.stranger.example").expect("an address");
        for domain in ["news.stranger.example", "stranger.example", "x.news.stranger.example"] {
            assert!(is_aligned(domain, Some(&author)), "{domain}");
        }
        for domain in ["example", "other.example", "ews.stranger.example", ""] {
            assert!(!is_aligned(domain, Some(&author)), "{domain}");
        }
        assert!(!is_aligned("stranger.example", None));
    }
}
