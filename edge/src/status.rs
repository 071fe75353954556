//! What `postern-edge status` tells: one value for people and for programs.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use postern_shared::control::{Forward, ZoneStatus};
use postern_shared::tunnel::EpochStatus;
use serde::{Deserialize, Serialize};

use crate::enrol::EnrolStatus;
use crate::forward::{
    Count, DROPPED_FROM_HOME, DROPPED_INPUT, DROPPED_TOWARDS_HOME, HOME_OUTBOUND, port_counter,
};

/// The state of the whole edge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EdgeStatus {
    /// The program's version.
    pub version: String,
    /// The interface that faces the internet.
    pub public_interface: Option<String>,
    /// The addresses at which the world reaches this machine.
    pub public_addresses: Vec<IpAddr>,
    /// Who has joined.
    pub enrolment: EnrolStatus,
    /// The tunnel.
    pub tunnel: TunnelReport,
    /// The zones being served.
    pub zones: Vec<ZoneStatus>,
    /// What is being forwarded.
    pub forward: Forward,
    /// The firewall's counters, by name.
    pub counters: BTreeMap<String, Count>,
}

/// The state of the tunnel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TunnelReport {
    /// The TUN device.
    pub interface: String,
    /// The UDP port.
    pub port: u16,
    /// Each epoch.
    pub epochs: Vec<EpochStatus>,
}

impl EdgeStatus {
    fn count(&self, name: &str) -> u64 {
        self.counters.get(name).map_or(0, |count| count.packets)
    }
}

impl fmt::Display for EdgeStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "version   {}", self.version)?;
        writeln!(f, "public    {}", list(&self.public_addresses))?;
        write_home(f, &self.enrolment)?;
        write_tunnel(f, &self.tunnel)?;
        for zone in &self.zones {
            writeln!(f, "zone      {} serial {}", zone.origin, zone.serial)?;
        }
        if self.zones.is_empty() {
            writeln!(f, "zone      none: home pushes its zones when it has joined")?;
        }
        for (public, home) in &self.forward.ports {
            writeln!(
                f,
                "forward   {public} to home's {home}, {} connections",
                self.count(&port_counter(*public))
            )?;
        }
        let ports = list(&self.forward.home_may_connect_to);
        writeln!(f, "outbound  to ports {ports}, {} connections", self.count(HOME_OUTBOUND))?;
        let (from, towards, input) = (DROPPED_FROM_HOME, DROPPED_TOWARDS_HOME, DROPPED_INPUT);
        let dropped = [from, towards, input].map(|name| self.count(name));
        write!(
            f,
            "dropped   {} packets from home, {} towards home, {} input",
            dropped[0], dropped[1], dropped[2]
        )
    }
}

fn write_home(f: &mut fmt::Formatter<'_>, enrolment: &EnrolStatus) -> fmt::Result {
    match &enrolment.home {
        Some(home) if enrolment.confirmed => writeln!(f, "home      {home}"),
        Some(home) => writeln!(f, "home      {home}, joining"),
        None if enrolment.invite_expires.is_some() => writeln!(f, "home      none yet; a join code is open"),
        None => writeln!(f, "home      none; `postern-edge invite` makes a join code"),
    }
}

fn write_tunnel(f: &mut fmt::Formatter<'_>, tunnel: &TunnelReport) -> fmt::Result {
    writeln!(f, "tunnel    {} on UDP port {}", tunnel.interface, tunnel.port)?;
    for epoch in &tunnel.epochs {
        let peer = epoch.endpoint.map_or("not heard yet".to_owned(), |endpoint| format!("peer {endpoint}"));
        let alive = match (epoch.alive, epoch.last_received) {
            (true, _) => "up".to_owned(),
            (false, None) => "down".to_owned(),
            (false, Some(ago)) => format!("down, last heard {} s ago", ago.as_secs()),
        };
        let (received, sent) = (epoch.received_octets, epoch.sent_octets);
        writeln!(f, "  epoch {}  {alive}, {peer}, {received} octets received, {sent} sent", epoch.id.0)?;
    }
    Ok(())
}

fn list<T: fmt::Display>(items: &[T]) -> String {
    if items.is_empty() {
        return "none".to_owned();
    }
    items.iter().map(T::to_string).collect::<Vec<_>>().join(", ")
}
