//! Whether home is there, judged by what goes through the tunnel and comes back.
//!
//! In: the tunnel's status, which is renewed each second. Out: the [`Passage`] for new connections. Neither a process nor
//! an open socket counts as a sign of life, only an epoch that is alive: heartbeats cross it.
//!
//! ```text
//!            silent for `hold_after`
//!  ToHome --------------------------> Held
//!     ^                                |
//!     +---------- alive again ---------+
//! ```
//! A start counts as having heard home: it has the same time to come back as after any other silence.

use std::time::{Duration, Instant};

use postern_shared::tunnel::{DEAD_AFTER, EpochId, TunnelStatus};

use crate::forward::Passage;

/// When home was last there.
#[derive(Debug)]
pub struct Health {
    hold_after: Duration,
    /// The last moment at which an epoch was alive.
    last_heard: Instant,
}

impl Health {
    /// Holds after a silence of `hold_after`, at least [`DEAD_AFTER`].
    pub fn new(hold_after: Duration, now: Instant) -> Self {
        Self { hold_after, last_heard: now + DEAD_AFTER }
    }

    /// Takes the tunnel's status of `now`.
    pub fn judge(&mut self, status: &TunnelStatus, now: Instant) -> Passage {
        if status.epochs.iter().any(|epoch| epoch.alive && epoch.id != EpochId::BOOTSTRAP) {
            self.last_heard = now;
            return Passage::ToHome;
        }
        // An epoch was alive until the silence had lasted for `DEAD_AFTER`.
        let began = self.last_heard.checked_sub(DEAD_AFTER).unwrap_or(self.last_heard);
        if now.saturating_duration_since(began) < self.hold_after { Passage::ToHome } else { Passage::Held }
    }
}

#[cfg(test)]
mod tests {
    use postern_shared::tunnel::EpochStatus;

    use super::*;

    fn status(epochs: &[(EpochId, bool)]) -> TunnelStatus {
        let epoch = |(id, alive): &(EpochId, bool)| {
            let json = serde_json::json!({
                "id": id, "alive": alive, "endpoint": null, "last_received": null, "round_trip": null,
                "received_octets": 0, "sent_octets": 0,
            });
            serde_json::from_value::<EpochStatus>(json).unwrap()
        };
        TunnelStatus { epochs: epochs.iter().map(epoch).collect(), ..TunnelStatus::default() }
    }

    const ALIVE: &[(EpochId, bool)] = &[(EpochId(2), false), (EpochId(1), true)];
    const DEAD: &[(EpochId, bool)] = &[(EpochId(2), false), (EpochId(1), false)];

    #[test]
    fn a_short_silence_passes_and_a_long_one_holds_until_home_is_heard() {
        let start = Instant::now() + Duration::from_secs(1000);
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut health = Health::new(Duration::from_secs(15), start);
        assert_eq!(health.judge(&status(ALIVE), at(100)), Passage::ToHome);
        assert_eq!(health.judge(&status(DEAD), at(108)), Passage::ToHome, "14 s since the last heartbeat");
        assert_eq!(health.judge(&status(DEAD), at(109)), Passage::Held);
        assert_eq!(health.judge(&status(ALIVE), at(110)), Passage::ToHome);
    }

    #[test]
    fn a_start_waits_too_and_a_home_that_is_joining_is_not_there_yet() {
        let start = Instant::now() + Duration::from_secs(1000);
        let mut health = Health::new(Duration::from_secs(15), start);
        let joining = status(&[(EpochId::BOOTSTRAP, true)]);
        assert_eq!(health.judge(&joining, start + Duration::from_secs(14)), Passage::ToHome);
        assert_eq!(health.judge(&joining, start + Duration::from_secs(15)), Passage::Held);
    }
}
