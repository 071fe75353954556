//! Filters a header for HEADER.FIELDS and HEADER.FIELDS.NOT (RFC 9051 §6.4.5).
//!
//! In: a header with CRLF or LF line ends. Out: the wanted fields with their continuation lines, octet for octet,
//! in the order of the header, and the empty line that ends it, unless the message has none (RFC 9051 §6.4.5.1).

use crate::request::WantedHeader;
use crate::types::{FetchItem, Partial, SectionText};

/// Which fields stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keep {
    /// Those named.
    Named,
    /// All others.
    Others,
}

/// What an item asks for of the message's own header.
#[derive(Debug, Clone, Copy)]
pub(super) struct Filter<'a> {
    names: &'a [Vec<u8>],
    keep: Keep,
    /// Of what is left.
    pub(super) partial: Option<Partial>,
}

impl Filter<'_> {
    /// `None` for an item that asks for something else.
    pub(super) fn of(item: &FetchItem) -> Option<Filter<'_>> {
        let FetchItem::BodySection { section, partial, .. } = item else { return None };
        let (names, keep) = match &section.text {
            Some(SectionText::HeaderFields(names)) if section.part.is_empty() => (names, Keep::Named),
            Some(SectionText::HeaderFieldsNot(names)) if section.part.is_empty() => (names, Keep::Others),
            _ => return None,
        };
        Some(Filter { names, keep, partial: *partial })
    }

    /// As [`filter`].
    pub(super) fn apply(&self, header: &[u8]) -> Vec<u8> {
        filter(header, self.names, self.keep)
    }
}

/// What all of the items need.
pub(super) fn wanted(items: &[FetchItem]) -> WantedHeader {
    let mut wanted = WantedHeader::Nothing;
    for Filter { names, keep, .. } in items.iter().filter_map(Filter::of) {
        wanted = match (wanted, keep) {
            (WantedHeader::Nothing, Keep::Named) => WantedHeader::Fields(names.to_vec()),
            (WantedHeader::Fields(others), Keep::Named) => WantedHeader::Fields([&others, names].concat()),
            (WantedHeader::Whole, _) | (_, Keep::Others) => WantedHeader::Whole,
        };
    }
    wanted
}

/// What of a header a section shows, where it shows only some of its fields.
pub fn fields(text: Option<&SectionText>, header: &[u8]) -> Option<Vec<u8>> {
    match text? {
        SectionText::HeaderFields(names) => Some(filter(header, names, Keep::Named)),
        SectionText::HeaderFieldsNot(names) => Some(filter(header, names, Keep::Others)),
        SectionText::Header | SectionText::Text | SectionText::Mime => None,
    }
}

/// The fields of `header` that stay, and the empty line if it has one.
pub(super) fn filter(header: &[u8], names: &[Vec<u8>], keep: Keep) -> Vec<u8> {
    let mut kept = Vec::new();
    let mut keeping = false;
    for line in header.split_inclusive(|&octet| octet == b'\n') {
        if matches!(line, b"\r\n" | b"\n") {
            kept.extend_from_slice(b"\r\n");
            break;
        }
        let continues = matches!(line.first(), Some(b' ' | b'\t'));
        if !continues {
            keeping = stays(line, names, keep);
        }
        if keeping {
            kept.extend_from_slice(line);
        }
    }
    kept
}

/// Decides on a field's first line; a line that is no field goes with the others.
fn stays(line: &[u8], names: &[Vec<u8>], keep: Keep) -> bool {
    let name = line.split(|&octet| octet == b':').next().unwrap_or_default().trim_ascii_end();
    let named = names.iter().any(|wanted| wanted.eq_ignore_ascii_case(name));
    named == (keep == Keep::Named)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &[u8] = b"From: a\r\nTo: b,\r\n c\r\nSUBJECT : d\r\n\r\n";

    #[test]
    fn keeps_named_fields_with_their_continuations() {
        let kept = filter(HEADER, &[b"to".to_vec(), b"subject".to_vec()], Keep::Named);
        assert_eq!(kept, b"To: b,\r\n c\r\nSUBJECT : d\r\n\r\n");
    }

    #[test]
    fn drops_named_fields() {
        assert_eq!(filter(HEADER, &[b"To".to_vec()], Keep::Others), b"From: a\r\nSUBJECT : d\r\n\r\n");
        assert_eq!(filter(HEADER, &[b"X-None".to_vec()], Keep::Named), b"\r\n");
        assert_eq!(filter(b"To: no body", &[], Keep::Others), b"To: no body");
    }
}
