//! The message after DATA: finds its end and takes the stuffed dots away (RFC 5321 §4.5.2).
//!
//! | state | `.` | CR | LF | other |
//! |---|---|---|---|---|
//! | `LineStart` | `Dot` | `Cr` | bare → `Within` | `Within` |
//! | `Dot` | drop the first, `Within` | `DotCr` | bare → `Within` | drop the dot, `Within` |
//! | `DotCr` | bare → `Within` | bare → `Cr` | **end** | bare → `Within` |
//! | `Within` | `Within` | `Cr` | bare → `Within` | `Within` |
//! | `Cr` | bare → `Within` | bare → `Cr` | `LineStart` | bare → `Within` |
//!
//! "bare" marks the message: it will be refused, but is read to its true end first, so that client and server
//! agree on where the next command begins.

/// The framer of one message.
#[derive(Debug)]
pub struct DataFramer {
    state: State,
    bare_line_end: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    LineStart,
    Dot,
    DotCr,
    Within,
    Cr,
}

/// How far the message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// All input was taken and the message goes on.
    More,
    /// The message ended after so many octets of the input; the rest is commands.
    End {
        /// Octets taken.
        consumed: usize,
    },
}

impl Default for DataFramer {
    fn default() -> Self {
        DataFramer { state: State::LineStart, bare_line_end: false }
    }
}

impl DataFramer {
    /// Whether a bare CR or LF was seen so far.
    pub fn has_bare_line_end(&self) -> bool {
        self.bare_line_end
    }

    /// Takes input and appends the message's octets to `content`.
    pub fn take(&mut self, input: &[u8], content: &mut Vec<u8>) -> Progress {
        let mut position = 0;
        while let Some(octet) = input.get(position) {
            if self.state == State::Within {
                let rest = input.get(position..).unwrap_or_default();
                let run = rest.iter().position(|octet| matches!(octet, b'\r' | b'\n')).unwrap_or(rest.len());
                content.extend_from_slice(rest.get(..run).unwrap_or_default());
                position += run;
                if run > 0 {
                    continue;
                }
            }
            position += 1;
            if self.step(*octet, content) {
                return Progress::End { consumed: position };
            }
        }
        Progress::More
    }

    /// One octet of the table above; true at the end of the message.
    fn step(&mut self, octet: u8, content: &mut Vec<u8>) -> bool {
        self.state = match (self.state, octet) {
            (State::DotCr, b'\n') => return true,
            (State::Cr, b'\n') => {
                content.extend_from_slice(b"\r\n");
                State::LineStart
            }
            (State::LineStart, b'.') => State::Dot,
            (State::Dot, b'\r') => State::DotCr,
            (State::LineStart | State::Within, b'\r') => State::Cr,
            (State::Cr | State::DotCr, b'\r') => self.bare(State::Cr),
            (State::Cr | State::DotCr, _) | (_, b'\n') => self.bare(State::Within),
            (State::LineStart | State::Dot | State::Within, other) => {
                content.push(other);
                State::Within
            }
        };
        false
    }

    fn bare(&mut self, next: State) -> State {
        self.bare_line_end = true;
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Content, whether it has bare line ends, and what is left after the end.
    fn frame(input: &[u8], cut: usize) -> (Vec<u8>, bool, Option<Vec<u8>>) {
        let mut framer = DataFramer::default();
        let mut content = Vec::new();
        let mut rest = input;
        while !rest.is_empty() {
            let (now, later) = rest.split_at(cut.clamp(1, rest.len()));
            if let Progress::End { consumed } = framer.take(now, &mut content) {
                let left = [now.get(consumed..).unwrap_or_default(), later].concat();
                return (content, framer.has_bare_line_end(), Some(left));
            }
            rest = later;
        }
        (content, framer.has_bare_line_end(), None)
    }

    #[test]
    fn content_and_dots() {
        let good: [(&[u8], &[u8]); 6] = [
            (b".\r\n", b""),
            (b"a\r\n.\r\n", b"a\r\n"),
            (b"..\r\n.\r\n", b".\r\n"),
            (b"..a\r\n...\r\n.\r\n", b".a\r\n..\r\n"),
            (b".a\r\n.\r\n", b"a\r\n"),
            (b"a.\r\n\r\n.\r\n", b"a.\r\n\r\n"),
        ];
        for (input, content) in good {
            assert_eq!(
                frame(input, 1),
                (content.to_vec(), false, Some(Vec::new())),
                "{}",
                input.escape_ascii()
            );
        }
    }

    #[test]
    fn no_other_sequence_ends_a_message() {
        let line_ends: [&[u8]; 5] = [b"\r\n", b"\n", b"\r", b"\r\r\n", b"\n\r"];
        for before in line_ends {
            for after in line_ends {
                if before.ends_with(b"\r\n") && after == b"\r\n" {
                    continue;
                }
                let attack = [b"a", before, b".", after, b"MAIL FROM:<x@y.example>\r\n.\r\nrest"].concat();
                let (_, bare, rest) = frame(&attack, attack.len());
                assert_eq!(rest.as_deref(), Some(&b"rest"[..]), "{}", attack.escape_ascii());
                assert!(bare, "{}", attack.escape_ascii());
            }
        }
    }

    #[test]
    fn a_doubled_cr_before_the_true_end_is_bare_too() {
        assert_eq!(frame(b"a\r\r\n.\r\n", 3), (b"a\r\n".to_vec(), true, Some(Vec::new())));
    }

    proptest! {
        #[test]
        fn every_split_gives_the_same(input in prop::collection::vec(prop::sample::select(&b".\r\na"[..]), 0..40)) {
            let whole = frame(&input, input.len());
            for cut in 1..input.len() {
                prop_assert_eq!(&frame(&input, cut), &whole);
            }
        }

        #[test]
        fn stuffing_and_framing_are_inverse(lines in prop::collection::vec("[.a]{0,4}", 0..8)) {
            let message: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
            let stuffed: String = lines.iter()
                .map(|line| format!("{}{line}\r\n", if line.starts_with('.') { "." } else { "" })).collect();
            let (content, bare, rest) = frame(format!("{stuffed}.\r\n").as_bytes(), 7);
            prop_assert_eq!(content, message.into_bytes());
            prop_assert!(!bare && rest == Some(Vec::new()));
        }
    }
}
