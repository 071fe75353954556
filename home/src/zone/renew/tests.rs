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
        issuance: Default::default(),
        presence: crate::mta_sts::Presence::default(),
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
