//! Where the peer was: its latest endpoints, each with the time at which it was first seen there.
//!
//! In: where it is, again and again. Out: the history, and how many moves are to be told now: the first at once, then all
//! of a minute together, so that a peer that moves all the time, or is made to, fills no log.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// How many endpoints are remembered.
const REMEMBERED: usize = 16;

/// How often moves are told, at most.
const TOLD_EVERY: Duration = Duration::from_secs(60);

/// An endpoint of the peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Roamed {
    /// Since when the peer was there, in seconds since 1970, by this machine's clock.
    pub at: u64,
    /// The endpoint.
    pub endpoint: SocketAddr,
}

/// The latest endpoints.
#[derive(Debug, Default)]
pub struct Roaming {
    /// Oldest first.
    latest: VecDeque<(Instant, SocketAddr)>,
    /// Moves that nobody has been told of.
    untold: u32,
    told: Option<Instant>,
}

impl Roaming {
    /// Notes where the peer is; gives the number of its moves where they are to be told now.
    pub fn note(&mut self, endpoint: SocketAddr, now: Instant) -> Option<u32> {
        if self.latest.back().is_none_or(|(_, last)| *last != endpoint) {
            self.remember(endpoint, now);
        }
        let is_early = self.told.is_some_and(|told| now.saturating_duration_since(told) < TOLD_EVERY);
        if self.untold == 0 || is_early {
            return None;
        }
        self.told = Some(now);
        Some(std::mem::take(&mut self.untold))
    }

    fn remember(&mut self, endpoint: SocketAddr, now: Instant) {
        if self.latest.len() == REMEMBERED {
            self.latest.pop_front();
        }
        self.latest.push_back((now, endpoint));
        self.untold = self.untold.saturating_add(1);
    }

    /// The endpoints with the times that they have by the wall clock of now: a clock that was set right meanwhile shows
    /// the right times.
    pub fn history(&self, now: Instant, wall: SystemTime) -> Vec<Roamed> {
        let today = wall.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        let at = |since: Instant| today.saturating_sub(now.saturating_duration_since(since)).as_secs();
        self.latest.iter().map(|(since, endpoint)| Roamed { at: at(*since), endpoint: *endpoint }).collect()
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

    #[test]
    fn moves_are_told_at_once_and_then_a_minute_of_them_together() {
        let (start, mut roaming) = (Instant::now(), Roaming::default());
        let mut at = |second: u64, port: u16| {
            roaming.note(([192, 0, 2, 1], port).into(), start + Duration::from_secs(second))
        };
        assert_eq!(at(0, 1), Some(1));
        let told: Vec<u32> = (1..=600).filter_map(|second| at(second, second as u16)).collect();
        assert_eq!((told.len(), told.iter().sum::<u32>()), (10, 599), "{told:?}");
        assert_eq!(at(1000, 600), None, "nothing has moved");
    }
}
