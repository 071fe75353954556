//! What the edge forwards: by its configuration file until home has pushed something, and held while home is silent.
//!
//! In: the file, home's port map, whether home is heard. Out: the [`DesiredState`] of the firewall. Refused: ports that
//! this machine needs itself, and port 0.

use std::collections::{BTreeMap, BTreeSet};

use postern_shared::control::{Changed, Count, Forward};
use tokio::task::block_in_place;

use super::{ChangeError, Changes, Service};
use crate::config::Config;
use crate::forward::{DesiredState, Mirror, OnStop, OpenPorts, Passage, read_counters};

/// Ports that home cannot have forwarded by itself: the machine's ssh and the name server.
const RESERVED_PORTS: [u16; 2] = [22, 53];

impl Service {
    /// Sends new connections home, or holds them.
    pub async fn set_passage(&self, passage: Passage) {
        let mut changes = self.changes.lock().await;
        let wanted = DesiredState { passage, ..changes.forwarding.state().clone() };
        if wanted == *changes.forwarding.state() {
            return;
        }
        match (block_in_place(|| changes.forwarding.change(wanted)), passage) {
            (Ok(()), Passage::ToHome) => tracing::info!("home is heard: connections go to it"),
            (Ok(()), Passage::Held) => {
                tracing::warn!(
                    "home is silent: port 25 is told to try again later, the other ports are closed"
                );
            }
            (Err(error), _) => {
                tracing::error!(%error, ?passage, "the firewall cannot change where connections go")
            }
        }
    }

    /// Forwards as home asks from now on, instead of as the configuration file says.
    ///
    /// # Errors
    /// See [`ChangeError`]; the forwarding before is then still in force.
    pub async fn put_forward(&self, forward: &Forward) -> Result<Changed, ChangeError> {
        check_forward(forward)?;
        let mut changes = self.changes.lock().await;
        let wanted = self.wanted(&changes, Some(forward));
        let changed = *changes.forwarding.state() != wanted;
        block_in_place(|| {
            changes.state.save_forward(forward)?;
            changes.forwarding.change(wanted).map_err(ChangeError::from)
        })?;
        Ok(Changed { changed })
    }

    /// The table for what home pushed. What changes by itself stays as it is.
    pub(super) fn wanted(&self, changes: &Changes, pushed: Option<&Forward>) -> DesiredState {
        let now = changes.forwarding.state();
        DesiredState {
            passage: now.passage,
            mirror: now.mirror,
            ..desired_state(&self.config, pushed, now.hold_port)
        }
    }
}

/// The table for the configuration file, or for what home pushed where it has pushed something. `hold_port` is where SMTP
/// is answered while home is silent.
pub fn desired_state(config: &Config, pushed: Option<&Forward>, hold_port: u16) -> DesiredState {
    let ports = pushed.map_or(&config.forward.ports, |forward| &forward.ports).clone();
    let outbound = pushed.map(|forward| forward.home_may_connect_to.iter().copied().collect());
    DesiredState {
        tunnel_interface: config.tunnel.interface.clone(),
        tunnel_port: config.tunnel.port,
        edge_v4: config.tunnel.edge_v4,
        edge_v6: config.tunnel.edge_v6,
        home_v4: config.tunnel.home_v4,
        home_v6: config.tunnel.home_v6,
        ports,
        home_may_connect_to: outbound.unwrap_or_else(|| config.forward.home_may_connect_to.clone()),
        closed_input: config.forward.drop_other_input.then(|| open_ports(config)),
        operator_ports: config.forward.open_input.clone(),
        limits: config.limits,
        passage: Passage::ToHome,
        hold_port,
        mirror: Mirror::Shut,
    }
}

/// What a closed input still needs: the name server, the tunnel, the operator's own, and DHCP (RFC 2131, RFC 8415).
fn open_ports(config: &Config) -> OpenPorts {
    const DHCP_CLIENT: [u16; 2] = [68, 546];
    let dns: BTreeSet<u16> = config.dns.listen.iter().map(|address| address.port()).collect();
    let udp = dns.iter().copied().chain(DHCP_CLIENT).chain([config.tunnel.port]).collect();
    OpenPorts { tcp: dns.union(&config.forward.open_input).copied().collect(), udp }
}

/// Whether the table stays after the daemon.
pub fn on_stop(config: &Config) -> OnStop {
    if config.forward.keep_on_stop { OnStop::Keep } else { OnStop::Remove }
}

fn check_forward(forward: &Forward) -> Result<(), ChangeError> {
    if let Some(port) = RESERVED_PORTS.iter().find(|port| forward.ports.contains_key(port)) {
        return Err(ChangeError::ReservedPort(*port));
    }
    let mut all =
        forward.ports.iter().flat_map(|(public, home)| [public, home]).chain(&forward.home_may_connect_to);
    if all.any(|port| *port == 0) { Err(ChangeError::NoPort) } else { Ok(()) }
}

pub(super) fn forward_of(state: &DesiredState) -> Forward {
    Forward {
        ports: state.ports.clone(),
        home_may_connect_to: state.home_may_connect_to.iter().copied().collect(),
    }
}

pub(super) fn counters() -> BTreeMap<String, Count> {
    block_in_place(read_counters).unwrap_or_else(|error| {
        tracing::warn!(%error, "firewall counters cannot be read");
        BTreeMap::new()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn home_overrides_the_file_but_not_the_machine() {
        let config = Config::default();
        assert_eq!(forward_of(&desired_state(&config, None, 2525)).ports.len(), 6);
        let pushed = Forward { ports: [(25, 2525)].into(), home_may_connect_to: vec![] };
        assert_eq!(forward_of(&desired_state(&config, Some(&pushed), 2525)), pushed);
        assert!(check_forward(&pushed).is_ok());
        for port in RESERVED_PORTS {
            let greedy = Forward { ports: [(port, 25)].into(), home_may_connect_to: vec![] };
            assert!(matches!(check_forward(&greedy), Err(ChangeError::ReservedPort(_))));
        }
        let zero = Forward { ports: [(25, 0)].into(), home_may_connect_to: vec![] };
        assert!(matches!(check_forward(&zero), Err(ChangeError::NoPort)));
    }

    #[test]
    fn a_closed_input_keeps_what_the_edge_needs() {
        let mut config = Config::default();
        config.forward.drop_other_input = true;
        let open = desired_state(&config, None, 2525).closed_input.unwrap();
        assert_eq!(open.tcp, [22, 53].into());
        assert_eq!(open.udp, [53, 68, 546, 51820].into());
    }
}
