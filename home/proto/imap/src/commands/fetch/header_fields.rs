//! Filters a header for HEADER.FIELDS and HEADER.FIELDS.NOT (RFC 9051 §6.4.5).
//!
//! In: a header with CRLF or LF line ends. Out: the wanted fields with their continuation lines, octet for octet,
//! in the order of the header, and the empty line that ends it, unless the message has none (RFC 9051 §6.4.5.1).

/// Which fields stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keep {
    /// Those named.
    Named,
    /// All others.
    Others,
}

/// The fields of `header` that stay, and the empty line if it has one.
pub(super) fn filter(header: &[u8], names: &[Vec<u8>], keep: Keep) -> Vec<u8> {
    let mut kept = Vec::new();
    let mut keeping = false;
    for line in header.split_inclusive(|&octet| octet == b'\n') {
        if matches!(line, b"\r\n" | b"\n") {
            kept.extend_from_slice(b"\r\n");
            break;
        }
        let continues = matches!(line.first(), Some(b' ' | b'\t'));
        if !continues {
            keeping = stays(line, names, keep);
        }
        if keeping {
            kept.extend_from_slice(line);
        }
    }
    kept
}

/// Decides on a field's first line; a line that is no field goes with the others.
fn stays(line: &[u8], names: &[Vec<u8>], keep: Keep) -> bool {
    let name = line.split(|&octet| octet == b':').next().unwrap_or_default().trim_ascii_end();
    let named = names.iter().any(|wanted| wanted.eq_ignore_ascii_case(name));
    named == (keep == Keep::Named)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &[u8] = b"From: a\r\nTo: b,\r\n c\r\nSUBJECT : d\r\n\r\n";

    #[test]
    fn keeps_named_fields_with_their_continuations() {
        let kept = filter(HEADER, &[b"to".to_vec(), b"subject".to_vec()], Keep::Named);
        assert_eq!(kept, b"To: b,\r\n c\r\nSUBJECT : d\r\n\r\n");
    }

    #[test]
    fn drops_named_fields() {
        assert_eq!(filter(HEADER, &[b"To".to_vec()], Keep::Others), b"From: a\r\nSUBJECT : d\r\n\r\n");
        assert_eq!(filter(HEADER, &[b"X-None".to_vec()], Keep::Named), b"\r\n");
        assert_eq!(filter(b"To: no body", &[], Keep::Others), b"To: no body");
    }
}
