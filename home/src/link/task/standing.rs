//! What the task tells of the link: the status for people, and the edge's control port for the pusher while it is heard.

use postern_shared::identity::Identity;
use postern_shared::rotation::HomeLadder;

use super::Task;
use crate::link::client::ControlClient;
use crate::link::line::Line;
use crate::link::signed::lock;
use crate::link::state::{JoinedEdge, LinkFile};
use crate::link::{LinkConfig, LinkState, LinkStatus, RotateEvery, TunnelKeys};

impl Task {
    /// Tells the pusher and the watchers how things stand.
    pub(super) fn publish(&mut self) {
        let (edge, rotate_every) = stored(&lock(&self.file));
        let is_alive = self.is_alive();
        if is_alive {
            self.line_error = None;
        }
        let client = edge.as_ref().filter(|_| is_alive).map(|edge| self.control_client(edge));
        self.edge.send_if_modified(|known| {
            let ends = known.as_ref().map(ControlClient::ends);
            *known = client;
            known.as_ref().map(ControlClient::ends) != ends
        });
        let report = self.report.borrow().clone();
        let state = match (&edge, self.is_joining) {
            (_, true) => LinkState::Joining,
            (None, false) => LinkState::Unjoined,
            (Some(_), false) if is_alive && report.is_reached => LinkState::Connected,
            (Some(_), false) if self.is_fenced() => LinkState::Fenced,
            (Some(_), false) => LinkState::Connecting,
        };
        let status = LinkStatus {
            state,
            identity: self.identity.public().fingerprint(),
            kind: self.config.network.kind(),
            kind_reason: self.config.network_reason.clone(),
            edge: edge.as_ref().map(|edge| edge.endpoint.to_string()),
            addresses: edge.as_ref().map(JoinedEdge::addresses),
            epochs: self.line.as_ref().map(Line::epochs).unwrap_or_default(),
            keys: edge.as_ref().map(|edge| tunnel_keys(&edge.ladder, self.progress.borrow().error.clone())),
            rotate_every,
            zones: report.zones,
            secondaries: report.secondaries.map(|held| held.secondaries).unwrap_or_default(),
            clock_ahead: report.edge.clock_ahead(),
            protection: report.protection,
            last_error: self.line_error.clone().or_else(|| self.storage_error.clone()).or(report.error),
        };
        self.status.send_if_modified(|known| {
            let is_new = *known != status;
            *known = status;
            is_new
        });
    }

    pub(super) fn control_client(&self, edge: &JoinedEdge) -> ControlClient {
        let from = edge.inner.home_v4.into();
        ControlClient { network: self.config.network.clone(), from, to: edge.control_address() }
    }
}

pub(super) fn tunnel_keys(ladder: &HomeLadder, error: Option<String>) -> TunnelKeys {
    let current = ladder.current();
    TunnelKeys {
        epoch: current.epoch,
        since: current.since,
        home_key: current.home_key.public(),
        edge_key: current.edge_key,
        step: ladder.step(),
        target: ladder.target(),
        error,
    }
}

fn stored(file: &LinkFile) -> (Option<JoinedEdge>, RotateEvery) {
    (file.edge().cloned(), file.rotate_every())
}

pub(super) fn initial_status(config: &LinkConfig, identity: &Identity, file: &LinkFile) -> LinkStatus {
    let (edge, rotate_every) = stored(file);
    let edge = edge.as_ref();
    LinkStatus {
        state: if edge.is_some() { LinkState::Connecting } else { LinkState::Unjoined },
        identity: identity.public().fingerprint(),
        kind: config.network.kind(),
        kind_reason: config.network_reason.clone(),
        edge: edge.map(|edge| edge.endpoint.to_string()),
        addresses: edge.map(JoinedEdge::addresses),
        epochs: Vec::new(),
        keys: edge.map(|edge| tunnel_keys(&edge.ladder, None)),
        rotate_every,
        zones: Vec::new(),
        secondaries: Vec::new(),
        clock_ahead: 0,
        protection: None,
        last_error: None,
    }
}
