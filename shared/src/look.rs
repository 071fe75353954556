//! What home asks the edge to look at, so that `postern-home doctor` can say what is so and not what should be.
//!
//! | call | body | answer | signed |
//! |---|---|---|---|
//! | `GET /v1/facts` | | [`Facts`] | |
//! | `POST /v1/echo` | up to [`MOST_ECHO_OCTETS`] | the same octets | yes |
//! | `POST /v1/outbound` | [`OutboundWish`] | [`OutboundSeen`] | yes |
//! | `POST /v1/mirror` | [`MirrorWish`] | [`Mirror`] | yes |
//!
//! **What the mirror is.** No machine sees itself from outside: what the edge sends to its own public address never leaves
//! it, and does not pass the rules for what arrives. Home is elsewhere, so it looks. While the mirror is open, a connection
//! that home opens from its inner address to the edge's public address and a forwarded port is counted, limited and
//! translated by the same chains as a stranger's, and led back to home, as if it came from [`MIRROR_V4`] or [`MIRROR_V6`].
//! That shows the edge's rules, the tunnel in both directions and the service at home. It shows nothing of what stands
//! between the internet and the edge, such as the provider's firewall; for that home dials the public address over its own
//! line, which needs no call.
//!
//! **What it cannot be used for.** The mirror leads to home alone, at the ports that are forwarded anyway. The outbound look
//! goes to port 25 of global addresses, where home may send mail anyway, and reads a greeting. An edge that is too old
//! for a call answers it with 404.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

/// The path of [`Facts`].
pub const FACTS_PATH: &str = "/v1/facts";
/// The path that gives back what it is sent.
pub const ECHO_PATH: &str = "/v1/echo";
/// The path of [`OutboundWish`].
pub const OUTBOUND_PATH: &str = "/v1/outbound";
/// The path of [`MirrorWish`].
pub const MIRROR_PATH: &str = "/v1/mirror";

/// The longest body that is echoed, octets.
pub const MOST_ECHO_OCTETS: usize = 1 << 20;
/// Servers in one outbound look.
pub const MOST_SERVERS: usize = 4;
/// The longest greeting that is passed on, octets (RFC 5321 §4.5.3.1.5).
pub const MOST_GREETING_OCTETS: usize = 512;
/// How long the mirror may stay open, seconds.
pub const MOST_MIRROR_SECONDS: u32 = 120;

/// Where mirrored IPv4 connections seem to come from: the dummy address (RFC 7600), which is no machine's.
pub const MIRROR_V4: Ipv4Addr = Ipv4Addr::new(192, 0, 0, 8);
/// Where mirrored IPv6 connections seem to come from: an address of the dummy prefix (RFC 9780).
pub const MIRROR_V6: Ipv6Addr = Ipv6Addr::new(0x100, 0, 0, 1, 0, 0, 0, 1);

/// How the edge's machine is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// The edge program's version.
    pub version: String,
    /// The time of day, in seconds since 1970.
    #[serde(default)]
    pub time: u64,
    /// Seconds since the machine started.
    #[serde(default)]
    pub uptime: Option<u64>,
    /// The machine's memory.
    #[serde(default)]
    pub memory: Option<Memory>,
    /// The octets of memory that the edge program holds.
    #[serde(default)]
    pub resident: Option<u64>,
    /// The disk that the state directory is on.
    #[serde(default)]
    pub disk: Option<Disk>,
    /// The processors since the machine started.
    #[serde(default)]
    pub processors: Option<Processors>,
    /// What cannot be known here, and why.
    #[serde(default)]
    pub unknown: BTreeMap<String, String>,
}

/// Memory, in octets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// In all.
    pub total: u64,
    /// What programs can still have without swapping.
    pub available: u64,
}

/// A file system, in octets.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disk {
    /// In all.
    pub total: u64,
    /// What the edge may still write.
    pub free: u64,
    /// Why a file could not be written there just now; absent where it could.
    #[serde(default)]
    pub not_writable: Option<String>,
}

/// How the processors have spent their time since the machine started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Processors {
    /// How many there are.
    pub count: u32,
    /// Processes that ran or waited to run, mean of five minutes.
    pub load: f64,
    /// The time, in hundredths of a per cent, in which a processor was wanted and the provider gave it to another machine.
    pub stolen: u32,
}

/// Servers whose port 25 the edge shall look at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutboundWish {
    /// Global addresses, at most [`MOST_SERVERS`].
    pub servers: Vec<IpAddr>,
}

/// What the edge saw.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutboundSeen {
    /// Each server that was asked for, in the same order.
    pub servers: Vec<ServerSeen>,
}

/// One server's port 25, seen from the edge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerSeen {
    /// Its address.
    pub server: IpAddr,
    /// The address of the edge that the connection left from; absent where none was made.
    #[serde(default)]
    pub from: Option<IpAddr>,
    /// How long it took, milliseconds.
    pub milliseconds: u64,
    /// The first line it said, printable characters only; absent where there was none.
    #[serde(default)]
    pub greeting: Option<String>,
    /// Why there is no connection or no greeting.
    #[serde(default)]
    pub error: Option<String>,
}

/// A wish to open the mirror.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MirrorWish {
    /// For so many seconds, at most [`MOST_MIRROR_SECONDS`]; 0 shuts it.
    pub seconds: u32,
}

/// The mirror as it stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mirror {
    /// For how many seconds it is open; 0 where it is shut.
    pub seconds: u32,
    /// The addresses to dial: those of the edge's own that the world's connections arrive at. Where the public address is
    /// translated in front of the edge, this is what it is translated to.
    #[serde(default)]
    pub addresses: Vec<IpAddr>,
    /// The public ports that lead home.
    #[serde(default)]
    pub ports: BTreeSet<u16>,
    /// Where new connections go instead of home, in words; absent where they go home.
    #[serde(default)]
    pub held: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_of_a_neighbouring_version_are_understood() {
        let facts: Facts = serde_json::from_str(r#"{"version":"9.0.0","moon":"full"}"#).unwrap();
        assert_eq!(facts, Facts { version: "9.0.0".to_owned(), ..Facts::default() });
        let mirror: Mirror = serde_json::from_str(r#"{"seconds":7}"#).unwrap();
        assert_eq!(mirror, Mirror { seconds: 7, ..Mirror::default() });
        let seen = r#"{"servers":[{"server":"192.0.2.1","milliseconds":3,"route":[1]}]}"#;
        let seen: OutboundSeen = serde_json::from_str(seen).unwrap();
        assert_eq!(seen.servers[0].greeting, None);
    }
}
