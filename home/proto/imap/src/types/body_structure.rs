//! The MIME structure of a message (RFC 9051 §7.5.2 BODYSTRUCTURE), with the place of every part.
//!
//! Part numbers follow RFC 9051 §6.4.5: `1` of a message that is not multipart is its body; the parts of a
//! message/rfc822 part that is multipart are numbered below that part.

use crate::response::encode;
use crate::types::{Envelope, Section, SectionText};

/// A parameter of Content-Type or Content-Disposition.
pub type Parameter = (Vec<u8>, Vec<u8>);

/// Content-Disposition: its type and parameters.
pub type Disposition = (Vec<u8>, Vec<Parameter>);

/// Octets `start..end` of the raw message.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Span {
    /// First octet.
    pub start: u64,
    /// One past the last octet.
    pub end: u64,
}

impl Span {
    /// Octets in the span.
    pub fn len(self) -> u64 {
        self.end.saturating_sub(self.start)
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }
}

/// A body part, or a whole message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BodyStructure {
    /// What kind it is, with what only that kind has.
    pub kind: BodyKind,
    /// Content-Type's type.
    pub media_type: Vec<u8>,
    /// Content-Type's subtype.
    pub subtype: Vec<u8>,
    /// Content-Type's parameters.
    pub parameters: Vec<Parameter>,
    /// Content-ID.
    pub id: Option<Vec<u8>>,
    /// Content-Description.
    pub description: Option<Vec<u8>>,
    /// Content-Transfer-Encoding; `7BIT` when absent.
    pub encoding: Vec<u8>,
    /// Content-MD5.
    pub md5: Option<Vec<u8>>,
    /// Content-Disposition.
    pub disposition: Option<Disposition>,
    /// Content-Language.
    pub language: Vec<Vec<u8>>,
    /// Content-Location.
    pub location: Option<Vec<u8>>,
    /// The header with the empty line that ends it.
    pub header: Span,
    /// The body as transferred (encoded).
    pub body: Span,
}

/// The kinds of body that the wire tells apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BodyKind {
    /// multipart/*
    Multipart(Vec<BodyStructure>),
    /// text/*
    Text {
        /// Lines of the encoded body.
        lines: u64,
    },
    /// message/rfc822 and message/global
    Message {
        /// Lines of the encoded body.
        lines: u64,
        /// The inner message's envelope.
        envelope: Box<Envelope>,
        /// The inner message's structure; its spans point into the same raw message.
        structure: Box<BodyStructure>,
    },
    /// Anything else.
    Basic,
}

impl BodyStructure {
    /// Writes `body`; with the extension data of BODYSTRUCTURE, or without it as for BODY.
    pub fn encode(&self, detail: Detail, out: &mut Vec<u8>) {
        out.push(b'(');
        match &self.kind {
            BodyKind::Multipart(parts) => self.encode_multipart(parts, detail, out),
            _ => self.encode_single(detail, out),
        }
        out.push(b')');
    }

    /// The part that `path` names, from this message; `None` when there is no such part.
    pub fn part(&self, path: &[u32]) -> Option<&BodyStructure> {
        let Some((&number, deeper)) = path.split_first() else {
            return Some(self);
        };
        let index = usize::try_from(number.checked_sub(1)?).ok()?;
        let part = match &self.kind {
            BodyKind::Multipart(parts) => parts.get(index)?,
            _ if index == 0 => self,
            _ => return None,
        };
        match (&part.kind, deeper) {
            (_, []) => Some(part),
            (BodyKind::Multipart(_), deeper) => part.part(deeper),
            (BodyKind::Message { structure, .. }, deeper) => structure.part(deeper),
            _ => None,
        }
    }

    /// Where the octets of a section stand in the raw message; for HEADER.FIELDS the header they are
    /// taken from. `None` when the message has no such section.
    pub fn span(&self, section: &Section) -> Option<Span> {
        let part = self.part(&section.part)?;
        let whole_message = section.part.is_empty();
        match (&section.text, &part.kind) {
            (None, _) if whole_message => Some(Span { start: part.header.start, end: part.body.end }),
            (None, _) => Some(part.body),
            (Some(SectionText::Mime), _) => (!whole_message).then_some(part.header),
            (Some(SectionText::Text), _) if whole_message => Some(part.body),
            (Some(_), _) if whole_message => Some(part.header),
            (Some(SectionText::Text), BodyKind::Message { structure, .. }) => Some(structure.body),
            (Some(_), BodyKind::Message { structure, .. }) => Some(structure.header),
            (Some(_), _) => None,
        }
    }

    fn encode_multipart(&self, parts: &[BodyStructure], detail: Detail, out: &mut Vec<u8>) {
        for part in parts {
            part.encode(detail, out);
        }
        out.push(b' ');
        encode::string(&self.subtype, out);
        if detail == Detail::Extended {
            out.push(b' ');
            parameters(&self.parameters, out);
            self.encode_extension(out);
        }
    }

    fn encode_single(&self, detail: Detail, out: &mut Vec<u8>) {
        encode::string(&self.media_type, out);
        out.push(b' ');
        encode::string(&self.subtype, out);
        out.push(b' ');
        parameters(&self.parameters, out);
        for text in [&self.id, &self.description] {
            out.push(b' ');
            encode::nstring(text.as_deref(), out);
        }
        out.push(b' ');
        encode::string(&self.encoding, out);
        out.extend_from_slice(format!(" {}", self.body.len()).as_bytes());
        self.encode_kind(detail, out);
        if detail == Detail::Extended {
            out.push(b' ');
            encode::nstring(self.md5.as_deref(), out);
            self.encode_extension(out);
        }
    }

    fn encode_kind(&self, detail: Detail, out: &mut Vec<u8>) {
        match &self.kind {
            BodyKind::Text { lines } => out.extend_from_slice(format!(" {lines}").as_bytes()),
            BodyKind::Message { lines, envelope, structure } => {
                out.push(b' ');
                envelope.encode(out);
                out.push(b' ');
                structure.encode(detail, out);
                out.extend_from_slice(format!(" {lines}").as_bytes());
            }
            BodyKind::Basic | BodyKind::Multipart(_) => {}
        }
    }

    /// `body-fld-dsp`, `body-fld-lang`, `body-fld-loc`, each with the space before it.
    fn encode_extension(&self, out: &mut Vec<u8>) {
        out.push(b' ');
        match &self.disposition {
            None => out.extend_from_slice(b"NIL"),
            Some((kind, list)) => {
                out.push(b'(');
                encode::string(kind, out);
                out.push(b' ');
                parameters(list, out);
                out.push(b')');
            }
        }
        out.push(b' ');
        match self.language.as_slice() {
            [] => out.extend_from_slice(b"NIL"),
            languages => encode::parenthesised(languages, |language, out| encode::string(language, out), out),
        }
        out.push(b' ');
        encode::nstring(self.location.as_deref(), out);
    }
}

/// BODY or BODYSTRUCTURE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// BODY: no extension data.
    Basic,
    /// BODYSTRUCTURE.
    Extended,
}

fn parameters(list: &[Parameter], out: &mut Vec<u8>) {
    if list.is_empty() {
        return out.extend_from_slice(b"NIL");
    }
    let texts = list.iter().flat_map(|(name, value)| [name, value]);
    encode::parenthesised(texts, |text, out| encode::string(text, out), out);
}
