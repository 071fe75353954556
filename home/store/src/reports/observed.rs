//! What this home has seen of others' mail and servers, counted by day until it is reported.
//!
//! In: one observation after the other, never waited for. Out: a day's, added up. Refused: what is new once there are
//! [`MAX_OBSERVED`] different ones; what is known already goes on counting.

use jiff::Timestamp;
use postern_message::address::DomainName;
use postern_report::dmarc::Record;
use postern_report::tls::Session;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Kind, Reports};
use crate::db::{Connection, params};
use crate::{Error, Result};

/// Different observations of all days together; some 20 MB.
const MAX_OBSERVED: u64 = 50_000;

/// A day in UTC, counted from 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(i64);

impl Day {
    /// Seconds of a day.
    pub const SECONDS: i64 = 86_400;

    /// The day of a moment.
    pub fn of(time: Timestamp) -> Day {
        Day(time.as_second().div_euclid(Day::SECONDS))
    }

    /// Its first second, since 1970.
    pub fn begin(self) -> i64 {
        self.0.saturating_mul(Day::SECONDS)
    }

    /// Its last second, since 1970.
    pub fn end(self) -> i64 {
        self.begin().saturating_add(Day::SECONDS - 1)
    }
}

/// Something that was seen once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Observation {
    /// A message, and what was thought of it; its count is not used.
    Message(Record),
    /// An attempt at TLS.
    Session(Session),
}

impl Observation {
    fn kind(&self) -> Kind {
        match self {
            Observation::Message(_) => Kind::Aggregate,
            Observation::Session(_) => Kind::Tls,
        }
    }

    fn json(&self) -> Result<String> {
        match self {
            Observation::Message(record) => json(&Record { count: 0, ..record.clone() }),
            Observation::Session(session) => json(session),
        }
    }
}

impl Reports {
    /// Counts an observation about a domain. Does not wait; what cannot be written is lost, and the log says so.
    pub fn observe(&self, domain: DomainName, now: Timestamp, observation: Observation) {
        self.observe_within(domain, now, observation, MAX_OBSERVED);
    }

    pub(super) fn observe_within(
        &self,
        domain: DomainName,
        now: Timestamp,
        observation: Observation,
        most: u64,
    ) {
        // Nobody waits for a statistic.
        let _ticket = self.database.submit(move |connection: &Connection| {
            let counted = count(connection, &domain, Day::of(now), &observation, most);
            counted.inspect_err(|error| tracing::warn!(%error, "an observation is not counted"))
        });
    }

    /// The days before `day` of which something is still to be reported, with the domains.
    ///
    /// # Errors
    /// As [`crate::db::Database::read`].
    pub fn observed_before(&self, kind: Kind, day: Day) -> Result<Vec<(Day, DomainName)>> {
        self.database.read(|connection| {
            let mut statement = connection
                .prepare_cached("SELECT DISTINCT day, domain FROM observed WHERE kind = ?1 AND day < ?2")?;
            let mut rows = statement.query(params![kind as i64, day.0])?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                let domain: String = row.get(1)?;
                let corrupt = |_| Error::Corrupt(format!("reports.sqlite: `{domain}` is no domain"));
                found.push((Day(row.get(0)?), DomainName::parse(&domain).map_err(corrupt)?));
            }
            Ok(found)
        })
    }

    /// The messages of a day whose author's domain is `domain`.
    ///
    /// # Errors
    /// As [`crate::db::Database::read`]; `Corrupt` for a row that cannot be.
    pub fn messages(&self, day: Day, domain: &DomainName) -> Result<Vec<Record>> {
        let counted = self.counted::<Record>(Kind::Aggregate, day, domain)?;
        Ok(counted.into_iter().map(|(record, count)| Record { count, ..record }).collect())
    }

    /// The attempts of a day at TLS with the servers of `domain`, and how often each.
    ///
    /// # Errors
    /// As for [`Reports::messages`].
    pub fn sessions(&self, day: Day, domain: &DomainName) -> Result<Vec<(Session, u64)>> {
        self.counted(Kind::Tls, day, domain)
    }

    /// Forgets a day of some domains, which has been reported or never will be.
    ///
    /// # Errors
    /// As [`crate::db::Database::write`].
    pub fn settle(&self, kind: Kind, day: Day, domains: Vec<DomainName>) -> Result<()> {
        self.database.write(move |connection: &Connection| {
            let mut statement = connection
                .prepare_cached("DELETE FROM observed WHERE kind = ?1 AND day = ?2 AND domain = ?3")?;
            for domain in &domains {
                statement.execute(params![kind as i64, day.0, domain.as_str()])?;
            }
            Ok(())
        })
    }

    fn counted<T: DeserializeOwned>(
        &self,
        kind: Kind,
        day: Day,
        domain: &DomainName,
    ) -> Result<Vec<(T, u64)>> {
        self.database.read(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT record, times FROM observed WHERE kind = ?1 AND day = ?2 AND domain = ?3",
            )?;
            let mut rows = statement.query(params![kind as i64, day.0, domain.as_str()])?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                let record: String = row.get(0)?;
                let corrupt = |error| Error::Corrupt(format!("reports.sqlite: {error}"));
                found.push((serde_json::from_str(&record).map_err(corrupt)?, row.get(1)?));
            }
            Ok(found)
        })
    }
}

fn count(
    connection: &Connection,
    domain: &DomainName,
    day: Day,
    seen: &Observation,
    most: u64,
) -> Result<()> {
    let (kind, record) = (seen.kind() as i64, seen.json()?);
    let known = connection
        .prepare_cached(
            "UPDATE observed SET times = times + 1 WHERE kind = ?1 AND day = ?2 AND domain = ?3 AND record = ?4",
        )?
        .execute(params![kind, day.0, domain.as_str(), record])?;
    if known > 0 {
        return Ok(());
    }
    connection
        .prepare_cached(
            "INSERT INTO observed (kind, day, domain, record, times)
             SELECT ?1, ?2, ?3, ?4, 1 WHERE (SELECT count(*) FROM observed) < ?5",
        )?
        .execute(params![kind, day.0, domain.as_str(), record, most])?;
    Ok(())
}

fn json<T: Serialize>(value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|error| Error::Fault(error.to_string()))
}
