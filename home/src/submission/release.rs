//! The times of a message: when it may be sent at the earliest (FUTURERELEASE, RFC 4865), and when it is to be delivered at the
//! latest (DELIVERBY, RFC 2852).

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use postern_smtp::deliver_by::{ByMode, DeliverBy};
use postern_smtp::server::{FutureRelease, Hold, Refusal};
use postern_store::queue::{Deadline, Late};

/// What EHLO announces at this moment.
pub(super) fn offer(longest: Option<Duration>, now: Timestamp) -> Option<FutureRelease> {
    let longest = longest?;
    let interval = u32::try_from(longest.as_secs()).ok()?;
    let until = now.checked_add(SignedDuration::try_from(longest).ok()?).ok()?;
    Some(FutureRelease { interval, until })
}

/// The time that the client means; one that has passed already is now.
///
/// # Errors
/// [`Refusal::ReleaseTooLate`].
pub(super) fn time(hold: Hold, longest: Option<Duration>, now: Timestamp) -> Result<Timestamp, Refusal> {
    let time = match hold {
        Hold::For(seconds) => now.checked_add(SignedDuration::from_secs(i64::from(seconds))).ok(),
        Hold::Until(time) => Some(time.max(now)),
    };
    let latest = offer(longest, now).map(|offered| offered.until);
    time.filter(|time| latest.is_some_and(|latest| *time <= latest)).ok_or(Refusal::ReleaseTooLate)
}

/// The time that the client means. It may have passed, where the message is not to come back for that.
pub(super) fn deadline(by: DeliverBy, now: Timestamp) -> Deadline {
    let time = now.checked_add(SignedDuration::from_secs(by.seconds)).unwrap_or(Timestamp::MAX);
    let late = match by.mode {
        ByMode::Notify => Late::Told,
        ByMode::Return => Late::Returned,
    };
    Deadline { time, late, trace: by.trace }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_counts_from_now() {
        let now: Timestamp = "2026-11-23T10:00:00Z".parse().expect("a time");
        let by = |value| deadline(DeliverBy::parse(value).expect("a value"), now);
        let (time, late) = (now + SignedDuration::from_secs(90), Late::Returned);
        assert_eq!(by("90;RT"), Deadline { time, late, trace: true });
        assert_eq!(by("-90;N").late(now), Some(Late::Told));
        assert_eq!(by("90;N").late(now), None);
    }

    #[test]
    fn a_time_is_within_what_was_offered() {
        let now: Timestamp = "2026-11-23T10:00:00Z".parse().expect("a time");
        let day = Some(Duration::from_secs(86_400));
        let later = |seconds| now + SignedDuration::from_secs(seconds);
        assert_eq!(offer(day, now), Some(FutureRelease { interval: 86_400, until: later(86_400) }));
        assert_eq!(offer(None, now), None);
        assert_eq!(time(Hold::For(60), day, now), Ok(later(60)));
        assert_eq!(time(Hold::Until(later(-60)), day, now), Ok(now), "a clock that is a little slow");
        assert_eq!(time(Hold::Until(later(86_400)), day, now), Ok(later(86_400)));
        assert_eq!(time(Hold::For(86_401), day, now), Err(Refusal::ReleaseTooLate));
        assert_eq!(time(Hold::Until(later(86_401)), day, now), Err(Refusal::ReleaseTooLate));
    }
}
