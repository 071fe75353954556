//! Reads the message that nearly every asker sends: one question, and perhaps an OPT record.
//!
//! In: octets of a message. Out: a [`Query`] that borrows them; [`Received::Rare`] for anything else that asks for an
//! answer, which [`rare`](super::rare) looks at; nothing for what must not be answered: responses (or two servers could
//! answer each other for ever) and what has no whole header.
//!
//! RFC 1035 §4.1, RFC 6891 §6 (OPT), RFC 7873 §4 (COOKIE; §5.4: a query for a cookie alone has no question).

use super::name::WireName;
use super::prepared::TYPE_AND_CLASS;
use super::writer::HEADER;

/// The option code of COOKIE (RFC 7873 §4).
const COOKIE: u16 = 10;

/// The option code of NSID (RFC 5001 §2.3).
const NSID: u16 = 3;

/// The type number of OPT (RFC 6891 §6.1.1).
const OPT: u16 = 41;

/// What a message is.
#[derive(Debug)]
pub enum Received<'m> {
    /// A usual query.
    Query(Query<'m>),
    /// Something else that wants an answer.
    Rare,
    /// Not to be answered.
    Nothing,
}

/// A usual query.
#[derive(Debug, Clone, Copy)]
pub struct Query<'m> {
    /// The header.
    pub header: &'m [u8; HEADER],
    /// What is asked; `None` in a query for a cookie alone.
    pub question: Option<Asked<'m>>,
    /// What the OPT record says.
    pub edns: Option<Edns<'m>>,
}

/// The question section.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'m> {
    /// All of it, as it came.
    pub octets: &'m [u8],
    /// QNAME.
    pub name: WireName<'m>,
    /// QTYPE.
    pub record_type: u16,
    /// QCLASS.
    pub class: u16,
}

/// What the OPT record says.
#[derive(Debug, Clone, Copy)]
pub struct Edns<'m> {
    /// The largest UDP answer that the asker takes, in octets.
    pub payload: u16,
    /// The version.
    pub version: u8,
    /// The DO bit.
    pub dnssec_ok: bool,
    /// The data of the first COOKIE option, of any length.
    pub cookie: Option<&'m [u8]>,
    /// Whether the server's name is wanted (NSID).
    pub wants_nsid: bool,
}

/// Reads a message.
pub fn read(message: &[u8]) -> Received<'_> {
    let Some((header, rest)) = message.split_first_chunk::<HEADER>() else { return Received::Nothing };
    if header[2] & 0x80 != 0 {
        return Received::Nothing;
    }
    usual(header, rest).map_or(Received::Rare, Received::Query)
}

fn usual<'m>(header: &'m [u8; HEADER], rest: &'m [u8]) -> Option<Query<'m>> {
    let opcode = header[2] & 0x78;
    let [questions, answers, authorities, additionals] =
        [4, 6, 8, 10].map(|at| u16::from_be_bytes([header[at], header[at + 1]]));
    if opcode != 0 || questions > 1 || answers > 0 || authorities > 0 || additionals > 1 {
        return None;
    }
    let (question, rest) = match questions {
        0 => (None, rest),
        _ => read_question(rest).map(|(question, rest)| (Some(question), rest))?,
    };
    let (edns, rest) = match additionals {
        0 => (None, rest),
        _ => read_opt(rest).map(|(edns, rest)| (Some(edns), rest))?,
    };
    rest.is_empty().then_some(Query { header, question, edns })
}

fn read_question(octets: &[u8]) -> Option<(Asked<'_>, &[u8])> {
    let name = WireName::read(octets)?;
    let (octets, rest) = octets.split_at_checked(name.octets().len() + TYPE_AND_CLASS)?;
    let [.., a, b, c, d] = octets else { return None };
    let (record_type, class) = (u16::from_be_bytes([*a, *b]), u16::from_be_bytes([*c, *d]));
    Some((Asked { octets, name, record_type, class }, rest))
}

/// RFC 6891 §6.1.2: the root's name, the type, and the class and TTL with meanings of their own.
fn read_opt(octets: &[u8]) -> Option<(Edns<'_>, &[u8])> {
    let ([0, t1, t2, p1, p2, _, version, flags, _, l1, l2], rest) = octets.split_first_chunk()? else {
        return None;
    };
    if u16::from_be_bytes([*t1, *t2]) != OPT {
        return None;
    }
    let (options, rest) = rest.split_at_checked(u16::from_be_bytes([*l1, *l2]).into())?;
    let (cookie, wants_nsid) = read_options(options)?;
    let edns = Edns {
        payload: u16::from_be_bytes([*p1, *p2]),
        version: *version,
        dnssec_ok: flags & 0x80 != 0,
        cookie,
        wants_nsid,
    };
    Some((edns, rest))
}

/// The first COOKIE among the options (RFC 7873 §5.2: later ones are ignored), and whether NSID is; `None` where they are
/// torn.
fn read_options(mut options: &[u8]) -> Option<(Option<&[u8]>, bool)> {
    let (mut cookie, mut wants_nsid) = (None, false);
    while !options.is_empty() {
        let ([c1, c2, l1, l2], rest) = options.split_first_chunk()?;
        let (data, rest) = rest.split_at_checked(u16::from_be_bytes([*l1, *l2]).into())?;
        match u16::from_be_bytes([*c1, *c2]) {
            COOKIE => cookie = cookie.or(Some(data)),
            NSID => wants_nsid = true,
            _ => {}
        }
        options = rest;
    }
    Some((cookie, wants_nsid))
}
