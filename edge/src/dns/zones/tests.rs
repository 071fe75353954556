//! Zones in canonical order, and what each node leads to.

use super::*;
use hickory_proto::rr::rdata::{A, AAAA, CNAME, MX, NS, SOA, TXT};

pub(crate) fn name(text: &str) -> LowerName {
    LowerName::from(Name::from_ascii(text).unwrap())
}

fn target(text: &str, origin: &str) -> Name {
    Name::from_ascii(if text.ends_with('.') { text.to_owned() } else { format!("{text}.{origin}") }).unwrap()
}

/// A zone with one of everything that an answer can be made from.
pub(crate) fn sample_zone(origin: &str, serial: u32) -> Zone {
    let at = |label: &str, rdata: RData| {
        let owner = if label.is_empty() { Name::from_ascii(origin).unwrap() } else { target(label, origin) };
        Record::from_rdata(owner, 600, rdata)
    };
    let host = |label: &str| target(label, origin);
    let records = [
        at("", RData::SOA(SOA::new(host("ns1"), host("hostmaster"), serial, 3600, 600, 86400, 300))),
        at("", RData::NS(NS(host("ns1")))),
        at("", RData::NS(NS(host("ns2")))),
        at("", RData::MX(MX::new(10, host("mail")))),
        at("", RData::TXT(TXT::new(vec!["v=spf1 mx -all".to_owned()]))),
        at("ns1", RData::A(A::new(192, 0, 2, 1))),
        at("ns2", RData::A(A::new(192, 0, 2, 1))),
        at("mail", RData::A(A::new(192, 0, 2, 1))),
        at("mail", RData::AAAA(AAAA::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1))),
        at("www", RData::CNAME(CNAME(host("mail")))),
        at("away", RData::CNAME(CNAME(host("elsewhere.test.")))),
        at("loop1", RData::CNAME(CNAME(host("loop2")))),
        at("loop2", RData::CNAME(CNAME(host("loop1")))),
        at("dangling", RData::CNAME(CNAME(host("missing")))),
        at("*.wild", RData::TXT(TXT::new(vec!["any".to_owned()]))),
        at("deep.below.here", RData::A(A::new(192, 0, 2, 3))),
        at("sub", RData::NS(NS(host("ns.sub")))),
        at("ns.sub", RData::A(A::new(192, 0, 2, 4))),
        at("long", RData::TXT(TXT::new(vec!["x".repeat(250); 10]))),
    ];
    Zone::from_records(&Name::from_ascii(origin).unwrap(), &records).unwrap()
}

pub(crate) fn key(text: &str) -> Key {
    let octets = Name::from_ascii(text).unwrap().to_bytes().unwrap();
    WireName::read(&octets).unwrap().key()
}

fn place(zone: &ServedZone, text: &str) -> Place {
    zone.place(zone.key_below(&key(text)).unwrap())
}

fn encloser(zone: &ServedZone, text: &str) -> String {
    let key = key(text);
    let below = zone.key_below(&key).unwrap();
    let Place::After(before) = zone.place(below) else { panic!("{text} is there") };
    let owner = zone.node(zone.closest_encloser(before, below)).owner();
    String::from_utf8_lossy(owner.octets()).into_owned()
}

#[test]
fn empty_non_terminals_exist_and_neighbours_do_not() {
    let zone = ServedZone::new(&sample_zone("home.example.", 1)).unwrap();
    for there in ["below.here", "here", "deep.below.here", "wild", "*.wild"] {
        assert!(matches!(place(&zone, &format!("{there}.home.example.")), Place::At(_)), "{there}");
    }
    assert!(zone.key_below(&key("example.")).is_none());
    assert!(zone.key_below(&key("ahome.example.")).is_none());
    assert_eq!(encloser(&zone, "a.b.below.here.home.example."), "\x05below\x04here\x04home\x07example\0");
    assert_eq!(encloser(&zone, "nothing.home.example."), "\x04home\x07example\0");
    assert_eq!(encloser(&zone, "zz.deep.home.example."), "\x04home\x07example\0");
}

#[test]
fn the_longest_apex_wins_except_for_ds() {
    let set = ["example.", "home.example.", "a.example.", "z.home.example."]
        .into_iter()
        .fold(ZoneSet::default(), |set, origin| {
            set.with(Arc::new(ServedZone::new(&sample_zone(origin, 1)).unwrap()))
        });
    let found = |set: &ZoneSet, text, record_type| {
        set.find(&key(text), record_type).map(|zone| zone.origin.to_string())
    };
    for (text, record_type, origin) in [
        ("a.home.example.", RecordType::A, "home.example."),
        ("zz.home.example.", RecordType::A, "home.example."),
        ("ahome.example.", RecordType::A, "example."),
        ("home.example.", RecordType::A, "home.example."),
        ("home.example.", RecordType::DS, "example."),
        ("a.home.example.", RecordType::DS, "home.example."),
        ("example.", RecordType::DS, "example."),
    ] {
        assert_eq!(found(&set, text, record_type).as_deref(), Some(origin), "{text} {record_type}");
    }
    assert_eq!(found(&set, "test.", RecordType::A), None);
    assert_eq!(found(&set, ".", RecordType::A), None);
    assert_eq!(found(&set.without(&name("example.")), "ahome.example.", RecordType::A), None);
}

#[test]
fn negative_answers_live_no_longer_than_minimum() {
    let zone = ServedZone::new(&sample_zone("home.example.", 1)).unwrap();
    assert_eq!(zone.negative_soa().records.iter().map(|record| record.ttl).collect::<Vec<_>>(), [300]);
}
