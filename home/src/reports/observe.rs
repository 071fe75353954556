//! Counts what came in the name of a domain that asks for reports.
//!
//! In: a message that has been judged. Out: an observation for the day's report, without a word of the message or of its
//! recipients. Refused: what DMARC could not judge, and reports themselves: two homes without other mail between them would
//! report each other's reports for ever.

use std::net::IpAddr;

use jiff::Timestamp;
use postern_message::address::EmailAddress;
use postern_message::authres::MethodResult;
use postern_report::dmarc::{
    AuthResult, Disposition, DkimAuthResult, DmarcResult, Reason, Record, SpfAuthResult,
};
use postern_smtp::server::{Envelope, ReversePath};
use postern_store::reports::{Observation, Reports};

use super::is_among;
use crate::auth::{Alignment, Dmarc, Report};

/// Counts a message; does not wait.
pub fn observe(
    reports: &Reports,
    client: IpAddr,
    envelope: &Envelope,
    author: &EmailAddress,
    report: &Report,
) {
    let is_report = envelope.reverse_path == ReversePath::Null && is_among(&envelope.forward_paths);
    let Some(alignment) = report.reportable.filter(|_| !is_report) else { return };
    let record = record(client, envelope, author, report, alignment);
    reports.observe(author.domain().clone(), Timestamp::now(), Observation::Message(record));
}

fn record(
    client: IpAddr,
    envelope: &Envelope,
    author: &EmailAddress,
    report: &Report,
    alignment: Alignment,
) -> Record {
    let disposition = match report.dmarc {
        Dmarc::Accept | Dmarc::Defer { .. } => Disposition::None,
        Dmarc::Quarantine { .. } => Disposition::Quarantine,
        Dmarc::Reject { .. } => Disposition::Reject,
    };
    let of = |method: &'static str| report.results.iter().filter(move |result| result.method == method);
    Record {
        source_ip: client.to_canonical(),
        count: 0,
        disposition,
        dkim: result(alignment.dkim),
        spf: result(alignment.spf),
        reasons: of("dmarc").filter_map(override_reason).collect(),
        header_from: author.domain().to_string(),
        envelope_from: match &envelope.reverse_path {
            ReversePath::Address(address) => Some(address.domain().to_string()),
            ReversePath::Null | ReversePath::Literal(_) => None,
        },
        dkim_results: of("dkim").filter_map(signature).collect(),
        spf_results: of("spf").map(spf).collect(),
    }
}

fn result(is_aligned: bool) -> DmarcResult {
    if is_aligned { DmarcResult::Pass } else { DmarcResult::Fail }
}

/// Only a seal that is believed gives DMARC's result a reason here.
fn override_reason(result: &MethodResult) -> Option<Reason> {
    (!result.reason.is_empty())
        .then(|| Reason { kind: "trusted_forwarder".to_owned(), comment: result.reason.clone() })
}

fn signature(result: &MethodResult) -> Option<DkimAuthResult> {
    Some(DkimAuthResult {
        domain: property(result, "header.d")?.to_owned(),
        selector: property(result, "header.s").unwrap_or_default().to_owned(),
        result: auth_result(result),
    })
}

/// The domain that was checked: the sender's, or that of HELO (RFC 7208 §2.4).
fn spf(result: &MethodResult) -> SpfAuthResult {
    let sender = property(result, "smtp.mailfrom").and_then(|sender| sender.rsplit_once('@'));
    let domain = sender.map(|(_, domain)| domain).or_else(|| property(result, "smtp.helo"));
    SpfAuthResult { domain: domain.unwrap_or_default().to_owned(), result: auth_result(result) }
}

fn property<'a>(result: &'a MethodResult, name: &str) -> Option<&'a str> {
    result.properties.iter().find(|(property, _)| *property == name).map(|(_, value)| value.as_str())
}

fn auth_result(result: &MethodResult) -> AuthResult {
    AuthResult::from_word(result.result).unwrap_or(AuthResult::None)
}
