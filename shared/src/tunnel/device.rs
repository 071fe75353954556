//! The TUN device: made by name, non-blocking, one IP packet per read and write. It vanishes when it is dropped.

use std::io;

use tun_rs::{DeviceBuilder, SyncDevice};

use super::TunnelError;

/// The longest interface name the kernel takes (IFNAMSIZ without the final zero).
const NAME_OCTETS: usize = 15;

/// Makes the device; it is down and has no address yet.
pub fn open(name: &str) -> Result<SyncDevice, TunnelError> {
    let is_name_character = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if name.is_empty() || name.len() > NAME_OCTETS || !name.chars().all(is_name_character) {
        return Err(TunnelError::InvalidName(name.into()));
    }
    let device = DeviceBuilder::new().name(name).enable(false).build_sync();
    let device = device.and_then(|device| device.set_nonblocking(true).map(|()| device));
    device.map_err(|source| explain(name, source))
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
