//! Climbs the ladder of key rotation ([`postern_shared::rotation`]).
//!
//! In: the ladder and the age at which keys are renewed, both on disk, the edge while it is heard, what the epochs have carried.
//! Out: signed calls on `/v1/epochs`, the ladder's next state on disk before anything acts on it, and a [`Progress`] that
//! makes the link put the epochs into the tunnel. Nothing is remembered but the file and since when an old epoch
//! is watched, so that a restart anywhere goes on where it was.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use postern_shared::control::{commit_path, epoch_path};
use postern_shared::http::{Method, Request, Response};
use postern_shared::rotation::{Event, HomeLadder, OfferSecrets, Todo};
use postern_shared::tunnel::{EpochId, EpochStatus, PublicKey};
use tokio::sync::watch;
use tokio::time::Instant;

use super::age::{AgeWatch, Verdict};
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

/// How long an offered epoch may carry nothing, while the edge is heard on the old one, before it is offered anew.
const PROOF_WITHIN: Duration = Duration::from_secs(300);

/// What the driver has done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress {
    /// Grows with each rung, so that a watcher sees every change.
    pub rungs: u64,
    /// Why the last call failed; it is repeated.
    pub error: Option<String>,
}

/// What is remembered between two looks.
#[derive(Debug, Default)]
struct Watches {
    drain: Option<Drain>,
    /// Since when an offered epoch has carried nothing, while the edge was heard.
    unproven: Option<Instant>,
    age: AgeWatch,
}

/// The driver's parts.
pub struct Driver {
    /// How long the old epoch must have been idle before its keys are deleted.
    pub rest: Duration,
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
        let (mut retry, mut watches) = (FIRST_RETRY, Watches::default());
        loop {
            self.edge.borrow_and_update();
            self.status.borrow_and_update();
            let pause = match self.advance(&mut watches).await {
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
    async fn advance(&self, watches: &mut Watches) -> Result<bool, LinkError> {
        let Some(ladder) = lock(&self.file).edge().map(|edge| edge.ladder.clone()) else { return Ok(false) };
        match self.event(&ladder, watches).await? {
            Some(event) => self.climb(&ladder, event, watches),
            None => Ok(false),
        }
    }

    /// Does what the ladder asks for, as far as it is possible now.
    async fn event(&self, ladder: &HomeLadder, watches: &mut Watches) -> Result<Option<Event>, LinkError> {
        let todo = ladder.todo();
        let edge = self.edge.borrow().clone();
        match (todo, edge) {
            (Todo::Rest, _) => self.wish_of_age(ladder, &mut watches.age),
            (Todo::AwaitProof { epoch, home_key }, edge) => {
                if has_carried_data(&self.status.borrow().epochs, home_key) {
                    return Ok(Some(Event::DataBothWays));
                }
                self.doubt(epoch, edge.is_some(), &mut watches.unproven)
            }
            (Todo::AwaitDrain { old, new }, _) => {
                Ok(self.is_drained(old, new, &mut watches.drain).then_some(Event::Idle))
            }
            (Todo::Offer(offer), Some(edge)) => {
                let request = Request::new(Method::PUT, epoch_path(offer.epoch));
                let request = request.with_json(&offer).map_err(ControlError::Request)?;
                let answer = self.call(&edge, request).await?.json().map_err(ControlError::Answer)?;
                Ok(Some(Event::Answered(answer, seconds_now())))
            }
            (Todo::Commit(commit), Some(edge)) => {
                let request = Request::new(Method::POST, commit_path(commit.epoch));
                self.call(&edge, request.with_json(&commit).map_err(ControlError::Request)?).await?;
                Ok(Some(Event::CommitAcknowledged))
            }
            (Todo::Retire(epoch), Some(edge)) => {
                self.call(&edge, Request::new(Method::DELETE, epoch_path(epoch))).await?;
                Ok(Some(Event::RetireAcknowledged))
            }
            (Todo::Offer(_) | Todo::Commit(_) | Todo::Retire(_), _) => Ok(None),
        }
    }

    async fn call(&self, edge: &ControlClient, request: Request) -> Result<Response, LinkError> {
        let seen = edge.status().await?.last_counter;
        self.signer.call(edge, request, seen).await
    }

    fn climb(&self, ladder: &HomeLadder, event: Event, watches: &mut Watches) -> Result<bool, LinkError> {
        let Some(next) = ladder.after(event) else { return Ok(false) };
        let (step, epoch) = (next.step(), next.target());
        // Before the link hears of it, which then renews the session of the new epoch.
        watches.drain = match next.todo() {
            Todo::AwaitDrain { new, .. } => Some(Drain::begin(self.epoch(new).as_ref(), Instant::now())),
            _ => None,
        };
        watches.unproven = None;
        if lock(&self.file).climb(ladder, next)? {
            tracing::info!(%step, epoch = epoch.0, "key rotation");
        }
        self.tell(|progress| {
            progress.rungs += 1;
            progress.error = None;
        });
        Ok(true)
    }

    /// Begins a rotation where the keys are old.
    fn wish_of_age(&self, ladder: &HomeLadder, age: &mut AgeWatch) -> Result<Option<Event>, LinkError> {
        let (every, today) = (lock(&self.file).rotate_every(), seconds_now());
        match age.judge(ladder.current().since, every, today, Instant::now()) {
            Verdict::Wait => Ok(None),
            Verdict::Renew => Ok(Some(Event::Begin(OfferSecrets::generate()?))),
            Verdict::Correct => {
                if let Some(corrected) = ladder.with_time_corrected(today) {
                    lock(&self.file).climb(ladder, corrected)?;
                }
                Ok(None)
            }
        }
    }

    /// Offers another epoch in the place of one that has carried nothing for too long: its keys were damaged or false, since
    /// the edge is heard.
    fn doubt(
        &self,
        epoch: EpochId,
        is_edge_heard: bool,
        unproven: &mut Option<Instant>,
    ) -> Result<Option<Event>, LinkError> {
        if !is_overdue(unproven, is_edge_heard, Instant::now()) {
            return Ok(None);
        }
        tracing::warn!(
            epoch = epoch.0,
            "an epoch that the edge has accepted carries nothing; it is offered anew"
        );
        Ok(Some(Event::Unproven(OfferSecrets::generate()?)))
    }

    /// After a restart the watch begins anew.
    fn is_drained(&self, old: EpochId, new: EpochId, drain: &mut Option<Drain>) -> bool {
        let (old, new, now) = (self.epoch(old), self.epoch(new), Instant::now());
        let drain = drain.get_or_insert_with(|| Drain::begin(new.as_ref(), now));
        drain.is_over(old.as_ref(), new.as_ref(), self.rest, now)
    }

    fn epoch(&self, id: EpochId) -> Option<EpochStatus> {
        self.status.borrow().epochs.iter().find(|epoch| epoch.id == id).cloned()
    }

    fn tell(&self, change: impl FnOnce(&mut Progress)) {
        self.progress.send_modify(change);
    }
}

/// Whether the epoch of this key of home's has carried data both ways: an answered heartbeat is that. Its number would not
/// do: after an offer that is made anew the tunnel's last report may still be of the one before.
fn has_carried_data(epochs: &[EpochStatus], home_key: PublicKey) -> bool {
    let is_proof = |epoch: &&EpochStatus| epoch.alive && epoch.round_trip.is_some();
    epochs.iter().filter(is_proof).any(|epoch| epoch.local_key == Some(home_key))
}

/// Whether an epoch has been without proof for too long; a time without the edge does not count.
fn is_overdue(unproven: &mut Option<Instant>, is_edge_heard: bool, now: Instant) -> bool {
    *unproven = is_edge_heard.then(|| unproven.unwrap_or(now));
    unproven.is_some_and(|since| now.duration_since(since) >= PROOF_WITHIN)
}

/// A watch over the last days of an old epoch, from COMMITTED on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Drain {
    since: Instant,
    /// How many handshakes the new epoch had made by then.
    handshakes: u64,
}

impl Drain {
    fn begin(new: Option<&EpochStatus>, now: Instant) -> Self {
        Self { since: now, handshakes: new.map_or(0, |new| new.handshakes) }
    }

    /// Whether nothing has used the old epoch for `rest`, and the new one has renewed its own session since.
    fn is_over(
        &self,
        old: Option<&EpochStatus>,
        new: Option<&EpochStatus>,
        rest: Duration,
        now: Instant,
    ) -> bool {
        let is_idle = old.and_then(|old| old.last_carried).is_none_or(|ago| ago >= rest);
        // Counters that start anew belong to a tunnel that was made anew: that took a handshake too.
        let is_renewed = new.is_some_and(|new| new.alive && new.handshakes != self.handshakes);
        is_idle && is_renewed && now.duration_since(self.since) >= rest
    }
}

#[cfg(test)]
mod tests {
    use postern_shared::tunnel::PrivateKey;

    use super::*;

    const REST: Duration = Duration::from_secs(180);

    fn epoch(handshakes: u64, last_carried: Option<Duration>) -> EpochStatus {
        EpochStatus {
            id: EpochId(7),
            local_key: None,
            alive: true,
            endpoint: None,
            last_received: Some(Duration::ZERO),
            last_carried,
            handshake_age: None,
            round_trip: None,
            loss: None,
            path_mtu: None,
            received_octets: 0,
            sent_octets: 0,
            handshakes,
            fenced: None,
            roamed: Vec::new(),
        }
    }

    #[test]
    fn data_on_the_offer_before_is_no_proof_of_this_one() {
        let [former, offered] = [(); 2].map(|()| PrivateKey::generate().unwrap().public());
        let heard = EpochStatus {
            local_key: Some(former),
            round_trip: Some(Duration::from_millis(20)),
            ..epoch(1, None)
        };
        assert!(!has_carried_data(std::slice::from_ref(&heard), offered), "one number, other keys");
        let heard = EpochStatus { local_key: Some(offered), ..heard };
        assert!(has_carried_data(std::slice::from_ref(&heard), offered));
        let silent = EpochStatus { round_trip: None, ..heard };
        assert!(!has_carried_data(&[silent], offered), "a handshake is no data");
    }

    #[test]
    fn a_proof_is_overdue_only_where_the_edge_is_heard_all_the_time() {
        let (start, mut unproven) = (Instant::now(), None);
        let mut is_overdue = |after, is_heard| is_overdue(&mut unproven, is_heard, start + after);
        assert!(!is_overdue(Duration::ZERO, true));
        assert!(!is_overdue(PROOF_WITHIN / 2, false));
        assert!(!is_overdue(PROOF_WITHIN, true), "it counts from now on");
        assert!(!is_overdue(PROOF_WITHIN * 2 - Duration::from_secs(1), true));
        assert!(is_overdue(PROOF_WITHIN * 2, true));
    }

    #[test]
    fn an_old_epoch_must_rest_and_the_new_one_renew_itself() {
        let start = Instant::now();
        let drain = Drain::begin(Some(&epoch(1, None)), start);
        let is_over = |old: &EpochStatus, new: &EpochStatus, after: Duration| {
            drain.is_over(Some(old), Some(new), REST, start + after)
        };
        let (idle, renewed) = (epoch(1, None), epoch(2, Some(Duration::ZERO)));
        assert!(is_over(&idle, &renewed, REST));
        assert!(!is_over(&idle, &renewed, REST - Duration::from_secs(1)), "too early");
        assert!(!is_over(&idle, &epoch(1, None), REST), "the new epoch has not renewed its session");
        assert!(!is_over(&idle, &EpochStatus { alive: false, ..renewed.clone() }, REST), "not heard");
        assert!(!is_over(&epoch(1, Some(REST / 2)), &renewed, REST), "a packet has passed");
        assert!(is_over(&epoch(1, Some(REST)), &renewed, REST * 2));
        assert!(!drain.is_over(Some(&idle), None, REST, start + REST), "no tunnel");
    }
}
