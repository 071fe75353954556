//! Where the peer was: its latest endpoints, each with the time at which it was first seen there.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// How many endpoints are remembered.
const REMEMBERED: usize = 16;

/// An endpoint of the peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Roamed {
    /// Since when the peer was there, in seconds since 1970, by this machine's clock.
    pub at: u64,
    /// The endpoint.
    pub endpoint: SocketAddr,
}

/// The latest endpoints, oldest first.
#[derive(Debug, Default)]
pub struct Roaming(VecDeque<(Instant, SocketAddr)>);

impl Roaming {
    /// Notes where the peer is.
    pub fn note(&mut self, endpoint: SocketAddr, now: Instant) {
        if self.0.back().is_some_and(|(_, last)| *last == endpoint) {
            return;
        }
        if self.0.len() == REMEMBERED {
            self.0.pop_front();
        }
        self.0.push_back((now, endpoint));
    }

    /// The endpoints with the times that they have by the wall clock of now: a clock that was set right meanwhile shows
    /// the right times.
    pub fn history(&self, now: Instant, wall: SystemTime) -> Vec<Roamed> {
        let today = wall.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        let at = |since: Instant| today.saturating_sub(now.saturating_duration_since(since)).as_secs();
        self.0.iter().map(|(since, endpoint)| Roamed { at: at(*since), endpoint: *endpoint }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_sixteen_moves_are_kept_with_their_times() {
        let (start, wall) = (Instant::now(), UNIX_EPOCH + Duration::from_secs(1_000_000));
        let mut roaming = Roaming::default();
        for second in 0..40u16 {
            // Each endpoint is noted twice.
            let endpoint = SocketAddr::from(([192, 0, 2, 1], second / 2));
            roaming.note(endpoint, start + Duration::from_secs(second.into()));
        }
        let history = roaming.history(start + Duration::from_secs(100), wall);
        assert_eq!(history.len(), 16);
        assert_eq!(history[15], Roamed { at: 999_938, endpoint: ([192, 0, 2, 1], 19).into() });
        assert_eq!(history[0].endpoint.port(), 4);
    }
}
