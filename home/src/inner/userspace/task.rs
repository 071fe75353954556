//! The shell of the stack: the device's other end, the clock, and what home asks for.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::net::UnixDatagram as Socket;
use std::time::Instant;

use smoltcp::time::Instant as StackInstant;
use tokio::net::UnixDatagram;
use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep_until;

use super::port::HEADER;
use super::stack::Stack;
use super::stream::Stream;

/// Packets that are read before connections and timers have their turn.
const BURST: usize = 64;

/// The longest packet with its header.
const MOST_OCTETS: usize = HEADER + 65_535;

/// What home asks for.
pub enum Command {
    /// Take packets from here, and none from where they came before. The addresses begin anew.
    Device(Socket),
    /// Set the MTU, in octets.
    Mtu(u16),
    /// Have this address too.
    AddAddress(IpAddr),
    /// Have this address no more.
    RemoveAddress(IpAddr),
    /// Give connections to this port into the queue.
    Listen(u16, mpsc::Sender<Stream>),
    /// Connect from an address to a server.
    Connect(IpAddr, SocketAddr, oneshot::Sender<io::Result<Stream>>),
}

/// Everything that the stack's thread owns.
pub struct Task {
    stack: Stack,
    commands: mpsc::UnboundedReceiver<Command>,
    device: Option<UnixDatagram>,
    addresses: Vec<IpAddr>,
    /// The device takes no packet now.
    is_blocked: bool,
    began: Instant,
    buffer: Box<[u8]>,
}

impl Task {
    /// A stack without device and addresses.
    ///
    /// # Errors
    /// When there are no random numbers.
    pub fn new(commands: mpsc::UnboundedReceiver<Command>) -> io::Result<Self> {
        Ok(Self {
            stack: Stack::new(StackInstant::ZERO)?,
            commands,
            device: None,
            addresses: Vec::new(),
            is_blocked: false,
            began: Instant::now(),
            buffer: vec![0; MOST_OCTETS].into_boxed_slice(),
        })
    }

    /// Works until no handle is left.
    pub async fn run(mut self) {
        let bell = self.stack.bell();
        loop {
            let next = self.stack.next_timeout().map(|at| self.instant(at));
            let may_work = !self.is_blocked;
            tokio::select! {
                command = self.commands.recv() => match command {
                    Some(command) => self.obey(command),
                    None => return,
                },
                () = bell.rings() => {}
                () = readable(self.device.as_ref()) => {}
                () = writable(self.device.as_ref()), if self.is_blocked => {}
                () = until(next), if may_work => {}
            }
            self.take_packets();
            let now = self.now();
            self.stack.handle_rings(now);
            self.flush();
            for _ in 0..BURST {
                if !self.stack.handle_timeout(now) {
                    break;
                }
                self.flush();
            }
        }
    }

    fn take_packets(&mut self) {
        for _ in 0..BURST {
            let Some(Ok(octets)) = self.device.as_ref().map(|device| device.try_recv(&mut self.buffer))
            else {
                return;
            };
            let now = self.now();
            if let Some(packet) = self.buffer.get(HEADER..octets) {
                self.stack.handle_packet(packet, now);
            }
            self.flush();
        }
    }

    /// Sends what the stack has made, as far as the device takes it.
    fn flush(&mut self) {
        self.is_blocked = false;
        while let Some(packet) = self.stack.port().front() {
            let sent = self.device.as_ref().map(|device| device.try_send(packet));
            if sent.is_some_and(|sent| sent.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)) {
                self.is_blocked = true;
                return;
            }
            // What cannot be sent for another reason is lost, as on any network.
            self.stack.port().pop();
        }
    }

    fn obey(&mut self, command: Command) {
        let now = self.now();
        let done = match command {
            Command::Device(socket) => self.take_device(socket),
            Command::Mtu(mtu) => self.stack.set_mtu(mtu, now),
            Command::AddAddress(address) => {
                self.addresses.retain(|known| *known != address);
                self.addresses.push(address);
                self.stack.set_addresses(self.addresses.clone(), now)
            }
            Command::RemoveAddress(address) => {
                self.addresses.retain(|known| *known != address);
                self.stack.set_addresses(self.addresses.clone(), now)
            }
            Command::Listen(port, queue) => {
                self.stack.listen(port, queue);
                Ok(())
            }
            Command::Connect(source, server, answer) => {
                // Who asked may have gone away meanwhile, and the connection goes with the answer.
                let _ = answer.send(self.stack.connect(source, server, now));
                Ok(())
            }
        };
        if let Err(error) = done {
            tracing::error!(%error, "the TCP/IP stack of our own cannot be changed");
        }
        self.flush();
    }

    /// Connections live on if their addresses come back before they have anything to send.
    fn take_device(&mut self, socket: Socket) -> io::Result<()> {
        self.device = None;
        self.addresses.clear();
        self.device = Some(UnixDatagram::from_std(socket)?);
        Ok(())
    }

    fn now(&self) -> StackInstant {
        StackInstant::from_micros(i64::try_from(self.began.elapsed().as_micros()).unwrap_or(i64::MAX))
    }

    fn instant(&self, at: StackInstant) -> tokio::time::Instant {
        let since = std::time::Duration::from_micros(u64::try_from(at.total_micros()).unwrap_or_default());
        (self.began + since).into()
    }
}

async fn readable(device: Option<&UnixDatagram>) {
    match device {
        Some(device) => drop(device.readable().await),
        None => std::future::pending().await,
    }
}

async fn writable(device: Option<&UnixDatagram>) {
    match device {
        Some(device) => drop(device.writable().await),
        None => std::future::pending().await,
    }
}

async fn until(next: Option<tokio::time::Instant>) {
    match next {
        Some(next) => sleep_until(next).await,
        None => std::future::pending().await,
    }
}
