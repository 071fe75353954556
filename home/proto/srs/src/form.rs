//! The two forms of a rewritten local part, ours or another server's.
//!
//! In: the text of a local part. Out: its parts, none of them believed yet. Refused: all that has neither form, also
//! what only begins like one.

use postern_message::address::DomainName;

/// What may stand after `SRS0` and `SRS1`; ours have the first.
const SEPARATORS: [char; 3] = ['=', '+', '-'];

/// A local part that claims to be rewritten.
pub(crate) enum Form<'a> {
    /// `SRS0`: by the first server that forwarded.
    First {
        /// All after `SRS0`, which only that server understands; begins with a separator.
        rest: &'a str,
    },
    /// `SRS1`: by a later one.
    Second {
        /// What shows that this server made it.
        tag: &'a str,
        /// The first server's domain.
        first: DomainName,
        /// All after that server's `SRS0`.
        rest: &'a str,
    },
}

impl<'a> Form<'a> {
    /// Reads a local part; the words are recognised in any case.
    pub(crate) fn parse(local_part: &'a str) -> Option<Self> {
        let (word, rest) = local_part.split_at_checked(4)?;
        let body = rest.strip_prefix(SEPARATORS)?;
        match word {
            _ if word.eq_ignore_ascii_case("SRS0") && !body.is_empty() => Some(Self::First { rest }),
            _ if word.eq_ignore_ascii_case("SRS1") => Self::second(body),
            _ => None,
        }
    }

    fn second(body: &'a str) -> Option<Self> {
        let mut parts = body.splitn(3, '=');
        let (tag, first, rest) = (parts.next()?, parts.next()?, parts.next()?);
        let after_separator = rest.strip_prefix(SEPARATORS)?;
        let first = DomainName::parse(first).ok()?;
        (!after_separator.is_empty()).then_some(Self::Second { tag, first, rest })
    }
}
