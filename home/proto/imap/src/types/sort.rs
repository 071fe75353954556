//! The order that SORT asks for (RFC 5256 §5 `sort-criteria`, RFC 5957 §4).

use crate::parser::{ParseError, Parser, Result};

/// `sort-criterion`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SortCriterion {
    /// What is compared.
    pub key: SortKey,
    /// Which comes first.
    pub direction: Direction,
}

/// `sort-key`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SortKey {
    /// ARRIVAL: the internal date and time.
    Arrival,
    /// CC: the first address's local part.
    Cc,
    /// DATE: the moment in the Date field.
    Date,
    /// DISPLAYFROM: the first address's name (RFC 5957 §3).
    DisplayFrom,
    /// DISPLAYTO
    DisplayTo,
    /// FROM
    From,
    /// SIZE: octets.
    Size,
    /// SUBJECT: the base subject.
    Subject,
    /// TO
    To,
}

/// Whether REVERSE stands before a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// The smallest first.
    Ascending,
    /// REVERSE
    Descending,
}

impl SortKey {
    const NAMES: [(SortKey, &'static str); 9] = [
        (SortKey::Arrival, "ARRIVAL"),
        (SortKey::Cc, "CC"),
        (SortKey::Date, "DATE"),
        (SortKey::DisplayFrom, "DISPLAYFROM"),
        (SortKey::DisplayTo, "DISPLAYTO"),
        (SortKey::From, "FROM"),
        (SortKey::Size, "SIZE"),
        (SortKey::Subject, "SUBJECT"),
        (SortKey::To, "TO"),
    ];
}

impl SortCriterion {
    pub(crate) fn parse(parser: &mut Parser<'_>) -> Result<SortCriterion> {
        let direction = match parser.eat_keyword("REVERSE") {
            true => {
                parser.space()?;
                Direction::Descending
            }
            false => Direction::Ascending,
        };
        let word = parser.keyword()?;
        let key = SortKey::NAMES.iter().find(|(_, name)| *name == word).map(|(key, _)| *key);
        Ok(SortCriterion { key: key.ok_or(ParseError::Syntax("Unknown sort key"))?, direction })
    }

    /// Writes the criterion as a client would.
    pub fn encode(&self, out: &mut Vec<u8>) {
        if self.direction == Direction::Descending {
            out.extend_from_slice(b"REVERSE ");
        }
        let name = SortKey::NAMES.iter().find(|(key, _)| *key == self.key).map_or("", |(_, name)| name);
        out.extend_from_slice(name.as_bytes());
    }
}
