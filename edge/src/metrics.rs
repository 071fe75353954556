//! `postern-edge metrics`: the edge's figures as OpenMetrics text.
//!
//! In: an [`EdgeStatus`]. Out: the text that a Prometheus server or the textfile collector of its node exporter takes
//! (OpenMetrics 1.0). Nothing listens for it: the operator's own collector runs the command.

use std::fmt::{self, Write};

use crate::forward::{
    DROPPED_BANNED, DROPPED_FROM_HOME, DROPPED_INPUT, DROPPED_LIMITED, DROPPED_TOWARDS_HOME, HELD_OTHERS,
    HELD_SMTP, HOME_OUTBOUND, port_counter,
};
use crate::status::EdgeStatus;

/// Each reason for which packets are dropped, and its counter.
const DROPPED: [(&str, &str); 5] = [
    ("from_home", DROPPED_FROM_HOME),
    ("towards_home", DROPPED_TOWARDS_HOME),
    ("input", DROPPED_INPUT),
    ("banned", DROPPED_BANNED),
    ("limited", DROPPED_LIMITED),
];

/// The whole text.
pub fn render(status: &EdgeStatus) -> String {
    let mut text = String::new();
    write_all(&mut text, status).expect("a string takes all");
    text
}

fn write_all(text: &mut String, status: &EdgeStatus) -> fmt::Result {
    family(text, "postern_edge_up", "gauge", "Whether home is heard through the tunnel.")?;
    let alive = status.tunnel.epochs.iter().any(|epoch| epoch.alive);
    writeln!(text, "postern_edge_up {}", u8::from(alive))?;
    family(
        text,
        "postern_edge_holding",
        "gauge",
        "Whether new connections are held because home is silent.",
    )?;
    writeln!(text, "postern_edge_holding {}", u8::from(status.holding))?;
    family(text, "postern_edge_bans", "gauge", "Networks that are banned.")?;
    writeln!(text, "postern_edge_bans {}", status.bans.count)?;
    write_tunnel(text, status)?;
    write_connections(text, status)?;
    family(text, "postern_edge_dropped_packets", "counter", "Packets dropped, by reason.")?;
    for (reason, counter) in DROPPED {
        let packets = status.count(counter);
        writeln!(text, "postern_edge_dropped_packets_total{{reason=\"{reason}\"}} {packets}")?;
    }
    text.write_str("# EOF\n")
}

fn write_tunnel(text: &mut String, status: &EdgeStatus) -> fmt::Result {
    family(text, "postern_edge_tunnel_octets", "counter", "Inner octets, by epoch and direction.")?;
    for epoch in &status.tunnel.epochs {
        for (direction, octets) in [("received", epoch.received_octets), ("sent", epoch.sent_octets)] {
            let id = epoch.id.0;
            writeln!(
                text,
                "postern_edge_tunnel_octets_total{{epoch=\"{id}\",direction=\"{direction}\"}} {octets}"
            )?;
        }
    }
    Ok(())
}

fn write_connections(text: &mut String, status: &EdgeStatus) -> fmt::Result {
    family(text, "postern_edge_connections", "counter", "Connections passed to home, by public port.")?;
    for port in status.forward.ports.keys() {
        let connections = status.count(&port_counter(*port));
        writeln!(text, "postern_edge_connections_total{{port=\"{port}\"}} {connections}")?;
    }
    family(
        text,
        "postern_edge_outbound_connections",
        "counter",
        "Connections that home opened to the world.",
    )?;
    writeln!(text, "postern_edge_outbound_connections_total {}", status.count(HOME_OUTBOUND))?;
    family(
        text,
        "postern_edge_held_connections",
        "counter",
        "Connections answered here while home was silent.",
    )?;
    for (kind, counter) in [("smtp", HELD_SMTP), ("others", HELD_OTHERS)] {
        writeln!(text, "postern_edge_held_connections_total{{kind=\"{kind}\"}} {}", status.count(counter))?;
    }
    Ok(())
}

fn family(text: &mut String, name: &str, kind: &str, help: &str) -> fmt::Result {
    writeln!(text, "# TYPE {name} {kind}\n# HELP {name} {help}")
}

#[cfg(test)]
mod tests {
    use postern_shared::control::Count;

    use super::*;

    #[test]
    fn counters_have_their_suffix_and_the_text_its_end() {
        let mut status = EdgeStatus::default();
        status.forward.ports = [(25, 25)].into();
        status.counters = [(port_counter(25), Count { packets: 7, octets: 420 })].into();
        status.holding = true;
        let text = render(&status);
        assert!(text.contains("\npostern_edge_connections_total{port=\"25\"} 7\n"), "{text}");
        assert!(text.contains("\npostern_edge_holding 1\n") && text.ends_with("\n# EOF\n"), "{text}");
        let families: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let is_of = |family: &&str| line.starts_with(family.split(' ').next().unwrap());
            assert!(families.iter().any(is_of), "{line}");
        }
    }
}
