//! The edge's side of the ladder: it does what home's signed calls say, and each call as often as it comes.

use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::kem::{self, Transcript};
use super::{Answer, Commit, Offer};
use crate::tunnel::{EpochId, NoRandomness, PresharedKey, PrivateKey, PublicKey};

/// One epoch as the edge holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EdgeEpoch {
    /// Which epoch.
    #[serde(default = "first")]
    pub epoch: EpochId,
    /// The edge's static key.
    pub edge_key: PrivateKey,
    /// Home's static key.
    pub home_key: PublicKey,
    /// The pre-shared key.
    pub preshared_key: PresharedKey,
}

/// An epoch that was offered, with what the same offer gets when it comes again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    /// The epoch.
    pub keys: EdgeEpoch,
    /// SHA-256 of the offer.
    offer: Vec<u8>,
    /// The answer.
    ciphertext: kem::Ciphertext,
}

/// The edge's place on the ladder: at most two epochs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EdgeLadder {
    /// The preferred epoch.
    #[serde(flatten)]
    current: EdgeEpoch,
    /// The one that was offered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    next: Option<Accepted>,
    /// The one before, until home retires it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    former: Option<EdgeEpoch>,
}

/// Random octets for the answer to one offer.
pub struct Entropy {
    /// The edge's static key.
    edge_key: PrivateKey,
    /// For the encapsulation.
    encapsulation: Zeroizing<[u8; 32]>,
}

/// Why a call does not fit the ladder. Each text says what the operator can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LadderError {
    /// The epoch is not the next one.
    #[error(
        "epoch {} does not follow epoch {}, which the edge prefers. If home was restored from a backup, join again: \
         `postern-edge invite` here, `postern-home join` at home", wanted.0, current.0
    )]
    NotNext {
        /// In the call.
        wanted: EpochId,
        /// Preferred.
        current: EpochId,
    },
    /// The epoch has other keys here.
    #[error(
        "the edge has epoch {} with other keys: another home with the same identity has offered it. Stop that one, and \
         join again: `postern-edge invite` here, `postern-home join` at home", .0.0
    )]
    OtherKeys(EpochId),
    /// The last rotation has not ended.
    #[error("epoch {} must be retired before another is offered", .0.0)]
    NotRetired(EpochId),
    /// The epoch is the one in use.
    #[error("epoch {} is in use and cannot be retired", .0.0)]
    InUse(EpochId),
    /// The encapsulation key is none.
    #[error("the offer's encapsulation key is refused: {0}")]
    Malformed(#[from] kem::Malformed),
}

fn first() -> EpochId {
    EpochId::FIRST
}

impl Entropy {
    /// Draws it.
    ///
    /// # Errors
    /// When the operating system gives no random numbers.
    pub fn draw() -> Result<Self, NoRandomness> {
        let encapsulation = Zeroizing::new(kem::random_octets()?);
        Ok(Self { edge_key: PrivateKey::generate()?, encapsulation })
    }
}

impl Accepted {
    fn new(offer: &Offer, entropy: Entropy) -> Result<Self, LadderError> {
        let (ciphertext, shared) = offer.encapsulation_key.encapsulate(&entropy.encapsulation)?;
        let transcript = Transcript {
            epoch: offer.epoch,
            home_key: &offer.home_key,
            edge_key: &entropy.edge_key.public(),
            encapsulation_key: &offer.encapsulation_key,
            ciphertext: &ciphertext,
        };
        let keys = EdgeEpoch {
            epoch: offer.epoch,
            preshared_key: kem::preshared_key(&offer.random, &shared, transcript),
            edge_key: entropy.edge_key,
            home_key: offer.home_key,
        };
        Ok(Self { keys, offer: fingerprint(offer), ciphertext })
    }

    /// What home is told.
    pub fn answer(&self) -> Answer {
        Answer { edge_key: self.keys.edge_key.public(), ciphertext: self.ciphertext.clone() }
    }
}

impl EdgeLadder {
    /// The ladder of an edge that a home has just joined.
    pub fn new(epoch: EdgeEpoch) -> Self {
        Self { current: epoch, next: None, former: None }
    }

    /// The preferred epoch.
    pub fn current(&self) -> &EdgeEpoch {
        &self.current
    }

    /// The epoch that was offered and not yet preferred.
    pub fn next(&self) -> Option<&EdgeEpoch> {
        self.next.as_ref().map(|accepted| &accepted.keys)
    }

    /// The epoch before, until home retires it.
    pub fn former(&self) -> Option<&EdgeEpoch> {
        self.former.as_ref()
    }

    /// Every epoch that the edge accepts.
    pub fn accepted(&self) -> Vec<&EdgeEpoch> {
        std::iter::once(&self.current).chain(self.next()).chain(&self.former).collect()
    }

    /// Takes an offer: the state to make durable, if it is another, and what to answer then. A new offer for the same
    /// epoch replaces one that home has forgotten; home cannot be using that.
    ///
    /// # Errors
    /// See [`LadderError`]; nothing is to change then.
    pub fn offered(&self, offer: &Offer, entropy: Entropy) -> Result<(EdgeLadder, Answer), LadderError> {
        if offer.epoch.0 != self.current.epoch.0.saturating_add(1) {
            return Err(LadderError::NotNext { wanted: offer.epoch, current: self.current.epoch });
        }
        if let Some(former) = &self.former {
            return Err(LadderError::NotRetired(former.epoch));
        }
        let accepted = match &self.next {
            Some(next) if next.offer == fingerprint(offer) => next.clone(),
            _ => Accepted::new(offer, entropy)?,
        };
        let answer = accepted.answer();
        Ok((EdgeLadder { next: Some(accepted), ..self.clone() }, answer))
    }

    /// What a home means that commits to an epoch by its number alone: a version before [`Commit`] had keys does.
    ///
    /// # Errors
    /// See [`LadderError`].
    pub fn commit_by_number(&self, epoch: EpochId) -> Result<Commit, LadderError> {
        let EdgeEpoch { epoch, home_key, edge_key, .. } = self.committable(epoch)?;
        Ok(Commit { epoch: *epoch, home_key: *home_key, edge_key: edge_key.public() })
    }

    /// Prefers an offered epoch; both go on working.
    ///
    /// # Errors
    /// See [`LadderError`].
    pub fn committed(&self, commit: &Commit) -> Result<EdgeLadder, LadderError> {
        let meant = self.committable(commit.epoch)?;
        if (meant.home_key, meant.edge_key.public()) != (commit.home_key, commit.edge_key) {
            return Err(LadderError::OtherKeys(commit.epoch));
        }
        if meant.epoch == self.current.epoch {
            return Ok(self.clone());
        }
        Ok(EdgeLadder { current: meant.clone(), next: None, former: Some(self.current.clone()) })
    }

    /// The epoch of this number, offered or, where the call comes again, preferred already.
    fn committable(&self, epoch: EpochId) -> Result<&EdgeEpoch, LadderError> {
        let mut known = std::iter::once(&self.current).chain(self.next());
        let known = known.find(|keys| keys.epoch == epoch);
        known.ok_or(LadderError::NotNext { wanted: epoch, current: self.current.epoch })
    }

    /// Drops an epoch older than the preferred one.
    ///
    /// # Errors
    /// See [`LadderError`].
    pub fn retired(&self, epoch: EpochId) -> Result<EdgeLadder, LadderError> {
        if epoch >= self.current.epoch {
            return Err(LadderError::InUse(epoch));
        }
        let former = self.former.clone().filter(|former| former.epoch != epoch);
        Ok(EdgeLadder { former, ..self.clone() })
    }
}

/// SHA-256 over all of the offer, so that another never gets its answer.
fn fingerprint(offer: &Offer) -> Vec<u8> {
    let json = serde_json::to_vec(offer).map(Zeroizing::new);
    let json = json.expect("an offer is strings and a number, which JSON can hold");
    digest(&SHA256, &json).as_ref().to_vec()
}
