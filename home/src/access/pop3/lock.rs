//! The lock on each maildrop (RFC 1939 §4): one session at a time.
//!
//! It is held in memory by the session's own task and goes with it, so no crash leaves one behind. A client that has lost
//! its line without a word would hold its lock until the core gives it up after ten minutes; who comes meanwhile gets the
//! maildrop if the holder was silent for [`PATIENCE`], and the holder's connection ends. That loses nothing: a session
//! changes the maildrop only at its good end, and then asks here whether it still has it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use postern_store::account::AccountId;
use tokio::sync::Notify;

/// Silence after which a session may lose its maildrop to another.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// All locks; cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Locks(Arc<Mutex<HashMap<AccountId, Arc<Holder>>>>);

/// One session's hold on a maildrop, until it is dropped.
#[derive(Debug)]
pub(super) struct Lock {
    locks: Locks,
    account: AccountId,
    holder: Arc<Holder>,
}

#[derive(Debug)]
struct Holder {
    activity: Activity,
    lost: Notify,
}

/// When a session's client was last heard of or took octets.
#[derive(Debug, Clone)]
pub(super) struct Activity(Arc<Mutex<Instant>>);

impl Activity {
    pub(super) fn new(now: Instant) -> Activity {
        Activity(Arc::new(Mutex::new(now)))
    }

    pub(super) fn note(&self, now: Instant) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = now;
    }

    fn last(&self) -> Instant {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Locks {
    /// Takes the maildrop, unless another session has it.
    pub(super) fn take(&self, account: AccountId, activity: &Activity, now: Instant) -> Option<Lock> {
        let mut holders = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(holder) = holders.get(&account) {
            if now.saturating_duration_since(holder.activity.last()) < PATIENCE {
                return None;
            }
            holder.lost.notify_one();
        }
        let holder = Arc::new(Holder { activity: activity.clone(), lost: Notify::new() });
        holders.insert(account, holder.clone());
        Some(Lock { locks: self.clone(), account, holder })
    }
}

impl Lock {
    /// Whether the session still has the maildrop.
    pub(super) fn held(&self) -> Held {
        let holders = self.locks.0.lock().unwrap_or_else(PoisonError::into_inner);
        match holders.get(&self.account).is_some_and(|holder| Arc::ptr_eq(holder, &self.holder)) {
            true => Held::Still,
            false => Held::Lost,
        }
    }

    /// Completes when another session has taken the maildrop.
    pub(super) async fn lost(&self) {
        self.holder.lost.notified().await;
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if self.held() == Held::Still {
            self.locks.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.account);
        }
    }
}

/// Whether a session has its maildrop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Held {
    Still,
    Lost,
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANA: AccountId = AccountId(1);

    #[test]
    fn a_maildrop_has_one_session_until_it_ends() {
        let (locks, now) = (Locks::default(), Instant::now());
        let take = |account| locks.take(account, &Activity::new(now), now);
        let first = take(ANA).expect("free");
        assert!(take(ANA).is_none());
        assert!(take(AccountId(2)).is_some(), "another user's");
        drop(first);
        assert!(take(ANA).is_some());
    }

    #[tokio::test]
    async fn a_silent_session_loses_it_and_learns_so() {
        let (locks, mut now) = (Locks::default(), Instant::now());
        let activity = Activity::new(now);
        let first = locks.take(ANA, &activity, now).expect("free");
        now += PATIENCE / 2;
        activity.note(now);
        now += PATIENCE - Duration::from_secs(1);
        assert!(locks.take(ANA, &Activity::new(now), now).is_none(), "not yet silent for long enough");
        assert_eq!(first.held(), Held::Still);
        now += Duration::from_secs(1);
        let second = locks.take(ANA, &Activity::new(now), now).expect("given up");
        first.lost().await;
        assert_eq!(first.held(), Held::Lost);
        drop(first);
        assert_eq!(second.held(), Held::Still, "the first one's end does not free the second one's");
        assert!(locks.take(ANA, &Activity::new(now), now).is_none());
    }
}
