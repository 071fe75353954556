//! Answers a session's requests: those about logins here, the others in a blocking thread.
//!
//! Guessing: an unknown user costs and looks the same as a known one (the directory sees to it), and every failure
//! makes the client's network wait longer for the next answer.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use aws_lc_rs::rand;
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use postern_imap::request::{Answer, Refusal, Request};
use postern_sasl::{Password, Verdict};
use postern_store::account::ModSeq;
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::sleep;
use tracing::{error, info};

use super::Parts;
use super::backend::Backend;
use super::session::ImapSession;
use crate::login;
use crate::net::Host;

/// Random octets in a SCRAM nonce.
const NONCE_OCTETS: usize = 24;

/// What stands behind one session.
pub(super) struct ImapHost {
    parts: Arc<Parts>,
    client: IpAddr,
    /// After login. Lent to the thread that works with it.
    backend: Option<Backend>,
    changes: Option<watch::Receiver<ModSeq>>,
}

impl ImapHost {
    pub(super) fn new(parts: Arc<Parts>, client: IpAddr) -> ImapHost {
        ImapHost { parts, client, backend: None, changes: None }
    }

    async fn verify_password(&self, login: String, password: Password) -> Answer {
        match login::verify_password(&self.parts.directory, login, password).await {
            Ok(Some(_)) => Answer::Verdict(Verdict::Accepted),
            Ok(None) => Answer::Verdict(Verdict::Rejected),
            Err(lost) => {
                error!(%lost, "password check was lost");
                Answer::Refused(Refusal::Unavailable)
            }
        }
    }

    fn scram_keys(&self, login: &str) -> Answer {
        let mut octets = [0; NONCE_OCTETS];
        match rand::fill(&mut octets) {
            Ok(()) => {
                let credentials = self.parts.directory.scram(login);
                Answer::ScramKeys { credentials, nonce: BASE64.encode(octets) }
            }
            Err(_) => Answer::Refused(Refusal::Unavailable),
        }
    }

    /// The answer to a failure is late, and later each time.
    async fn count_failure(&self) -> Answer {
        let wait = self.parts.failures.count(self.client, Instant::now());
        info!(?wait, "authentication failed");
        sleep(wait).await;
        Answer::FailureCounted
    }

    /// The user may be gone since the proof began; then there is nothing to open.
    async fn open_account(&mut self, session: &mut ImapSession, login: &str) -> Answer {
        let Some(user) = self.parts.directory.user_by_login(login) else {
            return Answer::Refused(Refusal::Unavailable);
        };
        let store = self.parts.store.clone();
        match spawn_blocking(move || store.account(user.account)).await {
            Ok(Ok(account)) => {
                info!(login, "authenticated");
                self.parts.failures.forget(self.client);
                session.follow(account.watch());
                self.changes = Some(account.watch());
                self.backend = Some(Backend::new(self.parts.store.clone(), account));
                Answer::Done
            }
            Ok(Err(error)) => {
                error!(login, %error, "the account cannot be opened");
                Answer::Refused(Refusal::Unavailable)
            }
            Err(_) => Answer::Refused(Refusal::Fault),
        }
    }

    async fn in_backend(&mut self, request: Request) -> Answer {
        let Some(mut backend) = self.backend.take() else {
            return Answer::Refused(Refusal::Fault);
        };
        let work = spawn_blocking(move || {
            let answer = backend.answer(request);
            (backend, answer)
        });
        match work.await {
            Ok((backend, answer)) => {
                self.backend = Some(backend);
                answer
            }
            Err(lost) => {
                error!(%lost, "a request was lost");
                Answer::Refused(Refusal::Fault)
            }
        }
    }
}

impl Host<ImapSession> for ImapHost {
    async fn handle_event(&mut self, session: &mut ImapSession, request: Request) {
        let answer = match request {
            Request::VerifyPassword { login, password } => self.verify_password(login, password).await,
            Request::ScramKeys { login } => self.scram_keys(&login),
            Request::CountFailure => self.count_failure().await,
            Request::OpenAccount { login } => self.open_account(session, &login).await,
            other => self.in_backend(other).await,
        };
        session.core.handle_answer(answer);
    }

    /// Completes when the account has changed; the session then looks for itself.
    async fn notice(&mut self) {
        let told = match &mut self.changes {
            Some(changes) => changes.changed().await.is_ok(),
            None => false,
        };
        if !told {
            std::future::pending().await
        }
    }
}
