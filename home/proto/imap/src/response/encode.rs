//! Writes the terminals of the grammar (RFC 9051 §9).

use crate::parser::{is_astring_char, is_atom_char};

/// A quoted string holds at most this many octets; longer texts become literals.
const MAX_QUOTED: usize = 1024;

/// `string`: quoted where the octets allow it, else a literal.
pub fn string(octets: &[u8], out: &mut Vec<u8>) {
    if octets.len() > MAX_QUOTED {
        return literal(octets, out);
    }
    let (quotable, plain) = kinds(octets);
    if !quotable {
        return literal(octets, out);
    }
    out.push(b'"');
    match plain {
        true => out.extend_from_slice(octets),
        false => escaped(octets, out),
    }
    out.push(b'"');
}

/// Whether all octets may stand in a quoted string, and whether they may stand there as they are. It looks at all of them, since
/// without a way out the compiler looks at many at once.
fn kinds(octets: &[u8]) -> (bool, bool) {
    octets.iter().fold((true, true), |(quotable, plain), octet| {
        (quotable & matches!(octet, b'\t' | 0x20..=0x7e), plain & !matches!(octet, b'"' | b'\\'))
    })
}

fn escaped(octets: &[u8], out: &mut Vec<u8>) {
    for &octet in octets {
        if matches!(octet, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(octet);
    }
}

/// `nstring`.
pub fn nstring(octets: Option<&[u8]>, out: &mut Vec<u8>) {
    match octets {
        None => out.extend_from_slice(b"NIL"),
        Some(octets) => string(octets, out),
    }
}

/// `astring`: an atom where possible.
pub fn astring(octets: &[u8], out: &mut Vec<u8>) {
    let atom = !octets.is_empty() && octets.iter().all(|&octet| octet < 0x80 && is_astring_char(octet));
    let nil = octets.eq_ignore_ascii_case(b"NIL");
    if atom && !nil { out.extend_from_slice(octets) } else { string(octets, out) }
}

/// A mailbox name already in its wire encoding: an atom of plain characters, else quoted, UTF-8 included.
pub fn mailbox(name: &str, out: &mut Vec<u8>) {
    if name.is_ascii() || name.chars().any(char::is_control) {
        let atom = !name.is_empty() && name.bytes().all(|octet| is_atom_char(octet) && octet != b'&');
        let nil = name.eq_ignore_ascii_case("NIL");
        return if atom && !nil {
            out.extend_from_slice(name.as_bytes())
        } else {
            string(name.as_bytes(), out)
        };
    }
    // RFC 9051 §9: QUOTED-CHAR includes UTF-8.
    out.push(b'"');
    out.extend_from_slice(name.replace('\\', "\\\\").replace('"', "\\\"").as_bytes());
    out.push(b'"');
}

/// `{n}` CRLF and the octets.
pub fn literal(octets: &[u8], out: &mut Vec<u8>) {
    literal_header(octets.len() as u64, out);
    literal_data(octets, out);
}

/// The octets of a literal. RFC 9051 §9 `literal`: it holds no NUL; one in a message is written as 0x80.
pub fn literal_data(octets: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(octets);
    let written = out.get_mut(start..).unwrap_or_default();
    written.iter_mut().filter(|octet| **octet == 0).for_each(|octet| *octet = 0x80);
}

/// `number`.
pub fn number(number: u64, out: &mut Vec<u8>) {
    let mut digits = [0; 20];
    let (mut rest, mut first) = (number, digits.len());
    for (at, digit) in digits.iter_mut().enumerate().rev() {
        (*digit, first) = (b'0' + (rest % 10) as u8, at);
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(first..).unwrap_or_default());
}

/// `{n}` CRLF.
pub fn literal_header(size: u64, out: &mut Vec<u8>) {
    out.push(b'{');
    number(size, out);
    out.extend_from_slice(b"}\r\n");
}

/// `~{n}` CRLF and the octets, whatever they are.
pub fn literal8(octets: &[u8], out: &mut Vec<u8>) {
    literal8_header(octets.len() as u64, out);
    out.extend_from_slice(octets);
}

/// `~{n}` CRLF (RFC 3516 §7 `literal8`).
pub fn literal8_header(size: u64, out: &mut Vec<u8>) {
    out.push(b'~');
    literal_header(size, out);
}

/// An octet of a URL inside a response code; what cannot stand there (RFC 4469 §5 `url-resp-text`) is `%` encoded.
pub fn resp_text(octet: u8, out: &mut Vec<u8>) {
    match octet {
        b']' | b'\\' | 0..=0x1f | 0x7f.. => out.extend_from_slice(format!("%{octet:02X}").as_bytes()),
        _ => out.push(octet),
    }
}

/// A parenthesised list, its members separated by spaces.
pub fn parenthesised<T>(
    members: impl IntoIterator<Item = T>,
    mut member: impl FnMut(T, &mut Vec<u8>),
    out: &mut Vec<u8>,
) {
    out.push(b'(');
    for (index, item) in members.into_iter().enumerate() {
        if index > 0 {
            out.push(b' ');
        }
        member(item, out);
    }
    out.push(b')');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written<T>(value: T, encode: impl Fn(T, &mut Vec<u8>)) -> String {
        let mut out = b"* ".to_vec();
        encode(value, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn numbers_and_strings() {
        for value in [0, 7, 10, 4_294_967_295, u64::MAX] {
            assert_eq!(written(value, number), format!("* {value}"));
        }
        assert_eq!(written(&br#"\a "b" c\"#[..], string), r#"* "\\a \"b\" c\\""#);
        assert_eq!(written(&b""[..], string), r#"* """#);
    }
}
