//! Messages in, octets out: header bits, EDNS, cookies, sizes.

use std::sync::Arc;

use hickory_proto::op::Message;
use proptest::prelude::*;

use super::super::zones::tests::sample_zone;
use super::*;

fn zones() -> ZoneSet {
    ZoneSet::default().with(Arc::new(ServedZone::new(&sample_zone("home.example.", 7)).unwrap()))
}

fn answer_to(message: &[u8], transport: Transport) -> Option<(Vec<u8>, Reply)> {
    let (zones, cookies) = (zones(), Cookies::new([3; 16]));
    let secondaries = SharedSecondaries::default();
    let context = Context {
        zones: &zones,
        cookies: &cookies,
        nsid: "edge-1",
        secondaries: &secondaries,
        now: 1_000_000,
    };
    let mut out = vec![1, 2, 3];
    let asker = Asker { address: "192.0.2.7".parse().unwrap(), transport };
    let reply = respond(message, asker, &context, &mut out)?;
    Some((out, reply))
}

fn question(labels: &[&str], record_type: u16) -> Vec<u8> {
    let mut octets = Vec::new();
    for label in labels {
        octets.push(u8::try_from(label.len()).unwrap());
        octets.extend(label.as_bytes());
    }
    octets.push(0);
    octets.extend([record_type.to_be_bytes(), [0, 1]].concat());
    octets
}

fn opt(payload: u16, version: u8, options: &[u8]) -> Vec<u8> {
    let length = u16::try_from(options.len()).unwrap();
    [&[0, 0, 41][..], &payload.to_be_bytes(), &[0, version, 0x80, 0], &length.to_be_bytes(), options].concat()
}

/// A query with RD, CD and an OPT record that offers `payload` octets and sets DO.
fn query(labels: &[&str], record_type: u16, payload: u16) -> Vec<u8> {
    with_opt(labels, record_type, &opt(payload, 0, &[]))
}

fn with_opt(labels: &[&str], record_type: u16, opt: &[u8]) -> Vec<u8> {
    [&[0x12, 0x34, 0x01, 0x10, 0, 1, 0, 0, 0, 0, 0, 1][..], &question(labels, record_type), opt].concat()
}

fn reply(query: &[u8]) -> Message {
    Message::from_vec(&answer_to(query, Transport::Udp).unwrap().0).unwrap()
}

#[test]
fn header_bits_are_those_of_an_authority() {
    let reply = reply(&query(&["MaIl", "home", "example"], 1, 4096));
    let bits = &reply.metadata;
    assert!(bits.authoritative && bits.recursion_desired);
    assert!(!bits.recursion_available && !bits.checking_disabled && !bits.authentic_data && !bits.truncation);
    assert_eq!(reply.queries[0].name().to_ascii(), "MaIl.home.example.");
    let edns = reply.edns.unwrap();
    assert_eq!((edns.max_payload(), edns.flags().dnssec_ok), (MAX_UDP_PAYLOAD, true));
}

#[test]
fn odd_messages_get_the_rcode_that_says_why() {
    let mail = ["mail", "home", "example"];
    let whole = query(&mail, 1, 1232);
    let changed = |at: usize, octet: u8| {
        let mut message = whole.clone();
        message[at] = octet;
        message
    };
    let end = whole.len();
    let cases: [(&str, Vec<u8>, Option<ResponseCode>); 16] = [
        ("a response", changed(2, 0x81), None),
        ("half a header", whole[..11].to_vec(), None),
        ("a notification", changed(2, 0x21), Some(ResponseCode::NotImp)),
        ("an update", changed(2, 0x29), Some(ResponseCode::NotImp)),
        ("no question", changed(5, 0), Some(ResponseCode::FormErr)),
        ("half a question", whole[..20].to_vec(), Some(ResponseCode::FormErr)),
        ("a pointer as name", [&whole[..12], &[0xc0, 12, 0, 1, 0, 1]].concat(), Some(ResponseCode::FormErr)),
        ("octets behind the end", [&whole[..], &[0]].concat(), Some(ResponseCode::FormErr)),
        ("class CH", changed(end - 12, 3), Some(ResponseCode::Refused)),
        ("class ANY", changed(end - 12, 255), Some(ResponseCode::Refused)),
        ("EDNS 1", with_opt(&mail, 1, &opt(1232, 1, &[])), Some(ResponseCode::BADVERS)),
        (
            "an unknown option",
            with_opt(&mail, 1, &opt(1232, 0, &[0xfd, 0xe9, 0, 1, 7])),
            Some(ResponseCode::NoError),
        ),
        (
            "a torn option",
            with_opt(&mail, 1, &opt(1232, 0, &[0xfd, 0xe9, 0, 9, 7])),
            Some(ResponseCode::FormErr),
        ),
        ("a short cookie", with_opt(&mail, 1, &opt(1232, 0, &[0, 10, 0, 1, 7])), Some(ResponseCode::FormErr)),
        ("AXFR", query(&["home", "example"], 252, 1232), Some(ResponseCode::Refused)),
        ("another's name", query(&["mail", "example"], 1, 1232), Some(ResponseCode::Refused)),
    ];
    for (what, message, expected) in cases {
        let answer = answer_to(&message, Transport::Udp);
        let rcode = answer.map(|(octets, _)| {
            let answer = Message::from_vec(&octets).unwrap();
            assert_eq!(answer.metadata.id, 0x1234, "{what}");
            answer.metadata.response_code
        });
        // By number: BADVERS and BADSIG share theirs.
        assert_eq!(rcode.map(u16::from), expected.map(u16::from), "{what}");
    }
}

#[test]
fn a_cookie_is_answered_and_then_proves_the_address() {
    let mail = ["mail", "home", "example"];
    let first = answer_to(
        &with_opt(&mail, 1, &opt(1232, 0, &[&[0, 10, 0, 8][..], &[9; 8]].concat())),
        Transport::Udp,
    );
    let (octets, reply) = first.unwrap();
    assert!(!reply.is_proven);
    let cookie = &octets[octets.len() - cookie::LENGTH..];
    let again = opt(1232, 0, &[&[0, 10, 0, 24][..], cookie].concat());
    let (octets, reply) = answer_to(&with_opt(&mail, 1, &again), Transport::Udp).unwrap();
    assert!(reply.is_proven && Message::from_vec(&octets).is_ok());
    // RFC 7873 §5.4: the cookie alone.
    let alone = [&[0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1][..], &again].concat();
    let (octets, reply) = answer_to(&alone, Transport::Udp).unwrap();
    let answer = Message::from_vec(&octets).unwrap();
    assert!(
        reply.is_proven
            && answer.metadata.response_code == ResponseCode::NoError
            && answer.queries.is_empty()
    );
}

#[test]
fn what_does_not_fit_is_asked_again_over_tcp() {
    let message = query(&["long", "home", "example"], 16, 4096);
    let (octets, reply) = answer_to(&message, Transport::Udp).unwrap();
    let short = Message::from_vec(&octets).unwrap();
    assert!(short.metadata.truncation && short.answers.is_empty() && short.edns.is_some());
    assert_eq!(reply.records, reply.opt);
    let whole = Message::from_vec(&answer_to(&message, Transport::Tcp).unwrap().0).unwrap();
    assert!(!whole.metadata.truncation && whole.answers.len() == 1);
}

#[test]
fn a_shortened_answer_keeps_question_and_opt() {
    let (mut octets, reply) =
        answer_to(&query(&["mail", "home", "example"], 1, 1232), Transport::Udp).unwrap();
    shorten(reply, &mut octets);
    let short = Message::from_vec(&octets).unwrap();
    assert!(short.metadata.truncation && short.answers.is_empty());
    assert!(short.queries.len() == 1 && short.edns.is_some());
}

#[test]
fn who_knows_cookies_is_told_to_ask_again_with_one() {
    let client = [&[0, 10, 0, 8][..], &[7; 8]].concat();
    let (mut octets, reply) =
        answer_to(&with_opt(&["mail", "home", "example"], 1, &opt(1232, 0, &client)), Transport::Udp)
            .unwrap();
    shorten(reply, &mut octets);
    let short = Message::from_vec(&octets).unwrap();
    assert_eq!(short.metadata.response_code, ResponseCode::BADCOOKIE);
    assert!(!short.metadata.truncation && short.answers.is_empty());
    let cookie = &octets[octets.len() - cookie::LENGTH..];
    let again = [&[0, 10, 0, cookie::LENGTH as u8][..], cookie].concat();
    let query = with_opt(&["mail", "home", "example"], 1, &opt(1232, 0, &again));
    assert!(answer_to(&query, Transport::Udp).unwrap().1.is_proven);
}

#[test]
fn the_servers_name_is_for_those_who_ask() {
    let asked = with_opt(&["mail", "home", "example"], 1, &opt(1232, 0, &[0, 3, 0, 0]));
    let (octets, _) = answer_to(&asked, Transport::Udp).unwrap();
    assert!(octets.ends_with(b"\0\x03\0\x06edge-1"), "{octets:?}");
    Message::from_vec(&octets).unwrap();
    let unasked = answer_to(&query(&["mail", "home", "example"], 1, 1232), Transport::Udp).unwrap().0;
    assert!(!unasked.ends_with(b"edge-1"));
}

proptest! {
    #[test]
    fn any_octets_get_an_answer_of_bounded_size_or_none(octets in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Some((answer, _)) = answer_to(&octets, Transport::Udp) {
            prop_assert!(answer.len() <= usize::from(MAX_UDP_PAYLOAD));
        }
    }

    #[test]
    fn no_udp_answer_is_longer_than_was_offered(
        label in "long|mail|www|nothing|sub|loop1|x.wild", record_type in 0_u16..260, payload: u16,
    ) {
        let labels: Vec<&str> = label.split('.').chain(["home", "example"]).collect();
        let (octets, _) = answer_to(&query(&labels, record_type, payload), Transport::Udp).unwrap();
        prop_assert!(octets.len() <= usize::from(payload.clamp(512, MAX_UDP_PAYLOAD)));
        let answer = Message::from_vec(&octets).unwrap();
        prop_assert!(answer.edns.is_some(), "OPT answers OPT");
    }

    /// What was made in advance is what would be found when asked.
    #[test]
    fn prepared_and_searched_answers_are_the_same(
        label in "|long|mail|www|nothing|sub|ns.sub|wild|x.wild|here|below.here|ns1|\\*.wild",
        record_type in prop_oneof![0_u16..60, 250_u16..260], is_signed: bool,
    ) {
        let labels: Vec<&str> = label.split('.').filter(|label| !label.is_empty()).chain(["home", "example"]).collect();
        let octets = question(&labels, record_type);
        let name = super::super::name::WireName::read(&octets).unwrap();
        let (zones, key) = (zones(), name.key());
        let record_type = RecordType::from(record_type);
        let zone = zones.find(&key, record_type).unwrap();
        let dnssec = if is_signed { Dnssec::Wanted } else { Dnssec::Unwanted };
        let question = Question { name, key: &key, record_type, dnssec };
        let start = [&[0; 12][..], &octets].concat();
        let (mut prepared, mut searched) = (start.clone(), start);
        if let Some(head) = copy_prepared(zone, &question, 65535, &mut prepared) {
            prop_assert_eq!(head, search(zone, &question, 65535, &mut searched));
            prop_assert_eq!(prepared, searched);
        }
    }
}
