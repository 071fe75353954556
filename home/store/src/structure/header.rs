//! Header fields as octets: splitting, unfolding, and values made of tokens and parameters (RFC 5322 §2.2, RFC 2045
//! §5.1).

use super::{Octets, Parameter};

/// A header field as it stands in the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field<'a> {
    /// All of it, with the line end.
    pub octets: &'a [u8],
    /// The name, without the colon.
    pub name: &'a [u8],
    /// The value, still folded, with the line end.
    pub value: &'a [u8],
}

impl Field<'_> {
    /// Whether this is the field `name`, in any case.
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }
}

/// The fields of a header, in order. Lines that are no fields are passed over; the empty line ends the header.
pub fn fields(header: &[u8]) -> impl Iterator<Item = Field<'_>> {
    let mut rest = header;
    std::iter::from_fn(move || {
        loop {
            if rest.is_empty() || is_empty_line(rest) {
                return None;
            }
            let (field, after) = rest.split_at_checked(field_length(rest))?;
            rest = after;
            if let Some(field) = split_field(field) {
                return Some(field);
            }
        }
    })
}

fn is_empty_line(octets: &[u8]) -> bool {
    octets.starts_with(b"\r\n") || octets.starts_with(b"\n")
}

/// The length of the field at the beginning of `octets`, with its continuation lines.
fn field_length(octets: &[u8]) -> usize {
    let mut length = 0;
    loop {
        let rest = octets.get(length..).unwrap_or_default();
        let Some(line_end) = rest.iter().position(|octet| *octet == b'\n') else { return octets.len() };
        length += line_end + 1;
        if !matches!(octets.get(length), Some(b' ' | b'\t')) {
            return length;
        }
    }
}

fn split_field(field: &[u8]) -> Option<Field<'_>> {
    let colon = field.iter().position(|octet| *octet == b':')?;
    let name = field.get(..colon)?.trim_ascii_end();
    let valid = !name.is_empty() && name.iter().all(u8::is_ascii_graphic);
    valid.then_some(Field { octets: field, name, value: field.get(colon + 1..)? })
}

/// The value without its line ends and without NULs (which no IMAP string can hold), and without white space around.
pub fn unfold(value: &[u8]) -> Octets {
    let kept = value.trim_ascii().iter().filter(|octet| !matches!(octet, b'\r' | b'\n' | 0));
    kept.copied().collect()
}

/// A value such as `text/plain; charset=utf-8`: what stands before the first semicolon, and the parameters.
pub(super) fn parameterised(value: &[u8]) -> (Octets, Vec<Parameter>) {
    let mut lexer = Lexer { rest: value };
    let kind = lexer.take_until(b";");
    let mut parameters = Vec::new();
    while lexer.skip(b';') {
        let name = lexer.take_until(b"=;");
        if lexer.skip(b'=') {
            let value = lexer.take_until(b";");
            if !name.is_empty() {
                parameters.push((name, value));
            }
        }
    }
    (kind, parameters)
}

/// A list of tokens separated by commas, such as Content-Language.
pub(super) fn comma_separated(value: &[u8]) -> Vec<Octets> {
    let mut lexer = Lexer { rest: value };
    let mut tokens = Vec::new();
    loop {
        let token = lexer.take_until(b",");
        if !token.is_empty() {
            tokens.push(token);
        }
        if !lexer.skip(b',') {
            return tokens;
        }
    }
}

/// Takes text apart with quoted strings and comments understood.
pub(super) struct Lexer<'a> {
    pub(super) rest: &'a [u8],
}

impl Lexer<'_> {
    pub(super) fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    pub(super) fn bump(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    pub(super) fn skip(&mut self, octet: u8) -> bool {
        let found = self.peek() == Some(octet);
        if found {
            self.bump();
        }
        found
    }

    /// Everything before one of `stops`, quotes taken off, comments dropped, without white space around.
    fn take_until(&mut self, stops: &[u8]) -> Octets {
        let mut taken = Vec::new();
        while let Some(octet) = self.peek().filter(|octet| !stops.contains(octet)) {
            match octet {
                b'"' => taken.extend(self.quoted_string()),
                b'(' => drop(self.comment()),
                b'\r' | b'\n' | 0 => drop(self.bump()),
                _ => taken.extend(self.bump()),
            }
        }
        taken.trim_ascii().to_vec()
    }

    /// The content of the quoted string that begins here; one that is not closed ends with the value.
    pub(super) fn quoted_string(&mut self) -> Octets {
        let mut content = Vec::new();
        self.bump();
        while let Some(octet) = self.bump() {
            match octet {
                b'"' => break,
                b'\\' => content.extend(self.bump()),
                b'\r' | b'\n' | 0 => {}
                _ => content.push(octet),
            }
        }
        content
    }

    /// The content of the comment that begins here, inner comments with their parentheses.
    pub(super) fn comment(&mut self) -> Octets {
        let mut content = Vec::new();
        let mut depth = 0usize;
        while let Some(octet) = self.bump() {
            match octet {
                b'(' => {
                    depth += 1;
                    if depth == 1 {
                        continue;
                    }
                }
                b')' => {
                    depth -= 1;
                    if depth == 0 {
                        break;
                    }
                }
                b'\\' => {
                    content.extend(self.bump());
                    continue;
                }
                b'\r' | b'\n' | 0 => continue,
                _ => {}
            }
            content.push(octet);
        }
        content
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_split_and_unfolded() {
        let header = b"Subject: a\r\n  b\r\nnot a field\r\nX-Empty:\r\nTo : c\n\nbody: no\r\n";
        let found: Vec<(Vec<u8>, Vec<u8>)> =
            fields(header).map(|field| (field.name.to_vec(), unfold(field.value))).collect();
        let expected: [(&[u8], &[u8]); 3] = [(b"Subject", b"a  b"), (b"X-Empty", b""), (b"To", b"c")];
        let expected: Vec<_> = expected.iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn parameters_are_unquoted() {
        let (kind, parameters) =
            parameterised(b" text/plain (a comment); charset=\"utf-8\"; =x;name=\"a;\\\"b\"\r\n");
        assert_eq!(kind, b"text/plain");
        assert_eq!(
            parameters,
            [(b"charset".to_vec(), b"utf-8".to_vec()), (b"name".to_vec(), b"a;\"b".to_vec())]
        );
        assert_eq!(comma_separated(b"en, de (German),"), [b"en".to_vec(), b"de".to_vec()]);
    }
}
