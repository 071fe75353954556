//! Whether a zone is what its owner signed: whole, proven and not out of date.
//!
//! In: a zone and the time. Out: [`Authentic`], which knows the zone's keys. Refused: a zone without a ZONEMD record or
//! with one that does not fit (torn), an RRset without a good signature by a key of the zone, signatures that have expired
//! or do not count yet, an NSEC chain that denies what is there or leaves out what is missing. RFC 4034 §3 and §4, RFC 4035
//! §2 and §5.3, RFC 8976 §4.
//!
//! Home asks this of every zone before it hands it over, the edge before it serves one. Whether the keys are the right
//! ones is the parent zone's to say (DS); [`Authentic::is_vouched_by`] says whether they follow from earlier ones.

use hickory_proto::dnssec::rdata::{DNSKEY, DNSSECRData, RRSIG};
use hickory_proto::dnssec::{PublicKey, Verifier};
use hickory_proto::rr::{DNSClass, LowerName, RData, Record as DnsRecord, RecordType, SerialNumber};

use super::digest::{ZONEMD, zonemd};
use super::rrsets::RrSets;
use super::{Zone, ZoneError, encode, type_to_text};

/// Why a zone is not what its owner signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// The zone could not even be served.
    #[error(transparent)]
    Zone(#[from] ZoneError),
    /// No DNSKEY at the apex.
    #[error("the zone is not signed")]
    Unsigned,
    /// The digest is missing or is not that of the records.
    #[error("the zone is torn: its digest (ZONEMD) is not that of its records")]
    Torn,
    /// No signature by a key of the zone.
    #[error("`{0}` has no signature by a key of the zone")]
    Missing(RrSetName),
    /// A signature that does not fit.
    #[error("the signature of `{0}` does not verify")]
    Bogus(RrSetName),
    /// Signed with a clock that is ahead.
    #[error("the signature of `{0}` does not count yet; is home's clock ahead?")]
    NotYetValid(RrSetName),
    /// Too old.
    #[error("the signature of `{0}` has expired")]
    Expired(RrSetName),
    /// The chain of names is not that of the zone.
    #[error("the NSEC records do not fit the zone's names")]
    NsecChain,
}

/// Owner and type, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RrSetName(String, RecordType);

impl std::fmt::Display for RrSetName {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} {}", self.0, type_to_text(self.1))
    }
}

/// What is known of a zone that passed.
#[derive(Debug, Clone)]
pub struct Authentic {
    /// Those of the zone's keys that signed its DNSKEY RRset.
    vouching: Vec<DNSKEY>,
}

impl Authentic {
    /// Whether one of these keys, taken from the zone as it was before, has signed the keys that it has now.
    pub fn is_vouched_by(&self, earlier: &[DNSKEY]) -> bool {
        self.vouching.iter().any(|key| earlier.contains(key))
    }
}

/// The keys at the apex of a zone; none where it is not signed.
///
/// # Errors
/// [`ZoneError`] where the zone cannot be served.
pub fn keys(zone: &Zone) -> Result<Vec<DNSKEY>, ZoneError> {
    let records = zone.records()?;
    Ok(zone_keys(&RrSets::new(&zone.origin()?, &records)))
}

/// Checks the whole zone. `now` is in seconds since 1970.
///
/// # Errors
/// The first thing that is wrong with it.
pub fn authenticate(zone: &Zone, now: u32) -> Result<Authentic, VerifyError> {
    let (origin, records) = (zone.origin()?, zone.records()?);
    let rrsets = RrSets::new(&origin, &records);
    let keys = zone_keys(&rrsets);
    if keys.is_empty() {
        return Err(VerifyError::Unsigned);
    }
    check_digest(zone.serial, &rrsets)?;
    check_chain(&rrsets)?;
    let check = Check { origin: LowerName::new(&origin), rrsets: &rrsets, now };
    for (name, record_type, records) in rrsets.signed() {
        check.rrset(name, record_type, records, &keys)?;
    }
    let apex = &check.origin;
    let vouches = |key: &DNSKEY| {
        let (record_type, records) = (RecordType::DNSKEY, rrsets.at_apex(RecordType::DNSKEY));
        check.rrset(apex, record_type, records, std::slice::from_ref(key)).is_ok()
    };
    Ok(Authentic { vouching: keys.iter().filter(|key| vouches(key)).cloned().collect() })
}

/// RFC 4034 §2.1.1: keys without the Zone Key flag sign no zone; RFC 5011 §2.1: revoked ones neither.
fn zone_keys(rrsets: &RrSets<'_>) -> Vec<DNSKEY> {
    let key = |record: &&DnsRecord| match &record.data {
        RData::DNSSEC(DNSSECRData::DNSKEY(key)) if key.zone_key() && !key.revoke() => Some(key.clone()),
        _ => None,
    };
    rrsets.at_apex(RecordType::DNSKEY).iter().filter_map(key).collect()
}

fn check_digest(serial: u32, rrsets: &RrSets<'_>) -> Result<(), VerifyError> {
    let expected = zonemd(serial, rrsets)?;
    match rrsets.at_apex(ZONEMD) {
        [record] if encode(&record.data).as_ref() == Some(&expected) => Ok(()),
        _ => Err(VerifyError::Torn),
    }
}

fn check_chain(rrsets: &RrSets<'_>) -> Result<(), VerifyError> {
    let expected = rrsets.nsec_chain();
    let owners = rrsets.names().filter(|(_, types)| types.contains_key(&RecordType::NSEC)).count();
    let fits = expected.iter().all(|(owner, nsec)| {
        let found = rrsets.rrset(&LowerName::new(owner), RecordType::NSEC);
        matches!(found, [record] if record.data == RData::DNSSEC(DNSSECRData::NSEC(nsec.clone())))
    });
    if fits && owners == expected.len() { Ok(()) } else { Err(VerifyError::NsecChain) }
}

/// What one signature is checked against.
struct Check<'a> {
    origin: LowerName,
    rrsets: &'a RrSets<'a>,
    now: u32,
}

impl Check<'_> {
    /// Looks for a good signature by one of `keys`; if there is none, the error tells of the one that came closest.
    fn rrset(
        &self,
        name: &LowerName,
        record_type: RecordType,
        records: &[&DnsRecord],
        keys: &[DNSKEY],
    ) -> Result<(), VerifyError> {
        let mut closest = VerifyError::Missing(RrSetName(name.to_string(), record_type));
        for signature in self.signatures(name, record_type) {
            for key in
                keys.iter().filter(|key| key.calculate_key_tag().ok() == Some(signature.input().key_tag))
            {
                match self.signature(name, records, signature, key) {
                    Ok(()) => return Ok(()),
                    Err(error) => closest = error,
                }
            }
        }
        Err(closest)
    }

    fn signatures(&self, name: &LowerName, covered: RecordType) -> impl Iterator<Item = &RRSIG> {
        self.rrsets.rrset(name, RecordType::RRSIG).iter().filter_map(move |record| match &record.data {
            RData::DNSSEC(DNSSECRData::RRSIG(signature)) if signature.input().type_covered == covered => {
                Some(signature)
            }
            _ => None,
        })
    }

    /// RFC 4035 §5.3.1: what must hold before the cryptography is worth its time.
    fn signature(
        &self,
        name: &LowerName,
        records: &[&DnsRecord],
        signature: &RRSIG,
        key: &DNSKEY,
    ) -> Result<(), VerifyError> {
        let input = signature.input();
        let subject = || RrSetName(name.to_string(), input.type_covered);
        let fits = LowerName::new(&input.signer_name) == self.origin
            && input.algorithm == key.public_key().algorithm()
            && input.num_labels == name.num_labels()
            && records.iter().all(|record| record.ttl == input.original_ttl);
        if !fits {
            return Err(VerifyError::Bogus(subject()));
        }
        // RFC 4034 §3.1.5: in serial number arithmetic.
        let now = SerialNumber::new(self.now);
        if now < input.sig_inception {
            return Err(VerifyError::NotYetValid(subject()));
        }
        if now > input.sig_expiration {
            return Err(VerifyError::Expired(subject()));
        }
        let verified = key.verify_rrsig(name, DNSClass::IN, signature, records.iter().copied());
        verified.map_err(|_| VerifyError::Bogus(subject()))
    }
}
