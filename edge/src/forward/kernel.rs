//! The kernel's switches for packet forwarding, in `/proc/sys/net`.
//!
//! In: the public interface's name. Out: forwarding on for IPv4 and IPv6. To take router advertisements is a host's part
//! (RFC 4861 §6.3): a machine that forwards stops it where `accept_ra` is 1, and would lose its default route; 2 keeps it.
//! [`Switches::restore`] puts back only what was changed here.

use std::io;
use std::path::PathBuf;

/// A switch that could not be set.
#[derive(Debug, thiserror::Error)]
#[error("packet forwarding cannot be switched on: writing {value} to {} failed: {source}. Run postern-edge as root, or set it by hand with `sysctl -w`.", path.display())]
pub struct KernelError {
    path: PathBuf,
    value: &'static str,
    source: io::Error,
}

/// What was changed, so that it can be put back: each file and its old content.
#[derive(Debug, Default)]
pub struct Switches {
    changed: Vec<(PathBuf, String)>,
}

impl Switches {
    /// Switches forwarding on.
    ///
    /// # Errors
    /// [`KernelError`]; what had been changed is put back.
    pub fn on(public_interface: Option<&str>) -> Result<Self, KernelError> {
        let mut switches = Self::default();
        switches.set_all(public_interface).inspect_err(|_| switches.restore())?;
        Ok(switches)
    }

    fn set_all(&mut self, public_interface: Option<&str>) -> Result<(), KernelError> {
        if let Some(accept_ra) = public_interface.map(|name| format!("ipv6/conf/{name}/accept_ra"))
            && self.read(&accept_ra).is_some_and(|value| value == "1")
        {
            self.set(&accept_ra, "2")?;
        }
        self.set("ipv4/ip_forward", "1")?;
        // A kernel without IPv6 has no such file, and nothing to forward.
        if self.read("ipv6/conf/all/forwarding").is_some() {
            self.set("ipv6/conf/all/forwarding", "1")?;
        }
        Ok(())
    }

    fn read(&self, name: &str) -> Option<String> {
        std::fs::read_to_string(file(name)).ok().map(|value| value.trim().to_owned())
    }

    fn set(&mut self, name: &str, value: &'static str) -> Result<(), KernelError> {
        let path = file(name);
        let old = self.read(name).unwrap_or_default();
        if old != value {
            std::fs::write(&path, value).map_err(|source| KernelError {
                path: path.clone(),
                value,
                source,
            })?;
            self.changed.push((path, old));
        }
        Ok(())
    }

    /// Puts back what was changed, the last change first.
    pub fn restore(&mut self) {
        for (path, old) in self.changed.drain(..).rev() {
            if let Err(error) = std::fs::write(&path, &old) {
                tracing::warn!(%error, path = %path.display(), "kernel switch could not be put back");
            }
        }
    }
}

fn file(name: &str) -> PathBuf {
    PathBuf::from("/proc/sys/net").join(name)
}
