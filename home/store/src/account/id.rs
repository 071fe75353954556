//! The numbers by which accounts, mailboxes, messages and moments are named.

use std::fmt;
use std::num::NonZeroU32;
use std::ops::RangeInclusive;

/// An account: one person's (or shared) mail. Given out by the directory, never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct AccountId(pub u32);

impl fmt::Display for AccountId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// Defines a row number that is shown as a letter and the number, which makes it an `objectid` (RFC 8474 §7) and a
/// JMAP `Id` (RFC 8620 §1.2). Never reused within the account.
macro_rules! object_id {
    ($(#[$doc:meta])* $name:ident, $letter:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub i64);

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(formatter, concat!($letter, "{}"), self.0)
            }
        }

        impl std::str::FromStr for $name {
            type Err = crate::Error;

            fn from_str(text: &str) -> Result<Self, crate::Error> {
                let digits = text.strip_prefix($letter).filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()));
                digits
                    .and_then(|digits| digits.parse().ok())
                    .map($name)
                    .ok_or_else(|| crate::Error::NotFound(format!("object {text}")))
            }
        }

        impl rusqlite::ToSql for $name {
            fn to_sql(&self) -> rusqlite::Result<rusqlite::types::ToSqlOutput<'_>> {
                self.0.to_sql()
            }
        }

        impl rusqlite::types::FromSql for $name {
            fn column_result(value: rusqlite::types::ValueRef<'_>) -> rusqlite::types::FromSqlResult<Self> {
                value.as_i64().map($name)
            }
        }
    };
}

object_id! {
    /// A mailbox, through every renaming (MAILBOXID, RFC 8474 §4; JMAP Mailbox id).
    MailboxId, "M"
}
object_id! {
    /// A message's immutable content, the same in every mailbox it was copied or moved to (EMAILID, RFC 8474 §5.1;
    /// JMAP Email id).
    EmailId, "E"
}
object_id! {
    /// A conversation (THREADID, RFC 8474 §5.2; JMAP Thread id).
    ThreadId, "T"
}

/// A message's number in one mailbox: strictly ascending, never reused under one [`UidValidity`] (RFC 9051
/// §2.3.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uid(NonZeroU32);

impl Uid {
    /// The number as a UID; `None` for 0.
    pub fn new(number: u32) -> Option<Uid> {
        NonZeroU32::new(number).map(Uid)
    }

    /// The number, from 1.
    pub fn get(self) -> u32 {
        self.0.get()
    }
}

impl fmt::Display for Uid {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl rusqlite::ToSql for Uid {
    fn to_sql(&self) -> rusqlite::Result<rusqlite::types::ToSqlOutput<'_>> {
        Ok(i64::from(self.get()).into())
    }
}

impl rusqlite::types::FromSql for Uid {
    fn column_result(value: rusqlite::types::ValueRef<'_>) -> rusqlite::types::FromSqlResult<Self> {
        let number = value.as_i64()?;
        let uid = u32::try_from(number).ok().and_then(Uid::new);
        uid.ok_or(rusqlite::types::FromSqlError::OutOfRange(number))
    }
}

/// The generation of a mailbox's UIDs, from 1 (RFC 9051 §2.3.1.1). A mailbox deleted and made again under the same
/// name has a greater one, whatever the clock says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UidValidity(pub u32);

impl fmt::Display for UidValidity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// A moment in the account's history: every change takes the next one (mod-sequence, RFC 7162 §3.1; the JMAP state).
/// Below 2^63. The account begins at 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ModSeq(pub u64);

impl fmt::Display for ModSeq {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl rusqlite::ToSql for ModSeq {
    fn to_sql(&self) -> rusqlite::Result<rusqlite::types::ToSqlOutput<'_>> {
        let number = i64::try_from(self.0).unwrap_or(i64::MAX);
        Ok(number.into())
    }
}

impl rusqlite::types::FromSql for ModSeq {
    fn column_result(value: rusqlite::types::ValueRef<'_>) -> rusqlite::types::FromSqlResult<Self> {
        let number = value.as_i64()?;
        u64::try_from(number).map(ModSeq).map_err(|_| rusqlite::types::FromSqlError::OutOfRange(number))
    }
}

/// A set of UIDs as ascending ranges that neither touch nor overlap.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UidSet(Vec<(u32, u32)>);

impl UidSet {
    /// Every UID there can be.
    pub fn all() -> UidSet {
        UidSet(vec![(1, u32::MAX)])
    }

    /// The set of these ranges, in any order, overlapping or not; empty ranges and 0 are dropped.
    pub fn from_ranges(ranges: impl IntoIterator<Item = RangeInclusive<u32>>) -> UidSet {
        let mut ranges: Vec<(u32, u32)> = ranges
            .into_iter()
            .map(|range| ((*range.start()).max(1), *range.end()))
            .filter(|(first, last)| first <= last)
            .collect();
        ranges.sort_unstable();
        let mut merged: Vec<(u32, u32)> = Vec::with_capacity(ranges.len());
        for (first, last) in ranges {
            match merged.last_mut() {
                Some(previous) if first <= previous.1.saturating_add(1) => previous.1 = previous.1.max(last),
                _ => merged.push((first, last)),
            }
        }
        UidSet(merged)
    }

    /// Whether nothing is in the set.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many UIDs are in the set.
    pub fn len(&self) -> u64 {
        self.0.iter().map(|(first, last)| u64::from(last - first) + 1).sum()
    }

    /// Whether `uid` is in the set.
    pub fn contains(&self, uid: Uid) -> bool {
        let number = uid.get();
        let after = self.0.partition_point(|(first, _)| *first <= number);
        after.checked_sub(1).and_then(|index| self.0.get(index)).is_some_and(|(_, last)| number <= *last)
    }

    /// The ranges, ascending.
    pub fn ranges(&self) -> impl Iterator<Item = RangeInclusive<u32>> + '_ {
        self.0.iter().map(|(first, last)| *first..=*last)
    }

    /// The UIDs one by one, ascending.
    pub fn iter(&self) -> impl Iterator<Item = Uid> + '_ {
        self.ranges().flatten().filter_map(Uid::new)
    }
}

impl FromIterator<Uid> for UidSet {
    fn from_iter<I: IntoIterator<Item = Uid>>(uids: I) -> UidSet {
        UidSet::from_ranges(uids.into_iter().map(|uid| uid.get()..=uid.get()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uid_sets_are_normal() {
        let set = UidSet::from_ranges([7..=9, 1..=3, 4..=4, 8..=12, 0..=0]);
        assert_eq!(set.ranges().collect::<Vec<_>>(), [1..=4, 7..=12]);
        assert_eq!(set.len(), 10);
        assert!(set.contains(Uid::new(4).unwrap()) && !set.contains(Uid::new(5).unwrap()));
        assert_eq!(set.iter().collect::<UidSet>(), set);
        assert!(UidSet::all().contains(Uid::new(u32::MAX).unwrap()));
    }

    #[test]
    fn object_ids_round_trip() {
        assert_eq!("E17".parse::<EmailId>().unwrap(), EmailId(17));
        assert_eq!(MailboxId(3).to_string(), "M3");
        for wrong in ["", "E", "E-1", "E+1", "M1", "E99999999999999999999"] {
            assert!(wrong.parse::<EmailId>().is_err(), "{wrong}");
        }
    }
}
