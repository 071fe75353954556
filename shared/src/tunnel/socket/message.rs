//! One sendmsg(2) or recvmsg(2) with its control messages.
//!
//! In and out: octets, the peer's address and ours (`IP_PKTINFO`, ip(7); `IPV6_PKTINFO`, ipv6(7)), and the length of the
//! datagrams that lie in the octets one behind the other (`UDP_SEGMENT`, `UDP_GRO`, udp(7)).

use std::io;
use std::mem::MaybeUninit;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
use std::os::fd::AsRawFd;
use std::ptr;

use libc::c_int;
use socket2::SockAddr;

use super::super::ends::Ends;

/// What one call brought: datagrams of one sender, one behind the other.
#[derive(Debug, Clone, Copy)]
pub struct Incoming {
    /// Who sent them, and to which address of ours.
    pub from: Ends,
    /// All octets in the buffer.
    pub length: usize,
    /// The length of each in octets, but of the last, which may be shorter; never zero.
    pub segment: usize,
}

/// Room for the two control messages of a call, aligned as the kernel's headers are.
#[repr(C, align(8))]
struct Control {
    octets: [u8; 96],
    filled: usize,
}

impl Control {
    fn new() -> Self {
        Self { octets: [0; 96], filled: 0 }
    }

    /// Adds a control message whose data are a plain C value.
    fn push<T: Copy>(&mut self, level: c_int, kind: c_int, value: T) {
        // SAFETY: these only compute lengths.
        let (space, length) = unsafe {
            let octets = size_of::<T>() as u32;
            (libc::CMSG_SPACE(octets) as usize, libc::CMSG_LEN(octets))
        };
        let Some(place) = self.octets.get_mut(self.filled..self.filled + space) else { return };
        let header: *mut libc::cmsghdr = place.as_mut_ptr().cast();
        // SAFETY: the place is as long as a header and its data, and aligned as a header: the room is, and so is the space of
        // each message before it. All of it is initialised, so every field may be written by itself.
        unsafe {
            (*header).cmsg_level = level;
            (*header).cmsg_type = kind;
            (*header).cmsg_len = length as _;
            ptr::write_unaligned(libc::CMSG_DATA(header).cast(), value);
        }
        self.filled += space;
    }

    /// Names the address that the datagrams shall leave from.
    fn push_local(&mut self, local: IpAddr) {
        match local {
            IpAddr::V4(address) => {
                let ipi_spec_dst = libc::in_addr { s_addr: u32::from_ne_bytes(address.octets()) };
                let none = libc::in_addr { s_addr: 0 };
                let info = libc::in_pktinfo { ipi_ifindex: 0, ipi_spec_dst, ipi_addr: none };
                self.push(libc::IPPROTO_IP, libc::IP_PKTINFO, info);
            }
            IpAddr::V6(address) => {
                let ipi6_addr = libc::in6_addr { s6_addr: address.octets() };
                let info = libc::in6_pktinfo { ipi6_addr, ipi6_ifindex: 0 };
                self.push(libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, info);
            }
        }
    }
}

/// Sends octets in one call; where a `segment` is given the kernel cuts them into datagrams of that length.
pub fn send(socket: &UdpSocket, to: Ends, octets: &[u8], segment: Option<u16>) -> io::Result<()> {
    let peer = SockAddr::from(to.peer);
    let mut control = Control::new();
    if let Some(segment) = segment {
        control.push(libc::SOL_UDP, libc::UDP_SEGMENT, segment);
    }
    if let Some(local) = to.local {
        control.push_local(local);
    }
    let mut octets = libc::iovec { iov_base: octets.as_ptr().cast_mut().cast(), iov_len: octets.len() };
    // SAFETY: all-zero is a valid msghdr (null pointers with zero lengths). Every pointer put into it names a local or
    // borrowed value that outlives the call with its true length, and the kernel only reads them.
    let sent = unsafe {
        let mut message: libc::msghdr = MaybeUninit::zeroed().assume_init();
        message.msg_name = peer.as_ptr().cast_mut().cast();
        message.msg_namelen = peer.len();
        message.msg_iov = &raw mut octets;
        message.msg_iovlen = 1;
        if control.filled > 0 {
            message.msg_control = control.octets.as_mut_ptr().cast();
            message.msg_controllen = control.filled as _;
        }
        libc::sendmsg(socket.as_raw_fd(), &raw const message, 0)
    };
    if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Takes what one call brings: one datagram, or a run that the kernel has put together. `None` when nothing waits.
pub fn receive(socket: &UdpSocket, buffer: &mut [u8]) -> Option<Incoming> {
    let mut control = Control::new();
    let mut octets = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    let mut told = Told::default();
    // SAFETY: as in `send`; the kernel writes into `buffer`, `control` and the address storage within the lengths that it is
    // given, and tells how much. CMSG_FIRSTHDR and CMSG_NXTHDR stay inside what it has written.
    let received = unsafe {
        SockAddr::try_init(|name, name_length| {
            let mut message: libc::msghdr = MaybeUninit::zeroed().assume_init();
            message.msg_name = name.cast();
            message.msg_namelen = *name_length;
            message.msg_iov = &raw mut octets;
            message.msg_iovlen = 1;
            message.msg_control = control.octets.as_mut_ptr().cast();
            message.msg_controllen = control.octets.len() as _;
            let length = libc::recvmsg(socket.as_raw_fd(), &raw mut message, 0);
            if length < 0 {
                return Err(io::Error::last_os_error());
            }
            *name_length = message.msg_namelen;
            let mut header = libc::CMSG_FIRSTHDR(&raw const message);
            while let Some(found) = header.as_ref() {
                told.take(found);
                header = libc::CMSG_NXTHDR(&raw const message, header);
            }
            Ok(length as usize)
        })
    };
    let (length, from) = received.ok()?;
    let segment = told.segment.unwrap_or(length).max(1);
    Some(Incoming { from: Ends { peer: from.as_socket()?, local: told.local }, length, segment })
}

/// What the control messages have told.
#[derive(Default)]
struct Told {
    segment: Option<usize>,
    local: Option<IpAddr>,
}

impl Told {
    /// # Safety
    /// The header must be one that recvmsg has written, with its data behind it.
    unsafe fn take(&mut self, header: &libc::cmsghdr) {
        // SAFETY: the data hold the structure that level and type name; they are read unaligned.
        unsafe {
            let data = libc::CMSG_DATA(header);
            match (header.cmsg_level, header.cmsg_type) {
                (libc::SOL_UDP, libc::UDP_GRO) => {
                    let octets = ptr::read_unaligned(data.cast::<c_int>());
                    self.segment = usize::try_from(octets).ok().filter(|octets| *octets > 0);
                }
                (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                    let info = ptr::read_unaligned(data.cast::<libc::in_pktinfo>());
                    let address = Ipv4Addr::from(info.ipi_spec_dst.s_addr.to_ne_bytes());
                    self.local = Some(address.into()).filter(|_| !address.is_unspecified());
                }
                (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                    let info = ptr::read_unaligned(data.cast::<libc::in6_pktinfo>());
                    let address = Ipv6Addr::from(info.ipi6_addr.s6_addr);
                    // One of a link could not be named without its interface; the routing table finds it by the peer's.
                    self.local = Some(address.into()).filter(|_| !address.is_unicast_link_local());
                }
                _ => {}
            }
        }
    }
}
