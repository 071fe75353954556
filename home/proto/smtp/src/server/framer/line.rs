//! One command line.

/// What stands at the start of the buffered input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line {
    /// No whole line yet.
    Incomplete,
    /// A whole line.
    Complete {
        /// Octets of the line without its CRLF.
        length: usize,
        /// Octets of line and CRLF.
        consumed: usize,
    },
    /// No CRLF within the limit; what there is of the line can be dropped.
    TooLong,
    /// A CR without LF or a LF without CR.
    BareLineEnd,
}

/// Looks for a line of at most `limit` octets (CRLF included) at the start of `input`.
pub fn take_line(input: &[u8], limit: usize) -> Line {
    let end = input.iter().position(|octet| matches!(octet, b'\r' | b'\n'));
    match end {
        // Judged by the place of the line's end alone, so that it does not matter where the input is cut.
        Some(end) if end + 1 >= limit => Line::TooLong,
        None if input.len() >= limit => Line::TooLong,
        None => Line::Incomplete,
        Some(end) => match (input.get(end), input.get(end + 1)) {
            (Some(b'\r'), Some(b'\n')) => Line::Complete { length: end, consumed: end + 2 },
            (Some(b'\r'), None) => Line::Incomplete,
            _ => Line::BareLineEnd,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        assert_eq!(take_line(b"", 10), Line::Incomplete);
        assert_eq!(take_line(b"NOOP\r", 10), Line::Incomplete);
        assert_eq!(take_line(b"NOOP\r\nQUIT", 10), Line::Complete { length: 4, consumed: 6 });
        assert_eq!(take_line(b"NOOP\r\n", 5), Line::TooLong);
        assert_eq!(take_line(b"NOOPNOOP", 8), Line::TooLong);
        assert_eq!(take_line(b"NOOP\nQUIT\r\n", 20), Line::BareLineEnd);
        assert_eq!(take_line(b"NOOP\rQUIT\r\n", 20), Line::BareLineEnd);
    }
}
