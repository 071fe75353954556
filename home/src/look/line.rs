//! Lines of text to and from a mail server, as far as a look needs them.
//!
//! In: a connection. Out: the server's lines and replies. Refused: lines over [`MOST_OCTETS`], replies over [`MOST_LINES`],
//! and a server that is slower than [`PATIENCE`]. Nothing is read beyond a line's end, so TLS can begin behind it.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

/// How long one line may take: some servers wait before they greet.
const PATIENCE: Duration = Duration::from_secs(10);
/// RFC 5321 §4.5.3.1.5, with room.
const MOST_OCTETS: usize = 2048;
const MOST_LINES: usize = 64;

/// One line without its end, printable ASCII only: it may end on an operator's screen.
///
/// # Errors
/// As the system says; `TimedOut`, `InvalidData` for a line that does not end.
pub async fn line(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<String> {
    let reading = async {
        let mut line = Vec::new();
        while line.len() < MOST_OCTETS {
            match stream.read_u8().await? {
                b'\n' => return Ok(line.into_iter().filter(is_printable).map(char::from).collect()),
                octet => line.push(octet),
            }
        }
        Err(io::Error::new(io::ErrorKind::InvalidData, "a line without an end"))
    };
    timeout(PATIENCE, reading).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

fn is_printable(octet: &u8) -> bool {
    octet.is_ascii_graphic() || *octet == b' '
}

/// An SMTP reply with all its lines (RFC 5321 §4.2.1).
///
/// # Errors
/// As [`line`], and `InvalidData` for what is no reply.
pub async fn reply(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Reply> {
    let mut lines = Vec::new();
    while lines.len() < MOST_LINES {
        let next = line(stream).await?;
        let code = next.get(..3).and_then(|code| code.parse().ok());
        let code: u16 =
            code.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, format!("`{next}`")))?;
        let is_last = next.as_bytes().get(3) != Some(&b'-');
        lines.push(next);
        if is_last {
            return Ok(Reply { code, lines });
        }
    }
    Err(io::Error::new(io::ErrorKind::InvalidData, "a reply without an end"))
}

/// Says a line and hears the reply.
///
/// # Errors
/// As [`reply`].
pub async fn say(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), text: &str) -> io::Result<Reply> {
    stream.write_all(format!("{text}\r\n").as_bytes()).await?;
    reply(stream).await
}

/// An SMTP reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// Its code.
    pub code: u16,
    /// Its lines, at least one.
    pub lines: Vec<String>,
}

impl Reply {
    /// Whether it says yes.
    pub fn is_positive(&self) -> bool {
        (200..400).contains(&self.code)
    }

    /// The first line.
    pub fn first(&self) -> &str {
        self.lines.first().map_or("", String::as_str)
    }

    /// Whether a line of the reply to EHLO offers this extension.
    pub fn offers(&self, keyword: &str) -> bool {
        let words = self.lines.iter().filter_map(|line| line.get(4..)?.split(' ').next());
        words.into_iter().any(|word| word.eq_ignore_ascii_case(keyword))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_reply_ends_with_its_last_line_and_nothing_behind_it_is_read() {
        let mut octets = &b"250-mail.example\x1b[31m\r\n250-STARTTLS\r\n250 SIZE 100\r\n\x16\x03"[..];
        let heard = reply(&mut octets).await.expect("a reply");
        assert_eq!((heard.code, heard.first()), (250, "250-mail.example[31m"));
        assert!(heard.offers("starttls") && heard.offers("SIZE") && !heard.offers("AUTH"));
        assert_eq!(octets, b"\x16\x03");
    }

    #[tokio::test]
    async fn what_is_no_reply_is_an_error() {
        for octets in [&b"SSH-2.0-OpenSSH\r\n"[..], b"250-never\r\n", b"", &[b'2'; MOST_OCTETS + 1]] {
            assert!(reply(&mut &octets[..]).await.is_err(), "{octets:?}");
        }
    }
}
