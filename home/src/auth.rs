//! Who sent this? SPF, DKIM, ARC, DMARC and the client's reverse name, checked once the message is here.
//!
//! In: the client, its HELO, the envelope sender, and the message as it came. Out: a [`Report`]: the results to be
//! written into `Authentication-Results`, whether the author's domain asks for refusal, and the client's confirmed
//! name. Refused: nothing here; the caller acts on [`Report::dmarc`]. Trouble with the DNS never refuses mail.
//!
//! Bounded: `DEADLINE` for all lookups together, `MAX_SIGNATURES` signatures, `MAX_REVERSE_NAMES` names.
//!
//! Implements RFC 7208 (SPF, by `postern-spf`), RFC 6376 and RFC 8463 (DKIM), RFC 8301 §3.1 (rsa-sha1 is not verified),
//! RFC 7489 §6.6 (DMARC, by mail-auth, which follows the successor's tree walk), RFC 8617 §5.2 and §7.2.1 (ARC, by
//! `postern-arc`), RFC 8601 §2.7 (results).

mod arc;
mod spf;

use std::{net::IpAddr, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use mail_auth::{
    AuthenticatedMessage, DkimOutput, DkimResult, DmarcOutput, DmarcResult,
    common::crypto::Algorithm,
    dmarc::{Policy, verify::DmarcParameters},
};
use postern_message::{address::DomainName, authres::MethodResult};
use postern_store::stage::INLINE_LIMIT;
use tokio::{task::block_in_place, time::timeout};

use crate::resolver::{Answer, ResolveError, Resolver};

/// Time for all checks of one message.
pub const DEADLINE: Duration = Duration::from_secs(30);
/// Signatures that are looked at; a message with more is up to something.
pub const MAX_SIGNATURES: usize = 10;
/// PTR names that are confirmed.
const MAX_REVERSE_NAMES: usize = 3;

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

/// What was found.
#[derive(Debug, Default)]
pub struct Report {
    /// For `Authentication-Results`.
    pub results: Vec<MethodResult>,
    /// What the author's domain wants done.
    pub dmarc: Dmarc,
    /// A name of the client that leads back to its address.
    pub reverse_name: Option<String>,
}

/// What DMARC says of the message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Dmarc {
    /// Nothing to act on: it passed, there is no policy, the policy is `none`, or the DNS did not answer.
    #[default]
    Accept,
    /// It failed, and the domain wants it looked at with suspicion.
    Quarantine,
    /// It failed, and the domain wants it refused.
    Reject {
        /// The domain of the From field.
        domain: String,
    },
}

/// Makes all checks. When the time is up, what is left is `temperror` and the message is accepted.
pub async fn check(resolver: &Resolver, submitter: Submitter<'_>, message: &[u8]) -> Report {
    let checks = async {
        tokio::join!(sender_checks(resolver, submitter, message), reverse_name(resolver, submitter.address))
    };
    match timeout(DEADLINE, checks).await {
        Ok((mut report, reverse)) => {
            report.results.push(iprev(&reverse, submitter.address));
            report.reverse_name = reverse.ok().flatten();
            report
        }
        Err(_) => out_of_time(),
    }
}

fn out_of_time() -> Report {
    let results =
        ["spf", "dkim", "arc", "dmarc"].map(|method| MethodResult::new(method, "temperror")).to_vec();
    Report { results, ..Report::default() }
}

async fn sender_checks(resolver: &Resolver, submitter: Submitter<'_>, octets: &[u8]) -> Report {
    let authenticator = resolver.authenticator();
    let spf = spf::judge(resolver, submitter).await;
    let mut results = vec![spf::result(spf, submitter)];
    let Some(mut message) = parsed(octets) else {
        results.push(MethodResult::new("dkim", "none"));
        return Report { results, ..Report::default() };
    };
    message.dkim_headers.retain(|header| header.header.a != Algorithm::RsaSha1);
    message.dkim_headers.truncate(MAX_SIGNATURES);
    message.errors.truncate(MAX_SIGNATURES);
    let signatures = authenticator.verify_dkim(&message).await;
    results.extend(dkim_results(&signatures));
    let chain = arc::judge(resolver, octets).await;
    results.push(arc::result(&chain));
    let domain = mail_from_domain(submitter);
    let spf = spf::output(spf, domain);
    let dmarc = authenticator.verify_dmarc(DmarcParameters::new(&message, &signatures, domain, &spf)).await;
    let wish = dmarc_wish(&dmarc);
    let voucher =
        arc::voucher(&chain, submitter.trusted_sealers, dmarc.domain()).filter(|_| wish != Dmarc::Accept);
    results.push(match voucher {
        Some(sealer) => dmarc_result(&dmarc).because(format!("passed on by {sealer}, which found a pass")),
        None => dmarc_result(&dmarc),
    });
    let dmarc = if voucher.is_some() { Dmarc::Accept } else { wish };
    Report { results, dmarc, reverse_name: None }
}

/// Hashes the whole body: of a long one, where it holds up nobody.
fn parsed(octets: &[u8]) -> Option<AuthenticatedMessage<'_>> {
    match octets.len() <= INLINE_LIMIT {
        true => AuthenticatedMessage::parse(octets),
        false => block_in_place(|| AuthenticatedMessage::parse(octets)),
    }
}

fn mail_from_domain(submitter: Submitter<'_>) -> &str {
    submitter.reverse_path.rsplit_once('@').map_or(submitter.helo, |(_, domain)| domain)
}

fn dkim_results(signatures: &[DkimOutput<'_>]) -> Vec<MethodResult> {
    match signatures {
        [] => vec![MethodResult::new("dkim", "none")],
        some => some.iter().map(dkim_result).collect(),
    }
}

fn dkim_result(output: &DkimOutput<'_>) -> MethodResult {
    let (result, reason) = match output.result() {
        DkimResult::Pass => ("pass", None),
        // mail-auth calls a signature neutral that does not verify; RFC 8601 §2.7.1 calls that a failure.
        DkimResult::Neutral(error) if output.signature().is_some() => ("fail", Some(error)),
        DkimResult::Neutral(error) => ("neutral", Some(error)),
        DkimResult::Fail(error) => ("fail", Some(error)),
        DkimResult::PermError(error) => ("permerror", Some(error)),
        DkimResult::TempError(error) => ("temperror", Some(error)),
        DkimResult::None => ("none", None),
    };
    let mut method = MethodResult::new("dkim", result);
    if let Some(error) = reason {
        method = method.because(error.to_string());
    }
    let Some(signature) = output.signature() else { return method };
    // RFC 6008 §4: enough of the signature to tell it from others.
    let prefix: String = BASE64.encode(&signature.b).chars().take(8).collect();
    method
        .with("header.d", signature.d.clone())
        .with("header.s", signature.s.clone())
        .with("header.b", prefix)
}

fn dmarc_result(dmarc: &DmarcOutput) -> MethodResult {
    let result = MethodResult::new(
        "dmarc",
        match dmarc.result() {
            DmarcResult::Pass => "pass",
            DmarcResult::Fail(_) => "fail",
            DmarcResult::TempError(_) => "temperror",
            DmarcResult::PermError(_) => "permerror",
            DmarcResult::None => "none",
        },
    );
    let result = if dmarc.domain().is_empty() { result } else { result.with("header.from", dmarc.domain()) };
    match (dmarc.result(), dmarc.policy()) {
        (DmarcResult::None, _) => result,
        (_, Policy::Reject) => result.with("policy.dmarc", "reject"),
        (_, Policy::Quarantine) => result.with("policy.dmarc", "quarantine"),
        (_, Policy::None | Policy::Unspecified) => result.with("policy.dmarc", "none"),
    }
}

fn dmarc_wish(dmarc: &DmarcOutput) -> Dmarc {
    match (dmarc.result(), dmarc.policy()) {
        (DmarcResult::Fail(_), Policy::Reject) => Dmarc::Reject { domain: dmarc.domain().to_owned() },
        (DmarcResult::Fail(_), Policy::Quarantine) => Dmarc::Quarantine,
        _ => Dmarc::Accept,
    }
}

/// A PTR name that has the address among its own (RFC 8601 §2.7.3, "iprev").
async fn reverse_name(resolver: &Resolver, address: IpAddr) -> Result<Option<String>, ResolveError> {
    let Answer::Records(names) = resolver.ptr(address).await? else { return Ok(None) };
    for name in names.into_iter().take(MAX_REVERSE_NAMES) {
        if has_address(resolver, &name, address).await? {
            return Ok(Some(name));
        }
    }
    Ok(None)
}

async fn has_address(resolver: &Resolver, name: &str, address: IpAddr) -> Result<bool, ResolveError> {
    Ok(match address {
        IpAddr::V4(v4) => matches!(resolver.ipv4(name).await?, Answer::Records(found) if found.contains(&v4)),
        IpAddr::V6(v6) => matches!(resolver.ipv6(name).await?, Answer::Records(found) if found.contains(&v6)),
    })
}

fn iprev(reverse: &Result<Option<String>, ResolveError>, address: IpAddr) -> MethodResult {
    let result = match reverse {
        Ok(Some(_)) => "pass",
        Ok(None) | Err(ResolveError::InvalidName { .. }) => "fail",
        Err(ResolveError::Temporary { .. }) => "temperror",
    };
    MethodResult::new("iprev", result).with("policy.iprev", address.to_string())
}
