//! DNS over TCP: many queries on one connection, many connections, little memory for each.
//!
//! In: connections, on which every message has its length before it (RFC 1035 §4.2.2). Out: the answers, in order; those
//! to queries that came together leave together (RFC 7766 §6.2.1.1); zone transfers go by [`outgoing`](super::outgoing). Refused: more than [`MOST_PER_NETWORK`] connections
//! from one client network (RFC 7766 §6.2.2): they are closed at once. Silence, a message that comes too slowly, one
//! longer than [`LONGEST_QUERY`] and one that cannot be answered end a connection. When all [`MOST`] places are taken, a new client gets that of the one that
//! has been silent longest (RFC 7766 §6.2.3), so that idle connections keep nobody out.
//!
//! The transport is ours because hickory's accepts without a limit, and turns without a pause when no descriptor is
//! left; what is said over it is the same.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout;

use super::Shared;
use super::outgoing::Placed;
use super::respond::{Asker, Transport, respond};

/// Connections at once, on all listening addresses.
pub const MOST: usize = 2500;

/// Connections at once from one IPv4 address or IPv6 /64.
pub const MOST_PER_NETWORK: usize = 16;

/// How long a client may take for a whole query, or to take an answer (RFC 7766 §6.2.3).
const PATIENCE: Duration = Duration::from_secs(10);

/// Octets of answers that are gathered before they are sent.
const GATHERED: usize = 16 << 10;

/// The longest query, octets, as over UDP; no client needs more.
const LONGEST_QUERY: u16 = 4096;

/// Octets read at once; a longer message makes the buffer grow.
const READ: usize = 2048;

/// The open connections.
#[derive(Debug, Clone, Default)]
pub(super) struct Places(Arc<Mutex<Open>>);

#[derive(Debug, Default)]
struct Open {
    /// How many each client network has.
    networks: HashMap<IpAddr, usize>,
    /// By when they were last heard, the most silent first: a count of events, not a time.
    by_silence: BTreeMap<u64, Option<AbortHandle>>,
    events: u64,
}

/// A counted connection; dropping it gives the place back.
#[derive(Debug)]
struct Place {
    network: IpAddr,
    heard: u64,
    places: Places,
}

/// Accepts and answers until the future is dropped.
pub(super) async fn serve(listener: TcpListener, shared: Shared, places: Places) {
    let mut connections = JoinSet::new();
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                if let Some(place) = places.enter(peer.ip()) {
                    let (places, number) = (places.clone(), place.heard);
                    let task = connections.spawn(converse(stream, peer.ip(), shared.clone(), place));
                    places.may_end(number, task);
                }
            }
            // Most likely no descriptor is left, with fewer than MOST connections; the client waits in the backlog.
            Err(_) if places.lock().make_room() => tokio::time::sleep(Duration::from_millis(5)).await,
            Err(error) => {
                tracing::warn!(%error, "dns connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
        while connections.try_join_next().is_some() {}
    }
}

/// Answers what comes until the client leaves, keeps silent, or sends what cannot be answered.
async fn converse(mut stream: TcpStream, client: IpAddr, shared: Shared, mut place: Place) {
    let asker = Asker { address: client, transport: Transport::Tcp };
    let mut input = Vec::new();
    while let Ok(Ok(())) = timeout(PATIENCE, read_message(&mut stream, &mut input)).await {
        place.was_heard();
        let mut rest = input.as_slice();
        let mut output = Vec::new();
        while let Some((message, behind)) = split_message(rest) {
            rest = behind;
            if let Some(transfer) = begin_transfer(message, asker, &shared) {
                let before = timeout(PATIENCE, stream.write_all(&output)).await;
                output.clear();
                let sent = transfer.send(&mut stream, &shared.secondaries, || place.was_heard()).await;
                if !matches!((before, sent), (Ok(Ok(())), Ok(()))) {
                    return;
                }
                continue;
            }
            if answer(message, asker, &shared, &mut output).is_none() {
                return;
            }
            if output.len() >= GATHERED {
                match timeout(PATIENCE, stream.write_all(&output)).await {
                    Ok(Ok(())) => output.clear(),
                    Ok(Err(_)) | Err(_) => return,
                }
            }
        }
        let done = input.len() - rest.len();
        input.drain(..done);
        if !matches!(timeout(PATIENCE, stream.write_all(&output)).await, Ok(Ok(()))) {
            return;
        }
        // An idle connection holds no buffer.
        if input.is_empty() {
            input = Vec::new();
        }
    }
}

/// Reads until at least one whole message stands in `input`.
async fn read_message(stream: &mut TcpStream, input: &mut Vec<u8>) -> io::Result<()> {
    if input.is_empty() {
        stream.readable().await?;
    }
    while split_message(input).is_none() {
        if input.first_chunk().is_some_and(|length| u16::from_be_bytes(*length) > LONGEST_QUERY) {
            return Err(io::ErrorKind::InvalidData.into());
        }
        input.reserve(READ);
        if stream.read_buf(input).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(())
}

/// The first message, and what is behind it.
fn split_message(octets: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = octets.split_first_chunk()?;
    rest.split_at_checked(u16::from_be_bytes(*length).into())
}

fn begin_transfer(message: &[u8], asker: Asker, shared: &Shared) -> Option<Placed> {
    let zones = shared.zones.current();
    shared.outgoing.begin(message, asker, &shared.context(&zones))
}

/// Appends the answer and its length, which leave in one segment (RFC 7766 §8).
fn answer(message: &[u8], asker: Asker, shared: &Shared, output: &mut Vec<u8>) -> Option<()> {
    let zones = shared.zones.current();
    let mut answer = Vec::new();
    respond(message, asker, &shared.context(&zones), &mut answer)?;
    output.extend_from_slice(&u16::try_from(answer.len()).ok()?.to_be_bytes());
    output.extend_from_slice(&answer);
    Some(())
}

impl Places {
    /// A place for a client, unless its network has all of its share. Where there is none left, the most silent client
    /// loses its own.
    fn enter(&self, client: IpAddr) -> Option<Place> {
        let network = client_network(client);
        let mut open = self.lock();
        let here = open.networks.get(&network).copied().unwrap_or(0);
        if here >= MOST_PER_NETWORK {
            return None;
        }
        if open.by_silence.len() >= MOST {
            open.make_room();
        }
        open.networks.insert(network, here + 1);
        open.events += 1;
        let heard = open.events;
        open.by_silence.insert(heard, None);
        Some(Place { network, heard, places: self.clone() })
    }

    /// Says which task to end where the place that was entered as `number` is wanted.
    fn may_end(&self, number: u64, task: AbortHandle) {
        if let Some(place) = self.lock().by_silence.get_mut(&number) {
            *place = Some(task);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Open> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    /// Ends the most silent connection, if there is one. Its task gives the share of its network back.
    fn make_room(&mut self) -> bool {
        let task = self.by_silence.pop_first().and_then(|(_, task)| task);
        task.inspect(AbortHandle::abort).is_some()
    }
}

impl Place {
    fn was_heard(&mut self) {
        let mut open = self.places.lock();
        if let Some(task) = open.by_silence.remove(&self.heard) {
            open.events += 1;
            self.heard = open.events;
            open.by_silence.insert(self.heard, task);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.places.lock();
        open.by_silence.remove(&self.heard);
        match open.networks.get_mut(&self.network) {
            Some(here) if *here > 1 => *here -= 1,
            _ => drop(open.networks.remove(&self.network)),
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
        assert!(places.lock().networks.is_empty() && places.lock().by_silence.is_empty());
    }

    #[tokio::test]
    async fn the_most_silent_makes_room() {
        let places = Places::default();
        let other = |number: usize| client(&format!("198.51.{}.{}", number / 256, number % 256));
        let mut held: Vec<_> = (0..MOST).map_while(|number| places.enter(other(number))).collect();
        assert_eq!(held.len(), MOST);
        let tasks: Vec<_> = (0..2).map(|_| tokio::spawn(std::future::pending::<()>())).collect();
        for (place, task) in held.iter().zip(&tasks) {
            places.may_end(place.heard, task.abort_handle());
        }
        held[0].was_heard();
        assert!(places.enter(client("192.0.2.1")).is_some());
        let mut tasks = tasks.into_iter();
        let (first, second) = (tasks.next().unwrap(), tasks.next().unwrap());
        assert!(second.await.unwrap_err().is_cancelled());
        assert!(!first.is_finished());
        assert!(places.lock().by_silence.len() <= MOST);
    }

    #[test]
    fn messages_are_split_by_their_lengths() {
        let octets = [0, 2, 7, 8, 0, 0, 0, 1];
        let (first, rest) = split_message(&octets).unwrap();
        let (second, rest) = split_message(rest).unwrap();
        assert_eq!((first, second, split_message(rest)), (&[7, 8][..], &[][..], None));
    }
}
