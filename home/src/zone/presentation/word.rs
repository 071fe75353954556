//! One word: what stands between blanks, or between quotation marks.
//!
//! In: text with its escapes as written (RFC 1035 §5.1), or octets. Out: the octets that it stands for, or text that reads as
//! these octets again. Refused: an escape of more than 255.

/// A word as it is written, with its escapes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// The text, without the quotation marks around it.
    pub text: String,
    /// Whether there were any.
    pub is_quoted: bool,
}

/// A backslash that escapes nothing: `\` at the end, or three digits that are no octet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadEscape;

/// An octet, and whether it was written with a backslash.
pub(super) type Octet = (u8, bool);

impl Word {
    /// A word without quotation marks.
    pub fn bare(text: impl Into<String>) -> Self {
        Self { text: text.into(), is_quoted: false }
    }

    /// A word in quotation marks that stands for just these octets.
    pub fn literal(octets: &[u8]) -> Self {
        let mut text = String::new();
        octets.iter().for_each(|octet| escape(*octet, b"\"\\", &mut text));
        Self { text, is_quoted: true }
    }

    /// What the word stands for.
    ///
    /// # Errors
    /// [`BadEscape`].
    pub fn octets(&self) -> Result<Vec<u8>, BadEscape> {
        Ok(self.unescaped()?.into_iter().map(|(octet, _)| octet).collect())
    }

    /// The same; each octet with whether it was escaped, since an escaped dot ends no label.
    pub(super) fn unescaped(&self) -> Result<Vec<Octet>, BadEscape> {
        let mut octets = Vec::with_capacity(self.text.len());
        let mut rest = self.text.as_bytes();
        while let Some((&first, after)) = rest.split_first() {
            rest = after;
            let octet = match (first, after) {
                (b'\\', [digit, ..]) if digit.is_ascii_digit() => {
                    let (digits, after) = after.split_at_checked(3).ok_or(BadEscape)?;
                    rest = after;
                    let digits = str::from_utf8(digits).map_err(|_| BadEscape)?;
                    (digits.parse().map_err(|_| BadEscape)?, true)
                }
                (b'\\', [octet, after @ ..]) => {
                    rest = after;
                    (*octet, true)
                }
                (b'\\', []) => return Err(BadEscape),
                (octet, _) => (octet, false),
            };
            octets.push(octet);
        }
        Ok(octets)
    }
}

/// Writes one octet, with a backslash before those of `special` and by its decimal number where it cannot be seen.
pub(super) fn escape(octet: u8, special: &[u8], text: &mut String) {
    match octet {
        octet if special.contains(&octet) => text.extend(['\\', char::from(octet)]),
        b' '..=b'~' => text.push(char::from(octet)),
        _ => text.push_str(&format!("\\{octet:03}")),
    }
}
