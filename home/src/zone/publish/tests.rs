//! All zones of a directory at once.

use std::sync::Arc;

use postern_store::directory::{Directory, DnsHosting, OwnRecord};

use super::*;
use crate::config::ServiceKind;
use crate::zone::issuance::Issuance;

const NOW: u64 = 1_800_000_000;

fn outcome(directory: &Directory, public: &str, now: u64) -> Outcome {
    let edge = EdgeAddresses {
        public: vec![public.parse().expect("an address")],
        home_v4: [10, 118, 0, 2].into(),
        home_v6: "fd70:6f73:7465::2".parse().expect("an address"),
    };
    let household = Household {
        directory: directory.clone(),
        hostname: "mail.home.example".parse().expect("a name"),
        edge: Some(edge),
        offered: Arc::new([ServiceKind::Imaps]),
        issuance: Issuance::default(),
    };
    look(&household, &EdgeZones::default(), &SecondariesHeld::default(), None, now)
}

fn record(owner: &str, record_type: u16, rdata: &[u8]) -> OwnRecord {
    OwnRecord { owner: owner.to_owned(), record_type, ttl: 60, rdata: rdata.to_vec() }
}

fn directory() -> (Directory, tempfile::TempDir) {
    let state_dir = tempfile::tempdir().expect("temporary directory");
    let directory = Directory::open(state_dir.path()).expect("opened");
    directory.add_domain(&"home.example".parse().expect("a domain")).expect("added");
    (directory, state_dir)
}

#[test]
fn zones_stay_while_nothing_changes() {
    let (directory, _state) = directory();
    let first = outcome(&directory, "192.0.2.1", NOW);
    assert_eq!(first.declared.zones.len(), 1);
    assert_eq!(first.report.troubles, [""; 0]);
    assert_eq!(first.report.zones[0].expires, timestamp(NOW + 30 * 86_400));
    assert_eq!(outcome(&directory, "192.0.2.1", NOW + 60).declared, first.declared);
    assert_ne!(outcome(&directory, "192.0.2.2", NOW + 60).declared, first.declared);
}

#[test]
fn a_clock_of_1970_hands_over_what_is_kept_and_says_so() {
    let (directory, _state) = directory();
    let nothing = outcome(&directory, "192.0.2.1", 12);
    assert_eq!(nothing.declared.zones, []);
    assert_eq!(nothing.declared.untouched.len(), 1, "what the edge has stays");
    assert!(nothing.report.troubles[0].contains("1970-01-01T00:00:12Z"), "{:?}", nothing.report.troubles);
    let good = outcome(&directory, "192.0.2.1", NOW);
    let kept = outcome(&directory, "192.0.2.2", 12);
    assert_eq!(kept.declared, good.declared);
    assert!(kept.report.troubles[0].contains("Set this machine's clock"), "{:?}", kept.report.troubles);
}

#[test]
fn a_domain_whose_dns_is_elsewhere_has_no_zone_here() {
    let (directory, _state) = directory();
    let name = "home.example".parse().expect("a domain");
    directory.set_dns_hosting(&name, DnsHosting::External).expect("changed");
    assert_eq!(outcome(&directory, "192.0.2.1", NOW).declared, DeclaredZones::default());
    assert_eq!(directory.signed_zone(&name).expect("read"), None, "nothing is signed");
    directory.set_dns_hosting(&name, DnsHosting::Here).expect("changed");
    assert_eq!(outcome(&directory, "192.0.2.1", NOW).declared.zones.len(), 1);
}

#[test]
fn an_own_record_that_cannot_be_read_is_left_out_and_named_and_the_zone_goes_on() {
    let (directory, _state) = directory();
    let name = "home.example".parse().expect("a domain");
    let damaged = [
        record("www.home.example.", 1, &[192, 0, 2]),
        record("www..home.example.", 1, &[192, 0, 2, 7]),
        record("www.elsewhere.example.", 1, &[192, 0, 2, 7]),
        record("home.example.", 6, &[0]),
        record("home.example.", 16, &[9, 0]),
    ];
    directory.add_records(&name, damaged.to_vec()).expect("added");
    directory.add_record(&name, record("good.home.example.", 1, &[192, 0, 2, 7])).expect("added");
    let outcome = outcome(&directory, "192.0.2.1", NOW);
    let [zone] = outcome.declared.zones.as_slice() else { panic!("{:?}", outcome.report) };
    let has = |owner: &str| zone.records.iter().any(|record| record.name == owner);
    assert!(has("good.home.example.") && !has("www.home.example."));
    let troubles = outcome.report.troubles;
    assert_eq!(troubles.len(), damaged.len(), "{troubles:?}");
    assert!(troubles[0].contains("makes no sense"), "{troubles:?}");
}

#[test]
fn one_domain_without_a_zone_holds_up_no_other() {
    let (directory, _state) = directory();
    let long =
        format!("{}.example", ["x".repeat(60), "y".repeat(60), "z".repeat(60), "w".repeat(50)].join("."));
    directory.add_domain(&long.parse().expect("a domain")).expect("added");
    let outcome = outcome(&directory, "192.0.2.1", NOW);
    let origins: Vec<&str> = outcome.declared.zones.iter().map(|zone| zone.origin.as_str()).collect();
    assert_eq!(origins, ["home.example."]);
    assert_eq!(outcome.declared.untouched, [long.parse().expect("a domain")]);
    assert!(outcome.report.troubles[0].contains("cannot be renewed"), "{:?}", outcome.report.troubles);
}
