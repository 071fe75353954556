//! What is wanted of the firewall, as values.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, Ipv6Addr};

use postern_shared::control::is_routed;
use serde::Deserialize;

/// Counts what home sends through the tunnel and may not.
pub const DROPPED_FROM_HOME: &str = "dropped_from_home";
/// Counts what others send towards home and may not.
pub const DROPPED_TOWARDS_HOME: &str = "dropped_towards_home";
/// Counts connections that home opens to the world.
pub const HOME_OUTBOUND: &str = "home_outbound";
/// Counts what the closed door drops.
pub const DROPPED_INPUT: &str = "dropped_input";
/// Counts what comes from banned networks.
pub const DROPPED_BANNED: &str = "dropped_banned";
/// Counts what opens connections faster than a source may.
pub const DROPPED_LIMITED: &str = "dropped_limited";
/// Counts SMTP connections that were answered here while home was silent.
pub const HELD_SMTP: &str = "held_smtp";
/// Counts other connections that were refused while home was silent.
pub const HELD_OTHERS: &str = "held_others";

/// Counts home's own connections to port 25 by the mirror, which the port's counter counts too.
pub const MIRRORED_SMTP: &str = "mirrored_smtp";

/// Every counter but those of the ports.
pub const FIXED_COUNTERS: [&str; 9] = [
    DROPPED_FROM_HOME,
    DROPPED_TOWARDS_HOME,
    HOME_OUTBOUND,
    DROPPED_INPUT,
    DROPPED_BANNED,
    DROPPED_LIMITED,
    HELD_SMTP,
    HELD_OTHERS,
    MIRRORED_SMTP,
];

/// The port of mail between servers (RFC 5321 §4.5.4.2), which is held where others are refused.
pub const SMTP: u16 = 25;

/// The name of the counter of connections to one public port.
pub fn port_counter(port: u16) -> String {
    format!("port_{port}")
}

/// All that the table depends on, but for the bans.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DesiredState {
    /// The TUN device.
    pub tunnel_interface: String,
    /// The UDP port of the tunnel, which no ban closes.
    pub tunnel_port: u16,
    /// The edge's inner IPv4 address.
    pub edge_v4: Ipv4Addr,
    /// The edge's inner IPv6 address.
    pub edge_v6: Ipv6Addr,
    /// Home's inner IPv4 address.
    pub home_v4: Ipv4Addr,
    /// Home's inner IPv6 address. A public one, out of a prefix that is routed to the edge, is reached without translation.
    pub home_v6: Ipv6Addr,
    /// Public TCP port to the port at home.
    pub ports: BTreeMap<u16, u16>,
    /// TCP ports of the world that home may connect to.
    pub home_may_connect_to: BTreeSet<u16>,
    /// What stays open on this machine's input; `None` leaves the input alone.
    pub closed_input: Option<OpenPorts>,
    /// The operator's own TCP ports (ssh), which no ban closes.
    pub operator_ports: BTreeSet<u16>,
    /// How fast one source may open connections.
    pub limits: Limits,
    /// Where new connections go.
    pub passage: Passage,
    /// The local TCP port that answers SMTP while home is silent.
    pub hold_port: u16,
    /// Whether home sees itself as the world does.
    pub mirror: Mirror,
}

impl DesiredState {
    /// Home's IPv6 address where it is a public one.
    pub fn routed_v6(&self) -> Option<Ipv6Addr> {
        is_routed(self.home_v6).then_some(self.home_v6)
    }
}

/// Where new connections go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passage {
    /// To home.
    ToHome,
    /// Nowhere: home is silent. SMTP is answered here, the other ports are closed.
    Held,
}

/// Whether home can reach itself by the edge's public addresses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mirror {
    /// What home sends to the edge's public addresses ends at the edge.
    #[default]
    Shut,
    /// It is led back to home, as a stranger's would be.
    Open,
}

/// The ports that a closed input still answers on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenPorts {
    /// TCP, from everywhere.
    pub tcp: BTreeSet<u16>,
    /// UDP, from everywhere.
    pub udp: BTreeSet<u16>,
}

/// How many connections one IPv4 address or IPv6 /64 may open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Connections to port 25 in a minute; 0 for any number.
    pub smtp_per_minute: u32,
    /// Connections to port 25 at once, before the rate counts.
    pub smtp_burst: u32,
    /// Connections to all other ports in a minute; 0 for any number.
    pub clients_per_minute: u32,
    /// Connections to all other ports at once, before the rate counts.
    pub clients_burst: u32,
}

impl Default for Limits {
    /// A busy list server opens some 20 connections at once and reuses them; a mail program opens about 5 for each
    /// account, and some dozens of people may share one address.
    fn default() -> Self {
        Self { smtp_per_minute: 60, smtp_burst: 100, clients_per_minute: 120, clients_burst: 200 }
    }
}
