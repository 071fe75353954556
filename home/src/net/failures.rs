//! Failed logins, counted per client network, so that guessing becomes slow for the guesser alone.
//!
//! Each failure of a network doubles the wait before its next answer, up to [`LONGEST`]; an hour without failures
//! forgets them. SMTP, IMAP and POP3 share one count. Kept in memory. Who fails so often that waiting is not enough is reported
//! to be [banned](crate::bans).

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use super::peer::client_network;
use crate::bans::Evidence;

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
pub struct LoginFailures {
    networks: Arc<Mutex<HashMap<IpAddr, Failures>>>,
    evidence: Option<Evidence>,
}

#[derive(Clone, Copy, Debug)]
struct Failures {
    count: u32,
    last: Instant,
}

impl LoginFailures {
    /// A count that reports who fails too often.
    pub fn reporting(evidence: Option<Evidence>) -> Self {
        Self { networks: Arc::default(), evidence }
    }

    /// Counts a failure and says how long to wait before answering it.
    pub fn count(&self, client: IpAddr, now: Instant) -> Duration {
        let mut networks = self.networks.lock().unwrap_or_else(PoisonError::into_inner);
        if networks.len() >= MOST_NETWORKS {
            networks.retain(|_, failures| now.saturating_duration_since(failures.last) < MEMORY);
        }
        if networks.len() >= MOST_NETWORKS && !networks.contains_key(&client_network(client)) {
            return LONGEST;
        }
        let failures = networks.entry(client_network(client)).or_insert(Failures { count: 0, last: now });
        if now.saturating_duration_since(failures.last) >= MEMORY {
            failures.count = 0;
        }
        failures.last = now;
        failures.count = failures.count.saturating_add(1);
        self.report(client, failures.count);
        SHORTEST.saturating_mul(1 << (failures.count - 1).min(10)).min(LONGEST)
    }

    /// Reports at each multiple of the limit: whose ban has ended begins anew.
    fn report(&self, client: IpAddr, count: u32) {
        if let Some(Evidence { failures, report }) = &self.evidence
            && count.is_multiple_of(*failures)
        {
            // A full channel means that others are being banned; the next failures report again.
            let _ = report.try_send(client);
        }
    }

    /// Forgets the failures of a client that has proved itself.
    pub fn forget(&self, client: IpAddr) {
        self.networks.lock().unwrap_or_else(PoisonError::into_inner).remove(&client_network(client));
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

    #[test]
    fn who_fails_too_often_is_reported_and_who_proves_himself_begins_anew() {
        let (report, mut reported) = tokio::sync::mpsc::channel(4);
        let failures = LoginFailures::reporting(Some(Evidence { failures: 3, report }));
        let (client, other): (IpAddr, IpAddr) =
            ("192.0.2.1".parse().expect("address"), "192.0.2.2".parse().expect("address"));
        let now = Instant::now();
        for _ in 0..2 {
            failures.count(client, now);
            failures.count(other, now);
        }
        failures.forget(other);
        failures.count(other, now);
        assert!(reported.try_recv().is_err());
        failures.count(client, now);
        assert_eq!(reported.try_recv(), Ok(client));
    }
}
