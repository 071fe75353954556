//! Writes a message as a multi-line answer (RFC 1939 §3): lines that begin with a dot get another one, and a dot alone
//! ends it. In: the octets of a message, cut anywhere. Out: the octets to send; every line ends with CRLF.

/// The end of a multi-line answer whose last line is whole.
pub const END: &[u8] = b".\r\n";

/// A message being written.
#[derive(Debug)]
pub struct Writer {
    line: LineSoFar,
    wanted: Wanted,
}

/// What was written of the line that is not at its end.
#[derive(Debug, Clone, Copy, Default)]
struct LineSoFar {
    octets: usize,
    ends_with_cr: bool,
}

/// How much is still to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    All,
    /// The header and the empty line, and then so many lines.
    HeaderAnd(u64),
    /// So many lines.
    Lines(u64),
}

impl Writer {
    /// Writes a whole message (RETR).
    pub fn whole() -> Writer {
        Writer { line: LineSoFar::default(), wanted: Wanted::All }
    }

    /// Writes the header, the empty line, and so many lines of the body (TOP).
    pub fn top(lines: u64) -> Writer {
        Writer { line: LineSoFar::default(), wanted: Wanted::HeaderAnd(lines) }
    }

    /// Whether no more octets are wanted.
    pub fn is_full(&self) -> bool {
        self.wanted == Wanted::Lines(0)
    }

    /// Takes the next octets of the message.
    pub fn write(&mut self, octets: &[u8], out: &mut Vec<u8>) {
        for piece in octets.split_inclusive(|&octet| octet == b'\n') {
            if self.is_full() {
                return;
            }
            match piece.split_last() {
                Some((b'\n', text)) => {
                    self.text(text, out);
                    self.end_line(out);
                }
                _ => self.text(piece, out),
            }
        }
    }

    /// Ends the answer.
    pub fn finish(mut self, out: &mut Vec<u8>) {
        if self.line.octets > 0 {
            self.end_line(out);
        }
        out.extend_from_slice(END);
    }

    fn text(&mut self, text: &[u8], out: &mut Vec<u8>) {
        let Some(&last) = text.last() else { return };
        if self.line.octets == 0 && text.first() == Some(&b'.') {
            out.push(b'.');
        }
        out.extend_from_slice(text);
        self.line = LineSoFar { octets: self.line.octets + text.len(), ends_with_cr: last == b'\r' };
    }

    fn end_line(&mut self, out: &mut Vec<u8>) {
        let LineSoFar { octets, ends_with_cr } = std::mem::take(&mut self.line);
        out.extend_from_slice(if ends_with_cr { b"\n" } else { b"\r\n" });
        let is_empty = octets == usize::from(ends_with_cr);
        self.wanted = match self.wanted {
            Wanted::HeaderAnd(lines) if is_empty => Wanted::Lines(lines),
            Wanted::Lines(lines) => Wanted::Lines(lines.saturating_sub(1)),
            unchanged => unchanged,
        };
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(mut writer: Writer, message: &[u8], piece: usize) -> String {
        let mut out = Vec::new();
        message.chunks(piece).for_each(|octets| writer.write(octets, &mut out));
        writer.finish(&mut out);
        String::from_utf8(out).expect("text")
    }

    /// What a client makes of an answer: it takes CRLF for the end of a line, or, as many do, LF.
    fn read(answer: &str, end: &str) -> String {
        let mut message = String::new();
        for line in answer.split_inclusive(end) {
            if line.trim_end_matches(['\r', '\n']) == "." {
                break;
            }
            message += line.strip_prefix('.').unwrap_or(line);
        }
        message
    }

    #[test]
    fn the_top_is_the_header_and_some_lines() {
        let message = b"Subject: x\r\n.y: z\r\n\r\none\r\n\r\n.three\r\nfour";
        let top = |lines| written(Writer::top(lines), message, 3);
        assert_eq!(top(0), "Subject: x\r\n..y: z\r\n\r\n.\r\n");
        assert_eq!(top(2), "Subject: x\r\n..y: z\r\n\r\none\r\n\r\n.\r\n");
        assert_eq!(top(3), "Subject: x\r\n..y: z\r\n\r\none\r\n\r\n..three\r\n.\r\n");
        assert_eq!(top(9), written(Writer::whole(), message, 5));
        assert_eq!(written(Writer::whole(), b"", 1), ".\r\n");
    }

    proptest! {
        #[test]
        fn every_client_reads_the_message_that_is_there(message in "[.a\\r\\n]{0,60}", piece in 1usize..9) {
            let answer = written(Writer::whole(), message.as_bytes(), piece);
            let by_crlf = read(&answer, "\r\n");
            prop_assert_eq!(&by_crlf, &read(&answer, "\n"));
            let expected = message.replace("\r\n", "\n").replace('\n', "\r\n");
            let ended = match expected.is_empty() || expected.ends_with("\r\n") {
                true => expected,
                // A CR that was the last octet is the beginning of the line's end.
                false => expected.strip_suffix('\r').unwrap_or(&expected).to_owned() + "\r\n",
            };
            prop_assert_eq!(by_crlf, ended);
        }
    }
}
