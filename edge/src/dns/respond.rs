//! From one message to its answer, octets to octets: header bits, EDNS, cookies and size.
//!
//! In: a message, who sent it and how, and the zones. Out: the answer's octets, or none. Refused: names outside our zones,
//! classes other than IN and zone transfers without a key (REFUSED), EDNS versions other than 0 (BADVERS), impossible cookies
//! (FORMERR); what is no usual query and not signed goes to [`rare`]. RA is never set.
//!
//! A UDP answer is at most [`MAX_UDP_PAYLOAD`] octets, and at most what the asker takes. What does not fit loses additional
//! records first, and then everything, with TC set (RFC 2181 §9): an amplifier that gives little. RFC 1035 §4, RFC 6891,
//! RFC 7873, RFC 9715.

use std::net::IpAddr;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::{DNSClass, RecordType};

use super::answer::{Dnssec, Question, answer};
use super::cookie::{self, Cookies, Judged};
use super::prepared::{Head, write};
use super::query::{self, Asked, Edns, Query, Received};
use super::rare;
use super::secondaries::SharedSecondaries;
use super::signed::{Opened, Proven, Refusal, open, without_records};
use super::transfer::{Request, Transfer};
use super::writer::{HEADER, Writer};
use super::zones::{Place, ServedZone, ZoneSet};

/// The largest UDP answer, in octets: no fragments on any usual path (RFC 9715 §3.1 recommends 1400 or less).
pub const MAX_UDP_PAYLOAD: u16 = 1232;

/// The largest UDP answer to an asker without EDNS (RFC 1035 §4.2.1).
const CLASSIC_UDP_PAYLOAD: u16 = 512;

/// Octets of an OPT record without options, and of the head of an option (RFC 6891 §6.1.2).
const OPT_LENGTH: usize = 11;
const OPTION_HEAD: usize = 4;

/// Where the upper bits of the RCODE stand in an OPT record (RFC 6891 §6.1.3).
const EXTENDED_RCODE: usize = 5;

/// The longest name that a server may have for those who ask, octets.
pub const LONGEST_NSID: usize = 64;

/// How a message came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// From an address that may be forged.
    Udp,
    /// On a connection.
    Tcp,
}

/// Everything that an answer depends on beside the message.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The zones.
    pub zones: &'a ZoneSet,
    /// The maker of server cookies.
    pub cookies: &'a Cookies,
    /// What this server is called for those who ask (NSID), up to [`LONGEST_NSID`] octets; nothing where empty.
    pub nsid: &'a str,
    /// Who has keys.
    pub secondaries: &'a SharedSecondaries,
    /// Seconds since 1970.
    pub now: u64,
}

/// Who asks.
#[derive(Debug, Clone, Copy)]
pub struct Asker {
    /// The address.
    pub address: IpAddr,
    /// The transport.
    pub transport: Transport,
}

/// What is to be known of an answer that was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reply {
    /// Where its records begin, in octets.
    pub records: usize,
    /// Where its OPT record begins; its length where it has none.
    pub opt: usize,
    /// Whether the asker has proven its address with a cookie.
    pub is_proven: bool,
    /// Whether the answer gives the asker a cookie.
    pub has_cookie: bool,
}

/// Answers one message into `out`, whose former content goes. `None`: no answer must be given.
pub fn respond(message: &[u8], asker: Asker, context: &Context<'_>, out: &mut Vec<u8>) -> Option<Reply> {
    out.clear();
    match query::read(message) {
        Received::Query(query) => Some(answer_query(&query, asker, context, 0, out)),
        Received::Rare => match open(message, asker, context) {
            Opened::Unsigned if Request::is_in(message) => {
                Some(refuse(without_records(message, ResponseCode::Refused), out))
            }
            Opened::Unsigned => answer_rare(message, out),
            Opened::Refused(refusal) => Some(refuse(refusal, out)),
            Opened::Proven(proven) => answer_proven(*proven, asker, context, out),
        },
        Received::Nothing => None,
    }
}

fn answer_rare(message: &[u8], out: &mut Vec<u8>) -> Option<Reply> {
    rare::refuse(message, out)?;
    Some(Reply { records: out.len(), opt: out.len(), is_proven: false, has_cookie: false })
}

fn refuse(refusal: Refusal, out: &mut Vec<u8>) -> Reply {
    *out = refusal.octets;
    Reply { records: refusal.records, opt: refusal.records, is_proven: false, has_cookie: false }
}

/// Answers a secondary, signed.
fn answer_proven(
    mut proven: Proven,
    asker: Asker,
    context: &Context<'_>,
    out: &mut Vec<u8>,
) -> Option<Reply> {
    if Request::read(&proven.message).is_some() {
        return answer_transfer(proven, asker, context, out);
    }
    let reply = match query::read(&proven.message) {
        Received::Query(query) => {
            answer_query(&query, asker, context, proven.conversation.record_length(), out)
        }
        Received::Rare => answer_rare(&proven.message, out)?,
        Received::Nothing => return None,
    };
    proven.conversation.sign(out, context.now);
    Some(Reply { is_proven: true, ..reply })
}

/// Answers a question for a transfer where none is made: over UDP, and where it may not be or cannot be now.
fn answer_transfer(
    mut proven: Proven,
    asker: Asker,
    context: &Context<'_>,
    out: &mut Vec<u8>,
) -> Option<Reply> {
    let request = Request::read(&proven.message)?;
    let rcode = match request.zone(&proven.secondary, context) {
        Err(rcode) => rcode,
        Ok(_) if asker.transport == Transport::Tcp => ResponseCode::ServFail,
        // RFC 5936 §4.2: there is no AXFR over UDP.
        Ok(_) if !request.is_for_differences() => ResponseCode::Refused,
        Ok(_) => {
            *out = Transfer::new(proven, context)?.in_one_message(context.now)?;
            return Some(Reply { records: out.len(), opt: out.len(), is_proven: true, has_cookie: false });
        }
    };
    let reply = refuse(without_records(&proven.message, rcode), out);
    proven.conversation.sign(out, context.now);
    Some(Reply { is_proven: true, ..reply })
}

/// Takes the records out of an answer. An asker that knows cookies is told to ask again with the one that it gets
/// (BADCOOKIE, RFC 7873 §5.2.3); the others get TC, and may come back over TCP.
pub fn shorten(reply: Reply, out: &mut Vec<u8>) {
    let has_opt = u8::from(reply.opt < out.len());
    out.drain(reply.records..reply.opt);
    let extended = out.get_mut(reply.records + EXTENDED_RCODE).filter(|_| reply.has_cookie);
    let has_rcode = extended.map(|octet| *octet = ResponseCode::BADCOOKIE.high()).is_some();
    if let Some(header) = out.first_chunk_mut::<HEADER>() {
        if has_rcode {
            header[3] = header[3] & 0xf0 | ResponseCode::BADCOOKIE.low();
        } else {
            header[2] |= 0x02;
        }
        header[6..].copy_from_slice(&[0, 0, 0, 0, 0, has_opt]);
    }
}

/// `reserved` octets are left for what the caller appends.
fn answer_query(
    query: &Query<'_>,
    asker: Asker,
    context: &Context<'_>,
    reserved: usize,
    out: &mut Vec<u8>,
) -> Reply {
    let judged = query
        .edns
        .and_then(|edns| edns.cookie)
        .map(|data| context.cookies.judge(data, asker.address, context.now as u32));
    // RFC 5001 §2.2: only for those who ask.
    let nsid = query.edns.filter(|edns| edns.wants_nsid).map_or("", |_| context.nsid);
    let options = Options { cookie: judged.flatten(), nsid };
    let opt_length = query.edns.map_or(0, |_| OPT_LENGTH + options.length());
    out.extend_from_slice(query.header);
    out.extend_from_slice(query.question.map_or(&[], |question| question.octets));
    let records = out.len();
    let limit = size_limit(query.edns, asker.transport).saturating_sub(opt_length + reserved);
    let head = match (refusal(query, judged), query.question) {
        (None, Some(question)) => answer_question(&question, dnssec_of(query), context.zones, limit, out),
        (rcode, _) => Head { rcode: rcode.unwrap_or_default(), ..Head::default() },
    };
    let opt = out.len();
    write_header(&head, query, out);
    if let Some(edns) = query.edns {
        write_opt(head.rcode, &edns, &options, out);
    }
    let is_proven = options.cookie.is_some_and(|judged| judged.is_proven);
    Reply { records, opt, is_proven, has_cookie: options.cookie.is_some() }
}

/// What is wrong with a query, whatever it asks.
fn refusal(query: &Query<'_>, judged: Option<Option<Judged>>) -> Option<ResponseCode> {
    // RFC 6891 §6.1.3: the version is looked at before the rest.
    if query.edns.is_some_and(|edns| edns.version > 0) {
        return Some(ResponseCode::BADVERS);
    }
    match (judged, query.question) {
        (Some(None), _) | (None, None) => Some(ResponseCode::FormErr),
        _ => None,
    }
}

fn size_limit(edns: Option<Edns<'_>>, transport: Transport) -> usize {
    let limit = match (transport, edns) {
        (Transport::Tcp, _) => u16::MAX,
        (Transport::Udp, Some(edns)) => edns.payload.clamp(CLASSIC_UDP_PAYLOAD, MAX_UDP_PAYLOAD),
        (Transport::Udp, None) => CLASSIC_UDP_PAYLOAD,
    };
    limit.into()
}

fn dnssec_of(query: &Query<'_>) -> Dnssec {
    match query.edns {
        Some(edns) if edns.dnssec_ok => Dnssec::Wanted,
        _ => Dnssec::Unwanted,
    }
}

fn answer_question(
    asked: &Asked<'_>,
    dnssec: Dnssec,
    zones: &ZoneSet,
    limit: usize,
    out: &mut Vec<u8>,
) -> Head {
    let refused = Head { rcode: ResponseCode::Refused, ..Head::default() };
    let record_type = RecordType::from(asked.record_type);
    let is_transfer = matches!(record_type, RecordType::AXFR | RecordType::IXFR);
    if asked.class != u16::from(DNSClass::IN) || is_transfer {
        return refused;
    }
    let key = asked.name.key();
    let Some(zone) = zones.find(&key, record_type) else { return refused };
    let question = Question { name: asked.name, key: &key, record_type, dnssec };
    copy_prepared(zone, &question, limit, out).unwrap_or_else(|| search(zone, &question, limit, out))
}

/// The answer that was made in advance, where there is one and it fits.
fn copy_prepared(
    zone: &ServedZone,
    question: &Question<'_>,
    limit: usize,
    out: &mut Vec<u8>,
) -> Option<Head> {
    let Place::At(index) = zone.place(zone.key_below(question.key)?) else { return None };
    let body = zone.prepared(index)?.body(question.record_type, question.dnssec);
    if out.len() + body.octets.len() > limit {
        return None;
    }
    out.extend_from_slice(&body.octets);
    Some(body.head)
}

fn search(zone: &ServedZone, question: &Question<'_>, limit: usize, out: &mut Vec<u8>) -> Head {
    let records = out.len();
    let head = write(&answer(zone, question), &mut Writer::new(out, question.name, limit));
    if head.truncated {
        out.truncate(records);
    }
    head
}

/// Turns the query's header, which `out` begins with, into the answer's. RFC 4035 §3.1.6: CD is cleared, as nothing is
/// checked here.
fn write_header(head: &Head, query: &Query<'_>, out: &mut [u8]) {
    let Some(header) = out.first_chunk_mut::<HEADER>() else { return };
    let recursion_desired = header[2] & 0x01;
    header[2] = 0x80 | u8::from(head.authoritative) << 2 | u8::from(head.truncated) << 1 | recursion_desired;
    header[3] = head.rcode.low();
    let additionals = head.counts[2] + u16::from(query.edns.is_some());
    for (place, count) in header[6..].chunks_exact_mut(2).zip([head.counts[0], head.counts[1], additionals]) {
        place.copy_from_slice(&count.to_be_bytes());
    }
}

/// RFC 6891 §6.1.1: OPT answers OPT. RFC 3225 §3: DO is given back as it came.
fn write_opt(rcode: ResponseCode, edns: &Edns<'_>, options: &Options<'_>, out: &mut Vec<u8>) {
    const OPT: u8 = 41;
    let [size_high, size_low] = MAX_UDP_PAYLOAD.to_be_bytes();
    let flags = u8::from(edns.dnssec_ok) << 7;
    out.extend_from_slice(&[
        0,
        0,
        OPT,
        size_high,
        size_low,
        rcode.high(),
        0,
        flags,
        0,
        0,
        options.length() as u8,
    ]);
    options.write(out);
}

/// The options of an answer.
struct Options<'a> {
    cookie: Option<Judged>,
    nsid: &'a str,
}

impl Options<'_> {
    /// Octets: at most those of a cookie and of [`LONGEST_NSID`] and their heads.
    fn length(&self) -> usize {
        let cookie = self.cookie.map_or(0, |_| OPTION_HEAD + cookie::LENGTH);
        let nsid = if self.nsid.is_empty() { 0 } else { OPTION_HEAD + self.nsid.len() };
        cookie + nsid
    }

    fn write(&self, out: &mut Vec<u8>) {
        const COOKIE: u8 = 10;
        const NSID: u8 = 3;
        if let Some(judged) = self.cookie {
            out.extend_from_slice(&[0, COOKIE, 0, cookie::LENGTH as u8]);
            out.extend_from_slice(&judged.answer);
        }
        if !self.nsid.is_empty() {
            out.extend_from_slice(&[0, NSID, 0, self.nsid.len() as u8]);
            out.extend_from_slice(self.nsid.as_bytes());
        }
    }
}

#[cfg(test)]
mod tests;
