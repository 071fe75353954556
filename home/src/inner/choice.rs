//! The choice of the inner network at the start: the first kind that works, or the one that the operator wants.
//!
//! In: the setting, the interface's name. Out: the network, and why it is not the kind before. To see whether a kind works
//! it is tried: rights, device files, kernels, containers and security modules have too many ways to say no.

use postern_shared::tunnel::{Device, TunnelError};
use serde::Deserialize;

use super::{Kind, Namespace, Network, Userspace};

/// The key `link` in the section `[tunnel]`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Wanted {
    /// The first kind that works.
    #[default]
    Auto,
    /// [`Kind::Tun`].
    Tun,
    /// [`Kind::Namespace`].
    Namespace,
    /// [`Kind::Userspace`].
    Userspace,
}

/// The inner network, and how it came to be this.
#[derive(Debug, Clone)]
pub struct Choice {
    /// The network.
    pub network: Network,
    /// Why it is not one of the kinds before; `None` for the first, or where the operator chose.
    pub reason: Option<String>,
}

/// What the operator wants cannot be had.
#[derive(Debug, thiserror::Error)]
#[error(
    "`link = \"{wanted}\"` in `[tunnel]` cannot be had on this machine: {reason}. Mend that, or let home choose with \
     `link = \"auto\"`"
)]
pub struct Impossible {
    wanted: Kind,
    reason: String,
}

/// Makes the inner network. Must be called before the process has a second thread.
///
/// # Errors
/// When the kind that is wanted cannot be had. A TUN device is tried again later, as long as it takes.
pub fn choose(wanted: Wanted, interface: &str) -> Result<Choice, Impossible> {
    match wanted {
        Wanted::Auto => first_that_works(interface),
        Wanted::Tun => Ok(Choice { network: Network::Machine, reason: None }),
        Wanted::Namespace => match Namespace::create(interface) {
            Ok(namespace) => Ok(Choice { network: Network::Namespace(namespace), reason: None }),
            Err(error) => Err(Impossible { wanted: Kind::Namespace, reason: error.to_string() }),
        },
        Wanted::Userspace => userspace(None),
    }
}

fn first_that_works(interface: &str) -> Result<Choice, Impossible> {
    let Err(no_tun) = try_tun(interface) else {
        return Ok(Choice { network: Network::Machine, reason: None });
    };
    let reason = format!("no tun: {no_tun}");
    match Namespace::create(interface) {
        Ok(namespace) => Ok(Choice { network: Network::Namespace(namespace), reason: Some(reason) }),
        Err(error) => userspace(Some(format!("{reason}; no namespace: {error}"))),
    }
}

fn userspace(reason: Option<String>) -> Result<Choice, Impossible> {
    let stack = Userspace::start();
    let stack = stack.map_err(|error| Impossible { wanted: Kind::Userspace, reason: error.to_string() })?;
    Ok(Choice { network: Network::Userspace(stack), reason })
}

/// Only what another kind can mend speaks against a TUN device.
fn try_tun(interface: &str) -> Result<(), &'static str> {
    match Device::open(interface) {
        Err(TunnelError::NoPermission(_)) => Err("CAP_NET_ADMIN is missing, or /dev/net/tun is closed to us"),
        Err(TunnelError::NoTunDriver(_)) => Err("/dev/net/tun does not exist"),
        Ok(_) | Err(_) => Ok(()),
    }
}
