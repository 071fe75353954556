use std::collections::BTreeSet;

use hickory_proto::op::Message;
use hickory_proto::rr::rdata::{A, MX, NS, SOA, TXT};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use postern_shared::secondary::{SECRET, Secondary, SecondaryList, Secret, TransferKey};
use postern_shared::zone::{Zone, encode};
use proptest::prelude::*;

use super::super::cookie::Cookies;
use super::super::respond::{Asker, Transport, respond};
use super::super::secondaries::SharedSecondaries;
use super::super::signed::{Opened, open};
use super::super::tsig::{Key, Read, read};
use super::super::zones::ZoneSet;
use super::*;

const NOW: u64 = 1_700_000_000;

fn name(text: &str) -> Name {
    Name::from_ascii(text).unwrap()
}

/// A zone with a host for each number, which names its TTL and address.
fn zone(serial: u32, hosts: &BTreeSet<(u8, u8)>) -> ServedZone {
    let at = |owner: &str, rdata| Record::from_rdata(name(owner), 600, rdata);
    let soa = SOA::new(name("ns1.home.example."), name("hm.home.example."), serial, 3600, 600, 86400, 300);
    let mut records = vec![
        at("home.example.", RData::SOA(soa)),
        at("home.example.", RData::NS(NS(name("ns1.home.example.")))),
        at("home.example.", RData::MX(MX::new(10, name("mail.home.example.")))),
        at("long.home.example.", RData::TXT(TXT::new(vec!["x".repeat(250); 10]))),
    ];
    records.extend(hosts.iter().map(|(host, octet)| {
        let owner = format!("host-{host}.home.example.");
        Record::from_rdata(name(&owner), u32::from(host % 2 + 1) * 60, RData::A(A::new(192, 0, 2, *octet)))
    }));
    ServedZone::new(&Zone::from_records(&name("home.example."), &records).unwrap()).unwrap()
}

type Set = BTreeSet<(String, u16, u32, Vec<u8>)>;

fn in_set(record: &Record) -> (String, u16, u32, Vec<u8>) {
    let number = u16::from(record.record_type());
    (record.name.to_ascii().to_lowercase(), number, record.ttl, encode(&record.data).unwrap())
}

fn set(zone: &ServedZone) -> Set {
    let of = |item: Item<'_>| {
        let owner = format!("{}.", message::to_text(item.owner.octets()));
        (owner.to_lowercase(), item.record_type, item.rr.ttl, item.rr.rdata.to_vec())
    };
    zone.body().chain([zone.soa()]).map(of).collect()
}

fn list(zones: Option<Vec<String>>) -> SharedSecondaries {
    let key = TransferKey { name: "k1.ns3.example".to_owned(), secret: Secret::new([7; SECRET]) };
    let secondary = Secondary {
        name: "ns3.example".to_owned(),
        addresses: vec!["192.0.2.3:53".parse().unwrap()],
        zones,
        keys: vec![key],
    };
    let secondaries = SharedSecondaries::default();
    secondaries.replace(SecondaryList { revision: String::new(), secondaries: vec![secondary] });
    secondaries
}

/// A question for a transfer, from a serial or of all.
fn question(apex: &[u8], serial: Option<u32>) -> Vec<u8> {
    let (kind, count) = if serial.is_some() { (IXFR, 1) } else { (AXFR, 0) };
    let mut message = vec![0x12, 0x34, 0, 0, 0, 1, 0, 0, 0, count, 0, 0];
    message.extend_from_slice(apex);
    message.extend_from_slice(&[kind.to_be_bytes(), [0, 1]].concat());
    if let Some(serial) = serial {
        message.extend_from_slice(b"\xc0\x0c\0\x06\0\x01\0\0\0\0\0\x16\0\0");
        message.extend_from_slice(&serial.to_be_bytes());
        message.extend_from_slice(&[0; 16]);
    }
    message
}

const APEX: &[u8] = b"\x04home\x07example\0";

fn sign(mut message: Vec<u8>) -> (Vec<u8>, Conversation) {
    let key = Key::new(b"\x02k1\x03ns3\x07example\0", &[7; SECRET]);
    let conversation = Conversation::begin(&key, &mut message, NOW);
    (message, conversation)
}

struct World {
    zones: ZoneSet,
    cookies: Cookies,
    secondaries: SharedSecondaries,
}

impl World {
    fn new(zone: ServedZone, secondaries: SharedSecondaries) -> Self {
        let zones = ZoneSet::default().with(Arc::new(zone));
        Self { zones, cookies: Cookies::new([1; 16]), secondaries }
    }

    fn context(&self) -> Context<'_> {
        let Self { zones, cookies, secondaries } = self;
        Context { zones, cookies, nsid: "", secondaries, now: NOW }
    }

    /// The messages of the transfer over TCP.
    fn transfer(&self, octets: &[u8]) -> Vec<Vec<u8>> {
        let Opened::Proven(proven) = open(octets, asker(Transport::Tcp), &self.context()) else {
            panic!("not believed");
        };
        let transfer = Transfer::new(*proven, &self.context()).unwrap();
        let mut messages = transfer.messages();
        std::iter::from_fn(|| messages.next_message(NOW)).collect::<Result<_, _>>().unwrap()
    }

    fn answer(&self, octets: &[u8], transport: Transport) -> Message {
        let mut out = Vec::new();
        respond(octets, asker(transport), &self.context(), &mut out).unwrap();
        Message::from_vec(&out).unwrap()
    }
}

fn asker(transport: Transport) -> Asker {
    Asker { address: "198.51.100.9".parse().unwrap(), transport }
}

fn records(messages: &[Vec<u8>]) -> Vec<Record> {
    messages.iter().flat_map(|octets| Message::from_vec(octets).unwrap().answers).collect()
}

fn serial_of(record: &Record) -> Option<u32> {
    if let RData::SOA(soa) = &record.data { Some(soa.serial) } else { None }
}

/// What a secondary makes of an answer to IXFR (RFC 1995 §4).
fn applied(mut zone: Set, records: &[Record]) -> Set {
    let [first, middle @ .., last] = records else { return zone };
    assert_eq!(first, last);
    if middle.first().and_then(serial_of).is_none() {
        return records.iter().map(in_set).collect();
    }
    let mut soas = 0;
    for record in middle {
        soas += usize::from(record.record_type() == RecordType::SOA);
        if soas % 2 == 1 {
            assert!(zone.remove(&in_set(record)), "{record} is not there");
        } else {
            assert!(zone.insert(in_set(record)), "{record} is there");
        }
    }
    zone
}

#[test]
fn a_whole_zone_goes_in_full_messages_that_verify() {
    let hosts = (0..=255).flat_map(|host| (0..40).map(move |octet| (host, octet))).collect();
    let zone = zone(9, &hosts);
    let expected = set(&zone);
    let world = World::new(zone, list(None));
    let (octets, conversation) = sign(question(APEX, None));
    let messages = world.transfer(&octets);
    let all = records(&messages);
    assert_eq!((serial_of(&all[0]), all.first()), (Some(9), all.last()));
    assert_eq!(all.len(), expected.len() + 1);
    assert_eq!(all.iter().map(in_set).collect::<Set>(), expected);
    assert!(messages.len() > 2, "one message");
    let (last, full) = messages.split_last().unwrap();
    assert!(full.iter().all(|message| message.len() > 65_400), "not full");
    assert!(last.len() > 100 && messages.iter().all(|message| message.len() <= 65_535));
    let Read::Signed(first) = read(&messages[0]) else { panic!("not signed") };
    assert!(conversation.is_answered_by(&first, NOW));
    assert!(messages.iter().all(|message| matches!(read(message), Read::Signed(_))));
}

#[test]
fn who_may_not_have_a_zone_is_told_so() {
    let refused =
        |world: &World, octets: &[u8], transport| world.answer(octets, transport).metadata.response_code;
    let world = World::new(zone(9, &BTreeSet::new()), list(Some(vec!["other.example".to_owned()])));
    let (tcp, udp) = (Transport::Tcp, Transport::Udp);
    for serial in [None, Some(1)] {
        assert_eq!(refused(&world, &question(APEX, serial), tcp), ResponseCode::Refused);
        assert_eq!(refused(&world, &sign(question(APEX, serial)).0, tcp), ResponseCode::Refused);
        let elsewhere = sign(question(b"\x07example\0", serial)).0;
        assert_eq!(refused(&world, &elsewhere, tcp), ResponseCode::NotAuth);
    }
    let world = World::new(zone(9, &BTreeSet::new()), list(None));
    assert_eq!(refused(&world, &question(APEX, Some(1)), udp), ResponseCode::Refused);
    assert_eq!(refused(&world, &sign(question(APEX, None)).0, udp), ResponseCode::Refused);
    world.secondaries.replace(SecondaryList::default());
    assert_eq!(refused(&world, &sign(question(APEX, None)).0, tcp), ResponseCode::NotAuth);
}

#[test]
fn differences_over_udp_are_the_soa() {
    let world = World::new(zone(9, &BTreeSet::new()), list(None));
    let answer = world.answer(&sign(question(APEX, Some(3))).0, Transport::Udp);
    assert_eq!(answer.answers.iter().map(serial_of).collect::<Vec<_>>(), [Some(9)]);
    assert!(answer.signature.is_some());
}

#[test]
fn a_secondary_may_ask_other_questions_and_gets_signed_answers() {
    let world = World::new(zone(9, &BTreeSet::new()), list(None));
    let mut soa = question(APEX, None);
    let place = soa.len() - 3;
    soa[place] = 6;
    let answer = world.answer(&sign(soa).0, Transport::Udp);
    assert_eq!(answer.answers.first().and_then(serial_of), Some(9));
    assert!(answer.signature.is_some() && answer.metadata.authoritative);
}

#[test]
fn a_stranger_who_names_a_key_says_nothing_of_its_owner() {
    let world = World::new(zone(9, &BTreeSet::new()), list(None));
    let mut forged = sign(question(APEX, None)).0;
    let mac = forged.len() - 10;
    forged[mac] ^= 1;
    let error_after = |address: &str, transport, octets: &[u8]| {
        let asker = Asker { address: address.parse().unwrap(), transport };
        assert!(matches!(open(octets, asker, &world.context()), Opened::Refused(_)));
        world.secondaries.status(&world.zones).secondaries[0].error.clone()
    };
    assert_eq!(error_after("198.51.100.9", Transport::Tcp, &forged), None, "a stranger");
    assert_eq!(error_after("192.0.2.3", Transport::Udp, &forged), None, "an address may be forged");
    let error = error_after("::ffff:192.0.2.3", Transport::Tcp, &forged).expect("its own mistake");
    assert!(error.contains("another secret"), "{error}");
}

fn any_zones() -> impl Strategy<Value = Vec<BTreeSet<(u8, u8)>>> {
    let hosts = proptest::collection::btree_set((0_u8..12, 0_u8..3), 0..20);
    proptest::collection::vec(hosts, 1..12)
}

proptest! {
    #[test]
    fn whoever_follows_by_differences_has_the_zone(zones in any_zones(), step in 1_u32..3) {
        let mut versions: Vec<ServedZone> = Vec::new();
        for (number, hosts) in zones.iter().enumerate() {
            let zone = zone((u32::MAX - 4).wrapping_add(number as u32 * step), hosts);
            versions.push(match versions.last() {
                Some(before) => zone.following(before),
                None => zone,
            });
        }
        let sets: Vec<(u32, Set)> = versions.iter().map(|zone| (zone.serial, set(zone))).collect();
        let newest = versions.pop().unwrap();
        let (serial, expected) = sets.last().unwrap().clone();
        let world = World::new(newest, list(None));
        for (old_serial, old) in sets {
            let messages = world.transfer(&sign(question(APEX, Some(old_serial))).0);
            let records = records(&messages);
            if old_serial == serial {
                prop_assert_eq!(records.len(), 1);
            } else {
                prop_assert_eq!(applied(old, &records), expected.clone());
            }
        }
        let messages = world.transfer(&sign(question(APEX, Some(serial.wrapping_sub(1000)))).0);
        prop_assert_eq!(records(&messages).iter().map(in_set).collect::<Set>(), expected);
    }
}
