//! The walk through a message: one pass over its lines, whatever the nesting, so that time grows with octets only.

use super::header::{Lexer, comma_separated, fields, parameterised, unfold};
use super::{Content, Disposition, Envelope, Octets, Parameter, Part, Structure, address::addresses};

/// The deepest nesting of multiparts and messages; what is below is a leaf.
const MAX_DEPTH: usize = 100;

/// The most parts of a message; what follows belongs to the last.
const MAX_PARTS: usize = 10_000;

impl Structure {
    /// Finds the structure of a message.
    pub fn parse(message: &[u8]) -> Structure {
        let mut walk =
            Walk { octets: message, position: 0, lines: 0, boundaries: Vec::new(), depth: 0, parts: 0 };
        walk.message().0
    }
}

struct Walk<'a> {
    octets: &'a [u8],
    position: usize,
    /// Line ends before `position`.
    lines: u64,
    /// The boundaries of the multiparts around, the outermost first.
    boundaries: Vec<Octets>,
    depth: usize,
    parts: usize,
}

/// Where an entity ends and by what.
#[derive(Clone, Copy)]
struct End {
    /// The end of the entity's octets; the line end before a delimiter belongs to the delimiter (RFC 2046 §5.1.1).
    position: usize,
    /// Line ends up to there.
    lines: u64,
    /// The delimiter, or `None` at the end of the message.
    delimiter: Option<Delimiter>,
}

#[derive(Clone, Copy)]
struct Delimiter {
    /// Index into `boundaries`.
    level: usize,
    closing: bool,
}

/// The fields of a header that describe the body.
struct Mime {
    media_type: Octets,
    subtype: Octets,
    parameters: Vec<Parameter>,
    part: Part,
}

impl<'a> Walk<'a> {
    /// A message from here to the next delimiter of a multipart around it.
    fn message(&mut self) -> (Structure, End) {
        let start = self.position;
        let early = self.header();
        let header =
            self.octets.get(start..early.map_or(self.position, |end| end.position)).unwrap_or_default();
        let (envelope, references) = envelope(header);
        let (root, end) = self.body(start, early, "text/plain");
        (Structure { envelope, references, root }, end)
    }

    /// A body part from here to the next delimiter.
    fn part(&mut self, default_type: &str) -> (Part, End) {
        let start = self.position;
        let early = self.header();
        self.body(start, early, default_type)
    }

    /// Passes the header with its empty line. The end, if a delimiter or the message's end comes first.
    fn header(&mut self) -> Option<End> {
        loop {
            let (before, lines) = (self.position, self.lines);
            let Some(line) = self.line() else {
                return Some(End { position: self.position, lines: self.lines, delimiter: None });
            };
            if matches!(line, b"\r\n" | b"\n") {
                return None;
            }
            if let Some(delimiter) = self.delimiter(line) {
                return Some(End { position: before, lines, delimiter: Some(delimiter) });
            }
        }
    }

    fn body(&mut self, start: usize, early: Option<End>, default_type: &str) -> (Part, End) {
        let body = early.map_or(self.position, |end| end.position);
        let lines = early.map_or(self.lines, |end| end.lines);
        let mut mime = mime(self.octets.get(start..body).unwrap_or_default(), default_type);
        self.parts += 1;
        self.depth += 1;
        let (content, end) = match early {
            Some(end) => (Content::Leaf, end),
            None => self.content(&mime),
        };
        self.depth -= 1;
        if matches!(content, Content::Leaf) && mime.is("multipart", None) {
            // RFC 2046 §5.1.1: without its boundary a multipart is nothing but text.
            (mime.media_type, mime.subtype) = (b"text".to_vec(), b"plain".to_vec());
            mime.parameters.clear();
        }
        let part = Part {
            header: span(start, body),
            body: span(body, end.position),
            lines: end.lines.saturating_sub(lines),
            media_type: mime.media_type,
            subtype: mime.subtype,
            parameters: mime.parameters,
            content,
            ..mime.part
        };
        (part, end)
    }

    fn content(&mut self, mime: &Mime) -> (Content, End) {
        if self.depth >= MAX_DEPTH {
            return (Content::Leaf, self.skip(self.boundaries.len()));
        }
        if mime.is("message", Some("rfc822")) || mime.is("message", Some("global")) {
            let (message, end) = self.message();
            return (Content::Message(Box::new(message)), end);
        }
        match mime.boundary() {
            Some(boundary) if mime.is("multipart", None) => {
                self.multipart(boundary, mime.default_child_type())
            }
            _ => (Content::Leaf, self.skip(self.boundaries.len())),
        }
    }

    /// The parts of a multipart, and its end.
    fn multipart(&mut self, boundary: Octets, default_type: &str) -> (Content, End) {
        let level = self.boundaries.len();
        self.boundaries.push(boundary);
        let mut end = self.skip(level + 1);
        let mut parts = Vec::new();
        while matches!(end.delimiter, Some(delimiter) if delimiter.level == level && !delimiter.closing) {
            if self.parts >= MAX_PARTS {
                end = self.skip(level + 1);
                continue;
            }
            let part;
            (part, end) = self.part(default_type);
            parts.push(part);
        }
        self.boundaries.truncate(level);
        if matches!(end.delimiter, Some(delimiter) if delimiter.level == level) {
            end = self.skip(level);
        }
        (if parts.is_empty() { Content::Leaf } else { Content::Multipart(parts) }, end)
    }

    /// Passes everything up to a delimiter of the outer `levels` multiparts or the end of the message.
    fn skip(&mut self, levels: usize) -> End {
        let start = self.position;
        loop {
            let (before, lines) = (self.position, self.lines);
            let Some(line) = self.line() else {
                return End { position: self.position, lines: self.lines, delimiter: None };
            };
            if let Some(delimiter) = self.delimiter(line).filter(|delimiter| delimiter.level < levels) {
                let kept = self.octets.get(start..before).unwrap_or_default();
                let line_end = if kept.ends_with(b"\r\n") { 2 } else { usize::from(kept.ends_with(b"\n")) };
                let lines = lines - u64::from(line_end > 0);
                return End { position: before - line_end, lines, delimiter: Some(delimiter) };
            }
        }
    }

    /// The next line with its end.
    fn line(&mut self) -> Option<&'a [u8]> {
        let rest = self.octets.get(self.position..).filter(|rest| !rest.is_empty())?;
        let line_end = memchr::memchr(b'\n', rest);
        self.lines += u64::from(line_end.is_some());
        let line = rest.get(..line_end.map_or(rest.len(), |index| index + 1))?;
        self.position += line.len();
        Some(line)
    }

    /// Which multipart's delimiter this line is, the innermost first.
    fn delimiter(&self, line: &[u8]) -> Option<Delimiter> {
        let text = line.strip_prefix(b"--")?.trim_ascii_end();
        let closed = text.strip_suffix(b"--");
        self.boundaries.iter().enumerate().rev().find_map(|(level, boundary)| {
            if text == boundary.as_slice() {
                return Some(Delimiter { level, closing: false });
            }
            (closed == Some(boundary.as_slice())).then_some(Delimiter { level, closing: true })
        })
    }
}

impl Mime {
    fn is(&self, media_type: &str, subtype: Option<&str>) -> bool {
        self.media_type.eq_ignore_ascii_case(media_type.as_bytes())
            && subtype.is_none_or(|subtype| self.subtype.eq_ignore_ascii_case(subtype.as_bytes()))
    }

    fn boundary(&self) -> Option<Octets> {
        let found = self.parameters.iter().find(|(name, _)| name.eq_ignore_ascii_case(b"boundary"));
        found.map(|(_, boundary)| boundary.trim_ascii_end().to_vec()).filter(|boundary| !boundary.is_empty())
    }

    /// The parts of a digest are messages where they do not say otherwise (RFC 2046 §5.1.5).
    fn default_child_type(&self) -> &'static str {
        if self.is("multipart", Some("digest")) { "message/rfc822" } else { "text/plain" }
    }
}

fn span(start: usize, end: usize) -> std::ops::Range<u64> {
    start as u64..end.max(start) as u64
}

/// Reads the fields that describe a body.
fn mime(header: &[u8], default_type: &str) -> Mime {
    let mut part = Part {
        header: 0..0,
        body: 0..0,
        lines: 0,
        media_type: Vec::new(),
        subtype: Vec::new(),
        parameters: Vec::new(),
        id: None,
        description: None,
        encoding: b"7BIT".to_vec(),
        md5: None,
        disposition: None,
        languages: Vec::new(),
        location: None,
        content: Content::Leaf,
    };
    let mut content_type = None;
    for field in fields(header).filter(|field| field.name.len() > 8) {
        match field.name.to_ascii_lowercase().as_slice() {
            b"content-type" => content_type = Some(parameterised(field.value)),
            b"content-transfer-encoding" => part.encoding = token(field.value, b"7BIT"),
            b"content-id" => part.id = Some(unfold(field.value)),
            b"content-description" => part.description = Some(unfold(field.value)),
            b"content-md5" => part.md5 = Some(unfold(field.value)),
            b"content-location" => part.location = Some(unfold(field.value)),
            b"content-language" => part.languages = comma_separated(field.value),
            b"content-disposition" => part.disposition = disposition(field.value),
            _ => {}
        }
    }
    let (media_type, subtype, parameters) = content_type.and_then(media).unwrap_or_else(|| {
        let (media_type, subtype) = default_type.split_once('/').unwrap_or(("text", "plain"));
        let charset = (b"charset".to_vec(), b"us-ascii".to_vec());
        let parameters = if media_type == "text" { vec![charset] } else { Vec::new() };
        (media_type.into(), subtype.into(), parameters)
    });
    Mime { media_type, subtype, parameters, part }
}

fn media((kind, parameters): (Octets, Vec<Parameter>)) -> Option<(Octets, Octets, Vec<Parameter>)> {
    let slash = kind.iter().position(|octet| *octet == b'/')?;
    let (media_type, subtype) = (kind.get(..slash)?.trim_ascii(), kind.get(slash + 1..)?.trim_ascii());
    let whole = !media_type.is_empty() && !subtype.is_empty();
    whole.then(|| (media_type.to_vec(), subtype.to_vec(), parameters))
}

fn disposition(value: &[u8]) -> Option<Disposition> {
    let (kind, parameters) = parameterised(value);
    (!kind.is_empty()).then_some(Disposition { kind, parameters })
}

fn token(value: &[u8], default: &[u8]) -> Octets {
    let (token, _) = parameterised(value);
    if token.is_empty() { default.to_vec() } else { token }
}

/// Reads the fields of the envelope; of a field that is there twice the first counts.
fn envelope(header: &[u8]) -> (Envelope, Option<Octets>) {
    let mut envelope = Envelope::default();
    let mut references = None;
    for field in fields(header) {
        let list = |list: &mut Vec<super::Address>| {
            if list.is_empty() {
                *list = addresses(field.value);
            }
        };
        let text = |text: &mut Option<Octets>| {
            text.get_or_insert_with(|| unfold(field.value));
        };
        match field.name.to_ascii_lowercase().as_slice() {
            b"date" => text(&mut envelope.date),
            b"subject" => text(&mut envelope.subject),
            b"from" => list(&mut envelope.from),
            b"sender" => list(&mut envelope.sender),
            b"reply-to" => list(&mut envelope.reply_to),
            // Some programs write one field for each recipient.
            b"to" => envelope.to.extend(addresses(field.value)),
            b"cc" => envelope.cc.extend(addresses(field.value)),
            b"bcc" => envelope.bcc.extend(addresses(field.value)),
            b"in-reply-to" => text(&mut envelope.in_reply_to),
            b"message-id" => text(&mut envelope.message_id),
            b"references" => text(&mut references),
            _ => {}
        }
    }
    (envelope, references)
}

/// The message-ids in a field's value, `<` and `>` taken off, white space dropped.
pub fn message_ids(value: &[u8]) -> Vec<Octets> {
    let mut lexer = Lexer { rest: value };
    let mut ids = Vec::new();
    while let Some(octet) = lexer.bump() {
        if octet != b'<' {
            continue;
        }
        let mut id = Vec::new();
        while let Some(octet) = lexer.bump().filter(|octet| *octet != b'>') {
            if octet > b' ' {
                id.push(octet);
            }
        }
        if !id.is_empty() {
            ids.push(id);
        }
    }
    ids
}

#[cfg(test)]
#[path = "parse_tests.rs"]
mod tests;
