//! Passwords and SCRAM keys, and the wait after a failure.
//!
//! A known and an unknown user cost and look the same: the directory hashes in vain or gives decoy keys, and the
//! wait depends on the client's address alone.

use std::time::Instant;

use aws_lc_rs::rand;
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use postern_sasl::{Failure, Password};
use postern_smtp::server::AuthVerdict;
use tokio::time::sleep;
use tracing::{info, warn};

use super::session::SubmissionHost;
use crate::login;
use crate::smtp::session::SmtpSession;

/// Random octets in a SCRAM nonce.
const NONCE_OCTETS: usize = 24;

impl SubmissionHost {
    pub(super) async fn password(&mut self, session: &mut SmtpSession, login: String, password: Password) {
        let verified = login::verify_password(&self.parts.directory, login, password).await;
        session.core.password_verdict(match verified {
            Ok(Some(_)) => AuthVerdict::Accepted,
            Ok(None) => AuthVerdict::Rejected,
            Err(lost) => {
                warn!(%lost, "password check was lost");
                AuthVerdict::Unavailable
            }
        });
    }

    pub(super) fn scram_keys(&mut self, session: &mut SmtpSession, login: &str) {
        match nonce() {
            Some(nonce) => session.core.scram_verdict(Some((self.parts.directory.scram(login), &nonce))),
            None => session.core.scram_verdict(None),
        }
    }

    /// The user may be gone since the proof began; then nothing is allowed.
    pub(super) fn authenticated(&mut self, login: &str) {
        self.user = self.parts.directory.user_by_login(login);
        self.parts.failures.forget(self.client);
        info!(login, "authenticated");
    }

    /// The session's refusal leaves only when this has returned.
    pub(super) async fn authentication_failed(&mut self, failure: Failure) {
        let wait = self.parts.failures.count(self.client, Instant::now());
        info!(%failure, ?wait, "authentication failed");
        sleep(wait).await;
    }
}

fn nonce() -> Option<String> {
    let mut octets = [0; NONCE_OCTETS];
    rand::fill(&mut octets).ok()?;
    Some(BASE64.encode(octets))
}
