//! Signs a zone: records, keys and a time in, records out.
//!
//! * In: the zone's own records with their SOA, its keys, how long the signatures shall count, and the zone as it was signed
//!   before, where its signatures may be kept: then only what changed is signed, and who follows the zone transfers only that.
//! * Out: the same records in canonical form (RFC 4034 §6.2), and DNSKEY, CDS and CDNSKEY, the NSEC chain, ZONEMD, and an
//!   RRSIG for every RRset that is the zone's (RFC 4035 §2), in canonical order.
//! * Refused: a zone without SOA, and records that cannot be encoded. Whether the whole is right is for
//!   [`verify`](postern_shared::zone::verify) to say.
//!
//! Deviates: NSEC and not NSEC3 (RFC 5155), so that the names of a zone can be walked; they are those that every mail
//! domain has.

use std::collections::BTreeSet;

use hickory_proto::ProtoError;
use hickory_proto::dnssec::TBS;
use hickory_proto::dnssec::rdata::sig::SigInput;
use hickory_proto::dnssec::rdata::{DNSSECRData, RRSIG};
use hickory_proto::rr::rdata::{NULL, SOA};
use hickory_proto::rr::{DNSClass, LowerName, Name, RData, Record, RecordType, SerialNumber};
use postern_shared::zone::digest::{ZONEMD, canonical, zonemd};
use postern_shared::zone::rrsets::RrSets;
use postern_shared::zone::{Zone, ZoneError, encode};

use super::TTL;
use super::key::{AtParent, KeyError, ZoneKey};

/// Signatures count from an hour back, for resolvers whose clocks are slow, in seconds.
const BACKDATED: u64 = 3600;
/// How long they count, in seconds: home may be away for weeks.
const LIFETIME: u64 = 30 * 86_400;

/// Why a zone was not signed.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// The records make no zone.
    #[error(transparent)]
    Zone(#[from] ZoneError),
    /// The key cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// An RRset cannot be brought into the form that is signed.
    #[error("an RRset cannot be signed: {0}")]
    RrSet(#[from] ProtoError),
}

/// From when until when signatures count, in seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// The first second.
    pub inception: u64,
    /// The last one.
    pub expiration: u64,
}

impl Validity {
    /// For signatures made at this time.
    pub fn from(signed_at: u64) -> Self {
        Self { inception: signed_at.saturating_sub(BACKDATED), expiration: signed_at + LIFETIME }
    }
}

/// Signs the records of a whole zone with every key.
///
/// # Errors
/// See [`SignError`].
pub fn sign(
    origin: &Name,
    records: &[Record],
    keys: &[ZoneKey],
    validity: Validity,
    before: Option<&Zone>,
) -> Result<Zone, SignError> {
    let before = before.map(Zone::records).transpose()?.unwrap_or_default();
    let signer = Signer { origin, keys, validity, before: RrSets::new(origin, &before) };
    let mut zone = records.iter().map(canonical).collect::<Result<Vec<_>, _>>()?;
    let (soa, soa_ttl) = soa(&zone)?;
    zone.extend(signer.key_records()?);
    // RFC 8976 §3.1: NSEC tells of the digest although the digest is made last.
    let placeholder = zonemd_record(origin, soa.serial.to_be_bytes().to_vec());
    let chain = RrSets::new(origin, zone.iter().chain([&placeholder])).nsec_chain();
    // RFC 9077 §3: NSEC lives as long as the denial that it proves.
    let ttl = soa_ttl.min(soa.minimum);
    let nsec = |(owner, nsec)| Record::from_rdata(owner, ttl, RData::DNSSEC(DNSSECRData::NSEC(nsec)));
    zone.extend(chain.into_iter().map(nsec));
    zone.extend(signer.sign_all(&RrSets::new(origin, &zone))?);
    let digest = zonemd_record(origin, zonemd(soa.serial, &RrSets::new(origin, &zone))?);
    zone.extend(signer.sign_rrset(&[&digest])?);
    zone.push(digest);
    Ok(Zone::from_records(origin, &in_canonical_order(origin, &zone))?)
}

/// What every signature of a zone has in common.
struct Signer<'a> {
    origin: &'a Name,
    keys: &'a [ZoneKey],
    validity: Validity,
    /// The zone from which signatures are kept; empty where none are.
    before: RrSets<'a>,
}

impl Signer<'_> {
    fn key_records(&self) -> Result<Vec<Record>, SignError> {
        let mut records = Vec::new();
        for key in self.keys {
            let at_apex = |data| Record::from_rdata(self.origin.to_lowercase(), TTL, data);
            records.push(at_apex(key.dnskey()));
            if key.at_parent == AtParent::Wanted {
                records.extend(key.for_parent(self.origin)?.map(at_apex));
            }
        }
        Ok(records)
    }

    fn sign_all(&self, zone: &RrSets<'_>) -> Result<Vec<Record>, SignError> {
        let mut signatures = Vec::new();
        for (_, _, records) in zone.signed() {
            signatures.extend(self.sign_rrset(records)?);
        }
        Ok(signatures)
    }

    /// One signature by each key.
    fn sign_rrset(&self, records: &[&Record]) -> Result<Vec<Record>, SignError> {
        let Some(first) = records.first() else { return Ok(Vec::new()) };
        let sign =
            |key| self.kept(key, first, records).map_or_else(|| self.sign_with(key, first, records), Ok);
        self.keys.iter().map(sign).collect()
    }

    /// The signature by a key from before, if the RRset is the same.
    fn kept(&self, key: &ZoneKey, first: &Record, records: &[&Record]) -> Option<Record> {
        let (name, record_type) = (LowerName::new(&first.name), first.record_type());
        let had_key = |had: &&Record| encode(&had.data) == encode(&key.dnskey());
        if !self.before.at_apex(RecordType::DNSKEY).iter().any(had_key)
            || !is_same(self.before.rrset(&name, record_type), records)
        {
            return None;
        }
        let is_it = |record: &&&Record| match &record.data {
            RData::DNSSEC(DNSSECRData::RRSIG(signature)) => {
                let input = signature.input();
                input.type_covered == record_type
                    && input.key_tag == key.tag
                    && input.algorithm == key.algorithm()
            }
            _ => false,
        };
        self.before.rrset(&name, RecordType::RRSIG).iter().find(is_it).map(|record| (*record).clone())
    }

    fn sign_with(&self, key: &ZoneKey, first: &Record, records: &[&Record]) -> Result<Record, SignError> {
        let input = SigInput {
            type_covered: first.record_type(),
            algorithm: key.algorithm(),
            num_labels: first.name.num_labels(),
            original_ttl: first.ttl,
            sig_expiration: serial(self.validity.expiration),
            sig_inception: serial(self.validity.inception),
            key_tag: key.tag,
            signer_name: self.origin.to_lowercase(),
        };
        let data = TBS::from_input(&first.name, DNSClass::IN, &input, records.iter().copied())?;
        let signature = RRSIG::from_sig(input, key.sign(&data)?);
        // RFC 4034 §3: an RRSIG has the TTL of what it covers.
        Ok(Record::from_rdata(first.name.clone(), first.ttl, RData::DNSSEC(DNSSECRData::RRSIG(signature))))
    }
}

/// Whether two RRsets of one name and type have the same TTL and the same data.
fn is_same(one: &[&Record], other: &[&Record]) -> bool {
    let content = |records: &[&Record]| {
        records.iter().map(|record| (record.ttl, encode(&record.data))).collect::<BTreeSet<_>>()
    };
    content(one) == content(other)
}

/// RFC 4034 §3.1.5: times are serial numbers of 32 bits.
fn serial(time: u64) -> SerialNumber {
    SerialNumber::new(time as u32)
}

fn soa(records: &[Record]) -> Result<(SOA, u32), ZoneError> {
    let soa = |record: &Record| match &record.data {
        RData::SOA(soa) => Some((soa.clone(), record.ttl)),
        _ => None,
    };
    records.iter().find_map(soa).ok_or(ZoneError::Soa)
}

fn zonemd_record(origin: &Name, rdata: Vec<u8>) -> Record {
    let data = RData::Unknown { code: ZONEMD, rdata: NULL::with(rdata) };
    Record::from_rdata(origin.to_lowercase(), TTL, data)
}

fn in_canonical_order(origin: &Name, zone: &[Record]) -> Vec<Record> {
    let rrsets = RrSets::new(origin, zone);
    let types = rrsets.names().flat_map(|(_, types)| types.values());
    types.flatten().copied().cloned().collect()
}

#[cfg(test)]
mod tests;
