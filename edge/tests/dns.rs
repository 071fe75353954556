//! The name server over real sockets, asked by dig.

#![allow(clippy::unwrap_used)] // Helpers of tests are tests.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use hickory_proto::rr::rdata::{A, CNAME, MX, NS, SOA, TXT};
use hickory_proto::rr::{Name, RData, Record};
use postern_edge::config::Dns;
use postern_edge::dns::{NameServer, Served, ServedZone, SharedSecondaries, SharedZones, ZoneSet};
use postern_shared::secondary::{Secondary, SecondaryList, Secret, TransferKey, TransferKind};
use postern_shared::zone::Zone;
use proptest::test_runner::{Config, TestRunner};

fn name(text: &str) -> Name {
    Name::from_ascii(text).unwrap()
}

fn zone(serial: u32) -> Zone {
    let record = |owner: &str, rdata: RData| Record::from_rdata(name(owner), 600, rdata);
    let soa =
        SOA::new(name("ns1.home.example."), name("hostmaster.home.example."), serial, 3600, 600, 86400, 300);
    let mut records = vec![
        record("home.example.", RData::SOA(soa)),
        record("home.example.", RData::NS(NS(name("ns1.home.example.")))),
        record("home.example.", RData::MX(MX::new(10, name("mail.home.example.")))),
        record("ns1.home.example.", RData::A(A::new(192, 0, 2, 1))),
        record("mail.home.example.", RData::A(A::new(192, 0, 2, 1))),
        record("www.home.example.", RData::CNAME(CNAME(name("mail.home.example.")))),
        record("long.home.example.", RData::TXT(TXT::new(vec!["x".repeat(250); 6]))),
        record("half.home.example.", RData::TXT(TXT::new(vec!["y".repeat(250); 3]))),
    ];
    // An MX whose own answer fits into 512 octets, while the addresses that go with it do not.
    for number in 0..12 {
        let host = format!("a-rather-long-host-name-{number:02}.many.home.example.");
        records.push(record("many.home.example.", RData::MX(MX::new(number, name(&host)))));
        records.push(record(&host, RData::A(A::new(192, 0, 2, 10))));
    }
    Zone::from_records(&name("home.example."), &records).unwrap()
}

fn listening(address: SocketAddr) -> Dns {
    Dns { listen: vec![address], ..Dns::default() }
}

struct Running {
    zones: SharedZones,
    secondaries: SharedSecondaries,
    address: SocketAddr,
    _server: NameServer,
    runtime: tokio::runtime::Runtime,
}

fn start(listen: &str) -> Running {
    let served = Served::default();
    served.zones.replace(ZoneSet::default().with(Arc::new(ServedZone::new(&zone(7)).unwrap())));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let server = {
        let _entered = runtime.enter();
        NameServer::start(&listening(listen.parse().unwrap()), served.clone()).unwrap()
    };
    let Served { zones, secondaries } = served;
    Running { zones, secondaries, address: server.addresses()[0], _server: server, runtime }
}

impl Running {
    fn dig(&self, question: &str) -> String {
        let (server, port) = (format!("@{}", self.address.ip()), self.address.port().to_string());
        let output = Command::new("dig")
            .args([&server, "-p", &port, "+tries=1", "+time=2", "+nocookie"])
            .args(question.split_whitespace())
            .output()
            .expect("dig is installed (bind9-dnsutils)");
        String::from_utf8(output.stdout).unwrap()
    }
}

#[track_caller]
fn assert_has(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "`{part}` is missing in {text}");
    }
}

#[test]
fn dig_gets_every_kind_of_answer() {
    let running = start("127.0.0.1:0");
    let ask = |question: &str| running.dig(question);
    assert_has(
        &ask("home.example MX"),
        &["status: NOERROR", "flags: qr aa rd;", "10 mail.home.example.", "192.0.2.1"],
    );
    assert_has(&ask("home.example MX +tcp"), &["status: NOERROR", "10 mail.home.example.", "(TCP)"]);
    assert_has(&ask("www.home.example A"), &["CNAME\tmail.home.example.", "A\t192.0.2.1"]);
    assert_has(&ask("nothing.home.example A"), &["status: NXDOMAIN", "300\tIN\tSOA"]);
    assert_has(
        &ask("mail.home.example TXT"),
        &["status: NOERROR", "ANSWER: 0, AUTHORITY: 1", "300\tIN\tSOA"],
    );
    assert_has(&ask("other.example A"), &["status: REFUSED"]);
    assert_has(&ask("version.bind TXT CH"), &["status: REFUSED"]);
    assert_has(&ask("home.example AXFR"), &["Transfer failed"]);
    assert_has(&ask("home.example SOA +edns=1 +noednsneg"), &["status: BADVERS", "EDNS: version: 0"]);
    assert_has(&ask("home.example SOA +opcode=notify"), &["status: NOTIMP"]);
    assert_has(&ask("home.example SOA +opcode=update"), &["status: NOTIMP"]);
    assert_has(&ask("MaIl.HoMe.eXaMpLe A"), &[";MaIl.HoMe.eXaMpLe.\t\tIN\tA", "192.0.2.1"]);
    for question in ["home.example MX", "other.example A", "home.example AXFR +notcp"] {
        assert!(!ask(question).contains(" ra"), "recursion must never be offered");
    }
}

/// The secret of the key `k1.ns3.example`, and another.
const SECRET: &str = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=";
const OTHER: &str = "CAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAg=";

fn secondaries() -> SecondaryList {
    let key = TransferKey { name: "k1.ns3.example".to_owned(), secret: Secret::from_base64(SECRET).unwrap() };
    let secondary = Secondary {
        name: "ns3.example".to_owned(),
        addresses: vec!["127.0.0.1:53".parse().unwrap()],
        zones: None,
        keys: vec![key],
    };
    SecondaryList { revision: String::new(), secondaries: vec![secondary] }
}

#[test]
fn dig_transfers_with_the_key_and_only_so() {
    let running = start("127.0.0.1:0");
    running.secondaries.replace(secondaries());
    let ask = |question: &str, secret: &str, name: &str| {
        running.dig(&format!("{question} -y hmac-sha256:{name}:{secret}"))
    };
    let key = "K1.ns3.example";
    let whole = ask("home.example AXFR +onesoa", SECRET, key);
    assert_has(&whole, &["IN\tSOA\t", "XFR size: 33 records (messages 1", "host-name-11.many.home.example."]);
    let status = running.secondaries.status(&running.zones.current());
    let taken = status.secondaries[0].zones[0].transfer.as_ref().unwrap();
    assert_eq!((taken.serial, taken.kind), (7, TransferKind::Axfr));

    let newer = ServedZone::new(&zone(8)).unwrap();
    let zones = running.zones.current();
    let newer = newer.following(zones.iter().next().unwrap());
    running.zones.replace(zones.with(Arc::new(newer)));
    assert_has(&ask("home.example IXFR=7", SECRET, key), &["XFR size: 4 records"]);
    assert_has(&ask("home.example IXFR=8", SECRET, key), &["XFR size: 1 records"]);
    assert_has(&ask("home.example IXFR=3", SECRET, key), &["XFR size: 33 records"]);

    assert_has(&running.dig("home.example AXFR"), &["Transfer failed"]);
    let error =
        |running: &Running| running.secondaries.status(&running.zones.current()).secondaries[0].error.clone();
    assert_eq!(error(&running).unwrap(), "it asks for a transfer without a key");
    assert_has(&ask("home.example AXFR", OTHER, key), &["BADSIG", "Transfer failed"]);
    assert_eq!(error(&running).unwrap(), "it has another secret for the key `k1.ns3.example`");
    assert_has(&ask("home.example AXFR", SECRET, "k2.ns3.example"), &["BADKEY", "Transfer failed"]);
    assert!(error(&running).unwrap().contains("`k2.ns3.example`, which is none of its keys"));
    assert_has(&ask("other.example AXFR", SECRET, key), &["Transfer failed"]);
    assert_eq!(error(&running).unwrap(), "it asks for other.example, which is not served here");
    assert_has(&ask("home.example SOA +tcp", SECRET, key), &["NOERROR", "TSIG", " 8 3600"]);
    let signed = ask("mail.home.example A +notcp +norecurse", SECRET, key);
    assert_has(&signed, &["NOERROR", "TSIG PSEUDOSECTION", "192.0.2.1"]);
    assert!(!signed.contains("Couldn't verify") && !signed.contains("WARNING"), "{signed}");
    assert!(error(&running).is_some());
    ask("home.example AXFR", SECRET, key);
    assert_eq!(error(&running), None);
}

#[test]
fn what_does_not_fit_says_so_and_comes_over_tcp() {
    let running = start("[::1]:0");
    let cut = running.dig("long.home.example TXT +ignore +bufsize=4096");
    assert_has(&cut, &["flags: qr aa tc", "ANSWER: 0, AUTHORITY: 0, ADDITIONAL: 1", "udp: 1232"]);
    assert_has(
        &running.dig("long.home.example TXT +bufsize=4096"),
        &["(TCP)", "ANSWER: 1", &"x".repeat(250)],
    );
    assert_has(&running.dig("half.home.example TXT +noedns +ignore"), &["flags: qr aa tc", "ADDITIONAL: 0"]);
    assert_has(
        &running.dig("half.home.example TXT +bufsize=1000 +ignore"),
        &["flags: qr aa rd", "ANSWER: 1"],
    );
    assert_has(&running.dig("half.home.example TXT +bufsize=300 +ignore"), &["flags: qr aa tc", "udp: 1232"]);
    // Addresses are a courtesy: an answer that is whole without them is not cut.
    let without = running.dig("many.home.example MX +bufsize=1232 +ignore");
    assert_has(&without, &["flags: qr aa rd", "ANSWER: 12"]);
    assert_has(&running.dig("many.home.example MX +tcp"), &["ANSWER: 12, AUTHORITY: 0, ADDITIONAL: 13"]);
    let small = running.dig("many.home.example MX +bufsize=700 +ignore");
    assert_has(&small, &["flags: qr aa rd", "ANSWER: 12, AUTHORITY: 0"]);
}

#[test]
fn tcp_clients_have_a_limit_and_malformed_messages_end_the_connection() {
    let running = start("127.0.0.1:0");
    let connect = || {
        let stream = TcpStream::connect(running.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        stream
    };
    let query = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x04home\x07example\x00\x00\x06\x00\x01";
    let framed = [&[0, u8::try_from(query.len()).unwrap()], &query[..]].concat();
    let is_answered = |stream: &mut TcpStream| {
        // Two queries at once; the answers come in order.
        let sent = stream.write_all(&[&framed[..], &framed[..]].concat());
        let mut length = [0; 2];
        (0..2).all(|_| {
            sent.is_ok()
                && stream.read_exact(&mut length).is_ok()
                && stream.read_exact(&mut vec![0; u16::from_be_bytes(length).into()]).is_ok()
        })
    };
    let mut idle: Vec<TcpStream> = (0..16).map(|_| connect()).collect();
    assert!(idle.iter_mut().all(is_answered));
    assert!(!is_answered(&mut connect()), "a client has no limit");
    for (stream, malformed) in
        idle.iter_mut().zip([&b"\0\0"[..], b"\0\x01x", b"\0\x0c\x12\x34\x81\0\0\0\0\0\0\0\0\0"])
    {
        stream.write_all(malformed).unwrap();
        assert_eq!(stream.read(&mut [0; 100]).unwrap(), 0, "{}", malformed.escape_ascii());
    }
    assert!(is_answered(&mut connect()), "closed connections give their place back");
    assert!(is_answered(&mut idle[15]));
}

#[test]
fn a_new_zone_is_served_from_the_next_query_on() {
    let running = start("127.0.0.1:0");
    assert_has(&running.dig("home.example SOA +short"), &["hostmaster.home.example. 7 "]);
    running.zones.replace(running.zones.current().with(Arc::new(ServedZone::new(&zone(8)).unwrap())));
    assert_has(&running.dig("home.example SOA +short"), &["hostmaster.home.example. 8 "]);
    running.zones.replace(ZoneSet::default());
    assert_has(&running.dig("home.example SOA"), &["status: REFUSED"]);
}

#[test]
fn a_port_in_use_is_named_with_its_key() {
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _entered = runtime.enter();
    let error = NameServer::start(&listening(address), Served::default()).err().unwrap().to_string();
    assert_has(&error, &[&address.to_string(), "`dns.listen`", "Another program uses the port", "ss -lnptu"]);
}

#[test]
fn no_datagram_stops_the_server() {
    let running = start("127.0.0.1:0");
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let query =
        b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x04home\x07example\x00\x00\x06\x00\x01".to_vec();
    let strategy = (proptest::collection::vec(proptest::num::u8::ANY, 0..64), 0..query.len());
    let mut runner = TestRunner::new(Config { cases: 300, failure_persistence: None, ..Config::default() });
    runner
        .run(&strategy, |(noise, at)| {
            let damaged = [&query[..at], &noise, &query[at..]].concat();
            for datagram in [&noise, &damaged] {
                socket.send_to(datagram, running.address).unwrap();
            }
            Ok(())
        })
        .unwrap();
    assert_has(&running.dig("home.example SOA +short"), &["hostmaster.home.example. 7 "]);
    assert!(running.runtime.metrics().num_workers() > 0);
}
