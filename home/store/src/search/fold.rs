//! The form in which texts are compared: lower case, canonical and compatibility decomposition (RFC 5051 §2, with lower case in
//! the place of title case).

use icu_normalizer::DecomposingNormalizerBorrowed;

/// Octets that are folded at once.
const PIECE: usize = 64 * 1024;
/// So many times as long a text may become, and [`SLACK`] octets longer: the jamo of Korean take three octets each. A single
/// ligature may become eleven times as long, so a text of nothing else is cut.
const GROWTH: usize = 3;
const SLACK: usize = 1024;

/// A text as it is compared.
pub fn fold(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    let most = text.len().saturating_mul(GROWTH).saturating_add(SLACK);
    let mut folded = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() && folded.len() < most {
        let (piece, after) = rest.split_at(end_of_piece(rest));
        let decomposed = DecomposingNormalizerBorrowed::new_nfkd().normalize(piece);
        // The sigma at the end of a word is one inside a longer one.
        folded.push_str(&decomposed.to_lowercase().replace('ς', "σ"));
        rest = after;
    }
    folded.truncate(folded.floor_char_boundary(most));
    folded
}

/// Before an ASCII character, where marks end: a piece is folded as it would be in its text. Only a text with none in a whole
/// piece is cut elsewhere.
fn end_of_piece(text: &str) -> usize {
    let Some(beyond) = text.as_bytes().get(PIECE..) else { return text.len() };
    let ascii = beyond.iter().take(PIECE).position(u8::is_ascii);
    ascii.map_or_else(|| text.floor_char_boundary(PIECE), |more| PIECE + more)
}

/// A folded text without the marks on its letters.
pub(super) fn without_accents(folded: &str) -> String {
    folded.chars().filter(|character| !is_mark(*character)).collect()
}

/// Combining marks of the scripts that write accents with them.
pub(super) fn is_mark(character: char) -> bool {
    matches!(character, '\u{300}'..='\u{36f}' | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}' | '\u{20d0}'..='\u{20ff}' | '\u{3099}' | '\u{309a}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_one_text_are_one() {
        for (one, other) in [
            ("Résumé", "RE\u{301}SUME\u{301}"),
            ("ﬁne", "FINE"),
            ("ＡＢＣ", "abc"),
            ("Straße", "straße"),
            ("ガ", "カ\u{3099}"),
            ("㎒", "mhz"),
            ("ΟΔΟΣ", "οδοσ"),
        ] {
            assert_eq!(fold(one), fold(other), "{one}");
        }
        let long = "Ångström ÉTÉ Ὀδυσσεύς 각 ".repeat(PIECE / 20);
        assert_eq!(fold(&long), fold("Ångström ÉTÉ Ὀδυσσεύς 각 ").repeat(PIECE / 20), "in pieces");
        assert_ne!(fold("résumé"), fold("resume"), "accents count");
        assert_eq!(without_accents(&fold("Résumé ガ")), "resume カ");
    }

    #[test]
    fn no_text_grows_beyond_all_measure() {
        let ligatures = "\u{fdfa}".repeat(1_000_000);
        assert!(fold(&ligatures).len() < 4 * ligatures.len());
        assert_eq!(fold("\u{fdfa}").len(), 33, "one is folded whole");
    }
}
