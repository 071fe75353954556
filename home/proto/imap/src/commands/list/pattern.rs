//! LIST patterns: `*` matches anything, `%` anything but the delimiter (RFC 9051 §6.3.9).

use crate::types::{DELIMITER, MailboxName};

/// A reference and a pattern, joined.
#[derive(Debug, Clone)]
pub(crate) struct Pattern(Vec<char>);

impl Pattern {
    /// The reference stands before the pattern, as it is. INBOX compares without regard to case.
    pub(crate) fn new(reference: &str, pattern: &str) -> Pattern {
        let joined = format!("{reference}{pattern}");
        Pattern(MailboxName::new(&joined).as_str().chars().collect())
    }

    /// Whether a name matches. Linear in the name for each wildcard: the last `*` is the only one to go back to.
    pub(crate) fn matches(&self, name: &str) -> bool {
        let name: Vec<char> = name.chars().collect();
        let mut reached = vec![false; name.len() + 1];
        if let Some(start) = reached.first_mut() {
            *start = true;
        }
        for &wanted in &self.0 {
            reached = advance(&reached, wanted, &name);
        }
        reached.last().copied().unwrap_or(false)
    }

    /// The nearest ancestor of `name` that matches.
    pub(crate) fn matching_ancestor<'n>(&self, name: &'n str) -> Option<&'n str> {
        name.rmatch_indices(DELIMITER)
            .filter_map(|(at, _)| name.get(..at))
            .find(|ancestor| self.matches(ancestor))
    }
}

/// Which prefixes of `name` the pattern matches with one more character, from those it matched before.
fn advance(reached: &[bool], wanted: char, name: &[char]) -> Vec<bool> {
    let mut next = vec![false; reached.len()];
    let mut carried = false;
    for (at, slot) in next.iter_mut().enumerate() {
        let here = reached.get(at).copied().unwrap_or(false);
        let previous = at.checked_sub(1).and_then(|before| name.get(before)).copied();
        *slot = match wanted {
            '*' | '%' => {
                carried = here || (carried && (wanted == '*' || previous != Some(DELIMITER)));
                carried
            }
            _ => previous == Some(wanted) && at > 0 && reached.get(at - 1).copied().unwrap_or(false),
        };
    }
    next
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards() {
        let cases = [
            ("*", "a/b/c", true),
            ("%", "a", true),
            ("%", "a/b", false),
            ("a/%", "a/b", true),
            ("a/%", "a/b/c", false),
            ("%/%", "a/b", true),
            ("*c", "a/b/c", true),
            ("a*c", "abd", false),
            ("%b%", "abc", true),
            ("inbox", "INBOX", true),
            ("a%", "a", true),
            ("", "a", false),
        ];
        for (pattern, name, expected) in cases {
            assert_eq!(Pattern::new("", pattern).matches(name), expected, "{pattern} {name}");
        }
        assert!(Pattern::new("a/", "%").matches("a/b"));
        assert_eq!(Pattern::new("", "%").matching_ancestor("a/b/c"), Some("a"));
    }

    #[test]
    fn many_wildcards_cost_little() {
        let pattern = Pattern::new("", &"*a".repeat(200));
        assert!(!pattern.matches(&"a".repeat(150)));
    }
}
