//! What `postern-edge status` tells: one value for people and for programs.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::{SystemTime, UNIX_EPOCH};

use postern_shared::cli::write_row;
use postern_shared::control::{BansHeld, Count, Forward, ZoneStatus};
use postern_shared::secondary::SecondaryStatus;
use postern_shared::tunnel::{EpochStatus, Fenced, Measured, moves};
use serde::{Deserialize, Serialize};

use crate::enrol::{EnrolStatus, EpochKeys, EpochPlace};
use crate::forward::{
    DROPPED_BANNED, DROPPED_FROM_HOME, DROPPED_INPUT, DROPPED_LIMITED, DROPPED_TOWARDS_HOME, HELD_OTHERS,
    HELD_SMTP, HOME_OUTBOUND, port_counter,
};

/// The state of the whole edge.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
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
    /// Where the name server listens.
    pub dns: Vec<SocketAddr>,
    /// The zones being served.
    pub zones: Vec<ZoneStatus>,
    /// The secondary name servers.
    #[serde(default)]
    pub secondaries: Vec<SecondaryStatus>,
    /// What is being forwarded.
    pub forward: Forward,
    /// Whether connections are held because home is silent.
    #[serde(default)]
    pub holding: bool,
    /// What is banned.
    #[serde(default)]
    pub bans: BansHeld,
    /// The firewall's counters, by name.
    pub counters: BTreeMap<String, Count>,
    /// Sentences about what a person should look at.
    pub warnings: Vec<String>,
}

/// The state of the tunnel.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TunnelReport {
    /// The TUN device.
    pub interface: String,
    /// The UDP port.
    pub port: u16,
    /// Each epoch.
    pub epochs: Vec<EpochStatus>,
}

impl EdgeStatus {
    /// The homes that are fenced.
    pub fn second_homes(&self) -> Vec<String> {
        let fenced = self.tunnel.epochs.iter().filter_map(|epoch| Some((epoch.endpoint?, epoch.fenced?)));
        let sentence = |(current, fenced): (SocketAddr, Fenced)| {
            format!(
                "Two homes hold the same keys. The one at {current} carries the mail; the one at {} is fenced. One of \
                 them is a copy, such as a restored backup: stop it.",
                fenced.endpoint
            )
        };
        fenced.map(sentence).collect()
    }

    /// What is missing before mail can pass.
    pub fn missing(&self) -> Vec<String> {
        let tunnel_is_up = self.tunnel.epochs.iter().any(|epoch| epoch.alive);
        let sentence = match &self.enrolment.home {
            None if self.enrolment.awaits.is_some() => {
                "The home that this edge waits for has not joined. Run `postern-home join --edge ADDRESS` there."
            }
            None => {
                "No home has joined, so there is nobody to forward to. `postern-edge invite` makes a join code."
            }
            Some(_) if !tunnel_is_up => {
                "Home is not heard: it is off, has no internet, or cannot reach the UDP port of the tunnel here \
                 (cloud firewall or security group)."
            }
            Some(_) if self.zones.is_empty() => {
                "Home has no domain yet, so the name server has no answers. `postern-home domain add` makes one there."
            }
            Some(_) => return Vec::new(),
        };
        vec![sentence.to_owned()]
    }

    /// What could not be stored; home repeats its call until it can be.
    pub fn not_stored(&self) -> Option<String> {
        let error = self.enrolment.not_stored.as_ref()?;
        Some(format!(
            "What home asked for last could not be stored: {error}. Home repeats it; until then nothing changes here and the mail goes on."
        ))
    }

    fn write_protection(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [banned, limited] = [DROPPED_BANNED, DROPPED_LIMITED].map(|name| self.count(name));
        row(f, "bans", format_args!("{} networks, packets dropped: {banned}", self.bans.count))?;
        row(f, "limits", format_args!("packets dropped of clients that came too fast: {limited}"))?;
        let [smtp, others] = [HELD_SMTP, HELD_OTHERS].map(|name| self.count(name));
        let now = if self.holding { "now, since home is silent; so far" } else { "not now; so far" };
        row(
            f,
            "hold",
            format_args!("{now} SMTP connections told to come later: {smtp}, others refused: {others}"),
        )?;
        let [from, towards, input] =
            [DROPPED_FROM_HOME, DROPPED_TOWARDS_HOME, DROPPED_INPUT].map(|name| self.count(name));
        row(f, "dropped", format_args!("packets from home: {from}, towards home: {towards}, input: {input}"))
    }

    /// The packets of one of the firewall's counters.
    pub fn count(&self, name: &str) -> u64 {
        self.counters.get(name).map_or(0, |count| count.packets)
    }
}

impl fmt::Display for EdgeStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        row(f, "version", &self.version)?;
        row(f, "public", list(&self.public_addresses))?;
        row(f, "home", home(&self.enrolment))?;
        if let Some(awaited) = &self.enrolment.awaits {
            row(f, "key", format_args!("{}, for `postern-home join --edge-key`", awaited.edge_key))?;
        }
        write_tunnel(f, &self.tunnel, &self.enrolment.epochs)?;
        row(f, "dns", list(&self.dns))?;
        for zone in &self.zones {
            row(f, "zone", format_args!("{}, serial {}", zone.origin.trim_end_matches('.'), zone.serial))?;
        }
        for secondary in &self.secondaries {
            row(f, "secondary", secondary)?;
        }
        for (public, home) in &self.forward.ports {
            let connections = self.count(&port_counter(*public));
            row(f, "forward", format_args!("{public} to {home} at home, connections so far: {connections}"))?;
        }
        let (ports, connections) = (list(&self.forward.home_may_connect_to), self.count(HOME_OUTBOUND));
        row(f, "outbound", format_args!("home to {ports} in the world, connections so far: {connections}"))?;
        self.write_protection(f)?;
        self.warnings.iter().try_for_each(|warning| row(f, "warning:", warning))
    }
}

fn home(enrolment: &EnrolStatus) -> String {
    let joined = match &enrolment.home {
        Some(home) if enrolment.confirmed => home.clone(),
        Some(home) => format!("{home}, joining"),
        None => "none yet".to_owned(),
    };
    match (enrolment.invite_expires, &enrolment.awaits) {
        (Some(_), _) => format!("{joined}; a join code is open"),
        (None, Some(awaited)) => format!("{joined}; waits for {}", awaited.home),
        (None, None) => joined,
    }
}

fn write_tunnel(f: &mut fmt::Formatter<'_>, tunnel: &TunnelReport, keys: &[EpochKeys]) -> fmt::Result {
    row(f, "tunnel", format_args!("{} on UDP port {}", tunnel.interface, tunnel.port))?;
    for epoch in &tunnel.epochs {
        let heard = match (epoch.endpoint, epoch.last_received) {
            (Some(endpoint), _) if epoch.alive => format!("up, home is at {endpoint}"),
            (_, Some(ago)) => format!("down, heard {} s ago", ago.as_secs()),
            _ => "waiting for home".to_owned(),
        };
        let (received, sent) = (epoch.received_octets, epoch.sent_octets);
        let place = keys.iter().find(|keys| keys.id == epoch.id).map_or("joining", |keys| word(keys.place));
        let name = format!("  epoch {}", epoch.id.0);
        row(f, &name, format_args!("{place}, {heard}, octets received: {received}, sent: {sent}"))?;
        let measured = Measured(epoch).to_string();
        if !measured.is_empty() {
            row(f, "", measured)?;
        }
        moves(epoch, now()).try_for_each(|place| row(f, "", place))?;
    }
    for EpochKeys { id, edge_key, home_key, .. } in keys {
        row(f, &format!("  keys {}", id.0), format_args!("edge {edge_key}"))?;
        row(f, "", format_args!("home {home_key}"))?;
    }
    Ok(())
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

fn row(f: &mut fmt::Formatter<'_>, label: &str, value: impl fmt::Display) -> fmt::Result {
    write_row(f, 10, label, value)
}

fn word(place: EpochPlace) -> &'static str {
    match place {
        EpochPlace::Offered => "offered",
        EpochPlace::Preferred => "preferred",
        EpochPlace::Former => "former",
    }
}

fn list<T: fmt::Display>(items: &[T]) -> String {
    if items.is_empty() {
        return "none".to_owned();
    }
    items.iter().map(T::to_string).collect::<Vec<_>>().join(", ")
}
