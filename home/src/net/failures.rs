//! Failed logins, counted per client network, so that guessing becomes slow for the guesser alone.
//!
//! Each failure of a network doubles the wait before its next answer, up to [`LONGEST`]; an hour without failures
//! forgets them, and who proves to be a user takes back the failures under that user's name, but no others: else a guesser
//! with an account of his own would begin anew whenever he logs in. SMTP, IMAP and POP3 share one count. Kept in memory. Who
//! fails so often that waiting is not enough is reported to be [banned](crate::bans).

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
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

/// Names of one network whose failures can be taken back; more are counted, but for good.
const MOST_LOGINS: usize = 16;

/// The count of failed logins.
#[derive(Clone, Debug, Default)]
pub struct LoginFailures {
    networks: Arc<Mutex<HashMap<IpAddr, Failures>>>,
    /// A name is kept as a number that its sender cannot choose.
    names: RandomState,
    evidence: Option<Evidence>,
}

#[derive(Debug)]
struct Failures {
    count: u32,
    /// How many of them are under which name.
    by_login: Vec<(u64, u32)>,
    last: Instant,
}

impl LoginFailures {
    /// A count that reports who fails too often.
    pub fn reporting(evidence: Option<Evidence>) -> Self {
        Self { evidence, ..Self::default() }
    }

    /// Counts a failure under a name, and says how long to wait before answering it.
    pub fn count(&self, client: IpAddr, login: &str, now: Instant) -> Duration {
        let mut networks = self.networks.lock().unwrap_or_else(PoisonError::into_inner);
        if networks.len() >= MOST_NETWORKS {
            networks.retain(|_, failures| now.saturating_duration_since(failures.last) < MEMORY);
        }
        if networks.len() >= MOST_NETWORKS && !networks.contains_key(&client_network(client)) {
            return LONGEST;
        }
        let failures = networks.entry(client_network(client)).or_insert_with(|| Failures::none(now));
        if now.saturating_duration_since(failures.last) >= MEMORY {
            *failures = Failures::none(now);
        }
        failures.add(self.name(login), now);
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

    /// Forgets the failures of a client under the name that it has proved to bear.
    pub fn forget(&self, client: IpAddr, login: &str) {
        let mut networks = self.networks.lock().unwrap_or_else(PoisonError::into_inner);
        let network = client_network(client);
        if let Some(failures) = networks.get_mut(&network) {
            failures.take_back(self.name(login));
            if failures.count == 0 {
                networks.remove(&network);
            }
        }
    }

    fn name(&self, login: &str) -> u64 {
        self.names.hash_one(login.to_lowercase())
    }
}

impl Failures {
    fn none(now: Instant) -> Failures {
        Failures { count: 0, by_login: Vec::new(), last: now }
    }

    fn add(&mut self, name: u64, now: Instant) {
        self.last = now;
        self.count = self.count.saturating_add(1);
        if let Some((_, count)) = self.by_login.iter_mut().find(|(known, _)| *known == name) {
            *count = count.saturating_add(1);
        } else if self.by_login.len() < MOST_LOGINS {
            self.by_login.push((name, 1));
        }
    }

    fn take_back(&mut self, name: u64) {
        if let Some(at) = self.by_login.iter().position(|(known, _)| *known == name) {
            self.count = self.count.saturating_sub(self.by_login.swap_remove(at).1);
        }
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
        let waits: Vec<u128> = (0..8).map(|_| failures.count(client, "ana", now).as_millis()).collect();
        assert_eq!(waits, [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]);
        now += MEMORY;
        assert_eq!(failures.count(client, "ana", now), SHORTEST);
        failures.forget(client, "Ana");
        assert_eq!(failures.count(client, "ana", now), SHORTEST);
    }

    #[test]
    fn who_fails_too_often_is_reported_and_who_proves_himself_begins_anew() {
        let (report, mut reported) = tokio::sync::mpsc::channel(4);
        let failures = LoginFailures::reporting(Some(Evidence { failures: 3, report }));
        let (client, other): (IpAddr, IpAddr) =
            ("192.0.2.1".parse().expect("address"), "192.0.2.2".parse().expect("address"));
        let now = Instant::now();
        for _ in 0..2 {
            failures.count(client, "ana", now);
            failures.count(other, "ana", now);
        }
        failures.forget(other, "ana");
        failures.count(other, "ana", now);
        assert!(reported.try_recv().is_err());
        failures.count(client, "ana", now);
        assert_eq!(reported.try_recv(), Ok(client));
    }

    #[test]
    fn a_good_login_between_guesses_forgives_no_guess() {
        let (report, mut reported) = tokio::sync::mpsc::channel(4);
        let failures = LoginFailures::reporting(Some(Evidence { failures: 3, report }));
        let client: IpAddr = "192.0.2.1".parse().expect("address");
        let now = Instant::now();
        for guess in 0..3 {
            assert_eq!(failures.count(client, "ana", now), SHORTEST * (1 << guess));
            failures.count(client, "mallory", now);
            failures.forget(client, "mallory");
        }
        assert_eq!(reported.try_recv(), Ok(client));
    }

    #[test]
    fn names_beyond_those_remembered_count_all_the_same() {
        let failures = LoginFailures::default();
        let client: IpAddr = "192.0.2.1".parse().expect("address");
        let now = Instant::now();
        for name in 0..1000 {
            failures.count(client, &name.to_string(), now);
        }
        assert_eq!(failures.count(client, "ana", now), LONGEST);
        let networks = failures.networks.lock().expect("the only holder");
        assert!(networks.values().all(|failures| failures.by_login.len() == MOST_LOGINS));
    }
}
