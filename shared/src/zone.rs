//! A DNS zone as home builds it and the edge serves it: exact wire RDATA, so that signed zones pass unchanged.
//!
//! In: JSON with base64 RDATA (the control protocol, the edge's cache file), or records of `hickory-proto` (home).
//! Out: [`Zone`], and after [`Zone::records`] a list of decoded records that is known to be a servable zone. Refused:
//! names outside the origin, RDATA that does not decode or would not be sent back octet for octet (compressed names),
//! a missing or doubled SOA, a serial that differs from the SOA's, no NS at the apex, a CNAME beside other data,
//! duplicates, unequal TTLs in one RRset, meta types, classes other than IN (there is no class field), more than
//! [`MAX_RECORDS`] records. RFC 1035 §3–§4, RFC 2181 §5 and §10, RFC 3597 §5 (`TYPE65280`).
//!
//! A signed zone carries its DNSSEC records like any others; [`rrsets`], [`digest`] and [`verify`] know what they mean.

pub mod rrsets;

pub mod digest;
pub mod verify;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hickory_proto::rr::{Name, RData, Record as DnsRecord, RecordType};
use hickory_proto::serialize::binary::{BinDecoder, BinEncodable, BinEncoder, NameEncoding, Restrict};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The largest number of records in one zone.
pub const MAX_RECORDS: usize = 20_000;

/// The longest TTL, in seconds (RFC 2181 §8).
pub const MAX_TTL: u32 = 0x7fff_ffff;

/// Half of the circle in which serial numbers compare (RFC 1982 §3.2).
const SERIAL_HALF: u32 = 1 << 31;

/// Whether a serial is before another in the circle of 2^32 (RFC 1982 §3.2).
pub fn is_older(serial: u32, than: u32) -> bool {
    serial != than && serial.wrapping_sub(than) >= SERIAL_HALF
}

/// A whole zone on the wire and on disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Zone {
    /// The apex, as an absolute name with its final dot.
    pub origin: String,
    /// The SOA's serial number, repeated so that versions compare without decoding.
    pub serial: u32,
    /// Every record, the SOA included, in any order.
    pub records: Vec<Record>,
}

/// One resource record of class IN.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Record {
    /// The owner name, absolute, in presentation form.
    pub name: String,
    /// The type's mnemonic, or `TYPE` and its number.
    #[serde(rename = "type")]
    pub record_type: String,
    /// Seconds.
    pub ttl: u32,
    /// RDATA in wire form without compression; base64 in JSON.
    #[serde(serialize_with = "to_base64", deserialize_with = "from_base64")]
    pub rdata: Vec<u8>,
}

/// Why a zone cannot be served. The texts name the record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ZoneError {
    /// A name that is no domain name, or not absolute.
    #[error("`{0}` is not an absolute domain name")]
    Name(String),
    /// An owner name outside the zone.
    #[error("`{0}` is not inside the zone")]
    OutOfZone(String),
    /// A type that is unknown or can never be stored.
    #[error("`{name}`: `{record_type}` is not a type that a zone can hold")]
    Type {
        /// The owner name.
        name: String,
        /// The type as written.
        record_type: String,
    },
    /// RDATA that does not decode, or does not encode back to the same octets.
    #[error("`{name}` {record_type}: the RDATA is malformed")]
    Rdata {
        /// The owner name.
        name: String,
        /// The type.
        record_type: String,
    },
    /// TTL over 2^31 - 1, or different within one RRset.
    #[error("`{name}` {record_type}: the TTL is out of range or differs within the RRset")]
    Ttl {
        /// The owner name.
        name: String,
        /// The type.
        record_type: String,
    },
    /// The same record twice.
    #[error("`{name}` {record_type}: the record is given twice")]
    Duplicate {
        /// The owner name.
        name: String,
        /// The type.
        record_type: String,
    },
    /// A CNAME beside other data (RFC 2181 §10.1).
    #[error("`{0}` has a CNAME beside other records")]
    Cname(String),
    /// Not exactly one SOA, at the apex.
    #[error("the zone must have exactly one SOA record, at its apex")]
    Soa,
    /// The SOA's serial is not the zone's.
    #[error("the SOA's serial {soa} is not the zone's serial {zone}")]
    Serial {
        /// In the SOA record.
        soa: u32,
        /// In [`Zone::serial`].
        zone: u32,
    },
    /// No NS at the apex.
    #[error("the zone has no NS record at its apex")]
    Ns,
    /// More than [`MAX_RECORDS`].
    #[error("the zone has more than {MAX_RECORDS} records")]
    TooLarge,
}

impl Zone {
    /// Builds the wire form from decoded records; the serial is taken from the SOA.
    ///
    /// # Errors
    /// What [`Zone::records`] would refuse.
    pub fn from_records(origin: &Name, records: &[DnsRecord]) -> Result<Self, ZoneError> {
        let serial = records.iter().find_map(|record| match &record.data {
            RData::SOA(soa) => Some(soa.serial),
            _ => None,
        });
        let records = records.iter().map(Record::from_dns).collect::<Result<Vec<_>, _>>()?;
        let zone = Self { origin: origin.to_ascii(), serial: serial.ok_or(ZoneError::Soa)?, records };
        zone.records()?;
        Ok(zone)
    }

    /// The apex as a name.
    ///
    /// # Errors
    /// [`ZoneError::Name`].
    pub fn origin(&self) -> Result<Name, ZoneError> {
        absolute_name(&self.origin)
    }

    /// Checks the whole zone and decodes its records, in the order given.
    ///
    /// # Errors
    /// The first thing that makes the zone unservable.
    pub fn records(&self) -> Result<Vec<DnsRecord>, ZoneError> {
        if self.records.len() > MAX_RECORDS {
            return Err(ZoneError::TooLarge);
        }
        let origin = self.origin()?;
        let records = self.records.iter().map(Record::to_dns).collect::<Result<Vec<_>, _>>()?;
        if let Some(record) = records.iter().find(|record| !origin.zone_of(&record.name)) {
            return Err(ZoneError::OutOfZone(record.name.to_ascii()));
        }
        check_apex(&origin, self.serial, &records)?;
        check_rrsets(&records)?;
        Ok(records)
    }

    /// SHA-256 over the records in a fixed order, in lower-case hexadecimal: equal zones have equal digests.
    pub fn digest(&self) -> String {
        let sorted: BTreeSet<&Record> = self.records.iter().collect();
        let mut context = ring::digest::Context::new(&ring::digest::SHA256);
        context.update(format!("{} {}\n", self.origin, self.serial).as_bytes());
        for record in sorted {
            let head =
                format!("{} {} {} {} ", record.name, record.record_type, record.ttl, record.rdata.len());
            context.update(head.as_bytes());
            context.update(&record.rdata);
        }
        context.finish().as_ref().iter().fold(String::with_capacity(64), |mut text, octet| {
            write!(text, "{octet:02x}").expect("writing to a String cannot fail");
            text
        })
    }
}

impl Record {
    /// The wire form of a decoded record.
    ///
    /// # Errors
    /// [`ZoneError::Rdata`] where the record cannot be encoded.
    pub fn from_dns(record: &DnsRecord) -> Result<Self, ZoneError> {
        let (name, record_type) = (record.name.to_ascii(), type_to_text(record.record_type()));
        let rdata = encode(&record.data)
            .ok_or_else(|| ZoneError::Rdata { name: name.clone(), record_type: record_type.clone() })?;
        Ok(Self { name, record_type, ttl: record.ttl, rdata })
    }

    /// Decodes the record and proves that it encodes back to the same octets.
    ///
    /// # Errors
    /// [`ZoneError::Name`], [`ZoneError::Type`], [`ZoneError::Ttl`] or [`ZoneError::Rdata`].
    pub fn to_dns(&self) -> Result<DnsRecord, ZoneError> {
        let name = absolute_name(&self.name)?;
        let record_type =
            type_from_text(&self.record_type).filter(|record_type| is_storable(*record_type)).ok_or_else(
                || ZoneError::Type { name: self.name.clone(), record_type: self.record_type.clone() },
            )?;
        if self.ttl > MAX_TTL {
            return Err(ZoneError::Ttl { name: self.name.clone(), record_type: self.record_type.clone() });
        }
        let rdata = decode(record_type, &self.rdata)
            .filter(|rdata| encode(rdata).as_ref() == Some(&self.rdata))
            .ok_or_else(|| ZoneError::Rdata {
                name: self.name.clone(),
                record_type: self.record_type.clone(),
            })?;
        Ok(DnsRecord::from_rdata(name, self.ttl, rdata))
    }
}

/// The mnemonic of a type, or RFC 3597's `TYPE` and number.
pub fn type_to_text(record_type: RecordType) -> String {
    let text = record_type.to_string();
    match RecordType::from_str(&text) {
        Ok(same) if same == record_type => text,
        _ => format!("TYPE{}", u16::from(record_type)),
    }
}

/// The type that a mnemonic or RFC 3597's `TYPE` and number names.
pub fn type_from_text(text: &str) -> Option<RecordType> {
    match text.strip_prefix("TYPE").and_then(|number| number.parse::<u16>().ok()) {
        Some(number) => Some(RecordType::from(number)),
        None => RecordType::from_str(text).ok(),
    }
}

/// RFC 6895 §3.1: 0 and 128–255 are meta types and question types; OPT (41) belongs to a message.
fn is_storable(record_type: RecordType) -> bool {
    !matches!(u16::from(record_type), 0 | 41 | 128..=255 | 65535)
}

fn absolute_name(text: &str) -> Result<Name, ZoneError> {
    match Name::from_ascii(text) {
        Ok(name) if name.is_fqdn() => Ok(name),
        _ => Err(ZoneError::Name(text.to_owned())),
    }
}

fn decode(record_type: RecordType, rdata: &[u8]) -> Option<RData> {
    let length = u16::try_from(rdata.len()).ok()?;
    let mut decoder = BinDecoder::new(rdata);
    RData::read(&mut decoder, record_type, Restrict::new(length)).ok()
}

/// RDATA in wire form, without compression; `None` where it cannot be encoded.
pub fn encode(rdata: &RData) -> Option<Vec<u8>> {
    let mut octets = Vec::new();
    let mut encoder = BinEncoder::new(&mut octets);
    encoder.set_name_encoding(NameEncoding::Uncompressed);
    rdata.emit(&mut encoder).ok()?;
    Some(octets)
}

fn check_apex(origin: &Name, serial: u32, records: &[DnsRecord]) -> Result<(), ZoneError> {
    let mut soas = records.iter().filter_map(|record| match &record.data {
        RData::SOA(soa) => Some((&record.name, soa.serial)),
        _ => None,
    });
    match (soas.next(), soas.next()) {
        (Some((name, soa)), None) if name == origin => {
            if soa != serial {
                return Err(ZoneError::Serial { soa, zone: serial });
            }
        }
        _ => return Err(ZoneError::Soa),
    }
    let has_ns =
        records.iter().any(|record| record.record_type() == RecordType::NS && record.name == *origin);
    if has_ns { Ok(()) } else { Err(ZoneError::Ns) }
}

/// RFC 2181: §5 no duplicates, §5.2 one TTL in an RRset, §10.1 nothing beside a CNAME but its DNSSEC records.
/// Each RRSIG has the TTL of the RRset that it covers (RFC 4034 §3), so RRSIGs of one name may differ.
fn check_rrsets(records: &[DnsRecord]) -> Result<(), ZoneError> {
    let mut seen = BTreeSet::new();
    let mut ttls: BTreeMap<(String, u16), u32> = BTreeMap::new();
    let mut with_cname = BTreeSet::new();
    let mut with_other = BTreeSet::new();
    for record in records {
        let (name, record_type) = (record.name.to_ascii().to_ascii_lowercase(), record.record_type());
        let text = || (name.clone(), type_to_text(record_type));
        if !seen.insert((name.clone(), u16::from(record_type), encode(&record.data))) {
            let (name, record_type) = text();
            return Err(ZoneError::Duplicate { name, record_type });
        }
        let first = *ttls.entry((name.clone(), u16::from(record_type))).or_insert(record.ttl);
        if first != record.ttl && record_type != RecordType::RRSIG {
            let (name, record_type) = text();
            return Err(ZoneError::Ttl { name, record_type });
        }
        match record_type {
            RecordType::CNAME if !with_cname.insert(name.clone()) => return Err(ZoneError::Cname(name)),
            RecordType::CNAME | RecordType::RRSIG | RecordType::NSEC => {}
            _ => drop(with_other.insert(name)),
        }
    }
    with_cname.intersection(&with_other).next().map_or(Ok(()), |name| Err(ZoneError::Cname(name.clone())))
}

fn to_base64<S: Serializer>(octets: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&STANDARD.encode(octets))
}

fn from_base64<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    let text = String::deserialize(deserializer)?;
    STANDARD.decode(&text).map_err(|error| serde::de::Error::custom(format!("rdata is not base64: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hickory_proto::rr::rdata::{A, CNAME, MX, NS, SOA, TXT};
    use proptest::prelude::*;

    fn name(text: &str) -> Name {
        Name::from_ascii(text).unwrap()
    }

    fn record(owner: &str, rdata: RData) -> DnsRecord {
        DnsRecord::from_rdata(name(owner), 300, rdata)
    }

    fn sample() -> Vec<DnsRecord> {
        let soa =
            SOA::new(name("ns1.home.example."), name("hostmaster.home.example."), 7, 3600, 600, 86400, 300);
        vec![
            record("home.example.", RData::SOA(soa)),
            record("home.example.", RData::NS(NS(name("ns1.home.example.")))),
            record("home.example.", RData::MX(MX::new(10, name("Mail.home.example.")))),
            record("ns1.home.example.", RData::A(A::new(192, 0, 2, 1))),
            record("mail.home.example.", RData::A(A::new(192, 0, 2, 1))),
            record("home.example.", RData::TXT(TXT::new(vec!["v=spf1 mx -all".to_owned()]))),
        ]
    }

    fn with(extra: Vec<DnsRecord>) -> Result<Zone, ZoneError> {
        let mut records = sample();
        records.extend(extra);
        Zone::from_records(&name("home.example."), &records)
    }

    #[test]
    fn a_zone_survives_json_and_keeps_its_digest() {
        let zone = with(vec![]).unwrap();
        let json = serde_json::to_string(&zone).unwrap();
        let mut back: Zone = serde_json::from_str(&json).unwrap();
        assert_eq!(back, zone);
        assert_eq!(back.records().unwrap(), sample());
        back.records.reverse();
        assert_eq!(back.digest(), zone.digest());
        back.records[0].ttl = 299;
        assert_ne!(back.digest(), zone.digest());
    }

    #[test]
    fn a_zone_that_cannot_be_served_is_refused_with_its_reason() {
        let a = || RData::A(A::new(192, 0, 2, 9));
        let cname = || RData::CNAME(CNAME(name("mail.home.example.")));
        let outside = with(vec![record("www.other.example.", a())]);
        assert_eq!(outside, Err(ZoneError::OutOfZone("www.other.example.".to_owned())));
        assert!(matches!(with(vec![record("mail.home.example.", cname())]), Err(ZoneError::Cname(_))));
        assert!(matches!(with(vec![sample()[3].clone()]), Err(ZoneError::Duplicate { .. })));
        assert_eq!(with(vec![sample()[0].clone()]), Err(ZoneError::Soa));
        let mut longer = record("mail.home.example.", a());
        longer.ttl = 301;
        assert!(matches!(with(vec![longer]), Err(ZoneError::Ttl { .. })));
        let mut zone = with(vec![]).unwrap();
        zone.serial = 8;
        assert_eq!(zone.records(), Err(ZoneError::Serial { soa: 7, zone: 8 }));
        zone.serial = 7;
        zone.records.remove(1);
        assert_eq!(zone.records(), Err(ZoneError::Ns));
    }

    #[test]
    fn serials_compare_in_a_circle() {
        assert!(is_older(1, 2) && !is_older(2, 1) && !is_older(5, 5));
        assert!(!is_older(3, u32::MAX - 3) && is_older(u32::MAX - 3, 3));
    }

    #[test]
    fn rdata_passes_octet_for_octet_or_not_at_all() {
        let mut zone = with(vec![]).unwrap();
        let base = |record_type: &str, rdata: &[u8]| Record {
            name: "x.home.example.".to_owned(),
            record_type: record_type.to_owned(),
            ttl: 60,
            rdata: rdata.to_vec(),
        };
        // RFC 4034 §3.1. Whole, because hickory reads signatures where another crate has asked it for DNSSEC.
        let signature =
            b"\x00\x01\x0d\x02\x00\x00\x0e\x10\x6b\x02\xfb\x82\x6a\xf0\x00\x00\x30\x39\x00any octets";
        for fine in [base("TYPE65280", b"\x00\x01any"), base("RRSIG", signature), base("DNAME", b"\x00")] {
            zone.records.push(fine.clone());
            let decoded = zone.records().unwrap();
            assert_eq!(Record::from_dns(decoded.last().unwrap()).unwrap().rdata, fine.rdata);
            zone.records.pop();
        }
        for broken in
            [base("A", b"\x01\x02\x03"), base("A", b"\x01\x02\x03\x04\x05"), base("NS", b"\x03ns1\xc0\x00")]
        {
            assert!(matches!(broken.to_dns(), Err(ZoneError::Rdata { .. })), "{broken:?}");
        }
        for meta in ["OPT", "ANY", "AXFR", "TYPE0", "TYPE255", "NONSENSE"] {
            assert!(matches!(base(meta, b"").to_dns(), Err(ZoneError::Type { .. })), "{meta}");
        }
    }

    proptest! {
        #[test]
        fn any_type_name_goes_both_ways(number: u16) {
            let record_type = RecordType::from(number);
            prop_assert_eq!(type_from_text(&type_to_text(record_type)), Some(record_type));
        }

        #[test]
        fn any_rdata_is_refused_or_kept_exactly(number: u16, rdata in proptest::collection::vec(any::<u8>(), 0..80)) {
            let record = Record {
                name: "a.example.".to_owned(),
                record_type: format!("TYPE{number}"),
                ttl: 1,
                rdata: rdata.clone(),
            };
            if let Ok(decoded) = record.to_dns() {
                prop_assert_eq!(Record::from_dns(&decoded).unwrap().rdata, rdata);
            }
        }
    }
}
