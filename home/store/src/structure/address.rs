//! Address lists as ENVELOPE wants them: display names with their encoded-words, groups kept (RFC 5322 §3.4, with
//! the obsolete forms of §4.4).

use super::header::Lexer;
use super::{Address, Octets};

/// The most addresses kept of one field.
const LIMIT: usize = 10_000;

/// The addresses of a field's value.
pub(super) fn addresses(value: &[u8]) -> Vec<Address> {
    let mut list = List { lexer: Lexer { rest: value }, found: Vec::new(), in_group: false };
    while list.found.len() < LIMIT && list.element() {}
    if list.in_group {
        list.found.push(Address::default());
    }
    list.found
}

struct List<'a> {
    lexer: Lexer<'a>,
    found: Vec<Address>,
    in_group: bool,
}

/// What was read of an element before its end was met.
#[derive(Default)]
struct Element {
    /// Words outside angle brackets, with what separates them.
    words: Octets,
    /// The same words joined as an addr-spec is: only the spaces within a quoted string are part of it.
    spec: Octets,
    /// The content of the last comment, which older software used for the display name.
    comment: Option<Octets>,
    /// What stood between angle brackets.
    angle: Option<Octets>,
    /// A space is due before the next word.
    space: bool,
}

impl List<'_> {
    /// Reads up to the next comma, semicolon or end; false at the end.
    fn element(&mut self) -> bool {
        let mut element = Element::default();
        while let Some(octet) = self.lexer.peek() {
            match octet {
                b',' | b';' => break,
                b':' if element.angle.is_none() && !self.in_group => {
                    self.lexer.bump();
                    self.begin_group(element);
                    return true;
                }
                b'"' => {
                    let content = self.lexer.quoted_string();
                    element.word(&content);
                }
                b'(' => element.comment = Some(self.lexer.comment()),
                b'<' => element.angle = Some(self.angle()),
                b'[' => {
                    let literal = self.take(|octet| octet == b']');
                    element.word(&literal);
                    element.word_octet(self.lexer.bump());
                }
                b' ' | b'\t' | b'\r' | b'\n' | 0 => {
                    self.lexer.bump();
                    element.space = true;
                }
                _ => {
                    let word = self.atom();
                    element.word(&word);
                }
            }
        }
        let end = self.lexer.bump();
        self.found.extend(element.into_address());
        if end == Some(b';') && self.in_group {
            self.in_group = false;
            self.found.push(Address::default());
        }
        end.is_some()
    }

    fn begin_group(&mut self, element: Element) {
        self.in_group = true;
        self.found.push(Address { mailbox: Some(element.words), ..Address::default() });
    }

    /// A run of octets that are not special; an encoded-word is taken whole, whatever is in it.
    fn atom(&mut self) -> Octets {
        if let Some(length) = encoded_word_length(self.lexer.rest)
            && let Some((word, rest)) = self.lexer.rest.split_at_checked(length)
        {
            self.lexer.rest = rest;
            return word.to_vec();
        }
        let mut atom: Octets = self.lexer.bump().into_iter().collect();
        atom.extend(self.take(|octet| octet <= b' ' || b",;:\"(<[".contains(&octet)));
        atom
    }

    fn take(&mut self, stop: impl Fn(u8) -> bool) -> Octets {
        let length = self.lexer.rest.iter().position(|octet| stop(*octet)).unwrap_or(self.lexer.rest.len());
        let (taken, rest) = self.lexer.rest.split_at(length);
        self.lexer.rest = rest;
        taken.to_vec()
    }

    /// The content of `<…>`, quotes taken off, comments and white space dropped.
    fn angle(&mut self) -> Octets {
        self.lexer.bump();
        let mut content = Vec::new();
        while let Some(octet) = self.lexer.peek() {
            match octet {
                b'>' => {
                    self.lexer.bump();
                    break;
                }
                b'"' => content.extend(self.lexer.quoted_string()),
                b'(' => drop(self.lexer.comment()),
                0..=b' ' => drop(self.lexer.bump()),
                _ => content.extend(self.lexer.bump()),
            }
        }
        content
    }
}

impl Element {
    fn word(&mut self, word: &[u8]) {
        if self.space && !self.words.is_empty() {
            self.words.push(b' ');
        }
        self.space = false;
        self.words.extend_from_slice(word);
        self.spec.extend_from_slice(word);
    }

    fn word_octet(&mut self, octet: Option<u8>) {
        self.words.extend(octet);
        self.spec.extend(octet);
    }

    fn into_address(self) -> Option<Address> {
        if let Some(angle) = self.angle {
            let name = Some(self.words).filter(|words| !words.is_empty()).or(self.comment);
            let (route, spec) = split_route(angle);
            return Some(with_spec(name, route, &spec));
        }
        if self.words.is_empty() {
            return None;
        }
        let spec = if self.spec.contains(&b'@') { self.spec } else { self.words };
        Some(with_spec(self.comment, None, &spec))
    }
}

/// Splits `@a,@b:local@domain`.
fn split_route(angle: Octets) -> (Option<Octets>, Octets) {
    if !angle.starts_with(b"@") {
        return (None, angle);
    }
    match angle.iter().position(|octet| *octet == b':') {
        Some(colon) => {
            let spec = angle.get(colon + 1..).unwrap_or_default().to_vec();
            let mut route = angle;
            route.truncate(colon);
            (Some(route), spec)
        }
        None => (None, angle),
    }
}

fn with_spec(name: Option<Octets>, route: Option<Octets>, spec: &[u8]) -> Address {
    let at = spec.iter().rposition(|octet| *octet == b'@').unwrap_or(spec.len());
    let (mailbox, host) = spec.split_at(at);
    let host = host.strip_prefix(b"@").unwrap_or(host);
    Address { name, route, mailbox: Some(mailbox.to_vec()), host: Some(host.to_vec()) }
}

/// The length of the encoded-word at the beginning of `octets` (RFC 2047 §2), if there is one.
pub(super) fn encoded_word_length(octets: &[u8]) -> Option<usize> {
    let inner = octets.strip_prefix(b"=?")?;
    let mut marks = inner.iter().enumerate().take_while(|(_, octet)| !octet.is_ascii_whitespace());
    let mut mark = || marks.by_ref().find(|(_, octet)| **octet == b'?').map(|(index, _)| index);
    let (_, _, end) = (mark()?, mark()?, mark()?);
    (inner.get(end + 1) == Some(&b'=')).then_some(end + 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(value: &str) -> Vec<String> {
        let text = |part: &Option<Octets>| {
            part.as_ref().map_or("NIL".to_owned(), |octets| String::from_utf8_lossy(octets).into_owned())
        };
        addresses(value.as_bytes())
            .iter()
            .map(|address| {
                let Address { name, route, mailbox, host } = address;
                [name, route, mailbox, host].map(text).join("|")
            })
            .collect()
    }

    #[test]
    fn common_forms() {
        assert_eq!(shown("ana@home.example"), ["NIL|NIL|ana|home.example"]);
        assert_eq!(shown(" Ana M. <ana@home.example>\r\n"), ["Ana M.|NIL|ana|home.example"]);
        assert_eq!(shown("\"M, Ana\" <ana@h>, bo@h"), ["M, Ana|NIL|ana|h", "NIL|NIL|bo|h"]);
        assert_eq!(shown("ana@h (Ana M)"), ["Ana M|NIL|ana|h"]);
        assert_eq!(shown("<@a,@b:ana@h>"), ["NIL|@a,@b|ana|h"]);
        assert_eq!(shown("\"a b\"@h"), ["NIL|NIL|a b|h"]);
        assert_eq!(shown("ana @ h"), ["NIL|NIL|ana|h"]);
        assert_eq!(shown("<\"a b\"@h>"), ["NIL|NIL|a b|h"]);
        assert_eq!(shown("ana@[192.0.2.1]"), ["NIL|NIL|ana|[192.0.2.1]"]);
        assert_eq!(shown("<>"), ["NIL|NIL||"]);
        assert_eq!(shown("nobody"), ["NIL|NIL|nobody|"]);
    }

    #[test]
    fn encoded_words_stay_whole() {
        assert_eq!(shown("=?utf-8?Q?M=C3=BC,_A?= <a@h>"), ["=?utf-8?Q?M=C3=BC,_A?=|NIL|a|h"]);
        assert_eq!(encoded_word_length(b"=?a?b?c?= x"), Some(9));
        assert_eq!(encoded_word_length(b"=?a?b c?="), None);
    }

    #[test]
    fn groups_begin_and_end() {
        assert_eq!(
            shown("Friends: a@h, B <b@h>;, c@h"),
            ["NIL|NIL|Friends|NIL", "NIL|NIL|a|h", "B|NIL|b|h", "NIL|NIL|NIL|NIL", "NIL|NIL|c|h"]
        );
        assert_eq!(
            shown("undisclosed-recipients:;"),
            ["NIL|NIL|undisclosed-recipients|NIL", "NIL|NIL|NIL|NIL"]
        );
        assert_eq!(shown("open: a@h").len(), 3);
    }

    #[test]
    fn anything_goes_in() {
        for value in ["", ",,;;", "<", "\"", "(", "[", "<a@b", "a:b:c:;;", "@", "\\", "=?", "a@b@c"] {
            addresses(value.as_bytes());
        }
    }
}
