//! What the edge looks at on home's word, for `postern-home doctor`.
//!
//! In: signed calls, checked before they come here. Out: what is seen: this machine ([`facts`]), the mail servers of the
//! world ([`outbound`]). Refused: anything but port 25 of global addresses, more than a few servers at once, and the next
//! look before the last has ended and [`PAUSE`] has passed: the edge is no scanner, not even home's.
//!
//! How home sees itself from outside stands in `forward::mirror`: that needs no socket here.

pub mod facts;
pub mod outbound;

use std::net::IpAddr;
use std::time::Duration;

use tokio::sync::{Mutex, MutexGuard};
use tokio::time::Instant;

/// Between the end of one look and the beginning of the next.
const PAUSE: Duration = Duration::from_secs(1);

/// Why the edge does not look.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotLooked {
    /// One at a time.
    #[error("another look is under way or has just ended; ask again in a few seconds.")]
    Busy,
    /// An address that is nobody's in the internet.
    #[error("{0} is no address of the internet; the edge looks at mail servers of the internet only.")]
    NotGlobal(IpAddr),
    /// Too much at once.
    #[error("{0} are too many; the edge takes {1} at once.")]
    TooMany(usize, usize),
    /// Too much to send back.
    #[error("{0} octets are too many; the edge echoes {1}.")]
    TooLong(usize, usize),
}

/// Lets one look begin at a time, and not at once after the last.
#[derive(Debug, Default)]
pub struct Turn(Mutex<Option<Instant>>);

impl Turn {
    /// The right to look at `now`, until the guard is dropped.
    ///
    /// # Errors
    /// [`NotLooked::Busy`].
    pub fn take(&self, now: Instant) -> Result<Looking<'_>, NotLooked> {
        let last = self.0.try_lock().map_err(|_| NotLooked::Busy)?;
        if last.is_some_and(|ended| now.saturating_duration_since(ended) < PAUSE) {
            return Err(NotLooked::Busy);
        }
        Ok(Looking(last))
    }
}

/// A look that is under way.
#[derive(Debug)]
pub struct Looking<'a>(MutexGuard<'a, Option<Instant>>);

impl Drop for Looking<'_> {
    fn drop(&mut self) {
        *self.0 = Some(Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_look_at_a_time_and_a_pause_between_two() {
        let turn = Turn::default();
        let later = || Instant::now() + PAUSE;
        let looking = turn.take(later()).unwrap();
        assert_eq!(turn.take(later()).unwrap_err(), NotLooked::Busy, "the first goes on");
        drop(looking);
        assert_eq!(turn.take(Instant::now()).unwrap_err(), NotLooked::Busy, "the first has just ended");
        assert!(turn.take(later()).is_ok());
    }
}
