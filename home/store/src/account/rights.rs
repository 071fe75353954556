//! What an account may do with a mailbox of another one (RFC 4314 §2.1).
//!
//! In: letters. Out: a set. Refused: letters that are no rights. The letters `c` and `d` of RFC 2086 are read as what
//! they stand for, `kx` and `et`, and written whenever one of those is (RFC 4314 §2.1.1).

use std::fmt;
use std::ops::BitOr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{Flags, SystemFlags};
use crate::Error;

/// A set of rights. As JSON it is its letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Rights(u16);

impl Rights {
    /// `l`: it is listed.
    pub const LOOKUP: Rights = Rights(1);
    /// `r`: it is selected and read.
    pub const READ: Rights = Rights(1 << 1);
    /// `s`: `\Seen` is changed.
    pub const SEEN: Rights = Rights(1 << 2);
    /// `w`: flags other than `\Seen` and `\Deleted` are changed.
    pub const WRITE: Rights = Rights(1 << 3);
    /// `i`: messages are added.
    pub const INSERT: Rights = Rights(1 << 4);
    /// `p`: mail is sent to it. Kept and shown; nothing asks for it.
    pub const POST: Rights = Rights(1 << 5);
    /// `k`: mailboxes are made below it.
    pub const CREATE: Rights = Rights(1 << 6);
    /// `x`: the mailbox itself is deleted or renamed.
    pub const DELETE_MAILBOX: Rights = Rights(1 << 7);
    /// `t`: `\Deleted` is changed.
    pub const DELETE_MESSAGES: Rights = Rights(1 << 8);
    /// `e`: messages are expunged.
    pub const EXPUNGE: Rights = Rights(1 << 9);
    /// `a`: the rights themselves are changed.
    pub const ADMINISTER: Rights = Rights(1 << 10);
    /// Everything, as the owner has it.
    pub const ALL: Rights = Rights((1 << 11) - 1);

    /// The letters in the order of RFC 4314 §2.1.
    const LETTERS: [(char, Rights); 13] = [
        ('l', Rights::LOOKUP),
        ('r', Rights::READ),
        ('s', Rights::SEEN),
        ('w', Rights::WRITE),
        ('i', Rights::INSERT),
        ('p', Rights::POST),
        ('k', Rights::CREATE),
        ('x', Rights::DELETE_MAILBOX),
        ('t', Rights::DELETE_MESSAGES),
        ('e', Rights::EXPUNGE),
        ('a', Rights::ADMINISTER),
        ('c', Rights(Rights::CREATE.0 | Rights::DELETE_MAILBOX.0)),
        ('d', Rights(Rights::EXPUNGE.0 | Rights::DELETE_MESSAGES.0)),
    ];

    /// Each right alone, without those that stand for several.
    pub fn each() -> impl Iterator<Item = Rights> {
        (0..11).map(|bit| Rights(1 << bit))
    }

    /// No right.
    pub const fn empty() -> Rights {
        Rights(0)
    }

    /// Whether there is none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether all of `other` are here.
    pub const fn contains(self, other: Rights) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether any of `other` is here.
    pub const fn intersects(self, other: Rights) -> bool {
        self.0 & other.0 != 0
    }

    /// These and `other`.
    pub const fn and(self, other: Rights) -> Rights {
        Rights(self.0 | other.0)
    }

    /// These without `other`.
    pub const fn without(self, other: Rights) -> Rights {
        Rights(self.0 & !other.0)
    }

    /// The flags that may be changed with these rights (RFC 4314 §4).
    pub fn flags(self) -> FlagMask {
        let when = |right, flags| if self.contains(right) { flags } else { SystemFlags::empty() };
        let others = SystemFlags::ANSWERED | SystemFlags::FLAGGED | SystemFlags::DRAFT;
        FlagMask {
            system: when(Rights::SEEN, SystemFlags::SEEN)
                | when(Rights::DELETE_MESSAGES, SystemFlags::DELETED)
                | when(Rights::WRITE, others),
            keywords: self.contains(Rights::WRITE),
        }
    }

    /// The bits as they are stored.
    pub(super) const fn bits(self) -> u16 {
        self.0
    }

    pub(super) const fn from_bits(bits: u16) -> Rights {
        Rights(bits & Rights::ALL.0)
    }
}

impl BitOr for Rights {
    type Output = Rights;

    fn bitor(self, other: Rights) -> Rights {
        self.and(other)
    }
}

impl fmt::Display for Rights {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let held = Rights::LETTERS.iter().filter(|(_, rights)| self.intersects(*rights));
        held.map(|(letter, _)| *letter).collect::<String>().fmt(formatter)
    }
}

impl FromStr for Rights {
    type Err = Error;

    fn from_str(text: &str) -> Result<Rights, Error> {
        let right = |letter: char| {
            let known = Rights::LETTERS.iter().find(|(known, _)| *known == letter);
            known
                .map(|(_, rights)| *rights)
                .ok_or_else(|| Error::Permanent(format!("there is no right {letter}")))
        };
        text.chars().try_fold(Rights::empty(), |all, letter| Ok(all | right(letter)?))
    }
}

impl From<Rights> for String {
    fn from(rights: Rights) -> String {
        rights.to_string()
    }
}

impl TryFrom<String> for Rights {
    type Error = Error;

    fn try_from(text: String) -> Result<Rights, Error> {
        text.parse()
    }
}

/// Some of the flags: those that somebody may change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlagMask {
    /// System flags.
    pub system: SystemFlags,
    /// Whether keywords are among them.
    pub keywords: bool,
}

impl FlagMask {
    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.system == SystemFlags::empty() && !self.keywords
    }

    /// Those of `flags` that are among them.
    pub fn of(self, flags: &Flags) -> Flags {
        Flags {
            system: flags.system & self.system,
            keywords: if self.keywords { flags.keywords.clone() } else { Vec::new() },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> String {
        text.parse::<Rights>().expect("rights").to_string()
    }

    #[test]
    fn letters_are_read_and_written() {
        assert_eq!(parsed("lrs"), "lrs");
        assert_eq!(parsed("srl"), "lrs");
        assert_eq!(parsed(""), "");
        // RFC 4314 §2.1.1: the old letters stand for two each, and are written with either.
        assert_eq!(parsed("lrswida"), "lrswitead");
        assert_eq!(parsed("c"), "kxc");
        assert_eq!(parsed("k"), "kc");
        assert_eq!(Rights::ALL.to_string(), "lrswipkxteacd");
        for wrong in ["q", "L", "lr0", "l r"] {
            assert!(wrong.parse::<Rights>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn flags_need_their_right() {
        let mask = |text: &str| text.parse::<Rights>().expect("rights").flags();
        assert!(mask("lripkxea").is_empty());
        assert_eq!(mask("s").system, SystemFlags::SEEN);
        assert_eq!(mask("t").system, SystemFlags::DELETED);
        assert!(mask("w").keywords && !mask("st").keywords);
        assert_eq!(Rights::ALL.flags().system, SystemFlags::from_bits(31));
    }
}
