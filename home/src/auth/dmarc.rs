//! DMARC: what the author's domain wants done with a message that neither SPF nor DKIM vouch for (RFC 7489 §6.6).
//!
//! In: the message with its author, the signatures, SPF's outcome. Out: the result for the trace field, and the wish.
//!
//! | outcome | policy | wish |
//! |---|---|---|
//! | pass, none, permerror; or the policy is not known | any | accept |
//! | fail | none | accept |
//! | fail | quarantine, reject | as it says |
//! | temperror: a proof may be missing | quarantine, reject | defer |
//! | temperror | none | accept |
//!
//! A sender can make the look-ups for his own signatures slow, never the one for the author's policy. So when the time is up
//! the policy is asked for once more, alone.

use std::time::Duration;

use mail_auth::dmarc::{Policy, verify::DmarcParameters};
use mail_auth::{AuthenticatedMessage, DmarcOutput, DmarcResult, SpfOutput};
use postern_message::authres::MethodResult;
use tokio::time::timeout;

use super::dkim::Signatures;
use crate::resolver::Resolver;

/// Time for the policy and the alignment of every proof, and again for the policy alone.
const PATIENCE: Duration = Duration::from_secs(10);

/// What DMARC says of the message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Dmarc {
    /// Nothing to act on.
    #[default]
    Accept,
    /// It failed, and the domain wants it looked at with suspicion.
    Quarantine {
        /// The domain of the From field.
        domain: String,
    },
    /// It failed, and the domain wants it refused.
    Reject {
        /// The domain of the From field.
        domain: String,
    },
    /// Whether it failed cannot be told now, and the domain does not want it accepted where it did.
    Defer {
        /// The domain of the From field.
        domain: String,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    None,
    Pass,
    Fail,
    TempError,
    PermError,
}

/// What was found.
#[derive(Debug)]
pub struct Judgement {
    domain: String,
    outcome: Outcome,
    policy: Policy,
    alignment: Option<Alignment>,
}

/// Which of the two vouch for the author's domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alignment {
    /// A signature does.
    pub dkim: bool,
    /// SPF does.
    pub spf: bool,
}

/// Judges a message.
pub async fn judge(
    resolver: &Resolver,
    message: Option<&AuthenticatedMessage<'_>>,
    signatures: &Signatures<'_>,
    spf: &SpfOutput,
) -> Judgement {
    let Some(message) = message else { return Judgement::of(&DmarcOutput::default()) };
    let authenticator = resolver.authenticator();
    let parameters = DmarcParameters::new(message, signatures.judged(), spf.domain(), spf);
    match timeout(PATIENCE, authenticator.verify_dmarc(parameters)).await {
        Ok(output) if matches!(signatures, Signatures::OutOfTime) => Judgement::of(&output).without_proofs(),
        Ok(output) => Judgement::of(&output),
        Err(_) => policy_alone(resolver, message).await.without_proofs(),
    }
}

async fn policy_alone(resolver: &Resolver, message: &AuthenticatedMessage<'_>) -> Judgement {
    let (authenticator, nothing) = (resolver.authenticator(), SpfOutput::default());
    let parameters = DmarcParameters::new(message, &[], "", &nothing);
    let output = timeout(PATIENCE, authenticator.verify_dmarc(parameters)).await;
    output.as_ref().map_or_else(|_| Judgement::unknown(), Judgement::of)
}

impl Judgement {
    fn of(output: &DmarcOutput) -> Self {
        let outcome = match output.result() {
            DmarcResult::Pass => Outcome::Pass,
            DmarcResult::Fail(_) => Outcome::Fail,
            DmarcResult::TempError(_) => Outcome::TempError,
            DmarcResult::PermError(_) => Outcome::PermError,
            DmarcResult::None => Outcome::None,
        };
        let alignment = Alignment {
            dkim: *output.dkim_result() == DmarcResult::Pass,
            spf: *output.spf_result() == DmarcResult::Pass,
        };
        let wants_reports = output.dmarc_record().is_some_and(|record| !record.rua().is_empty());
        Self {
            domain: output.domain().to_owned(),
            outcome,
            policy: output.policy(),
            alignment: wants_reports.then_some(alignment),
        }
    }

    fn unknown() -> Self {
        Self {
            domain: String::new(),
            outcome: Outcome::TempError,
            policy: Policy::Unspecified,
            alignment: None,
        }
    }

    /// A failure is none as long as a proof is not known.
    fn without_proofs(mut self) -> Self {
        if self.outcome == Outcome::Fail {
            self.outcome = Outcome::TempError;
        }
        self
    }

    /// The domain of the From field; empty where there was none to judge by.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// What vouches for the author, where its domain has asked for reports and the outcome is known.
    pub fn reportable(&self) -> Option<Alignment> {
        self.alignment.filter(|_| matches!(self.outcome, Outcome::Pass | Outcome::Fail))
    }

    /// Whether the message is proved to be its author's.
    pub fn has_passed(&self) -> bool {
        self.outcome == Outcome::Pass
    }

    /// What is to be done.
    pub fn wish(&self) -> Dmarc {
        let domain = || self.domain.clone();
        match (self.outcome, &self.policy) {
            (Outcome::Fail, Policy::Reject) => Dmarc::Reject { domain: domain() },
            (Outcome::Fail, Policy::Quarantine) => Dmarc::Quarantine { domain: domain() },
            (Outcome::TempError, Policy::Reject | Policy::Quarantine) => Dmarc::Defer { domain: domain() },
            _ => Dmarc::Accept,
        }
    }

    /// The outcome as the trace field has it (RFC 8601 §2.7).
    pub fn result(&self) -> MethodResult {
        let word = match self.outcome {
            Outcome::None => "none",
            Outcome::Pass => "pass",
            Outcome::Fail => "fail",
            Outcome::TempError => "temperror",
            Outcome::PermError => "permerror",
        };
        let result = MethodResult::new("dmarc", word);
        let result = if self.domain.is_empty() { result } else { result.with("header.from", &self.domain) };
        match (self.outcome, &self.policy) {
            (Outcome::None, _) => result,
            (_, Policy::Reject) => result.with("policy.dmarc", "reject"),
            (_, Policy::Quarantine) => result.with("policy.dmarc", "quarantine"),
            (_, Policy::None | Policy::Unspecified) => result.with("policy.dmarc", "none"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(outcome: Outcome, policy: Policy) -> Dmarc {
        Judgement { domain: "bank.example".to_owned(), outcome, policy, alignment: None }.wish()
    }

    #[test]
    fn a_missing_proof_neither_refuses_nor_lets_in() {
        let domain = || "bank.example".to_owned();
        assert_eq!(wish(Outcome::Fail, Policy::Reject), Dmarc::Reject { domain: domain() });
        assert_eq!(wish(Outcome::Fail, Policy::Quarantine), Dmarc::Quarantine { domain: domain() });
        assert_eq!(wish(Outcome::Fail, Policy::None), Dmarc::Accept);
        assert_eq!(wish(Outcome::TempError, Policy::Reject), Dmarc::Defer { domain: domain() });
        assert_eq!(wish(Outcome::TempError, Policy::Quarantine), Dmarc::Defer { domain: domain() });
        assert_eq!(wish(Outcome::TempError, Policy::Unspecified), Dmarc::Accept);
        assert_eq!(wish(Outcome::Pass, Policy::Reject), Dmarc::Accept);
    }

    #[test]
    fn a_failure_without_proofs_is_none_yet() {
        let judged = Judgement { outcome: Outcome::Fail, policy: Policy::Reject, ..Judgement::unknown() };
        assert_eq!(judged.without_proofs().outcome, Outcome::TempError);
        let judged = Judgement { outcome: Outcome::Pass, policy: Policy::Reject, ..Judgement::unknown() };
        assert_eq!(judged.without_proofs().outcome, Outcome::Pass);
    }
}
