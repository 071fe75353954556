//! `postern-home reports`: what other mail systems report of the mail in our name.

use std::collections::BTreeSet;
use std::fmt::Write;

use clap::{Args, Subcommand};
use postern_message::address::DomainName;
use postern_shared::cli::{Exit, Failure};
use postern_shared::http::Method;

use super::client::Client;
use super::table::Table;
use crate::admin::wire::report::{DmarcReports, ReportCounts, ReportsOf, TlsReports};
use crate::reports::sources::Source;

/// `postern-home reports …`
#[derive(Debug, Subcommand)]
pub enum ReportsCommand {
    /// Who sends mail in the name of the domains, and whether it was authenticated (DMARC)
    #[command(
        after_help = "Examples:\n  postern-home reports dmarc\n  postern-home reports dmarc home.example --days 7"
    )]
    Dmarc(Span),
    /// How TLS went when others sent mail here
    #[command(after_help = "Example:\n  postern-home reports tls home.example")]
    Tls(Span),
}

/// Which reports.
#[derive(Debug, Args)]
pub struct Span {
    /// Only those about this domain
    domain: Option<DomainName>,
    /// Only those that came in so many days
    #[arg(long, value_name = "NUMBER", default_value_t = 30, value_parser = clap::value_parser!(u16).range(1..))]
    days: u16,
}

pub(super) fn execute(client: &Client, command: ReportsCommand) -> Result<Exit, Failure> {
    match command {
        ReportsCommand::Dmarc(span) => {
            let reports: DmarcReports = client.call(Method::POST, "/v1/reports/dmarc", &asked(span))?;
            client.print(&reports, dmarc(&reports))
        }
        ReportsCommand::Tls(span) => {
            let reports: TlsReports = client.call(Method::POST, "/v1/reports/tls", &asked(span))?;
            client.print(&reports, tls(&reports))
        }
    }
}

fn asked(span: Span) -> ReportsOf {
    ReportsOf { domain: span.domain, days: span.days }
}

fn dmarc(reports: &DmarcReports) -> String {
    let mut text = introduction("DMARC", &reports.of, reports.reports);
    if reports.sources.is_empty() {
        return text;
    }
    let mut table =
        Table::new(["MESSAGES", "FROM", "NAME", "DKIM", "SPF", "FAILED", "JUNK", "REFUSED", "WHO THIS IS"]);
    for source in &reports.sources {
        table.row([
            source.messages.to_string(),
            source.address.to_string(),
            source.name.clone().unwrap_or_else(|| "-".to_owned()),
            source.dkim.to_string(),
            source.spf.to_string(),
            source.failed.to_string(),
            source.quarantined.to_string(),
            source.rejected.to_string(),
            who(source),
        ]);
    }
    let _ = write!(text, "{table}");
    text
}

fn who(source: &Source) -> String {
    let vouching: BTreeSet<&str> =
        source.signers.iter().chain(&source.envelope_from).map(String::as_str).collect();
    let vouched = match vouching.is_empty() {
        true => String::new(),
        false => format!("; authenticated as {}", vouching.into_iter().collect::<Vec<_>>().join(", ")),
    };
    let reasons = match source.reasons.is_empty() {
        true => String::new(),
        false => format!("; said of it: {}", source.reasons.iter().cloned().collect::<Vec<_>>().join(", ")),
    };
    format!("{}{vouched}{reasons}", source.meaning.text())
}

fn tls(reports: &TlsReports) -> String {
    let mut text = introduction("TLS", &reports.of, reports.reports);
    if !reports.policies.is_empty() {
        let mut table = Table::new(["DOMAIN", "REPORTED BY", "POLICY", "SESSIONS", "FAILED"]);
        for row in &reports.policies {
            let sessions = (row.successes + row.failures).to_string();
            let policy = policy(&row.policy_type).to_owned();
            table.row([row.domain.clone(), row.reporter.clone(), policy, sessions, row.failures.to_string()]);
        }
        let _ = write!(text, "{table}");
    }
    if !reports.failures.is_empty() {
        let mut table = Table::new(["FAILED", "REPORTED BY", "AT", "WHY"]);
        for row in &reports.failures {
            let why = format!("{}{}", explained(&row.result_type), detail(&row.reason));
            table.row([row.sessions.to_string(), row.reporter.clone(), row.mx.clone(), why]);
        }
        let _ = write!(text, "\n{table}");
    }
    text
}

fn introduction(kind: &str, of: &ReportsOf, counts: ReportCounts) -> String {
    let about = of.domain.as_ref().map(|domain| format!(" about {domain}")).unwrap_or_default();
    let mut text = match counts.verified {
        0 => format!("No {kind} report{about} came in the last {} day(s).\n", of.days),
        number => format!("{number} {kind} report(s){about} came in the last {} day(s).\n", of.days),
    };
    if counts.unverified > 0 {
        let _ = writeln!(text, "{} more are left out: nobody vouches for their senders.", counts.unverified);
    }
    text
}

/// RFC 8460 §4.4: the types of policies.
fn policy(word: &str) -> &str {
    match word {
        "tlsa" => "DANE",
        "sts" => "MTA-STS",
        "no-policy-found" => "none",
        other => other,
    }
}

/// RFC 8460 §4.3: the types of results.
fn explained(word: &str) -> &str {
    match word {
        "starttls-not-supported" => "TLS was not offered",
        "certificate-host-mismatch" => "the certificate is for another name",
        "certificate-expired" => "the certificate has expired",
        "certificate-not-trusted" => "the certificate is not trusted",
        "validation-failure" => "TLS failed",
        "tlsa-invalid" => "the TLSA records do not fit the certificate",
        "dnssec-invalid" => "the DNS answers are not signed as they must be",
        "dane-required" => "TLSA records were required and are not there",
        "sts-policy-fetch-error" => "the MTA-STS policy cannot be fetched",
        "sts-policy-invalid" => "the MTA-STS policy is not valid",
        "sts-webpki-invalid" => "the web server of the MTA-STS policy has no valid certificate",
        other => other,
    }
}

fn detail(reason: &str) -> String {
    if reason.is_empty() { String::new() } else { format!(": {reason}") }
}
