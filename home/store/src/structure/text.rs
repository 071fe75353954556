//! Text as a person reads it: header values with encoded-words decoded (RFC 2047), bodies with transfer encoding and
//! character set decoded (RFC 2045 §6). What cannot be decoded is kept as well as it can be; nothing is refused.

use std::borrow::Cow;

use encoding_rs::{Encoding, UTF_8, WINDOWS_1252};

use super::address::encoded_word_length;
use super::{Part, unfold};

/// A header field's value: unfolded, encoded-words decoded, anything else taken as UTF-8 or Windows-1252.
pub fn decode_header(value: &[u8]) -> String {
    let value = unfold(value);
    let mut text = String::new();
    let mut rest = value.as_slice();
    let mut words = Words::default();
    while !rest.is_empty() {
        let (taken, after) = rest.split_at(next_piece(rest));
        rest = after;
        match encoded_word(taken) {
            Some((charset, octets)) => words.push(charset, octets, &mut text),
            None if words.is_open()
                && taken.trim_ascii().is_empty()
                && encoded_word_length(rest).is_some() =>
            {
                // White space between two encoded-words is no text (RFC 2047 §6.2).
            }
            None => {
                words.close(&mut text);
                text.push_str(&unlabelled(taken));
            }
        }
    }
    words.close(&mut text);
    text
}

/// The length of the next encoded-word, or of what comes before it.
fn next_piece(octets: &[u8]) -> usize {
    if let Some(length) = encoded_word_length(octets) {
        return length;
    }
    let begins = |index: &usize| encoded_word_length(octets.get(*index..).unwrap_or_default()).is_some();
    // White space before an encoded-word is a piece of its own.
    let mut candidates = memchr::memmem::find_iter(octets, b"=?").filter(|index| *index > 0);
    let word = candidates.find(begins).unwrap_or(octets.len());
    let before = octets.get(..word).unwrap_or_default();
    let text = before.trim_ascii_end().len();
    if text == 0 { word } else { text }
}

/// Neighbouring encoded-words of one character set, which may share a character between them.
#[derive(Default)]
struct Words {
    charset: Vec<u8>,
    octets: Vec<u8>,
    open: bool,
}

impl Words {
    fn is_open(&self) -> bool {
        self.open
    }

    fn push(&mut self, charset: &[u8], octets: Vec<u8>, text: &mut String) {
        if self.open && !self.charset.eq_ignore_ascii_case(charset) {
            self.close(text);
        }
        self.open = true;
        self.charset = charset.to_vec();
        self.octets.extend(octets);
    }

    fn close(&mut self, text: &mut String) {
        if std::mem::take(&mut self.open) {
            text.push_str(&decode_charset(&self.charset, &self.octets));
            self.octets.clear();
        }
    }
}

/// Character set and octets of an encoded-word.
fn encoded_word(octets: &[u8]) -> Option<(&[u8], Vec<u8>)> {
    let inner = octets.strip_prefix(b"=?")?.strip_suffix(b"?=")?;
    let mut parts = inner.splitn(3, |octet| *octet == b'?');
    let (charset, encoding, text) = (parts.next()?, parts.next()?, parts.next()?);
    // RFC 2231 §5: a language may follow the character set.
    let charset = charset.split(|octet| *octet == b'*').next()?;
    let decoded = match encoding {
        b"B" | b"b" => decode_base64(text),
        b"Q" | b"q" => {
            let text: Vec<u8> = text.iter().map(|octet| if *octet == b'_' { b' ' } else { *octet }).collect();
            decode_quoted_printable(&text)
        }
        _ => return None,
    };
    Some((charset, decoded))
}

/// A body without its transfer encoding; an unknown encoding is taken for none.
pub fn decode_transfer<'a>(encoding: &[u8], body: &'a [u8]) -> Cow<'a, [u8]> {
    match encoding.to_ascii_lowercase().as_slice() {
        b"base64" => decode_base64(body).into(),
        b"quoted-printable" => decode_quoted_printable(body).into(),
        _ => body.into(),
    }
}

/// The text of a text part, given its body as it stands in the message. HTML stays HTML.
pub fn decode_text(part: &Part, body: &[u8]) -> String {
    let octets = decode_transfer(&part.encoding, body);
    decode_charset(part.parameter("charset").unwrap_or(b"us-ascii"), &octets)
}

/// Octets in a named character set; in an unknown one they are taken as UTF-8 or Windows-1252.
pub fn decode_charset(charset: &[u8], octets: &[u8]) -> String {
    if charset.eq_ignore_ascii_case(b"us-ascii") {
        return unlabelled(octets).into_owned();
    }
    if let Some(encoding) = Encoding::for_label(charset) {
        return encoding.decode_without_bom_handling(octets).0.into_owned();
    }
    match mail_parser::decoders::charsets::map::charset_decoder(charset) {
        Some(decode) => decode(octets),
        None => unlabelled(octets).into_owned(),
    }
}

fn unlabelled(octets: &[u8]) -> Cow<'_, str> {
    UTF_8
        .decode_without_bom_handling_and_without_replacement(octets)
        .unwrap_or_else(|| WINDOWS_1252.decode_without_bom_handling(octets).0)
}

/// The text of an HTML document.
pub fn html_to_text(html: &str) -> String {
    mail_parser::decoders::html::html_to_text(html)
}

/// Base64 as mail has it: anything outside the alphabet is passed over (RFC 2045 §6.8).
fn decode_base64(text: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut count) = (0u32, 0u8);
    for octet in text {
        let value = match octet {
            b'A'..=b'Z' => octet - b'A',
            b'a'..=b'z' => octet - b'a' + 26,
            b'0'..=b'9' => octet - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => continue,
        };
        bits = (bits << 6) | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            decoded.push((bits >> count) as u8);
        }
    }
    decoded
}

/// Quoted-printable (RFC 2045 §6.7); an `=` that begins nothing stays.
fn decode_quoted_printable(text: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((octet, after)) = rest.split_first() {
        rest = after;
        if *octet != b'=' {
            decoded.push(*octet);
            continue;
        }
        match after {
            [high, low, tail @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                decoded.push((hex(*high) << 4) | hex(*low));
                rest = tail;
            }
            _ => match soft_line_break(after) {
                Some(tail) => rest = tail,
                None => decoded.push(b'='),
            },
        }
    }
    decoded
}

/// What follows white space and a line end.
fn soft_line_break(text: &[u8]) -> Option<&[u8]> {
    let line_end = text.iter().position(|octet| !matches!(octet, b' ' | b'\t' | b'\r'))?;
    text.get(line_end..)?.strip_prefix(b"\n")
}

fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        _ => digit.wrapping_sub(b'A').wrapping_add(10),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_values() {
        for (value, expected) in [
            ("=?utf-8?Q?M=C3=BCller?=", "Müller"),
            ("a =?ISO-8859-1?Q?=FC?= b", "a ü b"),
            ("=?utf-8?B?w6Q=?=\r\n =?utf-8?B?w7Y=?=", "äö"),
            ("=?utf-8?B?w?= =?utf-8?B?6Q=?= x", "x"),
            ("=?utf-8*de?q?=C3=A4_b?=", "ä b"),
            ("=?iso-2022-jp?B?GyRCRnxLXBsoQg==?=", "日本"),
            ("=?x?y?z?= stays", "=?x?y?z?= stays"),
            ("Grüße", "Grüße"),
            ("half =?utf-8?Q?open", "half =?utf-8?Q?open"),
            ("", ""),
        ] {
            if expected != "x" {
                assert_eq!(decode_header(value.as_bytes()), expected, "{value}");
            } else {
                assert!(decode_header(value.as_bytes()).ends_with(" x"));
            }
        }
        assert_eq!(decode_header(b"caf\xe9"), "café");
    }

    #[test]
    fn transfer_encodings() {
        assert_eq!(&*decode_transfer(b"BASE64", b"aGFs\r\nbG8=\r\n"), b"hallo");
        assert_eq!(&*decode_transfer(b"Quoted-Printable", b"a=3Db=\r\nc=zz= \r\nd="), b"a=bc=zzd=");
        assert_eq!(&*decode_transfer(b"8bit", b"=41"), b"=41");
        assert_eq!(&*decode_transfer(b"base64", b"!!!!"), b"");
    }
}
