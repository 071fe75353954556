//! Answers a session's requests: those about logins with [`crate::login`], the others in a blocking thread.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use postern_pop3::maildrop::{Contents, Listed};
use postern_pop3::request::{Answer, Refusal, Request};
use postern_store::account::{Account, MailboxId, Maildrop, Uid, UidSet};
use postern_store::blob::BlobId;
use postern_store::{Error, Result, Store};
use tokio::task::spawn_blocking;
use tracing::{error, info, warn};

use super::lock::{Activity, Held, Lock, Locks};
use super::session::Pop3Session;
use crate::login::Attempts;
use crate::net::Host;

/// What stands behind one session.
pub(super) struct Pop3Host {
    attempts: Attempts,
    store: Store,
    locks: Locks,
    /// After login.
    open: Option<Open>,
}

/// A maildrop that the session has.
struct Open {
    lock: Lock,
    account: Account,
    inbox: MailboxId,
    blobs: Arc<BTreeMap<u32, BlobId>>,
}

impl Pop3Host {
    pub(super) fn new(attempts: Attempts, store: Store, locks: Locks) -> Pop3Host {
        Pop3Host { attempts, store, locks, open: None }
    }

    /// The user may be gone since the proof began; then there is nothing to open.
    async fn open(&mut self, activity: &Activity, login: &str) -> Answer {
        let Some(user) = self.attempts.succeeded(login) else {
            return Answer::Refused(Refusal::Unavailable);
        };
        let Some(lock) = self.locks.take(user.account, activity, Instant::now()) else {
            info!("the maildrop is in use");
            return Answer::Refused(Refusal::InUse);
        };
        let store = self.store.clone();
        let found = in_thread(move || {
            let account = store.account(user.account)?;
            let inbox = account.mailbox_named("INBOX")?.id;
            let maildrop = account.maildrop(inbox)?;
            Ok((account, inbox, maildrop))
        });
        match found.await {
            Ok((account, inbox, maildrop)) => {
                let blobs = Arc::new(maildrop.messages.iter().map(|it| (it.uid.get(), it.blob)).collect());
                self.open = Some(Open { lock, account, inbox, blobs });
                Answer::Opened(contents(&maildrop))
            }
            Err(refusal) => Answer::Refused(refusal),
        }
    }

    async fn content(&self, uid: u32, start: u64, length: u64) -> Answer {
        let Some(open) = &self.open else { return Answer::Refused(Refusal::Fault) };
        let (account, blobs) = (open.account.clone(), open.blobs.clone());
        let read = in_thread(move || {
            let blob = blobs.get(&uid).ok_or_else(|| Error::NotFound(format!("message {uid}")))?;
            account.read_blob(*blob, start..start.saturating_add(length))
        });
        read.await.map_or_else(Answer::Refused, Answer::Content)
    }

    /// Whoever has lost the maildrop to a later session changes nothing in it.
    async fn update(&self, deleted: Vec<u32>, retrieved: Vec<u32>) -> Answer {
        let Some(open) = &self.open else { return Answer::Refused(Refusal::Fault) };
        if open.lock.held() == Held::Lost {
            return Answer::Refused(Refusal::InUse);
        }
        info!(deleted = deleted.len(), retrieved = retrieved.len(), "maildrop updated");
        let (account, inbox) = (open.account.clone(), open.inbox);
        let updated = in_thread(move || account.update_maildrop(inbox, set(deleted), set(retrieved)));
        updated.await.map_or_else(Answer::Refused, |()| Answer::Updated)
    }
}

impl Host<Pop3Session> for Pop3Host {
    async fn handle_event(&mut self, session: &mut Pop3Session, request: Request) {
        let answer = match request {
            Request::VerifyPassword { login, password } => {
                let verdict = self.attempts.verify_password(login, password).await;
                verdict.map_or(Answer::Refused(Refusal::Unavailable), Answer::Verdict)
            }
            Request::ScramKeys { login } => match self.attempts.scram(&login) {
                Some((credentials, nonce)) => Answer::ScramKeys { credentials, nonce },
                None => Answer::Refused(Refusal::Unavailable),
            },
            Request::CountFailure => {
                self.attempts.failed().await;
                Answer::FailureCounted
            }
            Request::Open { login } => self.open(&session.activity, &login).await,
            // The client has taken what came before.
            Request::Content { uid, start, length } => {
                session.activity.note(Instant::now());
                self.content(uid, start, length).await
            }
            Request::Update { deleted, retrieved } => self.update(deleted, retrieved).await,
        };
        session.core.handle_answer(answer);
    }

    /// Completes when another session has taken the maildrop.
    async fn notice(&mut self) {
        match &self.open {
            Some(open) => open.lock.lost().await,
            None => std::future::pending().await,
        }
    }

    async fn handle_notice(&mut self, session: &mut Pop3Session) {
        info!("silent for too long: the maildrop went to a later session");
        session.core.handle_end();
    }
}

fn contents(maildrop: &Maildrop) -> Contents {
    let listed = maildrop.messages.iter().map(|it| Listed { uid: it.uid.get(), size: it.size });
    Contents { uid_validity: maildrop.uid_validity.0, messages: listed.collect() }
}

fn set(uids: Vec<u32>) -> UidSet {
    uids.into_iter().filter_map(Uid::new).collect()
}

async fn in_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T, Refusal> {
    match spawn_blocking(work).await {
        Ok(outcome) => outcome.map_err(|error| refusal(&error)),
        Err(lost) => {
            error!(%lost, "a request was lost");
            Err(Refusal::Fault)
        }
    }
}

/// The store's words for a refusal; what a person should see goes to the log here.
fn refusal(error: &Error) -> Refusal {
    match error {
        Error::NotFound(_) => Refusal::Gone,
        Error::Temporary(_) | Error::DiskFull(_) => {
            warn!(%error, "the store cannot answer now");
            Refusal::Unavailable
        }
        Error::Permanent(_)
        | Error::Conflict(_)
        | Error::OverQuota
        | Error::Corrupt(_)
        | Error::NewerSchema { .. }
        | Error::Fault(_) => {
            error!(%error, "the store failed");
            Refusal::Fault
        }
    }
}
