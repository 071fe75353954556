//! What home remembers of its backups: `STATE_DIR/backup.json`, replaced as a whole.

use std::path::Path;

use jiff::Timestamp;
use postern_shared::durable;
use serde::{Deserialize, Serialize};

use super::vault::Listed;
use super::{BackupError, Drilled};

/// What is remembered.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Record {
    /// The repository that the backups are in, by the identity that it has itself.
    pub repository: Option<String>,
    /// The last backup that was made.
    pub made: Option<(Timestamp, Made)>,
    /// The last time one was tried.
    pub tried: Option<Tried>,
    /// The last drill.
    pub drilled: Option<Tried>,
}

/// A backup that was made.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Made {
    /// The snapshot.
    pub snapshot: Listed,
    /// The messages in it.
    pub messages: u64,
    /// The snapshots that went for it.
    pub forgotten: usize,
}

/// Something that was tried.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Tried {
    /// When.
    pub at: Timestamp,
    /// Why it failed; absent where it did not.
    pub error: Option<String>,
}

impl Record {
    /// What is remembered; nothing where there is none, or what is not understood.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn of(state_dir: &Path) -> Result<Self, BackupError> {
        let path = state_dir.join("backup.json");
        match std::fs::read(&path) {
            Ok(octets) => Ok(serde_json::from_slice(&octets).unwrap_or_default()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(cause) => Err(BackupError::Io { path, cause }),
        }
    }

    pub(super) fn change(state_dir: &Path, change: impl FnOnce(&mut Self)) -> Result<(), BackupError> {
        let mut record = Self::of(state_dir)?;
        change(&mut record);
        let path = state_dir.join("backup.json");
        let octets = serde_json::to_vec_pretty(&record).unwrap_or_default();
        durable::write_secret(&path, &octets).map_err(|cause| BackupError::Io { path, cause })
    }

    pub(super) fn note_made(&mut self, made: &Result<Made, BackupError>, now: Timestamp) {
        let error = made.as_ref().err().map(ToString::to_string);
        self.tried = Some(Tried { at: now, error });
        if let Ok(made) = made {
            self.made = Some((now, made.clone()));
        }
    }

    pub(super) fn note_drill(&mut self, drilled: &Result<Drilled, BackupError>, now: Timestamp) {
        let error = match drilled {
            Ok(drilled) => drilled.restored.damage(),
            Err(error) => Some(error.to_string()),
        };
        self.drilled = Some(Tried { at: now, error });
    }
}
