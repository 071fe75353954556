//! xtext: text within a parameter's value (RFC 3461 §4).
//!
//! In: text, or a value from the network. Out: the other. Refused: values with octets that xtext does not allow.

use std::fmt::Write as _;

/// Encodes text.
pub fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for octet in text.bytes() {
        if octet.is_ascii_graphic() && octet != b'+' && octet != b'=' {
            encoded.push(char::from(octet));
        } else {
            let _ = write!(encoded, "+{octet:02X}");
        }
    }
    encoded
}

/// Decodes a value; nothing where it is not xtext, or not of UTF-8 text without control characters.
pub fn decode(value: &str) -> Option<String> {
    let mut octets = Vec::with_capacity(value.len());
    let mut rest = value.bytes();
    while let Some(octet) = rest.next() {
        octets.push(match octet {
            b'+' => hexadecimal(rest.next()?)? << 4 | hexadecimal(rest.next()?)?,
            b'=' => return None,
            octet if octet.is_ascii_graphic() => octet,
            _ => return None,
        });
    }
    String::from_utf8(octets).ok().filter(|text| !text.chars().any(char::is_control))
}

/// RFC 3461 §4: upper-case digits; lower-case ones are read too.
fn hexadecimal(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_not_xtext_is_refused() {
        for bad in ["a+", "a+4", "a+GG", "a=b", "a b", "\u{e4}", "+0D+0A", "+FF"] {
            assert_eq!(decode(bad), None, "{bad}");
        }
        assert_eq!(decode("QQ314159+2b1").as_deref(), Some("QQ314159+1"));
    }

    proptest! {
        #[test]
        fn decoding_undoes_encoding(text in "\\PC{0,40}") {
            let encoded = encode(&text);
            prop_assert!(encoded.bytes().all(|octet| octet.is_ascii_graphic()));
            prop_assert_eq!(decode(&encoded), Some(text).filter(|text| !text.chars().any(char::is_control)));
        }
    }
}
