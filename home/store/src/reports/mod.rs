//! Reports: what other mail systems have reported of the mail that carries this home's names, and what this home has to report to
//! them.
//!
//! In: reports ([`Reports::keep`]). Out: what they say of a domain over a time ([`Reports::sources`], [`Reports::tls`]).
//! Also in: what was seen of others' mail and servers ([`Reports::observe`]); out: a day of it ([`Reports::messages`],
//! [`Reports::sessions`]), until it has been reported ([`Reports::settle`]).
//!
//! Refused: a report that is there already, by sender and its own name for it ([`Kept::Again`]).
//!
//! Bounded: [`Reports::forget`] deletes by age; above [`MAX_ROWS`] rows the oldest go, those first whose sender nobody vouches
//! for. A power cut may take the newest reports: they are a statistic, and the mail that they came in is in a mailbox.
//!
//! `state_dir/reports.sqlite` (schema.rs)

pub(crate) mod schema;

mod dmarc;
mod tls;

mod observed;

#[cfg(test)]
mod tests;

use jiff::Timestamp;
use postern_message::address::DomainName;
use postern_report::Report;

use crate::Result;
use crate::db::{Connection, Database, OptionalExtension, params};
use crate::place::Place;

pub use dmarc::SourceRow;
pub use observed::{Day, Observation};
pub use tls::{TlsFailureRow, TlsPolicyRow};

/// Rows of all reports together; some 100 MB.
pub const MAX_ROWS: u64 = 500_000;
/// Messages or sessions that are believed of one row: sums stay far from what an integer holds.
const MAX_COUNT: u64 = u32::MAX as u64;

/// The reports of one home. Its calls block; asynchronous callers use `spawn_blocking`.
#[derive(Debug)]
pub struct Reports {
    database: Database,
}

/// A report as it came.
#[derive(Debug, Clone)]
pub struct Received {
    /// The domain of ours that it is about.
    pub domain: DomainName,
    /// The domain in the From field of its message.
    pub sender: DomainName,
    /// Whether that domain vouches for it.
    pub standing: Standing,
    /// When it came.
    pub received: Timestamp,
    /// What it says. Of a TLS report only what is about [`Received::domain`] is kept.
    pub report: Report,
}

/// Whether the message that a report came in was authenticated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// By its author's domain.
    Verified,
    /// By nobody: anyone may have written it.
    Unverified,
}

/// What became of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// It is kept.
    New,
    /// It was there already.
    Again,
}

/// Which reports are asked for.
#[derive(Debug, Clone)]
pub struct Query {
    /// About this domain only.
    pub domain: Option<DomainName>,
    /// Received since then.
    pub since: Timestamp,
}

/// The reports of a query, counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Those whose sender is vouched for.
    pub verified: u64,
    /// The others.
    pub unverified: u64,
}

/// The two kinds, as the column has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// DMARC aggregate reports.
    Aggregate = 0,
    /// TLS reports.
    Tls = 1,
}

impl Reports {
    /// Opens the reports in `state_dir`, and makes the file if there is none.
    ///
    /// # Errors
    /// As [`Database::open`].
    pub fn open(state_dir: impl Into<Place>) -> Result<Reports> {
        let place = state_dir.into().admit()?.join("reports.sqlite");
        Ok(Reports { database: Database::open(place, &schema::SCHEMA)? })
    }

    /// Keeps a report.
    ///
    /// # Errors
    /// As [`Database::write`].
    pub fn keep(&self, received: Received) -> Result<Kept> {
        self.keep_within(received, MAX_ROWS)
    }

    fn keep_within(&self, received: Received, most_rows: u64) -> Result<Kept> {
        self.database.write(move |connection: &Connection| {
            let Some(report) = insert(connection, &received)? else { return Ok(Kept::Again) };
            match &received.report {
                Report::Aggregate(aggregate) => dmarc::insert(connection, report, aggregate)?,
                Report::Tls(tls) => tls::insert(connection, report, &received.domain, tls)?,
            }
            make_room(connection, most_rows)?;
            Ok(Kept::New)
        })
    }

    /// How many reports there are.
    ///
    /// # Errors
    /// As [`Database::read`].
    pub fn counts(&self, kind: Kind, query: &Query) -> Result<Counts> {
        self.database.read(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT coalesce(sum(verified), 0), coalesce(sum(1 - verified), 0) FROM received
                 WHERE kind = ?1 AND received >= ?2 AND domain = coalesce(?3, domain)",
            )?;
            let counts =
                |row: &rusqlite::Row<'_>| Ok(Counts { verified: row.get(0)?, unverified: row.get(1)? });
            Ok(statement
                .query_row(params![kind as i64, query.since.as_second(), domain_of(query)], counts)?)
        })
    }

    /// Deletes what was received before `time`; gives how many reports went.
    ///
    /// # Errors
    /// As [`Database::write`].
    pub fn forget(&self, time: Timestamp) -> Result<usize> {
        self.database.write(move |connection: &Connection| {
            Ok(connection.execute("DELETE FROM received WHERE received < ?1", [time.as_second()])?)
        })
    }
}

fn domain_of(query: &Query) -> Option<&str> {
    query.domain.as_ref().map(DomainName::as_str)
}

/// Gives the row's number, or nothing where the report is there already.
fn insert(connection: &Connection, received: &Received) -> Result<Option<i64>> {
    let header = Header::of(received);
    let mut statement = connection.prepare_cached(
        "INSERT INTO received (kind, domain, sender, org_name, report_id, verified, begins, ends, received, rows)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) ON CONFLICT DO NOTHING RETURNING id",
    )?;
    let values = params![
        header.kind as i64,
        received.domain.as_str(),
        received.sender.as_str(),
        header.org_name,
        header.report_id,
        received.standing == Standing::Verified,
        header.begins,
        header.ends,
        received.received.as_second(),
        header.rows,
    ];
    Ok(statement.query_row(values, |row| row.get(0)).optional()?)
}

/// What both kinds have.
struct Header<'a> {
    kind: Kind,
    org_name: &'a str,
    report_id: &'a str,
    begins: i64,
    ends: i64,
    rows: usize,
}

impl<'a> Header<'a> {
    fn of(received: &'a Received) -> Header<'a> {
        match &received.report {
            Report::Aggregate(report) => Header {
                kind: Kind::Aggregate,
                org_name: &report.org_name,
                report_id: &report.report_id,
                begins: report.begin,
                ends: report.end,
                rows: report.records.len(),
            },
            Report::Tls(report) => Header {
                kind: Kind::Tls,
                org_name: &report.organization_name,
                report_id: &report.report_id,
                begins: report.date_range.start_datetime.as_second(),
                ends: report.date_range.end_datetime.as_second(),
                rows: tls::of_domain(report, &received.domain)
                    .map(|policy| 1 + policy.failure_details.len())
                    .sum(),
            },
        }
    }
}

/// Deletes reports until no more than `most` rows are left.
fn make_room(connection: &Connection, most: u64) -> Result<()> {
    let mut rows: u64 =
        connection.query_row("SELECT coalesce(sum(rows), 0) FROM received", [], |row| row.get(0))?;
    while rows > most {
        let oldest = "DELETE FROM received WHERE id = (SELECT id FROM received ORDER BY verified, received, id LIMIT 1)
                      RETURNING rows";
        rows -= connection.query_row(oldest, [], |row| row.get::<_, u64>(0))?.min(rows);
    }
    Ok(())
}

fn count(stated: u64) -> u64 {
    stated.min(MAX_COUNT)
}
