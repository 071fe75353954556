//! What an IMAP server says, as values.
//!
//! In: one response as the connection gathered it, literals inside as they came (`{5}\r\nhello`). Out: atoms, strings and
//! lists. Refused: what is not balanced, and lists in lists deeper than [`DEPTH_MAX`]. The server's parser in
//! `home/proto/imap` reads commands, whose grammar is another: a FETCH item such as `BODY[HEADER.FIELDS (TO)]` is one atom
//! here, and flags come as atoms with their backslash. RFC 9051 §9; nothing here panics on any octets.

/// Lists in lists; a BODYSTRUCTURE, which is never asked for, would need more.
const DEPTH_MAX: usize = 8;

/// One value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    /// `NIL`, numbers, flags and names of items among them.
    Atom(Vec<u8>),
    /// A quoted string or a literal.
    Text(Vec<u8>),
    List(Vec<Value>),
}

impl Value {
    /// The octets of an atom or a string; those of a list are none.
    pub(super) fn octets(&self) -> &[u8] {
        match self {
            Value::Atom(octets) | Value::Text(octets) => octets,
            Value::List(_) => &[],
        }
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(self.octets()).into_owned()
    }

    /// What a list holds; one value alone is a list of it.
    pub(super) fn items(&self) -> &[Value] {
        match self {
            Value::List(items) => items,
            value => std::slice::from_ref(value),
        }
    }

    pub(super) fn number(&self) -> Option<u32> {
        std::str::from_utf8(self.octets()).ok()?.parse().ok()
    }

    pub(super) fn is(&self, word: &str) -> bool {
        matches!(self, Value::Atom(octets) if octets.eq_ignore_ascii_case(word.as_bytes()))
    }
}

/// The values of a response, without its `* ` and its line end; nothing where it is not balanced.
pub(super) fn values(response: &[u8]) -> Option<Vec<Value>> {
    let mut cursor = Cursor { rest: response };
    let values = cursor.list(0)?;
    cursor.rest.is_empty().then_some(values)
}

struct Cursor<'a> {
    rest: &'a [u8],
}

impl Cursor<'_> {
    /// Values up to a closing parenthesis, which stays, or to the end.
    fn list(&mut self, depth: usize) -> Option<Vec<Value>> {
        let mut found = Vec::new();
        loop {
            match self.rest.first() {
                None | Some(b')') => return Some(found),
                Some(b' ') => self.skip(1)?,
                Some(b'(') if depth < DEPTH_MAX => {
                    self.skip(1)?;
                    found.push(Value::List(self.list(depth + 1)?));
                    self.rest.starts_with(b")").then(|| self.skip(1))??;
                }
                Some(b'(') => return None,
                Some(b'"') => found.push(Value::Text(self.quoted()?)),
                Some(b'{') => found.push(Value::Text(self.literal()?)),
                Some(_) => found.push(Value::Atom(self.atom())),
            }
        }
    }

    fn skip(&mut self, octets: usize) -> Option<()> {
        self.rest = self.rest.get(octets..)?;
        Some(())
    }

    fn quoted(&mut self) -> Option<Vec<u8>> {
        let mut text = Vec::new();
        let mut octets = self.rest.iter().enumerate().skip(1);
        while let Some((at, octet)) = octets.next() {
            match octet {
                b'"' => {
                    self.skip(at + 1)?;
                    return Some(text);
                }
                b'\\' => text.push(*octets.next()?.1),
                octet => text.push(*octet),
            }
        }
        None
    }

    fn literal(&mut self) -> Option<Vec<u8>> {
        let end = self.rest.iter().position(|octet| *octet == b'\n')?;
        let size = literal_size(self.rest.get(..end)?)?;
        let octets = self.rest.get(end + 1..)?.get(..usize::try_from(size).ok()?)?.to_vec();
        self.skip(end + 1 + octets.len())?;
        Some(octets)
    }

    /// Up to a space or a parenthesis that is in no brackets: `BODY[HEADER.FIELDS (TO)]<0>`.
    fn atom(&mut self) -> Vec<u8> {
        let mut in_brackets = false;
        let ends = |octet: &u8| {
            in_brackets = (in_brackets || *octet == b'[') && *octet != b']';
            !in_brackets && matches!(octet, b' ' | b'(' | b')')
        };
        let length = self.rest.iter().position(ends).unwrap_or(self.rest.len());
        let (atom, rest) = self.rest.split_at(length);
        self.rest = rest;
        atom.to_vec()
    }
}

/// The octets that a literal at the end of this line has: `… {42}` or `… ~{42}` (RFC 3516).
pub(super) fn literal_size(line: &[u8]) -> Option<u64> {
    let line = line.strip_suffix(b"\r").unwrap_or(line).strip_suffix(b"}")?;
    let open = line.iter().rposition(|octet| *octet == b'{')?;
    std::str::from_utf8(line.get(open + 1..)?).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn atom(text: &str) -> Value {
        Value::Atom(text.into())
    }

    fn text(text: &str) -> Value {
        Value::Text(text.into())
    }

    #[test]
    fn responses_become_values() {
        let fetch = b"1 FETCH (UID 7 FLAGS (\\Seen $Work) X-GM-LABELS (\"\\\\Inbox\" {3}\r\na)b) BODY[HEADER.FIELDS (TO)] NIL)";
        let list = vec![
            atom("UID"),
            atom("7"),
            atom("FLAGS"),
            Value::List(vec![atom("\\Seen"), atom("$Work")]),
            atom("X-GM-LABELS"),
            Value::List(vec![text("\\Inbox"), text("a)b")]),
            atom("BODY[HEADER.FIELDS (TO)]"),
            atom("NIL"),
        ];
        assert_eq!(values(fetch), Some(vec![atom("1"), atom("FETCH"), Value::List(list)]));
        for broken in ["(a", "a)", "\"a", "\"a\\", "{9}\r\nabc", "{x}\r\n", "((((((((((a))))))))))"] {
            assert_eq!(values(broken.as_bytes()), None, "{broken}");
        }
    }

    #[test]
    fn a_literal_is_announced_at_the_end_of_its_line() {
        assert_eq!(literal_size(b"* 1 FETCH (BODY[] {42}\r"), Some(42));
        assert_eq!(literal_size(b"* 1 FETCH (BINARY[] ~{0}"), Some(0));
        assert_eq!((literal_size(b"{a}"), literal_size(b"{1} "), literal_size(b"}")), (None, None, None));
    }

    proptest! {
        #[test]
        fn nothing_panics(octets in prop::collection::vec(prop::sample::select(b"a(){}1[]\"\\ \r\n~".to_vec()), 0..40)) {
            let _ = (values(&octets), literal_size(&octets));
        }
    }
}
