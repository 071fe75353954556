//! Home's side of the ladder: it decides, and it is the only one that moves.

use serde::{Deserialize, Serialize};

use super::kem::{self, RandomPart, Seed, Transcript};
use super::{Answer, Commit, Offer, Step};
use crate::tunnel::{EpochId, NoRandomness, PresharedKey, PrivateKey, PublicKey};

/// One epoch as home holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HomeEpoch {
    /// Which epoch.
    #[serde(default = "first")]
    pub epoch: EpochId,
    /// Home's static key.
    pub home_key: PrivateKey,
    /// The edge's static key.
    pub edge_key: PublicKey,
    /// The pre-shared key.
    pub preshared_key: PresharedKey,
    /// When home had the epoch, in seconds since 1970; 0 where it is not known.
    #[serde(default)]
    pub since: u64,
}

/// Home's half of an epoch before the edge has answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfferSecrets {
    /// Home's static key.
    home_key: PrivateKey,
    /// The decapsulation key's seed.
    seed: Seed,
    /// The random part of the pre-shared key.
    random: RandomPart,
}

/// A rotation under way; each value is one state on disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "kebab-case")]
pub enum Rotation {
    /// Home's half is made.
    Generated(OfferSecrets),
    /// The edge accepts the new epoch.
    Offered(HomeEpoch),
    /// The new epoch has carried data both ways.
    Proven(HomeEpoch),
    /// The edge prefers the new epoch.
    Committed(HomeEpoch),
    /// The old epoch is deleted here; the edge still accepts it.
    Drained {
        /// The old epoch.
        retire: EpochId,
    },
}

/// Home's place on the ladder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HomeLadder {
    /// The epoch that is certain to work.
    #[serde(flatten)]
    current: HomeEpoch,
    /// What is under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rotation: Option<Rotation>,
}

/// What is to be done next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Todo {
    /// Nothing, until somebody wishes a rotation.
    Rest,
    /// `PUT /v1/epochs/{id}`; then [`Event::Answered`].
    Offer(Offer),
    /// Wait until an epoch has carried data both ways; then [`Event::DataBothWays`], or [`Event::Unproven`].
    AwaitProof {
        /// Its number, which an offer before this one may have had too.
        epoch: EpochId,
        /// Home's static key in it, which is this offer's alone.
        home_key: PublicKey,
    },
    /// `POST /v1/epochs/{id}/commit`; then [`Event::CommitAcknowledged`].
    Commit(Commit),
    /// Wait until `old` is idle and `new` works; then [`Event::Idle`].
    AwaitDrain {
        /// Carries nothing any more.
        old: EpochId,
        /// Carries everything.
        new: EpochId,
    },
    /// `DELETE /v1/epochs/{id}`; then [`Event::RetireAcknowledged`].
    Retire(EpochId),
}

/// What has happened.
#[derive(Debug, Clone)]
pub enum Event {
    /// A rotation is wished; the secrets are new.
    Begin(OfferSecrets),
    /// The edge has answered the offer, at this time (seconds since 1970).
    Answered(Answer, u64),
    /// The new epoch has carried data both ways.
    DataBothWays,
    /// The new epoch has carried nothing for too long, while the old one did; the secrets are new.
    Unproven(OfferSecrets),
    /// The edge prefers the new epoch.
    CommitAcknowledged,
    /// The old epoch has been idle for long enough.
    Idle,
    /// The edge has dropped the old epoch.
    RetireAcknowledged,
}

fn first() -> EpochId {
    EpochId::FIRST
}

impl HomeEpoch {
    fn commit(&self) -> Commit {
        Commit { epoch: self.epoch, home_key: self.home_key.public(), edge_key: self.edge_key }
    }
}

impl OfferSecrets {
    /// Draws new secrets.
    ///
    /// # Errors
    /// When the operating system gives no random numbers.
    pub fn generate() -> Result<Self, NoRandomness> {
        Ok(Self {
            home_key: PrivateKey::generate()?,
            seed: Seed::generate()?,
            random: RandomPart::generate()?,
        })
    }

    fn offer(&self, epoch: EpochId) -> Offer {
        Offer {
            epoch,
            home_key: self.home_key.public(),
            encapsulation_key: self.seed.encapsulation_key(),
            random: self.random.clone(),
        }
    }

    /// The epoch that the answer completes.
    fn complete(&self, epoch: EpochId, answer: &Answer, since: u64) -> Option<HomeEpoch> {
        let shared = self.seed.decapsulate(&answer.ciphertext).ok()?;
        let transcript = Transcript {
            epoch,
            home_key: &self.home_key.public(),
            edge_key: &answer.edge_key,
            encapsulation_key: &self.seed.encapsulation_key(),
            ciphertext: &answer.ciphertext,
        };
        Some(HomeEpoch {
            epoch,
            home_key: self.home_key.clone(),
            edge_key: answer.edge_key,
            preshared_key: kem::preshared_key(&self.random, &shared, transcript),
            since,
        })
    }
}

impl HomeLadder {
    /// The ladder of a home that has just joined.
    pub fn new(epoch: HomeEpoch) -> Self {
        Self { current: epoch, rotation: None }
    }

    /// The epoch that is certain to work.
    pub fn current(&self) -> &HomeEpoch {
        &self.current
    }

    /// Every epoch that home may use, the certain one first.
    pub fn usable(&self) -> Vec<&HomeEpoch> {
        let next = match &self.rotation {
            Some(Rotation::Offered(next) | Rotation::Proven(next) | Rotation::Committed(next)) => Some(next),
            Some(Rotation::Generated(_) | Rotation::Drained { .. }) | None => None,
        };
        std::iter::once(&self.current).chain(next).collect()
    }

    /// Which rung this is.
    pub fn step(&self) -> Step {
        match &self.rotation {
            None => Step::Stable,
            Some(Rotation::Generated(_)) => Step::Generated,
            Some(Rotation::Offered(_)) => Step::Offered,
            Some(Rotation::Proven(_)) => Step::Proven,
            Some(Rotation::Committed(_)) => Step::Committed,
            Some(Rotation::Drained { .. }) => Step::Drained,
        }
    }

    /// The epoch that the rotation under way, or else the last one, leads to.
    pub fn target(&self) -> EpochId {
        match &self.rotation {
            None | Some(Rotation::Drained { .. }) => self.current.epoch,
            Some(_) => self.next_id(),
        }
    }

    /// What is to be done next.
    pub fn todo(&self) -> Todo {
        match &self.rotation {
            None => Todo::Rest,
            Some(Rotation::Generated(secrets)) => Todo::Offer(secrets.offer(self.next_id())),
            Some(Rotation::Offered(next)) => {
                Todo::AwaitProof { epoch: next.epoch, home_key: next.home_key.public() }
            }
            Some(Rotation::Proven(next)) => Todo::Commit(next.commit()),
            Some(Rotation::Committed(next)) => Todo::AwaitDrain { old: self.current.epoch, new: next.epoch },
            Some(Rotation::Drained { retire }) => Todo::Retire(*retire),
        }
    }

    /// The state to make durable; `None` where the event means nothing here: it came twice, or too late.
    pub fn after(&self, event: Event) -> Option<HomeLadder> {
        let current = self.current.clone();
        let with = |current, rotation| Some(HomeLadder { current, rotation });
        match (self.rotation.clone(), event) {
            (None, Event::Begin(secrets)) => with(current, Some(Rotation::Generated(secrets))),
            (Some(Rotation::Generated(secrets)), Event::Answered(answer, now)) => {
                let next = secrets.complete(self.next_id(), &answer, now)?;
                with(current, Some(Rotation::Offered(next)))
            }
            (Some(Rotation::Offered(next)), Event::DataBothWays) => {
                with(current, Some(Rotation::Proven(next)))
            }
            (Some(Rotation::Offered(_)), Event::Unproven(secrets)) => {
                with(current, Some(Rotation::Generated(secrets)))
            }
            (Some(Rotation::Proven(next)), Event::CommitAcknowledged) => {
                with(current, Some(Rotation::Committed(next)))
            }
            (Some(Rotation::Committed(next)), Event::Idle) => {
                with(next, Some(Rotation::Drained { retire: current.epoch }))
            }
            (Some(Rotation::Drained { .. }), Event::RetireAcknowledged) => with(current, None),
            _ => None,
        }
    }

    /// The same ladder with the current epoch's time set back to `now`, where a wrong clock had put it in the future.
    pub fn with_time_corrected(&self, now: u64) -> Option<HomeLadder> {
        (self.current.since > now).then(|| {
            let mut corrected = self.clone();
            corrected.current.since = now;
            corrected
        })
    }

    fn next_id(&self) -> EpochId {
        EpochId(self.current.epoch.0.saturating_add(1))
    }
}
