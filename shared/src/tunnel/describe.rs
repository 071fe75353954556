//! An epoch's path in words, the same at both ends.

use std::fmt::{self, Display, Formatter};

use super::EpochStatus;

/// What was measured of an epoch's path, on one line; says nothing where nothing was.
pub struct Measured<'a>(pub &'a EpochStatus);

/// Where the peer of an epoch was, newest last, an endpoint a line; `now` in seconds since 1970.
pub fn moves(epoch: &EpochStatus, now: u64) -> impl Iterator<Item = String> {
    epoch.roamed.iter().map(move |roamed| {
        let ago = now.saturating_sub(roamed.at);
        format!("{}, first seen there {} ago", roamed.endpoint, Age(ago))
    })
}

/// A time in its largest whole unit.
struct Age(u64);

impl Display for Measured<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let epoch = self.0;
        let facts = [
            epoch.handshake_age.map(|age| format!("handshake {} ago", Age(age.as_secs()))),
            epoch.round_trip.map(|time| format!("round trip {:.1} ms", time.as_secs_f64() * 1000.0)),
            epoch.loss.map(|share| format!("{:.0} % of heartbeats lost", share * 100.0)),
            epoch.path_mtu.map(|octets| format!("path MTU {octets}")),
        ];
        f.write_str(&facts.into_iter().flatten().collect::<Vec<_>>().join(", "))
    }
}

impl Display for Age {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            seconds @ 0..120 => write!(f, "{seconds} s"),
            seconds @ 120..7200 => write!(f, "{} min", seconds / 60),
            seconds @ 7200..172_800 => write!(f, "{} h", seconds / 3600),
            seconds => write!(f, "{} d", seconds / 86_400),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::{EpochId, Roamed};
    use super::*;

    fn epoch() -> EpochStatus {
        EpochStatus {
            id: EpochId(1),
            local_key: None,
            alive: true,
            endpoint: None,
            last_received: None,
            last_carried: None,
            handshake_age: Some(Duration::from_secs(74)),
            round_trip: Some(Duration::from_micros(23_400)),
            loss: Some(0.031),
            path_mtu: Some(1492),
            received_octets: 0,
            sent_octets: 0,
            handshakes: 0,
            fenced: None,
            roamed: vec![Roamed { at: 1000, endpoint: ([203, 0, 113, 10], 40_000).into() }],
        }
    }

    #[test]
    fn what_is_known_is_told() {
        let text = Measured(&epoch()).to_string();
        assert_eq!(text, "handshake 74 s ago, round trip 23.4 ms, 3 % of heartbeats lost, path MTU 1492");
        let nothing =
            EpochStatus { handshake_age: None, round_trip: None, loss: None, path_mtu: None, ..epoch() };
        assert_eq!(Measured(&nothing).to_string(), "");
        let moves: Vec<_> = moves(&epoch(), 1000 + 7199).collect();
        assert_eq!(moves, ["203.0.113.10:40000, first seen there 119 min ago"]);
    }
}
