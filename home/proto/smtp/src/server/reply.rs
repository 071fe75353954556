//! Replies: a code, an enhanced status code where one belongs, and text.
//!
//! Implements RFC 5321 §4.2 (form, multi-line), RFC 2034 §4 (the enhanced code begins the text of every line).

use std::fmt::{self, Display, Formatter};

/// Most octets of text in one reply line, so that the line stays below 512 (RFC 5321 §4.5.3.1.5).
const MAX_TEXT: usize = 480;

/// A reply ready to be sent; `Display` gives its lines with CRLF.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    code: u16,
    enhanced_status: Option<&'static str>,
    lines: Vec<String>,
}

impl Reply {
    /// A reply with an enhanced status code (RFC 3463), as `250 2.1.0 ok`.
    pub fn new(code: u16, enhanced_status: &'static str, text: impl Into<String>) -> Reply {
        Reply { code, enhanced_status: Some(enhanced_status), lines: vec![text.into()] }
    }

    /// A reply that carries none: the greeting, EHLO, 334 and 354 (RFC 2034 §4).
    pub fn without_status(code: u16, lines: Vec<String>) -> Reply {
        Reply { code, enhanced_status: None, lines }
    }

    /// The three digits.
    pub fn code(&self) -> u16 {
        self.code
    }
}

impl Display for Reply {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let last = self.lines.len().saturating_sub(1);
        for (index, line) in self.lines.iter().enumerate() {
            let separator = if index == last { ' ' } else { '-' };
            write!(f, "{}{separator}", self.code)?;
            if let Some(status) = self.enhanced_status {
                write!(f, "{status} ")?;
            }
            write!(f, "{}\r\n", printable(line))?;
        }
        Ok(())
    }
}

/// No control character can end a line early; no line grows too long. A 334 challenge is base64 and may be longer
/// (RFC 4954 §4), which is why the cut is only for text with spaces.
fn printable(line: &str) -> String {
    let limit = if line.contains(' ') { MAX_TEXT } else { usize::MAX };
    let mut octets = 0;
    line.chars()
        .map(|c| if c.is_control() { '?' } else { c })
        .take_while(|c| {
            octets += c.len_utf8();
            octets <= limit
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_and_many() {
        assert_eq!(Reply::new(250, "2.1.0", "ok").to_string(), "250 2.1.0 ok\r\n");
        let ehlo =
            Reply::without_status(250, vec!["mail.home.example".into(), "SIZE 100".into(), "HELP".into()]);
        assert_eq!(ehlo.to_string(), "250-mail.home.example\r\n250-SIZE 100\r\n250 HELP\r\n");
    }

    #[test]
    fn text_cannot_break_the_line() {
        assert_eq!(Reply::new(550, "5.1.1", "a\r\n250 ok").to_string(), "550 5.1.1 a??250 ok\r\n");
        assert!(Reply::new(550, "5.1.1", "ab ".repeat(400)).to_string().len() < 512);
    }
}
