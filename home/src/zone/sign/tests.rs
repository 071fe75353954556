//! Signed zones, judged by the check that the edge makes, by a denial search of our own, and by ldns.

use std::collections::BTreeSet;
use std::process::Command;

use hickory_proto::dnssec::rdata::NSEC;
use hickory_proto::rr::RecordType;
use hickory_proto::rr::rdata::{A, CNAME, MX, NS, TXT};
use postern_shared::zone::verify::{VerifyError, authenticate, keys};
use postern_store::directory::Directory;
use proptest::prelude::*;

use super::*;
use crate::zone::text::master_file;

const NOW: u64 = 1_800_000_000;
const DAY: u64 = 86_400;

fn key() -> ZoneKey {
    let state_dir = tempfile::tempdir().expect("temporary directory");
    let directory = Directory::open(state_dir.path()).expect("opened");
    let domain = "home.example".parse().expect("a domain");
    directory.add_domain(&domain).expect("added");
    ZoneKey::new(&directory.dnssec_keys(&domain).expect("made")[0]).expect("a P-256 key")
}

fn name(text: &str) -> Name {
    Name::from_ascii(text).expect("a name")
}

fn origin() -> Name {
    name("home.example.")
}

fn below(label: &str) -> Name {
    name(&format!("{label}.home.example."))
}

fn record(owner: Name, data: RData) -> Record {
    Record::from_rdata(owner, 600, data)
}

/// Apex, a delegation with glue, a wildcard, an empty non-terminal, mixed case, long data, and `more`.
fn records(more: impl IntoIterator<Item = Record>) -> Vec<Record> {
    let soa = SOA::new(below("ns1"), below("Postmaster"), 7, 3600, 600, 1_209_600, 300);
    let a = |last| RData::A(A::new(192, 0, 2, last));
    let mut records = vec![
        record(origin(), RData::SOA(soa)),
        record(origin(), RData::NS(NS(below("NS1")))),
        record(origin(), RData::MX(MX::new(10, below("b")))),
        record(origin(), RData::MX(MX::new(10, below("A")))),
        record(below("ns1"), a(1)),
        record(below("Mail"), a(1)),
        record(below("mail"), a(2)),
        record(below("www"), RData::CNAME(CNAME(below("mail")))),
        record(below("*.wild"), RData::TXT(TXT::new(vec!["any".to_owned(), "x".repeat(255)]))),
        record(below("deep.below.here"), a(3)),
        record(below("sub"), RData::NS(NS(below("ns.sub")))),
        record(below("ns.sub"), a(4)),
    ];
    records.extend(more);
    records
}

fn signed(more: impl IntoIterator<Item = Record>) -> Zone {
    sign(&origin(), &records(more), &[key()], Validity::from(NOW), None).expect("signed")
}

#[test]
fn what_is_signed_verifies_for_thirty_days_and_not_before_or_after() {
    let zone = signed([]);
    for good in [NOW - 3600, NOW, NOW + 14 * DAY, NOW + 30 * DAY] {
        authenticate(&zone, good as u32).expect("verifies");
    }
    let late = authenticate(&zone, (NOW + 30 * DAY + 1) as u32);
    assert!(matches!(late, Err(VerifyError::Expired(_))), "{late:?}");
    let early = authenticate(&zone, (NOW - 3601) as u32);
    assert!(matches!(early, Err(VerifyError::NotYetValid(_))), "{early:?}");
}

#[test]
fn a_zone_that_lost_or_changed_anything_is_torn() {
    let zone = signed([]);
    for index in 0..zone.records.len() {
        let mut torn = zone.clone();
        let lost = torn.records.remove(index);
        assert!(authenticate(&torn, NOW as u32).is_err(), "without {lost:?}");
        let mut changed = zone.clone();
        let last = changed.records[index].rdata.last_mut().expect("no type here is empty");
        *last ^= 1;
        assert!(authenticate(&changed, NOW as u32).is_err(), "changed {:?}", zone.records[index]);
    }
    let mut older = zone.clone();
    older.records.retain(|record| record.record_type != "TYPE63");
    assert_eq!(authenticate(&older, NOW as u32).map(drop), Err(VerifyError::Torn));
}

#[test]
fn another_key_is_noticed_unless_the_one_before_vouches_for_it() {
    let (old, new) = (key(), key());
    let sign =
        |keys: &[ZoneKey]| sign(&origin(), &records([]), keys, Validity::from(NOW), None).expect("signed");
    let (before, after) = (sign(std::slice::from_ref(&old)), sign(std::slice::from_ref(&new)));
    let both = sign(&[old, new]);
    let is_vouched = |zone: &Zone, earlier: &Zone| {
        let authentic = authenticate(zone, NOW as u32).expect("verifies");
        authentic.is_vouched_by(&keys(earlier).expect("keys"))
    };
    assert!(is_vouched(&before, &before));
    assert!(!is_vouched(&after, &before));
    assert!(is_vouched(&both, &before) && is_vouched(&after, &both));
}

#[test]
fn the_delegation_and_its_glue_are_not_signed() {
    let zone = signed([]);
    let covered = |owner: &str| -> Vec<String> {
        let records = zone.records().expect("servable");
        let signatures = records.iter().filter(|record| record.name == below(owner)).filter_map(|record| {
            let RData::DNSSEC(DNSSECRData::RRSIG(signature)) = &record.data else { return None };
            Some(signature.input().type_covered.to_string())
        });
        signatures.collect()
    };
    assert_eq!(covered("sub"), ["NSEC"]);
    assert_eq!(covered("ns.sub"), [""; 0]);
    assert_eq!(covered("mail"), ["A", "NSEC"]);
}

#[test]
fn the_order_is_the_same_whatever_the_order_of_the_facts() {
    let mut reversed = records([]);
    reversed.reverse();
    let key = [key()];
    let shape = |zone: Zone| -> Vec<(String, String)> {
        zone.records.into_iter().map(|record| (record.name, record.record_type)).collect()
    };
    let sign =
        |records: &[Record]| sign(&origin(), records, &key, Validity::from(NOW), None).expect("signed");
    assert_eq!(shape(sign(&records([]))), shape(sign(&reversed)));
}

/// Signed by the clock, since BIND's check goes by it.
#[test]
fn ldns_and_bind_find_nothing_wrong() {
    let now = u64::try_from(jiff::Timestamp::now().as_second()).expect("after 1970");
    let more = [record(below("sub2"), RData::NS(NS(name("ns.elsewhere.test."))))];
    let zone = sign(&origin(), &records(more), &[key()], Validity::from(now), None).expect("signed");
    let directory = tempfile::tempdir().expect("temporary directory");
    let file = directory.path().join("zone");
    std::fs::write(&file, master_file(&zone).expect("servable")).expect("written");
    // -ZZ: the digest must be there. -z: one key signs everything.
    for (program, arguments) in
        [("ldns-verify-zone", &["-ZZ"][..]), ("dnssec-verify", &["-z", "-o", "home.example."][..])]
    {
        let output = Command::new(program).args(arguments).arg(&file).output();
        let output = output.unwrap_or_else(|error| panic!("{program} of tests/debian-packages.txt: {error}"));
        let told = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(output.status.success(), "{program}: {told}");
    }
}

/// Whether the chain proves that `owner` has no `record_type`, by octets of RFC 4034 §6.1 and RFC 4035 §5.4 alone.
fn denies(chain: &[(Name, NSEC)], owner: &Name, record_type: RecordType) -> bool {
    let labels =
        |name: &Name| -> Vec<Vec<u8>> { name.iter().rev().map(|label| label.to_ascii_lowercase()).collect() };
    let (wanted, apex) = (labels(owner), labels(&origin()));
    chain.iter().any(|(from, nsec)| {
        let (first, last) = (labels(from), labels(nsec.next_domain_name()));
        if first == wanted {
            return nsec.type_bit_maps().all(|it| it != record_type && it != RecordType::CNAME);
        }
        first < wanted && (wanted < last || last == apex)
    })
}

fn label() -> impl Strategy<Value = String> {
    prop_oneof![Just("*".to_owned()), "[a-cA-C]{1,2}", Just("mail".to_owned()), Just("sub".to_owned())]
}

fn owner() -> impl Strategy<Value = Name> {
    proptest::collection::vec(label(), 1..4).prop_map(|labels| below(&labels.join(".")))
}

fn data() -> impl Strategy<Value = RData> {
    prop_oneof![
        any::<[u8; 4]>().prop_map(|octets| RData::A(std::net::Ipv4Addr::from(octets).into())),
        owner().prop_map(|host| RData::MX(MX::new(5, host))),
        proptest::collection::vec("[ -~]{0,20}", 1..3).prop_map(|strings| RData::TXT(TXT::new(strings))),
        owner().prop_map(|host| RData::NS(NS(host))),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever is in a zone: it verifies, and every name and type is either there, signed, or proven not to be.
    #[test]
    fn everything_is_proven_or_denied(
        more in proptest::collection::vec((owner(), data()), 0..12),
        asked in proptest::collection::vec(owner(), 8),
    ) {
        let mut seen = BTreeSet::new();
        let more = more.into_iter().map(|(owner, data)| record(owner, data));
        let more: Vec<_> = more
            .filter(|new| !records([]).iter().any(|old| old.name == new.name))
            .filter(|new| seen.insert(format!("{} {}", new.name.to_lowercase(), new.data).to_lowercase()))
            .collect();
        let zone = signed(more);
        prop_assert!(authenticate(&zone, NOW as u32).is_ok());
        let records = zone.records().expect("servable");
        let rrsets = RrSets::new(&origin(), &records);
        let chain = rrsets.nsec_chain();
        let signed: BTreeSet<_> = rrsets.signed().map(|(name, record_type, _)| (Name::from(name), record_type)).collect();
        let cuts: Vec<_> = records
            .iter()
            .filter(|record| record.record_type() == RecordType::NS && record.name != origin())
            .collect();
        for owner in asked {
            if cuts.iter().any(|cut| cut.name.zone_of(&owner)) {
                continue;
            }
            for record_type in [RecordType::A, RecordType::MX, RecordType::AAAA] {
                let is_there = records.iter().any(|it| it.name == owner && it.record_type() == record_type);
                prop_assert_eq!(is_there, signed.contains(&(owner.to_lowercase(), record_type)));
                let is_alias = records.iter().any(|it| it.name == owner && it.record_type() == RecordType::CNAME);
                prop_assert_eq!(!is_there && !is_alias, denies(&chain, &owner, record_type), "{} {}", owner, record_type);
            }
        }
    }
}
