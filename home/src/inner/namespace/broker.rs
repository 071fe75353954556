//! The broker: the process that lives in the namespace and makes there what home asks for.
//!
//! In: requests of the process that made it ([`super::message`]). Out: TUN devices, listening sockets and bound sockets,
//! as descriptors; addresses and routes of its own namespace. It never reads from what it makes, so no octet of the
//! network reaches it. Refused: every other request; all system calls that these do not need.
//!
//! It ends when home ends, however that comes: its socket is closed, and the kernel kills it. Home's own stop reaches it
//! so too; SIGTERM and SIGINT, which a terminal or a service manager sends to both, it ignores.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};

use postern_shared::netlink::{Interface, NetlinkError};
use postern_shared::tunnel::{Device, TunnelError};
use rustix::io::Errno;
use rustix::thread::{UnshareFlags, unshare_unsafe};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::runtime::{Builder, Runtime};

use super::confinement;
use super::message::{Answer, Refusal, Request, receive, send};
use crate::net;

/// Runs the broker to its end. `interface` is the name under which a device is made and dropped at once, to see that it
/// can be made; the first message on the socket says how that went.
///
/// # Errors
/// When the broker could not be made, of which home has been told, or home has gone.
pub fn run(socket: &OwnedFd, interface: &str) -> io::Result<()> {
    let broker = match Broker::enter(interface) {
        Ok(broker) => broker,
        Err(refusal) => return send(socket, &Answer::Err(refusal), None),
    };
    send(socket, &Answer::Ok(()), None)?;
    broker.serve(socket)
}

struct Broker {
    /// Drives the netlink socket, only while a request is carried out.
    runtime: Runtime,
    interface: Option<Interface>,
}

impl Broker {
    /// Leaves the machine's network for one of its own, and gives up all that it does not need there.
    fn enter(interface: &str) -> Result<Self, Refusal> {
        // SAFETY: namespaces do not affect memory, and this process has one thread and shares no descriptor table.
        unsafe { unshare_unsafe(UnshareFlags::NEWUSER | UnshareFlags::NEWNET) }.map_err(no_namespace)?;
        drop(Device::open(interface).map_err(|error| no_device(&error))?);
        let runtime = Builder::new_current_thread().enable_all().build()?;
        confinement::confine()?;
        Ok(Self { runtime, interface: None })
    }

    fn serve(mut self, socket: &OwnedFd) -> io::Result<()> {
        loop {
            let (request, _) = receive(socket)?;
            match self.obey(request) {
                Ok(made) => send(socket, &Answer::Ok(()), made.as_ref().map(AsFd::as_fd))?,
                Err(refusal) => send(socket, &Answer::Err(refusal), None)?,
            }
        }
    }

    fn obey(&mut self, request: Request) -> Result<Option<OwnedFd>, Refusal> {
        match request {
            Request::Device(name) => self.make_device(&name).map(Some),
            Request::Listen(port) => Ok(Some(listen(port)?)),
            Request::Socket(source) => Ok(Some(bound_socket(source)?)),
            Request::BringUp(mtu) => self.on_interface(async |interface| interface.bring_up(mtu).await),
            Request::AddAddress { local, peer } => {
                self.on_interface(async |interface| interface.add_address(local, peer).await)
            }
            Request::RemoveAddress(local) => {
                self.on_interface(async |interface| interface.remove_address(local).await)
            }
            Request::AddDefaultRoutes => {
                self.on_interface(async |interface| interface.add_default_routes().await)
            }
        }
    }

    fn make_device(&mut self, name: &str) -> Result<OwnedFd, Refusal> {
        let device = Device::open(name).map_err(|error: TunnelError| Refusal::new(&error))?;
        let opened = self.runtime.block_on(async { Interface::open(name) });
        self.interface = Some(opened.map_err(|error| Refusal::new(&error))?);
        Ok(device.into_descriptor())
    }

    fn on_interface(
        &mut self,
        change: impl AsyncFnOnce(&Interface) -> Result<(), NetlinkError>,
    ) -> Result<Option<OwnedFd>, Refusal> {
        let interface = self.interface.as_ref().ok_or_else(|| io::Error::from(Errno::NODEV))?;
        let changed = self.runtime.block_on(change(interface));
        changed.map(|()| None).map_err(|error| Refusal::new(&error))
    }
}

/// Says which of the machine's settings is in the way.
fn no_namespace(error: Errno) -> Refusal {
    let cause = match error {
        Errno::NOSPC => "user.max_user_namespaces is too small",
        Errno::PERM | Errno::ACCESS => {
            "ordinary users may not make user namespaces here (kernel.unprivileged_userns_clone, or a container's seccomp \
             profile)"
        }
        Errno::INVAL | Errno::NOSYS => "the kernel has no user namespaces",
        error => return io::Error::from(error).into(),
    };
    Refusal { errno: Some(error.raw_os_error()), text: cause.to_owned() }
}

/// In the namespace the process has all rights, unless a security module takes them away again.
fn no_device(error: &TunnelError) -> Refusal {
    let cause = match error {
        TunnelError::NoTunDriver(_) => "/dev/net/tun does not exist",
        TunnelError::NoPermission(_) => {
            "/dev/net/tun is closed to this user, or user namespaces have no rights here \
             (kernel.apparmor_restrict_unprivileged_userns)"
        }
        error => return Refusal::new(error),
    };
    Refusal { errno: None, text: cause.to_owned() }
}

/// On all addresses of both families; only of IPv4 where the kernel has no IPv6.
fn listen(port: u16) -> io::Result<OwnedFd> {
    let on = |address: IpAddr| net::listen(SocketAddr::new(address, port)).map(OwnedFd::from);
    match on(Ipv6Addr::UNSPECIFIED.into()) {
        Err(error) if error.raw_os_error() == Some(Errno::AFNOSUPPORT.raw_os_error()) => {
            on(Ipv4Addr::UNSPECIFIED.into())
        }
        outcome => outcome,
    }
}

fn bound_socket(source: IpAddr) -> io::Result<OwnedFd> {
    let address = SocketAddr::new(source, 0);
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}
