//! Looks at home twice a minute, and has told what is due.
//!
//! In: the conditions of `status`. Out: notices. What cannot be told by any way is tried again at the next look.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::{Condition, Notices, Teller};

/// Between two looks.
const EVERY: Duration = Duration::from_secs(30);

/// The watching task.
pub struct Watcher {
    /// What is known.
    pub notices: Notices,
    /// How it is told.
    pub teller: Teller,
}

impl Watcher {
    /// Looks until the program stops; `look` blocks.
    pub async fn run(self, look: impl Fn() -> Vec<Condition> + Clone + Send + 'static) {
        loop {
            sleep_until(Instant::now() + EVERY).await;
            let (look, notices) = (look.clone(), self.notices.clone());
            match tokio::task::spawn_blocking(move || notices.look(look())).await {
                Ok(due) if due.is_empty() => {}
                Ok(due) => self.tell(due).await,
                Err(error) => tracing::error!(%error, "a task was lost"),
            }
        }
    }

    async fn tell(&self, due: Vec<(super::Telling, super::Entry)>) {
        let outcomes = self.teller.tell(due.clone()).await;
        for failed in outcomes.iter().filter(|outcome| !outcome.is_taken()) {
            tracing::warn!(way = failed.way, error = failed.error, "a notice was not taken");
        }
        if outcomes.iter().any(super::Outcome::is_taken) {
            let notices = self.notices.clone();
            let noted = tokio::task::spawn_blocking(move || notices.note_told(&due)).await;
            noted.unwrap_or_else(|error| tracing::error!(%error, "a task was lost"));
        }
    }
}
