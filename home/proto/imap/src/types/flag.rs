//! Message flags (RFC 9051 §2.3.2).

use std::borrow::Cow;

/// A flag that a client can set; `\Recent` is the session's own and not here.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Flag {
    /// `\Answered`
    Answered,
    /// `\Flagged`
    Flagged,
    /// `\Deleted`
    Deleted,
    /// `\Seen`
    Seen,
    /// `\Draft`
    Draft,
    /// A keyword such as `$Forwarded`; an atom.
    Keyword(String),
}

impl Flag {
    /// The system flags, in the order in which they are listed.
    pub const SYSTEM: [Flag; 5] = [Flag::Answered, Flag::Flagged, Flag::Deleted, Flag::Seen, Flag::Draft];

    /// A keyword; `name` must be an atom.
    pub fn keyword(name: &str) -> Flag {
        Flag::Keyword(name.to_owned())
    }

    /// The system flag of that name, written without its backslash; `None` for any other.
    pub fn system(name: &str) -> Option<Flag> {
        Flag::SYSTEM.into_iter().find(|flag| flag.name()[1..].eq_ignore_ascii_case(name))
    }

    /// As it stands on the wire.
    pub fn name(&self) -> Cow<'_, str> {
        match self {
            Flag::Answered => "\\Answered".into(),
            Flag::Flagged => "\\Flagged".into(),
            Flag::Deleted => "\\Deleted".into(),
            Flag::Seen => "\\Seen".into(),
            Flag::Draft => "\\Draft".into(),
            Flag::Keyword(name) => name.as_str().into(),
        }
    }
}
