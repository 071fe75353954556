//! Our answers beside those of NSD and Knot, for the same zones, signed and unsigned, made by hand and at random.
//!
//! Every name that exists, names beside and below it, every type and the EDNS flags: RCODE, AA, TC and the records of each
//! section must be the same as NSD's and Knot's, except for the differences that [`Difference`] explains.

#![allow(clippy::unwrap_used)] // Helpers of tests are tests.

mod servers;

use std::collections::BTreeSet;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::RecordType;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use servers::{Knot, Listening, Nsd, Ours, Peer, Signing, ZoneFiles};

/// Answers in a form that compares: sections as sets, owners in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    rcode: ResponseCode,
    authoritative: bool,
    truncated: bool,
    answers: BTreeSet<String>,
    authorities: BTreeSet<String>,
    additionals: BTreeSet<String>,
}

impl Seen {
    fn of(octets: &[u8]) -> Self {
        let message = Message::from_vec(octets).unwrap_or_else(|error| panic!("{error}: {octets:02x?}"));
        let set = |records: &[hickory_proto::rr::Record]| {
            records.iter().map(|record| record.to_string().to_ascii_lowercase()).collect()
        };
        Self {
            rcode: message.metadata.response_code,
            authoritative: message.metadata.authoritative,
            truncated: message.metadata.truncation,
            answers: set(&message.answers),
            authorities: set(&message.authorities),
            additionals: set(&message.additionals),
        }
    }
}

/// Why a peer's answer may differ from ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Difference {
    /// RFC 8482 §4.1 and §7: we give one RRset for ANY and for RRSIG, they give another one, or all.
    AnyOrRrsig,
    /// RFC 2181 §9: where an answer does not fit, we send none of it, they may send a part.
    Truncation,
    /// RFC 9471 §3.2: glue for servers beside the cut may be left out without TC; NSD sets it.
    SiblingGlue,
    /// Addresses of mail and other servers, and of servers beside a cut, are a courtesy; each has its own idea of it.
    Additional,
    /// RFC 6604 §3 and RFC 1034 §4.3.2: how far a chain of CNAMEs that ends in itself is followed.
    CnameLoop,
    /// RFC 4035 §3.1.3.3: an NSEC that a wildcard gives is proven like any other answer; Knot leaves the proof out, since
    /// the answer has the same RDATA.
    WildcardNsec,
    /// RFC 1034 §4.3.2: a question for NSEC or RRSIG follows a CNAME too where the zone has none; Knot never does that.
    NsecBesideCname,
    /// RFC 4035 §3.1.3.4: that a wildcard which is an empty non-terminal has no data is to be proven too; Knot does not.
    EmptyWildcard,
}

fn difference(question: &servers::Question, ours: &Seen, peer: &str, theirs: &Seen) -> Option<Difference> {
    let is_whole_loop = |seen: &Seen| seen.answers.iter().any(|record| record.starts_with("loop"));
    let without_additionals = |seen: &Seen| Seen { additionals: BTreeSet::new(), ..seen.clone() };
    if matches!(question.record_type, RecordType::ANY | RecordType::RRSIG)
        && ours.rcode == theirs.rcode
        && (theirs.truncated || ours.answers.is_empty() == theirs.answers.is_empty())
    {
        Some(Difference::AnyOrRrsig)
    } else if ours.truncated && (theirs.truncated || theirs.additionals.len() < 9) {
        Some(Difference::Truncation)
    } else if theirs.truncated
        && without_additionals(&Seen { truncated: true, ..ours.clone() }) == without_additionals(theirs)
    {
        Some(Difference::SiblingGlue)
    } else if without_additionals(ours) == without_additionals(theirs) {
        Some(Difference::Additional)
    } else if is_whole_loop(ours) && is_whole_loop(theirs) {
        Some(Difference::CnameLoop)
    } else if question.record_type == RecordType::NSEC
        && ours.answers == theirs.answers
        && theirs.authorities.is_empty()
    {
        Some(Difference::WildcardNsec)
    } else if matches!(question.record_type, RecordType::NSEC | RecordType::RRSIG)
        && peer == "Knot"
        && theirs.answers.is_empty()
    {
        Some(Difference::NsecBesideCname)
    } else if peer == "Knot"
        && ours.answers == theirs.answers
        && ours.rcode == theirs.rcode
        && theirs.authorities.is_subset(&ours.authorities)
    {
        Some(Difference::EmptyWildcard)
    } else {
        None
    }
}

/// Compares every answer; gives the differences met, and complains of those that have no explanation.
fn compare(ours: &Ours, peer: &dyn Peer, questions: &[servers::Question]) -> BTreeSet<Difference> {
    let mut met = BTreeSet::new();
    for question in questions {
        let (we, they) = (Seen::of(&ours.ask(question)), Seen::of(&servers::ask(peer.address(), question)));
        if we != they {
            let explained = difference(question, &we, peer.name(), &they);
            assert!(explained.is_some(), "{question:?}\nours {we:#?}\n{} {they:#?}", peer.name());
            met.extend(explained);
        }
    }
    met
}

const TYPES: [RecordType; 14] = [
    RecordType::A,
    RecordType::AAAA,
    RecordType::MX,
    RecordType::NS,
    RecordType::SOA,
    RecordType::TXT,
    RecordType::CNAME,
    RecordType::SRV,
    RecordType::DS,
    RecordType::NSEC,
    RecordType::DNSKEY,
    RecordType::PTR,
    RecordType::ANY,
    RecordType::RRSIG,
];

/// Every name of a zone, its neighbours and names below, for every type, with no EDNS, with EDNS and with DO.
fn questions(zone: &postern_shared::zone::Zone) -> Vec<servers::Question> {
    let names: BTreeSet<String> =
        zone.records.iter().map(|record| record.name.to_ascii_lowercase()).collect();
    let mut asked =
        BTreeSet::from(["other.test.".to_owned(), "ahome.example.".to_owned(), "example.".to_owned()]);
    for name in names {
        let parents = name.match_indices('.').map(|(at, _)| name[at + 1..].to_owned());
        asked.extend(parents.filter(|parent| parent.ends_with(&zone.origin)));
        asked.extend(["a", "nothing", "zz", "*", "x.y"].map(|label| format!("{label}.{name}")));
        asked.insert(name);
    }
    let flags = [None, Some((1232, false)), Some((1232, true)), Some((4096, true)), Some((512, true))];
    let all = asked.iter().flat_map(|name| TYPES.map(|record_type| (name, record_type)));
    all.enumerate()
        .flat_map(|(number, (name, record_type))| {
            // DO for each; the others in turn, since they differ in size only.
            let turn = flags[number % flags.len()];
            [flags[2], turn].map(|edns| servers::Question { name: name.clone(), record_type, edns })
        })
        .collect()
}

#[test]
fn a_mail_zone_is_answered_as_nsd_and_knot_do() {
    for signing in [Signing::Signed, Signing::Unsigned] {
        let files = ZoneFiles::new(include_str!("zones/home.example.zone"), signing);
        let zone = files.zone();
        let (ours, nsd, knot) = (Ours::new(&zone), Nsd::start(&files), Knot::start(&files));
        let questions = questions(&zone);
        assert!(questions.len() > 2000, "{}", questions.len());
        for peer in [&nsd as &dyn Peer, &knot] {
            let met = compare(&ours, peer, &questions);
            eprintln!("{signing:?} {} questions, {}: {met:?}", questions.len(), peer.name());
        }
    }
}

/// Zones of few labels, so that names meet: wildcards, empty non-terminals, cuts, glue and chains beside each other.
fn any_zone() -> impl Strategy<Value = String> {
    let label = prop_oneof![Just("a"), Just("b"), Just("c"), Just("*")];
    let name = proptest::collection::vec(label, 1..4).prop_map(|labels| labels.join("."));
    let data = prop_oneof![
        Just("A 192.0.2.1"),
        Just("AAAA 2001:db8::1"),
        Just("TXT \"t\""),
        Just("MX 1 a"),
        Just("NS a.b"),
        Just("NS ns1"),
        Just("CNAME a"),
        Just("CNAME b.c"),
        Just("CNAME c.a.b"),
        Just("CNAME away.test."),
        Just("SRV 0 0 1 b"),
    ];
    proptest::collection::vec((name, data), 1..14).prop_map(|records| {
        let mut text = String::from(
            "$ORIGIN home.example.\n$TTL 60\n@ SOA ns1 h 1 3600 600 86400 30\n@ NS ns1\nns1 A 192.0.2.2\n",
        );
        let mut owners: std::collections::BTreeMap<String, Vec<&str>> = Default::default();
        for (owner, data) in records {
            // No delegation at a wildcard (RFC 4592 §4.2), nothing beside a CNAME (RFC 2181 §10.1), nothing twice.
            let there = owners.entry(owner.clone()).or_default();
            let is_alone = data.starts_with("CNAME") || there.iter().any(|other| other.starts_with("CNAME"));
            let is_cut = data.starts_with("NS");
            let is_wild_cut = is_cut && owner.contains('*');
            if there.contains(&data) || (is_alone && !there.is_empty()) || is_wild_cut {
                continue;
            }
            there.push(data);
            text += &format!("{owner} {data}\n");
        }
        text
    })
}

#[test]
fn zones_made_at_random_are_answered_as_nsd_and_knot_do() {
    let cases = std::env::var("ZONES").ok().and_then(|number| number.parse().ok()).unwrap_or(5);
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 60, ..Config::default() };
    TestRunner::new(config)
        .run(&any_zone(), |text| {
            let files = ZoneFiles::new(&text, Signing::Signed);
            let zone = files.zone();
            let (ours, nsd, knot) = (Ours::new(&zone), Nsd::start(&files), Knot::start(&files));
            let questions = questions(&zone);
            for peer in [&nsd as &dyn Peer, &knot] {
                compare(&ours, peer, &questions);
            }
            Ok(())
        })
        .unwrap();
}

/// What a validator says of each kind of answer, with the zone's key as its only trust anchor.
#[test]
fn delv_validates_every_kind_of_answer() {
    let files = ZoneFiles::new(include_str!("zones/home.example.zone"), Signing::Signed);
    let anchor = files.trust_anchor();
    let ours = Listening::start(&files.zone());
    let port = ours.address.port().to_string();
    let delv = |question: &str| {
        let output = std::process::Command::new("delv")
            .args(["@127.0.0.1", "-p", &port, "-a", &anchor, "+root=home.example"])
            .args(question.split_whitespace())
            .output()
            .expect("delv is installed (bind9-dnsutils)");
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
    };
    for (question, expected) in [
        ("mail.home.example A", "; fully validated"),
        ("home.example DNSKEY", "; fully validated"),
        ("autodiscover.home.example AAAA", "; fully validated"),
        ("x.y.wild.home.example TXT", "; fully validated"),
        ("x.cwild.home.example A", "; fully validated"),
        ("long.home.example TXT", "; fully validated"),
        ("mail.home.example SRV", "; negative response, fully validated"),
        ("ent.home.example A", "; negative response, fully validated"),
        ("below.ent.home.example A", "; negative response, fully validated"),
        ("x.wild.home.example A", "; negative response, fully validated"),
        ("nothing.home.example A", "; negative response, fully validated"),
        ("below.nothing.mail.home.example A", "; negative response, fully validated"),
        ("sec.home.example DS", "; fully validated"),
        ("sub.home.example DS", "; negative response, fully validated"),
    ] {
        let said = delv(question);
        assert!(said.contains(expected), "{question}: {said}");
    }
}
