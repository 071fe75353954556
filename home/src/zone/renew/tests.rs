//! When zones are signed anew, over a real directory.

use postern_shared::zone::is_older;

use super::*;
use crate::zone::clock::{Evidence, judge};

const NOW: u64 = 1_800_000_000;
const DAY: u64 = 86_400;

struct Home {
    directory: Directory,
    facts: Facts,
    _state_dir: tempfile::TempDir,
}

fn home() -> Home {
    let state_dir = tempfile::tempdir().expect("temporary directory");
    let directory = Directory::open(state_dir.path()).expect("opened");
    let domain: DomainName = "home.example".parse().expect("a domain");
    directory.add_domain(&domain).expect("added");
    let facts = Facts {
        dkim_keys: directory.dkim_keys(&domain),
        hostname: "mail.home.example".parse().expect("a name"),
        addresses: vec!["192.0.2.1".parse().expect("an address")],
        mail_addresses: vec!["192.0.2.1".parse().expect("an address")],
        offered: [].into(),
        own: Vec::new(),
        unreadable: Vec::new(),
        issuance: Default::default(),
        presence: crate::mta_sts::Presence::default(),
        secondaries: Vec::new(),
        relays: Vec::new(),
        domain,
    };
    Home { directory, facts, _state_dir: state_dir }
}

fn at(now: u64) -> Moment {
    Moment { now, clock: Ok(()), served: None }
}

fn in_doubt(now: u64) -> Moment {
    let clock = judge(Evidence { now: 12, edge: None, newest_signature: None });
    Moment { clock, ..at(now) }
}

impl Home {
    fn zone(&self, moment: Moment) -> Zone {
        zone(&self.directory, &self.facts, moment).expect("a zone").zone
    }
}

#[test]
fn the_same_facts_give_the_same_octets_for_a_day() {
    let home = home();
    let first = home.zone(at(NOW));
    assert_eq!(first.serial, NOW as u32);
    assert_eq!(home.zone(at(NOW + DAY - 1)), first);
    let renewed = home.zone(at(NOW + DAY));
    assert!(is_older(first.serial, renewed.serial));
    assert!(authenticate(&renewed, (NOW + 31 * DAY) as u32).is_ok());
}

#[test]
fn a_change_is_signed_at_once_and_the_serial_grows_although_the_clock_stands() {
    let mut home = home();
    let first = home.zone(at(NOW));
    home.facts.addresses = vec!["192.0.2.2".parse().expect("an address")];
    let moved = home.zone(at(NOW));
    assert_eq!(moved.serial, first.serial + 1);
    assert_ne!(moved.records, first.records);
}

#[test]
fn a_doubtful_clock_signs_nothing_and_the_kept_zone_goes_on() {
    let mut home = home();
    let refused = zone(&home.directory, &home.facts, in_doubt(NOW));
    assert!(matches!(refused, Err(RenewError::Clock(_))), "{refused:?}");
    let kept = home.zone(at(NOW));
    home.facts.addresses = vec!["192.0.2.2".parse().expect("an address")];
    assert_eq!(home.zone(in_doubt(NOW + 2 * DAY)), kept);
    assert_ne!(home.zone(at(NOW + 2 * DAY)), kept);
}

#[test]
fn what_a_clock_ahead_has_signed_is_signed_again_once_it_is_right() {
    let home = home();
    let future = home.zone(at(NOW + 400 * DAY));
    let present = home.zone(at(NOW));
    assert_eq!(present.serial, future.serial + 1);
    assert!(authenticate(&present, NOW as u32).is_ok());
}

#[test]
fn a_home_restored_from_an_old_backup_goes_on_from_the_edges_serial() {
    let home = home();
    let first = home.zone(at(NOW));
    let served = Some(first.serial + 5000);
    let next = home.zone(Moment { served, ..at(NOW + 60) });
    assert_eq!(Some(next.serial), served.map(|serial| serial + 1));
    assert_eq!(home.zone(Moment { served, ..at(NOW + 61) }), next);
}

#[test]
fn only_what_changed_is_signed_and_all_of_it_a_day_after_the_first() {
    let mut home = home();
    let first = home.zone(at(NOW));
    let signatures = |zone: &Zone| {
        zone.records.iter().filter(|record| record.record_type == "RRSIG").cloned().collect::<Vec<_>>()
    };
    home.facts.addresses = vec!["192.0.2.9".parse().expect("an address")];
    let second = home.zone(at(NOW + DAY / 2));
    let (old, new) = (signatures(&first), signatures(&second));
    let fresh: Vec<&str> =
        new.iter().filter(|record| !old.contains(record)).map(|record| record.name.as_str()).collect();
    // SOA and ZONEMD at the apex, and the addresses of the two name servers.
    assert_eq!(fresh, ["home.example.", "home.example.", "ns1.home.example.", "ns2.home.example."]);
    assert_eq!(home.zone(at(NOW + DAY - 1)), second);
    let third = home.zone(at(NOW + DAY));
    assert!(
        signatures(&third).iter().all(|record| !new.contains(record)),
        "a signature is kept for too long"
    );
}

#[test]
fn a_damaged_signature_in_the_kept_zone_is_not_kept() {
    let mut home = home();
    home.zone(at(NOW));
    let domain = home.facts.domain.clone();
    let mut kept = home.directory.signed_zone(&domain).expect("read").expect("kept");
    let mut zone: Zone = serde_json::from_slice(&kept.zone).expect("a zone");
    for record in zone.records.iter_mut().filter(|record| record.record_type == "RRSIG") {
        record.rdata.last_mut().into_iter().for_each(|octet| *octet ^= 1);
    }
    kept.zone = serde_json::to_vec(&zone).expect("written");
    home.directory.keep_signed_zone(&domain, kept).expect("kept");
    home.facts.addresses = vec!["192.0.2.9".parse().expect("an address")];
    assert!(authenticate(&home.zone(at(NOW + 60)), (NOW + 60) as u32).is_ok());
}
