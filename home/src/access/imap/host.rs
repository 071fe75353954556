//! Answers a session's requests: those about logins with [`crate::login`], the others in a blocking thread.

use std::future::poll_fn;
use std::net::IpAddr;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use postern_imap::request::{Answer, Refusal, Request};
use postern_sasl::Password;
use postern_store::account::ModSeq;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinHandle, block_in_place, spawn_blocking};
use tokio::time::{Instant, sleep_until, timeout};
use tracing::error;

use super::Parts;
use super::backend::Backend;
use super::session::ImapSession;
use crate::login::Attempts;
use crate::net::Host;

/// After so long the client hears that its command is under way, and again each time.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where a part of what NOTIFY is about could not be seen, it is looked at again after so long.
const BLINDNESS: Duration = Duration::from_secs(60);

/// What stands behind one session.
pub(super) struct ImapHost {
    parts: Arc<Parts>,
    attempts: Attempts,
    /// After login. Lent to the thread that works with it.
    backend: Option<Backend>,
    changes: Option<watch::Receiver<ModSeq>>,
    /// Of the account of the selected mailbox, if it is another user's.
    changes_of_other: Option<watch::Receiver<ModSeq>>,
    /// Of the accounts that others may share something from, since NOTIFY.
    changes_of_watched: Vec<watch::Receiver<ModSeq>>,
    /// When to look again at what NOTIFY is about, since a part of it could not be seen.
    look_again: Option<Instant>,
    /// What takes long; the backend comes back from it.
    work: Option<JoinHandle<Worked>>,
    /// What came of it, until the session is given that.
    worked: Option<Result<Worked, JoinError>>,
}

/// A backend that has worked, and what came of it.
type Worked = (Backend, Answer, Follow);

impl ImapHost {
    pub(super) fn new(parts: Arc<Parts>, client: IpAddr) -> ImapHost {
        let attempts = Attempts::new(parts.directory.clone(), parts.failures.clone(), client);
        ImapHost {
            parts,
            attempts,
            backend: None,
            changes: None,
            changes_of_other: None,
            changes_of_watched: Vec::new(),
            look_again: None,
            work: None,
            worked: None,
        }
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
        self.changes_of_watched.clear();
        self.look_again = None;
        Answer::Done
    }

    /// Answers, or leaves the work under way when it takes long.
    async fn in_backend(&mut self, session: &mut ImapSession, request: Request) -> Option<Answer> {
        let Some(mut backend) = self.backend.take() else {
            return Some(Answer::Refused(Refusal::Fault));
        };
        let mut work = spawn_blocking(move || {
            // Before it is looked at what there is, so that nothing is missed between the two.
            let watched = matches!(request, Request::Watch { .. }).then(|| backend.changes_of_others());
            let answer = backend.answer(request);
            let follow = match (&answer, watched) {
                (Answer::Opened(snapshot), _) => Follow::Selected(backend.changes_of_other(snapshot.mailbox)),
                (answer, Some(watched)) => Follow::Watched(watched, completeness(answer)),
                _ => Follow::Unchanged,
            };
            (backend, answer, follow)
        });
        match timeout(PATIENCE, &mut work).await {
            Ok(worked) => Some(self.take_back(session, worked)),
            Err(_) => {
                self.work = Some(work);
                None
            }
        }
    }

    fn take_back(&mut self, session: &mut ImapSession, worked: Result<Worked, JoinError>) -> Answer {
        match worked {
            Ok((backend, answer, follow)) => {
                self.backend = Some(backend);
                match follow {
                    Follow::Unchanged => {}
                    Follow::Selected(changes) => {
                        session.follow_other(changes.clone());
                        self.changes_of_other = changes;
                    }
                    Follow::Watched(changes, completeness) => {
                        session.follow_watched(changes.clone());
                        self.changes_of_watched = changes;
                        self.look_again = match completeness {
                            Completeness::Whole => None,
                            Completeness::Partial => Some(Instant::now() + BLINDNESS),
                        };
                    }
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

/// Whose changes are to be followed from now on.
enum Follow {
    /// The same as before.
    Unchanged,
    /// Of the account of the selected mailbox, if it is another user's.
    Selected(Option<watch::Receiver<ModSeq>>),
    /// Of all these.
    Watched(Vec<watch::Receiver<ModSeq>>, Completeness),
}

/// Whether all that is watched could be seen.
enum Completeness {
    Whole,
    /// No change will be told of what could not.
    Partial,
}

fn completeness(answer: &Answer) -> Completeness {
    match answer {
        Answer::Watched(watched) if watched.unseen.is_empty() => Completeness::Whole,
        _ => Completeness::Partial,
    }
}

/// Gives the session its answer.
fn give(session: &mut ImapSession, answer: Answer) {
    match answer {
        // What LIST does with thousands of names takes a while; the other tasks of this thread do not wait for it.
        answer @ (Answer::Mailboxes(_) | Answer::Watched(_)) => {
            block_in_place(|| session.core.handle_answer(answer))
        }
        answer => session.core.handle_answer(answer),
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
            other => match self.in_backend(session, other).await {
                Some(answer) => answer,
                None => return session.core.handle_delay(),
            },
        };
        give(session, answer);
    }

    fn is_busy(&self) -> bool {
        self.work.is_some()
    }

    /// Completes when an account has changed, for which the session then looks for itself; while work is under way, when that is
    /// done or the client should hear of it again.
    async fn notice(&mut self) {
        match &mut self.work {
            Some(work) => self.worked = timeout(PATIENCE, work).await.ok(),
            None => tokio::select! {
                () = changed(&mut self.changes) => {}
                () = changed(&mut self.changes_of_other) => {}
                () = any_changed(&mut self.changes_of_watched) => {}
                () = due(self.look_again) => {}
            },
        }
    }

    async fn handle_notice(&mut self, session: &mut ImapSession) {
        match self.worked.take() {
            Some(worked) => {
                self.work = None;
                let answer = self.take_back(session, worked);
                give(session, answer);
            }
            None if self.is_busy() => session.core.handle_delay(),
            None if self.look_again.is_some_and(|moment| moment <= Instant::now()) => {
                self.look_again = None;
                session.core.handle_change();
            }
            None => {}
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

/// Completes at this moment, if there is one.
async fn due(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

/// Completes at the next change of any of them.
async fn any_changed(changes: &mut [watch::Receiver<ModSeq>]) {
    let mut each: Vec<_> = changes.iter_mut().map(|one| Box::pin(one.changed())).collect();
    poll_fn(|context| {
        // One whose account is closed tells nothing any more.
        let told = each.iter_mut().any(|one| matches!(one.as_mut().poll(context), Poll::Ready(Ok(()))));
        if told { Poll::Ready(()) } else { Poll::Pending }
    })
    .await
}
