//! Who is there? Submission, IMAP and POP3 ask it here.
//!
//! In: a login name, and a password or SCRAM's proof. Out: the user, or nobody, after a wait that grows with each failure
//! of the client's network; who logs in takes back the failures under his own name. A known and an unknown user cost and look the same: the directory hashes in vain or gives decoy
//! keys, and the wait depends on the client's address alone.
//!
//! A check takes tens of milliseconds of a processor and 19 MiB, on purpose; who guesses passwords must not take the
//! machine, nor the threads that the services store and deliver mail with. So a check waits for its turn before it takes a
//! thread.

use std::net::IpAddr;
use std::time::Instant;

use aws_lc_rs::rand;
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use postern_sasl::{Password, ScramCredentials, Verdict};
use postern_store::directory::{Directory, User};
use tokio::sync::Semaphore;
use tokio::task::{JoinError, spawn_blocking};
use tokio::time::sleep;
use tracing::{error, info};

use crate::net::LoginFailures;

/// Random octets in a SCRAM nonce.
const NONCE_OCTETS: usize = 24;

/// Checks that run at once. The machine's memory is one, so the turns are one set for the whole program.
const AT_ONCE: usize = 4;
static TURNS: Semaphore = Semaphore::const_new(AT_ONCE);

/// One client's attempts to log in.
#[derive(Clone)]
pub struct Attempts {
    directory: Directory,
    failures: LoginFailures,
    client: IpAddr,
    /// The name that was tried last.
    tried: String,
}

impl Attempts {
    /// Of a client that has just connected.
    pub fn new(directory: Directory, failures: LoginFailures, client: IpAddr) -> Attempts {
        Attempts { directory, failures, client, tried: String::new() }
    }

    /// Whether it is the user's password; nothing when that cannot be found out now.
    pub async fn verify_password(&mut self, login: String, password: Password) -> Option<Verdict> {
        self.tried.clone_from(&login);
        match verify_password(&self.directory, login, password).await {
            Ok(Some(_)) => Some(Verdict::Accepted),
            Ok(None) => Some(Verdict::Rejected),
            Err(lost) => {
                error!(%lost, "password check was lost");
                None
            }
        }
    }

    /// The user's SCRAM keys and a nonce; nothing when the system has no randomness.
    pub fn scram(&mut self, login: &str) -> Option<(ScramCredentials, String)> {
        login.clone_into(&mut self.tried);
        let mut octets = [0; NONCE_OCTETS];
        rand::fill(&mut octets).ok()?;
        Some((self.directory.scram(login), BASE64.encode(octets)))
    }

    /// Counts a failure and waits, longer each time: the answer must leave only when this has returned.
    pub async fn failed(&self) {
        let wait = self.failures.count(self.client, &self.tried, Instant::now());
        info!(?wait, "authentication failed");
        sleep(wait).await;
    }

    /// The user who has proved who they are, and whose own failures are forgotten; nobody if they are gone since the
    /// proof began.
    pub fn succeeded(&self, login: &str) -> Option<User> {
        let user = self.directory.user_by_login(login)?;
        self.failures.forget(self.client, login);
        info!(login, "authenticated");
        Some(user)
    }
}

/// The user whose password it is.
///
/// # Errors
/// The check was lost: the program is stopping, or the check panicked.
async fn verify_password(
    directory: &Directory,
    login: String,
    password: Password,
) -> Result<Option<User>, JoinError> {
    let directory = directory.clone();
    let _turn = TURNS.acquire().await.expect("the semaphore is never closed");
    spawn_blocking(move || directory.verify_password(&login, password.expose())).await
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// More guesses than threads: what waits for a turn holds no thread.
    #[test]
    fn guesses_leave_threads_for_the_others() {
        let state_dir = tempfile::tempdir().expect("temporary directory");
        let directory = Directory::open(state_dir.path()).expect("opened");
        let runtime = tokio::runtime::Builder::new_multi_thread().max_blocking_threads(AT_ONCE + 1).build();
        runtime.expect("a runtime").block_on(async {
            let done = Arc::new(AtomicUsize::new(0));
            for _ in 0..100 {
                let (directory, done) = (directory.clone(), done.clone());
                tokio::spawn(async move {
                    let guess = Password::new("a guess".to_owned());
                    let verified = verify_password(&directory, "ana@home.example".to_owned(), guess).await;
                    assert_eq!(verified.expect("checked"), None);
                    done.fetch_add(1, Ordering::Relaxed);
                });
            }
            while done.load(Ordering::Relaxed) == 0 {
                tokio::task::yield_now().await;
            }
            spawn_blocking(|| ()).await.expect("run");
            assert!(done.load(Ordering::Relaxed) < 50, "the others waited for the guesses");
        });
    }
}
