//! Climbs the ladder of key rotation ([`postern_shared::rotation`]).
//!
//! In: the ladder on disk, the edge while it is heard, what the epochs have carried, the age at which keys are renewed.
//! Out: signed calls on `/v1/epochs`, the ladder's next state on disk before anything acts on it, and a [`Progress`] that
//! makes the link put the epochs into the tunnel. Nothing is remembered but the file and how long an epoch has been idle,
//! so that a restart anywhere goes on where it was.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use postern_shared::control::{commit_path, epoch_path};
use postern_shared::http::{Method, Request, Response};
use postern_shared::rotation::{Event, HomeLadder, OfferSecrets, Todo};
use postern_shared::tunnel::{EpochId, EpochStatus, HEARTBEAT_INTERVAL};
use tokio::sync::watch;
use tokio::time::Instant;

use super::client::{ControlClient, ControlError};
use super::signed::{Signer, lock, seconds_now};
use super::state::LinkFile;
use super::{LinkError, LinkStatus};

/// The pause after the first failed call; it doubles up to [`LAST_RETRY`].
const FIRST_RETRY: Duration = Duration::from_secs(1);

/// The longest pause between calls that fail.
const LAST_RETRY: Duration = Duration::from_secs(30);

/// How often the age of the keys is looked at.
const LOOK: Duration = Duration::from_secs(60);

/// Inner octets of a heartbeat and its answer.
const HEARTBEAT_OCTETS: u64 = 72;

/// When keys are renewed, and how carefully the old ones are dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RotationPolicy {
    /// Renews the keys by itself when they are this old.
    pub every: Option<Duration>,
    /// The old epoch must have been idle for this long, and the new one alive, before the old keys are deleted.
    pub drain: Duration,
}

/// What the driver has done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress {
    /// Grows with each rung, so that a watcher sees every change.
    pub rungs: u64,
    /// Why the last call failed; it is repeated.
    pub error: Option<String>,
}

/// The driver's parts.
pub struct Driver {
    /// When to rotate.
    pub policy: RotationPolicy,
    /// Signs the calls.
    pub signer: Arc<Signer>,
    /// The ladder.
    pub file: Arc<Mutex<LinkFile>>,
    /// The edge, while it is heard.
    pub edge: watch::Receiver<Option<ControlClient>>,
    /// What the epochs have carried.
    pub status: watch::Receiver<LinkStatus>,
    /// Where the progress goes.
    pub progress: watch::Sender<Progress>,
}

impl Driver {
    /// Works until the link is gone.
    pub async fn run(mut self) {
        let (mut retry, mut idle) = (FIRST_RETRY, None);
        loop {
            self.edge.borrow_and_update();
            self.status.borrow_and_update();
            let pause = match self.advance(&mut idle).await {
                Ok(has_moved) => {
                    retry = FIRST_RETRY;
                    if has_moved { Duration::ZERO } else { LOOK }
                }
                Err(error) => {
                    tracing::warn!(%error, "a step of the key rotation failed; it is tried again");
                    self.tell(|progress| progress.error = Some(error.to_string()));
                    let pause = retry;
                    retry = (retry * 2).min(LAST_RETRY);
                    tokio::time::sleep(pause).await;
                    continue;
                }
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                changed = self.edge.changed() => if changed.is_err() { return },
                changed = self.status.changed() => if changed.is_err() { return },
            }
        }
    }

    /// Takes one rung if it can; tells whether it did.
    async fn advance(&self, idle: &mut Option<Idle>) -> Result<bool, LinkError> {
        let Some(ladder) = lock(&self.file).edge().map(|edge| edge.ladder.clone()) else { return Ok(false) };
        match self.event(&ladder, idle).await? {
            Some(event) => self.climb(&ladder, event),
            None => self.correct_time(&ladder),
        }
    }

    /// Does what the ladder asks for, as far as it is possible now.
    async fn event(&self, ladder: &HomeLadder, idle: &mut Option<Idle>) -> Result<Option<Event>, LinkError> {
        let todo = ladder.todo();
        if !matches!(todo, Todo::AwaitDrain { .. }) {
            *idle = None;
        }
        let edge = self.edge.borrow().clone();
        match (todo, edge) {
            (Todo::Rest, _) if self.is_due(ladder) => Ok(Some(Event::Begin(OfferSecrets::generate()?))),
            (Todo::AwaitProof(epoch), _) => Ok(self.has_carried_data(epoch).then_some(Event::DataBothWays)),
            (Todo::AwaitDrain { old, new }, _) => Ok(self.is_drained(old, new, idle).then_some(Event::Idle)),
            (Todo::Offer(offer), Some(edge)) => {
                let request = Request::new(Method::PUT, epoch_path(offer.epoch));
                let request = request.with_json(&offer).map_err(ControlError::Request)?;
                let answer = self.call(&edge, request).await?.json().map_err(ControlError::Answer)?;
                Ok(Some(Event::Answered(answer, seconds_now())))
            }
            (Todo::Commit(epoch), Some(edge)) => {
                self.call(&edge, Request::new(Method::POST, commit_path(epoch))).await?;
                Ok(Some(Event::CommitAcknowledged))
            }
            (Todo::Retire(epoch), Some(edge)) => {
                self.call(&edge, Request::new(Method::DELETE, epoch_path(epoch))).await?;
                Ok(Some(Event::RetireAcknowledged))
            }
            (Todo::Rest | Todo::Offer(_) | Todo::Commit(_) | Todo::Retire(_), _) => Ok(None),
        }
    }

    async fn call(&self, edge: &ControlClient, request: Request) -> Result<Response, LinkError> {
        let seen = edge.status().await?.last_counter;
        self.signer.call(edge, request, seen).await
    }

    fn climb(&self, ladder: &HomeLadder, event: Event) -> Result<bool, LinkError> {
        let Some(next) = ladder.after(event) else { return Ok(false) };
        let (step, epoch) = (next.step(), next.target());
        if lock(&self.file).climb(ladder, next)? {
            tracing::info!(%step, epoch = epoch.0, "key rotation");
        }
        self.tell(|progress| {
            progress.rungs += 1;
            progress.error = None;
        });
        Ok(true)
    }

    /// A key made while the clock was far ahead must not look young for years.
    fn correct_time(&self, ladder: &HomeLadder) -> Result<bool, LinkError> {
        match ladder.with_time_corrected(seconds_now()) {
            Some(corrected) => Ok(lock(&self.file).climb(ladder, corrected)?),
            None => Ok(false),
        }
    }

    fn is_due(&self, ladder: &HomeLadder) -> bool {
        let age = seconds_now().saturating_sub(ladder.current().since);
        self.policy.every.is_some_and(|every| age >= every.as_secs())
    }

    /// An answered heartbeat is data both ways.
    fn has_carried_data(&self, id: EpochId) -> bool {
        self.epoch(id).is_some_and(|epoch| epoch.alive && epoch.round_trip.is_some())
    }

    fn is_drained(&self, old: EpochId, new: EpochId, idle: &mut Option<Idle>) -> bool {
        let is_new_alive = self.epoch(new).is_some_and(|epoch| epoch.alive);
        let carried = self.epoch(old).map_or(0, |epoch| epoch.received_octets + epoch.sent_octets);
        let now = Instant::now();
        let lasting = idle.take().filter(|idle| is_new_alive && idle.is_quiet(carried, now));
        let observed = Idle { since: lasting.map_or(now, |idle| idle.since), carried, at: now };
        let is_drained = is_new_alive && now.duration_since(observed.since) >= self.policy.drain;
        *idle = is_new_alive.then_some(observed);
        is_drained
    }

    fn epoch(&self, id: EpochId) -> Option<EpochStatus> {
        self.status.borrow().epochs.iter().find(|epoch| epoch.id == id).cloned()
    }

    fn tell(&self, change: impl FnOnce(&mut Progress)) {
        self.progress.send_modify(change);
    }
}

/// An epoch that carries nothing but heartbeats, as it was last looked at.
#[derive(Debug, Clone, Copy)]
struct Idle {
    since: Instant,
    carried: u64,
    at: Instant,
}

impl Idle {
    /// Whether no more has passed since than the heartbeats of that time.
    fn is_quiet(&self, carried: u64, now: Instant) -> bool {
        let beats = now.duration_since(self.at).as_secs() / HEARTBEAT_INTERVAL.as_secs() + 1;
        // Counters that start anew belong to a tunnel that was made anew.
        carried >= self.carried && carried - self.carried <= beats * HEARTBEAT_OCTETS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heartbeats_are_silence_and_a_packet_is_not() {
        let start = Instant::now();
        let idle = Idle { since: start, carried: 1000, at: start };
        let later = start + Duration::from_secs(1);
        assert!(idle.is_quiet(1000, later) && idle.is_quiet(1072, later));
        assert!(!idle.is_quiet(1073, later), "a packet has passed");
        assert!(!idle.is_quiet(0, later), "another tunnel");
        assert!(idle.is_quiet(1000 + 3 * 72, later + Duration::from_secs(3)));
    }
}
