//! Failed logins, counted per client network, so that guessing becomes slow for the guesser alone.
//!
//! Each failure of a network doubles the wait before its next answer, up to [`LONGEST`]; an hour without failures
//! forgets them. SMTP and IMAP share one count. Kept in memory.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use super::peer::client_network;

/// The longest wait.
pub const LONGEST: Duration = Duration::from_secs(30);
/// The first wait.
const SHORTEST: Duration = Duration::from_millis(500);
/// How long a failure is remembered.
const MEMORY: Duration = Duration::from_secs(3600);
/// Networks remembered at once.
const MOST_NETWORKS: usize = 10_000;

/// The count of failed logins.
#[derive(Clone, Debug, Default)]
pub struct LoginFailures(Arc<Mutex<HashMap<IpAddr, Failures>>>);

#[derive(Clone, Copy, Debug)]
struct Failures {
    count: u32,
    last: Instant,
}

impl LoginFailures {
    /// Counts a failure and says how long to wait before answering it.
    pub fn count(&self, client: IpAddr, now: Instant) -> Duration {
        let mut networks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if networks.len() >= MOST_NETWORKS {
            networks.retain(|_, failures| now.saturating_duration_since(failures.last) < MEMORY);
        }
        if networks.len() >= MOST_NETWORKS {
            return LONGEST;
        }
        let failures = networks.entry(client_network(client)).or_insert(Failures { count: 0, last: now });
        if now.saturating_duration_since(failures.last) >= MEMORY {
            failures.count = 0;
        }
        failures.last = now;
        failures.count = failures.count.saturating_add(1);
        SHORTEST.saturating_mul(1 << (failures.count - 1).min(10)).min(LONGEST)
    }

    /// Forgets the failures of a client that has proved itself.
    pub fn forget(&self, client: IpAddr) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&client_network(client));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_end_and_are_forgotten() {
        let failures = LoginFailures::default();
        let client: IpAddr = "192.0.2.1".parse().expect("address");
        let mut now = Instant::now();
        let waits: Vec<u128> = (0..8).map(|_| failures.count(client, now).as_millis()).collect();
        assert_eq!(waits, [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]);
        now += MEMORY;
        assert_eq!(failures.count(client, now), SHORTEST);
        failures.forget(client);
        assert_eq!(failures.count(client, now), SHORTEST);
    }
}
