//! An inner network in a user and network namespace of our own, for a home without root's rights.
//!
//! In: what the tunnel and the services need there. Out: the TUN device, listening sockets, bound sockets, made in the
//! namespace by a [`broker`] and used here: a socket belongs to the namespace that it was made in, whoever holds it. So
//! the kernel's TCP serves the tunnel, on port 25 too, with the clients' true addresses. Refused: where the kernel gives
//! unprivileged users no namespaces, or `/dev/net/tun` is closed to us, the namespace is not made and the reason told.
//!
//! ```text
//! home ── fork ──> broker: unshare(USER, NET), confine, serve
//!   │  Request  ──>   │
//!   │  <── Answer + fd │    TUN, listeners, client sockets
//! ```
//! The broker must be made before the first thread: only a process with one thread may enter a user namespace.

mod broker;
mod confinement;
mod message;

use std::io;
use std::net::{IpAddr, TcpListener};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use postern_shared::tunnel::Device;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair, sockopt};
use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions, pidfd_open, waitpid};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::net::TcpSocket;

use message::{Answer, Refusal, Request, receive, send};

/// How long the broker may take for one request.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why there is no namespace; the text begins after "because".
#[derive(Debug, thiserror::Error)]
pub enum NamespaceError {
    /// The process has threads already.
    #[error("the process has threads already")]
    Threads,
    /// The broker could not be started or does not answer.
    #[error("its process cannot be made: {0}")]
    Process(#[from] io::Error),
    /// The broker could not enter a namespace or make a device there.
    #[error("{0}")]
    Refused(Refusal),
}

/// The namespace, by way of its broker; cheap to clone.
#[derive(Debug, Clone)]
pub struct Namespace(Arc<Handle>);

#[derive(Debug)]
struct Handle {
    /// One conversation at a time.
    socket: Mutex<OwnedFd>,
    process: Pid,
    life: OwnedFd,
}

impl Namespace {
    /// Makes the namespace. `interface` is the name that the tunnel's device will have.
    ///
    /// # Errors
    /// Why that cannot be; nothing is left behind.
    pub fn create(interface: &str) -> Result<Self, NamespaceError> {
        let threads = std::fs::read_dir("/proc/self/task").map(Iterator::count);
        if threads.is_ok_and(|count| count > 1) {
            return Err(NamespaceError::Threads);
        }
        let (socket, process) = fork(interface)?;
        let life = pidfd_open(process, PidfdFlags::empty()).map_err(io::Error::from)?;
        sockopt::set_socket_timeout(&socket, sockopt::Timeout::Recv, Some(PATIENCE))
            .map_err(io::Error::from)?;
        let namespace = Self(Arc::new(Handle { socket: Mutex::new(socket), process, life }));
        match namespace.answer() {
            Ok(Ok(())) => Ok(namespace),
            Ok(Err(refusal)) => Err(NamespaceError::Refused(refusal)),
            Err(error) => Err(error.into()),
        }
    }

    /// Listens on a TCP port of the namespace. Blocks for a moment.
    ///
    /// # Errors
    /// As the operating system says.
    pub fn listen(&self, port: u16) -> io::Result<TcpListener> {
        Ok(self.make(&Request::Listen(port))?.into())
    }

    /// Makes a TCP socket that is bound to an address of the namespace.
    ///
    /// # Errors
    /// As the operating system says.
    pub async fn socket(&self, source: IpAddr) -> io::Result<TcpSocket> {
        let socket = self.make_soon(Request::Socket(source)).await?;
        Ok(TcpSocket::from_std_stream(socket.into()))
    }

    /// Makes the tunnel's device, which is down and has no address yet.
    ///
    /// # Errors
    /// As the operating system says.
    pub async fn device(&self, name: &str) -> io::Result<Device> {
        Ok(Device::from_tun(self.make_soon(Request::Device(name.to_owned())).await?))
    }

    /// See [`netlink::Interface::bring_up`](postern_shared::netlink::Interface::bring_up).
    ///
    /// # Errors
    /// When the kernel refuses.
    pub async fn bring_up(&self, mtu: u16) -> io::Result<()> {
        self.ask(Request::BringUp(mtu)).await
    }

    /// See [`netlink::Interface::add_address`](postern_shared::netlink::Interface::add_address).
    ///
    /// # Errors
    /// When the kernel refuses.
    pub async fn add_address(&self, local: IpAddr, peer: IpAddr) -> io::Result<()> {
        self.ask(Request::AddAddress { local, peer }).await
    }

    /// See [`netlink::Interface::remove_address`](postern_shared::netlink::Interface::remove_address).
    ///
    /// # Errors
    /// When the kernel refuses.
    pub async fn remove_address(&self, local: IpAddr) -> io::Result<()> {
        self.ask(Request::RemoveAddress(local)).await
    }

    /// Sends everything out of the tunnel: the namespace has nothing else.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub async fn add_default_routes(&self) -> io::Result<()> {
        self.ask(Request::AddDefaultRoutes).await
    }

    /// Completes when the broker has ended, which it does not do while home lives.
    pub async fn ended(&self) {
        if let Err(error) = self.watch().await {
            tracing::warn!(%error, "the namespace's broker cannot be watched");
            std::future::pending().await
        }
    }

    async fn watch(&self) -> io::Result<()> {
        let life = self.0.life.try_clone()?;
        // SAFETY: `life` owns its descriptor, which so stays open and the same until it is dropped.
        let life = unsafe { AsyncFd::register_with_interest(life, Interest::READABLE) }?;
        life.readable().await.map(drop)
    }

    async fn ask(&self, request: Request) -> io::Result<()> {
        self.call_soon(request).await.map(drop)
    }

    async fn make_soon(&self, request: Request) -> io::Result<OwnedFd> {
        self.call_soon(request).await?.ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    fn make(&self, request: &Request) -> io::Result<OwnedFd> {
        self.call(request)?.ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    async fn call_soon(&self, request: Request) -> io::Result<Option<OwnedFd>> {
        let namespace = self.clone();
        tokio::task::spawn_blocking(move || namespace.call(&request)).await?
    }

    fn call(&self, request: &Request) -> io::Result<Option<OwnedFd>> {
        let socket = self.0.socket.lock().unwrap_or_else(PoisonError::into_inner);
        let answered = send(&*socket, request, None).and_then(|()| receive::<Answer>(&*socket));
        if answered.is_err() {
            // Question and answer might no longer fit together. The broker ends by this, and home with it.
            let _ = rustix::net::shutdown(&*socket, rustix::net::Shutdown::Both);
        }
        let (answer, made) = answered?;
        answer?;
        Ok(made)
    }

    fn answer(&self) -> io::Result<Answer> {
        let socket = self.0.socket.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(receive(&*socket)?.0)
    }
}

impl Drop for Handle {
    /// Leaves no process behind where the namespace could not be made.
    fn drop(&mut self) {
        let socket = self.socket.get_mut().unwrap_or_else(PoisonError::into_inner);
        let _ = rustix::net::shutdown(&*socket, rustix::net::Shutdown::Both);
        let _ = rustix::process::kill_process(self.process, Signal::KILL);
        let _ = waitpid(Some(self.process), WaitOptions::empty());
    }
}

/// Starts the broker; gives home's end of the socket pair.
fn fork(interface: &str) -> io::Result<(OwnedFd, Pid)> {
    let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
    let parent = rustix::process::getpid();
    // SAFETY: this process has one thread, so the child may do whatever its parent may.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => {
            let outcome = prepare(parent, theirs).and_then(|socket| broker::run(&socket, interface));
            // SAFETY: ends the process at once; what the parent registered to be done at its exit is not done here.
            unsafe { libc::_exit(i32::from(outcome.is_err())) }
        }
        child => {
            let child = Pid::from_raw(child).ok_or(io::ErrorKind::InvalidData)?;
            Ok((ours, child))
        }
    }
}

/// In the child: ties its life to the parent's and closes all files but the socket.
fn prepare(parent: Pid, socket: OwnedFd) -> io::Result<OwnedFd> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    if rustix::process::getppid() != Some(parent) {
        return Err(io::ErrorKind::BrokenPipe.into());
    }
    rustix::thread::set_name(c"postern-broker")?;
    let number = socket.as_raw_fd().cast_unsigned();
    // SAFETY: closes descriptors, which only the code of this process uses; that uses `socket` alone from here on. Signal
    // dispositions do not affect memory.
    unsafe {
        for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP] {
            libc::signal(signal, libc::SIG_IGN);
        }
        libc::close_range(libc::STDERR_FILENO.cast_unsigned() + 1, number - 1, 0);
        libc::close_range(number + 1, u32::MAX, 0);
    }
    Ok(socket)
}
