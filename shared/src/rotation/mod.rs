//! The rotation of the tunnel's keys: a ladder that home climbs and the edge follows, a durable step at a time.
//!
//! An epoch is both ends' static keys and a pre-shared key. The new epoch `n+1` is made, proved and preferred while `n`
//! still works, and `n` goes only when nobody needs it. Both ends are pure: they are given what happened and give back the
//! state that the shell makes durable *before* it acts on it or answers.
//!
//! | state | home has on disk | the edge has on disk | home then |
//! |---|---|---|---|
//! | STABLE | `n` | `n` | waits for a wish to rotate |
//! | GENERATED | `n`, its secrets for `n+1` | `n`, perhaps `n+1` | offers, again and again, until it is answered |
//! | OFFERED | `n` and `n+1` | `n` and `n+1` | tries both; waits until `n+1` has carried data both ways, or too long: then GENERATED |
//! | PROVEN | `n` and `n+1` | `n` and `n+1` | asks the edge to prefer `n+1` |
//! | COMMITTED | `n` and `n+1` | `n+1`, and `n` still | renews the session of `n+1`; waits until nothing has used `n` for a while |
//! | DRAINED | `n+1` | `n+1`, and `n` still | asks the edge to drop `n` |
//! | RETIRED | `n+1` | `n+1` | is STABLE |
//!
//! Packets take the newest epoch on which the peer is heard, from OFFERED on: one authenticated packet shows that both ends
//! hold its keys. What is preferred decides which epoch may be dropped, not the way of a packet.
//!
//! From OFFERED home may go back to GENERATED with new secrets, since nothing but home's own PROVEN lets the edge prefer
//! `n+1`: so an answer that was damaged, or false, is no dead end.
//!
//! A crash before or after any of these writes leaves a pair from which the same calls lead on, since each is idempotent.
//! Invariants: what home may use is a part of what the edge accepts; the edge drops `n` only on home's signed call; home
//! deletes `n` only after its COMMITTED is on disk.

mod edge;
mod home;
pub mod kem;

#[cfg(test)]
mod tests;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use edge::{Accepted, EdgeEpoch, EdgeLadder, Entropy, LadderError};
pub use home::{Event, HomeEpoch, HomeLadder, OfferSecrets, Rotation, Todo};

use crate::tunnel::{EpochId, PublicKey};

/// What home sends to begin an epoch: `PUT /v1/epochs/{id}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// The new epoch.
    pub epoch: EpochId,
    /// Home's static key.
    pub home_key: PublicKey,
    /// Home's ML-KEM-768 key.
    pub encapsulation_key: kem::EncapsulationKey,
    /// The part of the pre-shared key that comes from home.
    pub random: kem::RandomPart,
}

/// What the edge answers to an [`Offer`]: from now on it accepts the epoch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The edge's static key.
    pub edge_key: PublicKey,
    /// Carries the ML-KEM shared secret.
    pub ciphertext: kem::Ciphertext,
}

/// What home sends to have an epoch preferred: `POST /v1/epochs/{id}/commit`. The number alone does not say which offer is
/// meant: a home that was restored from a backup may have made another one since. Both keys are new with each offer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commit {
    /// The epoch.
    pub epoch: EpochId,
    /// Home's static key in it.
    pub home_key: PublicKey,
    /// The edge's.
    pub edge_key: PublicKey,
}

/// The states of the ladder, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// One epoch, nothing to do.
    Stable,
    /// Home has made its half of the new epoch.
    Generated,
    /// Both ends accept the new epoch.
    Offered,
    /// The new epoch has carried data both ways.
    Proven,
    /// The edge prefers the new epoch.
    Committed,
    /// Home has deleted the old epoch.
    Drained,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Step::Stable => "stable",
            Step::Generated => "generated",
            Step::Offered => "offered",
            Step::Proven => "proven",
            Step::Committed => "committed",
            Step::Drained => "drained",
        })
    }
}
