//! The device: a descriptor that gives and takes one packet or super-packet with its virtio-net header per read and write,
//! and does not block.
//!
//! Three kinds of descriptor will do: a TUN device made here by its name, which vanishes when it is dropped; one made
//! elsewhere, for instance in another network namespace; one end of a `SOCK_SEQPACKET` socket pair, behind whose other end
//! stands a TCP/IP stack of our own.
//!
//! The kernel hands over TCP data of up to 64 KiB uncut and checksums unfinished (TUN_F_CSUM, TUN_F_TSO4, TUN_F_TSO6) and
//! takes the same from us. UDP stays cut (no TUN_F_USO4): mail does not use it, and home admits none.

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd};

use rustix::io::Errno;
use tun_rs::DeviceBuilder;

use super::TunnelError;
use super::offload::{Pieces, VnetHeader};

/// The longest interface name the kernel takes (IFNAMSIZ without the final zero).
const NAME_OCTETS: usize = 15;

/// What carries the packets inside the tunnel to and from a TCP/IP stack.
#[derive(Debug)]
pub struct Device {
    descriptor: OwnedFd,
    takes_super_packets: bool,
}

impl Device {
    /// Makes a TUN device by its name, 1 to 15 octets; it is down and has no address yet.
    ///
    /// # Errors
    /// What is missing, with how to mend it.
    pub fn open(name: &str) -> Result<Self, TunnelError> {
        let is_name_character = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if name.is_empty() || name.len() > NAME_OCTETS || !name.chars().all(is_name_character) {
            return Err(TunnelError::InvalidName(name.into()));
        }
        let descriptor = make(name).map_err(|source| explain(name, source))?;
        Ok(Device { descriptor, takes_super_packets: true })
    }

    /// Takes a TUN device that [`Device::open`] has made in another process.
    pub fn from_tun(descriptor: OwnedFd) -> Self {
        Device { descriptor, takes_super_packets: true }
    }

    /// Takes a descriptor that does not block and gives and takes single packets, each behind a virtio-net header of 10
    /// octets, with their checksums complete.
    pub fn from_packets(descriptor: OwnedFd) -> Self {
        Device { descriptor, takes_super_packets: false }
    }

    /// The descriptor, to be handed to another process.
    pub fn into_descriptor(self) -> OwnedFd {
        self.descriptor
    }

    /// Reads a packet with its header; `None` when nothing waits.
    pub fn read<'a>(&self, buffer: &'a mut [u8]) -> Option<&'a mut [u8]> {
        let length = rustix::io::read(&self.descriptor, &mut *buffer).ok()?;
        buffer.get_mut(..length)
    }

    /// Delivers a packet. One that cannot be taken now is lost, as on any network; where the kernel refuses super-packets
    /// as such, none is made from now on, and TCP repeats the data of this one.
    pub fn write(&mut self, header: VnetHeader, packet: Pieces<'_>) {
        let encoded = header.encode();
        let mut slices = [IoSlice::new(&encoded); 1 + Pieces::MOST];
        let pieces =
            packet.iter().zip(slices.iter_mut().skip(1)).map(|(piece, slice)| *slice = IoSlice::new(piece));
        let count = 1 + pieces.count();
        match rustix::io::writev(&self.descriptor, slices.get(..count).unwrap_or_default()) {
            Err(error @ Errno::INVAL) if header.gso.is_some() => {
                if std::mem::replace(&mut self.takes_super_packets, false) {
                    tracing::info!(%error, "the kernel refuses super-packets; packets are delivered one by one");
                }
            }
            Err(error) => tracing::trace!(%error, "packet not delivered"),
            Ok(_) => {}
        }
    }

    /// Whether super-packets may be written.
    pub fn takes_super_packets(&self) -> bool {
        self.takes_super_packets
    }
}

impl AsFd for Device {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

fn make(name: &str) -> io::Result<OwnedFd> {
    let device = DeviceBuilder::new().name(name).offload(true).enable(false).build_sync()?;
    device.set_nonblocking(true)?;
    let offloads = libc::TUN_F_CSUM | libc::TUN_F_TSO4 | libc::TUN_F_TSO6;
    // SAFETY: the descriptor is the device's own and open; the argument is a number.
    let result =
        unsafe { libc::ioctl(device.as_raw_fd(), libc::TUNSETOFFLOAD, libc::c_ulong::from(offloads)) };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the device gives its descriptor away and with it the duty to close it.
    Ok(unsafe { OwnedFd::from_raw_fd(device.into_raw_fd()) })
}

fn explain(name: &str, source: io::Error) -> TunnelError {
    match source.raw_os_error() {
        Some(libc::ENOENT | libc::ENODEV | libc::ENXIO) => TunnelError::NoTunDriver(name.into()),
        Some(libc::EPERM | libc::EACCES) => TunnelError::NoPermission(name.into()),
        Some(libc::EBUSY | libc::EEXIST | libc::EINVAL) => TunnelError::InterfaceExists(name.into()),
        _ => TunnelError::Device { interface: name.into(), source },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked_before_the_kernel_is_asked() {
        for name in ["", "a-name-of-16-oct", "a/b", "a b"] {
            assert!(matches!(Device::open(name), Err(TunnelError::InvalidName(_))), "{name}");
        }
    }

    #[test]
    fn where_super_packets_are_refused_none_is_made_any_more() {
        use rustix::time::{TimerfdClockId, TimerfdFlags, timerfd_create};
        // The kernel says EINVAL to every write to a timer.
        let refusing = || timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::CLOEXEC).unwrap();
        let (super_packet, _) = VnetHeader::decode(&mut [1, 1, 40, 0, 60, 5, 20, 0, 16, 0]).unwrap();
        let mut device = Device::from_tun(refusing());
        device.write(VnetHeader::default(), Pieces::default());
        assert!(device.takes_super_packets(), "a single packet says nothing about super-packets");
        device.write(super_packet, Pieces::default());
        assert!(!device.takes_super_packets());
    }

    #[test]
    fn errors_say_what_to_mend() {
        let text = |errno| explain("postern0", io::Error::from_raw_os_error(errno)).to_string();
        assert!(text(libc::ENOENT).contains("modprobe tun"));
        assert!(text(libc::EPERM).contains("CAP_NET_ADMIN"));
        assert!(text(libc::EBUSY).contains("exists already"));
    }
}
