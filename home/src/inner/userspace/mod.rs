//! An inner network in this process: a TCP/IP stack of our own, for a home that can have no TUN device at all.
//!
//! In: the tunnel's packets, over a socket pair that stands in the place of a TUN device. Out: streams with the clients'
//! true addresses, of accepted connections and of those that home opens. Refused: see [`stack`].
//!
//! ```text
//! tunnel's thread <-- socket pair --> stack's thread ── table of flows ──< Stream (services, delivery, control calls)
//! ```
//! The data flows through the files in this order: [`task`] reads and writes the socket pair, [`segment`] tells to which
//! connection a packet belongs, [`stack`] gives it to the [`flow`], whose [`stream`] a service holds.

mod task;

mod segment;

mod port;
mod stack;

mod flow;
mod stream;

#[cfg(test)]
mod tests;

use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;

use postern_shared::tunnel::Device;
use rustix::net::sockopt;
use tokio::runtime::Builder;
use tokio::sync::{mpsc, oneshot};

use task::{Command, Task};

pub use stream::Stream;

/// Accepted connections that may wait for the service; as with a kernel's socket.
const BACKLOG: usize = 256;

/// Room between tunnel and stack, octets: a burst of a few hundred packets. The system may allow less.
const SOCKET_BUFFER: usize = 1 << 20;

/// The stack, by way of its thread; cheap to clone. The thread ends with the last handle.
#[derive(Debug, Clone)]
pub struct Userspace(mpsc::UnboundedSender<Command>);

impl Userspace {
    /// Starts the stack's thread.
    ///
    /// # Errors
    /// When the system gives no thread or no random numbers.
    pub fn start() -> io::Result<Self> {
        flow::map_buffers_apart();
        let (commands, inbox) = mpsc::unbounded_channel();
        let task = Task::new(inbox)?;
        let runtime = Builder::new_current_thread().enable_all().build()?;
        std::thread::Builder::new().name("stack".into()).spawn(move || runtime.block_on(task.run()))?;
        Ok(Self(commands))
    }

    /// Listens on a port of all inner addresses.
    ///
    /// # Errors
    /// When the stack is gone.
    pub fn listen(&self, port: u16) -> io::Result<Listener> {
        let (queue, accepted) = mpsc::channel(BACKLOG);
        self.command(Command::Listen(port, queue))?;
        Ok(Listener { accepted, port })
    }

    /// Connects to `server` from an inner address.
    ///
    /// # Errors
    /// `AddrNotAvailable` where `source` is not ours, `ConnectionRefused`, or that the stack is gone.
    pub async fn connect(&self, source: IpAddr, server: SocketAddr) -> io::Result<Stream> {
        let (answer, begun) = oneshot::channel();
        self.command(Command::Connect(source, server, answer))?;
        let stream = begun.await.map_err(|_| gone())??;
        stream.connected().await?;
        Ok(stream)
    }

    /// Makes a device for the tunnel; the former one gets no more packets, and the addresses begin anew.
    ///
    /// # Errors
    /// When the system gives no socket pair, or the stack is gone.
    pub fn device(&self) -> io::Result<Device> {
        let (ours, theirs) = UnixDatagram::pair()?;
        for end in [&ours, &theirs] {
            end.set_nonblocking(true)?;
            sockopt::set_socket_send_buffer_size(end, SOCKET_BUFFER)?;
        }
        self.command(Command::Device(ours))?;
        Ok(Device::from_packets(OwnedFd::from(theirs)))
    }

    /// Sets the MTU, in octets.
    ///
    /// # Errors
    /// When the stack is gone.
    pub fn set_mtu(&self, mtu: u16) -> io::Result<()> {
        self.command(Command::Mtu(mtu))
    }

    /// Adds an inner address.
    ///
    /// # Errors
    /// When the stack is gone.
    pub fn add_address(&self, address: IpAddr) -> io::Result<()> {
        self.command(Command::AddAddress(address))
    }

    /// Removes an inner address; its connections end.
    ///
    /// # Errors
    /// When the stack is gone.
    pub fn remove_address(&self, address: IpAddr) -> io::Result<()> {
        self.command(Command::RemoveAddress(address))
    }

    /// Completes when the stack's thread has ended, which it does not do while a handle is there.
    pub async fn ended(&self) {
        self.0.closed().await;
    }

    fn command(&self, command: Command) -> io::Result<()> {
        self.0.send(command).map_err(|_| gone())
    }
}

fn gone() -> io::Error {
    io::Error::other("the TCP/IP stack of our own has ended")
}

/// A listening port. Dropped, it refuses connections.
#[derive(Debug)]
pub struct Listener {
    accepted: mpsc::Receiver<Stream>,
    port: u16,
}

impl Listener {
    /// The next connection.
    ///
    /// # Errors
    /// When the stack is gone.
    pub async fn accept(&mut self) -> io::Result<Stream> {
        self.accepted.recv().await.ok_or_else(gone)
    }

    /// Every address, and the port.
    pub fn local_addr(&self) -> SocketAddr {
        SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), self.port)
    }
}
