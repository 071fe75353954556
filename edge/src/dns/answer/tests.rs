//! Every kind of answer, from a small zone.

use hickory_proto::rr::RecordType::*;
use hickory_proto::rr::{LowerName, Name};
use hickory_proto::serialize::binary::{BinDecodable, BinEncodable};
use postern_shared::zone;
use proptest::prelude::*;

use super::super::zones::tests::{name, sample_zone};
use super::*;

fn zone() -> ServedZone {
    ServedZone::new(&sample_zone("home.example.", 7)).unwrap()
}

fn wire(text: &str) -> Vec<u8> {
    Name::from_ascii(text).unwrap().to_bytes().unwrap()
}

fn ask(zone: &ServedZone, text: &str, record_type: RecordType, dnssec: Dnssec) -> String {
    let octets = wire(text);
    let name = WireName::read(&octets).unwrap();
    transcript(&answer(zone, &Question { name, key: &name.key(), record_type, dnssec }))
}

/// One line: RCODE, AA, and the owner and type of each record in each section.
fn transcript(answer: &Answer<'_>) -> String {
    let record = |owner: WireName<'_>, record_type: RecordType| {
        let owner = Name::from_bytes(owner.octets()).unwrap().to_ascii().replace("home.example.", "@");
        format!("{owner} {}", zone::type_to_text(record_type))
    };
    let section = |placed: &[Placed<'_>]| {
        let all = placed.iter().flat_map(|placed| {
            let (records, signatures) = (placed.rrset.records.iter(), placed.rrset.signatures.iter());
            let records = records.map(|_| record(placed.owner, placed.rrset.record_type));
            let signatures = signatures.map(|_| record(placed.owner, RRSIG));
            let (records, signatures): (Vec<_>, Vec<_>) = (records.collect(), signatures.collect());
            match placed.part {
                Part::Records => records,
                Part::Signatures => signatures,
                Part::SignedRecords => [records, signatures].concat(),
            }
        });
        all.collect::<Vec<_>>().join(", ")
    };
    let aa = if answer.authoritative { " aa" } else { "" };
    let (answers, authorities) = (section(&answer.answers), section(&answer.authorities));
    format!("{:?}{aa} | {answers} | {authorities} | {}", answer.rcode, section(&answer.additionals))
}

#[test]
fn every_kind_of_answer() {
    let zone = zone();
    for (question, record_type, expected) in [
        ("mail.home.example.", A, "NoError aa | mail.@ A |  | "),
        ("MAIL.home.EXAMPLE.", AAAA, "NoError aa | mail.@ AAAA |  | "),
        ("home.example.", MX, "NoError aa | @ MX |  | mail.@ A, mail.@ AAAA"),
        ("home.example.", NS, "NoError aa | @ NS, @ NS |  | ns1.@ A, ns2.@ A"),
        ("home.example.", SOA, "NoError aa | @ SOA |  | "),
        ("mail.home.example.", TXT, "NoError aa |  | @ SOA | "),
        ("here.home.example.", A, "NoError aa |  | @ SOA | "),
        ("nothing.home.example.", A, "NXDomain aa |  | @ SOA | "),
        ("below.mail.home.example.", A, "NXDomain aa |  | @ SOA | "),
        ("www.home.example.", A, "NoError aa | www.@ CNAME, mail.@ A |  | "),
        ("www.home.example.", CNAME, "NoError aa | www.@ CNAME |  | "),
        ("www.home.example.", TXT, "NoError aa | www.@ CNAME | @ SOA | "),
        ("away.home.example.", A, "NoError aa | away.@ CNAME |  | "),
        ("dangling.home.example.", A, "NXDomain aa | dangling.@ CNAME | @ SOA | "),
        ("x.wild.home.example.", TXT, "NoError aa | x.wild.@ TXT |  | "),
        ("x.y.wild.home.example.", TXT, "NoError aa | x.y.wild.@ TXT |  | "),
        ("x.wild.home.example.", A, "NoError aa |  | @ SOA | "),
        ("wild.home.example.", TXT, "NoError aa |  | @ SOA | "),
        ("sub.home.example.", A, "NoError |  | sub.@ NS | ns.sub.@ A"),
        ("a.b.sub.home.example.", MX, "NoError |  | sub.@ NS | ns.sub.@ A"),
        ("sub.home.example.", DS, "NoError aa |  | @ SOA | "),
    ] {
        assert_eq!(ask(&zone, question, record_type, Dnssec::Unwanted), expected, "{question} {record_type}");
    }
}

#[test]
fn any_gets_one_rrset_and_a_loop_ends() {
    let zone = zone();
    let any = ask(&zone, "mail.home.example.", ANY, Dnssec::Unwanted);
    assert_eq!(any, "NoError aa | mail.@ A |  | ");
    let lines = ask(&zone, "loop1.home.example.", A, Dnssec::Unwanted);
    assert_eq!(lines, "NoError aa | loop1.@ CNAME, loop2.@ CNAME |  | ");
}

/// Signatures and denials go with the answer for those who ask. What is signed here is nonsense; who is given is not.
#[test]
fn dnssec_records_go_with_what_they_cover() {
    let mut zone = sample_zone("home.example.", 7);
    let rrsig = |covered: u16| {
        let mut rdata = covered.to_be_bytes().to_vec();
        rdata.extend([13, 2, 0, 0, 2, 88, 0x70, 0, 0, 0, 0x60, 0, 0, 0, 0, 1]);
        rdata.extend(b"\x04home\x07example\0");
        rdata.extend([7; 64]);
        rdata
    };
    let mut add = |owner: &str, record_type: &str, ttl: u32, rdata: Vec<u8>| {
        zone.records.push(zone::Record { name: owner.into(), record_type: record_type.into(), ttl, rdata });
    };
    add("mail.home.example.", "RRSIG", 600, rrsig(1));
    add("home.example.", "RRSIG", 600, rrsig(6));
    for (owner, next) in
        [("home.example.", "mail"), ("mail.home.example.", "ns1"), ("*.wild.home.example.", "www")]
    {
        let mut rdata = vec![u8::try_from(next.len()).unwrap()];
        rdata.extend(next.as_bytes());
        rdata.extend(b"\x04home\x07example\0\0\x01\x40");
        add(owner, "NSEC", 300, rdata);
        add(owner, "RRSIG", 300, rrsig(47));
    }
    let zone = ServedZone::new(&zone).unwrap();
    let wanted = |text, record_type| ask(&zone, text, record_type, Dnssec::Wanted);
    assert_eq!(wanted("mail.home.example.", A), "NoError aa | mail.@ A, mail.@ RRSIG |  | ");
    assert_eq!(
        wanted("mail.home.example.", TXT),
        "NoError aa |  | @ SOA, @ RRSIG, mail.@ NSEC, mail.@ RRSIG | "
    );
    assert_eq!(
        wanted("nothing.home.example.", A),
        "NXDomain aa |  | @ SOA, @ RRSIG, mail.@ NSEC, mail.@ RRSIG, @ NSEC, @ RRSIG | "
    );
    assert_eq!(
        wanted("x.wild.home.example.", A),
        "NoError aa |  | @ SOA, @ RRSIG, *.wild.@ NSEC, *.wild.@ RRSIG | "
    );
    assert_eq!(
        wanted("x.wild.home.example.", TXT),
        "NoError aa | x.wild.@ TXT | *.wild.@ NSEC, *.wild.@ RRSIG | "
    );
    assert_eq!(ask(&zone, "mail.home.example.", A, Dnssec::Unwanted), "NoError aa | mail.@ A |  | ");
}

proptest! {
    /// A model of existence from the list of names alone: an answer for a name that exists is never NXDOMAIN, one for
    /// a name that does not is never anything else, and everything given belongs to the zone.
    #[test]
    fn existence_is_as_the_list_of_names_says(labels in proptest::collection::vec("[a-d]{1,2}|mail|www|here|below|deep|ns1", 0..4)) {
        let zone = zone();
        let text: String = labels.iter().map(|label| format!("{label}.")).chain(["home.example.".to_owned()]).collect();
        let sample = sample_zone("home.example.", 7);
        let exists = sample.records.iter().any(|record| name(&text).zone_of(&name(&record.name)));
        let octets = wire(&text);
        let asked = WireName::read(&octets).unwrap();
        let question = Question { name: asked, key: &asked.key(), record_type: HINFO, dnssec: Dnssec::Wanted };
        let answer = answer(&zone, &question);
        prop_assert_eq!(answer.rcode == ResponseCode::NoError, exists);
        for placed in answer.answers.iter().chain(&answer.authorities).chain(&answer.additionals) {
            let owner = Name::from_bytes(placed.owner.octets()).unwrap();
            prop_assert!(name("home.example.").zone_of(&LowerName::from(&owner)));
        }
    }
}
