//! How a lab is to be made.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::hosts;

/// Which part of the lab runs when [`crate::Lab::start`] returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stage {
    /// The internet and the stranger only; edge and home are empty hosts.
    Internet,
    /// `postern-edge` and `postern-home` run too, and do not know each other.
    Running,
}

/// What happens to the lab when the process that started it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Lifetime {
    /// It ends too, however its owner ended.
    Owner,
    /// It stays until `lab down`.
    Detached,
}

/// With which rights home's daemon runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum HomeRights {
    /// As root: with all capabilities in its own network namespace.
    Root,
    /// As an ordinary user of a usual machine: no capability, `/dev/net/tun` open to everyone.
    User,
    /// As an ordinary user without `/dev/net/tun`, as in a container that nothing was passed into.
    UserWithoutTun,
}

/// The user id and group id of a home that does not run as root.
pub const HOME_USER: u32 = 1000;

/// The choices of one lab.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Options {
    /// The lab's name; unique on the machine. Letters, digits and `-`.
    pub name: String,
    /// How far it starts.
    pub stage: Stage,
    /// When it ends.
    pub lifetime: Lifetime,
    /// The text of the edge's `/etc/postern/edge.toml`.
    pub edge_config: String,
    /// The text of home's `/etc/postern/home.toml`.
    pub home_config: String,
    /// With which rights home's daemon runs.
    pub home_rights: HomeRights,
    /// The directory with `postern-edge`, `postern-home` and `lab`.
    pub programs: PathBuf,
}

impl Options {
    /// A lab with the default configuration files, whose daemons run, and which ends with its owner.
    pub fn new(name: impl Into<String>, programs: impl Into<PathBuf>) -> Options {
        Options {
            name: name.into(),
            stage: Stage::Running,
            lifetime: Lifetime::Owner,
            edge_config: hosts::default_edge_config(),
            home_config: hosts::default_home_config(),
            home_rights: HomeRights::Root,
            programs: programs.into(),
        }
    }
}
