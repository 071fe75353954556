//! The TUN device: made by name, non-blocking, one packet or super-packet with its virtio-net header per read and write.
//! It vanishes when it is dropped.
//!
//! The kernel hands over TCP data of up to 64 KiB uncut and checksums unfinished (TUN_F_CSUM, TUN_F_TSO4, TUN_F_TSO6) and
//! takes the same from us. UDP stays cut (no TUN_F_USO4): mail does not use it, and home admits none.

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use tun_rs::{DeviceBuilder, SyncDevice};

use super::TunnelError;
use super::offload::VnetHeader;

/// The longest interface name the kernel takes (IFNAMSIZ without the final zero).
const NAME_OCTETS: usize = 15;

/// A TUN device.
pub struct Device {
    device: SyncDevice,
    takes_super_packets: bool,
}

impl Device {
    /// Reads a packet with its header; `None` when nothing waits.
    pub fn read<'a>(&self, buffer: &'a mut [u8]) -> Option<&'a mut [u8]> {
        let length = self.device.recv(buffer).ok()?;
        buffer.get_mut(..length)
    }

    /// Delivers a packet. One that cannot be taken now is lost, as on any network; where the kernel refuses super-packets
    /// as such, none is made from now on, and TCP repeats the data of this one.
    pub fn write(&mut self, header: VnetHeader, packet: &[u8]) {
        match self.device.send_vectored(&[IoSlice::new(&header.encode()), IoSlice::new(packet)]) {
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) && header.gso.is_some() => {
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
        // SAFETY: the device owns the descriptor and lives as long as this borrow.
        unsafe { BorrowedFd::borrow_raw(self.device.as_raw_fd()) }
    }
}

/// Makes the device; it is down and has no address yet.
pub fn open(name: &str) -> Result<Device, TunnelError> {
    let is_name_character = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if name.is_empty() || name.len() > NAME_OCTETS || !name.chars().all(is_name_character) {
        return Err(TunnelError::InvalidName(name.into()));
    }
    let device = make(name).map_err(|source| explain(name, source))?;
    Ok(Device { device, takes_super_packets: true })
}

fn make(name: &str) -> io::Result<SyncDevice> {
    let device = DeviceBuilder::new().name(name).offload(true).enable(false).build_sync()?;
    device.set_nonblocking(true)?;
    let offloads = libc::TUN_F_CSUM | libc::TUN_F_TSO4 | libc::TUN_F_TSO6;
    // SAFETY: the descriptor is the device's own and open; the argument is a number.
    let result =
        unsafe { libc::ioctl(device.as_raw_fd(), libc::TUNSETOFFLOAD, libc::c_ulong::from(offloads)) };
    if result == 0 { Ok(device) } else { Err(io::Error::last_os_error()) }
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
            assert!(matches!(open(name), Err(TunnelError::InvalidName(_))), "{name}");
        }
    }

    #[test]
    fn errors_say_what_to_mend() {
        let text = |errno| explain("postern0", io::Error::from_raw_os_error(errno)).to_string();
        assert!(text(libc::ENOENT).contains("modprobe tun"));
        assert!(text(libc::EPERM).contains("CAP_NET_ADMIN"));
        assert!(text(libc::EBUSY).contains("exists already"));
    }
}
