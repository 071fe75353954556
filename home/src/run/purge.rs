//! Lets go of deleted mail when its time is over.
//!
//! The clock of a home may be wrong for a while after its start. What it says is believed only from the moment on at
//! which it has run for an hour without a jump, and never against what was deleted in that hour.

use std::time::Duration;

use postern_store::{Store, Timestamp};
use tokio::time::{Instant, sleep_until};

const EVERY: Duration = Duration::from_secs(3600);
/// How far the clock may be from where an hour's wait should have brought it.
const JUMP: Duration = Duration::from_secs(60);

/// Purges once an hour what was deleted longer ago than `keep`; with `None` all that is left from before.
pub(super) async fn run(store: Store, keep: Option<Duration>) {
    loop {
        let before = Timestamp::now();
        sleep_until(Instant::now() + EVERY).await;
        let now = Timestamp::now();
        if has_jumped(before, now) {
            tracing::warn!(%before, %now, "the clock has jumped; deleted mail stays for another hour");
            continue;
        }
        let Ok(moment) = now.checked_sub(keep.unwrap_or(EVERY)) else { continue };
        let store = store.clone();
        match tokio::task::spawn_blocking(move || store.purge_removed(moment)).await {
            Ok(Ok(0)) => {}
            Ok(Ok(messages)) => tracing::info!(messages, "deleted mail is gone for good"),
            Ok(Err(error)) => tracing::warn!(%error, "deleted mail stays longer"),
            Err(error) => tracing::error!(%error, "a task was lost"),
        }
    }
}

fn has_jumped(before: Timestamp, now: Timestamp) -> bool {
    let passed = now.duration_since(before).as_millis();
    passed.abs_diff(EVERY.as_millis() as i128) > JUMP.as_millis()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_jumps_purges_nothing() {
        let at = |second| Timestamp::from_second(second).expect("a moment");
        assert!(!has_jumped(at(0), at(3600)));
        assert!(!has_jumped(at(0), at(3610)));
        assert!(has_jumped(at(0), at(1_700_000_000)));
        assert!(has_jumped(at(1_700_000_000), at(0)));
    }
}
