//! Replies of a server, from bytes in any split to [`Reply`].
//!
//! In: octets from the network. Out: whole replies, of one line or many. Refused, with an error after which the
//! connection cannot be used: lines over 4,096 octets, replies over 128 lines or 32 KiB, lines that do not
//! begin with a code of RFC 5321 §4.2, continuation lines with another code.
//!
//! Implements RFC 5321 §4.2 (replies), RFC 2034 §4 and RFC 3463 §2 (enhanced status codes).
//!
//! Deviates: RFC 5321 §2.3.8 wants lines to end in CRLF; a bare LF is taken as a line end too, since some
//! servers send it and nothing can be smuggled to a client that way.

use std::fmt::{self, Display, Formatter};

use thiserror::Error;

/// Most octets in one line. RFC 5321 §4.5.3.1.5 says 512; servers exceed it in their explanations.
const LINE_OCTETS_MAX: usize = 4096;
/// Most lines in one reply.
const LINES_MAX: usize = 128;
/// Most octets in one reply.
const REPLY_OCTETS_MAX: usize = 32 * 1024;

/// One reply of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// 200 to 599.
    pub code: u16,
    /// The text of each line without its code and line end; never empty, and without control characters.
    pub lines: Vec<String>,
}

impl Reply {
    /// The command was done (2yz).
    pub fn is_positive(&self) -> bool {
        (200..300).contains(&self.code)
    }

    /// The server waits for more, as after DATA (3yz).
    pub fn is_intermediate(&self) -> bool {
        (300..400).contains(&self.code)
    }

    /// Trying again unchanged is useless (5yz; RFC 5321 §4.2.1).
    pub fn is_permanent_failure(&self) -> bool {
        self.code >= 500
    }

    /// The server is about to close the connection (RFC 5321 §3.8).
    pub fn is_closing(&self) -> bool {
        self.code == 421
    }

    /// The enhanced status code, where the first line begins with one of the reply's own class.
    pub fn enhanced_status(&self) -> Option<EnhancedStatus> {
        let status = EnhancedStatus::parse(self.lines.first()?.split(' ').next()?)?;
        (u16::from(status.class) == self.code / 100).then_some(status)
    }
}

/// The reply as it was on the wire, its lines joined by line feeds.
impl Display for Reply {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let last = self.lines.len().saturating_sub(1);
        for (index, line) in self.lines.iter().enumerate() {
            let (separator, end) = if index == last { (' ', "") } else { ('-', "\n") };
            write!(f, "{}{separator}{line}{end}", self.code)?;
        }
        Ok(())
    }
}

/// An enhanced status code (RFC 3463 §2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EnhancedStatus {
    /// 2, 4 or 5.
    pub class: u8,
    /// 0 to 999.
    pub subject: u16,
    /// 0 to 999.
    pub detail: u16,
}

impl EnhancedStatus {
    /// Reads `class "." subject "." detail`.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.');
        let class = match parts.next()? {
            "2" => 2,
            "4" => 4,
            "5" => 5,
            _ => return None,
        };
        let subject = status_number(parts.next()?)?;
        let detail = status_number(parts.next()?)?;
        parts.next().is_none().then_some(EnhancedStatus { class, subject, detail })
    }
}

impl Display for EnhancedStatus {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.class, self.subject, self.detail)
    }
}

fn status_number(text: &str) -> Option<u16> {
    let digits = (1..=3).contains(&text.len()) && text.bytes().all(|octet| octet.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}

/// The server does not speak SMTP, or says too much.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ReplyError {
    /// A line has no reply code.
    #[error("the server sent a line without a reply code")]
    NoCode,
    /// A continuation line has another code than its first line.
    #[error("the server changed the reply code within a reply")]
    CodeChanged,
    /// A line or a reply goes beyond this module's limits.
    #[error("the server sent a reply beyond all bounds")]
    TooLong,
}

/// Puts replies together from octets.
#[derive(Debug, Default)]
pub struct ReplyParser {
    pending: Vec<u8>,
    code: u16,
    lines: Vec<String>,
    reply_octets: usize,
}

impl ReplyParser {
    /// Adds octets from the network; [`ReplyParser::next_reply`] is to be called until it gives `None`.
    pub fn push(&mut self, octets: &[u8]) {
        self.pending.extend_from_slice(octets);
    }

    /// Drops everything unread; what came before TLS must not count after it (RFC 3207 §4.2).
    pub fn clear(&mut self) {
        *self = ReplyParser::default();
    }

    /// Nothing is left over.
    pub fn is_empty(&self) -> bool {
        self.pending.is_empty() && self.lines.is_empty()
    }

    /// Takes the next whole reply, if there is one.
    ///
    /// # Errors
    /// The connection is of no more use.
    pub fn next_reply(&mut self) -> Result<Option<Reply>, ReplyError> {
        while let Some(line) = self.next_line()? {
            if let Some(reply) = self.handle_line(&line)? {
                return Ok(Some(reply));
            }
        }
        Ok(None)
    }

    fn next_line(&mut self) -> Result<Option<Vec<u8>>, ReplyError> {
        let end = self.pending.iter().position(|octet| *octet == b'\n');
        if end.unwrap_or(self.pending.len()) > LINE_OCTETS_MAX {
            return Err(ReplyError::TooLong);
        }
        let Some(end) = end else { return Ok(None) };
        let rest = self.pending.split_off(end + 1);
        let mut line = std::mem::replace(&mut self.pending, rest);
        line.pop();
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        Ok(Some(line))
    }

    fn handle_line(&mut self, line: &[u8]) -> Result<Option<Reply>, ReplyError> {
        let (code, is_last, text) = split_line(line).ok_or(ReplyError::NoCode)?;
        if !self.lines.is_empty() && code != self.code {
            return Err(ReplyError::CodeChanged);
        }
        self.code = code;
        self.reply_octets += line.len();
        self.lines.push(printable(text));
        if self.lines.len() > LINES_MAX || self.reply_octets > REPLY_OCTETS_MAX {
            return Err(ReplyError::TooLong);
        }
        if !is_last {
            return Ok(None);
        }
        self.reply_octets = 0;
        Ok(Some(Reply { code, lines: std::mem::take(&mut self.lines) }))
    }
}

/// `Reply-code [ SP textstring ]` or `Reply-code "-" [ textstring ]` (RFC 5321 §4.2).
fn split_line(line: &[u8]) -> Option<(u16, bool, &[u8])> {
    let digits = line.get(..3)?;
    if !matches!(digits, [b'2'..=b'5', b'0'..=b'9', b'0'..=b'9']) {
        return None;
    }
    let code = digits.iter().fold(0, |code, digit| code * 10 + u16::from(digit - b'0'));
    match line.get(3..)? {
        [] => Some((code, true, &[])),
        [b' ', text @ ..] => Some((code, true, text)),
        [b'-', text @ ..] => Some((code, false, text)),
        _ => None,
    }
}

/// Replies are shown to people and put into reports, so no control character may pass.
fn printable(text: &[u8]) -> String {
    String::from_utf8_lossy(text).chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse_split(octets: &[u8], cuts: &[usize]) -> Result<Vec<Reply>, ReplyError> {
        let mut parser = ReplyParser::default();
        let mut replies = Vec::new();
        let mut from = 0;
        for cut in cuts.iter().copied().chain([octets.len()]) {
            let cut = cut.clamp(from, octets.len());
            parser.push(&octets[from..cut]);
            from = cut;
            while let Some(reply) = parser.next_reply()? {
                replies.push(reply);
            }
        }
        Ok(replies)
    }

    const SESSION: &[u8] = b"220 mx.example ESMTP\r\n250-mx.example\r\n250-SIZE 1000\r\n250 HELP\r\n354\r\n\
        550 5.1.1 <x@y.example>: no\nsuch-is-not-code"; // a bare LF ends a line; the rest stays pending

    #[test]
    fn every_split_gives_the_same_replies() {
        let whole = parse_split(SESSION, &[]).unwrap();
        assert_eq!(whole.len(), 4);
        assert_eq!(whole[1].lines, ["mx.example", "SIZE 1000", "HELP"]);
        assert_eq!(whole[3].enhanced_status().unwrap().to_string(), "5.1.1");
        for first in 0..=SESSION.len() {
            for second in first..=SESSION.len() {
                assert_eq!(parse_split(SESSION, &[first, second]).unwrap(), whole, "at {first}, {second}");
            }
        }
    }

    #[test]
    fn a_reply_displays_as_it_came() {
        let reply = &parse_split(b"452-4.3.1 full\r\n452 4.3.1 come back\r\n", &[]).unwrap()[0];
        assert_eq!(reply.to_string(), "452-4.3.1 full\n452 4.3.1 come back");
    }

    #[test]
    fn nonsense_is_refused() {
        let cases: [(&[u8], ReplyError); 5] = [
            (b"HTTP/1.1 400 Bad Request\r\n", ReplyError::NoCode),
            (b"250-one\r\n251 two\r\n", ReplyError::CodeChanged),
            (b"250_x\r\n", ReplyError::NoCode),
            (b"199 x\r\n", ReplyError::NoCode),
            (b"\r\n", ReplyError::NoCode),
        ];
        for (octets, error) in cases {
            assert_eq!(parse_split(octets, &[]).unwrap_err(), error);
        }
        assert_eq!(parse_split(&[b'2'; LINE_OCTETS_MAX + 1], &[]).unwrap_err(), ReplyError::TooLong);
        assert_eq!(parse_split(&b"250-x\r\n".repeat(200), &[]).unwrap_err(), ReplyError::TooLong);
    }

    #[test]
    fn an_enhanced_status_must_agree_with_its_code() {
        let status = |line: &[u8]| parse_split(line, &[]).unwrap()[0].enhanced_status();
        assert_eq!(status(b"250 5.1.1 odd\r\n"), None);
        assert_eq!(status(b"550 5.1.1234 odd\r\n"), None);
        assert_eq!(status(b"550 5.7.26 spf\r\n").unwrap().to_string(), "5.7.26");
    }

    proptest! {
        #[test]
        fn octets_never_panic(octets: Vec<u8>, cuts in proptest::collection::vec(0usize..200, 0..4)) {
            let _ = parse_split(&octets, &cuts);
        }
    }
}
