//! Lets go of deleted mail when its time is over.
//!
//! In: the clock and what the edge says of the time. Out: removed messages that go for good. The clock of a home may be
//! wrong: nothing goes, and no time begins to count, while it does not agree with the edge's (`zone::clock`).

use std::time::Duration;

use postern_store::{Store, Timestamp};
use tokio::time::{Instant, sleep_until};

use crate::link::{Link, seconds_now};
use crate::zone::clock;

const EVERY: Duration = Duration::from_secs(3600);

/// Purges once an hour what was deleted longer ago than `keep`; with `None` all that is left from before.
pub(super) async fn run(store: Store, link: Link, keep: Option<Duration>) {
    loop {
        sleep_until(Instant::now() + EVERY).await;
        match clock::agreed(seconds_now(), link.edge_zones().time()) {
            Ok(now) => purge(&store, clock::timestamp(now), keep.unwrap_or(EVERY)).await,
            Err(doubt) => tracing::info!(%doubt, "deleted mail stays for another hour"),
        }
    }
}

async fn purge(store: &Store, now: Timestamp, keep: Duration) {
    let store = store.clone();
    match tokio::task::spawn_blocking(move || store.purge_removed(now, keep)).await {
        Ok(Ok(0)) => {}
        Ok(Ok(messages)) => tracing::info!(messages, "deleted mail is gone for good"),
        Ok(Err(error)) => tracing::warn!(%error, "deleted mail stays longer"),
        Err(error) => tracing::error!(%error, "a task was lost"),
    }
}
