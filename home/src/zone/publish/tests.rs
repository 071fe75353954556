//! All zones of a directory at once.

use std::sync::Arc;

use postern_store::directory::{Directory, DnsHosting};

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
    look(&household, &EdgeZones::default(), now)
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
    assert_eq!(first.zones.as_ref().map(Vec::len), Some(1));
    assert_eq!(first.report.troubles, [""; 0]);
    assert_eq!(first.report.zones[0].expires, timestamp(NOW + 30 * 86_400));
    assert_eq!(outcome(&directory, "192.0.2.1", NOW + 60).zones, first.zones);
    assert_ne!(outcome(&directory, "192.0.2.2", NOW + 60).zones, first.zones);
}

#[test]
fn a_clock_of_1970_hands_over_what_is_kept_and_says_so() {
    let (directory, _state) = directory();
    let nothing = outcome(&directory, "192.0.2.1", 12);
    assert_eq!(nothing.zones, None);
    assert!(nothing.report.troubles[0].contains("1970-01-01T00:00:12Z"), "{:?}", nothing.report.troubles);
    let good = outcome(&directory, "192.0.2.1", NOW);
    let kept = outcome(&directory, "192.0.2.2", 12);
    assert_eq!(kept.zones, good.zones);
    assert!(kept.report.troubles[0].contains("Set this machine's clock"), "{:?}", kept.report.troubles);
}

#[test]
fn a_domain_whose_dns_is_elsewhere_has_no_zone_here() {
    let (directory, _state) = directory();
    let name = "home.example".parse().expect("a domain");
    directory.set_dns_hosting(&name, DnsHosting::External).expect("changed");
    assert_eq!(outcome(&directory, "192.0.2.1", NOW).zones, Some(Vec::new()));
    assert_eq!(directory.signed_zone(&name).expect("read"), None, "nothing is signed");
    directory.set_dns_hosting(&name, DnsHosting::Here).expect("changed");
    assert_eq!(outcome(&directory, "192.0.2.1", NOW).zones.map(|zones| zones.len()), Some(1));
}
