//! The operator's own records (`postern-home dns record`, `dns import`).
//!
//! In: owner, type, TTL and data as a person writes them (RFC 1035 §5.1), or the data of any type in the form of RFC 3597
//! §5 (`\# 2 01ff`). Out: a record that the zone can hold beside Postern's own. Refused, with the field and what was
//! expected: what is no name in the zone, no type, or no data of its type; types that the zone or its signer makes; and, with
//! what stands in the way, what [`standing`] finds cannot be beside the other records.

pub mod standing;

use std::collections::BTreeSet;

use hickory_proto::rr::{Name, RData, Record, RecordType};
use postern_message::address::DomainName;
use postern_shared::zone::digest::ZONEMD;
use postern_shared::zone::{MAX_TTL, Zone, ZoneError, encode, type_to_text};
use postern_store::directory::OwnRecord;

use self::standing::{Clash, Merged};
use super::master::{Flaw, words_of_arguments};
use super::presentation::{self, Malformed, Word};
use super::{Facts, TTL, families, name, text};

/// Types that the zone or its signer brings.
pub(super) const MADE: [RecordType; 9] = [
    RecordType::SOA,
    RecordType::RRSIG,
    RecordType::NSEC,
    RecordType::NSEC3,
    RecordType::NSEC3PARAM,
    RecordType::DNSKEY,
    RecordType::CDS,
    RecordType::CDNSKEY,
    ZONEMD,
];
/// DNAME (RFC 6672), which asks for answers that no signer can make beforehand.
const DNAME: u16 = 39;

/// Why a record cannot be added.
#[derive(Debug, thiserror::Error)]
pub enum OwnRecordError {
    /// The owner is no name, or outside the zone.
    #[error(
        "`{0}` is not a name in the zone of {1}: write `@` for the domain itself, `www` for a name below it, other \
         scripts as `xn--…`"
    )]
    Owner(String, String),
    /// No such type.
    #[error("`{0}` is not a record type; types without a name are written like TYPE65280")]
    Type(String),
    /// Not for people to make.
    #[error("{0} records are made by Postern itself")]
    Made(String),
    /// Never answered for.
    #[error("the edge does not follow DNAME: write a CNAME record for each name")]
    Dname,
    /// Over 2^31 - 1 (RFC 2181 §8).
    #[error("a TTL is at most {MAX_TTL} seconds")]
    Ttl,
    /// Words cannot be told apart.
    #[error("{0} {1}: {2}")]
    Flaw(String, String, Flaw),
    /// The data are not of the type.
    #[error("{0} {1}: {2}")]
    Data(String, String, Malformed),
    /// It cannot be beside the others.
    #[error("{0} {1}: {2}")]
    Clash(String, String, Clash),
    /// The zone as a whole.
    #[error("the zone cannot hold it: {0}")]
    Zone(#[from] ZoneError),
}

/// A record as a person writes it.
#[derive(Debug, Clone, Copy)]
pub struct Written<'a> {
    /// `@`, a name relative to the zone, or an absolute one with its final dot.
    pub owner: &'a str,
    /// The type.
    pub record_type: &'a str,
    /// Seconds; where nothing is said, that of the operator's others of the RRset, or an hour.
    pub ttl: Option<u32>,
    /// The data, in one or several parts.
    pub data: &'a [String],
}

/// Reads a record and checks it against the zone that it would be in.
///
/// # Errors
/// See [`OwnRecordError`].
pub fn read(facts: &Facts, written: Written<'_>) -> Result<OwnRecord, OwnRecordError> {
    let (owner, record_type) = (owner(facts, written.owner)?, record_type(written.record_type)?);
    let data = data(facts, &owner, record_type, written.data)?;
    let of_rrset =
        |own: &&OwnRecord| own.owner == owner.to_ascii() && own.record_type == u16::from(record_type);
    let ttl_of_rrset = facts.own.iter().find(of_rrset).map(|own| own.ttl);
    let ttl = written.ttl.or(ttl_of_rrset).unwrap_or(TTL);
    let own = stored(&Record::from_rdata(owner, ttl, data))?;
    check(facts, std::slice::from_ref(&own))?;
    Ok(own)
}

/// Checks records that are to be added against the zone that they would be in, with one another too.
///
/// # Errors
/// [`OwnRecordError::Clash`] for the first that cannot be there, or that makes an earlier one impossible.
pub fn check(facts: &Facts, added: &[OwnRecord]) -> Result<(), OwnRecordError> {
    let impossible_before = merged(facts)?.left_out;
    let after = merged(&with(facts, added))?;
    let clash = |(record, clash): &(Record, Clash)| {
        OwnRecordError::Clash(
            presentation::name_text(&record.name),
            text::mnemonic(record.record_type()),
            clash.clone(),
        )
    };
    let is_new = |it: &&(Record, Clash)| !impossible_before.iter().any(|(before, _)| *before == it.0);
    if let Some(found) = after.left_out.iter().find(is_new) {
        return Err(clash(found));
    }
    let added = added.iter().map(record).collect::<Result<Vec<_>, _>>()?;
    if let Some(found) = standing::without_address(&facts.apex()?, &added, &after.records) {
        return Err(clash(&found));
    }
    Zone::from_records(&facts.apex()?, &after.records)?;
    Ok(())
}

/// The facts as they would be with these records too.
pub(super) fn with(facts: &Facts, added: &[OwnRecord]) -> Facts {
    let mut facts = facts.clone();
    let again: BTreeSet<_> = added.iter().map(but_ttl).collect();
    facts.own.retain(|own| !again.contains(&but_ttl(own)));
    facts.own.extend_from_slice(added);
    facts
}

/// What makes a record; one with another TTL takes its place.
pub(super) fn but_ttl(own: &OwnRecord) -> (&str, u16, &[u8]) {
    (&own.owner, own.record_type, &own.rdata)
}

/// Postern's records and the operator's, as they stand in one zone.
fn merged(facts: &Facts) -> Result<Merged, ZoneError> {
    merge(facts, families(facts, 0)?)
}

/// The operator's records beside these of Postern's.
pub(super) fn merge(facts: &Facts, of_postern: Vec<Record>) -> Result<Merged, ZoneError> {
    let own = facts.own.iter().map(record).collect::<Result<Vec<_>, _>>()?;
    Ok(standing::merge(&facts.apex()?, of_postern, own))
}

/// The operator's records that the zone leaves out, since Postern has come to publish something else there.
///
/// # Errors
/// [`ZoneError`] where what is stored makes no sense.
pub fn left_out(facts: &Facts) -> Result<Vec<(Record, Clash)>, ZoneError> {
    Ok(merged(facts)?.left_out)
}

/// What is kept, and apart from it what is no record of the domain's zone, as after damage to the disk or to a backup.
pub(super) fn readable(domain: &DomainName, kept: Vec<OwnRecord>) -> (Vec<OwnRecord>, Vec<OwnRecord>) {
    let apex = name(domain.as_str());
    let is_of_zone = |record: Record| apex.as_ref().is_ok_and(|apex| apex.zone_of(&record.name));
    kept.into_iter().partition(|own| {
        allowed(RecordType::from(own.record_type)).is_ok() && record(own).is_ok_and(is_of_zone)
    })
}

/// Owner and type of records to remove, and the data of the one among them. An unreadable one is found by the owner and the
/// type with which it is listed.
///
/// # Errors
/// See [`OwnRecordError`].
pub fn key(facts: &Facts, written: Written<'_>) -> Result<(String, u16, Option<Vec<u8>>), OwnRecordError> {
    let is_it = |own: &&OwnRecord| {
        own.owner == written.owner && mnemonic(own).eq_ignore_ascii_case(written.record_type)
    };
    if let Some(own) = facts.unreadable.iter().find(is_it) {
        return Ok((own.owner.clone(), own.record_type, Some(own.rdata.clone())));
    }
    let (owner, record_type) = (owner(facts, written.owner)?, record_type(written.record_type)?);
    let is_one = !written.data.is_empty();
    let data = is_one.then(|| data(facts, &owner, record_type, written.data)).transpose()?;
    Ok((owner.to_ascii(), record_type.into(), data.as_ref().and_then(encode)))
}

/// The record for people.
///
/// # Errors
/// [`ZoneError`] where what is stored makes no sense.
pub fn record(own: &OwnRecord) -> Result<Record, ZoneError> {
    let wire = postern_shared::zone::Record {
        name: own.owner.clone(),
        record_type: type_to_text(RecordType::from(own.record_type)),
        ttl: own.ttl,
        rdata: own.rdata.clone(),
    };
    wire.to_dns()
}

/// The type of a record, for people; it need not make sense.
pub fn mnemonic(own: &OwnRecord) -> String {
    text::mnemonic(RecordType::from(own.record_type))
}

/// The record as it is kept.
///
/// # Errors
/// [`OwnRecordError::Ttl`], and [`OwnRecordError::Zone`] for what a zone cannot hold.
pub(super) fn stored(record: &Record) -> Result<OwnRecord, OwnRecordError> {
    if record.ttl > MAX_TTL {
        return Err(OwnRecordError::Ttl);
    }
    let own = OwnRecord {
        owner: record.name.to_ascii(),
        record_type: record.record_type().into(),
        ttl: record.ttl,
        rdata: encode(&record.data).unwrap_or_default(),
    };
    self::record(&own)?;
    Ok(own)
}

fn owner(facts: &Facts, text: &str) -> Result<Name, OwnRecordError> {
    let refusal = || OwnRecordError::Owner(text.to_owned(), facts.domain.to_string());
    let name = presentation::absolute(&Word::bare(text), &facts.apex()?).ok_or_else(refusal)?;
    in_zone(facts, &name)?.ok_or_else(refusal)
}

/// The name in lower case, where it is one of the zone.
pub(super) fn in_zone(facts: &Facts, name: &Name) -> Result<Option<Name>, ZoneError> {
    let name = name.to_lowercase();
    Ok(facts.apex()?.zone_of(&name).then_some(name))
}

fn record_type(text: &str) -> Result<RecordType, OwnRecordError> {
    let record_type = presentation::type_of(text).ok_or_else(|| OwnRecordError::Type(text.to_owned()))?;
    allowed(record_type).map(|()| record_type)
}

/// Whether people may make records of this type.
pub(super) fn allowed(record_type: RecordType) -> Result<(), OwnRecordError> {
    match record_type {
        made if MADE.contains(&made) => Err(OwnRecordError::Made(text::mnemonic(made))),
        dname if u16::from(dname) == DNAME => Err(OwnRecordError::Dname),
        _ => Ok(()),
    }
}

fn data(
    facts: &Facts,
    owner: &Name,
    record_type: RecordType,
    parts: &[String],
) -> Result<RData, OwnRecordError> {
    let place = || (presentation::name_text(owner), text::mnemonic(record_type));
    let flaw = |flaw| {
        let (owner, record_type) = place();
        OwnRecordError::Flaw(owner, record_type, flaw)
    };
    let words = words(record_type, parts).map_err(flaw)?;
    presentation::rdata(record_type, &words, &facts.apex()?).map_err(|malformed| {
        let (owner, record_type) = place();
        OwnRecordError::Data(owner, record_type, malformed)
    })
}

/// What begins with a quotation mark is as in a master file; of other parts, each of a text is one character-string, and
/// each of two or more with a blank in it is one word, since the shell has taken its quotation marks away.
fn words(record_type: RecordType, parts: &[String]) -> Result<Vec<Word>, Flaw> {
    let is_generic = parts.first().is_some_and(|part| part.starts_with("\\#"));
    let is_text = record_type == RecordType::TXT && !is_generic;
    let mut words = Vec::new();
    for part in parts {
        if part.contains(char::is_control) {
            return Err(Flaw::Control);
        }
        match part {
            part if part.trim_start().starts_with('"') => words.extend(words_of_arguments(part)?),
            part if is_text => words.push(Word::literal(part.as_bytes())),
            part if parts.len() > 1 && !is_generic && part.contains(' ') => {
                words.push(Word { text: part.replace('"', "\\\""), is_quoted: true });
            }
            part => words.extend(words_of_arguments(part)?),
        }
    }
    Ok(words)
}

#[cfg(test)]
mod tests;
