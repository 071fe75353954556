//! Whether home is there, judged by what comes through the tunnel.
//!
//! In: the tunnel's status, which is renewed each second. Out: the [`Passage`] for new connections. Neither a process nor
//! an open socket counts as a sign of life, only packets that home's keys have sealed; home sends some every two seconds.
//!
//! ```text
//!            silent for `hold_after`
//!  ToHome --------------------------> Held
//!     ^                                |
//!     +---------- heard again ---------+
//! ```
//! A start counts as having heard home: it has the same time to come back as after any other silence.

use std::time::{Duration, Instant};

use postern_shared::tunnel::{EpochId, TunnelStatus};

use crate::forward::Passage;

/// When home was last heard.
#[derive(Debug)]
pub struct Health {
    hold_after: Duration,
    last_heard: Instant,
}

impl Health {
    /// Holds after a silence of `hold_after`.
    pub fn new(hold_after: Duration, now: Instant) -> Self {
        Self { hold_after, last_heard: now }
    }

    /// Takes the tunnel's status of `now`.
    pub fn judge(&mut self, status: &TunnelStatus, now: Instant) -> Passage {
        let epochs = status.epochs.iter().filter(|epoch| epoch.id != EpochId::BOOTSTRAP);
        let heard = epochs.filter_map(|epoch| now.checked_sub(epoch.last_received?)).max();
        self.last_heard = heard.map_or(self.last_heard, |heard| heard.max(self.last_heard));
        if now.saturating_duration_since(self.last_heard) < self.hold_after {
            Passage::ToHome
        } else {
            Passage::Held
        }
    }
}

#[cfg(test)]
mod tests {
    use postern_shared::tunnel::EpochStatus;

    use super::*;

    fn heard(ago: &[Option<u64>]) -> TunnelStatus {
        let epoch = |(id, ago): (u32, &Option<u64>)| {
            let json = serde_json::json!({
                "id": id, "alive": false, "endpoint": null, "last_received": ago.map(Duration::from_secs),
                "round_trip": null, "received_octets": 0, "sent_octets": 0,
            });
            serde_json::from_value::<EpochStatus>(json).unwrap()
        };
        TunnelStatus { epochs: (1..).zip(ago).map(epoch).collect(), ..TunnelStatus::default() }
    }

    #[test]
    fn a_short_silence_passes_and_a_long_one_holds_until_home_is_heard() {
        let start = Instant::now() + Duration::from_secs(1000);
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut health = Health::new(Duration::from_secs(15), start);
        assert_eq!(health.judge(&heard(&[]), at(14)), Passage::ToHome);
        assert_eq!(health.judge(&heard(&[None]), at(15)), Passage::Held);
        assert_eq!(health.judge(&heard(&[Some(0)]), at(20)), Passage::ToHome);
        assert_eq!(health.judge(&heard(&[Some(14), None]), at(34)), Passage::ToHome);
        assert_eq!(health.judge(&heard(&[Some(15), Some(200)]), at(35)), Passage::Held);
        assert_eq!(health.judge(&heard(&[Some(16), Some(1)]), at(36)), Passage::ToHome);
    }

    #[test]
    fn a_home_that_is_joining_is_not_there_yet() {
        let start = Instant::now() + Duration::from_secs(1000);
        let mut health = Health::new(Duration::from_secs(15), start);
        let mut joining = heard(&[Some(0)]);
        joining.epochs[0].id = EpochId::BOOTSTRAP;
        assert_eq!(health.judge(&joining, start + Duration::from_secs(15)), Passage::Held);
    }
}
