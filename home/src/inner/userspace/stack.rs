//! The TCP/IP stack: packets in, packets out, no sockets of the system and no clock.
//!
//! In: packets from the tunnel, the passing of time, wanted connections. Out: packets behind empty virtio-net headers
//! ([`Port`]), streams of accepted connections. Refused with a reset: connections to ports that nobody listens on;
//! silently: SYNs above [`MOST_FLOWS`], and the oldest half-open connections above [`MOST_HALF_OPEN`], so that a flood of
//! SYNs neither takes memory without end nor keeps out a peer that completes its handshake at once. Fragments and
//! everything but TCP and ICMP echo are dropped.
//!
//! TCP is smoltcp's, which looks through all sockets of a set for every packet. So each connection is a set of its own,
//! found by its ends in a table, and touched only when a packet, its timer or its stream asks for it.
//!
//! Implements RFC 9293 by smoltcp, with RFC 9438 (CUBIC). Deviates: a sender without selective acknowledgements (RFC 6675),
//! which recovers from one loss a round trip; no path MTU discovery of its own (RFC 1191, RFC 8201).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use smoltcp::iface::{Config, Interface, SocketSet};
use smoltcp::socket::tcp::State;
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{HardwareAddress, IpCidr};
use tokio::sync::mpsc;

use super::flow::{Bell, Flow, endpoint};
use super::port::Port;
use super::segment::{Ends, Segment, parse};
use super::stream::Stream;

/// Connections at once. With all their buffers full they take 1 GiB; idle ones take some 20 kB each.
const MOST_FLOWS: usize = 2048;

/// Connections at once whose handshake is not complete.
const MOST_HALF_OPEN: usize = 1024;

/// The ports of connections that home opens (RFC 6335 §6).
const EPHEMERAL: std::ops::RangeInclusive<u16> = 49_152..=65_535;

/// The shortest time between two turns of a connection that has had all that it wanted.
const PAUSE: Duration = Duration::from_millis(1);

/// The least MTU that TCP works with here, octets (RFC 8200 §5).
const LEAST_MTU: u16 = 1280;

/// The stack.
pub struct Stack {
    port: Port,
    interface: Interface,
    addresses: Vec<IpAddr>,
    flows: HashMap<Ends, Arc<Flow>>,
    half_open: BTreeMap<u64, Ends>,
    opened: u64,
    deadlines: BTreeSet<(Instant, Ends)>,
    listeners: HashMap<u16, mpsc::Sender<Stream>>,
    bell: Arc<Bell>,
}

impl Stack {
    /// A stack without addresses.
    ///
    /// # Errors
    /// When there are no random numbers.
    pub fn new(now: Instant) -> io::Result<Self> {
        let mut port = Port::new(LEAST_MTU.into());
        let interface = interface(&mut port, &[], now)?;
        Ok(Self {
            port,
            interface,
            addresses: Vec::new(),
            flows: HashMap::new(),
            half_open: BTreeMap::new(),
            opened: 0,
            deadlines: BTreeSet::new(),
            listeners: HashMap::new(),
            bell: Arc::default(),
        })
    }

    /// What streams ring when they want the stack's attention.
    pub fn bell(&self) -> Arc<Bell> {
        Arc::clone(&self.bell)
    }

    /// Where the packets go out.
    pub fn port(&mut self) -> &mut Port {
        &mut self.port
    }

    /// Sets the MTU, in octets.
    pub fn set_mtu(&mut self, mtu: u16, now: Instant) -> io::Result<()> {
        self.port.set_mtu(mtu.max(LEAST_MTU).into());
        self.renew_interface(now)
    }

    /// Has exactly these addresses from now on; connections of others end.
    pub fn set_addresses(&mut self, addresses: Vec<IpAddr>, now: Instant) -> io::Result<()> {
        self.addresses = addresses;
        self.renew_interface(now)?;
        let is_lost = |flow: &&Arc<Flow>| !self.addresses.contains(&flow.ends.local.ip());
        let lost: Vec<_> = self.flows.values().filter(is_lost).cloned().collect();
        lost.iter().for_each(|flow| self.turn(flow, now));
        Ok(())
    }

    /// Gives accepted connections of a port into a queue; what does not fit into it is refused.
    pub fn listen(&mut self, port: u16, queue: mpsc::Sender<Stream>) {
        self.listeners.insert(port, queue);
    }

    /// Begins a connection; the stream tells when it is open.
    ///
    /// # Errors
    /// `AddrNotAvailable` where `source` is not ours, and when there are no ports or random numbers.
    pub fn connect(&mut self, source: IpAddr, server: SocketAddr, now: Instant) -> io::Result<Stream> {
        if !self.addresses.contains(&source) {
            return Err(io::ErrorKind::AddrNotAvailable.into());
        }
        let ends = self.free_ends(source, server)?;
        self.renew_interface(now)?;
        let flow = Flow::new(ends, None, now);
        let begun =
            flow.lock().socket().connect(self.interface.context(), endpoint(server), endpoint(ends.local));
        begun.map_err(|_| io::ErrorKind::InvalidInput)?;
        self.flows.insert(ends, Arc::clone(&flow));
        self.turn(&flow, now);
        Ok(Stream::new(flow, self.bell()))
    }

    /// Takes a packet from the tunnel.
    pub fn handle_packet(&mut self, packet: &[u8], now: Instant) {
        if packet.is_empty() {
            return;
        }
        self.port.put(packet);
        match parse(packet) {
            Some(segment) => self.handle_segment(segment, now),
            None => self.handle_stray(now),
        }
        self.port.discard();
    }

    /// Gives the streams that have rung their turn.
    pub fn handle_rings(&mut self, now: Instant) {
        for ends in self.bell.take() {
            if let Some(flow) = self.flows.get(&ends).cloned() {
                self.turn(&flow, now);
            }
        }
    }

    /// Gives one connection whose time has come its turn; tells whether there was one.
    pub fn handle_timeout(&mut self, now: Instant) -> bool {
        let due = self.deadlines.first().copied().filter(|(deadline, _)| *deadline <= now);
        let Some((deadline, ends)) = due.filter(|_| !self.port.is_full()) else { return false };
        if let Some(flow) = self.flows.get(&ends).cloned() {
            self.turn(&flow, now);
        } else {
            self.deadlines.remove(&(deadline, ends));
        }
        true
    }

    /// When to call [`handle_timeout`](Self::handle_timeout) next.
    pub fn next_timeout(&self) -> Option<Instant> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    /// How many connections there are.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.flows.len()
    }

    fn handle_segment(&mut self, segment: Segment, now: Instant) {
        let known = self.flows.get(&segment.ends).cloned();
        match known.filter(|flow| !(segment.opens && is_over(flow))) {
            Some(flow) => {
                flow.lock().hear(now);
                self.turn(&flow, now);
            }
            None if segment.opens && self.is_served(segment.ends.local) => self.accept(segment.ends, now),
            None => self.handle_stray(now),
        }
    }

    /// A reset or an echo reply is all that can come of it.
    fn handle_stray(&mut self, now: Instant) {
        self.interface.poll_ingress_single(now, &mut self.port, &mut SocketSet::new([]));
    }

    fn is_served(&self, local: SocketAddr) -> bool {
        let is_open = |queue: &mpsc::Sender<Stream>| !queue.is_closed();
        self.addresses.contains(&local.ip()) && self.listeners.get(&local.port()).is_some_and(is_open)
    }

    /// Answers a SYN, which lies in the port.
    fn accept(&mut self, ends: Ends, now: Instant) {
        let has_room = self.listeners.get(&ends.local.port()).is_some_and(|queue| queue.capacity() > 0);
        if !has_room || !self.make_room() || self.renew_interface(now).is_err() {
            return;
        }
        let former = self.flows.get(&ends).cloned();
        former.iter().for_each(|flow| self.forget(flow));
        self.opened += 1;
        let flow = Flow::new(ends, Some(self.opened), now);
        if flow.lock().socket().listen(endpoint(ends.local)).is_err() {
            return;
        }
        self.half_open.insert(self.opened, ends);
        self.flows.insert(ends, Arc::clone(&flow));
        self.turn(&flow, now);
    }

    /// Whether one more connection may begin.
    fn make_room(&mut self) -> bool {
        if self.half_open.len() >= MOST_HALF_OPEN {
            let oldest = self.half_open.first_key_value().and_then(|(_, ends)| self.flows.get(ends)).cloned();
            oldest.iter().for_each(|flow| self.forget(flow));
        }
        if self.flows.len() >= MOST_FLOWS {
            let over = self.flows.values().find(|flow| is_over(flow)).cloned();
            over.iter().for_each(|flow| self.forget(flow));
        }
        self.flows.len() < MOST_FLOWS
    }

    /// Lets a connection receive what lies in the port and send what it has to.
    fn turn(&mut self, flow: &Arc<Flow>, now: Instant) {
        let mut inner = flow.lock();
        inner.begin_turn(now);
        if inner.limit().is_some_and(|limit| limit <= now) {
            inner.socket().abort();
        }
        if inner.is_orphan() {
            inner.drain();
        }
        self.interface.poll_ingress_single(now, &mut self.port, inner.sockets());
        self.interface.poll_egress(now, &mut self.port, inner.sockets());
        let wish = self.interface.poll_at(now, inner.sockets());
        let state = inner.socket().state();
        if state == State::Listen || (state == State::Closed && wish.is_none()) {
            drop(inner);
            return self.forget(flow);
        }
        let wish = wish.map(|at| at.max(if self.port.is_full() { now } else { now + PAUSE }));
        let deadline = [wish, inner.limit()].into_iter().flatten().min();
        self.move_deadline(flow.ends, std::mem::replace(&mut inner.deadline, deadline), deadline);
        let is_complete = !matches!(state, State::SynReceived | State::Closed);
        let number = inner.half_open.take_if(|_| is_complete);
        drop(inner);
        if let Some(number) = number {
            self.half_open.remove(&number);
            self.hand_over(flow);
        }
    }

    fn hand_over(&mut self, flow: &Arc<Flow>) {
        let stream = Stream::new(Arc::clone(flow), self.bell());
        if let Some(queue) = self.listeners.get(&flow.ends.local.port()) {
            // A stream that is not taken closes its connection.
            let _ = queue.try_send(stream);
        }
    }

    fn forget(&mut self, flow: &Arc<Flow>) {
        let mut inner = flow.lock();
        self.move_deadline(flow.ends, inner.deadline.take(), None);
        if let Some(number) = inner.half_open.take() {
            self.half_open.remove(&number);
        }
        self.flows.remove(&flow.ends);
    }

    fn move_deadline(&mut self, ends: Ends, from: Option<Instant>, to: Option<Instant>) {
        if from == to {
            return;
        }
        if let Some(deadline) = from {
            self.deadlines.remove(&(deadline, ends));
        }
        self.deadlines.extend(to.map(|deadline| (deadline, ends)));
    }

    fn free_ends(&self, source: IpAddr, server: SocketAddr) -> io::Result<Ends> {
        let first = u16::try_from(random()? % EPHEMERAL.len() as u64).unwrap_or_default();
        let ports = (0..EPHEMERAL.len()).map(|offset| {
            let offset = (usize::from(first) + offset) % EPHEMERAL.len();
            EPHEMERAL.start().saturating_add(u16::try_from(offset).unwrap_or_default())
        });
        let mut ends = ports.map(|port| Ends { local: SocketAddr::new(source, port), remote: server });
        let free = ends.find(|ends| !self.flows.contains_key(ends)).filter(|_| self.flows.len() < MOST_FLOWS);
        free.ok_or_else(|| io::ErrorKind::AddrInUse.into())
    }

    /// A new interface for each connection, since its random numbers are only as good as their seed: the initial sequence
    /// number must not follow from those that others have seen (RFC 6528 §3). It keeps nothing worth keeping.
    fn renew_interface(&mut self, now: Instant) -> io::Result<()> {
        self.interface = interface(&mut self.port, &self.addresses, now)?;
        Ok(())
    }
}

/// Whether both ends are done with the connection.
fn is_over(flow: &Arc<Flow>) -> bool {
    matches!(flow.lock().socket().state(), State::TimeWait | State::Closed)
}

fn interface(port: &mut Port, addresses: &[IpAddr], now: Instant) -> io::Result<Interface> {
    let mut config = Config::new(HardwareAddress::Ip);
    config.random_seed = random()?;
    let mut interface = Interface::new(config, port, now);
    interface.update_ip_addrs(|known| {
        for address in addresses {
            let prefix = if address.is_ipv4() { 32 } else { 128 };
            // Three addresses at most: home's two, and one while it enrols; there is room for four.
            let _ = known.push(IpCidr::new((*address).into(), prefix));
        }
    });
    // Where the medium is IP the gateway's address is never used, only that there is a route.
    let routes = interface.routes_mut();
    let has_room = routes.add_default_ipv4_route(Ipv4Addr::UNSPECIFIED).is_ok()
        && routes.add_default_ipv6_route(Ipv6Addr::UNSPECIFIED).is_ok();
    if has_room { Ok(interface) } else { Err(io::Error::other("the stack's routing table is too small")) }
}

fn random() -> io::Result<u64> {
    let mut octets = [0; 8];
    aws_lc_rs::rand::fill(&mut octets).map_err(|_| io::Error::other("no random numbers"))?;
    Ok(u64::from_ne_bytes(octets))
}
