//! `BODY[...]`: which octets of a message are wanted (RFC 9051 §6.4.5 and §9 `section`, `partial`).

use crate::parser::{ParseError, Parser, Result};
use crate::response::encode;

/// The deepest part number that is looked at.
const MAX_PART_DEPTH: usize = 64;

/// Whether fetching the octets marks the message as read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeenEffect {
    /// `BODY.PEEK[...]`
    Keep,
    /// `BODY[...]`
    SetSeen,
}

/// `section`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Section {
    /// Part numbers from the outermost; empty for the message itself.
    pub part: Vec<u32>,
    /// What of that part; `None` for its body (or the whole message).
    pub text: Option<SectionText>,
}

/// `section-msgtext` and MIME.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SectionText {
    /// The header of the message or of the message/rfc822 part.
    Header,
    /// Only these header fields.
    HeaderFields(Vec<Vec<u8>>),
    /// All but these header fields.
    HeaderFieldsNot(Vec<Vec<u8>>),
    /// The body of the message or of the message/rfc822 part.
    Text,
    /// The MIME header of the part.
    Mime,
}

/// `<offset.count>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Partial {
    /// Octets to skip.
    pub offset: u64,
    /// At most so many octets; not zero.
    pub count: u64,
}

impl Section {
    /// What stands between `[` and `]`, both included.
    pub(crate) fn parse(parser: &mut Parser<'_>) -> Result<Section> {
        parser.expect(b'[', "Expected a section")?;
        let mut section = Section::default();
        if parser.eat(b']') {
            return Ok(section);
        }
        let text_follows = section.parse_part(parser)?;
        if text_follows {
            section.text = Some(SectionText::parse(parser)?);
            if section.part.is_empty() && section.text == Some(SectionText::Mime) {
                return Err(ParseError::Syntax("MIME needs a part number"));
            }
        }
        parser.expect(b']', "Missing ] after section")?;
        Ok(section)
    }

    /// The body of a part.
    pub fn of_part(part: &[u32]) -> Section {
        Section { part: part.to_vec(), text: None }
    }

    /// `section-binary`: a part number or nothing between the brackets (RFC 3516 §7).
    pub(crate) fn parse_binary(parser: &mut Parser<'_>) -> Result<Vec<u32>> {
        let section = Section::parse(parser)?;
        match section.text {
            None => Ok(section.part),
            Some(_) => Err(ParseError::Syntax("BINARY needs a part number")),
        }
    }

    /// Reads `1.2.`, and tells whether a text specifier follows.
    fn parse_part(&mut self, parser: &mut Parser<'_>) -> Result<bool> {
        while parser.peek().is_some_and(|octet| octet.is_ascii_digit()) {
            self.part.push(parser.nz_number()?);
            if self.part.len() > MAX_PART_DEPTH {
                return Err(ParseError::Syntax("Part number too deep"));
            }
            if !parser.eat(b'.') {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Writes the section with its brackets.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.push(b'[');
        for (index, number) in self.part.iter().enumerate() {
            if index > 0 {
                out.push(b'.');
            }
            out.extend_from_slice(number.to_string().as_bytes());
        }
        if let Some(text) = &self.text {
            if !self.part.is_empty() {
                out.push(b'.');
            }
            text.encode(out);
        }
        out.push(b']');
    }
}

impl SectionText {
    fn parse(parser: &mut Parser<'_>) -> Result<SectionText> {
        let word =
            parser.take_while(|octet| octet.is_ascii_alphabetic() || octet == b'.', "Invalid section")?;
        match word.to_ascii_uppercase().as_slice() {
            b"HEADER" => Ok(SectionText::Header),
            b"TEXT" => Ok(SectionText::Text),
            b"MIME" => Ok(SectionText::Mime),
            b"HEADER.FIELDS" => Ok(SectionText::HeaderFields(header_list(parser)?)),
            b"HEADER.FIELDS.NOT" => Ok(SectionText::HeaderFieldsNot(header_list(parser)?)),
            _ => Err(ParseError::Syntax("Invalid section")),
        }
    }

    fn encode(&self, out: &mut Vec<u8>) {
        let (word, fields): (&[u8], _) = match self {
            SectionText::Header => (b"HEADER", None),
            SectionText::Text => (b"TEXT", None),
            SectionText::Mime => (b"MIME", None),
            SectionText::HeaderFields(fields) => (b"HEADER.FIELDS ", Some(fields)),
            SectionText::HeaderFieldsNot(fields) => (b"HEADER.FIELDS.NOT ", Some(fields)),
        };
        out.extend_from_slice(word);
        if let Some(fields) = fields {
            encode::parenthesised(fields, |field, out| encode::astring(field, out), out);
        }
    }
}

impl Partial {
    /// `<offset.count>` if it is next.
    pub(crate) fn parse(parser: &mut Parser<'_>) -> Result<Option<Partial>> {
        if !parser.eat(b'<') {
            return Ok(None);
        }
        let offset = parser.number64()?;
        parser.expect(b'.', "Invalid partial range")?;
        let count = parser.number64()?;
        parser.expect(b'>', "Invalid partial range")?;
        if count == 0 {
            return Err(ParseError::Syntax("Partial range must not be empty"));
        }
        Ok(Some(Partial { offset, count }))
    }
}

fn header_list(parser: &mut Parser<'_>) -> Result<Vec<Vec<u8>>> {
    parser.space()?;
    let fields = parser.list("Expected a header list", Parser::astring)?;
    if fields.is_empty() {
        return Err(ParseError::Syntax("Empty header list"));
    }
    Ok(fields)
}
