//! Takes over the records of a zone that was served elsewhere (`postern-home dns import`).
//!
//! In: a master file, and what the domain's zone depends on. Out: what becomes of each of its records, and those to keep.
//! Refused: the whole file, where one line of it cannot be taken, with every such line and its reason.
//!
//! | a record of the file | becomes of it |
//! |---|---|
//! | SOA, NS of the domain itself, what a signer makes | made anew by Postern |
//! | one where Postern publishes its own, as MX and the addresses of the mail host | replaced by that |
//! | one of the web services' names (`mta-sts`, `autoconfig`, …), where Postern publishes its own in time | replaced by that |
//! | any other | kept as the operator's own; of SPF, the senders join Postern's |

use hickory_proto::rr::{Record, RecordType};
use postern_shared::zone::ZoneError;
use postern_store::directory::OwnRecord;

use super::master::{self, Entry};
use super::own::standing::Clash;
use super::own::{self, MADE, OwnRecordError};
use super::{Facts, TTL, families, mta_sts, name, presentation};
use crate::web::WebName;

/// Cloudflare writes "automatic" as a TTL of one second, and means this many.
const AUTOMATIC_TTL: (u32, u32) = (1, 300);
/// Where BIND keeps the state of its signing.
const BIND_PRIVATE: RecordType = RecordType::Unknown(65534);

/// What becomes of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It is one of the operator's own from now on.
    Kept,
    /// It is one already.
    Present,
    /// Postern has this in its place.
    Replaced(String),
    /// Postern makes such records anew.
    Made,
}

/// A record of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read {
    /// The line on which it begins.
    pub line: usize,
    /// The owner name, absolute.
    pub owner: String,
    /// The type.
    pub record_type: RecordType,
    /// The data; the words of the file where nobody has read them.
    pub data: String,
    /// What becomes of it.
    pub fate: Fate,
}

/// A line that cannot be taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Its number; `None` for what no one line is the cause of.
    pub line: Option<usize>,
    /// Why.
    pub reason: String,
}

/// What an import would do.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// The records to keep.
    pub added: Vec<OwnRecord>,
    /// Every record of the file that can be taken.
    pub read: Vec<Read>,
    /// What cannot; nothing is to be kept then.
    pub refused: Vec<Refused>,
}

/// Plans the import of a file.
///
/// # Errors
/// [`ZoneError`] where the zone as it is cannot be built.
pub fn plan(facts: &Facts, file: &str) -> Result<Plan, ZoneError> {
    let mut plan = Plan::default();
    let mut candidates = Vec::new();
    for outcome in master::read(file, &facts.apex()?) {
        match outcome {
            Err((line, mistake)) => plan.refuse(line, &mistake),
            Ok(entry) if is_made(facts, &entry)? => plan.read.push(unread(&entry, Fate::Made)),
            Ok(entry) if is_of_web(facts, &entry)? => plan.read.push(unread(&entry, by_web())),
            Ok(entry) => match candidate(facts, &entry) {
                Ok(candidate) => candidates.push(candidate),
                Err(error) => plan.refuse(entry.line, &error),
            },
        }
    }
    candidates.sort_by(|one, other| (but_ttl(one), one.line).cmp(&(but_ttl(other), other.line)));
    candidates.dedup_by(|one, other| but_ttl(one) == but_ttl(other));
    plan.settle(facts, candidates)?;
    plan.read.sort_by_key(|read| read.line);
    plan.refused.sort_by_key(|refused| refused.line);
    Ok(plan)
}

/// A record that may be kept.
struct Candidate {
    line: usize,
    record: Record,
    own: OwnRecord,
}

fn but_ttl(candidate: &Candidate) -> (&str, u16, &[u8]) {
    own::but_ttl(&candidate.own)
}

fn is_made(facts: &Facts, entry: &Entry) -> Result<bool, ZoneError> {
    let is_apex_ns = entry.record_type == RecordType::NS && entry.owner.to_lowercase() == facts.apex()?;
    Ok(is_apex_ns || entry.record_type == BIND_PRIVATE || MADE.contains(&entry.record_type))
}

/// The former provider's policy names the former MX, and would keep mail away from this one (RFC 8461 §4.1).
fn is_of_web(facts: &Facts, entry: &Entry) -> Result<bool, ZoneError> {
    let owner = entry.owner.to_lowercase();
    let hosts = WebName::ALL.map(|name| name.below(&facts.domain));
    let is_host =
        hosts.iter().map(|host| name(host.as_str())).any(|host| host.is_ok_and(|host| host == owner));
    Ok(is_host || owner == facts.below(mta_sts::LABEL)?)
}

fn by_web() -> Fate {
    Fate::Replaced("Postern's own, once a certificate for it is there".to_owned())
}

fn unread(entry: &Entry, fate: Fate) -> Read {
    let words: Vec<&str> = entry.data.iter().map(|word| word.text.as_str()).collect();
    Read {
        line: entry.line,
        owner: presentation::name_text(&entry.owner),
        record_type: entry.record_type,
        data: words.join(" "),
        fate,
    }
}

fn candidate(facts: &Facts, entry: &Entry) -> Result<Candidate, OwnRecordError> {
    let outside = || OwnRecordError::Owner(presentation::name_text(&entry.owner), facts.domain.to_string());
    let owner = own::in_zone(facts, &entry.owner)?.ok_or_else(outside)?;
    own::allowed(entry.record_type)?;
    let data = presentation::rdata(entry.record_type, &entry.data, &entry.origin);
    let data = data.map_err(|malformed| {
        let (owner, record_type) =
            (presentation::name_text(&owner), presentation::type_text(entry.record_type));
        OwnRecordError::Data(owner, record_type, malformed)
    })?;
    let stated = entry.ttl.unwrap_or(TTL);
    let ttl = if stated == AUTOMATIC_TTL.0 { AUTOMATIC_TTL.1 } else { stated };
    let record = Record::from_rdata(owner, ttl, data);
    Ok(Candidate { line: entry.line, own: own::stored(&record)?, record })
}

impl Plan {
    fn refuse(&mut self, line: usize, reason: &impl ToString) {
        self.refused.push(Refused { line: Some(line), reason: reason.to_string() });
    }

    fn tell(&mut self, candidate: &Candidate, fate: Fate) {
        self.read.push(Read {
            line: candidate.line,
            owner: presentation::name_text(&candidate.record.name),
            record_type: candidate.record.record_type(),
            data: super::text::rdata(&candidate.record.data),
            fate,
        });
    }

    /// First what Postern has its own of goes; what then cannot stand beside the rest is refused.
    fn settle(&mut self, facts: &Facts, mut candidates: Vec<Candidate>) -> Result<(), ZoneError> {
        let of_postern = families(facts, 0)?;
        let (same, others): (Vec<_>, Vec<_>) =
            candidates.into_iter().partition(|it| of_postern.iter().any(|of| is_same(of, &it.record)));
        same.iter().for_each(|candidate| self.tell(candidate, Fate::Made));
        candidates = others;
        for (record, clash) in clashes(facts, &candidates)? {
            if let Clash::Managed(of_postern) = clash
                && let Some(at) = position(&candidates, &record)
            {
                let replaced = candidates.remove(at);
                self.tell(&replaced, Fate::Replaced(of_postern));
            }
        }
        for (record, clash) in clashes(facts, &candidates)? {
            if let Some(at) = position(&candidates, &record) {
                let refused = candidates.remove(at);
                let (owner, record_type) = (presentation::name_text(&record.name), record.record_type());
                let place = (owner, presentation::type_text(record_type));
                self.refuse(refused.line, &OwnRecordError::Clash(place.0, place.1, clash));
            }
        }
        for candidate in &candidates {
            let is_present = facts.own.contains(&candidate.own);
            self.tell(candidate, if is_present { Fate::Present } else { Fate::Kept });
        }
        self.added = candidates.into_iter().map(|candidate| candidate.own).collect();
        if self.refused.is_empty()
            && let Err(error) = own::check(facts, &self.added)
        {
            self.refused.push(Refused { line: None, reason: error.to_string() });
        }
        Ok(())
    }
}

/// What the zone would leave out.
fn clashes(facts: &Facts, candidates: &[Candidate]) -> Result<Vec<(Record, Clash)>, ZoneError> {
    let added: Vec<OwnRecord> = candidates.iter().map(|candidate| candidate.own.clone()).collect();
    own::left_out(&own::with(facts, &added))
}

fn position(candidates: &[Candidate], record: &Record) -> Option<usize> {
    candidates.iter().position(|it| is_same(&it.record, record))
}

fn is_same(one: &Record, other: &Record) -> bool {
    one.name == other.name && one.data == other.data
}

#[cfg(test)]
mod tests;
