//! Answers a session's requests: those about logins with [`crate::login`], the others in a blocking thread.

use std::net::IpAddr;
use std::sync::Arc;

use postern_imap::request::{Answer, Refusal, Request};
use postern_sasl::Password;
use postern_store::account::ModSeq;
use tokio::sync::watch;
use tokio::task::{block_in_place, spawn_blocking};
use tracing::error;

use super::Parts;
use super::backend::Backend;
use super::session::ImapSession;
use crate::login::Attempts;
use crate::net::Host;

/// What stands behind one session.
pub(super) struct ImapHost {
    parts: Arc<Parts>,
    attempts: Attempts,
    /// After login. Lent to the thread that works with it.
    backend: Option<Backend>,
    changes: Option<watch::Receiver<ModSeq>>,
    /// Of the account of the selected mailbox, if it is another user's.
    changes_of_other: Option<watch::Receiver<ModSeq>>,
}

impl ImapHost {
    pub(super) fn new(parts: Arc<Parts>, client: IpAddr) -> ImapHost {
        let attempts = Attempts::new(parts.directory.clone(), parts.failures.clone(), client);
        ImapHost { parts, attempts, backend: None, changes: None, changes_of_other: None }
    }

    async fn verify_password(&mut self, login: String, password: Password) -> Answer {
        match self.attempts.verify_password(login, password).await {
            Some(verdict) => Answer::Verdict(verdict),
            None => Answer::Refused(Refusal::Unavailable),
        }
    }

    fn scram_keys(&mut self, login: &str) -> Answer {
        match self.attempts.scram(login) {
            Some((credentials, nonce)) => Answer::ScramKeys { credentials, nonce },
            None => Answer::Refused(Refusal::Unavailable),
        }
    }

    /// The user may be gone since the proof began; then there is nothing to open.
    async fn open_account(&mut self, session: &mut ImapSession, login: &str) -> Answer {
        let Some(user) = self.attempts.succeeded(login) else {
            return Answer::Refused(Refusal::Unavailable);
        };
        let store = self.parts.store.clone();
        match spawn_blocking(move || store.account(user.account)).await {
            Ok(Ok(account)) => {
                session.follow(account.watch());
                self.changes = Some(account.watch());
                let (store, directory) = (self.parts.store.clone(), self.parts.directory.clone());
                self.backend = Some(Backend::new(store, directory, account));
                Answer::Done
            }
            Ok(Err(error)) => {
                error!(login, %error, "the account cannot be opened");
                Answer::Refused(Refusal::Unavailable)
            }
            Err(_) => Answer::Refused(Refusal::Fault),
        }
    }

    /// RFC 8437: the connection is as before the login.
    fn close_account(&mut self, session: &mut ImapSession) -> Answer {
        session.follow_nothing();
        (self.backend, self.changes, self.changes_of_other) = (None, None, None);
        Answer::Done
    }

    async fn in_backend(&mut self, session: &mut ImapSession, request: Request) -> Answer {
        let Some(mut backend) = self.backend.take() else {
            return Answer::Refused(Refusal::Fault);
        };
        let work = spawn_blocking(move || {
            let answer = backend.answer(request);
            let opened = match &answer {
                Answer::Opened(snapshot) => Some(backend.changes_of_other(snapshot.mailbox)),
                _ => None,
            };
            (backend, answer, opened)
        });
        match work.await {
            Ok((backend, answer, opened)) => {
                self.backend = Some(backend);
                if let Some(changes) = opened {
                    session.follow_other(changes.clone());
                    self.changes_of_other = changes;
                }
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
            Request::CountFailure => {
                self.attempts.failed().await;
                Answer::FailureCounted
            }
            Request::OpenAccount { login } => self.open_account(session, &login).await,
            Request::CloseAccount => self.close_account(session),
            other => self.in_backend(session, other).await,
        };
        match answer {
            // What LIST does with thousands of names takes a while; the other tasks of this thread do not wait for it.
            answer @ Answer::Mailboxes(_) => block_in_place(|| session.core.handle_answer(answer)),
            answer => session.core.handle_answer(answer),
        }
    }

    /// Completes when an account has changed; the session then looks for itself.
    async fn notice(&mut self) {
        tokio::select! {
            () = changed(&mut self.changes) => {}
            () = changed(&mut self.changes_of_other) => {}
        }
    }
}

/// Completes at the next change, if there is anything that can change.
async fn changed(changes: &mut Option<watch::Receiver<ModSeq>>) {
    let told = match changes {
        Some(changes) => changes.changed().await.is_ok(),
        None => false,
    };
    if !told {
        std::future::pending().await
    }
}
