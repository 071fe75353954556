//! BINARY and BINARY.SIZE (RFC 3516 §4.2, RFC 9051 §6.4.5): a part without its transfer encoding.
//!
//! A literal begins with its size, which only decoding tells, and no part is held whole: so a part is read twice, once
//! to be measured and once to be written.

use super::answer::limit;
use super::transfer::Decoder;
use crate::response::encode;
use crate::types::{BodyKind, FetchItem, Message, Partial, Section, Span};

/// A part under way.
#[derive(Debug)]
pub(super) struct Decoding {
    /// The encoded octets that are still to be read.
    pub(super) span: Span,
    decoder: Decoder,
    pass: Pass,
}

/// Which reading it is.
#[derive(Debug)]
enum Pass {
    /// The first: how many octets there are, and whether a NUL is among them.
    Measuring { whole: Span, size: u64, nul: bool, purpose: Purpose },
    /// The second: octets to pass over, and octets to write.
    Writing { skip: u64, left: u64 },
}

/// What the size is for.
#[derive(Debug, Clone, Copy)]
enum Purpose {
    /// BINARY.SIZE
    Size,
    /// BINARY
    Content(Option<Partial>),
}

/// Whether a part's encoding is not known (UNKNOWN-CTE).
pub(super) fn is_unknown(message: &Message, part: &[u32]) -> bool {
    decoder(message, part).is_some_and(|(_, decoder)| decoder.is_none())
}

impl Decoding {
    /// Writes the label and what can be said at once; gives what is to be read.
    pub(super) fn begin(item: &FetchItem, message: &Message, out: &mut Vec<u8>) -> Option<Decoding> {
        let part = item.decoded_part()?;
        item.encode_label(out);
        out.push(b' ');
        let purpose = match item {
            FetchItem::Binary { partial, .. } => Purpose::Content(*partial),
            _ => Purpose::Size,
        };
        match (decoder(message, part), purpose) {
            (Some((span, Some(decoder))), _) if !span.is_empty() => {
                let pass = Pass::Measuring { whole: span, size: 0, nul: false, purpose };
                return Some(Decoding { span, decoder, pass });
            }
            (Some(_), Purpose::Content(_)) => out.extend_from_slice(b"\"\""),
            (None, Purpose::Content(_)) => out.extend_from_slice(b"NIL"),
            (_, Purpose::Size) => out.push(b'0'),
        }
        None
    }

    /// Takes the next octets, and writes what they give; gives what is still to be read.
    pub(super) fn take(mut self, octets: &[u8], out: &mut Vec<u8>) -> Option<Decoding> {
        self.span.start += octets.len() as u64;
        let mut decoded = self.decoder.push(octets);
        let again = self.decoder.restarted();
        if self.span.is_empty() {
            decoded.extend(self.decoder.finish());
            self.decoder = again;
            return self.end(&decoded, out);
        }
        match &mut self.pass {
            Pass::Measuring { size, nul, .. } => {
                *size += decoded.len() as u64;
                *nul |= decoded.contains(&0);
                Some(self)
            }
            Pass::Writing { skip, left } => (write(skip, left, &decoded, out) > 0).then_some(self),
        }
    }

    /// The end of a reading. RFC 3516 §4.3: a literal8 only where there is a NUL.
    fn end(self, decoded: &[u8], out: &mut Vec<u8>) -> Option<Decoding> {
        let (whole, size, nul, purpose) = match self.pass {
            Pass::Measuring { whole, size, nul, purpose } => {
                (whole, size + decoded.len() as u64, nul || decoded.contains(&0), purpose)
            }
            Pass::Writing { mut skip, mut left } => {
                write(&mut skip, &mut left, decoded, out);
                return None;
            }
        };
        let Purpose::Content(partial) = purpose else {
            out.extend_from_slice(size.to_string().as_bytes());
            return None;
        };
        let wanted = limit(Span { start: 0, end: size }, partial);
        match nul {
            true => encode::literal8_header(wanted.len(), out),
            false => encode::literal_header(wanted.len(), out),
        }
        let pass = Pass::Writing { skip: wanted.start, left: wanted.len() };
        (!wanted.is_empty()).then_some(Decoding { span: whole, decoder: self.decoder, pass })
    }
}

/// Writes of decoded octets those that are wanted; gives how many are still to come.
fn write(skip: &mut u64, left: &mut u64, decoded: &[u8], out: &mut Vec<u8>) -> u64 {
    let passed = usize::try_from(*skip).unwrap_or(usize::MAX).min(decoded.len());
    let rest = decoded.get(passed..).unwrap_or_default();
    let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(rest.len());
    out.extend_from_slice(rest.get(..taken).unwrap_or_default());
    *skip -= passed as u64;
    *left -= taken as u64;
    *left
}

/// The place of a part and what decodes it: `None` where there is no such part, or for an encoding not known. What
/// holds other parts, the whole message included, is never encoded itself (RFC 2045 §6.4).
fn decoder(message: &Message, part: &[u32]) -> Option<(Span, Option<Decoder>)> {
    let structure = message.structure.as_ref()?;
    let span = structure.span(&Section::of_part(part))?;
    let found = structure.part(part)?;
    let leaf = !part.is_empty() && matches!(found.kind, BodyKind::Text { .. } | BodyKind::Basic);
    Some((span, if leaf { Decoder::of(&found.encoding) } else { Some(Decoder::Identity) }))
}
