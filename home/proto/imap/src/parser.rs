//! A cursor over one command's octets, with the terminals of the IMAP grammar.
//!
//! In: a command as the framer gives it, literals inside. Out: atoms, strings, numbers,
//! flags, dates. Refused: whatever the grammar of RFC 9051 §9 does not allow; no
//! function looks outside the command or panics. Keywords compare without regard to case.

use crate::types::{Flag, MailboxName, NameEncoding, SequenceSet};

/// Why a command is refused with BAD (or NO); the text goes to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// The grammar is broken.
    #[error("{0}")]
    Syntax(&'static str),
    /// The command is unknown.
    #[error("Unknown command")]
    UnknownCommand,
    /// The text is not in the named character set, or that is not known.
    #[error("Unsupported character set")]
    BadCharset,
    /// The command ends at a literal that the caller has not collected yet.
    #[error("Unexpected end of command")]
    Incomplete,
}

/// The result of a parsing step.
pub type Result<T> = std::result::Result<T, ParseError>;

/// Parentheses may be nested this deep in SEARCH keys and lists.
pub const MAX_DEPTH: usize = 32;

/// A cursor; every method either consumes what it returns or fails.
#[derive(Debug, Clone)]
pub struct Parser<'a> {
    input: &'a [u8],
    names: NameEncoding,
}

impl<'a> Parser<'a> {
    /// Starts at the first octet of a command; mailbox names are read as `names` says.
    pub fn new(input: &'a [u8], names: NameEncoding) -> Parser<'a> {
        Parser { input, names }
    }

    /// The next octet, not consumed.
    pub fn peek(&self) -> Option<u8> {
        self.input.first().copied()
    }

    /// What has not been consumed.
    pub fn rest(&self) -> &'a [u8] {
        self.input
    }

    /// Consumes `octet` if it is next.
    pub fn eat(&mut self, octet: u8) -> bool {
        match self.input.split_first() {
            Some((&first, rest)) if first == octet => {
                self.input = rest;
                true
            }
            _ => false,
        }
    }

    /// Requires `octet` next.
    pub fn expect(&mut self, octet: u8, otherwise: &'static str) -> Result<()> {
        if self.eat(octet) { Ok(()) } else { Err(self.error(otherwise)) }
    }

    /// Requires exactly one space.
    pub fn space(&mut self) -> Result<()> {
        self.expect(b' ', "Expected a space")
    }

    /// Requires the end of the command.
    pub fn end(&self) -> Result<()> {
        if self.input.is_empty() { Ok(()) } else { Err(ParseError::Syntax("Unexpected argument")) }
    }

    /// Consumes `word` if it is next, without regard to case, and not part of a longer atom.
    pub fn eat_keyword(&mut self, word: &str) -> bool {
        let Some((head, rest)) = self.input.split_at_checked(word.len()) else {
            return false;
        };
        let ends = rest.first().is_none_or(|&octet| !is_atom_char(octet));
        if ends && head.eq_ignore_ascii_case(word.as_bytes()) {
            self.input = rest;
            return true;
        }
        false
    }

    /// The longest run of octets that satisfy `accept`; at least one.
    pub fn take_while(&mut self, accept: impl Fn(u8) -> bool, otherwise: &'static str) -> Result<&'a [u8]> {
        let length = self.input.iter().position(|&octet| !accept(octet)).unwrap_or(self.input.len());
        let (head, rest) = self.input.split_at(length);
        if head.is_empty() {
            return Err(self.error(otherwise));
        }
        self.input = rest;
        Ok(head)
    }

    /// `atom` as text.
    pub fn atom(&mut self) -> Result<&'a str> {
        let octets = self.take_while(is_atom_char, "Expected an atom")?;
        Ok(ascii(octets))
    }

    /// `atom` in upper case.
    pub fn keyword(&mut self) -> Result<String> {
        Ok(self.atom()?.to_ascii_uppercase())
    }

    /// `tag`: astring characters but `+`.
    pub fn tag(&mut self) -> Result<&'a str> {
        let tag_char = |octet: u8| octet.is_ascii() && is_astring_char(octet) && octet != b'+';
        let octets = self.take_while(tag_char, "Missing tag")?;
        Ok(ascii(octets))
    }

    /// `astring`: an atom, quoted or literal.
    pub fn astring(&mut self) -> Result<Vec<u8>> {
        match self.peek() {
            Some(b'"' | b'{') => self.string(),
            _ => Ok(self.take_while(is_astring_char, "Expected a string")?.to_vec()),
        }
    }

    /// `astring` that is UTF-8.
    pub fn text_astring(&mut self) -> Result<String> {
        let octets = self.astring()?;
        String::from_utf8(octets).map_err(|_| ParseError::Syntax("Expected UTF-8 text"))
    }

    /// `string`: quoted or literal.
    pub fn string(&mut self) -> Result<Vec<u8>> {
        match self.peek() {
            Some(b'"') => self.quoted(),
            Some(b'{') => self.literal(),
            _ => Err(self.error("Expected a string")),
        }
    }

    /// `nstring`: a string or NIL.
    pub fn nstring(&mut self) -> Result<Option<Vec<u8>>> {
        if self.eat_keyword("NIL") {
            return Ok(None);
        }
        self.string().map(Some)
    }

    fn quoted(&mut self) -> Result<Vec<u8>> {
        self.expect(b'"', "Expected a quoted string")?;
        let mut text = Vec::new();
        loop {
            match self.input.split_first() {
                Some((b'"', rest)) => {
                    self.input = rest;
                    // RFC 6855 §3
                    let is_text = std::str::from_utf8(&text).is_ok();
                    return is_text.then_some(text).ok_or(ParseError::Syntax("Quoted strings are UTF-8"));
                }
                Some((b'\\', [escaped @ (b'"' | b'\\'), rest @ ..])) => {
                    text.push(*escaped);
                    self.input = rest;
                }
                None => return Err(ParseError::Syntax("Missing closing quote")),
                Some((b'\\' | b'\r' | b'\n' | 0, _)) => {
                    return Err(ParseError::Syntax("Invalid quoted string"));
                }
                Some((&octet, rest)) => {
                    text.push(octet);
                    self.input = rest;
                }
            }
        }
    }

    /// `literal8`: any octets (RFC 3516 §7).
    pub fn literal8(&mut self) -> Result<Vec<u8>> {
        self.expect(b'~', "Expected a literal")?;
        self.literal_octets().map(<[u8]>::to_vec)
    }

    fn literal(&mut self) -> Result<Vec<u8>> {
        let octets = self.literal_octets()?;
        if octets.contains(&0) {
            return Err(ParseError::Syntax("NUL is not allowed"));
        }
        Ok(octets.to_vec())
    }

    fn literal_octets(&mut self) -> Result<&'a [u8]> {
        self.expect(b'{', "Expected a literal")?;
        let size = self.number64()?;
        self.eat(b'+');
        self.expect(b'}', "Invalid literal")?;
        if self.input.is_empty() {
            return Err(ParseError::Incomplete);
        }
        self.expect(b'\r', "Invalid literal")?;
        self.expect(b'\n', "Invalid literal")?;
        let size = usize::try_from(size).map_err(|_| ParseError::Syntax("Invalid literal"))?;
        let (octets, rest) = self.input.split_at_checked(size).ok_or(ParseError::Incomplete)?;
        self.input = rest;
        Ok(octets)
    }

    /// `{n}` or `{n+}` at the end of the command: the announcement of a streamed literal, or of a literal8 (`~{n}`,
    /// RFC 3516 §4.4).
    pub fn literal_announcement(&mut self) -> Result<u64> {
        self.eat(b'~');
        self.expect(b'{', "Expected a literal")?;
        let size = self.number64()?;
        self.eat(b'+');
        self.expect(b'}', "Invalid literal")?;
        self.end()?;
        Ok(size)
    }

    /// `number`: 32 bits.
    pub fn number(&mut self) -> Result<u32> {
        u32::try_from(self.number64()?).map_err(|_| ParseError::Syntax("Number too large"))
    }

    /// `nz-number`: 32 bits, not zero.
    pub fn nz_number(&mut self) -> Result<u32> {
        match self.number()? {
            0 => Err(ParseError::Syntax("Number must not be zero")),
            number => Ok(number),
        }
    }

    /// `number64`: 63 bits.
    pub fn number64(&mut self) -> Result<u64> {
        let digits = self.take_while(|octet| octet.is_ascii_digit(), "Expected a number")?;
        let number: u64 = ascii(digits).parse().map_err(|_| ParseError::Syntax("Number too large"))?;
        if number > i64::MAX as u64 {
            return Err(ParseError::Syntax("Number too large"));
        }
        Ok(number)
    }

    /// `sequence-set`, or `$` (RFC 5182).
    pub fn sequence_set(&mut self) -> Result<SequenceSet> {
        SequenceSet::parse(self)
    }

    /// `mailbox`: an astring, decoded; INBOX in any case is `INBOX`.
    pub fn mailbox(&mut self) -> Result<MailboxName> {
        let octets = self.astring()?;
        MailboxName::decode(&octets, self.names).ok_or(ParseError::Syntax("Invalid mailbox name"))
    }

    /// `list-mailbox`: as `mailbox`, with wildcards allowed in the atom form.
    pub fn list_mailbox(&mut self) -> Result<String> {
        let octets = match self.peek() {
            Some(b'"' | b'{') => self.string()?,
            _ => self.take_while(is_list_char, "Expected a mailbox pattern")?.to_vec(),
        };
        self.names.decode(&octets).ok_or(ParseError::Syntax("Invalid mailbox pattern"))
    }

    /// `flag`, but never `\Recent`.
    pub fn flag(&mut self) -> Result<Flag> {
        let system = self.eat(b'\\');
        let name = self.atom()?;
        if !system {
            return Ok(Flag::keyword(name));
        }
        Flag::system(name).ok_or(ParseError::Syntax("Unknown system flag"))
    }

    /// `flag-list`: flags in parentheses.
    pub fn flag_list(&mut self) -> Result<Vec<Flag>> {
        self.list("Expected a flag list", Parser::flag)
    }

    /// `"(" [item *(SP item)] ")"`.
    pub fn list<T>(
        &mut self,
        otherwise: &'static str,
        mut item: impl FnMut(&mut Parser<'a>) -> Result<T>,
    ) -> Result<Vec<T>> {
        self.expect(b'(', otherwise)?;
        let mut items = Vec::new();
        if self.eat(b')') {
            return Ok(items);
        }
        loop {
            items.push(item(self)?);
            if self.eat(b')') {
                return Ok(items);
            }
            self.space()?;
        }
    }

    /// An error here: the end of the command is [`ParseError::Incomplete`], so that a caller can wait for a literal.
    pub fn error(&self, text: &'static str) -> ParseError {
        if self.input.is_empty() { ParseError::Incomplete } else { ParseError::Syntax(text) }
    }
}

/// `ATOM-CHAR`.
pub fn is_atom_char(octet: u8) -> bool {
    matches!(octet, 0x21..=0x7e) && !matches!(octet, b'(' | b')' | b'{' | b'%' | b'*' | b'"' | b'\\' | b']')
}

/// `ASTRING-CHAR`; octets above 0x7f are let through, as clients send bare UTF-8 names.
pub fn is_astring_char(octet: u8) -> bool {
    is_atom_char(octet) || octet == b']' || octet >= 0x80
}

/// `list-char`.
fn is_list_char(octet: u8) -> bool {
    is_astring_char(octet) || matches!(octet, b'%' | b'*')
}

fn ascii(octets: &[u8]) -> &str {
    std::str::from_utf8(octets).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parser(input: &[u8]) -> Parser<'_> {
        Parser::new(input, NameEncoding::ModifiedUtf7)
    }

    #[test]
    fn strings() {
        assert_eq!(parser(b"abc]").astring().unwrap(), b"abc]");
        assert_eq!(parser(br#""a\"b\\""#).astring().unwrap(), br#"a"b\"#);
        assert_eq!(parser(b"{3}\r\na\rb").astring().unwrap(), b"a\rb");
        assert_eq!(parser(b"{3}").astring(), Err(ParseError::Incomplete));
        assert_eq!(parser(b"{9}\r\nab").astring(), Err(ParseError::Incomplete));
        assert!(parser(b"\"a\\b\"").astring().is_err());
        assert!(parser(b"\"abc").astring().is_err());
        assert_eq!(parser("\"ä\"".as_bytes()).astring().unwrap(), "ä".as_bytes());
        assert!(parser(b"\"\xe4\"").astring().is_err());
        assert_eq!(parser(b"nil").nstring(), Ok(None));
    }

    #[test]
    fn tags_are_ascii() {
        assert_eq!(parser(b"a.1] x").tag(), Ok("a.1]"));
        for wrong in [&b"\x91 x"[..], "ä x".as_bytes(), b"+ x", b" x"] {
            assert!(parser(wrong).tag().is_err(), "{}", wrong.escape_ascii());
        }
        assert_eq!(parser(b"Z\x91 x").tag(), Ok("Z"));
    }

    #[test]
    fn numbers() {
        assert_eq!(parser(b"4294967295").number(), Ok(u32::MAX));
        assert!(parser(b"4294967296").number().is_err());
        assert!(parser(b"9223372036854775808").number64().is_err());
        assert!(parser(b"0").nz_number().is_err());
    }

    #[test]
    fn lists() {
        assert_eq!(parser(b"()").flag_list().unwrap(), []);
        assert_eq!(parser(b"(\\seen Foo)").flag_list().unwrap(), [Flag::Seen, Flag::keyword("Foo")]);
        assert!(parser(b"(\\Recent)").flag_list().is_err());
        assert!(parser(b"(a  b)").flag_list().is_err());
    }
}
