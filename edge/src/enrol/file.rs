//! `enrolment.json`: the invite and the home, replaced as a whole and fsynced with every change. Mode 0600.

use std::io;
use std::path::{Path, PathBuf};

use postern_shared::durable;
use postern_shared::identity::PublicIdentity;
use postern_shared::rotation::EdgeLadder;
use postern_shared::tunnel::{PresharedKey, PrivateKey, PublicKey};
use serde::{Deserialize, Serialize};

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum EnrolFileError {
    /// The operating system refused.
    #[error("the enrolment state {path}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The content is not what this program wrote.
    #[error(
        "the enrolment state {path} is damaged ({source}). Move it away and make a new invite with `postern-edge invite`: \
         home joins again and pushes everything", path = path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

/// What the file holds.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct State {
    /// The newest invite, used or not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub invite: Option<Invite>,
    /// The home that has joined.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub home: Option<Home>,
}

/// One invite, by code or by identity; the secret itself is not kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Invite {
    /// The edge's static key of the bootstrap epoch.
    pub edge_key: PrivateKey,
    /// Home's derived static key.
    pub home_key: PublicKey,
    /// The derived pre-shared key.
    pub preshared_key: PresharedKey,
    /// Seconds since 1970; never where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<u64>,
    /// The home that the edge was told to wait for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub awaited: Option<Awaited>,
    /// The identity that was answered.
    pub used_by: Option<PublicIdentity>,
}

/// A home that may join without a code.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Awaited {
    /// Who it is.
    pub identity: PublicIdentity,
    /// The edge's static key of epoch 1, made beforehand so that the operator can give it to home.
    pub first_key: PrivateKey,
}

/// The home that has joined and its epochs.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Home {
    /// Signs control requests.
    pub identity: PublicIdentity,
    /// The epochs.
    #[serde(flatten)]
    pub ladder: EdgeLadder,
    /// The counter of the last signed request.
    pub last_counter: u64,
    /// Whether home was heard on an epoch of the ladder.
    pub confirmed: bool,
}

/// The file and its content.
#[derive(Debug)]
pub struct EnrolFile {
    path: PathBuf,
    state: State,
    failure: Option<String>,
}

impl EnrolFile {
    /// Reads the file; a missing one is an empty state.
    pub fn open(state_dir: &Path) -> Result<Self, EnrolFileError> {
        let path = state_dir.join("enrolment.json");
        let state = match std::fs::read(&path) {
            Ok(json) => serde_json::from_slice(&json)
                .map_err(|source| EnrolFileError::Damaged { path: path.clone(), source })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => State::default(),
            Err(source) => return Err(EnrolFileError::Io { path, source }),
        };
        Ok(Self { path, state, failure: None })
    }

    /// What is on the disk.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Why the last change could not be stored.
    pub fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    /// Applies a change and makes it durable; on an error the state is as before.
    pub fn change(&mut self, change: impl FnOnce(&mut State)) -> Result<(), EnrolFileError> {
        let mut state = self.state.clone();
        change(&mut state);
        let stored = self.store(&state);
        self.failure = stored.as_ref().err().map(ToString::to_string);
        stored?;
        self.state = state;
        Ok(())
    }

    fn store(&self, state: &State) -> Result<(), EnrolFileError> {
        let json = serde_json::to_vec_pretty(state)
            .map_err(|source| EnrolFileError::Damaged { path: self.path.clone(), source })?;
        durable::write_secret(&self.path, &json)
            .map_err(|source| EnrolFileError::Io { path: self.path.clone(), source })
    }
}
