//! The line ends of a message that comes in chunks (RFC 3030 §2).
//!
//! In: the octets of all its chunks. Out: whether a CR or LF stood alone. Such a message is refused as it is after
//! DATA: passed on by DATA, its lines would be other ones.

/// Watches the line ends of one message, cut anywhere.
#[derive(Debug, Default)]
pub struct LineEnds {
    after_cr: bool,
    bare: bool,
}

impl LineEnds {
    /// Takes the next octets.
    pub fn take(&mut self, input: &[u8]) {
        for octet in input {
            self.bare |= self.after_cr != (*octet == b'\n');
            self.after_cr = *octet == b'\r';
        }
    }

    /// Whether a bare CR or LF was seen so far; a CR at the very end is not yet one.
    pub fn has_bare(&self) -> bool {
        self.bare
    }

    /// Whether one was seen in the message that ends here.
    pub fn end_with_bare(&self) -> bool {
        self.bare || self.after_cr
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has_bare(input: &[u8], cut: usize) -> bool {
        let mut line_ends = LineEnds::default();
        input.chunks(cut).for_each(|part| line_ends.take(part));
        line_ends.end_with_bare()
    }

    #[test]
    fn only_pairs_are_line_ends_wherever_they_are_cut() {
        for cut in 1..4 {
            for good in [&b""[..], b"a", b"\r\n", b"a\r\n\r\nb"] {
                assert!(!has_bare(good, cut), "{}", good.escape_ascii());
            }
            for bad in [&b"\n"[..], b"\r", b"a\nb", b"a\rb", b"\r\r\n", b"a\r\n\n", b"a\r\n\r"] {
                assert!(has_bare(bad, cut), "{}", bad.escape_ascii());
            }
        }
    }
}
