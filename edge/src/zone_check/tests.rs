//! Pushed zones against served ones, signed by a small signer of the test's own.

use hickory_proto::dnssec::crypto::EcdsaSigningKey;
use hickory_proto::dnssec::rdata::sig::SigInput;
use hickory_proto::dnssec::rdata::{DNSKEY, DNSSECRData, RRSIG};
use hickory_proto::dnssec::{Algorithm, SigningKey, TBS};
use hickory_proto::rr::rdata::NULL;
use hickory_proto::rr::{DNSClass, LowerName, Name, RData, Record, SerialNumber};
use postern_shared::zone::digest::{ZONEMD, zonemd};
use postern_shared::zone::rrsets::RrSets;

use super::*;
use crate::dns::zones::tests::sample_zone;

const NOW: u64 = 1_800_000_000;
const MONTH: u64 = 30 * 86_400;
const ALGORITHM: Algorithm = Algorithm::ECDSAP256SHA256;

struct Key(EcdsaSigningKey, DNSKEY);

impl Key {
    fn new() -> Self {
        let pkcs8 = EcdsaSigningKey::generate_pkcs8(ALGORITHM).unwrap();
        let private = EcdsaSigningKey::from_pkcs8(&pkcs8, ALGORITHM).unwrap();
        let public = DNSKEY::with_flags(257, private.to_public_key().unwrap());
        Self(private, public)
    }

    fn sign(&self, origin: &Name, owner: &LowerName, records: &[&Record]) -> Record {
        let first = records[0];
        let input = SigInput {
            type_covered: first.record_type(),
            algorithm: ALGORITHM,
            num_labels: owner.num_labels(),
            original_ttl: first.ttl,
            sig_expiration: SerialNumber::new((NOW + MONTH) as u32),
            sig_inception: SerialNumber::new(NOW as u32),
            key_tag: self.1.calculate_key_tag().unwrap(),
            signer_name: origin.clone(),
        };
        let data = TBS::from_input(owner, DNSClass::IN, &input, records.iter().copied()).unwrap();
        let signature = RRSIG::from_sig(input, self.0.sign(&data).unwrap());
        Record::from_rdata(Name::from(owner), first.ttl, RData::DNSSEC(DNSSECRData::RRSIG(signature)))
    }
}

/// The sample zone, signed with every key.
fn signed(keys: &[&Key]) -> Zone {
    let unsigned = sample_zone("home.example.", 7);
    let (origin, mut records) = (unsigned.origin().unwrap(), unsigned.records().unwrap());
    let at_apex = |ttl, data| Record::from_rdata(origin.clone(), ttl, data);
    records.extend(keys.iter().map(|key| at_apex(600, RData::DNSSEC(DNSSECRData::DNSKEY(key.1.clone())))));
    let digest = |rdata| at_apex(600, RData::Unknown { code: ZONEMD, rdata: NULL::with(rdata) });
    let placeholder = digest(vec![0]);
    let chain = RrSets::new(&origin, records.iter().chain([&placeholder])).nsec_chain();
    let nsec = |(owner, nsec)| Record::from_rdata(owner, 300, RData::DNSSEC(DNSSECRData::NSEC(nsec)));
    records.extend(chain.into_iter().map(nsec));
    let sign_all = |records: &[Record]| -> Vec<Record> {
        let rrsets = RrSets::new(&origin, records);
        let by = |key: &&Key| -> Vec<Record> {
            rrsets.signed().map(|(owner, _, rrset)| key.sign(&origin, owner, rrset)).collect()
        };
        keys.iter().flat_map(by).collect()
    };
    records.extend(sign_all(&records));
    let digest = digest(zonemd(7, &RrSets::new(&origin, &records)).unwrap());
    records.extend(keys.iter().map(|key| key.sign(&origin, &LowerName::new(&origin), &[&digest])));
    records.push(digest);
    Zone::from_records(&origin, &records).unwrap()
}

#[test]
fn a_signed_zone_is_taken_while_its_signatures_count() {
    let zone = signed(&[&Key::new()]);
    assert_eq!(check(&zone, None, NOW), Ok(()));
    assert_eq!(check(&zone, Some(&zone), NOW + MONTH), Ok(()));
    let expired = check(&zone, None, NOW + MONTH + 1);
    assert!(matches!(expired, Err(Refused::NotAuthentic(VerifyError::Expired(_)))), "{expired:?}");
    let early = check(&zone, None, NOW - 1);
    assert!(matches!(early, Err(Refused::NotAuthentic(VerifyError::NotYetValid(_)))), "{early:?}");
}

#[test]
fn a_torn_or_forged_zone_is_refused() {
    let zone = signed(&[&Key::new()]);
    let at = |record_type: &str| zone.records.iter().position(|it| it.record_type == record_type).unwrap();
    let mut torn = zone.clone();
    torn.records.remove(at("TXT"));
    assert_eq!(check(&torn, None, NOW), Err(Refused::NotAuthentic(VerifyError::Torn)));
    let mut without_digest = zone.clone();
    without_digest.records.remove(at("TYPE63"));
    assert_eq!(check(&without_digest, None, NOW), Err(Refused::NotAuthentic(VerifyError::Torn)));
    // A digest that fits does not help where a signature does not.
    let mut forged = zone.records().unwrap();
    let origin = zone.origin().unwrap();
    forged[at("A")].data = RData::A("203.0.113.66".parse().unwrap());
    let digest = zonemd(7, &RrSets::new(&origin, &forged)).unwrap();
    forged[at("TYPE63")].data = RData::Unknown { code: ZONEMD, rdata: NULL::with(digest) };
    let forged = check(&Zone::from_records(&origin, &forged).unwrap(), None, NOW);
    assert!(matches!(forged, Err(Refused::NotAuthentic(VerifyError::Bogus(_)))), "{forged:?}");
}

#[test]
fn keys_change_only_where_the_former_ones_vouch_for_it() {
    let (old, new) = (Key::new(), Key::new());
    let (before, both, after) = (signed(&[&old]), signed(&[&old, &new]), signed(&[&new]));
    assert_eq!(check(&after, Some(&before), NOW), Err(Refused::OtherKeys));
    assert_eq!(check(&both, Some(&before), NOW), Ok(()));
    assert_eq!(check(&after, Some(&both), NOW), Ok(()));
    assert_eq!(check(&after, None, NOW), Ok(()), "after joining again");
}

#[test]
fn a_zone_does_not_lose_its_signatures() {
    let (unsigned, signed) = (sample_zone("home.example.", 7), signed(&[&Key::new()]));
    assert_eq!(check(&unsigned, None, NOW), Ok(()));
    assert_eq!(check(&unsigned, Some(&unsigned), NOW), Ok(()));
    assert_eq!(check(&signed, Some(&unsigned), NOW), Ok(()));
    assert_eq!(check(&unsigned, Some(&signed), NOW), Err(Refused::NoLongerSigned));
}

#[test]
fn a_kept_zone_is_judged_as_of_its_signing() {
    let zone = signed(&[&Key::new()]);
    assert!(check(&zone, None, NOW + 2 * MONTH).is_err() && check(&zone, None, 12).is_err());
    assert_eq!(check_kept(&zone), Ok(()));
    let mut torn = zone.clone();
    torn.records.retain(|record| record.record_type != "TXT");
    assert_eq!(check_kept(&torn), Err(Refused::NotAuthentic(VerifyError::Torn)));
    let mut bogus = zone;
    let signature = bogus.records.iter_mut().find(|record| record.record_type == "RRSIG");
    signature.and_then(|record| record.rdata.last_mut()).into_iter().for_each(|octet| *octet ^= 1);
    assert!(matches!(check_kept(&bogus), Err(Refused::NotAuthentic(_))));
    assert_eq!(check_kept(&sample_zone("home.example.", 7)), Ok(()), "one that was never signed");
}
