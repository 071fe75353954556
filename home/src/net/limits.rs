//! How many connections may be open at once, in all and per client network.
//!
//! A network's share shrinks with the places that are left (the dynamic threshold of Choudhury and Hahne, 1998): some
//! dozens of hoarders then hold each other down before the last place is gone, and who comes with few connections
//! still gets in.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use super::peer::client_network;

/// A network may hold one place for so many that are left.
const LEFT_FOR_EACH: usize = 10;

/// Counts the open connections of one service.
#[derive(Clone, Debug)]
pub struct ConnectionLimits {
    most: usize,
    most_per_network: usize,
    open: Arc<Mutex<Open>>,
}

#[derive(Debug, Default)]
struct Open {
    total: usize,
    per_network: HashMap<IpAddr, usize>,
}

/// A counted connection; dropping it gives the place back.
#[derive(Debug)]
pub struct Place {
    network: IpAddr,
    open: Arc<Mutex<Open>>,
}

/// Which limit a connection would exceed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LimitReached {
    /// Too many connections in all.
    #[error("too many connections")]
    Total,
    /// Too many from this client.
    #[error("too many connections from this client")]
    PerNetwork,
}

impl ConnectionLimits {
    /// At most `most` connections in all, `most_per_network` from one IPv4 address or IPv6 /64; fewer when few are left.
    pub fn new(most: usize, most_per_network: usize) -> ConnectionLimits {
        ConnectionLimits { most, most_per_network, open: Arc::default() }
    }

    /// Takes a place for a client.
    ///
    /// # Errors
    /// The limit that is reached.
    pub fn enter(&self, client: IpAddr) -> Result<Place, LimitReached> {
        let network = client_network(client);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let here = open.per_network.get(&network).copied().unwrap_or(0);
        if open.total >= self.most {
            return Err(LimitReached::Total);
        }
        let share = ((self.most - open.total) / LEFT_FOR_EACH).clamp(1, self.most_per_network);
        if here >= share {
            return Err(LimitReached::PerNetwork);
        }
        open.total += 1;
        open.per_network.insert(network, here + 1);
        Ok(Place { network, open: self.open.clone() })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.total -= 1;
        if let Some(here) = open.per_network.get_mut(&self.network) {
            *here -= 1;
            if *here == 0 {
                open.per_network.remove(&self.network);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(number: usize) -> IpAddr {
        IpAddr::from([198, 51, (number / 256) as u8, (number % 256) as u8])
    }

    #[test]
    fn places_are_limited_and_come_back() {
        let limits = ConnectionLimits::new(100, 2);
        let first = limits.enter(network(1)).expect("room");
        let _second = limits.enter(network(1)).expect("room");
        assert_eq!(limits.enter(network(1)).err(), Some(LimitReached::PerNetwork));
        let mut held: Vec<_> = (2..100).map(|number| limits.enter(network(number)).expect("room")).collect();
        assert_eq!(limits.enter(network(100)).err(), Some(LimitReached::Total));
        held.clear();
        drop(first);
        assert!(limits.enter(network(1)).is_ok());
    }

    #[test]
    fn hoarders_leave_room_for_others() {
        let limits = ConnectionLimits::new(1000, 50);
        let attempts = (0..100_000).filter_map(|number| limits.enter(network(number % 100)).ok());
        let held: Vec<_> = attempts.collect();
        assert!((800..950).contains(&held.len()), "{} are held", held.len());
        let _first = limits.enter(network(1000)).expect("room");
        assert!(limits.enter(network(1000)).is_ok());
    }
}
