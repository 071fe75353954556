//! Networks whose mail was taken in the last two months: they do not wait for the greeting, and are never asked to come again.
//!
//! In: clients whose mail was taken. Out: whether a client is a regular. Kept in memory and, once a day for each network,
//! written down. Refused: nothing; [`MOST`] are kept in memory, and who comes when it is full is not remembered before the
//! next start.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use postern_store::Result;
use postern_store::senders::{MOST_ROWS, Senders};

use crate::net::client_network;

/// Days for which a network is a regular after its last message.
const MEMORY_DAYS: u64 = 60;
/// Networks in memory.
const MOST: usize = MOST_ROWS as usize;
const SECONDS_A_DAY: u64 = 86_400;

/// The regulars; cheap to clone.
#[derive(Debug, Clone)]
pub struct Regulars {
    senders: Senders,
    /// The last day of each, since 1970.
    days: Arc<Mutex<HashMap<IpAddr, u64>>>,
}

impl Regulars {
    /// Reads those that were written down.
    ///
    /// # Errors
    /// `Temporary`
    pub fn open(senders: Senders) -> Result<Self> {
        let written = senders.regulars()?.into_iter();
        let days = written.filter_map(|(network, day)| Some((network.parse().ok()?, day))).collect();
        Ok(Self { senders, days: Arc::new(Mutex::new(days)) })
    }

    /// Whether mail of this client was taken lately; `now` in seconds since 1970.
    pub fn knows(&self, client: IpAddr, now: u64) -> bool {
        let days = self.days.lock().unwrap_or_else(PoisonError::into_inner);
        let last = days.get(&client_network(client)).copied();
        last.is_some_and(|last| last + MEMORY_DAYS >= now / SECONDS_A_DAY)
    }

    /// Notes that mail of this client was taken.
    pub fn welcome(&self, client: IpAddr, now: u64) {
        let (network, today) = (client_network(client), now / SECONDS_A_DAY);
        let mut days = self.days.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = days.get(&network) != Some(&today);
        if is_new && (days.len() < MOST || days.contains_key(&network)) {
            days.insert(network, today);
            self.senders.welcome(network.to_string(), today);
        }
    }

    /// What else is remembered of senders.
    pub fn senders(&self) -> &Senders {
        &self.senders
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_stays_a_regular_for_two_months_and_over_a_start() {
        let state_dir = tempfile::tempdir().expect("temporary directory");
        let open = || Regulars::open(Senders::open(state_dir.path()).expect("opened")).expect("read");
        let client: IpAddr = "2001:db8:1:2::7".parse().expect("an address");
        let now = 20_000 * SECONDS_A_DAY;
        let regulars = open();
        assert!(!regulars.knows(client, now));
        regulars.welcome(client, now);
        drop(regulars);
        let regulars = open();
        assert!(regulars.knows("2001:db8:1:2::8".parse().expect("an address"), now));
        assert!(!regulars.knows("2001:db8:1:3::8".parse().expect("an address"), now));
        assert!(regulars.knows(client, now + 60 * SECONDS_A_DAY));
        assert!(!regulars.knows(client, now + 61 * SECONDS_A_DAY));
    }
}
