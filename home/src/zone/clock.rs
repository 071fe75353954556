//! Whether this machine's clock may date signatures.
//!
//! In: the clock, the edge's clock where the edge has been heard, and when the newest signature was made. Out: nothing, or
//! a [`Doubt`]. A small computer without a battery clock boots in 1970 and learns the time later: what it would sign before
//! then nobody would accept, and it would replace what everybody does.
//!
//! The edge's word can hold signing up, never bring it about: only a clock that agrees with it signs.

use std::time::Duration;

use jiff::Timestamp;

/// No clock of a machine that runs this program is right and earlier than this: 2025-01-01, in seconds since 1970.
pub const WRITTEN: u64 = 1_735_689_600;
/// How far two clocks may differ that are both right.
const TOLERANCE: Duration = Duration::from_secs(15 * 60);

/// What there is to judge the clock by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Evidence {
    /// This machine's clock, in seconds since 1970.
    pub now: u64,
    /// The edge's, at the same moment.
    pub edge: Option<u64>,
    /// When the newest signature was made, by this machine's clock of then.
    pub newest_signature: Option<u64>,
}

/// Why nothing is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Doubt {
    /// Before the program was written.
    #[error("this machine's clock says {0}, which is before this program was written")]
    BeforeProgram(Timestamp),
    /// The edge's clock says otherwise.
    #[error("this machine's clock says {here}, the edge's says {edge}")]
    Edge {
        /// Here.
        here: Timestamp,
        /// There.
        edge: Timestamp,
    },
    /// Before the newest signature.
    #[error("this machine's clock says {here}, but the newest zone was signed on {newest}")]
    BeforeSignature {
        /// The clock.
        here: Timestamp,
        /// The signature.
        newest: Timestamp,
    },
}

/// Judges the clock. Where the edge's clock agrees, an older signature from the future (the clock was once ahead) is no
/// hindrance.
///
/// # Errors
/// The [`Doubt`].
pub fn judge(evidence: Evidence) -> Result<(), Doubt> {
    let Evidence { now, edge, newest_signature } = evidence;
    let here = timestamp(now);
    if now < WRITTEN {
        return Err(Doubt::BeforeProgram(here));
    }
    match (edge, newest_signature) {
        (Some(edge), _) if now.abs_diff(edge) > TOLERANCE.as_secs() => {
            Err(Doubt::Edge { here, edge: timestamp(edge) })
        }
        (None, Some(newest)) if now + TOLERANCE.as_secs() < newest => {
            Err(Doubt::BeforeSignature { here, newest: timestamp(newest) })
        }
        _ => Ok(()),
    }
}

/// The time, where this machine's clock and the edge's agree on it: for what cannot be undone and can wait.
///
/// # Errors
/// Why it is not known.
pub fn agreed(now: u64, edge: Option<u64>) -> Result<u64, &'static str> {
    match (edge, judge(Evidence { now, edge, newest_signature: None })) {
        (None, _) => Err("the edge is not heard"),
        (Some(_), Err(_)) => Err("this machine's clock is in doubt"),
        (Some(_), Ok(())) => Ok(now),
    }
}

/// Seconds since 1970 as a time; the last one there is where they are too many.
pub fn timestamp(seconds: u64) -> Timestamp {
    i64::try_from(seconds)
        .ok()
        .and_then(|seconds| Timestamp::from_second(seconds).ok())
        .unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TODAY: u64 = WRITTEN + 100 * 86_400;

    #[test]
    fn only_a_clock_that_can_be_right_signs() {
        let judge = |now, edge, newest_signature| judge(Evidence { now, edge, newest_signature });
        assert_eq!(judge(TODAY, None, None), Ok(()));
        assert_eq!(judge(TODAY, Some(TODAY + 60), Some(TODAY - 86_400)), Ok(()));
        assert!(matches!(judge(12, None, None), Err(Doubt::BeforeProgram(_))));
        assert!(matches!(judge(12, Some(12), None), Err(Doubt::BeforeProgram(_))));
        assert!(matches!(judge(TODAY, Some(TODAY + 3600), None), Err(Doubt::Edge { .. })));
        assert!(matches!(judge(TODAY, None, Some(TODAY + 86_400)), Err(Doubt::BeforeSignature { .. })));
    }

    #[test]
    fn the_time_is_what_two_clocks_say() {
        assert_eq!(agreed(TODAY, Some(TODAY + 60)), Ok(TODAY));
        agreed(TODAY, None).expect_err("one clock alone");
        agreed(TODAY + 31 * 86_400, Some(TODAY)).expect_err("ahead");
        agreed(12, Some(12)).expect_err("before the program was written");
    }

    #[test]
    fn a_clock_that_was_once_ahead_does_not_hold_signing_up_for_years() {
        let evidence =
            Evidence { now: TODAY, edge: Some(TODAY), newest_signature: Some(TODAY + 400 * 86_400) };
        assert_eq!(judge(evidence), Ok(()));
    }

    #[test]
    fn a_doubt_says_what_the_clocks_say() {
        let doubt = judge(Evidence { now: TODAY, edge: Some(TODAY + 86_400), newest_signature: None });
        let text = doubt.expect_err("a doubt").to_string();
        assert_eq!(
            text,
            "this machine's clock says 2025-04-11T00:00:00Z, the edge's says 2025-04-12T00:00:00Z"
        );
    }
}
