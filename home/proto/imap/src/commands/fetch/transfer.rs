//! Takes the transfer encoding off the octets of a body part as they flow, for BINARY (RFC 3516 §4.2).
//!
//! In: pieces of the encoded body. Out: the decoded octets, the same ones however the input was cut. Octets that the
//! encoding does not know are passed over (base64) or kept as they are (quoted-printable), as RFC 2045 §6.7, §6.8
//! suggest.

/// A body's encoding, and what a piece has left over for the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Decoder {
    /// 7BIT, 8BIT, BINARY
    Identity,
    /// BASE64: bits not given out yet, and how many they are.
    Base64 { bits: u32, count: u32 },
    /// QUOTED-PRINTABLE: an unfinished escape, or white space that may end its line.
    QuotedPrintable { pending: Vec<u8> },
}

impl Decoder {
    /// The decoder of a Content-Transfer-Encoding; `None` for one that is not known.
    pub(super) fn of(encoding: &[u8]) -> Option<Decoder> {
        match encoding.trim_ascii().to_ascii_uppercase().as_slice() {
            b"" | b"7BIT" | b"8BIT" | b"BINARY" => Some(Decoder::Identity),
            b"BASE64" => Some(Decoder::Base64 { bits: 0, count: 0 }),
            b"QUOTED-PRINTABLE" => Some(Decoder::QuotedPrintable { pending: Vec::new() }),
            _ => None,
        }
    }

    /// Takes the next piece.
    pub(super) fn push(&mut self, octets: &[u8]) -> Vec<u8> {
        match self {
            Decoder::Identity => octets.to_vec(),
            Decoder::Base64 { bits, count } => base64(bits, count, octets),
            Decoder::QuotedPrintable { pending } => quoted_printable(pending, octets),
        }
    }

    /// The same decoder at its beginning.
    pub(super) fn restarted(&self) -> Decoder {
        match self {
            Decoder::Identity => Decoder::Identity,
            Decoder::Base64 { .. } => Decoder::Base64 { bits: 0, count: 0 },
            Decoder::QuotedPrintable { .. } => Decoder::QuotedPrintable { pending: Vec::new() },
        }
    }

    /// What is left at the end: an escape that was cut off. White space there is not part of the text.
    pub(super) fn finish(self) -> Vec<u8> {
        match self {
            Decoder::QuotedPrintable { pending } if pending.first() == Some(&b'=') => pending,
            _ => Vec::new(),
        }
    }
}

fn base64(bits: &mut u32, count: &mut u32, octets: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(octets.len() / 4 * 3 + 3);
    for &octet in octets {
        let value = match octet {
            b'A'..=b'Z' => octet - b'A',
            b'a'..=b'z' => octet - b'a' + 26,
            b'0'..=b'9' => octet - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            // Padding ends a group; another may follow.
            b'=' => {
                (*bits, *count) = (0, 0);
                continue;
            }
            _ => continue,
        };
        *bits = (*bits << 6 | u32::from(value)) & 0xffff;
        *count += 6;
        if *count >= 8 {
            *count -= 8;
            out.push((*bits >> *count) as u8);
        }
    }
    out
}

fn quoted_printable(pending: &mut Vec<u8>, octets: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(octets.len());
    for &octet in octets {
        pending.push(octet);
        match pending.as_slice() {
            [b'=', ..] => escape(pending, &mut out),
            // RFC 2045 §6.7 (3): white space at the end of a line was added on the way.
            [.., b' ' | b'\t'] => {}
            [b' ' | b'\t', .., b'\r'] => {}
            [.., b'\r', b'\n'] => {
                pending.clear();
                out.extend_from_slice(b"\r\n");
            }
            [b'\r'] => {}
            [before @ .., b'='] => {
                out.extend_from_slice(before);
                pending.clear();
                pending.push(b'=');
            }
            _ => out.append(pending),
        }
    }
    out
}

/// Blanks that may stand between `=` and the line's end; RFC 2045 §6.7 has lines of 76 characters.
const MAX_BLANKS: usize = 128;

/// `=XY`, or `=` and white space to the end of the line, which joins it to the next.
fn escape(pending: &mut Vec<u8>, out: &mut Vec<u8>) {
    let digit = |octet: u8| char::from(octet).to_digit(16).map(|digit| digit as u8);
    match pending.as_slice() {
        [_] => {}
        [_, blanks @ .., b'\n'] if blanks.iter().all(|octet| matches!(octet, b' ' | b'\t' | b'\r')) => {
            pending.clear();
        }
        [_, blanks @ ..]
            if blanks.len() < MAX_BLANKS
                && blanks.iter().all(|octet| matches!(octet, b' ' | b'\t' | b'\r')) => {}
        [_, first] if digit(*first).is_some() => {}
        [_, first, second] => match (digit(*first), digit(*second)) {
            (Some(high), Some(low)) => {
                out.push(high << 4 | low);
                pending.clear();
            }
            _ => out.append(pending),
        },
        _ => out.append(pending),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decoded(encoding: &[u8], pieces: &[&[u8]]) -> Vec<u8> {
        let mut decoder = Decoder::of(encoding).unwrap();
        let mut out: Vec<u8> = pieces.iter().flat_map(|piece| decoder.push(piece)).collect();
        out.extend(decoder.finish());
        out
    }

    #[test]
    fn encodings() {
        assert_eq!(decoded(b"base64", &[b"aGV\r\nsbG8=\r\n"]), b"hello");
        assert_eq!(decoded(b"BASE64", &[b"AAEC/w=="]), [0, 1, 2, 255]);
        let text = b"a=3Db  \r\nsoft=  \r\nline =C3=BC\t\r\n=zz =\r\nend =4";
        assert_eq!(decoded(b"Quoted-Printable", &[text]), "a=b\r\nsoftline ü\r\n=zz end =4".as_bytes());
        assert_eq!(decoded(b"8bit", &[b"as it = is "]), b"as it = is ");
        assert_eq!(Decoder::of(b"x-uuencode"), None);
    }

    proptest! {
        #[test]
        fn every_cut_gives_the_same(
            words in prop::collection::vec(
                prop::sample::select(vec!["=", "41", "=3D", " ", "\t", "\r\n", "\r", "\n", "a", "Zz", "=\r\n"]), 0..20),
            encoding in prop::sample::select(vec!["base64", "quoted-printable", "7bit"]),
        ) {
            let text = words.concat().into_bytes();
            let single: Vec<&[u8]> = text.chunks(1).collect();
            prop_assert_eq!(decoded(encoding.as_bytes(), &single), decoded(encoding.as_bytes(), &[&text]));
        }
    }
}
