//! What lets home in at an edge: a join code, or the word of an operator who told that edge to wait for this home.
//!
//! In: the code, or the edge's address. Out: the bootstrap epoch, and a verdict on the edge's answer. Refused: codes whose
//! time is over, an edge that is not the one of the given key.

use std::net::{IpAddr, SocketAddr};
use std::time::SystemTime;

use ipnet::IpNet;
use postern_shared::enrolment::{BOOTSTRAP_EDGE_V4, BOOTSTRAP_HOME_V4, EnrolResponse, waiting_keys};
use postern_shared::identity::PublicIdentity;
use postern_shared::join_code::{BootstrapKeys, Endpoint, JoinCode};
use postern_shared::tunnel::{Admission, EpochConfig, EpochId, HeartbeatAddresses, PublicKey};

use super::LinkError;

/// How the operator wishes to join.
#[derive(Debug, Clone)]
pub enum JoinBy {
    /// With the code that `postern-edge invite` printed.
    Code(JoinCode),
    /// At an edge that was told to wait for this home.
    Address {
        /// Where it listens.
        endpoint: Endpoint,
        /// Its key, where the operator has read it there.
        edge_key: Option<PublicKey>,
    },
}

/// An invitation, however it came.
#[derive(Debug)]
pub struct Invitation {
    /// Where the edge listens.
    pub endpoint: Endpoint,
    /// The edge's key of the bootstrap epoch; the request is signed for it.
    pub edge_key: PublicKey,
    /// Home's half of the bootstrap epoch.
    keys: BootstrapKeys,
    /// What vouches for the edge.
    trust: Trust,
}

#[derive(Debug)]
enum Trust {
    /// The code: its key is the edge's, its secret nobody else has.
    Code(JoinCode),
    /// The edge's key of epoch 1, which the operator has read there.
    Key(PublicKey),
    /// Nothing but the way of the datagrams.
    FirstUse,
}

impl Invitation {
    /// Takes the wish of the home with this identity.
    pub fn new(by: JoinBy, identity: &PublicIdentity) -> Self {
        match by {
            JoinBy::Code(code) => Self {
                endpoint: code.endpoint.clone(),
                edge_key: code.edge_key,
                keys: code.secret.bootstrap_keys(),
                trust: Trust::Code(code),
            },
            JoinBy::Address { endpoint, edge_key } => {
                let waiting = waiting_keys(identity);
                Self {
                    endpoint,
                    edge_key: waiting.edge_key.public(),
                    keys: waiting.home,
                    trust: edge_key.map_or(Trust::FirstUse, Trust::Key),
                }
            }
        }
    }

    /// Refuses another edge than the one of the given key. That the edge has the key, its first handshake shows.
    pub fn check_answer(&self, answer: &EnrolResponse) -> Result<(), LinkError> {
        match self.trust {
            Trust::Key(expected) if expected != answer.edge_key => {
                Err(LinkError::OtherEdge { expected, answered: answer.edge_key })
            }
            Trust::Code(_) | Trust::Key(_) | Trust::FirstUse => Ok(()),
        }
    }

    /// Whether the pre-shared key of epoch 1 has travelled under keys that anybody can derive, so that a recorder of the
    /// future could know it.
    pub fn asks_for_renewal(&self) -> bool {
        !matches!(self.trust, Trust::Code(_))
    }

    /// What an edge that stays silent means. Whether a code's time is over is the edge's to say, whose clock is right; by
    /// home's clock it only explains why nobody answers.
    pub fn silence(&self, silence: LinkError, now: SystemTime) -> LinkError {
        match (silence, &self.trust) {
            (LinkError::NoAnswer { .. }, Trust::Code(code)) if code.check_expiry(now).is_err() => {
                LinkError::CodeExpired
            }
            (LinkError::NoAnswer { endpoint, seconds }, Trust::Key(_) | Trust::FirstUse) => {
                LinkError::NotAwaited { endpoint, seconds }
            }
            (silence, _) => silence,
        }
    }

    /// The throw-away epoch through which home enrols.
    pub fn bootstrap_epoch(&self, endpoint: SocketAddr) -> EpochConfig {
        EpochConfig {
            id: EpochId::BOOTSTRAP,
            private_key: self.keys.home_key.clone(),
            peer: self.edge_key,
            preshared_key: self.keys.preshared_key.clone(),
            endpoint: Some(endpoint),
            allowed_ips: vec![IpNet::from(IpAddr::from(BOOTSTRAP_EDGE_V4))],
            admission: Admission::Services {
                addresses: vec![BOOTSTRAP_HOME_V4.into()],
                tcp_ports: Vec::new(),
            },
            heartbeat: HeartbeatAddresses { local: BOOTSTRAP_HOME_V4, peer: BOOTSTRAP_EDGE_V4 },
        }
    }
}
