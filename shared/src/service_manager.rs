//! Tells systemd that the daemon is ready (sd_notify(3)).
//!
//! In: the value of `NOTIFY_SOCKET`, which `main` reads. Out: one datagram. Where the variable is not set nobody waits
//! for it.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Sends `READY=1`. A failure is logged: a daemon that works must not stop for it.
pub fn ready(notify_socket: Option<&OsStr>) {
    if let Some(Err(error)) = notify_socket.map(send) {
        tracing::warn!(%error, "the service manager could not be told that the daemon is ready");
    }
}

fn send(path: &OsStr) -> io::Result<usize> {
    let socket = UnixDatagram::unbound()?;
    match path.as_bytes().strip_prefix(b"@") {
        Some(name) => socket.send_to_addr(b"READY=1", &SocketAddr::from_abstract_name(name)?),
        None => socket.send_to(b"READY=1", path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manager_hears_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        ready(Some(path.as_os_str()));
        let mut heard = [0; 16];
        let length = manager.recv(&mut heard).unwrap();
        assert_eq!(&heard[..length], b"READY=1");
        ready(None);
    }
}
