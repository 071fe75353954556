//! What FETCH asks for (RFC 9051 §6.4.5 `fetch-att`).

use crate::parser::{ParseError, Parser, Result};
use crate::types::{Partial, Section, SectionText, SeenEffect};

/// `fetch-att`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FetchItem {
    /// FLAGS
    Flags,
    /// UID
    Uid,
    /// INTERNALDATE
    InternalDate,
    /// RFC822.SIZE
    Rfc822Size,
    /// ENVELOPE
    Envelope,
    /// BODY: the structure without extension data.
    Body,
    /// BODYSTRUCTURE
    BodyStructure,
    /// BODY[...] and BODY.PEEK[...]
    BodySection {
        /// Which octets.
        section: Section,
        /// Only a range of them.
        partial: Option<Partial>,
        /// Whether this marks the message as read.
        seen: SeenEffect,
    },
    /// MODSEQ (RFC 7162 §3.1.4)
    ModSeq,
    /// EMAILID (RFC 8474 §5.3)
    EmailId,
    /// THREADID (RFC 8474 §5.3)
    ThreadId,
    /// SAVEDATE (RFC 8514 §4.2)
    SaveDate,
    /// PREVIEW (RFC 8970 §3)
    Preview(PreviewPriority),
    /// BINARY[...] and BINARY.PEEK[...] (RFC 3516 §4.2): without the transfer encoding.
    Binary {
        /// The number of the part; empty for the whole message.
        part: Vec<u32>,
        /// Only a range of the decoded octets.
        partial: Option<Partial>,
        /// Whether this marks the message as read.
        seen: SeenEffect,
    },
    /// BINARY.SIZE[...]: octets of the part without its transfer encoding.
    BinarySize(Vec<u32>),
    /// RFC822, answered under that name (RFC 3501 §6.4.5).
    Rfc822,
    /// RFC822.HEADER
    Rfc822Header,
    /// RFC822.TEXT
    Rfc822Text,
}

/// How urgent a preview is. Ours are stored, so both get one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PreviewPriority {
    /// PREVIEW
    Normal,
    /// PREVIEW (LAZY), RFC 8970 §4.1
    Lazy,
}

impl FetchItem {
    /// One item.
    pub(crate) fn parse(parser: &mut Parser<'_>) -> Result<FetchItem> {
        let word = parser
            .take_while(|octet| octet.is_ascii_alphanumeric() || octet == b'.', "Expected a fetch item")?;
        match (word.to_ascii_uppercase().as_slice(), parser.peek()) {
            (b"FLAGS", _) => Ok(FetchItem::Flags),
            (b"UID", _) => Ok(FetchItem::Uid),
            (b"INTERNALDATE", _) => Ok(FetchItem::InternalDate),
            (b"RFC822.SIZE", _) => Ok(FetchItem::Rfc822Size),
            (b"ENVELOPE", _) => Ok(FetchItem::Envelope),
            (b"BODYSTRUCTURE", _) => Ok(FetchItem::BodyStructure),
            (b"BODY", Some(b'[')) => FetchItem::section(parser, SeenEffect::SetSeen),
            (b"BODY.PEEK", Some(b'[')) => FetchItem::section(parser, SeenEffect::Keep),
            (b"BINARY", Some(b'[')) => FetchItem::binary(parser, SeenEffect::SetSeen),
            (b"BINARY.PEEK", Some(b'[')) => FetchItem::binary(parser, SeenEffect::Keep),
            (b"BINARY.SIZE", Some(b'[')) => Section::parse_binary(parser).map(FetchItem::BinarySize),
            (b"BODY", _) => Ok(FetchItem::Body),
            (b"MODSEQ", _) => Ok(FetchItem::ModSeq),
            (b"EMAILID", _) => Ok(FetchItem::EmailId),
            (b"THREADID", _) => Ok(FetchItem::ThreadId),
            (b"SAVEDATE", _) => Ok(FetchItem::SaveDate),
            (b"PREVIEW", _) => preview(parser).map(FetchItem::Preview),
            (b"RFC822", _) => Ok(FetchItem::Rfc822),
            (b"RFC822.HEADER", _) => Ok(FetchItem::Rfc822Header),
            (b"RFC822.TEXT", _) => Ok(FetchItem::Rfc822Text),
            _ => Err(ParseError::Syntax("Unknown fetch item")),
        }
    }

    fn section(parser: &mut Parser<'_>, seen: SeenEffect) -> Result<FetchItem> {
        let section = Section::parse(parser)?;
        let partial = Partial::parse(parser)?;
        Ok(FetchItem::BodySection { section, partial, seen })
    }

    fn binary(parser: &mut Parser<'_>, seen: SeenEffect) -> Result<FetchItem> {
        let part = Section::parse_binary(parser)?;
        let partial = Partial::parse(parser)?;
        Ok(FetchItem::Binary { part, partial, seen })
    }

    /// The part whose decoded octets the item is about, if it is.
    pub fn decoded_part(&self) -> Option<&[u32]> {
        match self {
            FetchItem::Binary { part, .. } | FetchItem::BinarySize(part) => Some(part),
            _ => None,
        }
    }

    /// The octets that the item wants, if it wants any.
    pub fn content(&self) -> Option<(Section, Option<Partial>)> {
        let whole = |text| Some((Section { part: Vec::new(), text }, None));
        match self {
            FetchItem::BodySection { section, partial, .. } => Some((section.clone(), *partial)),
            FetchItem::Rfc822 => whole(None),
            FetchItem::Rfc822Header => whole(Some(SectionText::Header)),
            FetchItem::Rfc822Text => whole(Some(SectionText::Text)),
            _ => None,
        }
    }

    /// Whether it is the message's octets, from the first to the last.
    pub fn is_whole(&self) -> bool {
        match self {
            FetchItem::BodySection { section, .. } => section.part.is_empty() && section.text.is_none(),
            other => *other == FetchItem::Rfc822,
        }
    }

    /// Whether it tells when the message came, or how large it is.
    pub fn is_of_arrival(&self) -> bool {
        matches!(self, FetchItem::InternalDate | FetchItem::SaveDate | FetchItem::Rfc822Size)
    }

    /// Whether fetching it marks the message as read.
    pub fn seen_effect(&self) -> SeenEffect {
        match self {
            FetchItem::BodySection { seen, .. } | FetchItem::Binary { seen, .. } => *seen,
            FetchItem::Rfc822 | FetchItem::Rfc822Text => SeenEffect::SetSeen,
            _ => SeenEffect::Keep,
        }
    }

    /// Writes the item as a client would.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let word: &[u8] = match self {
            FetchItem::Flags => b"FLAGS",
            FetchItem::Uid => b"UID",
            FetchItem::InternalDate => b"INTERNALDATE",
            FetchItem::Rfc822Size => b"RFC822.SIZE",
            FetchItem::Envelope => b"ENVELOPE",
            FetchItem::Body | FetchItem::BodySection { seen: SeenEffect::SetSeen, .. } => b"BODY",
            FetchItem::BodySection { seen: SeenEffect::Keep, .. } => b"BODY.PEEK",
            FetchItem::BodyStructure => b"BODYSTRUCTURE",
            FetchItem::Binary { seen: SeenEffect::SetSeen, .. } => b"BINARY",
            FetchItem::Binary { seen: SeenEffect::Keep, .. } => b"BINARY.PEEK",
            FetchItem::BinarySize(_) => b"BINARY.SIZE",
            FetchItem::ModSeq => b"MODSEQ",
            FetchItem::EmailId => b"EMAILID",
            FetchItem::ThreadId => b"THREADID",
            FetchItem::SaveDate => b"SAVEDATE",
            FetchItem::Preview(PreviewPriority::Normal) => b"PREVIEW",
            FetchItem::Preview(PreviewPriority::Lazy) => b"PREVIEW (LAZY)",
            FetchItem::Rfc822 => b"RFC822",
            FetchItem::Rfc822Header => b"RFC822.HEADER",
            FetchItem::Rfc822Text => b"RFC822.TEXT",
        };
        out.extend_from_slice(word);
        let partial = match self {
            FetchItem::BodySection { section, partial, .. } => {
                section.encode(out);
                partial
            }
            FetchItem::Binary { part, partial, .. } => {
                Section::of_part(part).encode(out);
                partial
            }
            FetchItem::BinarySize(part) => return Section::of_part(part).encode(out),
            _ => return,
        };
        if let Some(Partial { offset, count }) = partial {
            out.extend_from_slice(format!("<{offset}.{count}>").as_bytes());
        }
    }

    /// Writes the name under which the data is returned: without `.PEEK`, a partial with its offset only.
    pub fn encode_label(&self, out: &mut Vec<u8>) {
        let (word, section, partial) = match self {
            FetchItem::BodySection { section, partial, .. } => ("BODY", section, partial),
            FetchItem::Binary { part, partial, .. } => ("BINARY", &Section::of_part(part), partial),
            FetchItem::Preview(_) => return out.extend_from_slice(b"PREVIEW"),
            _ => return self.encode(out),
        };
        out.extend_from_slice(word.as_bytes());
        section.encode(out);
        if let Some(Partial { offset, .. }) = partial {
            out.extend_from_slice(format!("<{offset}>").as_bytes());
        }
    }
}

/// `[SP "(LAZY)"]`; a space that something else follows is left alone.
fn preview(parser: &mut Parser<'_>) -> Result<PreviewPriority> {
    if !parser.rest().starts_with(b" (") {
        return Ok(PreviewPriority::Normal);
    }
    parser.space()?;
    parser.expect(b'(', "Expected a preview modifier")?;
    if !parser.eat_keyword("LAZY") {
        return Err(ParseError::Syntax("Unknown preview modifier"));
    }
    parser.expect(b')', "Unknown preview modifier")?;
    Ok(PreviewPriority::Lazy)
}
