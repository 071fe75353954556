//! The content of a message as DATA or BDAT carries it, as a stream.
//!
//! In: the message in chunks of any split. Out: octets in which every line ends in CRLF; for DATA, every line that
//! begins with a period has one more, and the end is `<CRLF>.<CRLF>` exactly once; for BDAT, chunks with their
//! command before each, the last one empty. A bare CR or LF never comes out,
//! whatever goes in: each is written as CRLF, so that no server can see an end of data where there is none
//! (RFC 5321 §2.3.8, §4.1.1.4).
//!
//! Implements RFC 5321 §4.5.2 (transparency), RFC 3030 §2.

use super::capabilities::Transfer;

/// Where the stream stands within a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Position {
    /// At the first octet of a line; the data begins here.
    LineStart,
    /// Within a line.
    InLine,
    /// After a CR whose CRLF has been written already; an LF that follows belongs to it.
    AfterCr,
}

/// Turns message content into the octets that follow the 354 reply, or into chunks.
#[derive(Debug)]
pub struct ContentWriter {
    position: Position,
    transfer: Transfer,
}

impl ContentWriter {
    /// At the beginning of a message.
    pub fn new(transfer: Transfer) -> Self {
        ContentWriter { position: Position::LineStart, transfer }
    }

    /// Appends the wire form of `content` to `output`; with [`Transfer::Chunks`], one chunk or none.
    pub fn push(&mut self, content: &[u8], output: &mut Vec<u8>) -> Chunks {
        match self.transfer {
            Transfer::Data => {
                self.push_lines(content, output);
                Chunks(0)
            }
            Transfer::Chunks => {
                let mut chunk = Vec::new();
                self.push_lines(content, &mut chunk);
                push_chunk(&chunk, output)
            }
        }
    }

    fn push_lines(&mut self, content: &[u8], output: &mut Vec<u8>) {
        output.reserve(content.len() + content.len() / 64);
        let mut rest = content;
        while let Some(first) = rest.first() {
            if *first == b'\n' && self.position == Position::AfterCr {
                rest = rest.get(1..).unwrap_or_default();
                self.position = Position::LineStart;
                continue;
            }
            rest = self.push_line_part(rest, output);
        }
    }

    /// Appends the end of the data, completing an unfinished last line first. The empty last chunk is not counted.
    pub fn finish(self, output: &mut Vec<u8>) -> Chunks {
        let line_end: &[u8] = if self.position == Position::InLine { b"\r\n" } else { b"" };
        match self.transfer {
            Transfer::Data => {
                output.extend_from_slice(line_end);
                output.extend_from_slice(b".\r\n");
                Chunks(0)
            }
            Transfer::Chunks => {
                let chunks = push_chunk(line_end, output);
                output.extend_from_slice(b"BDAT 0 LAST\r\n");
                chunks
            }
        }
    }

    /// Writes up to the next line end and returns what follows it.
    fn push_line_part<'a>(&mut self, content: &'a [u8], output: &mut Vec<u8>) -> &'a [u8] {
        let stuffs = self.transfer == Transfer::Data;
        if stuffs && self.position != Position::InLine && content.first() == Some(&b'.') {
            output.push(b'.');
        }
        let end = content.iter().position(|octet| matches!(octet, b'\r' | b'\n')).unwrap_or(content.len());
        let (text, rest) = content.split_at(end);
        output.extend_from_slice(text);
        match rest.split_first() {
            None => {
                self.position = Position::InLine;
                rest
            }
            Some((line_end, rest)) => {
                output.extend_from_slice(b"\r\n");
                self.position = if *line_end == b'\r' { Position::AfterCr } else { Position::LineStart };
                rest
            }
        }
    }
}

/// Chunks that were written, each of which the server answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chunks(pub usize);

fn push_chunk(chunk: &[u8], output: &mut Vec<u8>) -> Chunks {
    if chunk.is_empty() {
        return Chunks(0);
    }
    output.extend_from_slice(format!("BDAT {}\r\n", chunk.len()).as_bytes());
    output.extend_from_slice(chunk);
    Chunks(1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stuff(chunks: &[Vec<u8>]) -> Vec<u8> {
        let mut stuffer = ContentWriter::new(Transfer::Data);
        let mut output = Vec::new();
        for chunk in chunks {
            stuffer.push(chunk, &mut output);
        }
        stuffer.finish(&mut output);
        output
    }

    /// What a strict server keeps (RFC 5321 §4.5.2), or `None` where the end is not where the data ends.
    fn unstuff(wire: &[u8]) -> Option<Vec<u8>> {
        let mut content = Vec::new();
        let mut lines = wire.split_inclusive(|octet| *octet == b'\n');
        for line in lines.by_ref() {
            let text = line.strip_suffix(b"\r\n")?;
            if text.contains(&b'\r') {
                return None;
            }
            if text == b"." {
                break;
            }
            content.extend_from_slice(text.strip_prefix(b".").unwrap_or(text));
            content.extend_from_slice(b"\r\n");
        }
        lines.next().is_none().then_some(content)
    }

    fn normalised(content: &[u8]) -> Vec<u8> {
        let text: String = content.iter().map(|octet| char::from(*octet)).collect();
        let text = text.replace("\r\n", "\n").replace('\r', "\n");
        let ends = text.is_empty() || text.ends_with('\n');
        let text = text.replace('\n', "\r\n") + if ends { "" } else { "\r\n" };
        text.chars().map(|c| u8::try_from(c).unwrap()).collect()
    }

    #[test]
    fn examples() {
        let cases: [(&[u8], &[u8]); 6] = [
            (b"", b".\r\n"),
            (b"a\r\n", b"a\r\n.\r\n"),
            (b"a", b"a\r\n.\r\n"),
            (b".\r\n..\r\n", b"..\r\n...\r\n.\r\n"),
            (b"a\n.\r\nb", b"a\r\n..\r\nb\r\n.\r\n"),
            (b"a\r.\rb\r", b"a\r\n..\r\nb\r\n.\r\n"),
        ];
        for (content, wire) in cases {
            assert_eq!(stuff(&[content.to_vec()]), wire, "{content:?}");
        }
    }

    /// What a server keeps of the chunks, or `None` where a length lies or the last one is not the end.
    fn join_chunks(mut wire: &[u8]) -> Option<Vec<u8>> {
        let mut content = Vec::new();
        loop {
            let end = wire.windows(2).position(|pair| pair == b"\r\n")?;
            let command = std::str::from_utf8(wire.get(..end)?).ok()?;
            let rest = wire.get(end + 2..)?;
            if command == "BDAT 0 LAST" {
                return rest.is_empty().then_some(content);
            }
            let octets: usize = command.strip_prefix("BDAT ")?.parse().ok()?;
            content.extend_from_slice(rest.get(..octets)?);
            wire = rest.get(octets..)?;
        }
    }

    proptest! {
        #[test]
        fn chunks_hold_the_same_lines(
            chunks in proptest::collection::vec(proptest::collection::vec(
                prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'.'), Just(b'a')], 0..8), 0..8)
        ) {
            let mut writer = ContentWriter::new(Transfer::Chunks);
            let mut wire = Vec::new();
            let mut written = 0;
            for chunk in &chunks {
                written += writer.push(chunk, &mut wire).0;
            }
            written += writer.finish(&mut wire).0;
            prop_assert_eq!(join_chunks(&wire), Some(normalised(&chunks.concat())));
            prop_assert_eq!(wire.windows(5).filter(|octets| octets == b"BDAT ").count(), written + 1);
        }

        #[test]
        fn the_server_reads_back_the_same_lines(
            chunks in proptest::collection::vec(proptest::collection::vec(
                prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'.'), Just(b'a')], 0..8), 0..8)
        ) {
            let wire = stuff(&chunks);
            prop_assert_eq!(unstuff(&wire), Some(normalised(&chunks.concat())));
            prop_assert_eq!(&wire, &stuff(&[chunks.concat()]), "the split must not matter");
        }
    }
}
