//! The data plane's thread: one event loop over the TUN device, the two sockets, a clock and the control plane's eventfd.
//!
//! Each source is read up to [`BURST`] times a turn, so that none starves the others or the clock, and once where nothing
//! came for a while: a packet that comes alone leaves before another one is asked for. What a turn has gathered leaves at
//! its end at the latest. Packets that the kernel cannot take at once are dropped: TCP inside sees the loss and
//! slows down. The clock is a timerfd that ticks by itself, so that no timer is set and cleared again in every turn.
//!
//! The wait is poll(2) and not epoll: there are five sources, and epoll is a waiter on each socket at all times, which the
//! kernel looks after for every datagram of a run that it sends or queues, though the thread is awake. That is a twentieth
//! of a sender's time.

use std::io;
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, Instant, SystemTime};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fd::OwnedFd;
use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec};
use tokio::sync::watch;

use super::batch::Batch;
use super::core::{BUFFER_OCTETS, Core, Outlet};
use super::device::Device;
use super::ends::Ends;
use super::offload::{Coalescer, Pieces, VnetHeader, segment};
use super::socket::{self, Incoming, Sockets};
use super::{EpochConfig, EpochId, EpochStatus, Role, TunnelStatus};

/// How often the core is told the time.
pub const TICK: Duration = Duration::from_millis(200);

/// How often the status is published while no peer appears or vanishes.
const STATUS_INTERVAL: Duration = Duration::from_secs(1);

/// Reads from one source before the others have their turn; one read may bring 64 KiB.
const BURST: usize = 16;

/// A source that had something so lately is expected to have more.
const LATELY: Duration = Duration::from_millis(1);

/// What the control plane asks for.
pub enum Command {
    /// See [`Core::set_epochs`].
    SetEpochs(Vec<EpochConfig>),
    /// See [`Core::set_endpoint`].
    SetEndpoint(EpochId, SocketAddr),
    /// See [`Core::set_ceiling`].
    SetCeiling(u16),
    /// See [`Core::renew`].
    Renew(EpochId),
    /// Ends the thread.
    Shutdown,
}

/// The two ways out.
struct Wires {
    device: Device,
    sockets: Sockets,
    batch: Batch,
    coalescer: Coalescer,
}

impl Wires {
    fn new(device: Device, sockets: Sockets) -> Self {
        Self { device, sockets, batch: Batch::new(), coalescer: Coalescer::new() }
    }

    /// Sends and delivers what the turn has gathered.
    fn flush(&mut self) {
        self.batch.flush(|datagrams| self.sockets.send(datagrams));
        self.coalescer.flush(|header, packet| self.device.write(header, packet));
    }
}

impl Outlet for Wires {
    fn slot(&mut self, octets: usize) -> &mut [u8] {
        self.batch.slot(octets)
    }

    fn send_slot(&mut self, to: Ends, octets: usize) {
        self.batch.push(to, octets, |datagrams| self.sockets.send(datagrams));
    }

    fn send_slot_whole(&mut self, to: Ends, octets: usize) -> bool {
        self.sockets.send_whole(to, self.batch.slot(octets))
    }

    fn room(&mut self, octets: usize) -> &mut [u8] {
        self.coalescer.room(octets, |header, packet| self.device.write(header, packet))
    }

    fn deliver(&mut self, octets: usize) {
        let Self { device, coalescer, .. } = self;
        let takes_super_packets = device.takes_super_packets();
        let write = |header, packet: Pieces<'_>| device.write(header, packet);
        if takes_super_packets {
            coalescer.push(octets, write);
        } else {
            coalescer.pass(octets, write);
        }
    }
}

/// When a source last had something.
struct Haste(Instant);

impl Haste {
    /// How often it is read in the turn that begins now.
    fn reads(&mut self, now: Instant) -> usize {
        let last = std::mem::replace(&mut self.0, now);
        if now.saturating_duration_since(last) < LATELY { BURST } else { 1 }
    }
}

/// Everything the thread owns.
pub struct Shell {
    core: Core,
    wires: Wires,
    buffer: Box<[u8]>,
    /// Of the device, of IPv4, of IPv6.
    haste: [Haste; 3],
    clock: OwnedFd,
    wake: Arc<OwnedFd>,
    inbox: mpsc::Receiver<Command>,
    publish: watch::Sender<TunnelStatus>,
    published: Instant,
}

impl Shell {
    /// Registers all sources.
    pub fn new(
        role: Role,
        device: Device,
        sockets: Sockets,
        wake: Arc<OwnedFd>,
        inbox: mpsc::Receiver<Command>,
        publish: watch::Sender<TunnelStatus>,
    ) -> io::Result<Self> {
        let core = Core::new(role, random_index());
        let buffer = vec![0; BUFFER_OCTETS].into_boxed_slice();
        Ok(Self {
            core,
            wires: Wires::new(device, sockets),
            buffer,
            haste: [(); 3].map(|()| Haste(Instant::now())),
            clock: ticking(TICK)?,
            wake,
            inbox,
            publish,
            published: Instant::now(),
        })
    }

    /// The event loop.
    pub fn run(mut self) {
        while self.turn().is_continue() {}
    }

    /// Waits until a source has something, and does what it asks for.
    pub fn turn(&mut self) -> ControlFlow<()> {
        let [device, v4, v6, clock, control] = match self.wait() {
            Ok(ready) => ready,
            Err(error) => {
                tracing::error!(%error, "the tunnel's event loop failed");
                return ControlFlow::Break(());
            }
        };
        let now = Instant::now();
        if device {
            self.drain_device(now);
        }
        if v4 {
            self.drain_v4(now);
        }
        if v6 {
            self.drain_v6(now);
        }
        if clock {
            self.tick(now);
        }
        if control {
            self.obey()?;
        }
        self.wires.flush();
        ControlFlow::Continue(())
    }

    /// Sleeps until a source is ready; tells which: device, IPv4, IPv6, clock, control plane.
    fn wait(&self) -> io::Result<[bool; 5]> {
        let Wires { device, sockets, .. } = &self.wires;
        let v6 = sockets.v6.as_ref().map(AsFd::as_fd);
        let mut sources = [
            PollFd::from_borrowed_fd(device.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(sockets.v4.as_fd(), PollFlags::IN),
            // Without IPv6 a source that is asked for nothing.
            v6.map_or(PollFd::new(&self.clock, PollFlags::empty()), |v6| {
                PollFd::from_borrowed_fd(v6, PollFlags::IN)
            }),
            PollFd::new(&self.clock, PollFlags::IN),
            PollFd::new(&self.wake, PollFlags::IN),
        ];
        match poll(&mut sources, None) {
            Ok(_) if sources[0].revents().intersects(PollFlags::ERR | PollFlags::HUP) => {
                Err(io::Error::other("the tunnel's device is gone"))
            }
            Ok(_) => Ok(sources.map(|source| !source.revents().is_empty())),
            Err(rustix::io::Errno::INTR) => Ok([false; 5]),
            Err(error) => Err(error.into()),
        }
    }

    fn tick(&mut self, now: Instant) {
        let _ = rustix::io::read(&self.clock, &mut [0u8; 8]);
        self.take_hint();
        self.core.handle_timeout(now, &mut self.wires);
        self.publish(now);
    }

    fn drain_device(&mut self, now: Instant) {
        for _ in 0..self.haste[0].reads(now) {
            let Some(octets) = self.wires.device.read(&mut self.buffer) else { return };
            let Some((header, packet)) = VnetHeader::decode(octets) else { continue };
            let Some(epoch) = self.core.route(packet, now) else { continue };
            let limit = epoch.limit().into();
            let outcome = segment(header, packet, limit, |packet| {
                epoch.send_packet(packet, now, &mut self.wires);
            });
            if outcome.is_err() {
                tracing::debug!(?header, "the device's header contradicts its packet");
            }
        }
    }

    fn drain_v4(&mut self, now: Instant) {
        for _ in 0..self.haste[1].reads(now) {
            let Some(incoming) = socket::receive(&self.wires.sockets.v4, &mut self.buffer) else { return };
            self.open(incoming, now);
        }
    }

    fn drain_v6(&mut self, now: Instant) {
        for _ in 0..self.haste[2].reads(now) {
            let socket = self.wires.sockets.v6.as_ref();
            let Some(incoming) = socket.and_then(|socket| socket::receive(socket, &mut self.buffer)) else {
                return;
            };
            self.open(incoming, now);
        }
    }

    fn open(&mut self, incoming: Incoming, now: Instant) {
        let octets = self.buffer.get(..incoming.length).unwrap_or_default();
        for datagram in octets.chunks(incoming.segment) {
            self.core.handle_datagram(incoming.from, datagram, now, &mut self.wires);
        }
    }

    /// Where the kernel has refused datagrams for their length, its route tells what passes.
    fn take_hint(&mut self) {
        let narrow = self.wires.sockets.take_narrow();
        if let Some((to, octets)) = narrow.and_then(|to| Some((to, socket::route_mtu(to)?))) {
            self.core.hint(to, octets);
        }
    }

    fn obey(&mut self) -> ControlFlow<()> {
        let _ = rustix::io::read(&*self.wake, &mut [0u8; 8]);
        while let Ok(command) = self.inbox.try_recv() {
            match command {
                Command::SetEpochs(epochs) => self.core.set_epochs(epochs),
                Command::SetEndpoint(id, endpoint) => self.core.set_endpoint(id, endpoint),
                Command::SetCeiling(octets) => self.core.set_ceiling(octets),
                Command::Renew(id) => self.core.renew(id, &mut self.wires),
                Command::Shutdown => return ControlFlow::Break(()),
            }
            // New epochs and endpoints are tried at once.
            self.core.handle_timeout(Instant::now(), &mut self.wires);
        }
        ControlFlow::Continue(())
    }

    fn publish(&mut self, now: Instant) {
        let status = TunnelStatus {
            epochs: self.core.status(now, SystemTime::now()),
            refused: self.core.refused(),
            limit: self.core.limit(now),
        };
        let is_due = now.saturating_duration_since(self.published) >= STATUS_INTERVAL;
        if is_due || signs_of_life(&self.publish.borrow()) != signs_of_life(&status) {
            self.publish.send_replace(status);
            self.published = now;
        }
    }
}

/// What a watcher waits for: a peer that comes, goes, moves or is fenced, the first answered heartbeat, new session keys,
/// another limit of the path.
type SignsOfLife = (EpochId, [bool; 3], Option<SocketAddr>, u64);

fn signs_of_life(status: &TunnelStatus) -> (Option<u16>, Vec<SignsOfLife>) {
    let signs = |epoch: &EpochStatus| {
        let states = [epoch.alive, epoch.fenced.is_some(), epoch.round_trip.is_some()];
        (epoch.id, states, epoch.endpoint, epoch.handshakes)
    };
    (status.limit, status.epochs.iter().map(signs).collect())
}

/// A clock that can be read once in every `interval`.
fn ticking(interval: Duration) -> io::Result<OwnedFd> {
    let clock = rustix::time::timerfd_create(
        TimerfdClockId::Monotonic,
        TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK,
    )?;
    let interval = Timespec { tv_sec: interval.as_secs() as i64, tv_nsec: interval.subsec_nanos().into() };
    let ticks = Itimerspec { it_interval: interval, it_value: interval };
    rustix::time::timerfd_settime(&clock, TimerfdTimerFlags::empty(), &ticks)?;
    Ok(clock)
}

fn random_index() -> u32 {
    use ring::rand::SecureRandom;
    let mut octets = [0; 4];
    // A failure leaves zero, which is a valid index too.
    let _ = ring::rand::SystemRandom::new().fill(&mut octets);
    u32::from_ne_bytes(octets)
}
