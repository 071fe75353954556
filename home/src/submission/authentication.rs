//! The session's questions about passwords, which [`crate::login`] answers.

use postern_sasl::{Failure, Password, Verdict};
use postern_smtp::server::AuthVerdict;
use tracing::info;

use super::session::SubmissionHost;
use crate::smtp::session::SmtpSession;

impl SubmissionHost {
    pub(super) async fn password(&mut self, session: &mut SmtpSession, login: String, password: Password) {
        session.core.password_verdict(match self.attempts.verify_password(login, password).await {
            Some(Verdict::Accepted) => AuthVerdict::Accepted,
            Some(Verdict::Rejected) => AuthVerdict::Rejected,
            None => AuthVerdict::Unavailable,
        });
    }

    pub(super) fn scram_keys(&mut self, session: &mut SmtpSession, login: &str) {
        let keys = self.attempts.scram(login);
        session.core.scram_verdict(keys.as_ref().map(|(keys, nonce)| (keys.clone(), nonce.as_str())));
    }

    /// The user may be gone since the proof began; then nothing is allowed.
    pub(super) fn authenticated(&mut self, login: &str) {
        self.user = self.attempts.succeeded(login);
    }

    /// The session's refusal leaves only when this has returned.
    pub(super) async fn authentication_failed(&mut self, failure: Failure) {
        info!(%failure, "AUTH");
        self.attempts.failed().await;
    }
}
