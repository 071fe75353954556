//! The signed zone of a domain: the one that was kept, or a new one where that will not do.
//!
//! In: the domain's facts, its kept zone, the time, whether the clock may be believed, and the serial that the edge serves.
//! Out: a zone that was checked and is on the disk, with the same octets for as long as it is good. Refused: signing by a
//! doubtful clock, and handing over what does not verify.
//!
//! | the kept zone | the clock is believed | it is in doubt |
//! |---|---|---|
//! | has the same facts, is younger than a day, and the edge has nothing newer | is used | is used |
//! | is another, younger than a day | what changed is signed, with the next serial | is used |
//! | is older | signed anew, with the next serial | is used |
//! | is not there | signed | refused |

use std::time::Duration;

use postern_message::address::DomainName;
use postern_shared::zone::verify::{VerifyError, authenticate};
use postern_shared::zone::{Zone, ZoneError};
use postern_store::directory::{Directory, DirectoryError, SignedZone};

use super::clock::Doubt;
use super::key::{AtParent, KeyError, ZoneKey};
use super::sign::{SignError, Validity, sign};
use super::{Facts, build, name, records, roll};

/// How old signatures grow before they are renewed; they count for thirty days.
const RENEWED_AFTER: Duration = Duration::from_secs(86_400);

/// Why there is no zone to hand over.
#[derive(Debug, thiserror::Error)]
pub enum RenewError {
    /// The clock cannot date signatures, and no zone is kept.
    #[error(transparent)]
    Clock(#[from] Doubt),
    /// The records make no zone.
    #[error(transparent)]
    Zone(#[from] ZoneError),
    /// They cannot be signed.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// The keys, the serial or the zone cannot be read or kept.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// What was signed does not verify: a fault of the program.
    #[error("the zone that was just signed does not verify: {0}")]
    NotVerified(VerifyError),
    /// The work on the disk ended with a fault of the program.
    #[error("the look at the kept zone ended early: {0}")]
    Interrupted(String),
    /// The kept zone cannot be read, or the new one not be written.
    #[error("the kept zone is not understood: {0}")]
    Kept(#[from] serde_json::Error),
}

impl From<KeyError> for RenewError {
    fn from(error: KeyError) -> Self {
        Self::Sign(error.into())
    }
}

/// What renewal depends on beside the zone itself.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// Seconds since 1970.
    pub now: u64,
    /// Whether the clock may date signatures.
    pub clock: Result<(), Doubt>,
    /// The serial that the edge serves of this zone.
    pub served: Option<u32>,
}

/// A zone to hand over, and when it was signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// The zone.
    pub zone: Zone,
    /// Its oldest signatures, in seconds since 1970.
    pub signed_at: u64,
}

/// The zone as it was kept.
///
/// # Errors
/// [`RenewError::Directory`], [`RenewError::Kept`].
pub fn kept(directory: &Directory, domain: &DomainName) -> Result<Option<Signed>, RenewError> {
    directory.signed_zone(domain)?.as_ref().map(signed).transpose()
}

/// The zone that shall be served now.
///
/// # Errors
/// See [`RenewError`]; the kept zone is then as it was.
pub fn zone(directory: &Directory, facts: &Facts, moment: Moment) -> Result<Signed, RenewError> {
    let keys = roll::keys(directory, &facts.domain)?;
    let facts_digest = digest(facts, &keys)?;
    let kept = directory.signed_zone(&facts.domain)?;
    let mut fresh = None;
    if let Some(kept) = &kept {
        let held = signed(kept)?;
        let is_same = kept.facts_digest == facts_digest;
        if moment.clock.is_err() || (is_same && is_fresh(&held, moment)) {
            return Ok(held);
        }
        fresh = Some(held).filter(|held| is_young(held, moment));
    }
    moment.clock?;
    sign_anew(directory, facts, &keys, facts_digest, moment, fresh.as_ref())
}

fn signed(kept: &SignedZone) -> Result<Signed, RenewError> {
    Ok(Signed { zone: serde_json::from_slice(&kept.zone)?, signed_at: kept.signed_at })
}

/// A zone that was signed in the future is not fresh either: the clock was ahead then.
fn is_fresh(held: &Signed, moment: Moment) -> bool {
    let is_behind =
        moment.served.is_some_and(|served| postern_shared::zone::is_older(held.zone.serial, served));
    is_young(held, moment) && !is_behind
}

fn is_young(held: &Signed, moment: Moment) -> bool {
    moment.now.checked_sub(held.signed_at).is_some_and(|age| age < RENEWED_AFTER.as_secs())
}

fn sign_anew(
    directory: &Directory,
    facts: &Facts,
    keys: &[ZoneKey],
    facts_digest: String,
    moment: Moment,
    before: Option<&Signed>,
) -> Result<Signed, RenewError> {
    // RFC 1982: a serial has 32 bits, and wraps in 2106.
    let serial = directory.next_zone_serial(&facts.domain, moment.served, moment.now as u32)?;
    let origin = name(facts.domain.as_str())?;
    let records = records(facts, serial)?;
    let checked = |before: Option<&Zone>| {
        let zone = sign(&origin, &records, keys, Validity::from(moment.now), before)?;
        authenticate(&zone, moment.now as u32).map_err(RenewError::NotVerified)?;
        Ok(zone)
    };
    let (zone, signed_at) = match before.map(|before| (checked(Some(&before.zone)), before.signed_at)) {
        // As old as the oldest signature that may be in it, so that none is kept for longer than a day.
        Some((Ok(zone), signed_at)) => (zone, signed_at),
        // What was kept may be damaged: nothing of it is needed.
        Some((Err(RenewError::NotVerified(_)), _)) | None => (checked(None)?, moment.now),
        Some((Err(error), _)) => return Err(error),
    };
    let kept = SignedZone { facts_digest, signed_at, zone: serde_json::to_vec(&zone)? };
    directory.keep_signed_zone(&facts.domain, kept)?;
    tracing::info!(origin = %zone.origin, serial, "zone signed");
    Ok(Signed { zone, signed_at })
}

/// Equal for equal records and keys; the serial has no part in it.
fn digest(facts: &Facts, keys: &[ZoneKey]) -> Result<String, ZoneError> {
    let tag = |key: &ZoneKey| match key.at_parent {
        AtParent::Wanted => key.tag.to_string(),
        AtParent::Unwanted => format!("({})", key.tag),
    };
    let tags: Vec<String> = keys.iter().map(tag).collect();
    Ok(format!("{} {}", build(facts, 0)?.digest(), tags.join(" ")))
}

#[cfg(test)]
mod tests;
