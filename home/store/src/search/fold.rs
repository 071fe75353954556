//! The form in which texts are compared: lower case, canonical and compatibility decomposition (RFC 5051 §2, with lower case in
//! the place of title case).

use icu_normalizer::DecomposingNormalizerBorrowed;

/// A text as it is compared.
pub fn fold(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    let decomposed = DecomposingNormalizerBorrowed::new_nfkd().normalize(text);
    // The sigma at the end of a word is one inside a longer one.
    decomposed.to_lowercase().replace('ς', "σ")
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
        assert_ne!(fold("résumé"), fold("resume"), "accents count");
        assert_eq!(without_accents(&fold("Résumé ガ")), "resume カ");
    }
}
