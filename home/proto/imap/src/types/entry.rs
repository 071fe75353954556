//! Names of annotations (RFC 5464 §3.2): `/private/comment`.
//!
//! In: an astring. Out: a name in lower case, since case makes no difference. Refused: what the RFC forbids, and names longer
//! than [`MAX_OCTETS`].

use crate::parser::{ParseError, Parser, Result};
use crate::response::encode;

/// Longest name, in octets.
const MAX_OCTETS: usize = 255;

/// A name, or the beginning of names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry(String);

impl Entry {
    pub(crate) fn parse(parser: &mut Parser<'_>) -> Result<Entry> {
        let text = parser.text_astring()?;
        Entry::new(&text).ok_or(ParseError::Syntax("Invalid entry name"))
    }

    /// A name that the RFC allows; `None` for any other.
    pub fn new(text: &str) -> Option<Entry> {
        let name = text.to_ascii_lowercase();
        let mut components = name.strip_prefix('/')?.split('/');
        let scoped = matches!(components.next(), Some("private" | "shared"));
        let plain = |octet: u8| matches!(octet, 0x20..=0x7e) && !matches!(octet, b'*' | b'%');
        let valid = scoped
            && components.all(|it| !it.is_empty())
            && name.len() <= MAX_OCTETS
            && name.bytes().all(plain);
        valid.then_some(Entry(name))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it can have a value: the scope alone cannot.
    pub(crate) fn can_be_set(&self) -> bool {
        self.0.matches('/').count() > 1
    }

    pub(crate) fn is_shared(&self) -> bool {
        self.0.starts_with("/shared/")
    }

    /// How many levels `name` is below this one: 0 for itself, nothing if it is elsewhere.
    pub(crate) fn levels_above(&self, name: &str) -> Option<usize> {
        let rest = name.strip_prefix(&self.0)?;
        (rest.is_empty() || rest.starts_with('/')).then(|| rest.matches('/').count())
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        encode::astring(self.0.as_bytes(), out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert_eq!(Entry::new("/Private/Comment").unwrap().as_str(), "/private/comment");
        for wrong in [
            "",
            "/",
            "comment",
            "/comment",
            "/private/",
            "/private//a",
            "/shared/a*",
            "/shared/%",
            "/shared/ä",
            "/shared/\u{1}",
        ] {
            assert_eq!(Entry::new(wrong), None, "{wrong}");
        }
        assert_eq!(Entry::new(&format!("/private/{}", "a".repeat(300))), None);
    }

    #[test]
    fn levels() {
        let entry = Entry::new("/private/a").unwrap();
        assert_eq!(entry.levels_above("/private/a"), Some(0));
        assert_eq!(entry.levels_above("/private/a/b/c"), Some(2));
        assert_eq!(entry.levels_above("/private/ab"), None);
    }
}
