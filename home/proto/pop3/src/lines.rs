//! Cuts octets into lines.
//!
//! In: octets, any number, cut anywhere. Out: lines without their CRLF; a bare LF ends a line too, since nothing but a
//! client's own commands comes this way. Refused: lines above the limit, which are dropped up to their end.

/// A line is longer than it may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("line too long")]
pub struct TooLong;

/// Octets that are not yet lines. Holds what it was given in one piece and one unfinished line, no more.
#[derive(Debug, Default)]
pub struct Lines {
    octets: Vec<u8>,
    /// Up to here `octets` is consumed.
    start: usize,
    /// The line that comes next has been refused; what is left of it is dropped.
    skipping: bool,
}

impl Lines {
    /// Takes octets.
    pub fn push(&mut self, octets: &[u8]) {
        self.octets.drain(..self.start);
        self.start = 0;
        self.octets.extend_from_slice(octets);
    }

    /// Forgets everything (RFC 2595 §4: what was known before TLS).
    pub fn clear(&mut self) {
        *self = Lines::default();
    }

    /// The next line of at most `limit` octets without its end, if it is there.
    ///
    /// # Errors
    /// [`TooLong`], once for each line.
    pub fn next_line(&mut self, limit: usize) -> Result<Option<Vec<u8>>, TooLong> {
        loop {
            let rest = self.octets.get(self.start..).unwrap_or_default();
            let Some(length) = rest.iter().position(|&octet| octet == b'\n') else {
                return self.unfinished(limit);
            };
            let line = rest.get(..length).unwrap_or_default();
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let (line, is_long) = (line.to_vec(), line.len() > limit);
            self.start += length + 1;
            match (std::mem::take(&mut self.skipping), is_long) {
                (true, _) => {}
                (false, true) => return Err(TooLong),
                (false, false) => return Ok(Some(line)),
            }
        }
    }

    /// What there is of a line that has not ended. A refused line is not kept.
    fn unfinished(&mut self, limit: usize) -> Result<Option<Vec<u8>>, TooLong> {
        // The line's CR may be there already.
        let is_long = self.octets.len() - self.start > limit + 1;
        if !is_long && !self.skipping {
            return Ok(None);
        }
        self.octets.clear();
        self.start = 0;
        match std::mem::replace(&mut self.skipping, true) {
            true => Ok(None),
            false => Err(TooLong),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(lines: &mut Lines) -> Vec<Result<Vec<u8>, TooLong>> {
        std::iter::from_fn(|| lines.next_line(8).transpose()).collect()
    }

    #[test]
    fn a_long_line_is_refused_once_and_the_next_one_is_read() {
        let mut lines = Lines::default();
        lines.push(b"far too l");
        assert_eq!(all(&mut lines), []);
        lines.push(b"ong a line");
        assert_eq!(all(&mut lines), [Err(TooLong)]);
        lines.push(b", even longer\r\nNOOP\r\nexactly8\r\nwith nine\r\nQUIT\n");
        let line = |text: &str| Ok(text.as_bytes().to_vec());
        assert_eq!(all(&mut lines), [line("NOOP"), line("exactly8"), Err(TooLong), line("QUIT")]);
    }

    proptest! {
        #[test]
        fn it_does_not_matter_how_octets_arrive(octets in "[ab\\r\\n]{0,60}", cut in 1usize..7) {
            let mut whole = Lines::default();
            whole.push(octets.as_bytes());
            let expected = all(&mut whole);
            let mut cut_up = Lines::default();
            let mut found = Vec::new();
            for piece in octets.as_bytes().chunks(cut) {
                cut_up.push(piece);
                found.extend(all(&mut cut_up));
            }
            // An unfinished line that is too long is refused as soon as that is known.
            let known = |lines: &[Result<Vec<u8>, TooLong>]| lines.iter().filter(|line| line.is_ok()).count();
            prop_assert_eq!(known(&found), known(&expected));
            prop_assert_eq!(found, expected);
        }
    }
}
