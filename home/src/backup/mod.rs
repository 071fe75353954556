//! Backups: everything that home keeps, encrypted, in another place, and shown to come back.
//!
//! In: the state directory, while the daemon runs or not; `[backup]` of home.toml. Out: snapshots in a repository, which is a
//! directory in restic's format: encrypted with a key of its own, deduplicated, each snapshot whole and each new one only as
//! large as what changed. restic itself can read it. Refused: a repository that is not the one of before (a disk that is not
//! mounted), a second backup at the same time, a target that is not empty.
//!
//! | step | what happens | after a crash |
//! |---|---|---|
//! | hold | databases and files are held still ([`Frozen`]); a manifest says what each account holds | links are removed at the next backup |
//! | add | what the repository does not have is written into it | the next one writes it again, or finds it |
//! | list | the snapshot is named in the repository | the backup was made |
//! | thin out | snapshots that nobody wants any more go, and what only they needed | goes on at the next backup |
//!
//! A *drill* restores the newest snapshot into a directory of its own, verifies each account and compares it with the manifest.
//! `restore` does the same with the directory that is to stay.

mod key;
mod kit;
mod progress;
mod vault;

mod manifest;
mod record;
mod restored;

mod keeper;

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use postern_store::{Frozen, Place};
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

pub use keeper::{Keeper, conditions};
pub use key::{BackupKey, MalformedKey};
pub use kit::kit;
pub use manifest::Manifest;
pub use progress::Progress;
pub use record::{Made, Record, Tried};
pub use restored::{Account, Restored};
pub use vault::{Keep, Listed, Vault};

/// The links of a backup that is being made, in the state directory.
const TREE: &str = "backup-tree";
/// Where drills restore to, in the state directory.
const DRILL: &str = "drill";
/// The configuration, as a restored state directory has it.
const CONFIGURATION: &str = "restored-home.toml";

/// Why there is no backup, or no restored state.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// Another one is under way.
    #[error("another backup or drill is under way")]
    Busy,
    /// Not the repository of before.
    #[error(
        "{0} holds no repository, and the last backup went into one there. Is the disk mounted? \
         `postern-home backup create --new` begins a new one"
    )]
    Gone(String),
    /// Another repository than before.
    #[error(
        "{0} holds another repository than the one of the last backup. `postern-home backup create --new` goes on with this one"
    )]
    Another(String),
    /// No repository to read.
    #[error("{0} holds no repository")]
    Nothing(String),
    /// The key does not open it.
    #[error(
        "the key does not open the repository {0}; `postern-home backup kit` on the machine that made it prints the right one"
    )]
    WrongKey(String),
    /// There is no such snapshot.
    #[error("there is no snapshot {0}; `postern-home backup list` shows those that are")]
    NoSnapshot(String),
    /// Something is there already.
    #[error("{} is not empty; restore into a directory that is, or is not there yet", .0.display())]
    NotEmpty(PathBuf),
    /// The key file is damaged.
    #[error("{path}: {cause}", path = path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        cause: MalformedKey,
    },
    /// A file cannot be read or written.
    #[error("{path}: {cause}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        cause: std::io::Error,
    },
    /// The store cannot be held still, or what was restored cannot be read.
    #[error(transparent)]
    Store(#[from] postern_store::Error),
    /// The repository cannot be read or written.
    #[error("the repository: {0}")]
    Repository(String),
}

/// Has a restored state directory opened.
pub type Open<'a> = dyn Fn(&Path) -> Result<Place, String> + 'a;

/// What is backed up, and where to.
#[derive(Debug, Clone)]
pub struct Backup {
    /// Everything that home keeps.
    pub place: Place,
    /// The configuration file, where it is to go along.
    pub configuration: Option<PathBuf>,
    /// The directory of the repository.
    pub repository: PathBuf,
    /// Which snapshots are kept.
    pub keep: Keep,
    /// What this home is called.
    pub host: String,
}

/// Whether the repository must be the one of before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Continuity {
    /// It must.
    Same,
    /// It may be another one, or a new one.
    New,
}

/// What a drill found.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Drilled {
    /// The snapshot.
    pub snapshot: Listed,
    /// What came back.
    pub restored: Restored,
}

impl Backup {
    fn state_dir(&self) -> &Path {
        self.place.path()
    }

    /// Makes a snapshot; blocks for as long as the disk takes.
    ///
    /// # Errors
    /// See [`BackupError`]; what was there before is untouched.
    pub fn create(&self, continuity: Continuity, progress: Progress) -> Result<Made, BackupError> {
        let _only = only(self.state_dir())?;
        let made = self.make(continuity, progress);
        Record::change(self.state_dir(), |record| record.note_made(&made, Timestamp::now()))?;
        made
    }

    fn make(&self, continuity: Continuity, progress: Progress) -> Result<Made, BackupError> {
        let key = BackupKey::of(self.state_dir())?;
        let vault = self.vault(&key, continuity, progress)?;
        let frozen = Frozen::take(&self.place, &self.state_dir().join(TREE))?;
        let manifest = Manifest::of(&self.place, &frozen, &self.host)?;
        manifest.write(frozen.tree())?;
        self.add_configuration(frozen.tree())?;
        let (vault, snapshot) = vault.add(frozen.tree(), &self.host)?;
        drop(frozen);
        let forgotten = vault.forget(&self.keep)?;
        Ok(Made { snapshot, messages: manifest.messages(), forgotten })
    }

    fn vault(
        &self,
        key: &BackupKey,
        continuity: Continuity,
        progress: Progress,
    ) -> Result<Vault, BackupError> {
        let shown = self.repository.display().to_string();
        let known = Record::of(self.state_dir())?.repository;
        let vault = match Vault::open(&self.repository, key, progress) {
            Err(BackupError::Nothing(_)) if known.is_none() || continuity == Continuity::New => {
                Vault::make(&self.repository, key, progress)?
            }
            Err(BackupError::Nothing(_)) => return Err(BackupError::Gone(shown)),
            opened => opened?,
        };
        let id = vault.id();
        if known.as_ref().is_some_and(|known| *known != id) && continuity == Continuity::Same {
            return Err(BackupError::Another(shown));
        }
        Record::change(self.state_dir(), |record| record.repository = Some(id))?;
        Ok(vault)
    }

    /// The configuration names files of that machine, so it comes back under another name.
    fn add_configuration(&self, tree: &Path) -> Result<(), BackupError> {
        let Some(path) = &self.configuration else { return Ok(()) };
        match std::fs::read(path) {
            Ok(text) => write_private(&tree.join(CONFIGURATION), &text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(cause) => Err(BackupError::Io { path: path.clone(), cause }),
        }
    }

    /// Restores the newest snapshot into the state directory's `drill`, compares, and removes it again.
    ///
    /// # Errors
    /// See [`BackupError`]; damages are no error but in what is returned.
    pub fn drill(&self, progress: Progress, open: &Open<'_>) -> Result<Drilled, BackupError> {
        let _only = only(self.state_dir())?;
        let drilled = self.rehearse(progress, open);
        Record::change(self.state_dir(), |record| record.note_drill(&drilled, Timestamp::now()))?;
        drilled
    }

    fn rehearse(&self, progress: Progress, open: &Open<'_>) -> Result<Drilled, BackupError> {
        let key = BackupKey::of(self.state_dir())?;
        let vault = Vault::open(&self.repository, &key, progress)?;
        let scratch = Scratch::new(self.state_dir().join(DRILL))?;
        let snapshot = vault.restore(None, &scratch.0)?;
        let restored = Restored::compare(&scratch.0, open)?;
        Ok(Drilled { snapshot, restored })
    }
}

/// Restores a snapshot (the newest where none is named) into `target`, and compares it with its manifest.
///
/// # Errors
/// See [`BackupError`]; damages are no error but in what is returned.
pub fn restore(
    vault: Vault,
    snapshot: Option<&str>,
    target: &Path,
    open: &Open<'_>,
) -> Result<Drilled, BackupError> {
    let is_empty = match std::fs::read_dir(target) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => true,
        Err(cause) => return Err(BackupError::Io { path: target.to_owned(), cause }),
    };
    if !is_empty {
        return Err(BackupError::NotEmpty(target.to_owned()));
    }
    let snapshot = vault.restore(snapshot, target)?;
    let restored = Restored::compare(target, open)?;
    Ok(Drilled { snapshot, restored })
}

/// A directory that is gone when this is.
struct Scratch(PathBuf);

impl Scratch {
    fn new(path: PathBuf) -> Result<Self, BackupError> {
        remove(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = remove(&self.0) {
            tracing::warn!(%error, "what a drill restored stays until the next one");
        }
    }
}

fn remove(path: &Path) -> Result<(), BackupError> {
    match std::fs::remove_dir_all(path) {
        Err(cause) if cause.kind() != std::io::ErrorKind::NotFound => {
            Err(BackupError::Io { path: path.to_owned(), cause })
        }
        _ => Ok(()),
    }
}

/// Held while a backup or a drill is made.
fn only(state_dir: &Path) -> Result<File, BackupError> {
    let path = state_dir.join("backup.lock");
    let opened = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
    let file = opened.map_err(|cause| BackupError::Io { path, cause })?;
    flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(|_| BackupError::Busy)?;
    Ok(file)
}

fn write_private(path: &Path, octets: &[u8]) -> Result<(), BackupError> {
    let written = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
    let written = written.and_then(|mut file| file.write_all(octets));
    written.map_err(|cause| BackupError::Io { path: path.to_owned(), cause })
}
