//! DNS over TCP, for few clients at once.
//!
//! In: connections, on which every message has its length before it (RFC 1035 §4.2.2). Out: the answers, in order.
//! Refused: connections above [`MOST`], or [`MOST_PER_NETWORK`] from one client network (RFC 7766 §6.2.2): they are
//! closed at once. Silence, a message that comes too slowly, and one that cannot be answered end a connection.
//!
//! The transport is ours because hickory's accepts without a limit, and turns without a pause when no descriptor is
//! left; what is said over it is the same.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hickory_server::net::xfer::Protocol;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::handler::{SharedZones, respond};

/// Connections at once, on all listening addresses.
pub const MOST: usize = 512;

/// Connections at once from one IPv4 address or IPv6 /64.
pub const MOST_PER_NETWORK: usize = 16;

/// How long a client may take for a whole query, or for an answer (RFC 7766 §6.2.3).
const PATIENCE: Duration = Duration::from_secs(10);

/// The open connections of each client network.
#[derive(Debug, Clone, Default)]
pub(super) struct Places(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// A counted connection; dropping it gives the place back.
#[derive(Debug)]
struct Place {
    network: IpAddr,
    places: Places,
}

/// Accepts and answers until the future is dropped.
pub(super) async fn serve(listener: TcpListener, zones: SharedZones, places: Places) {
    let mut connections = JoinSet::new();
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                if let Some(place) = places.enter(peer.ip()) {
                    connections.spawn(converse(stream, zones.clone(), place));
                }
            }
            Err(error) => {
                tracing::warn!(%error, "dns connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
        while connections.try_join_next().is_some() {}
    }
}

async fn converse(mut stream: TcpStream, zones: SharedZones, _place: Place) {
    while let Ok(Ok(message)) = timeout(PATIENCE, read_message(&mut stream)).await {
        let Some(answer) = respond(message, Protocol::Tcp, &zones.current()) else { return };
        match timeout(PATIENCE, write_message(&mut stream, &answer)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => return,
        }
    }
}

async fn read_message(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut message = vec![0; stream.read_u16().await?.into()];
    stream.read_exact(&mut message).await?;
    Ok(message)
}

/// Length and message in one segment (RFC 7766 §8).
async fn write_message(stream: &mut TcpStream, message: &[u8]) -> io::Result<()> {
    let length = u16::try_from(message.len()).map_err(io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes(), message].concat()).await
}

impl Places {
    /// A place for a client, if there is one left.
    fn enter(&self, client: IpAddr) -> Option<Place> {
        let network = client_network(client);
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let here = open.get(&network).copied().unwrap_or(0);
        if here >= MOST_PER_NETWORK || open.values().sum::<usize>() >= MOST {
            return None;
        }
        open.insert(network, here + 1);
        Some(Place { network, places: self.clone() })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.places.0.lock().unwrap_or_else(PoisonError::into_inner);
        match open.get_mut(&self.network) {
            Some(here) if *here > 1 => *here -= 1,
            _ => drop(open.remove(&self.network)),
        }
    }
}

/// What one client is taken to own: the address itself in IPv4, its /64 in IPv6.
fn client_network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)).into(),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_network_has_its_share_and_gets_it_back() {
        let places = Places::default();
        let same_64 = |number: usize| client(&format!("2001:db8::{number:x}"));
        let mut held: Vec<_> = (0..MOST_PER_NETWORK).map(|number| places.enter(same_64(number))).collect();
        assert!(held.iter().all(Option::is_some));
        assert!(places.enter(same_64(MOST_PER_NETWORK)).is_none());
        assert!(places.enter(client("2001:db8:0:1::1")).is_some());
        held.pop();
        assert!(places.enter(same_64(0)).is_some());
        held.clear();
        assert!(places.0.lock().unwrap().is_empty());
    }

    #[test]
    fn all_networks_together_have_a_limit() {
        let places = Places::default();
        let other = |number: usize| client(&format!("198.51.{}.{}", number / 256, number % 256));
        let held: Vec<_> = (0..MOST).map_while(|number| places.enter(other(number))).collect();
        assert_eq!(held.len(), MOST);
        assert!(places.enter(client("192.0.2.1")).is_none());
    }
}
