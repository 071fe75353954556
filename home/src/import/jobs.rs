//! Imports that run in the daemon, one for each user.
//!
//! In: an order. Out: a thread that carries it out, how far it is, and at the end its report, which is kept until the next
//! one or the daemon's end. Refused: a second import for a user while one runs. An import does not outlive the daemon: given again, the same
//! order goes on where it was. Secrets stay in memory, with the order.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use postern_message::address::EmailAddress;
use postern_store::Store;
use postern_store::account::Account;
use rustls::RootCertStore;
use serde::{Deserialize, Serialize};

use super::Report;
use super::imap::{self, Effect, Extent, Order, Progress};
use crate::tls;

/// The imports of this daemon; cheap to clone.
#[derive(Clone, Default)]
pub struct Imports(Arc<Mutex<BTreeMap<EmailAddress, Job>>>);

/// One import.
struct Job {
    host: String,
    login: String,
    effect: Effect,
    started: Timestamp,
    progress: Arc<Progress>,
    state: State,
}

/// Whether an import runs, or how it ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It runs.
    Running,
    /// All was gone through.
    Ended(Report),
    /// It could not begin; whole sentences.
    Failed(String),
}

/// An import, as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    /// Whose mail comes.
    pub user: EmailAddress,
    /// From which server.
    pub host: String,
    /// The user name there.
    pub login: String,
    /// Whether anything is changed.
    pub effect: Effect,
    /// Since when.
    pub started: Timestamp,
    /// How far it is.
    pub extent: Extent,
    /// Whether it runs.
    pub state: State,
}

/// An import runs for this user already.
#[derive(Debug, thiserror::Error)]
#[error(
    "an import for {0} runs already; `postern-home import status` shows it, `postern-home import stop {0}` ends it"
)]
pub struct Busy(EmailAddress);

impl Imports {
    /// Begins an import.
    ///
    /// # Errors
    /// [`Busy`]
    pub fn start(
        &self,
        user: EmailAddress,
        order: Order,
        store: Store,
        account: Account,
        state_dir: PathBuf,
    ) -> Result<(), Busy> {
        let progress = Arc::new(Progress::default());
        let mut jobs = self.jobs();
        if jobs.get(&user).is_some_and(|job| job.state == State::Running) {
            return Err(Busy(user));
        }
        let job = Job {
            host: order.server.host.clone(),
            login: order.server.login.clone(),
            effect: order.effect,
            started: Timestamp::now(),
            progress: progress.clone(),
            state: State::Running,
        };
        jobs.insert(user.clone(), job);
        let imports = self.clone();
        // A thread and not a task: it blocks for hours, and the daemon's end does not wait for it.
        std::thread::spawn(move || {
            let outcome = run(&order, &store, &account, &state_dir, &progress);
            imports.end(&user, outcome);
        });
        Ok(())
    }

    fn end(&self, user: &EmailAddress, outcome: Result<Report, String>) {
        let mut jobs = self.jobs();
        let Some(job) = jobs.get_mut(user) else { return };
        let extent = job.progress.extent();
        job.state = match outcome {
            Ok(report) => {
                tracing::info!(%user, host = job.host, messages = report.messages(), octets = extent.octets,
                    lost = report.lost.len(), "import ended");
                State::Ended(report)
            }
            Err(error) => {
                tracing::info!(%user, host = job.host, error, "import failed");
                State::Failed(error)
            }
        };
    }

    /// All imports of this daemon, by user.
    pub fn list(&self) -> Vec<Shown> {
        let shown = |(user, job): (&EmailAddress, &Job)| Shown {
            user: user.clone(),
            host: job.host.clone(),
            login: job.login.clone(),
            effect: job.effect,
            started: job.started,
            extent: job.progress.extent(),
            state: job.state.clone(),
        };
        self.jobs().iter().map(shown).collect()
    }

    /// Has a user's import end after the messages that are under way; false where none runs.
    pub fn stop(&self, user: &EmailAddress) -> bool {
        let jobs = self.jobs();
        let running = jobs.get(user).filter(|job| job.state == State::Running);
        running.inspect(|job| job.progress.stop()).is_some()
    }

    /// Has all of them end.
    pub fn stop_all(&self) {
        self.jobs().values().for_each(|job| job.progress.stop());
    }

    fn jobs(&self) -> MutexGuard<'_, BTreeMap<EmailAddress, Job>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn run(
    order: &Order,
    store: &Store,
    account: &Account,
    state_dir: &std::path::Path,
    progress: &Progress,
) -> Result<Report, String> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        return Err(
            "this machine trusts no certificate authority; install the package ca-certificates.".to_owned()
        );
    }
    imap::import(order, &tls::verifying_client(roots), store, account, state_dir, progress)
}
