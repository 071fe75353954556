//! The addresses in a `From`, `Sender`, `To`, `Cc` or `Reply-To` field.
//!
//! In: the unfolded value of the field. Out: the addresses in order, without display names, groups opened. Refused:
//! anything that two readers could understand differently: unbalanced quotes, comments or brackets, two bracketed
//! addresses for one name, routes, text after a bracketed address.
//!
//! Implements RFC 5322 §3.4 (`address-list`), §3.2.2 (comments), RFC 6532 §3.2 (UTF-8).

use crate::address::EmailAddress;

/// The value is not a list of addresses that every reader understands alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not a plain list of addresses")]
pub struct MailboxListError;

/// Reads the list; an empty list is an error.
///
/// # Errors
/// [`MailboxListError`].
pub fn parse(value: &str) -> Result<Vec<EmailAddress>, MailboxListError> {
    let mut scanner = Scanner::default();
    for character in value.chars() {
        scanner.take(character)?;
    }
    scanner.finish()
}

/// Reads character by character; collects one address at a time.
#[derive(Default)]
struct Scanner {
    place: Place,
    escaped: bool,
    in_group: bool,
    /// Text outside angle brackets, white space and comments left out.
    outside: String,
    /// Text inside angle brackets, once there were any.
    bracketed: Option<String>,
    found: Vec<EmailAddress>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Place {
    #[default]
    Outside,
    /// In a quoted string; the flag tells whether it is within angle brackets.
    Quoted(bool),
    /// In a comment of this depth.
    Comment(u32),
    Brackets,
}

impl Scanner {
    fn take(&mut self, character: char) -> Result<(), MailboxListError> {
        match self.place {
            Place::Quoted(bracketed) => self.quoted(character, bracketed),
            Place::Comment(depth) => self.comment(character, depth),
            Place::Brackets => return self.in_brackets(character),
            Place::Outside => return self.outside(character),
        }
        Ok(())
    }

    fn quoted(&mut self, character: char, bracketed: bool) {
        self.push(character);
        match character {
            _ if self.escaped => self.escaped = false,
            '\\' => self.escaped = true,
            '"' => self.place = if bracketed { Place::Brackets } else { Place::Outside },
            _ => {}
        }
    }

    fn comment(&mut self, character: char, depth: u32) {
        match character {
            _ if self.escaped => self.escaped = false,
            '\\' => self.escaped = true,
            '(' => self.place = Place::Comment(depth.saturating_add(1)),
            ')' if depth > 1 => self.place = Place::Comment(depth - 1),
            ')' => self.place = Place::Outside,
            _ => {}
        }
    }

    fn in_brackets(&mut self, character: char) -> Result<(), MailboxListError> {
        match character {
            '>' => self.place = Place::Outside,
            '"' => {
                self.push(character);
                self.place = Place::Quoted(true);
            }
            '<' | '(' | ')' | ',' | ';' => return Err(MailboxListError),
            ' ' | '\t' => {}
            character => self.push(character),
        }
        Ok(())
    }

    fn outside(&mut self, character: char) -> Result<(), MailboxListError> {
        match character {
            '(' => self.place = Place::Comment(1),
            ',' => self.end_address()?,
            ':' if !self.in_group && self.bracketed.is_none() => {
                self.in_group = true;
                self.outside.clear();
            }
            ';' if self.in_group => {
                self.end_address()?;
                self.in_group = false;
            }
            '<' if self.bracketed.is_none() => {
                self.bracketed = Some(String::new());
                self.place = Place::Brackets;
            }
            ' ' | '\t' => self.outside.push(' '),
            // Nothing but white space and comments may follow the brackets.
            '<' | '>' | ')' | ':' | ';' => return Err(MailboxListError),
            _ if self.bracketed.is_some() => return Err(MailboxListError),
            '"' => {
                self.push(character);
                self.place = Place::Quoted(false);
            }
            character => self.push(character),
        }
        Ok(())
    }

    fn push(&mut self, character: char) {
        self.bracketed.as_mut().unwrap_or(&mut self.outside).push(character);
    }

    /// A comma, a semicolon or the end: what was collected is one address, or nothing at all.
    fn end_address(&mut self) -> Result<(), MailboxListError> {
        let outside = std::mem::take(&mut self.outside);
        let text = match self.bracketed.take() {
            Some(bracketed) => bracketed,
            None if outside.trim().is_empty() => return Ok(()),
            None => outside,
        };
        self.found.push(EmailAddress::parse(text.trim()).map_err(|_| MailboxListError)?);
        Ok(())
    }

    fn finish(mut self) -> Result<Vec<EmailAddress>, MailboxListError> {
        self.end_address()?;
        let closed = self.place == Place::Outside && !self.in_group;
        if closed && !self.found.is_empty() { Ok(self.found) } else { Err(MailboxListError) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(value: &str) -> Option<String> {
        let addresses = parse(value).ok()?;
        Some(addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn lists_in_every_form() {
        for (value, expected) in [
            ("ana@home.example", "ana@home.example"),
            ("Ana <ana@home.example>", "ana@home.example"),
            ("\"Ana, of (Home) <x@y.example>\" <ana@home.example> (a comment)", "ana@home.example"),
            ("=?utf-8?q?=3Cevil=40x=2Eexample=3E?= <ana@home.example>", "ana@home.example"),
            ("ana@home.example <bob@home.example>", "bob@home.example"),
            ("ana@home.example,\tBob <bob@home.example>", "ana@home.example bob@home.example"),
            ("Friends: ana@home.example, Bob <bob@home.example>;", "ana@home.example bob@home.example"),
            ("(nested (comment) \\) here) ana@home.example", "ana@home.example"),
            ("\"a b\"@home.example", "\"a b\"@home.example"),
            ("<\"a>b\"@home.example>", "\"a>b\"@home.example"),
            (", ana@home.example,", "ana@home.example"),
        ] {
            assert_eq!(read(value).as_deref(), Some(expected), "{value}");
        }
    }

    #[test]
    fn ambiguous_values_are_refused() {
        for value in [
            "",
            "Ana",
            "Friends:;",
            "<ana@home.example> <evil@x.example>",
            "<ana@home.example> evil@x.example",
            "Ana <ana@home.example",
            "\"Ana <ana@home.example>",
            "(Ana <ana@home.example>",
            "<@x.example:ana@home.example>",
            "ana@home.example evil@x.example",
            "ana@home.example> <evil@x.example",
            "Friends: ana@home.example",
            "<ana@home.example,evil@x.example>",
            "<>",
        ] {
            assert_eq!(read(value), None, "{value}");
        }
    }

    proptest! {
        #[test]
        fn nothing_panics(value in "[a@.<>(),:;\" \\\\]{0,40}") {
            let _ = parse(&value);
        }
    }
}
