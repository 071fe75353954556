//! The text of a message as a person reads it, folded for comparison: for the index, and for those who look for themselves.
//!
//! In: a header, a part and its octets. Out: folded text. Encoded-words, transfer encodings and character sets are decoded; of
//! HTML the text counts.

use std::ops::Range;

use super::fold;
use crate::Result;
use crate::structure::{self, Content, Part, text};

/// At most so many octets of a header are searched.
const MAX_HEADER: u64 = 1024 * 1024;
/// At most so many octets of one text part are searched.
const MAX_PART: u64 = 16 * 1024 * 1024;

/// A header field, folded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
}

/// Where the header of a message is that is so long.
pub fn header_range(header_size: u64) -> Range<u64> {
    0..header_size.min(MAX_HEADER)
}

/// The fields of a header.
pub fn fields(header: &[u8]) -> impl Iterator<Item = Field> {
    structure::fields(header).map(|field| Field {
        name: fold(&String::from_utf8_lossy(field.name)),
        value: fold(&text::decode_header(field.value)),
    })
}

/// Calls `visit` with each text of the body until it says that this is enough: the text parts, and the fields of enclosed
/// messages. `read` gives octets of the message.
///
/// # Errors
/// Those of `read`.
pub fn visit_body(
    root: &Part,
    mut read: impl FnMut(Range<u64>) -> Result<Vec<u8>>,
    mut visit: impl FnMut(&str) -> Enough,
) -> Result<()> {
    for part in root.walk() {
        let Some(range) = searched(part) else { continue };
        let octets = read(range.start..range.end.min(range.start.saturating_add(MAX_PART)))?;
        let enough = match part.content {
            Content::Message(_) => visit_any(fields(&octets).map(|field| field.value), &mut visit),
            _ => visit(&part_text(part, &octets)),
        };
        if enough == Enough::Yes {
            break;
        }
    }
    Ok(())
}

/// Whether a visitor wants no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Enough {
    /// It has what it wants.
    Yes,
    /// It wants more.
    No,
}

impl Enough {
    /// Enough when something was found.
    pub fn when(found: bool) -> Enough {
        if found { Enough::Yes } else { Enough::No }
    }
}

/// Parts of reports that are written as header fields are, for people to read as well (RFC 3464 §2, RFC 8098 §3, RFC 5965 §3,
/// RFC 6533 §4).
const REPORTS: [&str; 6] = [
    "delivery-status",
    "disposition-notification",
    "feedback-report",
    "global-delivery-status",
    "global-disposition-notification",
    "global-headers",
];

/// Text parts hold text, reports do, and enclosed messages also their header.
fn searched(part: &Part) -> Option<Range<u64>> {
    match &part.content {
        Content::Message(message) => Some(message.root.header.clone()),
        Content::Leaf if is_text(part) => Some(part.body.clone()),
        Content::Leaf | Content::Multipart(_) => None,
    }
}

fn is_text(part: &Part) -> bool {
    part.media_type.eq_ignore_ascii_case(b"text") || REPORTS.iter().any(|subtype| part.is("message", subtype))
}

fn part_text(part: &Part, octets: &[u8]) -> String {
    let decoded = text::decode_text(part, octets);
    fold(&if part.is("text", "html") { text::html_to_text(&decoded) } else { decoded })
}

fn visit_any(values: impl Iterator<Item = String>, visit: &mut impl FnMut(&str) -> Enough) -> Enough {
    for value in values {
        if visit(&value) == Enough::Yes {
            return Enough::Yes;
        }
    }
    Enough::No
}
