//! Changes of keys: the pure course of steps, and a real directory that is opened anew before each step.

use std::path::Path;
use std::sync::LazyLock;

use postern_shared::zone::verify::authenticate;
use proptest::prelude::*;

use super::super::Facts;
use super::super::renew::{self, Moment};
use super::super::tests::facts;
use super::*;

const NOW: u64 = 1_800_000_000;
const TTL: u32 = 3600;

/// Made once, since keys take their time.
static FACTS: LazyLock<Facts> = LazyLock::new(|| facts("home.example", "mail.home.example"));

fn served() -> Event {
    Event::Served { longest_ttl: TTL }
}

fn parent(vouches: Vouches) -> Event {
    Event::Parent { vouches, ttl: 7200 }
}

fn domain() -> DomainName {
    "home.example".parse().expect("a domain")
}

/// Tags of the DNSKEY and of the CDS records of the zone as it is signed now.
fn tags(directory: &Directory, now: u64) -> (Vec<u16>, Vec<u16>) {
    let facts = &*FACTS;
    let moment = Moment { now, clock: Ok(()), served: None };
    let zone = renew::zone(directory, facts, moment).expect("signed").zone;
    authenticate(&zone, now as u32).expect("verifies");
    let (mut keys, mut at_parent) = (Vec::new(), Vec::new());
    for record in zone.records().expect("records") {
        match record.data {
            RData::DNSSEC(DNSSECRData::DNSKEY(key)) => keys.push(key.calculate_key_tag().expect("a tag")),
            RData::DNSSEC(DNSSECRData::CDS(cds)) => at_parent.push(cds.key_tag()),
            _ => {}
        }
    }
    keys.sort_unstable();
    (keys, at_parent)
}

/// A directory that was closed, as by a crash, and opened again.
fn opened(state: &Path) -> Directory {
    Directory::open(state).expect("opened")
}

#[test]
fn each_step_survives_a_crash_and_the_new_key_takes_the_place_of_the_old() {
    let state = tempfile::tempdir().expect("temporary directory");
    let (path, domain) = (state.path(), domain());
    opened(path).add_domain(&domain).expect("added");
    let (old, _) = tags(&opened(path), NOW);
    assert!(begin(&opened(path), &domain).expect("begun"));
    assert!(!begin(&opened(path), &domain).expect("read"), "one at a time");
    let (both, at_parent) = tags(&opened(path), NOW);
    assert_eq!((both.len(), &at_parent), (2, &old), "the parent keeps what it has");

    let mut now = NOW;
    let mut take_after = |seconds: u64, event| {
        now += seconds;
        take(&opened(path), &domain, event, now).expect("taken");
        (current(&opened(path), &domain).expect("read"), tags(&opened(path), now))
    };
    take_after(0, served());
    take_after(3600, served());
    let (step, zone) = take_after(60, served());
    assert_eq!(step, Some(Step::Exchanging { ttl: 0 }));
    assert_eq!(zone.0, both);
    let new: Vec<u16> = both.iter().filter(|tag| !old.contains(tag)).copied().collect();
    assert_eq!(zone.1, new, "the parent shall exchange it");
    take_after(86_400, parent(Vouches::Others));
    let (step, _) = take_after(0, parent(Vouches::Wanted));
    assert!(matches!(step, Some(Step::Settling { ttl: 7200, .. })), "{step:?}");
    let (step, zone) = take_after(7200, parent(Vouches::Wanted));
    assert!(step.is_some() && zone.0 == both, "the old DS record may still be remembered");
    let (step, zone) = take_after(60, parent(Vouches::Wanted));
    assert_eq!((step, zone), (None, (new.clone(), new)));
}

#[test]
fn a_ds_record_that_goes_away_again_keeps_the_old_key() {
    let settling = Step::Settling { since: NOW, ttl: 60 };
    let next = settling.after(parent(Vouches::Others), NOW + 10_000);
    assert_eq!(next, Next::Step(Step::Exchanging { ttl: 7200 }));
}

#[test]
fn a_clock_that_goes_back_shortens_no_wait() {
    let waiting = Step::Introducing { since: Some(NOW) };
    assert_eq!(waiting.after(served(), NOW - 500), Next::Step(waiting));
    let settling = Step::Settling { since: NOW, ttl: 60 };
    assert_eq!(settling.after(parent(Vouches::Wanted), NOW - 500), Next::Step(settling));
}

#[test]
fn a_damaged_step_is_the_first() {
    let state = tempfile::tempdir().expect("temporary directory");
    let directory = opened(state.path());
    directory.add_domain(&domain()).expect("added");
    begin(&directory, &domain()).expect("begun");
    directory.keep_key_roll(&domain(), b"{".to_vec()).expect("kept");
    assert_eq!(current(&directory, &domain()).expect("read"), Some(Step::FIRST));
}

proptest! {
    /// Whatever is seen in whatever order: the old key never goes before the world knows the new one and has forgotten the
    /// old DS record.
    #[test]
    fn the_old_key_goes_last(events in proptest::collection::vec((0_u8..3, 0_u64..5000, 0_u32..9000), 1..60)) {
        let (mut step, mut now) = (Step::FIRST, NOW);
        let (mut introduced, mut others_until) = (None, NOW);
        for (kind, pause, ttl) in events {
            now += pause;
            let event = match kind {
                0 => served(),
                1 => Event::Parent { vouches: Vouches::Wanted, ttl },
                _ => Event::Parent { vouches: Vouches::Others, ttl },
            };
            match event {
                Event::Served { .. } => introduced = introduced.or(Some(now)),
                Event::Parent { vouches: Vouches::Others, ttl } if step.wants_new_ds() => {
                    others_until = others_until.max(now + u64::from(ttl));
                }
                Event::Parent { .. } => {}
            }
            match step.after(event, now) {
                Next::Step(next) => step = next,
                Next::Done => {
                    prop_assert!(introduced.is_some_and(|at| now >= at + u64::from(TTL)));
                    prop_assert!(now >= others_until);
                    return Ok(());
                }
            }
        }
    }
}
