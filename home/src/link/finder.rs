//! Where the edge is: the addresses of its name, and which of them is tried.
//!
//! In: the endpoint of the join code, the passing of time while the edge is not heard. Out: one address after the other,
//! the name looked up anew with each turn, since an edge may have moved. A look-up runs beside everything else, and where
//! it fails the addresses known so far are tried on.

use std::net::SocketAddr;
use std::time::Duration;

use postern_shared::join_code::{Endpoint, Host};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::LinkError;

/// How long one address is tried before the next has its turn: at first, and later.
const TURN: [Duration; 2] = [Duration::from_secs(2), Duration::from_secs(10)];

/// After how many turns they become longer.
const QUICK_TURNS: usize = 30;

/// The search for one edge.
#[derive(Debug, Default)]
pub struct Finder {
    endpoint: Option<Endpoint>,
    known: Vec<SocketAddr>,
    /// Which of the addresses is tried, counted on for ever.
    attempt: usize,
    /// Turns since the edge was heard.
    turns: usize,
    last_turn: Option<Instant>,
    lookup: Option<JoinHandle<Result<Vec<SocketAddr>, LinkError>>>,
}

impl Finder {
    /// Looks an endpoint up, beginning with its `first` address.
    pub fn begin(&mut self, endpoint: &Endpoint, first: usize, now: Instant) {
        if self.endpoint.as_ref() != Some(endpoint) {
            *self = Self { endpoint: Some(endpoint.clone()), ..Self::default() };
        }
        self.attempt = first;
        self.last_turn = Some(now);
        self.look_up();
    }

    /// The address to try now; `None` before the first look-up has succeeded.
    pub fn current(&self) -> Option<SocketAddr> {
        self.known.get(self.attempt.checked_rem(self.known.len())?).copied()
    }

    /// Which of the addresses is tried.
    pub fn attempt(&self) -> usize {
        self.attempt
    }

    /// The edge is heard: the next search begins with where it is.
    pub fn rest(&mut self) {
        self.turns = 0;
    }

    /// While the edge is not heard: goes to the next address where it is time for that, after one more try of the first,
    /// which may only have been away for a moment.
    pub fn take_turn(&mut self, now: Instant) {
        let pause = if self.turns < QUICK_TURNS { TURN[0] } else { TURN[1] };
        if self.last_turn.is_some_and(|last| now.duration_since(last) < pause) {
            return;
        }
        self.attempt = self.attempt.wrapping_add(usize::from(self.turns > 0));
        self.turns += 1;
        self.last_turn = Some(now);
        self.look_up();
    }

    fn look_up(&mut self) {
        if let (None, Some(endpoint)) = (&self.lookup, self.endpoint.clone()) {
            self.lookup = Some(tokio::spawn(async move { resolve(&endpoint).await }));
        }
    }

    /// Completes when a look-up has ended; never while none is under way.
    ///
    /// # Errors
    /// Where the name has no address now; those known before stay.
    pub async fn found(&mut self) -> Result<(), LinkError> {
        let Some(lookup) = &mut self.lookup else { return std::future::pending().await };
        let found = lookup.await;
        self.lookup = None;
        // The look-up neither panics nor is it aborted while this waits.
        if let Ok(found) = found {
            self.known = found?;
        }
        Ok(())
    }
}

/// All addresses of an endpoint, at least one.
pub async fn resolve(endpoint: &Endpoint) -> Result<Vec<SocketAddr>, LinkError> {
    let name = match &endpoint.host {
        Host::Address(address) => return Ok(vec![(*address, endpoint.port).into()]),
        Host::Name(name) => name,
    };
    let unresolvable = |source| LinkError::Unresolvable { name: name.clone(), source };
    let found: Vec<SocketAddr> =
        tokio::net::lookup_host((name.as_str(), endpoint.port)).await.map_err(unresolvable)?.collect();
    if found.is_empty() {
        return Err(unresolvable(std::io::Error::other("the name has no address")));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finder(addresses: &[&str]) -> Finder {
        let known = addresses.iter().map(|address| address.parse().unwrap()).collect();
        Finder { known, ..Finder::default() }
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn every_address_has_its_turn_and_the_first_one_more() {
        let mut finder = finder(&["[2001:db8::1]:1", "192.0.2.1:1"]);
        let start = Instant::now();
        let tried: Vec<bool> = (0..8)
            .map(|second| {
                finder.take_turn(start + second * SECOND);
                finder.current().unwrap().is_ipv6()
            })
            .collect();
        assert_eq!(tried, [true, true, false, false, true, true, false, false]);
        finder.rest();
        let reached = finder.current();
        finder.take_turn(start + 60 * SECOND);
        assert_eq!(finder.current(), reached, "the edge was there last");
    }

    #[test]
    fn turns_become_longer_and_never_end() {
        let mut finder = finder(&["192.0.2.1:1", "192.0.2.2:1"]);
        let start = Instant::now();
        (0..600).for_each(|second| finder.take_turn(start + second * SECOND));
        assert!((80..90).contains(&finder.turns), "{}", finder.turns);
    }

    #[tokio::test]
    async fn an_address_needs_no_resolver() {
        let mut finder = Finder::default();
        assert_eq!(finder.current(), None);
        finder.begin(&"192.0.2.1:51820".parse().unwrap(), 3, Instant::now());
        finder.found().await.unwrap();
        assert_eq!(finder.current(), Some("192.0.2.1:51820".parse().unwrap()));
    }
}
