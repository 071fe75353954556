//! Checks passwords for every service, a few at a time.
//!
//! In: a login name and a password. Out: the user, or nobody. A check takes tens of milliseconds of a processor and
//! 19 MiB, on purpose; who guesses passwords must not take the machine, nor the threads that the services store and
//! deliver mail with. So a check waits for its turn before it takes a thread.

use postern_sasl::Password;
use postern_store::directory::{Directory, User};
use tokio::sync::Semaphore;
use tokio::task::{JoinError, spawn_blocking};

/// Checks that run at once. The machine's memory is one, so the turns are one set for the whole program.
const AT_ONCE: usize = 4;
static TURNS: Semaphore = Semaphore::const_new(AT_ONCE);

/// The user whose password it is.
///
/// # Errors
/// The check was lost: the program is stopping, or the check panicked.
pub async fn verify_password(
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
