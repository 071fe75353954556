//! The tunnel's UDP sockets: one for IPv4, one for IPv6 where the system has it, both on the same port.
//!
//! Datagrams leave without the don't-fragment bit, as kernel WireGuard sends them: where a path is narrower than the
//! tunnel believes and ICMP is lost, they are fragmented instead of vanishing.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;

use socket2::{Domain, Protocol, Socket, Type};

use super::TunnelError;

/// Room for a burst, octets: about 30 ms at 1 Gbit/s.
const SOCKET_BUFFER: usize = 4 << 20;

/// The sockets of a tunnel.
pub struct Sockets {
    /// For IPv4 peers.
    pub v4: UdpSocket,
    /// For IPv6 peers; `None` where the system has no IPv6.
    pub v6: Option<UdpSocket>,
}

impl Sockets {
    /// Sends a datagram; one that cannot be sent now is lost, as on any network.
    pub fn send(&self, to: SocketAddr, datagram: &[u8]) {
        let socket = match to {
            SocketAddr::V4(_) => Some(&self.v4),
            SocketAddr::V6(_) => self.v6.as_ref(),
        };
        if let Some(Err(error)) = socket.map(|socket| socket.send_to(datagram, to)) {
            tracing::trace!(%to, %error, "datagram not sent");
        }
    }
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
    Ok((Sockets { v4, v6 }, port))
}

fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
        allow_fragmentation(&socket, libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER)?;
    } else {
        allow_fragmentation(&socket, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER)?;
    }
    socket.set_recv_buffer_size(SOCKET_BUFFER)?;
    socket.set_send_buffer_size(SOCKET_BUFFER)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

/// Clears the don't-fragment bit (IP_PMTUDISC_DONT, the same number for both families).
fn allow_fragmentation(socket: &Socket, level: i32, option: i32) -> io::Result<()> {
    let value: libc::c_int = libc::IP_PMTUDISC_DONT;
    let length = size_of_val(&value) as libc::socklen_t;
    // SAFETY: the pointer and length describe `value`, which outlives the call.
    let result =
        unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, (&raw const value).cast(), length) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
