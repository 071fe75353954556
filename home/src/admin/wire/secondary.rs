//! What is said of secondary name servers.

use std::net::{IpAddr, SocketAddr};

use postern_message::address::DomainName;
use postern_shared::secondary::{SecondaryStatus, TransferKey};
use serde::{Deserialize, Serialize};

/// Adds a secondary.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddSecondary {
    /// Its host name.
    pub name: DomainName,
    /// Where it is told of changes.
    pub addresses: Vec<SocketAddr>,
    /// The domains that it shall serve; all where absent.
    pub domains: Option<Vec<DomainName>>,
}

/// Gives it a new key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RotateKey {
    /// Whether the keys of before end at once.
    pub now: bool,
}

/// A secondary in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecondaryListed {
    /// Its host name.
    pub name: DomainName,
    /// Where it is told of changes.
    pub addresses: Vec<SocketAddr>,
    /// The domains that it shall serve; all where absent.
    pub domains: Option<Vec<DomainName>>,
    /// The names of its keys, the newest last.
    pub keys: Vec<String>,
    /// How it is, as the edge says; absent before the edge has been heard.
    pub status: Option<SecondaryStatus>,
}

/// All that a secondary's configuration needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecondarySetup {
    /// Its host name.
    pub name: DomainName,
    /// The zones.
    pub domains: Vec<DomainName>,
    /// Where it transfers from, and whence it is told of changes.
    pub primaries: Vec<IpAddr>,
    /// Its key of hmac-sha256, with the secret.
    pub key: TransferKey,
}
