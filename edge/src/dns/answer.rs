//! The authoritative answer to one question: a pure function of a zone.
//!
//! In: a question for a name of a [`ServedZone`]. Out: an [`Answer`], which names RRsets of the zone. Never recursion.
//!
//! RFC 1034 §4.3.2 (the algorithm), RFC 2308 (negative answers), RFC 4592 (wildcards), RFC 4035 §3.1 (DNSSEC records
//! for those who ask), RFC 8020 (nothing below a name that does not exist), RFC 8482 §4.1 (ANY gets one RRset),
//! RFC 9471 (glue that an answer must not be without).
//!
//! Deviates: DNAME (RFC 6672) is served as data but not followed; zones from home never hold one.
//! Deviates: denial by NSEC3 (RFC 5155) is not made; home signs with NSEC.

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;

use super::name::{Key, WireName};
use super::rrset::RrSet;
use super::writer::Part;
use super::zones::{Index, Node, Place, ServedZone};

/// CNAMEs followed inside one zone before the answer is left to the resolver.
const MAX_CNAMES: usize = 8;

/// What is asked.
#[derive(Debug, Clone, Copy)]
pub struct Question<'q> {
    /// QNAME.
    pub name: WireName<'q>,
    /// Its key.
    pub key: &'q Key,
    /// QTYPE.
    pub record_type: RecordType,
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
pub struct Answer<'a> {
    /// RCODE.
    pub rcode: ResponseCode,
    /// The AA bit.
    pub authoritative: bool,
    /// The answer section.
    pub answers: Vec<Placed<'a>>,
    /// The authority section.
    pub authorities: Vec<Placed<'a>>,
    /// The additional section, without OPT: first what must be there, then what may.
    pub additionals: Vec<Placed<'a>>,
    /// How many of the additional RRsets must be there (RFC 9471 §3.1).
    pub needed_additionals: usize,
}

/// An RRset in an answer.
#[derive(Debug, Clone, Copy)]
pub struct Placed<'a> {
    /// Its owner there: for what a wildcard gives, the name that was asked for.
    pub owner: WireName<'a>,
    /// The RRset.
    pub rrset: &'a RrSet,
    /// What of it goes into the answer.
    pub part: Part,
}

/// Answers `question`, whose name is at or below the apex of `zone`.
pub fn answer<'a>(zone: &'a ServedZone, question: &Question<'a>) -> Answer<'a> {
    let mut search = Search { zone, question: *question, denied: Vec::new(), answer: Answer::default() };
    search.run();
    search.answer
}

/// One walk through one zone.
struct Search<'a> {
    zone: &'a ServedZone,
    question: Question<'a>,
    /// Wildcards were used for these answers, and the NSECs that prove that nothing stood closer.
    denied: Vec<Option<Index>>,
    answer: Answer<'a>,
}

/// What stands at a name.
enum Found {
    /// A delegation at or above it.
    Cut(Index),
    /// The name itself.
    Exact(Index),
    /// The wildcard under the closest encloser; the NSEC that covers the name.
    Wildcard(Index, Option<Index>),
    /// Nothing; the closest encloser; the NSEC that covers the name.
    Nothing(Index, Option<Index>),
}

impl<'a> Search<'a> {
    fn run(&mut self) {
        self.answer.authoritative = true;
        let (mut owner, mut key) = (self.question.name, self.question.key.clone());
        for _ in 0..=MAX_CNAMES {
            let Some(target) = self.answer_at(owner, &key) else { break };
            (owner, key) = (target, target.key());
            if self.zone.key_below(&key).is_none() || self.has_answered(owner) {
                break;
            }
        }
        for nsec in std::mem::take(&mut self.denied) {
            self.deny(nsec);
        }
    }

    /// Answers for one name; gives the target where a CNAME is to be followed.
    fn answer_at(&mut self, owner: WireName<'a>, key: &Key) -> Option<WireName<'a>> {
        let zone = self.zone;
        match self.find(zone.key_below(key)?) {
            Found::Cut(cut) => self.refer(zone.node(cut), cut),
            Found::Exact(index) => {
                let node = zone.node(index);
                return self.answer_from(node, node.owner(), node.nsec);
            }
            Found::Wildcard(index, covering) => {
                self.denied.push(covering);
                let node = zone.node(index);
                return self.answer_from(node, owner, node.nsec);
            }
            Found::Nothing(encloser, covering) => self.no_such_name(zone.node(encloser), covering),
        }
        None
    }

    fn find(&self, key_below: &[u8]) -> Found {
        match self.zone.place(key_below) {
            Place::At(index) => match self.zone.node(index).cut {
                Some(cut) if !(cut == index && self.is_parents_side()) => Found::Cut(cut),
                _ => Found::Exact(index),
            },
            Place::After(before) => {
                let encloser = self.zone.closest_encloser(before, key_below);
                let (node, covering) = (self.zone.node(encloser), self.zone.node(before).nsec);
                match (node.cut, node.wildcard) {
                    (Some(cut), _) => Found::Cut(cut),
                    (None, Some(wildcard)) => Found::Wildcard(wildcard, covering),
                    (None, None) => Found::Nothing(encloser, covering),
                }
            }
        }
    }

    /// DS belongs to the parent's side of a cut (RFC 4035 §3.1.4.1).
    fn is_parents_side(&self) -> bool {
        self.question.record_type == RecordType::DS
    }

    /// Answers from `node` under the name `owner`; `nsec` proves what the node lacks.
    fn answer_from(
        &mut self,
        node: &'a Node,
        owner: WireName<'a>,
        nsec: Option<Index>,
    ) -> Option<WireName<'a>> {
        let part = self.signed();
        let (wanted, part) = match self.question.record_type {
            RecordType::ANY => (node.rrsets().next(), part),
            // RFC 8482 §7: as ANY. The signatures of one RRset.
            RecordType::RRSIG => (node.rrsets().find(|rrset| !rrset.signatures.is_empty()), Part::Signatures),
            record_type => (node.rrset(record_type), part),
        };
        if let Some(rrset) = wanted {
            self.answer.answers.push(Placed { owner, rrset, part });
            self.add_addresses(rrset);
            return None;
        }
        let Some(cname) = node.rrset(RecordType::CNAME) else {
            self.no_such_data(nsec);
            return None;
        };
        self.answer.answers.push(Placed { owner, rrset: cname, part: self.signed() });
        cname.cname_target()
    }

    fn has_answered(&self, owner: WireName<'_>) -> bool {
        self.answer.answers.iter().any(|placed| placed.owner.octets().eq_ignore_ascii_case(owner.octets()))
    }

    /// RFC 1034 §4.2.1: below a cut the answer is a referral, with glue, and not authoritative.
    fn refer(&mut self, node: &'a Node, cut: Index) {
        self.answer.authoritative = !self.answer.answers.is_empty();
        let Some(ns) = node.rrset(RecordType::NS) else { return };
        self.add_authority(node, ns, Part::Records);
        if self.question.dnssec == Dnssec::Wanted {
            // In a zone without signatures a DS proves nothing.
            match node.rrset(RecordType::DS).filter(|ds| !ds.signatures.is_empty()) {
                Some(ds) => self.add_authority(node, ds, Part::SignedRecords),
                None => self.deny(node.nsec),
            }
        }
        self.add_glue(ns, cut);
    }

    /// RFC 9471 §3.1: the addresses of servers below the cut cannot be had elsewhere. Those of other servers may help.
    fn add_glue(&mut self, ns: &'a RrSet, cut: Index) {
        let hosts: Vec<Index> = self.hosts_here(ns).collect();
        let (needed, helpful): (Vec<_>, Vec<_>) =
            hosts.into_iter().partition(|index| self.zone.node(*index).cut == Some(cut));
        needed.into_iter().for_each(|index| self.add_host(index));
        self.answer.needed_additionals = self.answer.additionals.len();
        helpful.into_iter().for_each(|index| self.add_host(index));
    }

    fn no_such_data(&mut self, nsec: Option<Index>) {
        self.add_negative_soa();
        self.deny(nsec);
    }

    fn no_such_name(&mut self, encloser: &Node, covering: Option<Index>) {
        // RFC 6604 §3: after a CNAME the RCODE is that of the last name.
        self.answer.rcode = ResponseCode::NXDomain;
        self.add_negative_soa();
        self.deny(covering);
        self.deny(encloser.wildcard_nsec);
    }

    fn add_negative_soa(&mut self) {
        let soa = self.zone.negative_soa();
        self.add_authority(self.zone.node(0), soa, self.signed());
    }

    /// RFC 4035 §3.1.3: the NSEC that matches or covers a name proves what is not there.
    fn deny(&mut self, nsec: Option<Index>) {
        if self.question.dnssec == Dnssec::Wanted
            && let Some(node) = nsec.map(|index| self.zone.node(index))
            && let Some(rrset) = node.rrset(RecordType::NSEC)
        {
            self.add_authority(node, rrset, Part::SignedRecords);
        }
    }

    fn add_authority(&mut self, node: &'a Node, rrset: &'a RrSet, part: Part) {
        if !self.answer.authorities.iter().any(|placed| std::ptr::eq(placed.rrset, rrset)) {
            self.answer.authorities.push(Placed { owner: node.owner(), rrset, part });
        }
    }

    fn add_addresses(&mut self, rrset: &'a RrSet) {
        let hosts: Vec<Index> = self.hosts_here(rrset).collect();
        hosts.into_iter().for_each(|index| self.add_host(index));
    }

    /// The nodes of those hosts in an RRset that this zone has something for.
    fn hosts_here(&self, rrset: &'a RrSet) -> impl Iterator<Item = Index> {
        let zone = self.zone;
        rrset.hosts().filter_map(move |host| match zone.place(zone.key_below(&host.key())?) {
            Place::At(index) => Some(index),
            Place::After(_) => None,
        })
    }

    fn add_host(&mut self, index: Index) {
        let node = self.zone.node(index);
        let addresses = [RecordType::A, RecordType::AAAA].into_iter().filter_map(|kind| node.rrset(kind));
        for rrset in addresses {
            if !self.answer.additionals.iter().any(|placed| std::ptr::eq(placed.rrset, rrset)) {
                self.answer.additionals.push(Placed { owner: node.owner(), rrset, part: self.signed() });
            }
        }
    }

    fn signed(&self) -> Part {
        match self.question.dnssec {
            Dnssec::Wanted => Part::SignedRecords,
            Dnssec::Unwanted => Part::Records,
        }
    }
}

#[cfg(test)]
mod tests {
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
            assert_eq!(
                ask(&zone, question, record_type, Dnssec::Unwanted),
                expected,
                "{question} {record_type}"
            );
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
}
