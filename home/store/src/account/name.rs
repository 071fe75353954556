//! Names of mailboxes: levels separated by `/`, the first being `INBOX` in any spelling (RFC 9051 §5.1).

use crate::{Error, Result};

/// The separator of levels.
pub const SEPARATOR: char = '/';

/// The longest name, in octets.
const MAX_OCTETS: usize = 1000;

/// The most levels.
const MAX_LEVELS: usize = 32;

/// A name that a mailbox can have, by levels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Name(Vec<String>);

impl Name {
    /// Checks and normalises a name; one separator at the end is taken off (RFC 9051 §6.3.4).
    ///
    /// # Errors
    /// `Permanent` for an empty level, a control character, or too long a name.
    pub(super) fn parse(name: &str) -> Result<Name> {
        let name = name.strip_suffix(SEPARATOR).unwrap_or(name);
        let mut levels: Vec<String> = name.split(SEPARATOR).map(str::to_owned).collect();
        let unfit = |level: &String| level.is_empty() || level.chars().any(char::is_control);
        if name.len() > MAX_OCTETS || levels.len() > MAX_LEVELS || levels.iter().any(unfit) {
            return Err(Error::Permanent("not a name a mailbox can have".to_owned()));
        }
        if let Some(first) = levels.first_mut().filter(|first| first.eq_ignore_ascii_case("INBOX")) {
            *first = "INBOX".to_owned();
        }
        Ok(Name(levels))
    }

    pub(super) fn levels(&self) -> &[String] {
        &self.0
    }

    pub(super) fn is_inbox(&self) -> bool {
        self.0.len() == 1 && self.0.first().is_some_and(|first| first == "INBOX")
    }

    /// The last level and the name above it.
    pub(super) fn split_last(&self) -> (&str, Option<Name>) {
        match self.0.split_last() {
            Some((last, [])) => (last, None),
            Some((last, above)) => (last, Some(Name(above.to_vec()))),
            None => ("", None),
        }
    }

    /// Whether `other` is this name or below it.
    pub(super) fn covers(&self, other: &Name) -> bool {
        other.0.starts_with(&self.0)
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.0.join("/"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked_and_inbox_is_one() {
        assert_eq!(Name::parse("inBox/Über").unwrap().to_string(), "INBOX/Über");
        assert_eq!(Name::parse("a/").unwrap().to_string(), "a");
        assert!(Name::parse("Inbox").unwrap().is_inbox());
        for wrong in ["", "/", "a//b", "/a", "a\nb", &"x".repeat(1001), &"a/".repeat(33)] {
            assert!(Name::parse(wrong).is_err(), "{wrong:?}");
        }
    }
}
