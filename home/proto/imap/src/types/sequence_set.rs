//! Sets of sequence numbers or UIDs: `2,4:7,12:*` (RFC 9051 §9 `sequence-set`) and `$` (RFC 5182).

use crate::parser::{ParseError, Parser, Result};

/// A number in a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Number {
    /// Not zero.
    Exactly(u32),
    /// `*`: the largest in use.
    Largest,
}

/// A set as the client wrote it, order and overlaps kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SequenceSet {
    /// Ranges; a single number is a range from itself to itself.
    Ranges(Vec<(Number, Number)>),
    /// `$`: the result that SEARCH RETURN (SAVE) kept.
    Saved,
}

impl SequenceSet {
    /// Just these.
    pub(crate) fn of_uids(uids: &[u32]) -> SequenceSet {
        SequenceSet::Ranges(uids.iter().map(|&uid| (Number::Exactly(uid), Number::Exactly(uid))).collect())
    }

    pub(crate) fn parse(parser: &mut Parser<'_>) -> Result<SequenceSet> {
        if parser.eat(b'$') {
            return Ok(SequenceSet::Saved);
        }
        let mut ranges = Vec::new();
        loop {
            let first = number(parser)?;
            let last = if parser.eat(b':') { number(parser)? } else { first };
            ranges.push((first, last));
            if !parser.eat(b',') {
                return Ok(SequenceSet::Ranges(ranges));
            }
        }
    }

    /// The ranges with `*` replaced by `largest`, each in ascending order, sorted, overlaps joined.
    /// `$` gives none: the session knows what it stands for.
    pub fn resolve(&self, largest: u32) -> Vec<(u32, u32)> {
        let SequenceSet::Ranges(ranges) = self else {
            return Vec::new();
        };
        let value = |number: &Number| match number {
            Number::Exactly(number) => *number,
            Number::Largest => largest,
        };
        let mut resolved: Vec<(u32, u32)> = ranges
            .iter()
            .map(|(first, last)| (value(first).min(value(last)), value(first).max(value(last))))
            .collect();
        resolved.sort_unstable();
        resolved.dedup_by(|next, kept| {
            let joins = next.0 <= kept.1.saturating_add(1);
            if joins {
                kept.1 = kept.1.max(next.1);
            }
            joins
        });
        resolved
    }

    /// Writes the set as a client would.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let SequenceSet::Ranges(ranges) = self else {
            out.push(b'$');
            return;
        };
        for (index, (first, last)) in ranges.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            encode_number(*first, out);
            if first != last {
                out.push(b':');
                encode_number(*last, out);
            }
        }
    }
}

/// Writes ascending numbers as a set, runs as ranges: `1:3,7`.
pub fn encode_uids(uids: impl IntoIterator<Item = u32>, out: &mut Vec<u8>) {
    let mut uids = uids.into_iter().peekable();
    let mut first_run = true;
    while let Some(start) = uids.next() {
        let mut end = start;
        while let Some(next) = uids.next_if(|&next| end.checked_add(1) == Some(next)) {
            end = next;
        }
        if !std::mem::take(&mut first_run) {
            out.push(b',');
        }
        out.extend_from_slice(start.to_string().as_bytes());
        if end != start {
            out.extend_from_slice(format!(":{end}").as_bytes());
        }
    }
}

fn number(parser: &mut Parser<'_>) -> Result<Number> {
    if parser.eat(b'*') {
        return Ok(Number::Largest);
    }
    match parser.number64()? {
        number @ 1..=0xffff_ffff => Ok(Number::Exactly(number as u32)),
        _ => Err(ParseError::Syntax("Invalid number in a message set")),
    }
}

fn encode_number(number: Number, out: &mut Vec<u8>) {
    match number {
        Number::Exactly(number) => out.extend_from_slice(number.to_string().as_bytes()),
        Number::Largest => out.push(b'*'),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::NameEncoding;

    fn set(text: &str) -> Result<SequenceSet> {
        Parser::new(text.as_bytes(), NameEncoding::Utf8).sequence_set()
    }

    #[test]
    fn resolves_and_joins() {
        assert_eq!(set("2,4:7,9,12:*").unwrap().resolve(15), [(2, 2), (4, 7), (9, 9), (12, 15)]);
        assert_eq!(set("7:4,5:8,9").unwrap().resolve(15), [(4, 9)]);
        assert_eq!(set("3291:*").unwrap().resolve(10), [(10, 3291)]);
        assert_eq!(set("4294967295:*").unwrap().resolve(u32::MAX), [(u32::MAX, u32::MAX)]);
    }

    #[test]
    fn refuses_nonsense() {
        for text in ["", "0", "1:", "1,,2", ":4", "a", "4294967296"] {
            let whole = set(text).is_ok() && !text.is_empty();
            assert!(!whole, "{text}");
        }
    }

    #[test]
    fn writes_runs() {
        let mut out = Vec::new();
        encode_uids([1, 2, 3, 7, 9, 10, u32::MAX], &mut out);
        assert_eq!(out, b"1:3,7,9:10,4294967295");
    }
}
