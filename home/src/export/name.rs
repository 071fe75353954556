//! What a mailbox is called on disk.
//!
//! In: a mailbox's name. Out: the name of one file or directory for each level. No two mailboxes get the same one: a
//! character that the form keeps for itself, and the backslash, are written `\xx`, the octet in hexadecimal digits, as
//! Dovecot's plugin `listescape` writes and reads them. A level that a file system has no room for is cut, ends with
//! a hash of itself, and is named in the report.

use std::fmt::Write;
use std::path::Path;

use aws_lc_rs::digest::{SHA256, digest};

/// Octets that a name of a file may have.
pub(super) const LONGEST: usize = 255;
/// What a cut name ends with: `\~` and sixteen digits, which no other name has.
const MARK: &str = "\\~";
const DIGITS: usize = 8;

/// A level with the characters that `is_kept` names (of its beginning and its place there) written as `\xx`.
pub(super) fn escape(level: &str, is_kept: impl Fn(usize, char) -> bool) -> String {
    let mut escaped = String::with_capacity(level.len());
    for (at, character) in level.char_indices() {
        if character == '\\' || character.is_control() || is_kept(at, character) {
            let mut octets = [0; 4];
            for octet in character.encode_utf8(&mut octets).bytes() {
                let _ = write!(escaped, "\\{octet:02x}");
            }
        } else {
            escaped.push(character);
        }
    }
    escaped
}

/// The level of which this is the escaped form; what follows a backslash without two digits stands for itself.
pub(crate) fn unescape(name: &str) -> String {
    let mut octets = Vec::with_capacity(name.len());
    let mut rest = name;
    while let Some((before, after)) = rest.split_once('\\') {
        octets.extend_from_slice(before.as_bytes());
        match after.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(octet) => {
                octets.push(octet);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                octets.push(b'\\');
                rest = after;
            }
        }
    }
    octets.extend_from_slice(rest.as_bytes());
    String::from_utf8_lossy(&octets).into_owned()
}

/// The name, or, where it is longer than `octets`, what is left of it.
pub(super) fn fit(name: String, octets: usize) -> String {
    if name.len() <= octets {
        return name;
    }
    let digest = digest(&SHA256, name.as_bytes());
    let digits: String = digest.as_ref().iter().take(DIGITS).map(|octet| format!("{octet:02x}")).collect();
    let most = octets.saturating_sub(MARK.len() + digits.len());
    let kept = name.get(..name.floor_char_boundary(most)).unwrap_or_default();
    format!("{kept}{MARK}{digits}")
}

/// Whether a name in this path was cut.
pub(super) fn is_cut(path: &Path) -> bool {
    path.iter().any(|name| name.to_string_lossy().contains(MARK))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_long_name_fits_and_stays_apart() {
        let (one, other) = (fit("ü".repeat(200) + "1", LONGEST), fit("ü".repeat(200) + "2", LONGEST));
        assert!(one.len() <= LONGEST && other.len() <= LONGEST);
        assert_ne!(one, other);
        assert_eq!(fit("short".to_owned(), LONGEST), "short");
    }

    proptest! {
        #[test]
        fn an_escaped_name_is_read_back(level in "[a-c.\\\\\n/ü2e]{0,12}") {
            let escaped = escape(&level, |_, character| matches!(character, '.' | '/'));
            prop_assert!(!escaped.contains(['.', '/', '\n']));
            prop_assert_eq!(unescape(&escaped), level);
        }
    }
}
