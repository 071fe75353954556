//! The change of the key that signs a zone, from the new key's making to the old one's end.
//!
//! * In: what the name servers serve, what the parent zone's servers have, the time. Out: the keys that sign now, which of
//!   them the parent shall vouch for, and the next [`Step`], durable before it has an effect.
//! * Refused: a second change while one is under way; steps by a doubtful clock.
//!
//! One key signs everything, so both sign everything side by side until the end, and either DS record will do while both are
//! there (a double-signature change, RFC 6781). The CDS and CDNSKEY records name the key that the parent shall vouch for
//! (RFC 7344 §4), so that a parent that looks for them exchanges the DS record by itself (RFC 8078).
//!
//! | step | signs | the parent shall have | goes on |
//! |---|---|---|---|
//! | Introducing | both | the old key's DS | when all name servers have served both keys for the longest TTL |
//! | Exchanging | both | the new key's DS | when all servers of the parent have it |
//! | Settling | both | the new key's DS | when the TTL of the old DS is over; back where it goes away |
//! | none | the new key | the new key's DS | |
//!
//! A crash before or after any step repeats it at most: the keys and the step stand in one database.

use hickory_proto::dnssec::rdata::{DNSKEY, DNSSECRData};
use hickory_proto::rr::RData;
use postern_message::address::DomainName;
use postern_shared::secondary::SecondariesHeld;
use postern_shared::zone::Zone;
use postern_store::directory::Directory;
use serde::{Deserialize, Serialize};

use super::key::{AtParent, ZoneKey};
use super::renew::RenewError;
use crate::link::EdgeZones;

/// Added to each wait, in seconds: answers that are under way, and caches that count from their arrival.
const MARGIN: u64 = 60;

/// How far a change has come. Times are seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "lowercase")]
pub enum Step {
    /// The world learns the new key.
    Introducing {
        /// Since when all name servers serve both.
        since: Option<u64>,
    },
    /// The parent shall exchange the DS record.
    Exchanging {
        /// The longest time for which resolvers may keep what the parent has, in seconds.
        ttl: u32,
    },
    /// The world forgets the old DS record.
    Settling {
        /// Since when all servers of the parent have the new one.
        since: u64,
        /// As before.
        ttl: u32,
    },
}

/// Something that was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// All name servers serve the zone with both keys; the longest TTL in it, in seconds.
    Served {
        /// Seconds.
        longest_ttl: u32,
    },
    /// What the servers of the parent have, and how long resolvers may keep that, in seconds.
    Parent {
        /// Whom they vouch for.
        vouches: Vouches,
        /// Seconds.
        ttl: u32,
    },
}

/// Whom the parent vouches for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Vouches {
    /// All its servers have a DS record of the key that they shall have, or none of them has any: then nobody validates.
    Wanted,
    /// One at least has others only.
    Others,
}

/// What becomes of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// It goes on, or stays as it is.
    Step(Step),
    /// The old key is needed no more.
    Done,
}

impl Step {
    /// The first.
    pub const FIRST: Self = Self::Introducing { since: None };

    /// What follows from an event at `now`.
    pub fn after(self, event: Event, now: u64) -> Next {
        let is_over = |since: u64, ttl: u32| now.saturating_sub(since) >= u64::from(ttl) + MARGIN;
        let next = match (self, event) {
            (Self::Introducing { since: Some(since) }, Event::Served { longest_ttl })
                if is_over(since, longest_ttl) =>
            {
                Self::Exchanging { ttl: 0 }
            }
            (Self::Introducing { since }, Event::Served { .. }) => {
                Self::Introducing { since: Some(since.unwrap_or(now)) }
            }
            (Self::Exchanging { ttl: seen }, Event::Parent { vouches, ttl }) => match vouches {
                Vouches::Wanted => Self::Settling { since: now, ttl: ttl.max(seen) },
                Vouches::Others => Self::Exchanging { ttl: ttl.max(seen) },
            },
            (Self::Settling { ttl: seen, .. }, Event::Parent { vouches: Vouches::Others, ttl }) => {
                Self::Exchanging { ttl: ttl.max(seen) }
            }
            (Self::Settling { since, ttl }, Event::Parent { vouches: Vouches::Wanted, .. })
                if is_over(since, ttl) =>
            {
                return Next::Done;
            }
            (step, _) => step,
        };
        Next::Step(next)
    }

    /// Which of two keys the parent shall vouch for.
    fn wants_new_ds(self) -> bool {
        !matches!(self, Self::Introducing { .. })
    }
}

/// How far the domain's change has come; `None` while none is under way. A step that cannot be read is the first: waiting
/// anew costs time only.
///
/// # Errors
/// [`RenewError::Directory`].
pub fn current(directory: &Directory, domain: &DomainName) -> Result<Option<Step>, RenewError> {
    let kept = directory.key_roll(domain)?;
    Ok(kept.map(|kept| serde_json::from_slice(&kept).unwrap_or(Step::FIRST)))
}

/// Makes a new key and begins; `false` where a change is under way already.
///
/// # Errors
/// [`RenewError::Directory`].
pub fn begin(directory: &Directory, domain: &DomainName) -> Result<bool, RenewError> {
    // A domain that has never been signed gets its first key here.
    directory.dnssec_keys(domain)?;
    Ok(directory.begin_key_roll(domain, serde_json::to_vec(&Step::FIRST)?)?)
}

/// The keys that sign now, the oldest first, each with whether the parent shall vouch for it.
///
/// # Errors
/// [`RenewError::Directory`], [`RenewError::Sign`] for a key that cannot be used.
pub fn keys(directory: &Directory, domain: &DomainName) -> Result<Vec<ZoneKey>, RenewError> {
    let step = current(directory, domain)?;
    let mut keys = directory.dnssec_keys(domain)?.iter().map(ZoneKey::new).collect::<Result<Vec<_>, _>>()?;
    let wanted = match step {
        Some(step) if !step.wants_new_ds() => 0,
        Some(_) | None => keys.len().saturating_sub(1),
    };
    for (place, key) in keys.iter_mut().enumerate() {
        key.at_parent = if place == wanted { AtParent::Wanted } else { AtParent::Unwanted };
    }
    Ok(keys)
}

/// Whether these are the keys that the parent shall vouch for at this step: a zone of the step before asks for another.
///
/// # Errors
/// As [`keys`].
pub fn is_asked_for(
    directory: &Directory,
    domain: &DomainName,
    vouched: &[DNSKEY],
) -> Result<bool, RenewError> {
    let keys = keys(directory, domain)?;
    let mut wanted = keys.iter().filter(|key| key.at_parent == AtParent::Wanted).map(ZoneKey::dnskey);
    let has = |data: &RData| matches!(data, RData::DNSSEC(DNSSECRData::DNSKEY(key)) if vouched.contains(key));
    Ok(wanted.all(|key| has(&key)))
}

/// Takes note of an event, where a change is under way.
///
/// # Errors
/// [`RenewError::Directory`].
pub fn take(directory: &Directory, domain: &DomainName, event: Event, now: u64) -> Result<(), RenewError> {
    let Some(step) = current(directory, domain)? else { return Ok(()) };
    match step.after(event, now) {
        Next::Step(next) if next == step => {}
        Next::Step(next) => {
            directory.keep_key_roll(domain, serde_json::to_vec(&next)?)?;
            tracing::info!(%domain, step = ?next, "the change of the zone's key goes on");
        }
        Next::Done => {
            directory.end_key_roll(domain)?;
            tracing::info!(%domain, "the zone's former key is gone");
        }
    }
    Ok(())
}

/// The event that all name servers serve this zone with both keys, where they do.
pub fn served(zone: &Zone, longest_ttl: Option<u32>) -> Option<Event> {
    let is_key = |data: &RData| matches!(data, RData::DNSSEC(DNSSECRData::DNSKEY(_)));
    let has_both = zone.records().ok()?.iter().filter(|record| is_key(&record.data)).count() > 1;
    longest_ttl.filter(|_| has_both).map(|longest_ttl| Event::Served { longest_ttl })
}

/// The longest TTL of a zone, in seconds, where all name servers serve it.
pub fn everywhere(
    domain: &DomainName,
    zone: &Zone,
    edge: &EdgeZones,
    secondaries: &[&str],
    held: &SecondariesHeld,
) -> Option<u32> {
    let follows = |name: &&str| {
        let status = held.secondaries.iter().find(|status| status.name == **name);
        let zones = status.iter().flat_map(|status| &status.zones);
        zones.clone().any(|zone| zone.origin == domain.as_str() && !zone.is_behind())
    };
    let is_everywhere = edge.serial(domain) == Some(zone.serial) && secondaries.iter().all(follows);
    let longest_ttl = zone.records().ok()?.iter().map(|record| record.ttl).max();
    longest_ttl.filter(|_| is_everywhere)
}

#[cfg(test)]
mod tests;
