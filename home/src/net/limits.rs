//! How many connections may be open at once, in all and per client network.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use super::peer::client_network;

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
    /// At most `most` connections in all, `most_per_network` from one IPv4 address or IPv6 /64.
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
        if here >= self.most_per_network {
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

    #[test]
    fn places_are_limited_and_come_back() {
        let limits = ConnectionLimits::new(3, 2);
        let [a, b, c]: [IpAddr; 3] =
            ["192.0.2.1", "192.0.2.2", "192.0.2.3"].map(|text| text.parse().expect("address"));
        let first = limits.enter(a).expect("room");
        let _second = limits.enter(a).expect("room");
        assert_eq!(limits.enter(a).err(), Some(LimitReached::PerNetwork));
        let _third = limits.enter(b).expect("room");
        assert_eq!(limits.enter(c).err(), Some(LimitReached::Total));
        drop(first);
        assert!(limits.enter(a).is_ok());
    }
}
