//! The structure as it is kept in the database.
//!
//! ```text
//! record    = %x01 structure                 ; the version
//! structure = envelope opt(references) part
//! envelope  = opt(date) opt(subject) list(from) list(sender) list(reply-to) list(to) list(cc) list(bcc)
//!             opt(in-reply-to) opt(message-id)
//! list      = count *(opt(name) opt(route) opt(mailbox) opt(host))
//! part      = header-start header-length body-length lines octets(type) octets(subtype) parameters opt(id)
//!             opt(description) octets(encoding) opt(md5) (%x00 / %x01 octets(kind) parameters)
//!             count *octets(language) opt(location) content
//! content   = %x00 / %x01 count *part / %x02 structure
//! ```
//! Numbers are LEB128. Octets are a length and that many octets; an optional value is its length plus one, or 0.
//! The body of a part begins where its header ends.

use super::{Address, Content, Disposition, Envelope, Octets, Parameter, Part, Structure};
use crate::{Error, Result};

const VERSION: u8 = 1;

/// Deeper than any structure that the parser makes: two levels for each of its own.
const MAX_DEPTH: usize = 256;

impl Structure {
    /// The stored form.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer(vec![VERSION]);
        writer.structure(self);
        writer.0
    }

    /// Reads the stored form.
    ///
    /// # Errors
    /// `Corrupt` if it is none.
    pub fn decode(stored: &[u8]) -> Result<Structure> {
        let corrupt = || Error::Corrupt("a stored message structure".to_owned());
        let (version, rest) = stored.split_first().ok_or_else(corrupt)?;
        let mut reader = Reader { rest, depth: 0 };
        let structure = if *version == VERSION { reader.structure() } else { None };
        structure.filter(|_| reader.rest.is_empty()).ok_or_else(corrupt)
    }
}

impl Envelope {
    /// Reads the beginning of a stored form: a list of messages is made of envelopes, and their parts would be the
    /// larger half of the work.
    ///
    /// # Errors
    /// `Corrupt` if it is none.
    pub fn decode(stored: &[u8]) -> Result<Envelope> {
        let read = || {
            let rest = stored.strip_prefix(&[VERSION])?;
            Reader { rest, depth: 0 }.envelope()
        };
        read().ok_or_else(|| Error::Corrupt("a stored message structure".to_owned()))
    }
}

/// What a stored structure mentions of other messages, and nothing else of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mentioned<'a> {
    /// `Subject`
    pub subject: Option<&'a [u8]>,
    /// `In-Reply-To`
    pub in_reply_to: Option<&'a [u8]>,
    /// `Message-ID`
    pub message_id: Option<&'a [u8]>,
    /// `References`
    pub references: Option<&'a [u8]>,
}

impl Mentioned<'_> {
    /// Reads the beginning of a stored form.
    ///
    /// # Errors
    /// `Corrupt` if it is none.
    pub fn decode(stored: &[u8]) -> Result<Mentioned<'_>> {
        let read = || {
            let rest = stored.strip_prefix(&[VERSION])?;
            Reader { rest, depth: 0 }.mentioned()
        };
        read().ok_or_else(|| Error::Corrupt("a stored message structure".to_owned()))
    }
}

struct Writer(Vec<u8>);

impl Writer {
    fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
    }

    fn octets(&mut self, octets: &[u8]) {
        self.number(octets.len() as u64);
        self.0.extend_from_slice(octets);
    }

    fn optional(&mut self, octets: Option<&Octets>) {
        match octets {
            None => self.number(0),
            Some(octets) => {
                self.number(octets.len() as u64 + 1);
                self.0.extend_from_slice(octets);
            }
        }
    }

    fn each<T>(&mut self, items: &[T], write: impl Fn(&mut Writer, &T)) {
        self.number(items.len() as u64);
        items.iter().for_each(|item| write(self, item));
    }

    fn structure(&mut self, structure: &Structure) {
        self.envelope(&structure.envelope);
        self.optional(structure.references.as_ref());
        self.part(&structure.root);
    }

    fn envelope(&mut self, envelope: &Envelope) {
        self.optional(envelope.date.as_ref());
        self.optional(envelope.subject.as_ref());
        let Envelope { from, sender, reply_to, to, cc, bcc, .. } = envelope;
        for list in [from, sender, reply_to, to, cc, bcc] {
            self.each(list, Writer::address);
        }
        self.optional(envelope.in_reply_to.as_ref());
        self.optional(envelope.message_id.as_ref());
    }

    fn address(&mut self, address: &Address) {
        let Address { name, route, mailbox, host } = address;
        [name, route, mailbox, host].into_iter().for_each(|octets| self.optional(octets.as_ref()));
    }

    fn parameter(&mut self, (name, value): &Parameter) {
        self.octets(name);
        self.octets(value);
    }

    fn part(&mut self, part: &Part) {
        self.number(part.header.start);
        self.number(part.header.end.saturating_sub(part.header.start));
        self.number(part.body.end.saturating_sub(part.body.start));
        self.number(part.lines);
        self.octets(&part.media_type);
        self.octets(&part.subtype);
        self.each(&part.parameters, Writer::parameter);
        self.optional(part.id.as_ref());
        self.optional(part.description.as_ref());
        self.octets(&part.encoding);
        self.optional(part.md5.as_ref());
        match &part.disposition {
            None => self.number(0),
            Some(disposition) => {
                self.number(1);
                self.octets(&disposition.kind);
                self.each(&disposition.parameters, Writer::parameter);
            }
        }
        self.each(&part.languages, |writer, language| writer.octets(language));
        self.optional(part.location.as_ref());
        self.content(&part.content);
    }

    fn content(&mut self, content: &Content) {
        match content {
            Content::Leaf => self.number(0),
            Content::Multipart(parts) => {
                self.number(1);
                self.each(parts, Writer::part);
            }
            Content::Message(message) => {
                self.number(2);
                self.structure(message);
            }
        }
    }
}

struct Reader<'a> {
    rest: &'a [u8],
    depth: usize,
}

impl<'a> Reader<'a> {
    fn number(&mut self) -> Option<u64> {
        let mut number = 0u64;
        for shift in (0..64).step_by(7) {
            let (octet, rest) = self.rest.split_first()?;
            self.rest = rest;
            number |= u64::from(octet & 0x7f).checked_shl(shift)?;
            if octet & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    fn take(&mut self, length: u64) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(usize::try_from(length).ok()?)?;
        self.rest = rest;
        Some(taken)
    }

    fn octets(&mut self) -> Option<Octets> {
        let length = self.number()?;
        self.take(length).map(<[u8]>::to_vec)
    }

    /// The outer `None` means that the stored form is broken.
    fn optional(&mut self) -> Option<Option<Octets>> {
        Some(self.optional_slice()?.map(<[u8]>::to_vec))
    }

    fn optional_slice(&mut self) -> Option<Option<&'a [u8]>> {
        match self.number()?.checked_sub(1) {
            None => Some(None),
            Some(length) => self.take(length).map(Some),
        }
    }

    fn mentioned(&mut self) -> Option<Mentioned<'a>> {
        self.optional_slice()?;
        let subject = self.optional_slice()?;
        for _list in 0..6 {
            for _field in 0..self.number()?.checked_mul(4)? {
                self.optional_slice()?;
            }
        }
        Some(Mentioned {
            subject,
            in_reply_to: self.optional_slice()?,
            message_id: self.optional_slice()?,
            references: self.optional_slice()?,
        })
    }

    fn each<T>(&mut self, read: impl Fn(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let count = self.number()?;
        let mut items = Vec::new();
        for _ in 0..count {
            items.push(read(self)?);
        }
        Some(items)
    }

    fn structure(&mut self) -> Option<Structure> {
        Some(Structure { envelope: self.envelope()?, references: self.optional()?, root: self.part()? })
    }

    fn envelope(&mut self) -> Option<Envelope> {
        Some(Envelope {
            date: self.optional()?,
            subject: self.optional()?,
            from: self.each(Reader::address)?,
            sender: self.each(Reader::address)?,
            reply_to: self.each(Reader::address)?,
            to: self.each(Reader::address)?,
            cc: self.each(Reader::address)?,
            bcc: self.each(Reader::address)?,
            in_reply_to: self.optional()?,
            message_id: self.optional()?,
        })
    }

    fn address(&mut self) -> Option<Address> {
        Some(Address {
            name: self.optional()?,
            route: self.optional()?,
            mailbox: self.optional()?,
            host: self.optional()?,
        })
    }

    fn parameter(&mut self) -> Option<Parameter> {
        Some((self.octets()?, self.octets()?))
    }

    fn part(&mut self) -> Option<Part> {
        let start = self.number()?;
        let header_end = start.checked_add(self.number()?)?;
        let body_end = header_end.checked_add(self.number()?)?;
        Some(Part {
            header: start..header_end,
            body: header_end..body_end,
            lines: self.number()?,
            media_type: self.octets()?,
            subtype: self.octets()?,
            parameters: self.each(Reader::parameter)?,
            id: self.optional()?,
            description: self.optional()?,
            encoding: self.octets()?,
            md5: self.optional()?,
            disposition: self.disposition()?,
            languages: self.each(Reader::octets)?,
            location: self.optional()?,
            content: self.content()?,
        })
    }

    fn disposition(&mut self) -> Option<Option<Disposition>> {
        match self.number()? {
            0 => Some(None),
            1 => Some(Some(Disposition { kind: self.octets()?, parameters: self.each(Reader::parameter)? })),
            _ => None,
        }
    }

    fn content(&mut self) -> Option<Content> {
        self.depth = Some(self.depth + 1).filter(|depth| *depth <= MAX_DEPTH)?;
        let content = match self.number()? {
            0 => Content::Leaf,
            1 => Content::Multipart(self.each(Reader::part)?),
            2 => Content::Message(Box::new(self.structure()?)),
            _ => return None,
        };
        self.depth -= 1;
        Some(content)
    }
}
