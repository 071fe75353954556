//! The digest that a zone carries of itself (ZONEMD, RFC 8976), and the canonical form of a record (RFC 4034 §6.2).
//!
//! In: the records of a zone, signatures included. Out: the RDATA of its ZONEMD record: scheme SIMPLE, SHA-384. Refused:
//! a record that cannot be encoded.
//!
//! One scheme and one algorithm are made and understood, the ones that every verifier must have (RFC 8976 §2.2).

use hickory_proto::dnssec::rdata::DNSSECRData;
use hickory_proto::rr::{DNSClass, Name, RData, Record as DnsRecord, RecordType};
use hickory_proto::serialize::binary::{BinEncodable, BinEncoder, NameEncoding};
use ring::digest::{Context, SHA384};

use super::rrsets::RrSets;
use super::{ZoneError, decode};

/// The type ZONEMD, for which hickory has no name.
pub const ZONEMD: RecordType = RecordType::Unknown(63);
/// RFC 8976 §5.2: scheme SIMPLE.
const SIMPLE: u8 = 1;
/// RFC 8976 §5.3: hash algorithm SHA-384.
const SHA_384: u8 = 1;

/// The RDATA of the zone's ZONEMD record: serial, scheme, algorithm, digest (RFC 8976 §2.2).
///
/// # Errors
/// [`ZoneError::Rdata`] where a record cannot be encoded.
pub fn zonemd(serial: u32, zone: &RrSets<'_>) -> Result<Vec<u8>, ZoneError> {
    let mut context = Context::new(&SHA384);
    for (name, types) in zone.names() {
        for (record_type, records) in types {
            let digested = records.iter().filter(|record| is_digested(zone, record));
            let mut rdata = digested
                .map(|record| Ok((canonical_rdata(record)?, *record)))
                .collect::<Result<Vec<_>, _>>()?;
            // RFC 4034 §6.3: as octet strings, a shorter one before what it is the beginning of.
            rdata.sort_by(|one, other| one.0.cmp(&other.0));
            for (rdata, record) in rdata {
                context.update(&owner(name)?);
                context.update(&u16::from(*record_type).to_be_bytes());
                context.update(&u16::from(DNSClass::IN).to_be_bytes());
                context.update(&record.ttl.to_be_bytes());
                context.update(&(rdata.len() as u16).to_be_bytes());
                context.update(&rdata);
            }
        }
    }
    Ok([&serial.to_be_bytes(), [SIMPLE, SHA_384].as_slice(), context.finish().as_ref()].concat())
}

/// The record with every domain name in it in lower case, as far as its type has known places for names. The signed
/// form and the published form are then the same.
///
/// # Errors
/// [`ZoneError::Rdata`] where the record cannot be encoded.
pub fn canonical(record: &DnsRecord) -> Result<DnsRecord, ZoneError> {
    let rdata = canonical_rdata(record)?;
    let data = decode(record.record_type(), &rdata).ok_or_else(|| malformed(record))?;
    Ok(DnsRecord::from_rdata(record.name.to_lowercase(), record.ttl, data))
}

/// RFC 8976 §3.3.1: all but the apex's ZONEMD and its signatures.
fn is_digested(zone: &RrSets<'_>, record: &DnsRecord) -> bool {
    let is_of_zonemd = match &record.data {
        RData::DNSSEC(DNSSECRData::RRSIG(signature)) => signature.input().type_covered == ZONEMD,
        data => data.record_type() == ZONEMD,
    };
    !(is_of_zonemd && zone.is_apex(&record.name))
}

fn canonical_rdata(record: &DnsRecord) -> Result<Vec<u8>, ZoneError> {
    let encode = |data: &RData| {
        let mut octets = Vec::new();
        let mut encoder = BinEncoder::new(&mut octets);
        encoder.set_canonical_form(true);
        encoder.set_name_encoding(NameEncoding::Uncompressed);
        data.emit(&mut encoder).ok().map(|()| octets)
    };
    encode(&record.data).ok_or_else(|| malformed(record))
}

fn owner(name: &Name) -> Result<Vec<u8>, ZoneError> {
    let mut octets = Vec::new();
    let mut encoder = BinEncoder::new(&mut octets);
    encoder.set_name_encoding(NameEncoding::UncompressedLowercase);
    name.emit(&mut encoder).map_err(|_| ZoneError::Name(name.to_ascii()))?;
    Ok(octets)
}

fn malformed(record: &DnsRecord) -> ZoneError {
    ZoneError::Rdata { name: record.name.to_ascii(), record_type: super::type_to_text(record.record_type()) }
}
