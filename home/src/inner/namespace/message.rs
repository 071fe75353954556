//! What home and its broker say to each other over a `SOCK_SEQPACKET` socket pair: a request and its answer, one packet
//! each, JSON, with at most one descriptor beside the answer (`SCM_RIGHTS`, unix(7)).
//!
//! The socket keeps packets apart, so nothing needs a length. Refused: a packet above [`MAX_OCTETS`], one that is cut off,
//! and what is not JSON of the expected form.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The longest packet, octets.
const MAX_OCTETS: usize = 4096;

/// What home asks of the broker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// Make a TUN device of this name; the answer brings it. The requests about the interface mean the latest one.
    Device(String),
    /// Set the interface's MTU (octets) and bring it up.
    BringUp(u16),
    /// Add a host address and the route to its peer.
    AddAddress {
        /// The address.
        local: IpAddr,
        /// The other end.
        peer: IpAddr,
    },
    /// Remove a host address.
    RemoveAddress(IpAddr),
    /// Send everything out of the interface.
    AddDefaultRoutes,
    /// Listen on a TCP port of all addresses; the answer brings the socket.
    Listen(u16),
    /// Make a TCP socket bound to this address; the answer brings it.
    Socket(IpAddr),
}

/// What the broker answers; the descriptor comes beside it.
pub type Answer = Result<(), Refusal>;

/// Why a request was not done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{text}")]
pub struct Refusal {
    /// The operating system's number of the error, where it has one.
    pub errno: Option<i32>,
    /// The sentence for people.
    pub text: String,
}

impl Refusal {
    /// A refusal that only has words.
    pub fn new(error: &dyn std::error::Error) -> Self {
        Self { errno: None, text: error.to_string() }
    }
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        Self { errno: error.raw_os_error(), text: error.to_string() }
    }
}

impl From<Refusal> for io::Error {
    fn from(refusal: Refusal) -> Self {
        match refusal.errno {
            Some(errno) => io::Error::from_raw_os_error(errno),
            None => io::Error::other(refusal.text),
        }
    }
}

/// Sends one message, and a descriptor with it.
///
/// # Errors
/// As the operating system says.
pub fn send(
    socket: impl AsFd,
    message: &impl Serialize,
    descriptor: Option<BorrowedFd<'_>>,
) -> io::Result<()> {
    let octets = serde_json::to_vec(message)?;
    let descriptors: Vec<BorrowedFd<'_>> = descriptor.into_iter().collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() {
        control.push(SendAncillaryMessage::ScmRights(&descriptors));
    }
    sendmsg(socket, &[IoSlice::new(&octets)], &mut control, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// Receives one message, and the descriptor that came with it.
///
/// # Errors
/// `UnexpectedEof` when the other end is gone, `InvalidData` for a message that is not understood, and what the operating
/// system says.
pub fn receive<T: DeserializeOwned>(socket: impl AsFd) -> io::Result<(T, Option<OwnedFd>)> {
    let mut octets = [0; MAX_OCTETS];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received =
        recvmsg(socket, &mut [IoSliceMut::new(&mut octets)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let descriptor = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
        _ => None,
    });
    if received.bytes == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    if received.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC) {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let message = serde_json::from_slice(octets.get(..received.bytes).unwrap_or_default())?;
    Ok((message, descriptor))
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{Read, Write};

    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

    use super::*;

    fn pair() -> (OwnedFd, OwnedFd) {
        socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).expect("a pair")
    }

    #[test]
    fn messages_stay_apart_and_bring_their_descriptor() {
        let (ours, theirs) = pair();
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(b"the same file").expect("written");
        let requests = [Request::Listen(25), Request::Socket(IpAddr::from([10, 118, 0, 2]))];
        send(&ours, &requests[0], None).expect("sent");
        send(&ours, &requests[1], Some(file.as_fd())).expect("sent");
        let (first, none) = receive::<Request>(&theirs).expect("received");
        assert_eq!((first, none.is_none()), (requests[0].clone(), true));
        let (second, descriptor) = receive::<Request>(&theirs).expect("received");
        assert_eq!(second, requests[1]);
        let mut copy = File::from(descriptor.expect("a descriptor"));
        let mut text = String::new();
        std::io::Seek::rewind(&mut copy).expect("rewound");
        copy.read_to_string(&mut text).expect("read");
        assert_eq!(text, "the same file");
    }

    #[test]
    fn what_is_not_a_message_is_an_error() {
        let (ours, theirs) = pair();
        send(&ours, &"x".repeat(MAX_OCTETS), None).expect("sent");
        assert_eq!(receive::<Request>(&theirs).expect_err("too long").kind(), io::ErrorKind::InvalidData);
        send(&ours, &"Reboot", None).expect("sent");
        assert_eq!(receive::<Request>(&theirs).expect_err("unknown").kind(), io::ErrorKind::InvalidData);
        drop(ours);
        assert_eq!(receive::<Request>(&theirs).expect_err("gone").kind(), io::ErrorKind::UnexpectedEof);
    }
}
