//! A page of results, counted from the oldest or from the newest (RFC 9394 §4).

use std::ops::Range;

use crate::parser::{Parser, Result};

/// `partial-range`: `1:100` are the first hundred, `-1:-100` the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartialRange {
    /// Where the counting begins.
    pub from: From,
    /// The two ends, as the client gave them: it is answered with the same.
    pub ends: (u32, u32),
}

/// The end from which results are counted; the first is number 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    /// The lowest UID.
    Oldest,
    /// The highest UID.
    Newest,
}

impl PartialRange {
    /// Both numbers have a minus, or none has; `*` is no number here.
    pub(crate) fn parse(parser: &mut Parser<'_>) -> Result<PartialRange> {
        let from = if parser.eat(b'-') { From::Newest } else { From::Oldest };
        let first = parser.nz_number()?;
        parser.expect(b':', "Expected a range")?;
        if from == From::Newest {
            parser.expect(b'-', "Expected a second number with a minus")?;
        }
        Ok(PartialRange { from, ends: (first, parser.nz_number()?) })
    }

    pub(crate) fn encode(self, out: &mut Vec<u8>) {
        let sign = if self.from == From::Newest { "-" } else { "" };
        let (first, last) = self.ends;
        out.extend_from_slice(format!("{sign}{first}:{sign}{last}").as_bytes());
    }

    /// Which of `count` results, in ascending order, are on the page.
    pub(crate) fn of(self, count: usize) -> Range<usize> {
        let place = |number: u32| usize::try_from(number).unwrap_or(usize::MAX).min(count.saturating_add(1));
        let (one, other) = (place(self.ends.0), place(self.ends.1));
        let (first, last) = (one.min(other), one.max(other).min(count));
        match self.from {
            From::Oldest => first.saturating_sub(1)..last.max(first.saturating_sub(1)),
            From::Newest => {
                let end = count.saturating_sub(first.saturating_sub(1));
                count.saturating_sub(last).min(end)..end
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(from: From, ends: (u32, u32), count: usize) -> Vec<usize> {
        PartialRange { from, ends }.of(count).map(|index| index + 1).collect()
    }

    #[test]
    fn pages_from_either_end() {
        assert_eq!(page(From::Oldest, (1, 3), 5), [1, 2, 3]);
        assert_eq!(page(From::Oldest, (4, 2), 5), [2, 3, 4]);
        assert_eq!(page(From::Oldest, (5, 900), 5), [5]);
        assert_eq!(page(From::Oldest, (6, 900), 5), [0; 0]);
        assert_eq!(page(From::Newest, (1, 2), 5), [4, 5]);
        assert_eq!(page(From::Newest, (4, u32::MAX), 5), [1, 2]);
        assert_eq!(page(From::Newest, (6, 7), 5), [0; 0]);
        assert_eq!(page(From::Newest, (1, 1), 0), [0; 0]);
    }
}
