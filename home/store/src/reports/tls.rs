//! What TLS reports say.

use postern_message::address::DomainName;
use postern_report::tls::{PolicyResult, TlsReport};
use serde::{Deserialize, Serialize};

use super::{Query, Reports, count, domain_of};
use crate::Result;
use crate::db::{Connection, params};

/// Sessions under one policy, of one sender of reports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TlsPolicyRow {
    /// The domain of ours.
    pub domain: String,
    /// Who reports it: the domain of the report's author.
    pub reporter: String,
    /// `tlsa`, `sts` or `no-policy-found`.
    pub policy_type: String,
    /// Sessions with TLS as the policy wants it.
    pub successes: u64,
    /// Sessions without.
    pub failures: u64,
}

/// Sessions that failed alike, of one sender of reports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TlsFailureRow {
    /// The domain of ours.
    pub domain: String,
    /// Who reports it.
    pub reporter: String,
    /// `certificate-expired`, … (RFC 8460 §4.3)
    pub result_type: String,
    /// The host that they went to.
    pub mx: String,
    /// How many.
    pub sessions: u64,
    /// More about it; empty where the reporter says nothing.
    pub reason: String,
}

impl Reports {
    /// What the verified reports of a query say, added up.
    ///
    /// # Errors
    /// As [`crate::db::Database::read`].
    pub fn tls(&self, query: &Query) -> Result<(Vec<TlsPolicyRow>, Vec<TlsFailureRow>)> {
        self.database.read(|connection| Ok((policies(connection, query)?, failures(connection, query)?)))
    }
}

fn policies(connection: &Connection, query: &Query) -> Result<Vec<TlsPolicyRow>> {
    let mut statement = connection.prepare_cached(
        "SELECT domain, sender, policy_type, sum(successes), sum(failures)
         FROM received JOIN tls_policy ON tls_policy.report = received.id
         WHERE verified AND received >= ?1 AND domain = coalesce(?2, domain)
         GROUP BY domain, sender, policy_type",
    )?;
    let rows = statement.query_map(params![query.since.as_second(), domain_of(query)], |row| {
        Ok(TlsPolicyRow {
            domain: row.get(0)?,
            reporter: row.get(1)?,
            policy_type: row.get(2)?,
            successes: row.get(3)?,
            failures: row.get(4)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn failures(connection: &Connection, query: &Query) -> Result<Vec<TlsFailureRow>> {
    let mut statement = connection.prepare_cached(
        "SELECT domain, sender, result_type, mx, sum(sessions), tls_failure.reason
         FROM received JOIN tls_failure ON tls_failure.report = received.id
         WHERE verified AND received >= ?1 AND domain = coalesce(?2, domain)
         GROUP BY domain, sender, result_type, mx, tls_failure.reason",
    )?;
    let rows = statement.query_map(params![query.since.as_second(), domain_of(query)], |row| {
        Ok(TlsFailureRow {
            domain: row.get(0)?,
            reporter: row.get(1)?,
            result_type: row.get(2)?,
            mx: row.get(3)?,
            sessions: row.get(4)?,
            reason: row.get(5)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The policies of a report that are those of `domain`.
pub(super) fn of_domain<'a>(
    report: &'a TlsReport,
    domain: &DomainName,
) -> impl Iterator<Item = &'a PolicyResult> {
    report.policies.iter().filter(move |result| result.policy.policy_domain == *domain)
}

pub(super) fn insert(
    connection: &Connection,
    report: i64,
    domain: &DomainName,
    tls: &TlsReport,
) -> Result<()> {
    let mut policy = connection.prepare_cached(
        "INSERT INTO tls_policy (report, policy_type, successes, failures) VALUES (?1, ?2, ?3, ?4)",
    )?;
    let mut failure = connection.prepare_cached(
        "INSERT INTO tls_failure (report, result_type, mx, sessions, reason) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    for result in of_domain(tls, domain) {
        let summary = result.summary;
        policy.execute(params![
            report,
            result.policy.policy_type,
            count(summary.total_successful_session_count),
            count(summary.total_failure_session_count),
        ])?;
        for details in &result.failure_details {
            failure.execute(params![
                report,
                details.result_type,
                details.receiving_mx_hostname,
                count(details.failed_session_count),
                details.failure_reason_code,
            ])?;
        }
    }
    Ok(())
}
