//! A stranger's text, made fit for a row and a terminal.

/// Most octets that are kept of one text.
pub const MAX_TEXT: usize = 512;

/// Makes line ends spaces, leaves other control characters out, trims, and cuts to [`MAX_TEXT`] octets at a character.
pub(crate) fn clean(text: &str) -> String {
    let spaced = text.chars().map(|character| if character.is_whitespace() { ' ' } else { character });
    let printable: String = spaced.filter(|character| !character.is_control()).collect();
    let trimmed = printable.trim();
    trimmed.get(..trimmed.floor_char_boundary(MAX_TEXT)).unwrap_or_default().trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_cut_between_characters() {
        assert_eq!(clean(" \u{1b} a\u{1b}[2J\nb "), "a[2J b");
        assert_eq!(clean(&format!("{} {}", "x".repeat(MAX_TEXT - 1), "y")).len(), MAX_TEXT - 1);
        assert_eq!(clean(&"é".repeat(MAX_TEXT)).len(), MAX_TEXT);
        assert_eq!(clean(&format!("x{}", "é".repeat(MAX_TEXT))).len(), MAX_TEXT - 1);
    }
}
