//! The header section of a message, found on raw octets without changing any.
//!
//! In: a message, or as much of it as there is. Out: its fields in order, each with its place, name and raw
//! value; the place where the body begins; unfolded text. Refused: nothing; octets that are not a field end the
//! section, as a mail program would see it.
//!
//! Lines end with CRLF as SMTP delivers them; a bare LF is accepted for messages from elsewhere (IMAP APPEND).
//!
//! Implements RFC 5322 §2.1, §2.2 and §2.2.3 (folding), RFC 6532 §3.2 (UTF-8 in values).

use std::borrow::Cow;

/// One header field, borrowed from its message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeaderField<'a> {
    /// The whole field with its folding and last line end.
    pub raw: &'a [u8],
    /// The field name, as written.
    pub name: &'a [u8],
    /// What follows the colon, with folding, without the last line end.
    pub value: &'a [u8],
}

impl<'a> HeaderField<'a> {
    /// Whether the field has this name, letters in any case.
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }

    /// The value as text: line ends of the folding removed, surrounding white space trimmed, octets that are not
    /// UTF-8 replaced.
    pub fn text(&self) -> Cow<'a, str> {
        let trimmed = self.value.trim_ascii();
        if trimmed.iter().any(|octet| matches!(octet, b'\r' | b'\n')) {
            let unfolded: Vec<u8> =
                trimmed.iter().copied().filter(|octet| !matches!(octet, b'\r' | b'\n')).collect();
            return Cow::Owned(String::from_utf8_lossy(&unfolded).into_owned());
        }
        String::from_utf8_lossy(trimmed)
    }

    /// Reads one field from the start of `octets`: up to the first line end that no white space follows.
    fn take(octets: &'a [u8]) -> Option<HeaderField<'a>> {
        let mut end = line_length(octets)?;
        while octets.get(end).is_some_and(|octet| matches!(octet, b' ' | b'\t')) {
            end += line_length(octets.get(end..)?)?;
        }
        let raw = octets.get(..end)?;
        let colon = raw.iter().position(|octet| *octet == b':')?;
        let name = raw.get(..colon)?.trim_ascii_end();
        let is_name = !name.is_empty() && name.iter().all(|octet| octet.is_ascii_graphic());
        let value = without_line_end(raw.get(colon + 1..)?);
        is_name.then_some(HeaderField { raw, name, value })
    }
}

/// The fields of a message in order.
pub fn fields(message: &[u8]) -> Fields<'_> {
    Fields { rest: message }
}

/// Iterator over header fields; made by [`fields`].
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Fields<'a> {
    type Item = HeaderField<'a>;

    fn next(&mut self) -> Option<HeaderField<'a>> {
        let field = HeaderField::take(self.rest)?;
        self.rest = self.rest.get(field.raw.len()..)?;
        Some(field)
    }
}

/// How many octets the header section has, without the empty line that ends it.
pub fn header_length(message: &[u8]) -> usize {
    fields(message).map(|field| field.raw.len()).sum()
}

/// Where the body begins: after the empty line, or where the octets are no header any more.
pub fn body_offset(message: &[u8]) -> usize {
    let header = header_length(message);
    match message.get(header..) {
        Some([b'\r', b'\n', ..]) => header + 2,
        Some([b'\n', ..]) => header + 1,
        _ => header,
    }
}

/// Whether the header section ends as it should, with an empty line or with the message. Where a line that is no field ends
/// it, one reader stops there and another reads on.
pub fn is_closed(message: &[u8]) -> bool {
    let rest = message.get(header_length(message)..).unwrap_or_default();
    matches!(rest, [] | [b'\n', ..] | [b'\r', b'\n', ..])
}

/// The first field with this name.
pub fn find<'a>(message: &'a [u8], name: &str) -> Option<HeaderField<'a>> {
    fields(message).find(|field| field.is(name))
}

/// Octets up to and with the first LF, or all when the last line has no end. `None` for nothing or for a line
/// that is empty.
fn line_length(octets: &[u8]) -> Option<usize> {
    match octets {
        [] | [b'\n', ..] | [b'\r', b'\n', ..] => None,
        _ => Some(octets.iter().position(|octet| *octet == b'\n').map_or(octets.len(), |lf| lf + 1)),
    }
}

fn without_line_end(octets: &[u8]) -> &[u8] {
    let octets = octets.strip_suffix(b"\n").unwrap_or(octets);
    octets.strip_suffix(b"\r").unwrap_or(octets)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MESSAGE: &[u8] =
        b"From: ana@home.example\r\nSubject: one\r\n two\r\n\tthree\r\nX :y\r\n\r\nbody: no\r\n";

    #[test]
    fn finds_fields_and_body() {
        let names: Vec<&[u8]> = fields(MESSAGE).map(|field| field.name).collect();
        assert_eq!(names, [&b"From"[..], b"Subject", b"X"]);
        assert_eq!(
            find(MESSAGE, "subject").map(|field| field.text().into_owned()),
            Some("one two\tthree".into())
        );
        assert_eq!(MESSAGE.get(body_offset(MESSAGE)..), Some(&b"body: no\r\n"[..]));
    }

    #[test]
    fn a_message_may_have_no_header_or_no_body() {
        assert_eq!(body_offset(b"\r\nbody"), 2);
        assert_eq!(body_offset(b"no field here\r\n"), 0);
        assert_eq!(body_offset(b"A: b\r\n"), 6);
        assert_eq!(body_offset(b"A: b"), 4);
        assert_eq!(body_offset(b""), 0);
    }

    #[test]
    fn text_that_is_not_a_field_ends_the_header() {
        let message = b"A: b\r\nnot a field\r\nC: d\r\n\r\n";
        assert_eq!(fields(message).count(), 1);
        assert_eq!(body_offset(message), 6);
    }

    proptest! {
        #[test]
        fn fields_cover_the_header_without_gaps(message in prop::collection::vec(
            prop::sample::select(&b"ab: \t\r\n\xc3"[..]), 0..120)) {
            let joined: Vec<u8> = fields(&message).flat_map(|field| field.raw.to_vec()).collect();
            prop_assert_eq!(message.get(..joined.len()), Some(joined.as_slice()));
            prop_assert!(body_offset(&message) <= message.len());
        }
    }
}
