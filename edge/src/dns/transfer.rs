//! Zone transfers to secondaries: the whole zone (AXFR, RFC 5936) or what has changed (IXFR, RFC 1995).
//!
//! In: a believed question for a transfer, and the zone. Out: messages, each filled with records, names compressed, and
//! signed. Refused: zones that are not here (NOTAUTH), and those that are not for this secondary (REFUSED). A secondary that is not behind gets the
//! SOA alone; one whose serial is not known here any more the whole zone.
//!
//! RFC 1995 §2 lets UDP carry an answer that fits; here it always says the SOA, which sends the secondary to TCP.

use std::sync::Arc;

use hickory_proto::op::ResponseCode;
use postern_shared::secondary::TransferKind;
use postern_shared::zone::is_older;

use super::difference::Item;
use super::message::{self, IN};
use super::name::WireName;
use super::respond::{Context, MAX_UDP_PAYLOAD};
use super::signed::Proven;
use super::tsig::Conversation;
use super::writer::{Full, HEADER, Writer};
use super::zones::ServedZone;

/// Question types (RFC 5936 §2.1.2, RFC 1995 §3).
const IXFR: u16 = 251;
const AXFR: u16 = 252;
const SOA: u16 = 6;
const OPT: u16 = 41;

/// A question for a transfer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Header and question as they came.
    head: Vec<u8>,
    /// The apex, in wire form.
    apex: Vec<u8>,
    /// The serial that the asker has; none in a question for the whole zone.
    serial: Option<u32>,
    /// Whether it came with an OPT record.
    has_edns: bool,
}

/// What is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// The SOA alone.
    Current,
    /// The whole zone.
    Whole,
    /// The differences since a serial.
    Since(u32),
}

/// A transfer that may begin.
#[derive(Debug)]
pub struct Transfer {
    /// The zone of this moment.
    pub zone: Arc<ServedZone>,
    /// What of it is sent.
    pub content: Content,
    /// To whom.
    pub secondary: String,
    request: Request,
    conversation: Conversation,
}

/// The messages of one transfer.
pub struct Messages<'t, I: Iterator<Item = Item<'t>>> {
    request: &'t Request,
    conversation: Conversation,
    items: std::iter::Peekable<I>,
    is_first: bool,
}

impl Request {
    /// Reads a question for a transfer; `None` where a message is none.
    pub fn read(octets: &[u8]) -> Option<Self> {
        let sections = message::read(octets)?;
        let ([question], []) = (sections.questions.as_slice(), sections.answers.as_slice()) else {
            return None;
        };
        if sections.header[2] & 0x78 != 0 || question.class != IN {
            return None;
        }
        let serial = match (question.record_type, sections.authorities.as_slice()) {
            (AXFR, []) => None,
            // RFC 1995 §3: the SOA of the version that the asker has.
            (IXFR, [soa]) if soa.record_type == SOA && soa.owner.eq_ignore_ascii_case(&question.owner) => {
                Some(message::soa_serial(soa.rdata)?)
            }
            _ => return None,
        };
        Some(Self {
            head: octets.get(..sections.questions_end)?.to_vec(),
            apex: question.owner.clone(),
            serial,
            has_edns: sections.additionals.iter().any(|record| record.record_type == OPT),
        })
    }

    /// The apex of the zone, in wire form.
    pub fn apex(&self) -> &[u8] {
        &self.apex
    }

    /// The same, for what can carry one message only: a question for differences then gets the SOA.
    pub fn is_for_differences(&self) -> bool {
        self.serial.is_some()
    }

    /// Whether a message looks like one, whoever sends it.
    pub fn is_in(octets: &[u8]) -> bool {
        let Some(name) = octets.get(HEADER..).and_then(WireName::read) else { return false };
        let number = octets.get(HEADER + name.octets().len()..).and_then(|rest| rest.first_chunk());
        matches!(number.map(|number| u16::from_be_bytes(*number)), Some(AXFR | IXFR))
    }

    /// The zone that is asked for, if this secondary may have it.
    ///
    /// # Errors
    /// The RCODE of the refusal.
    pub fn zone(&self, secondary: &str, context: &Context<'_>) -> Result<Arc<ServedZone>, ResponseCode> {
        let apex = WireName::read(&self.apex).ok_or(ResponseCode::FormErr)?.key();
        // RFC 5936 §2.2.1, note e.
        let zone = context.zones.at(&apex).ok_or(ResponseCode::NotAuth)?;
        let may = context.secondaries.may_have(secondary, &zone.origin.to_string());
        if may { Ok(Arc::clone(zone)) } else { Err(ResponseCode::Refused) }
    }

    /// What of `zone` answers it over TCP.
    pub fn content(&self, zone: &ServedZone) -> Content {
        match self.serial {
            None => Content::Whole,
            // RFC 1995 §2: a secondary that has this or a newer version gets the SOA.
            Some(serial) if !is_older(serial, zone.serial) => Content::Current,
            Some(serial) if zone.history.since(serial).is_some() => Content::Since(serial),
            Some(_) => Content::Whole,
        }
    }
}

impl Content {
    /// The records, in the order in which they are sent (RFC 5936 §2.2, RFC 1995 §4).
    pub fn items(self, zone: &ServedZone) -> Box<dyn Iterator<Item = Item<'_>> + Send + '_> {
        let soa = || std::iter::once(zone.soa());
        match self {
            Self::Current => Box::new(soa()),
            Self::Whole => Box::new(soa().chain(zone.body()).chain(soa())),
            Self::Since(serial) => {
                let differences = zone.history.since(serial).unwrap_or_default();
                Box::new(soa().chain(differences.iter().flat_map(|one| one.items())).chain(soa()))
            }
        }
    }

    /// How it is counted; `None` where nothing is transferred.
    pub fn kind(self) -> Option<TransferKind> {
        match self {
            Self::Current => None,
            Self::Whole => Some(TransferKind::Axfr),
            Self::Since(_) => Some(TransferKind::Ixfr),
        }
    }
}

impl Transfer {
    /// The transfer that a believed message asks for, where there is one to be made.
    pub fn new(proven: Proven, context: &Context<'_>) -> Option<Self> {
        let request = Request::read(&proven.message)?;
        let zone = request.zone(&proven.secondary, context).ok()?;
        let content = request.content(&zone);
        let Proven { conversation, secondary, .. } = proven;
        Some(Self { zone, content, secondary, request, conversation })
    }

    /// The one message that UDP carries: the SOA.
    pub fn in_one_message(self, now: u64) -> Option<Vec<u8>> {
        let transfer = Self { content: Content::Current, ..self };
        transfer.messages().next_message(now)?.ok()
    }

    /// Its messages.
    pub fn messages(&self) -> Messages<'_, Box<dyn Iterator<Item = Item<'_>> + Send + '_>> {
        Messages {
            request: &self.request,
            conversation: self.conversation.clone(),
            items: self.content.items(&self.zone).peekable(),
            is_first: true,
        }
    }
}

impl<'t, I: Iterator<Item = Item<'t>>> Messages<'t, I> {
    /// The next message, signed at `now`, in seconds since 1970; `None` after the last.
    ///
    /// # Errors
    /// [`Full`] where a record fits into no message.
    pub fn next_message(&mut self, now: u64) -> Option<Result<Vec<u8>, Full>> {
        self.items.peek()?;
        let mut message = self.request.head.clone();
        let opt = if self.is_first && self.request.has_edns { OPT_RECORD.as_slice() } else { &[] };
        let limit = usize::from(u16::MAX) - self.conversation.record_length() - opt.len();
        let apex = WireName::read(&self.request.apex)?;
        let mut writer = Writer::new(&mut message, apex, limit);
        let mut count = 0_u16;
        while let Some(item) = self.items.peek().copied().filter(|_| count < u16::MAX) {
            if writer.put_item(item).is_err() {
                break;
            }
            self.items.next();
            count += 1;
        }
        if count == 0 {
            return Some(Err(Full));
        }
        message.extend_from_slice(opt);
        write_header(&mut message, count, u8::from(!opt.is_empty()));
        self.conversation.sign(&mut message, now);
        self.is_first = false;
        Some(Ok(message))
    }
}

/// An OPT record without options (RFC 6891 §6.1.2).
const OPT_RECORD: [u8; 11] = {
    let [high, low] = MAX_UDP_PAYLOAD.to_be_bytes();
    [0, 0, OPT as u8, high, low, 0, 0, 0, 0, 0, 0]
};

/// RFC 5936 §2.2.1: an authoritative answer, with the question in each message.
fn write_header(message: &mut [u8], answers: u16, additionals: u8) {
    if let Some(header) = message.first_chunk_mut::<HEADER>() {
        let [high, low] = answers.to_be_bytes();
        header[2] = 0x84 | header[2] & 0x01;
        header[3] = 0;
        header[6..].copy_from_slice(&[high, low, 0, 0, 0, additionals]);
    }
}

#[cfg(test)]
mod tests;
