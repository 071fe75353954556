//! Flags of a message: the system flags as bits, keywords by name (RFC 9051 §2.3.2).

use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::{BitAnd, BitOr};
use std::sync::Arc;

use super::FlagMask;
use crate::{Error, Result};

/// A set of system flags. `\Recent` is not among them: it is a watermark of the mailbox (see
/// [`Snapshot::recent`](super::Snapshot)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct SystemFlags(u8);

impl SystemFlags {
    /// `\Seen`
    pub const SEEN: SystemFlags = SystemFlags(1);
    /// `\Answered`
    pub const ANSWERED: SystemFlags = SystemFlags(2);
    /// `\Flagged`
    pub const FLAGGED: SystemFlags = SystemFlags(4);
    /// `\Deleted`
    pub const DELETED: SystemFlags = SystemFlags(8);
    /// `\Draft`
    pub const DRAFT: SystemFlags = SystemFlags(16);
    /// Each flag with its IMAP spelling.
    pub const NAMES: [(SystemFlags, &'static str); 5] = [
        (SystemFlags::ANSWERED, "\\Answered"),
        (SystemFlags::FLAGGED, "\\Flagged"),
        (SystemFlags::DELETED, "\\Deleted"),
        (SystemFlags::SEEN, "\\Seen"),
        (SystemFlags::DRAFT, "\\Draft"),
    ];

    /// No flag.
    pub const fn empty() -> SystemFlags {
        SystemFlags(0)
    }

    /// The flag with this IMAP spelling, in any case.
    pub fn parse(name: &str) -> Option<SystemFlags> {
        Self::NAMES.iter().find(|(_, spelled)| spelled.eq_ignore_ascii_case(name)).map(|(flag, _)| *flag)
    }

    /// Whether all of `other` are set here.
    pub const fn contains(self, other: SystemFlags) -> bool {
        self.0 & other.0 == other.0
    }

    /// These flags without `other`.
    pub const fn without(self, other: SystemFlags) -> SystemFlags {
        SystemFlags(self.0 & !other.0)
    }

    /// The bits as they are stored.
    pub(crate) const fn bits(self) -> u8 {
        self.0
    }

    pub(crate) const fn from_bits(bits: u8) -> SystemFlags {
        SystemFlags(bits & 31)
    }
}

impl BitOr for SystemFlags {
    type Output = SystemFlags;

    fn bitor(self, other: SystemFlags) -> SystemFlags {
        SystemFlags(self.0 | other.0)
    }
}

impl BitAnd for SystemFlags {
    type Output = SystemFlags;

    fn bitand(self, other: SystemFlags) -> SystemFlags {
        SystemFlags(self.0 & other.0)
    }
}

/// A keyword such as `$Forwarded`: an atom of at most [`Keyword::MAX_OCTETS`], shown as first spelled in the account
/// and compared without regard to case (RFC 9051 §2.3.2). Cheap to clone.
#[derive(Debug, Clone)]
pub struct Keyword(Arc<str>);

impl Keyword {
    /// The longest keyword, in octets.
    pub const MAX_OCTETS: usize = 255;

    /// Checks that `name` is an atom that can be a keyword.
    ///
    /// # Errors
    /// `Permanent` if it is empty, too long, or has a character that an atom may not have.
    pub fn new(name: &str) -> Result<Keyword> {
        let forbidden = |byte: u8| !byte.is_ascii_graphic() || b"(){%*\"\\]".contains(&byte);
        if name.is_empty() || name.len() > Self::MAX_OCTETS || name.bytes().any(forbidden) {
            return Err(Error::Permanent("not a valid keyword".to_owned()));
        }
        Ok(Keyword(Arc::from(name)))
    }

    /// The keyword as it was first spelled.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Keyword {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl PartialEq for Keyword {
    fn eq(&self, other: &Keyword) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl Eq for Keyword {}

impl Hash for Keyword {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.bytes().for_each(|byte| state.write_u8(byte.to_ascii_lowercase()));
    }
}

/// The flags of one message.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Flags {
    /// System flags.
    pub system: SystemFlags,
    /// Keywords, each once, in the order in which the account first saw them.
    pub keywords: Vec<Keyword>,
}

impl Flags {
    /// Whether no flag is set.
    pub fn is_empty(&self) -> bool {
        self.system == SystemFlags::empty() && self.keywords.is_empty()
    }
}

impl From<SystemFlags> for Flags {
    fn from(system: SystemFlags) -> Flags {
        Flags { system, keywords: Vec::new() }
    }
}

/// What STORE does with its flags (RFC 9051 §6.4.6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FlagChange {
    /// `+FLAGS`
    Add(Flags),
    /// `-FLAGS`
    Remove(Flags),
    /// `FLAGS`
    Replace(Flags),
    /// `FLAGS` by somebody who may change only some: the others stay as they are.
    ReplaceWithin(Flags, FlagMask),
}

impl FlagChange {
    /// What is left of the change for somebody who may change only these flags.
    pub fn within(self, mask: FlagMask) -> FlagChange {
        match self {
            FlagChange::Add(flags) => FlagChange::Add(mask.of(&flags)),
            FlagChange::Remove(flags) => FlagChange::Remove(mask.of(&flags)),
            FlagChange::Replace(flags) | FlagChange::ReplaceWithin(flags, _) => {
                FlagChange::ReplaceWithin(mask.of(&flags), mask)
            }
        }
    }
}
