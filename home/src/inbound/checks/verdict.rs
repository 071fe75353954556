//! What a check comes to.

use postern_smtp::server::Refusal;

use crate::config::Severity;

/// The word of one check, with its reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The check's name: that of its key in the section `[inbound]`.
    pub check: &'static str,
    /// What follows.
    pub outcome: Outcome,
    /// Why: a clause for people, about the client.
    pub reason: String,
}

/// What follows from a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing: all is as it should be, or could not be found out.
    Pass,
    /// It is written down, and weighs where others are in doubt.
    Note,
    /// It is refused, for now or for good as the refusal says.
    Refuse(Refusal),
}

impl Verdict {
    /// All is well, or not known.
    pub fn pass(check: &'static str, reason: impl Into<String>) -> Self {
        Self { check, outcome: Outcome::Pass, reason: reason.into() }
    }

    /// Something to write down.
    pub fn note(check: &'static str, reason: impl Into<String>) -> Self {
        Self { check, outcome: Outcome::Note, reason: reason.into() }
    }

    /// A reason to refuse, as far as the operator wants that.
    pub fn refuse(
        check: &'static str,
        severity: Severity,
        refusal: Refusal,
        reason: impl Into<String>,
    ) -> Self {
        let outcome = match severity {
            Severity::Refuse => Outcome::Refuse(refusal),
            Severity::Note | Severity::Off => Outcome::Note,
        };
        Self { check, outcome, reason: reason.into() }
    }

    /// The refusal, where it is one.
    pub fn refusal(&self) -> Option<&Refusal> {
        match &self.outcome {
            Outcome::Refuse(refusal) => Some(refusal),
            Outcome::Pass | Outcome::Note => None,
        }
    }
}
