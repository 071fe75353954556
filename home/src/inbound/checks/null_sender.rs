//! Reports, which come with the null reverse path (RFC 5321 §4.5.5): each is for the one who sent the message it is about.
//!
//! In: whether the reverse path is null, and how many recipients were taken. Out: a verdict on the next one. Refused: the
//! second recipient, for now, so that an odd but honest sender brings the report to each by itself, and junk that hides
//! behind the null reverse path costs a transaction a recipient.

use postern_smtp::server::{Refusal, ReversePath};

use super::verdict::Verdict;
use crate::config::Severity;

const CHECK: &str = "null_sender";

/// Judges one more recipient.
pub fn judge(severity: Severity, reverse_path: &ReversePath, taken: usize) -> Verdict {
    match reverse_path {
        ReversePath::Null if taken > 0 => {
            Verdict::refuse(CHECK, severity, Refusal::TooManyRecipients, "a report has one recipient")
        }
        _ => Verdict::pass(CHECK, ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_has_one_recipient() {
        let sender = ReversePath::parse("bob@stranger.example").expect("a path");
        let refusal = |path, taken| judge(Severity::Refuse, path, taken).refusal().cloned();
        assert_eq!(refusal(&ReversePath::Null, 0), None);
        assert_eq!(refusal(&ReversePath::Null, 1), Some(Refusal::TooManyRecipients));
        assert_eq!(refusal(&sender, 50), None);
    }
}
