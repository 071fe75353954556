//! Lets go of deleted mail, and of reports, when their time is over.
//!
//! In: the clock and what the edge says of the time. Out: removed messages that go for good. The clock of a home may be
//! wrong: nothing goes, and no time begins to count, while it does not agree with the edge's (`zone::clock`).

use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use postern_store::reports::Reports;
use postern_store::{Store, Timestamp};
use tokio::time::{Instant, sleep_until};

use crate::link::{Link, seconds_now};
use crate::zone::clock;

const EVERY: Duration = Duration::from_secs(3600);
/// For so long reports of other mail systems are kept: a year and a month to compare it with.
const REPORTS_STAY: SignedDuration = SignedDuration::from_hours(400 * 24);

/// Purges once an hour what was deleted longer ago than `keep`; with `None` all that is left from before.
pub(super) async fn run(store: Store, reports: Arc<Reports>, link: Link, keep: Option<Duration>) {
    loop {
        sleep_until(Instant::now() + EVERY).await;
        match clock::agreed(seconds_now(), link.edge_zones().time()) {
            Ok(now) => {
                let now = clock::timestamp(now);
                purge(&store, now, keep.unwrap_or(EVERY)).await;
                forget(&reports, now).await;
            }
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

async fn forget(reports: &Arc<Reports>, now: Timestamp) {
    let (reports, before) = (Arc::clone(reports), now.saturating_sub(REPORTS_STAY).unwrap_or(Timestamp::MIN));
    match tokio::task::spawn_blocking(move || reports.forget(before)).await {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => tracing::warn!(%error, "old reports stay longer"),
        Err(error) => tracing::error!(%error, "a task was lost"),
    }
}
