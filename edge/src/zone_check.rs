//! Whether a pushed zone may take the place of the one that is served.
//!
//! In: the pushed zone, the one that is served, and the time. Out: nothing, or why the old one goes on. Refused: a signed
//! zone that is torn, that does not verify or whose signatures do not count now; an unsigned zone after a signed one; keys
//! that none of those served before vouches for. The call itself was signed by home: this is for a home that lost its keys
//! or its mind, since resolvers would take nothing from such a zone, and take the old one for a month.
//!
//! A zone that home has withdrawn, or one from before it joined anew, binds nobody.

use postern_shared::zone::Zone;
use postern_shared::zone::verify::{VerifyError, authenticate, keys};

/// Why a zone is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It is not what its owner signed.
    #[error("the zone is refused: {0}.")]
    NotAuthentic(#[from] VerifyError),
    /// The served one is signed.
    #[error(
        "the zone is refused: it is not signed, but the one that is served is. To begin anew without signatures, take the \
         DS record from the parent zone, wait until its TTL is over, and join this edge again."
    )]
    NoLongerSigned,
    /// The served one has other keys.
    #[error(
        "the zone is refused: its keys do not follow from those that are served, so resolvers would not believe it. To \
         begin anew with new keys, exchange the DS record in the parent zone, and join this edge again."
    )]
    OtherKeys,
}

/// Checks a servable zone against the one before it. `now` is in seconds since 1970.
///
/// # Errors
/// See [`Refused`].
pub fn check(pushed: &Zone, served: Option<&Zone>, now: u64) -> Result<(), Refused> {
    let earlier = served.and_then(|zone| keys(zone).ok()).unwrap_or_default();
    let is_signed = !keys(pushed).map_err(VerifyError::from)?.is_empty();
    if !is_signed {
        return if earlier.is_empty() { Ok(()) } else { Err(Refused::NoLongerSigned) };
    }
    // RFC 4034 §3.1.5: the times of signatures have 32 bits, and wrap.
    let authentic = authenticate(pushed, now as u32)?;
    if earlier.is_empty() || authentic.is_vouched_by(&earlier) { Ok(()) } else { Err(Refused::OtherKeys) }
}

/// Checks a zone that was taken before and kept on the disk: whole, and signed by its own keys.
///
/// Judged as of when it was signed, so that one whose signatures have ended since is served all the same: who validates
/// refuses it as surely as no answer, everybody else still finds the mail host, and the clock of a machine that has just
/// started may be wrong.
///
/// # Errors
/// See [`Refused`].
pub fn check_kept(kept: &Zone) -> Result<(), Refused> {
    check(kept, None, newest_inception(kept).into())
}

/// The time from which on all signatures count (RFC 4034 §3.1); 0 where there are none.
fn newest_inception(zone: &Zone) -> u32 {
    let signatures = zone.records.iter().filter(|record| record.record_type == "RRSIG");
    let inceptions = signatures.filter_map(|record| record.rdata.get(12..)?.first_chunk());
    inceptions.map(|octets| u32::from_be_bytes(*octets)).max().unwrap_or(0)
}

#[cfg(test)]
mod tests;
