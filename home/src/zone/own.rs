//! The operator's own records (`postern-home dns record`).
//!
//! In: owner, type, TTL and data as a person writes them (RFC 1035 §5.1), or the data of any type in the form of RFC 3597
//! §5 (`\# 2 01ff`). Out: a record that the zone can hold beside Postern's own. Refused, with the reason: types that
//! Postern makes itself, names outside the zone, data that is not of its type, a name and type that Postern publishes
//! already (but for TXT, NS of the zone for further name servers, and the names of the web service, which yield to these), a second SPF record (RFC 7208 §4.5), DS where
//! nothing is delegated, and whatever makes the whole zone unservable, such as a CNAME beside other data.

use std::fmt::Write;

use hickory_proto::rr::rdata::NULL;
use hickory_proto::rr::{Name, RData, Record, RecordType};
use hickory_proto::serialize::txt::Parser;
use postern_shared::zone::digest::ZONEMD;
use postern_shared::zone::{Zone, ZoneError, encode, type_from_text, type_to_text};
use postern_store::directory::OwnRecord;

use super::{Facts, TTL, build, mta_sts, name, text};
use crate::web::WebName;

/// Types that the signer or the zone itself brings.
const RESERVED: [RecordType; 9] = [
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
/// Octets in one character-string (RFC 1035 §3.3).
const CHARACTER_STRING_OCTETS: usize = 255;
/// How a Sender Policy Framework record begins (RFC 7208 §4.5).
const SPF: &[u8] = b"v=spf1";

/// Why a record cannot be added.
#[derive(Debug, thiserror::Error)]
pub enum OwnRecordError {
    /// The owner is no name, or outside the zone.
    #[error("`{0}` is not a name in the zone: write `@` for the domain itself, `www` for a name below it")]
    Owner(String),
    /// No such type.
    #[error("`{0}` is not a record type; types without a name are written like TYPE65280")]
    Type(String),
    /// Not for people to make.
    #[error("{0} records are made by Postern itself")]
    Reserved(String),
    /// A character-string that is too long.
    #[error("a text is longer than 255 octets: give it as several arguments, which readers join")]
    LongText,
    /// The data are not of the type.
    #[error("the data are not those of a {0} record: {1}")]
    Data(String, String),
    /// Postern publishes this name and type.
    #[error("Postern publishes {1} at {0} itself, as the mail needs it")]
    Managed(String, String),
    /// Receivers treat two as none.
    #[error("{0} has an SPF record already, and two count as a fault")]
    SecondSpf(String),
    /// DS belongs beside NS.
    #[error("a DS record belongs to a delegation: add the NS records of {0} first")]
    NotDelegated(String),
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
    /// Seconds; where nothing is said, that of the RRset or an hour.
    pub ttl: Option<u32>,
    /// The data, in one or several parts.
    pub data: &'a [String],
}

/// Reads a record and checks it against the zone that it would be in.
///
/// # Errors
/// See [`OwnRecordError`].
pub fn read(facts: &Facts, written: Written<'_>) -> Result<OwnRecord, OwnRecordError> {
    let owner = owner(facts, written.owner)?;
    let record_type = record_type(written.record_type)?;
    let data = data(&facts.apex()?, record_type, written.data)?;
    let mut present = build(facts, 0)?.records()?;
    present.retain(|record| facts.has_own(&record.name) || !yields(facts, &record.name));
    let ttl_of_rrset = present.iter().find(|it| it.name == owner && it.record_type() == record_type);
    let ttl = written.ttl.or(ttl_of_rrset.map(|record| record.ttl)).unwrap_or(TTL);
    let record = Record::from_rdata(owner, ttl, data);
    check(facts, &record, &present)?;
    Ok(stored(&record))
}

/// The operator's own records of a zone.
pub(super) fn records(facts: &Facts) -> Result<Vec<Record>, ZoneError> {
    facts.own.iter().map(record).collect()
}

/// Owner and type of records to remove, and the data of the one among them.
///
/// # Errors
/// See [`OwnRecordError`].
pub fn key(facts: &Facts, written: Written<'_>) -> Result<(String, u16, Option<Vec<u8>>), OwnRecordError> {
    let (owner, record_type) = (owner(facts, written.owner)?, record_type(written.record_type)?);
    let data =
        (!written.data.is_empty()).then(|| data(&facts.apex()?, record_type, written.data)).transpose()?;
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

fn stored(record: &Record) -> OwnRecord {
    OwnRecord {
        owner: record.name.to_ascii(),
        record_type: record.record_type().into(),
        ttl: record.ttl,
        rdata: encode(&record.data).unwrap_or_default(),
    }
}

fn owner(facts: &Facts, text: &str) -> Result<Name, OwnRecordError> {
    let refusal = || OwnRecordError::Owner(text.to_owned());
    let absolute = match text {
        "@" => facts.domain.to_string(),
        text if text.ends_with('.') => text.to_owned(),
        text => format!("{text}.{}", facts.domain),
    };
    let owner = name(&absolute).map_err(|_| refusal())?.to_lowercase();
    let is_plain = !text.is_empty() && owner.iter().all(|label| !label.is_empty());
    if is_plain && facts.apex()?.zone_of(&owner) { Ok(owner) } else { Err(refusal()) }
}

fn record_type(text: &str) -> Result<RecordType, OwnRecordError> {
    let record_type = type_from_text(&text.to_ascii_uppercase());
    let record_type = record_type.ok_or_else(|| OwnRecordError::Type(text.to_owned()))?;
    if RESERVED.contains(&record_type) {
        return Err(OwnRecordError::Reserved(text::mnemonic(record_type)));
    }
    Ok(record_type)
}

fn data(origin: &Name, record_type: RecordType, parts: &[String]) -> Result<RData, OwnRecordError> {
    let refusal = |why: String| OwnRecordError::Data(text::mnemonic(record_type), why);
    if parts.iter().any(|part| part.contains(char::is_control)) {
        return Err(refusal("there is a control character in them".to_owned()));
    }
    if let Some(octets) = generic(&parts.join(" ")) {
        let wire = octets.ok_or_else(|| refusal("RFC 3597 wants `\\# LENGTH HEXADECIMAL`".to_owned()))?;
        return decode(record_type, wire).ok_or_else(|| refusal("the octets do not decode".to_owned()));
    }
    let written = if record_type == RecordType::TXT { character_strings(parts)? } else { parts.join(" ") };
    // One line under a name of our own: nothing in it can be a directive such as $INCLUDE.
    let line = format!("@ 60 IN {} {written}\n", type_to_text(record_type));
    let parsed = Parser::new(line, None, Some(origin.clone())).parse();
    let (_, rrsets) = parsed.map_err(|error| refusal(error.to_string()))?;
    let mut records = rrsets.values().flat_map(|rrset| rrset.records_without_rrsigs());
    match (records.next(), records.next()) {
        (Some(record), None) if record.record_type() == record_type && !has_more(record, &written) => {
            Ok(record.data.clone())
        }
        _ => Err(refusal("this is not one record".to_owned())),
    }
}

/// hickory reads the fields it knows and passes over what follows. Only where no field can be of several words.
fn has_more(record: &Record, written: &str) -> bool {
    use RecordType as T;
    let words = |text: &str| text.split_whitespace().count();
    matches!(record.record_type(), T::A | T::AAAA | T::CNAME | T::MX | T::NS | T::PTR | T::SRV)
        && words(written) > words(&record.data.to_string())
}

/// Each argument is one character-string, whether it is in quotation marks or not.
fn character_strings(parts: &[String]) -> Result<String, OwnRecordError> {
    let mut text = String::new();
    for part in parts {
        let bare = part.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(part);
        if bare.len() > CHARACTER_STRING_OCTETS {
            return Err(OwnRecordError::LongText);
        }
        let escaped = if bare.len() == part.len() {
            bare.replace('\\', "\\\\").replace('"', "\\\"")
        } else {
            bare.to_owned()
        };
        write!(text, "\"{escaped}\" ").expect("writing to a String cannot fail");
    }
    Ok(text)
}

/// RFC 3597 §5; `None` where the text is not of that form, the inner one where it is and is wrong.
fn generic(text: &str) -> Option<Option<Vec<u8>>> {
    let mut words = text.strip_prefix("\\#")?.split_whitespace();
    let length: Option<usize> = words.next().and_then(|word| word.parse().ok());
    let digits: String = words.collect();
    let octet = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    let octets: Option<Vec<u8>> = digits.as_bytes().chunks(2).map(octet).collect();
    Some(octets.filter(|octets| length == Some(octets.len()) && digits.len().is_multiple_of(2)))
}

fn decode(record_type: RecordType, rdata: Vec<u8>) -> Option<RData> {
    if rdata.is_empty() {
        return Some(RData::Unknown { code: record_type, rdata: NULL::new() });
    }
    let wire = postern_shared::zone::Record {
        name: ".".to_owned(),
        record_type: type_to_text(record_type),
        ttl: 0,
        rdata,
    };
    wire.to_dns().ok().map(|record| record.data)
}

fn check(facts: &Facts, record: &Record, present: &[Record]) -> Result<(), OwnRecordError> {
    let (owner, record_type) = (record.name.to_ascii(), record.record_type());
    let same_name = || present.iter().filter(|it| it.name == record.name);
    let is_own = |it: &Record| facts.own.iter().any(|own| self::record(own).is_ok_and(|own| own == *it));
    let is_shared =
        record_type == RecordType::TXT || (record_type == RecordType::NS && record.name == facts.apex()?);
    if !is_shared && same_name().any(|it| it.record_type() == record_type && !is_own(it)) {
        return Err(OwnRecordError::Managed(owner, text::mnemonic(record_type)));
    }
    if is_spf(record) && same_name().any(is_spf) {
        return Err(OwnRecordError::SecondSpf(owner));
    }
    let is_cut = record.name != facts.apex()? && same_name().any(|it| it.record_type() == RecordType::NS);
    if record_type == RecordType::DS && !is_cut {
        return Err(OwnRecordError::NotDelegated(owner));
    }
    let kept = present.iter().filter(|it| !(it.name == record.name && it.data == record.data));
    let all: Vec<Record> = kept.chain([record]).cloned().collect();
    Zone::from_records(&facts.apex()?, &all)?;
    Ok(())
}

/// Whether Postern publishes nothing at this name once the operator has a record there.
fn yields(facts: &Facts, owner: &Name) -> bool {
    let mut labels = WebName::ALL.into_iter().map(WebName::label).chain([mta_sts::LABEL]);
    labels.any(|label| facts.below(label).is_ok_and(|name| name == *owner))
}

fn is_spf(record: &Record) -> bool {
    match &record.data {
        RData::TXT(txt) => txt.txt_data.concat().starts_with(SPF),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
