//! Many datagrams a system call (recvmmsg(2), sendmmsg(2)), each answered from the address at which it came.
//!
//! In: a bound UDP socket. Out: the datagrams that wait, at most [`BATCH`] at once; then the answers to them. The kernel
//! says at which local address each came (`IP_PKTINFO`, ip(7); `IPV6_PKTINFO`, ipv6(7)), and the same control message
//! sends the answer from there, so that a wildcard socket serves a machine with several addresses. Refused: datagrams
//! over [`LONGEST`] octets, and senders without a port or with an address that is no host's.

use std::io;
use std::mem::{MaybeUninit, offset_of};
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::ptr;

use libc::{c_int, c_uint};
use socket2::{SockAddr, SockAddrStorage};

/// Datagrams in one call.
pub const BATCH: usize = 32;

/// The longest query that is taken, in octets. RFC 6891 §6.2.3 asks for no more of a server.
const LONGEST: usize = 4096;

/// Room for one control message with either kind of packet information, aligned as the kernel's headers are.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
struct Control([u8; 64]);

/// Buffers for one batch, reused for ever.
pub struct Batch {
    octets: Vec<u8>,
    senders: Vec<SockAddrStorage>,
    sender_lengths: [u32; BATCH],
    controls: Box<[Control; BATCH]>,
    control_lengths: [usize; BATCH],
    lengths: [usize; BATCH],
    count: usize,
}

/// Asks the kernel to say at which address each datagram came.
pub fn tell_addresses(socket: &socket2::Socket, bound_to: SocketAddr) -> io::Result<()> {
    let (level, option) = match bound_to {
        SocketAddr::V6(_) => (libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO),
        SocketAddr::V4(_) => (libc::IPPROTO_IP, libc::IP_PKTINFO),
    };
    let (value, length): (c_int, _) = (1, size_of::<c_int>() as libc::socklen_t);
    // SAFETY: the pointer and length describe `value`, which outlives the call.
    let result =
        unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, (&raw const value).cast(), length) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

impl Batch {
    /// Empty buffers.
    pub fn new() -> Self {
        Self {
            octets: vec![0; BATCH * LONGEST],
            senders: (0..BATCH).map(|_| SockAddrStorage::zeroed()).collect(),
            sender_lengths: [0; BATCH],
            controls: Box::new([Control([0; 64]); BATCH]),
            control_lengths: [0; BATCH],
            lengths: [0; BATCH],
            count: 0,
        }
    }

    /// Takes what waits, without blocking; gives the number of datagrams.
    ///
    /// # Errors
    /// What the system said; `WouldBlock` when nothing waits.
    pub fn receive(&mut self, socket: &impl AsRawFd) -> io::Result<usize> {
        self.count = 0;
        let mut iovecs: [libc::iovec; BATCH] = [libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 }; BATCH];
        // SAFETY: all-zero is a valid mmsghdr (null pointers with zero lengths). Every pointer put into one names a buffer of
        // `self` or a local which outlives the call, with its true length; the kernel writes within these lengths and
        // tells how much. The buffers of different messages do not overlap.
        let received = unsafe {
            let mut messages: [libc::mmsghdr; BATCH] = MaybeUninit::zeroed().assume_init();
            let buffers = self.octets.chunks_exact_mut(LONGEST);
            for (at, ((message, iovec), buffer)) in
                messages.iter_mut().zip(&mut iovecs).zip(buffers).enumerate()
            {
                *iovec = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: LONGEST };
                let header = &mut message.msg_hdr;
                header.msg_name = (&raw mut self.senders[at]).cast();
                header.msg_namelen = self.senders[at].size_of();
                header.msg_iov = iovec;
                header.msg_iovlen = 1;
                header.msg_control = (&raw mut self.controls[at]).cast();
                header.msg_controllen = size_of::<Control>() as _;
            }
            let flags = libc::MSG_DONTWAIT;
            let received = libc::recvmmsg(
                socket.as_raw_fd(),
                messages.as_mut_ptr(),
                BATCH as c_uint,
                flags as _,
                ptr::null_mut(),
            );
            for (at, message) in messages.iter().enumerate().take(usize::try_from(received).unwrap_or(0)) {
                let header = &message.msg_hdr;
                let is_whole = header.msg_flags & (libc::MSG_TRUNC | libc::MSG_CTRUNC) == 0;
                self.lengths[at] = if is_whole { message.msg_len as usize } else { 0 };
                self.sender_lengths[at] = header.msg_namelen;
                self.control_lengths[at] = header.msg_controllen;
                forget_interface(header);
            }
            received
        };
        self.count = usize::try_from(received).map_err(|_| io::Error::last_os_error())?;
        Ok(self.count)
    }

    /// The datagram at `at` and its sender; `None` where it must not be answered.
    pub fn datagram(&self, at: usize) -> Option<(&[u8], SocketAddr)> {
        let octets = self.octets.get(at * LONGEST..)?.get(..*self.lengths.get(at)?)?;
        let sender = self.sender(at)?;
        let ip = sender.ip();
        let is_host = match ip.to_canonical() {
            std::net::IpAddr::V4(v4) => !v4.is_broadcast() && !v4.is_multicast() && !v4.is_unspecified(),
            std::net::IpAddr::V6(v6) => !v6.is_multicast() && !v6.is_unspecified(),
        };
        (is_host && sender.port() != 0).then_some((octets, sender))
    }

    fn sender(&self, at: usize) -> Option<SocketAddr> {
        let (from, length) = (self.senders.get(at)?, *self.sender_lengths.get(at)?);
        let mut storage = SockAddrStorage::zeroed();
        // SAFETY: the kernel has written an address of `length` octets into `from`, whose rest was valid before.
        unsafe {
            *storage.view_as::<libc::sockaddr_storage>() = ptr::read(ptr::from_ref(from).cast());
            SockAddr::new(storage, length).as_socket()
        }
    }

    /// Sends `answers[at]` to the sender of the datagram at `at`, from the address at which it came; empty ones are left
    /// out. What cannot be sent now is lost, as on any network.
    pub fn send(&mut self, socket: &impl AsRawFd, answers: &[Vec<u8>]) {
        let mut iovecs: [libc::iovec; BATCH] = [libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 }; BATCH];
        let mut count = 0;
        // SAFETY: as in `receive`; the kernel only reads, and only the first `count` messages.
        unsafe {
            let mut messages: [libc::mmsghdr; BATCH] = MaybeUninit::zeroed().assume_init();
            for (at, answer) in answers.iter().enumerate().take(self.count) {
                if answer.is_empty() {
                    continue;
                }
                iovecs[count] =
                    libc::iovec { iov_base: answer.as_ptr().cast_mut().cast(), iov_len: answer.len() };
                let header = &mut messages[count].msg_hdr;
                header.msg_name = (&raw mut self.senders[at]).cast();
                header.msg_namelen = self.sender_lengths[at];
                header.msg_iov = &raw mut iovecs[count];
                header.msg_iovlen = 1;
                header.msg_control = (&raw mut self.controls[at]).cast();
                header.msg_controllen = self.control_lengths[at] as _;
                count += 1;
            }
            send_all(socket, &mut messages[..count]);
        }
    }
}

/// sendmmsg stops at the first message that fails; that one is left out and the rest follows.
///
/// # Safety
/// Every pointer in `messages` must name memory that is valid for its length.
unsafe fn send_all(socket: &impl AsRawFd, mut messages: &mut [libc::mmsghdr]) {
    while !messages.is_empty() {
        // SAFETY: the slice gives pointer and length; its contents are the caller's promise.
        let sent = unsafe {
            libc::sendmmsg(
                socket.as_raw_fd(),
                messages.as_mut_ptr(),
                messages.len() as c_uint,
                libc::MSG_DONTWAIT as _,
            )
        };
        let done = match usize::try_from(sent) {
            Ok(sent) => sent.max(1),
            Err(_) => {
                let error = io::Error::last_os_error();
                tracing::debug!(%error, "dns answer not sent");
                1
            }
        };
        messages = &mut std::mem::take(&mut messages)[done..];
    }
}

/// Zeroes the interface in packet information that was received: the answer goes by the routing table, not back out of
/// the interface at which the query came.
///
/// # Safety
/// `header` must be one that recvmmsg has filled in, with its control buffer still there.
unsafe fn forget_interface(header: &libc::msghdr) {
    // SAFETY: CMSG_FIRSTHDR gives a message inside the control buffer or null; its data holds the structure that level and
    // type name, whose integer is written unaligned.
    unsafe {
        let Some(found) = libc::CMSG_FIRSTHDR(header).as_ref() else { return };
        let offset = match (found.cmsg_level, found.cmsg_type) {
            (libc::IPPROTO_IP, libc::IP_PKTINFO) => offset_of!(libc::in_pktinfo, ipi_ifindex),
            (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => offset_of!(libc::in6_pktinfo, ipi6_ifindex),
            _ => return,
        };
        ptr::write_unaligned(libc::CMSG_DATA(found).add(offset).cast::<c_int>(), 0);
    }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;

    fn socket(address: &str) -> UdpSocket {
        let address: SocketAddr = address.parse().unwrap();
        let socket =
            socket2::Socket::new(socket2::Domain::for_address(address), socket2::Type::DGRAM, None).unwrap();
        tell_addresses(&socket, address).unwrap();
        socket.bind(&address.into()).unwrap();
        socket.into()
    }

    #[test]
    fn each_answer_goes_to_its_asker_from_the_address_asked() {
        let server = socket("0.0.0.0:0");
        let port = server.local_addr().unwrap().port();
        let clients: Vec<UdpSocket> = (0..40).map(|_| UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
        let address = |number: usize| SocketAddr::from(([127, 0, 0, 2 + number as u8], port));
        for (number, client) in clients.iter().enumerate() {
            client.set_read_timeout(Some(std::time::Duration::from_secs(5))).unwrap();
            client.send_to(&[number as u8; 3], address(number)).unwrap();
        }
        let mut batch = Batch::new();
        let mut seen = 0;
        while seen < clients.len() {
            let count = batch.receive(&server).unwrap();
            let answers: Vec<Vec<u8>> =
                (0..count).map(|at| batch.datagram(at).unwrap().0.repeat(2)).collect();
            batch.send(&server, &answers);
            seen += count;
        }
        assert_eq!(batch.receive(&server).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        for (number, client) in clients.iter().enumerate() {
            let mut buffer = [0; 16];
            let (length, from) = client.recv_from(&mut buffer).unwrap();
            assert_eq!((&buffer[..length], from), (&[number as u8; 6][..], address(number)));
        }
    }

    #[test]
    fn a_datagram_that_is_too_long_has_no_octets() {
        let server = socket("[::1]:0");
        let client = UdpSocket::bind("[::1]:0").unwrap();
        client.send_to(&[1; LONGEST + 1], server.local_addr().unwrap()).unwrap();
        let mut batch = Batch::new();
        assert_eq!(batch.receive(&server).unwrap(), 1);
        assert_eq!(batch.datagram(0).unwrap().0, b"");
    }
}
