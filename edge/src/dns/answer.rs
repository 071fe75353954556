//! The authoritative answer to one question: a pure function of the zones.
//!
//! In: a question and the [`ZoneSet`]. Out: an [`Answer`] that borrows the zone's records. Refused (REFUSED): names
//! outside our zones, zone transfers, classes other than IN. Never recursion.
//!
//! RFC 1034 §4.3.2 (the algorithm), RFC 2308 (negative answers), RFC 4592 (wildcards), RFC 4035 §3.1 (DNSSEC records
//! for those who ask), RFC 8020 (nothing below a name that does not exist), RFC 8482 §4.1 (ANY gets one RRset).
//!
//! Deviates: DNAME (RFC 6672) is served as data but not followed; zones from home never hold one.
//! Deviates: denial by NSEC3 (RFC 5155) is not made; home signs with NSEC.

use std::borrow::Cow;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::{DNSClass, LowerName, Name, RData, Record, RecordType};

use super::zones::{Node, RrSet, ServedZone, ZoneSet, wildcard_under};

/// CNAMEs followed inside one zone before the answer is left to the resolver.
const MAX_CNAMES: usize = 8;

/// What is asked.
#[derive(Debug, Clone)]
pub struct Question {
    /// QNAME.
    pub name: LowerName,
    /// QTYPE.
    pub record_type: RecordType,
    /// QCLASS.
    pub class: DNSClass,
    /// Whether the asker set the DO bit.
    pub dnssec: Dnssec,
}

/// Whether DNSSEC records are wanted (the DO bit, RFC 3225).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dnssec {
    /// RRSIG and NSEC go with the answer.
    Wanted,
    /// They are left out.
    Unwanted,
}

/// The sections of an answer.
#[derive(Debug, Default)]
pub struct Answer<'z> {
    /// RCODE.
    pub rcode: ResponseCode,
    /// The AA bit.
    pub authoritative: bool,
    /// The answer section.
    pub answers: Vec<Cow<'z, Record>>,
    /// The authority section.
    pub authorities: Vec<Cow<'z, Record>>,
    /// The additional section, without OPT.
    pub additionals: Vec<Cow<'z, Record>>,
}

/// Answers `question` from `zones`.
pub fn answer<'z>(zones: &'z ZoneSet, question: &Question) -> Answer<'z> {
    if question.class != DNSClass::IN || matches!(question.record_type, RecordType::AXFR | RecordType::IXFR) {
        return refused();
    }
    let Some(zone) = zones.find(&question.name) else { return refused() };
    let mut search = Search { zone, dnssec: question.dnssec, answer: Answer::default() };
    search.run(question);
    search.answer
}

fn refused<'z>() -> Answer<'z> {
    Answer { rcode: ResponseCode::Refused, ..Answer::default() }
}

/// One walk through one zone.
struct Search<'z> {
    zone: &'z ServedZone,
    dnssec: Dnssec,
    answer: Answer<'z>,
}

/// What stands at a name.
enum Found<'z> {
    /// A delegation at the named cut.
    Cut(LowerName, &'z Node),
    /// The name itself.
    Exact(&'z Node),
    /// The wildcard under the closest encloser.
    Wildcard(LowerName, &'z Node),
    /// Nothing; the closest encloser.
    Nothing(LowerName),
}

impl<'z> Search<'z> {
    fn run(&mut self, question: &Question) {
        self.answer.authoritative = true;
        let mut name = question.name.clone();
        for _ in 0..=MAX_CNAMES {
            match self.answer_at(&name, question.record_type) {
                Some(target) if self.zone.origin.zone_of(&target) => name = target,
                _ => return,
            }
        }
    }

    /// Answers for one name; gives the target where a CNAME is to be followed.
    fn answer_at(&mut self, name: &LowerName, record_type: RecordType) -> Option<LowerName> {
        match self.find(name, record_type) {
            Found::Cut(cut, node) => self.refer(&cut, node),
            Found::Exact(node) => return self.answer_node(node, name, record_type, None),
            Found::Wildcard(wildcard, node) => {
                let target = self.answer_node(node, &wildcard, record_type, Some(name));
                self.deny(name);
                return target;
            }
            Found::Nothing(encloser) => self.no_such_name(name, &encloser),
        }
        None
    }

    fn find(&self, name: &LowerName, record_type: RecordType) -> Found<'z> {
        if let Some((cut, node)) = self.cut_above(name, record_type) {
            return Found::Cut(cut, node);
        }
        if let Some(node) = self.zone.node(name) {
            return Found::Exact(node);
        }
        let encloser = self.zone.closest_encloser(name);
        let wildcard = wildcard_under(&encloser).and_then(|name| Some((self.zone.node(&name)?, name)));
        wildcard.map_or(Found::Nothing(encloser), |(node, name)| Found::Wildcard(name, node))
    }

    /// The highest zone cut at or above `name`. DS belongs to the parent's side of a cut (RFC 4035 §3.1.4.1).
    fn cut_above(&self, name: &LowerName, record_type: RecordType) -> Option<(LowerName, &'z Node)> {
        let below_apex = self.zone.path_to(name).into_iter().skip(1);
        below_apex.into_iter().find_map(|ancestor| {
            let node = self.zone.node(&ancestor)?;
            let parent_side = record_type == RecordType::DS && ancestor == *name;
            (node.rrset(RecordType::NS).is_some() && !parent_side).then_some((ancestor, node))
        })
    }

    /// Answers from `node`, which stands at `name`; `owner` is the name that was asked for where that differs.
    fn answer_node(
        &mut self,
        node: &'z Node,
        name: &LowerName,
        record_type: RecordType,
        owner: Option<&LowerName>,
    ) -> Option<LowerName> {
        let wanted = match record_type {
            RecordType::ANY => node.first_rrset(),
            _ => node.rrset(record_type),
        };
        if let Some(rrset) = wanted {
            self.add_answer(rrset, owner);
            self.add_addresses_of_targets(rrset);
            return None;
        }
        match node.rrset(RecordType::CNAME) {
            Some(rrset) => {
                self.add_answer(rrset, owner);
                cname_target(rrset)
            }
            None => {
                self.no_such_data(name);
                None
            }
        }
    }

    fn add_answer(&mut self, rrset: &'z RrSet, owner: Option<&LowerName>) {
        let dnssec = self.dnssec;
        self.answer.answers.extend(records_of(rrset, dnssec).map(|record| match owner {
            Some(owner) => Cow::Owned(owned_by(owner, record)),
            None => Cow::Borrowed(record),
        }));
    }

    fn add_authority(&mut self, rrset: &'z RrSet) {
        let dnssec = self.dnssec;
        for record in records_of(rrset, dnssec) {
            if !self.answer.authorities.iter().any(|there| **there == *record) {
                self.answer.authorities.push(Cow::Borrowed(record));
            }
        }
    }

    /// RFC 1034 §4.2.1: below a cut the answer is a referral, with glue, and not authoritative.
    fn refer(&mut self, cut: &LowerName, node: &'z Node) {
        self.answer.authoritative = !self.answer.answers.is_empty();
        let Some(ns) = node.rrset(RecordType::NS) else { return };
        self.answer.authorities.extend(ns.records.iter().map(Cow::Borrowed));
        if self.dnssec == Dnssec::Wanted {
            match node.rrset(RecordType::DS) {
                Some(ds) => self.add_authority(ds),
                None => self.deny(cut),
            }
        }
        self.add_addresses_of_targets(ns);
    }

    fn no_such_data(&mut self, name: &LowerName) {
        self.add_negative_soa();
        self.deny(name);
    }

    fn no_such_name(&mut self, name: &LowerName, encloser: &LowerName) {
        // RFC 6604 §3: after a CNAME the RCODE is that of the last name.
        self.answer.rcode = ResponseCode::NXDomain;
        self.add_negative_soa();
        self.deny(name);
        if let Some(wildcard) = wildcard_under(encloser) {
            self.deny(&wildcard);
        }
    }

    fn add_negative_soa(&mut self) {
        let dnssec = self.dnssec;
        let wanted = self
            .zone
            .negative_soa()
            .iter()
            .filter(|record| dnssec == Dnssec::Wanted || record.record_type() == RecordType::SOA);
        self.answer.authorities.extend(wanted.map(Cow::Borrowed));
    }

    /// RFC 4035 §3.1.3: the NSEC that matches or covers `name` proves what is not there.
    fn deny(&mut self, name: &LowerName) {
        if self.dnssec == Dnssec::Wanted
            && let Some(nsec) = self.zone.nsec_for(name)
        {
            self.add_authority(nsec);
        }
    }

    fn add_addresses_of_targets(&mut self, rrset: &'z RrSet) {
        for target in rrset.records.iter().filter_map(target_of) {
            let target = LowerName::from(target);
            let Some(node) = self.zone.origin.zone_of(&target).then(|| self.zone.node(&target)).flatten()
            else {
                continue;
            };
            for record_type in [RecordType::A, RecordType::AAAA] {
                let dnssec = self.dnssec;
                let addresses =
                    node.rrset(record_type).into_iter().flat_map(|rrset| records_of(rrset, dnssec));
                self.answer.additionals.extend(addresses.map(Cow::Borrowed));
            }
        }
    }
}

fn records_of(rrset: &RrSet, dnssec: Dnssec) -> impl Iterator<Item = &Record> {
    let signatures = if dnssec == Dnssec::Wanted { rrset.signatures.as_slice() } else { &[] };
    rrset.records.iter().chain(signatures)
}

/// RFC 1034 §4.3.2 step 3.c: a record made from a wildcard bears the name that was asked for.
fn owned_by(owner: &LowerName, record: &Record) -> Record {
    let mut record = record.clone();
    record.name = Name::from(owner);
    record
}

/// The host whose addresses an asker of this record needs next.
fn target_of(record: &Record) -> Option<&Name> {
    match &record.data {
        RData::NS(ns) => Some(&ns.0),
        RData::MX(mx) => Some(&mx.exchange),
        RData::SRV(srv) => Some(&srv.target),
        _ => None,
    }
}

fn cname_target(rrset: &RrSet) -> Option<LowerName> {
    rrset.records.iter().find_map(|record| match &record.data {
        RData::CNAME(cname) => Some(LowerName::from(&cname.0)),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use hickory_proto::rr::RecordType::*;
    use postern_shared::zone;
    use proptest::prelude::*;

    use super::super::zones::tests::{name, sample_zone};
    use super::*;

    fn zones() -> ZoneSet {
        ZoneSet::default().with(Arc::new(ServedZone::new(&sample_zone("home.example.", 7)).unwrap()))
    }

    fn ask(zones: &ZoneSet, text: &str, record_type: RecordType, dnssec: Dnssec) -> String {
        let question = Question { name: name(text), record_type, class: DNSClass::IN, dnssec };
        transcript(&answer(zones, &question))
    }

    /// One line: RCODE, AA, and the owner and type of each record in each section.
    fn transcript(answer: &Answer<'_>) -> String {
        let section = |records: &[Cow<'_, Record>]| {
            let one = |record: &Cow<'_, Record>| {
                let owner = record.name.to_ascii().replace("home.example.", "@");
                format!("{owner} {}", zone::type_to_text(record.record_type()))
            };
            records.iter().map(one).collect::<Vec<_>>().join(", ")
        };
        let aa = if answer.authoritative { " aa" } else { "" };
        let (answers, authorities) = (section(&answer.answers), section(&answer.authorities));
        format!("{:?}{aa} | {answers} | {authorities} | {}", answer.rcode, section(&answer.additionals))
    }

    #[test]
    fn every_kind_of_answer() {
        let zones = zones();
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
            ("home.example.", AXFR, "Refused |  |  | "),
            ("home.example.", IXFR, "Refused |  |  | "),
            ("other.example.", A, "Refused |  |  | "),
            (".", NS, "Refused |  |  | "),
        ] {
            assert_eq!(
                ask(&zones, question, record_type, Dnssec::Unwanted),
                expected,
                "{question} {record_type}"
            );
        }
    }

    #[test]
    fn any_gets_one_rrset_and_a_loop_ends() {
        let zones = zones();
        let any = ask(&zones, "mail.home.example.", ANY, Dnssec::Unwanted);
        assert_eq!(any, "NoError aa | mail.@ A |  | ");
        let lines = ask(&zones, "loop1.home.example.", A, Dnssec::Unwanted);
        assert_eq!(lines.matches("CNAME").count(), MAX_CNAMES + 1, "{lines}");
    }

    #[test]
    fn other_classes_are_refused() {
        let question = Question {
            name: name("home.example."),
            record_type: TXT,
            class: DNSClass::CH,
            dnssec: Dnssec::Unwanted,
        };
        assert_eq!(transcript(&answer(&zones(), &question)), "Refused |  |  | ");
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
            zone.records.push(zone::Record {
                name: owner.into(),
                record_type: record_type.into(),
                ttl,
                rdata,
            });
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
        let zones = ZoneSet::default().with(Arc::new(ServedZone::new(&zone).unwrap()));
        let wanted = |text, record_type| ask(&zones, text, record_type, Dnssec::Wanted);
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
        assert_eq!(ask(&zones, "mail.home.example.", A, Dnssec::Unwanted), "NoError aa | mail.@ A |  | ");
    }

    proptest! {
        /// A model of existence from the list of names alone: an answer for a name that exists is never NXDOMAIN, one for
        /// a name that does not is never anything else, and everything given belongs to the zone.
        #[test]
        fn existence_is_as_the_list_of_names_says(labels in proptest::collection::vec("[a-d]{1,2}|mail|www|here|below|deep|ns1", 0..4)) {
            let zones = zones();
            let text: String = labels.iter().map(|label| format!("{label}.")).chain(["home.example.".to_owned()]).collect();
            let asked = name(&text);
            let zone = sample_zone("home.example.", 7);
            let exists = zone.records.iter().any(|record| asked.zone_of(&name(&record.name)));
            let question = Question { name: asked, record_type: HINFO, class: DNSClass::IN, dnssec: Dnssec::Wanted };
            let answer = answer(&zones, &question);
            prop_assert_eq!(answer.rcode == ResponseCode::NoError, exists);
            for record in answer.answers.iter().chain(&answer.authorities).chain(&answer.additionals) {
                prop_assert!(name("home.example.").zone_of(&LowerName::from(&record.name)));
            }
        }
    }
}
