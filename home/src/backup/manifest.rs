//! What a snapshot says that it holds, so that what comes back can be compared with it.

use std::path::Path;

use jiff::Timestamp;
use postern_store::account::{AccountId, Census};
use postern_store::{Frozen, Inspection, Place};
use serde::{Deserialize, Serialize};

use super::{BackupError, write_private};

/// Its name in a snapshot.
const NAME: &str = "backup-manifest.json";

/// What a snapshot holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The program that made it.
    pub version: String,
    /// When.
    pub made: Timestamp,
    /// Of which home.
    pub host: String,
    /// Whether the mail in it is sealed; its key is not in the snapshot then.
    pub sealed: bool,
    /// Its accounts.
    pub accounts: Vec<Counted>,
}

/// One account of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    /// Its number.
    pub id: u32,
    /// Whose it is; a number where the user is gone.
    pub user: String,
    /// What it holds.
    pub census: Census,
}

impl Manifest {
    pub(super) fn of(place: &Place, frozen: &Frozen, host: &str) -> Result<Self, BackupError> {
        let users = Inspection::of(place).directory().ok();
        let user = |id: AccountId| Some(users.as_ref()?.user(id)?.address.to_string());
        let counted = |(id, census): (AccountId, Census)| Counted {
            id: id.0,
            user: user(id).unwrap_or_else(|| format!("account {id}")),
            census,
        };
        Ok(Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            made: Timestamp::now(),
            host: host.to_owned(),
            sealed: place.is_sealed(),
            accounts: frozen.census()?.into_iter().map(counted).collect(),
        })
    }

    /// The messages of all accounts.
    pub fn messages(&self) -> u64 {
        self.accounts.iter().map(|account| account.census.messages).sum()
    }

    pub(super) fn write(&self, tree: &Path) -> Result<(), BackupError> {
        write_private(&tree.join(NAME), &serde_json::to_vec(self).unwrap_or_default())
    }

    /// Reads it in what was restored, where it is not wanted afterwards.
    pub(super) fn take(restored: &Path) -> Result<Self, BackupError> {
        let path = restored.join(NAME);
        let read = std::fs::read(&path).and_then(|octets| Ok(serde_json::from_slice(&octets)?));
        let manifest = read.map_err(|cause| BackupError::Io { path: path.clone(), cause })?;
        std::fs::remove_file(&path).map_err(|cause| BackupError::Io { path, cause })?;
        Ok(manifest)
    }
}
