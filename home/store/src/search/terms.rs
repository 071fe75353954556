//! Cuts texts into terms, and says which terms hold a needle.
//!
//! In: folded text. Out: terms. A *run* is a stretch of letters, digits and their marks; what stands between runs is in no term.
//! A run that is no word, since it has digits in it or is very long, is a *code*: signatures, identifiers, what base64 leaves.
//! Hardly one of them comes twice, and together they would be nine tenths of an account's vocabulary. Of other runs a long one
//! is cut into overlapping pieces, so that every substring of a certain length lies whole in one of them:
//!
//! | script | piece | step | whole in one piece |
//! |---|---|---|---|
//! | with spaces between words | 40 characters | 20 | up to 21 |
//! | without (Chinese, Japanese, Thai, …) | 3 | 1 | up to 3 |

use super::fold::is_mark;

/// A run's script decides how it is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Script {
    Spaced,
    Dense,
}

impl Script {
    fn piece(self) -> usize {
        match self {
            Script::Spaced => 40,
            Script::Dense => 3,
        }
    }

    fn step(self) -> usize {
        match self {
            Script::Spaced => 20,
            Script::Dense => 1,
        }
    }

    /// The longest substring that always lies in one piece.
    fn whole(self) -> usize {
        self.piece() - self.step() + 1
    }

    fn of(character: char) -> Script {
        match character {
            '\u{e00}'..='\u{eff}'
            | '\u{1000}'..='\u{109f}'
            | '\u{1780}'..='\u{17ff}'
            | '\u{2e80}'..='\u{9fff}'
            | '\u{f900}'..='\u{faff}'
            | '\u{20000}'..='\u{3ffff}' => Script::Dense,
            _ => Script::Spaced,
        }
    }
}

/// What a text is cut into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Term<'t> {
    /// A word, or a piece of a long run.
    Word(&'t str),
    /// A whole run that is no word.
    Code(&'t [u8]),
}

/// Calls `visit` with every term of a folded text; one that stands there twice is visited twice.
pub(super) fn visit<'t>(text: &'t str, mut visit: impl FnMut(Term<'t>)) {
    for (script, run) in runs(text) {
        match is_code(run) {
            true => visit(Term::Code(run.as_bytes())),
            false => pieces(run, script.piece(), script.step()).for_each(|piece| visit(Term::Word(piece))),
        }
    }
}

/// The shortest code with a digit, and the longest word, in octets.
const SHORTEST_CODE: usize = 6;
const LONGEST_WORD: usize = 20;

fn is_code(run: &str) -> bool {
    run.is_ascii()
        && run.len() >= SHORTEST_CODE
        && (run.len() > LONGEST_WORD || run.bytes().any(|octet| octet.is_ascii_digit()))
}

/// Three characters of a code that follow each other.
pub(super) type Trigram = [u8; 3];

/// Each trigram of a code, or of a needle that may lie in one; without any, a needle is too short to tell.
pub(super) fn trigrams(code: &[u8]) -> impl Iterator<Item = Trigram> {
    code.windows(3).filter_map(|window| window.first_chunk().copied())
}

/// What must be in an email's terms for it to hold a needle.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Pattern<'n> {
    /// Each of these lies in some term.
    pub(super) parts: Vec<&'n str>,
    /// Whether that is enough.
    pub(super) is_enough: bool,
}

/// The pattern of a folded needle; nothing where no term can tell.
pub(super) fn pattern(needle: &str) -> Option<Pattern<'_>> {
    let mut parts = Vec::new();
    let mut whole_runs = 0;
    // A mark alone tells nothing of the script that it stands in.
    for (script, run) in runs(needle.trim_start_matches(is_mark)) {
        let before = parts.len();
        parts.extend(pieces(run, script.whole(), script.whole()));
        whole_runs += usize::from(parts.len() == before + 1);
    }
    let is_enough = parts.len() == 1 && whole_runs == 1 && parts.first() == Some(&needle);
    (!parts.is_empty()).then_some(Pattern { parts, is_enough })
}

/// The runs of a text.
fn runs(text: &str) -> impl Iterator<Item = (Script, &str)> {
    let mut rest = text;
    std::iter::from_fn(move || {
        rest = rest.trim_start_matches(|character| !in_run(character));
        let script = Script::of(rest.chars().next()?);
        let ends =
            |character: char| !in_run(character) || (!is_mark(character) && Script::of(character) != script);
        let (run, after) = rest.split_at(rest.find(ends).unwrap_or(rest.len()));
        rest = after;
        Some((script, run))
    })
}

fn in_run(character: char) -> bool {
    character.is_alphanumeric() || is_mark(character)
}

/// Pieces of so many characters, each beginning so many characters after the one before; the last one ends with the run.
fn pieces(run: &str, length: usize, step: usize) -> impl Iterator<Item = &str> {
    let mut rest = Some(run);
    std::iter::from_fn(move || {
        let from = rest?;
        match from.char_indices().nth(length) {
            None => {
                rest = None;
                Some(from)
            }
            Some((end, _)) => {
                let next = from.char_indices().nth(step).map_or(from.len(), |(at, _)| at);
                rest = from.get(next..);
                from.get(..end)
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn terms(text: &str) -> Vec<&str> {
        let mut found = Vec::new();
        visit(text, |term| {
            found.push(match term {
                Term::Word(word) => word,
                Term::Code(code) => std::str::from_utf8(code).expect("ASCII"),
            })
        });
        found
    }

    #[test]
    fn words_and_runs_without_spaces() {
        assert_eq!(terms("re: the 2nd cafe\u{301}-bar"), ["re", "the", "2nd", "cafe\u{301}", "bar"]);
        assert_eq!(terms("日本語です ok"), ["日本語", "本語で", "語です", "ok"]);
        assert_eq!(terms("漢"), ["漢"]);
        let lengths = |text: &str| terms(text).iter().map(|term| term.chars().count()).collect::<Vec<_>>();
        assert_eq!(lengths(&"ж".repeat(70)), [40, 40, 30]);
        assert_eq!(lengths(&"x".repeat(70)), [70], "a code is whole");
        assert_eq!(pattern("--"), None);
        assert_eq!(pattern("vern"), Some(Pattern { parts: vec!["vern"], is_enough: true }));
        assert_eq!(pattern("vern."), Some(Pattern { parts: vec!["vern"], is_enough: false }));
        assert_eq!(pattern("日本語で"), Some(Pattern { parts: vec!["日本語", "で"], is_enough: false }));
    }

    #[test]
    fn codes_are_no_words() {
        for code in ["4bf92f35", "123456", "donaudampfschifffahrtsgesellschaft"] {
            assert!(is_code(code), "{code}");
        }
        for word in ["2024", "win11", "internationalization", "übergrößenträger123"] {
            assert!(!is_code(word), "{word}");
        }
        assert_eq!(trigrams(b"abcde").collect::<Vec<_>>(), [*b"abc", *b"bcd", *b"cde"]);
        assert_eq!(trigrams(b"ab").count(), 0);
    }

    proptest! {
        /// The parts of every substring lie in the terms of the text, and where one part is enough it is there only then.
        #[test]
        fn a_substring_is_always_found(text in "[a-c0 .日本語]{0,90}", start in 0usize..90, length in 1usize..50) {
            let needle: String = text.chars().skip(start).take(length).collect();
            let terms = terms(&text);
            if let Some(pattern) = pattern(&needle) {
                for part in &pattern.parts {
                    prop_assert!(terms.iter().any(|term| term.contains(part)), "{} of {:?} in {:?}", part, needle, text);
                }
            }
        }

        #[test]
        fn what_is_enough_is_exact(text in "[ab .日本]{0,60}", needle in "[ab]{1,4}|[日本]{1,3}") {
            let pattern = pattern(&needle).expect("a run");
            prop_assert!(pattern.is_enough);
            prop_assert_eq!(terms(&text).iter().any(|term| term.contains(&*needle)), text.contains(&needle));
        }
    }
}
