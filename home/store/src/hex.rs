//! Octets as hexadecimal digits, for names of files and for texts.

/// Lower-case digits.
pub(crate) fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

/// What [`hex`] made; nothing for another text.
pub(crate) fn unhex(text: &str) -> Option<Vec<u8>> {
    let pair = |digits: &[u8]| match digits {
        [_, _] => u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok(),
        _ => None,
    };
    text.as_bytes().chunks(2).map(pair).collect()
}
