//! The tunnel's UDP sockets: one for IPv4, one for IPv6 where the system has it, both on the same port.
//!
//! In and out: many datagrams a system call, where the kernel has UDP segmentation offload (`UDP_SEGMENT`, `UDP_GRO`,
//! udp(7)). Where it refuses a run (EIO or EINVAL: no offload on this route; EMSGSIZE: the route is narrower than a
//! datagram) the datagrams go one by one for [`PAUSE`], since a route may change; the log says so once.
//!
//! Datagrams leave without the don't-fragment bit, as kernel WireGuard sends them: where a path is narrower than the
//! tunnel believes, they are fragmented instead of vanishing until the probes have found out ([`super::path`]). The probes
//! themselves carry the bit and ignore what the kernel believes of the path (IP_PMTUDISC_PROBE).
//!
//! Datagrams are sent as not ECN-capable (RFC 6040 §4.1, compatibility mode): a router drops one instead of marking it,
//! which TCP inside sees. Copying marks would take a control message per datagram, where a run has one.
//!
//! Both sockets are bound to all addresses. The kernel tells at which one a datagram came, and sends from the one that
//! [`Ends`] names; where that one is gone, nothing is sent.

mod message;

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use libc::c_int;
use socket2::{Domain, Protocol, Socket, Type};

use super::TunnelError;
use super::batch::Datagrams;
use super::ends::Ends;

pub use message::{Incoming, receive};

/// Room for a burst, octets: about 30 ms at 1 Gbit/s.
const SOCKET_BUFFER: c_int = 4 << 20;

/// How long datagrams go one by one after the kernel has refused a run.
const PAUSE: Duration = Duration::from_secs(10);

/// The sockets of a tunnel.
pub struct Sockets {
    /// For IPv4 peers.
    pub v4: UdpSocket,
    /// For IPv6 peers; `None` where the system has no IPv6.
    pub v6: Option<UdpSocket>,
    offload: Offload,
    /// The destination for which a datagram was too long.
    narrow: Option<SocketAddr>,
}

/// Whether runs of datagrams may go out in one call.
#[derive(Default)]
struct Offload {
    paused_until: Option<Instant>,
    has_spoken: bool,
}

impl Sockets {
    /// Sends datagrams; those that cannot be sent now are lost, as on any network.
    pub fn send(&mut self, datagrams: Datagrams<'_>) {
        let to = datagrams.to;
        let Some(socket) = socket_for(&self.v4, self.v6.as_ref(), to) else { return };
        if !datagrams.is_single() && self.offload.is_on() {
            match send_run(socket, datagrams) {
                Err(error) if is_refusal(&error) => {
                    if error.raw_os_error() == Some(libc::EMSGSIZE) {
                        self.narrow = Some(to.peer);
                    }
                    self.offload.pause(&error);
                }
                Err(error) => return tracing::trace!(?to, %error, "datagrams not sent"),
                Ok(()) => return,
            }
        }
        for datagram in datagrams.iter() {
            if let Err(error) = message::send(socket, to, datagram, None) {
                tracing::trace!(?to, %error, "datagram not sent");
            }
        }
    }

    /// Sends a datagram that must not be fragmented; tells whether the first link takes its length.
    pub fn send_whole(&self, to: Ends, datagram: &[u8]) -> bool {
        let Some(socket) = socket_for(&self.v4, self.v6.as_ref(), to) else { return true };
        let sent = discover_mtu(socket, to.peer, libc::IP_PMTUDISC_PROBE)
            .and_then(|()| message::send(socket, to, datagram, None));
        if let Err(error) = discover_mtu(socket, to.peer, libc::IP_PMTUDISC_DONT) {
            tracing::error!(%error, "the don't-fragment bit cannot be cleared again");
        }
        !matches!(sent, Err(error) if error.raw_os_error() == Some(libc::EMSGSIZE))
    }

    /// The destination for which a datagram was too long lately; told once.
    pub fn take_narrow(&mut self) -> Option<SocketAddr> {
        self.narrow.take()
    }
}

fn socket_for<'a>(v4: &'a UdpSocket, v6: Option<&'a UdpSocket>, to: Ends) -> Option<&'a UdpSocket> {
    if to.peer.is_ipv4() { Some(v4) } else { v6 }
}

fn send_run(socket: &UdpSocket, datagrams: Datagrams<'_>) -> io::Result<()> {
    let segment = u16::try_from(datagrams.segment).map_err(|_| io::ErrorKind::InvalidInput)?;
    message::send(socket, datagrams.to, datagrams.octets, Some(segment))
}

/// The greatest datagram, headers included, that the kernel would send this way: the route's MTU, or what ICMP has told.
pub fn route_mtu(to: SocketAddr) -> Option<u16> {
    let socket = Socket::new(Domain::for_address(to), Type::DGRAM, Some(Protocol::UDP)).ok()?;
    // Connecting looks the route up and sends nothing.
    socket.connect(&to.into()).ok()?;
    let (level, option) =
        if to.is_ipv4() { (libc::IPPROTO_IP, libc::IP_MTU) } else { (libc::IPPROTO_IPV6, libc::IPV6_MTU) };
    let mut mtu: c_int = 0;
    let mut length = size_of_val(&mtu) as libc::socklen_t;
    // SAFETY: the pointers name locals that outlive the call, with their true length.
    let result = unsafe {
        libc::getsockopt(socket.as_raw_fd(), level, option, (&raw mut mtu).cast(), &raw mut length)
    };
    (result == 0).then(|| mtu.try_into().ok())?
}

impl Offload {
    fn is_on(&mut self) -> bool {
        if self.paused_until.is_some_and(|until| Instant::now() >= until) {
            self.paused_until = None;
        }
        self.paused_until.is_none()
    }

    fn pause(&mut self, error: &io::Error) {
        self.paused_until = Some(Instant::now() + PAUSE);
        if !std::mem::replace(&mut self.has_spoken, true) {
            tracing::info!(%error, "UDP segmentation offload is refused here; datagrams go one by one");
        }
    }
}

fn is_refusal(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EIO | libc::EINVAL | libc::EMSGSIZE | libc::EOPNOTSUPP | libc::ENOPROTOOPT)
    )
}

/// Binds both sockets; returns them with the port.
pub fn open(port: u16) -> Result<(Sockets, u16), TunnelError> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::AddrInUse => TunnelError::PortInUse(port),
        _ => TunnelError::Socket { port, source },
    };
    let v4 = bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))).map_err(failed)?;
    let port = v4.local_addr().map_err(failed)?.port();
    let v6 = match bind(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))) {
        Ok(socket) => Some(socket),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => return Err(TunnelError::PortInUse(port)),
        Err(error) => {
            tracing::info!(%error, "the tunnel runs without IPv6 outside");
            None
        }
    };
    Ok((Sockets { v4, v6, offload: Offload::default(), narrow: None }, port))
}

fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    discover_mtu(&socket, address, libc::IP_PMTUDISC_DONT)?;
    if let Err(error) = set(&socket, libc::SOL_UDP, libc::UDP_GRO, 1) {
        tracing::info!(%error, "no UDP receive offload here; datagrams come one by one");
    }
    tell_local_address(&socket, address)?;
    enlarge(&socket, libc::SO_RCVBUFFORCE, libc::SO_RCVBUF)?;
    enlarge(&socket, libc::SO_SNDBUFFORCE, libc::SO_SNDBUF)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

/// Sets how the kernel treats the path MTU of a socket of this address's family; the modes have the same numbers in both.
fn discover_mtu(socket: &impl AsRawFd, address: SocketAddr, mode: c_int) -> io::Result<()> {
    if address.is_ipv6() {
        set(socket, libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, mode)
    } else {
        set(socket, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, mode)
    }
}

/// Asks the kernel to say at which of our addresses each datagram came.
fn tell_local_address(socket: &impl AsRawFd, address: SocketAddr) -> io::Result<()> {
    if address.is_ipv6() {
        set(socket, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, 1)
    } else {
        set(socket, libc::IPPROTO_IP, libc::IP_PKTINFO, 1)
    }
}

/// Sets a buffer's length beyond the system's limit where we have CAP_NET_ADMIN, else up to that limit.
fn enlarge(socket: &Socket, forced: c_int, plain: c_int) -> io::Result<()> {
    set(socket, libc::SOL_SOCKET, forced, SOCKET_BUFFER)
        .or_else(|_| set(socket, libc::SOL_SOCKET, plain, SOCKET_BUFFER))
}

fn set(socket: &impl AsRawFd, level: c_int, option: c_int, value: c_int) -> io::Result<()> {
    let length = size_of_val(&value) as libc::socklen_t;
    // SAFETY: the pointer and length describe `value`, which outlives the call.
    let result =
        unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, (&raw const value).cast(), length) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends a run to a new pair of sockets and gives back what arrives, and the sender.
    fn pass(sender: &mut Sockets, octets: &[u8], segment: usize) -> Vec<Vec<u8>> {
        let receiver = open(0).unwrap().0;
        let port = receiver.v4.local_addr().unwrap().port();
        let to = SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into();
        sender.send(Datagrams { to, octets, segment });
        let (mut came, mut buffer) = (Vec::new(), vec![0; 65536]);
        while let Some(incoming) = receive(&receiver.v4, &mut buffer) {
            came.extend(buffer[..incoming.length].chunks(incoming.segment).map(<[u8]>::to_vec));
        }
        came
    }

    fn cut(octets: &[u8], segment: usize) -> Vec<Vec<u8>> {
        octets.chunks(segment).map(<[u8]>::to_vec).collect()
    }

    #[test]
    fn runs_arrive_as_the_datagrams_that_they_are() {
        let mut sender = open(0).unwrap().0;
        let octets: Vec<u8> = (0..5000u32).map(|i| (i % 251) as u8).collect();
        assert_eq!(pass(&mut sender, &octets, 1400), cut(&octets, 1400));
        assert!(sender.offload.is_on(), "the kernel takes runs");
    }

    #[test]
    fn an_answer_leaves_from_the_address_that_was_addressed() {
        let (mut edge, port) = open(0).unwrap();
        let asker = UdpSocket::bind("127.0.0.1:0").unwrap();
        asker.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let mut buffer = [0; 2000];
        for addressed in [2, 3].map(|last| SocketAddr::from(([127, 0, 0, last], port))) {
            asker.send_to(b"?", addressed).unwrap();
            let from = receive(&edge.v4, &mut buffer).unwrap().from;
            assert_eq!(from, Ends { peer: asker.local_addr().unwrap(), local: Some(addressed.ip()) });
            edge.send(Datagrams { to: from, octets: &[7; 1500], segment: 1000 });
            edge.send(Datagrams { to: from, octets: &[7; 10], segment: 10 });
            assert!(edge.send_whole(from, &[7; 20]));
            for octets in [1000, 500, 10, 20] {
                assert_eq!(asker.recv_from(&mut buffer).unwrap(), (octets, addressed));
            }
        }
        let Some(v6) = &edge.v6 else { return };
        let asker = UdpSocket::bind("[::1]:0").unwrap();
        asker.send_to(b"?", ("::1", port)).unwrap();
        assert_eq!(receive(v6, &mut buffer).unwrap().from.local, Some(Ipv6Addr::LOCALHOST.into()));
    }

    /// The kernel refuses more than its limit of segments with EINVAL, and more octets than a datagram has with EMSGSIZE.
    #[test]
    fn a_run_that_the_kernel_refuses_goes_one_by_one_and_so_do_the_next() {
        for (octets, segment) in [(3000, 10), (66_000, 1400)] {
            let mut sender = open(0).unwrap().0;
            let refused: Vec<u8> = (0..octets).map(|i| (i % 251) as u8).collect();
            let to = SocketAddr::from((Ipv4Addr::LOCALHOST, 9)).into();
            let error = send_run(&sender.v4, Datagrams { to, octets: &refused, segment }).unwrap_err();
            assert!(is_refusal(&error), "{error}");
            assert_eq!(pass(&mut sender, &refused, segment), cut(&refused, segment));
            assert!(!sender.offload.is_on() && sender.offload.has_spoken);
            assert_eq!(pass(&mut sender, &refused[..2800], 1400), cut(&refused[..2800], 1400));
            sender.offload.paused_until = Some(Instant::now());
            assert!(sender.offload.is_on(), "runs are tried again after a while");
        }
    }

    #[test]
    fn a_route_without_offload_is_a_refusal_and_a_full_buffer_is_none() {
        let refuses = |errno| is_refusal(&io::Error::from_raw_os_error(errno));
        assert!([libc::EIO, libc::EINVAL, libc::EMSGSIZE, libc::EOPNOTSUPP].into_iter().all(refuses));
        assert!(![libc::EAGAIN, libc::ENOBUFS, libc::ENETUNREACH, libc::EPERM].into_iter().any(refuses));
    }
}
