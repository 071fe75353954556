//! How many messages a client's network may begin in an hour.
//!
//! In: each MAIL, with the client's address. Out: whether it is within the measure. Refused, for now (451): what exceeds it, so that an
//! honest server comes again. One IPv4 address or IPv6 /64 counts as one client, like its connections. The measure is a
//! bucket (the generic cell rate algorithm of ITU-T I.371): who was silent for an hour may send the hour's number at once. Machines of this
//! network are not counted. Kept in memory only.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use postern_shared::address::is_global;
use postern_smtp::server::Refusal;

use super::verdict::{Outcome, Verdict};
use crate::net::client_network;

const CHECK: &str = "messages_per_hour";
const HOUR: Duration = Duration::from_secs(3600);

/// Networks that are counted at once. More than that within an hour are a crowd, which no count of each would stop; those that come then
/// are not counted.
const NETWORKS_MAX: usize = 65_536;

/// Counts what comes from each network; cheap to clone.
#[derive(Debug, Clone)]
pub struct Rate {
    most: u32,
    /// When each network's bucket is empty again.
    empty_at: Arc<Mutex<HashMap<IpAddr, Instant>>>,
}

impl Rate {
    /// So many messages in an hour; at least one.
    pub fn new(most: u32) -> Rate {
        Rate { most: most.max(1), empty_at: Arc::default() }
    }

    /// Counts a message that begins now.
    pub fn judge(&self, client: IpAddr, now: Instant) -> Verdict {
        match !is_global(client) || self.take(client_network(client), now) {
            true => Verdict::pass(CHECK, ""),
            false => Verdict {
                check: CHECK,
                outcome: Outcome::Refuse(Refusal::TooManyMessages),
                reason: format!("its network has begun {} messages within an hour", self.most),
            },
        }
    }

    fn take(&self, network: IpAddr, now: Instant) -> bool {
        let mut empty_at = self.empty_at.lock().unwrap_or_else(PoisonError::into_inner);
        let each = HOUR / self.most;
        let level = empty_at.get(&network).map_or(now, |empty_at| (*empty_at).max(now));
        if level + each > now + HOUR {
            return false;
        }
        if empty_at.len() >= NETWORKS_MAX && !empty_at.contains_key(&network) {
            empty_at.retain(|_, empty_at| *empty_at > now);
        }
        if empty_at.len() < NETWORKS_MAX || empty_at.contains_key(&network) {
            empty_at.insert(network, level + each);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn a_network_has_its_number_for_an_hour() {
        let (rate, begin) = (Rate::new(60), Instant::now());
        let takes = |text: &str, seconds: u64| {
            rate.judge(address(text), begin + Duration::from_secs(seconds)).refusal().is_none()
        };
        assert!((0..60).all(|_| takes("192.0.2.1", 0)));
        assert!(!takes("192.0.2.1", 59), "the number is used up");
        assert!(takes("192.0.2.2", 0), "another address");
        assert!(takes("192.0.2.1", 60) && !takes("192.0.2.1", 60), "one a minute comes free");
        assert_eq!((0..100).filter(|_| takes("192.0.2.1", 7200)).count(), 60, "and all after an hour");
    }

    #[test]
    fn machines_of_this_network_are_not_counted() {
        let (rate, now) = (Rate::new(1), Instant::now());
        assert!((0..5).all(|_| rate.judge(address("192.168.1.7"), now).refusal().is_none()));
    }

    #[test]
    fn a_64_is_one_client() {
        let (rate, now) = (Rate::new(2), Instant::now());
        let takes = |text: &str| rate.judge(address(text), now).refusal().is_none();
        assert!(takes("2001:db8::1") && takes("2001:db8::2") && !takes("2001:db8::3"));
        assert!(takes("2001:db8:0:1::1"));
    }

    #[test]
    fn a_crowd_takes_no_more_memory_than_there_is_for_it() {
        let (rate, now) = (Rate::new(1), Instant::now());
        let network = |number: u32| IpAddr::from(number.to_be_bytes());
        assert!((0..NETWORKS_MAX as u32 + 10).all(|number| rate.take(network(number), now)));
        assert_eq!(rate.empty_at.lock().expect("whole").len(), NETWORKS_MAX);
        assert!(!rate.take(network(0), now), "who is counted stays so");
        rate.take(network(u32::MAX), now + HOUR);
        assert_eq!(rate.empty_at.lock().expect("whole").len(), 1);
    }
}
