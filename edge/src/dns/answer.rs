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
mod tests;
