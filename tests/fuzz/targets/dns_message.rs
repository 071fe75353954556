//! A DNS message of any octets over UDP: an answer of bounded size, or none.
#![no_main]

use std::sync::{Arc, LazyLock};

use postern_edge::dns::cookie::Cookies;
use postern_edge::dns::respond::{Asker, Context, Transport, respond, shorten};
use postern_edge::dns::{ServedZone, SharedSecondaries, ZoneSet};
use postern_shared::zone::Zone;

static ZONES: LazyLock<ZoneSet> = LazyLock::new(|| {
    let record = |name: &str, kind: &str, rdata: &[u8]| {
        serde_json::json!({ "name": name, "type": kind, "ttl": 60, "rdata": base64(rdata) })
    };
    let soa = [b"\x03ns1\x01e\0\x02hm\x01e\0".as_slice(), &[0, 0, 0, 7, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1]];
    let zone = serde_json::json!({ "origin": "e.", "serial": 7, "records": [
        record("e.", "SOA", &soa.concat()),
        record("e.", "NS", b"\x03ns1\x01e\0"),
        record("ns1.e.", "A", &[192, 0, 2, 1]),
        record("*.w.e.", "CNAME", b"\x03ns1\x01e\0"),
        record("s.e.", "NS", b"\x03ns1\x01s\x01e\0"),
    ] });
    let zone: Zone = serde_json::from_value(zone).expect("the zone above has the right shape");
    ZoneSet::default().with(Arc::new(ServedZone::new(&zone).expect("the zone above can be served")))
});

fn base64(octets: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(octets)
}

libfuzzer_sys::fuzz_target!(|octets: &[u8]| {
    let (cookies, secondaries) = (Cookies::new([7; 16]), SharedSecondaries::default());
    let context = Context { zones: &ZONES, cookies: &cookies, nsid: "", secondaries: &secondaries, now: 1_000_000 };
    let mut out = Vec::new();
    for transport in [Transport::Udp, Transport::Tcp] {
        let asker = Asker { address: [192, 0, 2, 1].into(), transport };
        let Some(reply) = respond(octets, asker, &context, &mut out) else { return };
        assert!(transport == Transport::Tcp || out.len() <= 1232);
        hickory_proto::op::Message::from_vec(&out).expect("an answer is a message");
        shorten(reply, &mut out);
        hickory_proto::op::Message::from_vec(&out).expect("a shortened answer is a message");
    }
});
