//! Cuts the octets of a connection into commands and literals.
//!
//! In: octets in pieces of any size. Out: [`Frame`]s, the same ones however the
//! input was split. Refused, each with a [`FrameError`] after which the connection
//! must be closed, because what follows could be the inside of a literal: a line
//! that ends in a bare LF, a command longer than the limit, a literal header that
//! is not a number.
//!
//! A command is one line and the small literals inside it; it is handed over whole,
//! with each literal as it came (`{5}\r\nhello`). Whether a literal is collected into
//! the command or streamed (the message of an APPEND) is decided by the session for
//! each [`Frame::Literal`], with [`Framer::collect`] or [`Framer::stream`]: until then
//! nothing after the header is looked at, so a refused literal is never read as a command.
//!
//! RFC 9051 §2.2, §4.3; RFC 7888 (LITERAL+); RFC 3516 §4.2 (literal8).
//!
//! | state | on input | goes to |
//! |---|---|---|
//! | `Line` | a line without a literal header | `Line`, gives `Command` |
//! | `Line` | a line with a literal header | `Undecided`, gives `Literal` |
//! | `Undecided` | `collect` | `Collect` |
//! | `Undecided` | `stream` | `Stream` |
//! | `Undecided` | `refuse` | `Line`, the command so far forgotten |
//! | `Collect` | the literal's octets | `Line`, the same command |
//! | `Stream` | the literal's octets | `Stream`, gives `Data`; then `Line`, gives `DataEnd` |

/// The longest piece of a streamed literal that is handed over at once, in octets.
const CHUNK: usize = 64 * 1024;

/// An idle connection keeps at most this much buffer, in octets.
const IDLE_CAPACITY: usize = 2 * 1024;

/// What the framer found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// A whole command without its final CRLF; collected literals stand inside.
    Command(Vec<u8>),
    /// A literal is announced; [`Framer::prefix`] is the command up to and with its header.
    Literal(LiteralHeader),
    /// A piece of a streamed literal.
    Data(Vec<u8>),
    /// The end of a streamed literal; the rest of the command follows.
    DataEnd,
}

/// `{42}`, `{42+}` or `~{42}` at the end of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LiteralHeader {
    /// Octets that follow.
    pub size: u64,
    /// Whether the client waits for a continuation.
    pub kind: LiteralKind,
}

/// Whether the client waits before it sends the octets of a literal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LiteralKind {
    /// `{n}`: the client waits for `+`.
    Synchronizing,
    /// `{n+}`: the octets come at once (RFC 7888 §3).
    NonSynchronizing,
}

/// The peer broke the framing: say BYE and close.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// RFC 9051 §2.2: lines end in CRLF.
    #[error("A line must end with CRLF")]
    BareLineFeed,
    /// The line, or the command with its literals, is over the limit.
    #[error("Command line too long")]
    TooLong,
    /// `{` digits `}` does not fit an unsigned 63-bit number.
    #[error("Invalid literal size")]
    LiteralSize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Line,
    Undecided(LiteralHeader),
    Collect(u64),
    Stream(u64),
}

/// Buffers input and cuts it. Holds at most one command and what was pushed.
#[derive(Debug)]
pub struct Framer {
    input: Vec<u8>,
    /// Start of the unconsumed input.
    at: usize,
    /// No LF stands before this index.
    scanned: usize,
    command: Vec<u8>,
    state: State,
    max_command: usize,
}

impl Framer {
    /// A framer that refuses commands longer than `max_command` octets.
    pub fn new(max_command: usize) -> Framer {
        Framer { input: Vec::new(), at: 0, scanned: 0, command: Vec::new(), state: State::Line, max_command }
    }

    /// Changes the limit on a command's octets, literals included (after login).
    pub fn set_max_command(&mut self, octets: usize) {
        self.max_command = octets;
    }

    /// Takes octets from the connection.
    pub fn push(&mut self, octets: &[u8]) {
        // Here, not when the buffer runs empty: a client whose packets all end within a command never lets it.
        self.input.drain(..self.at);
        self.scanned -= self.at;
        self.at = 0;
        if self.input.is_empty() {
            self.input.shrink_to(IDLE_CAPACITY.max(octets.len()));
        }
        self.input.extend_from_slice(octets);
    }

    /// Gives back what has been taken and not consumed: it was not meant for the framer.
    pub fn take_rest(&mut self) -> Vec<u8> {
        let rest = self.input.split_off(self.at);
        (self.input, self.at, self.scanned) = (Vec::new(), 0, 0);
        rest
    }

    /// Octets taken and not yet consumed.
    pub fn buffered(&self) -> usize {
        self.input.len() - self.at
    }

    /// Gives the next frame, or `None` when more input is needed (or a literal is undecided).
    ///
    /// # Errors
    /// The framing is broken; nothing more may be read from this connection.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, FrameError> {
        loop {
            match self.state {
                State::Undecided(_) => return Ok(None),
                State::Line => return self.line_frame(),
                State::Collect(0) => self.state = State::Line,
                State::Collect(left) => {
                    let Some(piece) = self.take_up_to(left) else {
                        return Ok(None);
                    };
                    self.state = State::Collect(left - piece.len() as u64);
                    self.command.extend_from_slice(&piece);
                }
                State::Stream(0) => {
                    self.state = State::Line;
                    return Ok(Some(Frame::DataEnd));
                }
                State::Stream(left) => {
                    let Some(piece) = self.take_up_to(left) else {
                        return Ok(None);
                    };
                    self.state = State::Stream(left - piece.len() as u64);
                    return Ok(Some(Frame::Data(piece)));
                }
            }
        }
    }

    /// Gives the next line as it is, without a look for literals (AUTHENTICATE, IDLE).
    ///
    /// # Errors
    /// The framing is broken, or the line is longer than `max` octets.
    pub fn next_line(&mut self, max: usize) -> Result<Option<Vec<u8>>, FrameError> {
        self.take_line(max)
    }

    /// The undecided literal.
    pub fn announced(&self) -> Option<LiteralHeader> {
        match self.state {
            State::Undecided(header) => Some(header),
            _ => None,
        }
    }

    /// The command before an undecided literal, its header included.
    pub fn prefix(&self) -> &[u8] {
        &self.command
    }

    /// Takes the announced literal into the command.
    ///
    /// # Errors
    /// The command would become longer than the limit.
    pub fn collect(&mut self) -> Result<(), FrameError> {
        let State::Undecided(header) = self.state else {
            return Ok(());
        };
        let length = self.command.len() as u64 + 2;
        if length.saturating_add(header.size) > self.max_command as u64 {
            return Err(FrameError::TooLong);
        }
        self.command.extend_from_slice(b"\r\n");
        self.state = State::Collect(header.size);
        Ok(())
    }

    /// Gives the announced literal out as [`Frame::Data`]; the command's rest starts afresh.
    pub fn stream(&mut self) {
        if let State::Undecided(header) = self.state {
            self.command = Vec::new();
            self.state = State::Stream(header.size);
        }
    }

    /// Forgets a command whose synchronizing literal was refused: the client will not send it.
    pub fn refuse(&mut self) {
        if let State::Undecided(_) = self.state {
            self.command = Vec::new();
            self.state = State::Line;
        }
    }

    fn line_frame(&mut self) -> Result<Option<Frame>, FrameError> {
        let room = self.max_command.saturating_sub(self.command.len());
        let Some(line) = self.take_line(room)? else {
            return Ok(None);
        };
        let literal = literal_header(&line)?;
        self.command.extend_from_slice(&line);
        Ok(Some(match literal {
            Some(header) => {
                self.state = State::Undecided(header);
                Frame::Literal(header)
            }
            None => Frame::Command(std::mem::take(&mut self.command)),
        }))
    }

    fn take_line(&mut self, max: usize) -> Result<Option<Vec<u8>>, FrameError> {
        let unseen = self.input.get(self.scanned..).unwrap_or_default();
        let Some(offset) = unseen.iter().position(|&octet| octet == b'\n') else {
            self.scanned = self.input.len();
            let too_long = self.buffered() > max.saturating_add(1);
            return if too_long { Err(FrameError::TooLong) } else { Ok(None) };
        };
        let end = self.scanned + offset;
        let line = self.input.get(self.at..end).unwrap_or_default();
        // Before the look at its end: a line that comes octet by octet is refused before its end is there.
        if line.len() > max.saturating_add(1) {
            return Err(FrameError::TooLong);
        }
        let line = line.strip_suffix(b"\r").ok_or(FrameError::BareLineFeed)?.to_vec();
        self.at = end + 1;
        self.scanned = self.at;
        Ok(Some(line))
    }

    /// Takes at most `left` octets and at most a chunk; `None` when there are none.
    fn take_up_to(&mut self, left: u64) -> Option<Vec<u8>> {
        let length = usize::try_from(left).unwrap_or(usize::MAX).min(self.buffered()).min(CHUNK);
        let piece = self.input.get(self.at..self.at + length)?.to_vec();
        self.at += length;
        self.scanned = self.at;
        (length > 0).then_some(piece)
    }
}

/// Reads `{n}`, `{n+}` at the end of a line (a `~` before it does not change the octets).
fn literal_header(line: &[u8]) -> Result<Option<LiteralHeader>, FrameError> {
    let Some(inner) = line.strip_suffix(b"}") else {
        return Ok(None);
    };
    let Some(open) = inner.iter().rposition(|&octet| octet == b'{') else {
        return Ok(None);
    };
    let inner = inner.get(open + 1..).unwrap_or_default();
    let (digits, kind) = match inner.strip_suffix(b"+") {
        Some(digits) => (digits, LiteralKind::NonSynchronizing),
        None => (inner, LiteralKind::Synchronizing),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Ok(None);
    }
    let size = std::str::from_utf8(digits)
        .ok()
        .and_then(|digits| digits.parse::<u64>().ok())
        .filter(|&size| size <= i64::MAX as u64)
        .ok_or(FrameError::LiteralSize)?;
    Ok(Some(LiteralHeader { size, kind }))
}

/// Reads everything, joining the pieces of streamed literals; for tests and fuzzing. A literal is streamed when
/// the word APPEND stands before it, and collected otherwise.
pub(crate) fn read_all<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Frame>, Option<FrameError>) {
    let mut framer = Framer::new(1000);
    let mut frames = Vec::new();
    for piece in pieces {
        framer.push(piece);
        if let Err(error) = read_available(&mut framer, &mut frames) {
            return (frames, Some(error));
        }
    }
    (frames, None)
}

fn read_available(framer: &mut Framer, frames: &mut Vec<Frame>) -> Result<(), FrameError> {
    while let Some(frame) = framer.next_frame()? {
        let append = framer.prefix().windows(6).any(|word| word.eq_ignore_ascii_case(b"APPEND"));
        match (frames.last_mut(), frame) {
            (Some(Frame::Data(all)), Frame::Data(more)) => all.extend(more),
            (_, frame) => frames.push(frame),
        }
        match frames.last() {
            Some(Frame::Literal(_)) if append => framer.stream(),
            Some(Frame::Literal(_)) => framer.collect()?,
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frames(pieces: &[&[u8]]) -> (Vec<Frame>, Option<FrameError>) {
        read_all(pieces.iter().copied())
    }

    fn error(input: &[u8]) -> Option<FrameError> {
        frames(&[input]).1
    }

    #[test]
    fn collects_literals_into_the_command() {
        let found = frames(&[b"a LOGIN {3}\r\nana {2+}\r\n\r\n x\r\nb NOOP\r\n"]).0;
        assert_eq!(found.len(), 4);
        assert_eq!(found[2], Frame::Command(b"a LOGIN {3}\r\nana {2+}\r\n\r\n x".to_vec()));
        assert_eq!(found[3], Frame::Command(b"b NOOP".to_vec()));
    }

    #[test]
    fn streams_when_told_to() {
        let found = frames(&[b"a APPEND {4+}\r\nab\r\n\r\nb NOOP\r\n"]).0;
        let header = LiteralHeader { size: 4, kind: LiteralKind::NonSynchronizing };
        let expected = [
            Frame::Literal(header),
            Frame::Data(b"ab\r\n".to_vec()),
            Frame::DataEnd,
            Frame::Command(Vec::new()),
            Frame::Command(b"b NOOP".to_vec()),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn nothing_behind_an_undecided_literal_is_read() {
        let mut framer = Framer::new(100);
        framer.push(b"a APPEND x {9}\r\nb DELETE y\r\n");
        assert!(matches!(framer.next_frame(), Ok(Some(Frame::Literal(_)))));
        assert_eq!(framer.next_frame(), Ok(None));
        assert_eq!(framer.prefix(), b"a APPEND x {9}");
    }

    #[test]
    fn consumed_octets_are_dropped_though_the_buffer_never_runs_empty() {
        let mut framer = Framer::new(100);
        framer.push(b"a NO");
        for _ in 0..10_000 {
            framer.push(b"OP\r\na NOOP\r\na NO");
            while let Ok(Some(_)) = framer.next_frame() {}
        }
        assert!(framer.input.capacity() < 1000, "{} octets are kept", framer.input.capacity());
    }

    #[test]
    fn refuses_broken_framing() {
        assert_eq!(error(b"a NOOP\n"), Some(FrameError::BareLineFeed));
        assert_eq!(error(&[b'x'; 1100]), Some(FrameError::TooLong));
        assert_eq!(error(b"a X {5000}\r\n"), Some(FrameError::TooLong));
        assert_eq!(error(&[&[b'x'; 1100][..], b"\n"].concat()), Some(FrameError::TooLong));
        let huge = b"a X {99999999999999999999999}\r\n";
        assert_eq!(error(huge), Some(FrameError::LiteralSize));
    }

    #[test]
    fn braces_that_are_no_literal_stay_text() {
        let found = frames(&[b"a X {}\r\nb {x}\r\nc }\r\n"]).0;
        assert_eq!(found.len(), 3);
    }

    fn pieces<'a>(input: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (input.len() + 1)).collect();
        cuts.extend([0, input.len()]);
        cuts.sort_unstable();
        cuts.windows(2).map(|pair| &input[pair[0]..pair[1]]).collect()
    }

    proptest! {
        #[test]
        fn every_split_gives_the_same_frames(
            parts in prop::collection::vec(prop_oneof![
                Just("a APPEND {5}\r\nhel\r\n"), Just(" x {2+}\r\n{1"), Just("}\r\n"), Just("b {1}\r\n"),
                Just("c NOOP\r\n"), Just("\n"), Just("\r"), Just("{9999}\r\n"), Just("zz"),
            ], 0..12),
            cuts in prop::collection::vec(any::<usize>(), 0..8),
        ) {
            let input = parts.concat().into_bytes();
            prop_assert_eq!(frames(&pieces(&input, &cuts)), frames(&[&input]));
        }

        #[test]
        fn random_octets_never_panic(input in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = frames(&[&input]);
        }
    }
}
