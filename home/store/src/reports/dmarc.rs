//! The records of aggregate reports.

use std::net::IpAddr;

use postern_report::dmarc::{Aggregate, AuthResult, Disposition, DmarcResult, Record};

use super::{Query, Reports, count, domain_of};
use crate::db::{Connection, params};
use crate::{Error, Result};

/// Messages that came out alike, of one sender of reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceRow {
    /// The address that they came from.
    pub address: IpAddr,
    /// Who reports it: the domain of the report's author.
    pub reporter: String,
    /// How many.
    pub messages: u64,
    /// What was done with them.
    pub disposition: Disposition,
    /// Whether a signature of the author's domain was good.
    pub dkim: DmarcResult,
    /// Whether SPF was, for the author's domain.
    pub spf: DmarcResult,
    /// The domain in From.
    pub header_from: String,
    /// The domains whose signatures were good, separated by spaces.
    pub signers: String,
    /// The domain for which SPF was good; empty where there is none.
    pub envelope_from: String,
    /// Why the policy was not followed, in words; empty where it was.
    pub reason: String,
}

impl Reports {
    /// What the verified reports of a query say, added up.
    ///
    /// # Errors
    /// As [`crate::db::Database::read`]; `Corrupt` for a row that cannot be.
    pub fn sources(&self, query: &Query) -> Result<Vec<SourceRow>> {
        self.database.read(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT address, sender, sum(messages), disposition, dkim, spf, header_from, signers, envelope_from, reason
                 FROM received JOIN source ON source.report = received.id
                 WHERE verified AND received >= ?1 AND domain = coalesce(?2, domain)
                 GROUP BY address, sender, disposition, dkim, spf, header_from, signers, envelope_from, reason",
            )?;
            let mut rows = statement.query(params![query.since.as_second(), domain_of(query)])?;
            let mut sources = Vec::new();
            while let Some(row) = rows.next()? {
                sources.push(source(row)?);
            }
            Ok(sources)
        })
    }
}

fn source(row: &rusqlite::Row<'_>) -> Result<SourceRow> {
    let address: String = row.get(0)?;
    let corrupt = |_| Error::Corrupt(format!("reports.sqlite: `{address}` is no address"));
    Ok(SourceRow {
        address: address.parse().map_err(corrupt)?,
        reporter: row.get(1)?,
        messages: row.get(2)?,
        disposition: disposition(row.get(3)?),
        dkim: result(row.get(4)?),
        spf: result(row.get(5)?),
        header_from: row.get(6)?,
        signers: row.get(7)?,
        envelope_from: row.get(8)?,
        reason: row.get(9)?,
    })
}

pub(super) fn insert(connection: &Connection, report: i64, aggregate: &Aggregate) -> Result<()> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO source (report, address, messages, disposition, dkim, spf, header_from, signers, envelope_from, reason)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    )?;
    for record in &aggregate.records {
        statement.execute(params![
            report,
            record.source_ip.to_canonical().to_string(),
            count(record.count),
            column(record.disposition),
            record.dkim == DmarcResult::Pass,
            record.spf == DmarcResult::Pass,
            record.header_from,
            signers(record),
            envelope_from(record),
            reason(record),
        ])?;
    }
    Ok(())
}

fn signers(record: &Record) -> String {
    let good = record.dkim_results.iter().filter(|signature| signature.result == AuthResult::Pass);
    let mut domains: Vec<&str> = good.map(|signature| signature.domain.as_str()).collect();
    domains.sort_unstable();
    domains.dedup();
    domains.join(" ")
}

fn envelope_from(record: &Record) -> &str {
    let good = record.spf_results.iter().find(|check| check.result == AuthResult::Pass);
    good.map(|check| check.domain.as_str()).unwrap_or_default()
}

fn reason(record: &Record) -> String {
    let words = |reason: &postern_report::dmarc::Reason| match reason.comment.as_str() {
        "" => reason.kind.clone(),
        comment => format!("{}: {comment}", reason.kind),
    };
    record.reasons.iter().map(words).collect::<Vec<_>>().join("; ")
}

fn column(disposition: Disposition) -> i64 {
    match disposition {
        Disposition::None => 0,
        Disposition::Quarantine => 1,
        Disposition::Reject => 2,
    }
}

fn disposition(column: i64) -> Disposition {
    match column {
        1 => Disposition::Quarantine,
        2 => Disposition::Reject,
        _ => Disposition::None,
    }
}

fn result(passed: bool) -> DmarcResult {
    if passed { DmarcResult::Pass } else { DmarcResult::Fail }
}
