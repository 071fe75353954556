//! Answers made in advance, so that the usual question costs a look-up and a copy.
//!
//! In: a node of a zone. Out: for each of its types, for ANY, and for every other type, all that follows the question in
//! the message, compressed. That is always the same: the question names the node, so it is as long as the node's name.
//! Left out, and answered when asked: nodes below a cut, and CNAMEs, whose answer depends on where they lead.

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;

use super::answer::{Answer, Dnssec, Question, answer};
use super::writer::{HEADER, Writer};
use super::zones::{Index, ServedZone};

/// Octets of QTYPE and QCLASS.
pub const TYPE_AND_CLASS: usize = 4;

/// What follows the question, and what the header says of it.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Body {
    /// The records, behind a question that is as long as the one they were made for.
    pub octets: Box<[u8]>,
    /// The rest.
    pub head: Head,
}

/// What the header says of the records.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// RCODE.
    pub rcode: ResponseCode,
    /// The AA bit.
    pub authoritative: bool,
    /// The TC bit.
    pub truncated: bool,
    /// ANCOUNT, NSCOUNT, and ARCOUNT without OPT.
    pub counts: [u16; 3],
}

/// The answers of one node.
#[derive(Debug)]
pub struct Prepared {
    by_type: Box<[(RecordType, Pair)]>,
    others: Pair,
}

#[derive(Debug)]
struct Pair {
    plain: Body,
    /// `None` where it is the same.
    dnssec: Option<Body>,
}

/// Writes the sections of an answer behind the question; what does not fit makes it truncated (RFC 2181 §9), except for
/// additional records that may be missing. The octets of a truncated answer are the caller's to remove.
pub fn write<'a>(answer: &Answer<'a>, writer: &mut Writer<'a>) -> Head {
    let (rcode, authoritative) = (answer.rcode, answer.authoritative);
    let truncated = Head { rcode, authoritative, truncated: true, counts: [0; 3] };
    let mut counts = [0; 3];
    for (section, count) in [&answer.answers, &answer.authorities].into_iter().zip(&mut counts) {
        for placed in section {
            match writer.put(placed.owner, placed.rrset, placed.part) {
                Ok(records) => *count += records,
                Err(_) => return truncated,
            }
        }
    }
    for (number, placed) in answer.additionals.iter().enumerate() {
        match writer.put(placed.owner, placed.rrset, placed.part) {
            Ok(records) => counts[2] += records,
            Err(_) if number < answer.needed_additionals => return truncated,
            Err(_) => break,
        }
    }
    Head { rcode, authoritative, truncated: false, counts }
}

impl Prepared {
    /// The answers of the node at `index`, where they depend on nothing else.
    pub fn new(zone: &ServedZone, index: Index) -> Option<Self> {
        let node = zone.node(index);
        if node.cut.is_some_and(|cut| cut != index) || node.rrset(RecordType::CNAME).is_some() {
            return None;
        }
        let types = node.rrsets().map(|rrset| rrset.record_type);
        let special = [RecordType::ANY, RecordType::RRSIG, RecordType::DS];
        let mut by_type: Vec<_> =
            types.chain(special).map(|kind| (kind, Pair::new(zone, index, kind))).collect();
        by_type.dedup_by_key(|(kind, _)| *kind);
        // A type that no zone may hold (RFC 6895 §3.1) stands for all that the node has not.
        Some(Self { by_type: by_type.into(), others: Pair::new(zone, index, RecordType::ZERO) })
    }

    /// The answer for a type.
    pub fn body(&self, record_type: RecordType, dnssec: Dnssec) -> &Body {
        let found = self.by_type.iter().find(|(kind, _)| *kind == record_type);
        let pair = found.map_or(&self.others, |(_, pair)| pair);
        match dnssec {
            Dnssec::Wanted => pair.dnssec.as_ref().unwrap_or(&pair.plain),
            Dnssec::Unwanted => &pair.plain,
        }
    }
}

impl Pair {
    fn new(zone: &ServedZone, index: Index, record_type: RecordType) -> Self {
        let plain = body(zone, index, record_type, Dnssec::Unwanted);
        let dnssec = Some(body(zone, index, record_type, Dnssec::Wanted)).filter(|body| *body != plain);
        Self { plain, dnssec }
    }
}

fn body(zone: &ServedZone, index: Index, record_type: RecordType, dnssec: Dnssec) -> Body {
    let name = zone.node(index).owner();
    let key = name.key();
    let question = Question { name, key: &key, record_type, dnssec };
    let start = HEADER + name.octets().len() + TYPE_AND_CLASS;
    let mut message = vec![0; start];
    let head = write(&answer(zone, &question), &mut Writer::new(&mut message, name, usize::from(u16::MAX)));
    Body { octets: message.split_off(start).into(), head }
}
