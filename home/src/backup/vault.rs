//! The repository: a directory in restic's format, written and read by rustic.
//!
//! In: a tree of files, a key. Out: snapshots. Databases change in pages, so files are cut at fixed places: a page that
//! changed costs one piece of 128 KiB, and the rest of the file is not stored again.
//!
//! <https://restic.readthedocs.io/en/stable/100_references.html#design>

use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use rustic_backend::LocalBackend;
use rustic_core::repofile::{Chunker, SnapshotFile};
use rustic_core::{
    BackupOptions, CheckOptions, ConfigOptions, Credentials, KeepOptions, KeyOptions, LocalDestination,
    LsOptions, OpenStatus, ParentOptions, PathList, PruneOptions, Repository, RepositoryBackends,
    RepositoryOptions, RestoreOptions, RusticError, SnapshotOptions,
};
use serde::{Deserialize, Serialize};

use super::{BackupError, BackupKey, Progress};

/// Octets of a piece.
const PIECE: u64 = 128 * 1024;
/// What the tree is called in snapshots, wherever it was.
const ROOT: &str = "/postern-home";

/// An open repository.
pub struct Vault {
    shown: String,
    repository: Repository<OpenStatus>,
}

/// A snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// What it is called.
    pub id: String,
    /// When it was made.
    pub made: Timestamp,
    /// Of which home.
    pub host: String,
    /// The octets of its files.
    pub octets: u64,
    /// The octets that it added to the repository.
    pub added: u64,
}

/// How many snapshots are kept: the newest of each of so many days, weeks and months.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// Days.
    pub daily: u16,
    /// Weeks.
    pub weekly: u16,
    /// Months.
    pub monthly: u16,
}

impl Vault {
    /// Opens the repository in `directory`.
    ///
    /// # Errors
    /// `Nothing`, `WrongKey`, `Repository`
    pub fn open(directory: &Path, key: &BackupKey, progress: Progress) -> Result<Self, BackupError> {
        let shown = directory.display().to_string();
        let closed = closed(directory, progress)?;
        if closed.config_id().map_err(failed)?.is_none() {
            return Err(BackupError::Nothing(shown));
        }
        let opened = closed.open(&credentials(key));
        let repository = opened.map_err(|error| match error.is_incorrect_password() {
            true => BackupError::WrongKey(shown.clone()),
            false => failed(error),
        })?;
        Ok(Self { shown, repository })
    }

    /// Makes one there.
    pub(super) fn make(directory: &Path, key: &BackupKey, progress: Progress) -> Result<Self, BackupError> {
        let options = ConfigOptions::default()
            .set_chunker(Chunker::FixedSize)
            .set_chunk_size(bytesize::ByteSize(PIECE));
        let closed = closed(directory, progress)?;
        let repository = closed.init(&credentials(key), &KeyOptions::default(), &options).map_err(failed)?;
        Ok(Self { shown: directory.display().to_string(), repository })
    }

    /// Its own identity.
    pub(super) fn id(&self) -> String {
        self.repository.config().id.to_string()
    }

    /// Adds a snapshot of `tree`.
    pub(super) fn add(self, tree: &Path, host: &str) -> Result<(Self, Listed), BackupError> {
        let indexed = self.repository.to_indexed_ids().map_err(failed)?;
        // The links are new each time; size and time of change are those of the files.
        let parent = ParentOptions::default().ignore_ctime(true).ignore_inode(true);
        let options = BackupOptions::default().as_path(std::path::PathBuf::from(ROOT)).parent_opts(parent);
        let snapshot = SnapshotOptions::default().host(host.to_owned()).to_snapshot().map_err(failed)?;
        let source = PathList::from_iter([tree.to_owned()]);
        let snapshot = indexed.backup(&options, &source, snapshot).map_err(failed)?;
        let listed = listed(&snapshot);
        Ok((Self { repository: indexed.drop_index(), shown: self.shown }, listed))
    }

    /// Every snapshot, the newest last.
    ///
    /// # Errors
    /// `Repository`
    pub fn snapshots(&self) -> Result<Vec<Listed>, BackupError> {
        let mut snapshots: Vec<Listed> =
            self.repository.get_all_snapshots().map_err(failed)?.iter().map(listed).collect();
        snapshots.sort_by_key(|snapshot| snapshot.made);
        Ok(snapshots)
    }

    /// Reads everything and compares it with its hashes; a line for each damage.
    ///
    /// # Errors
    /// `Repository` when not even the check can run.
    pub fn check(&self) -> Result<Vec<String>, BackupError> {
        let found = self.repository.check(CheckOptions::default().read_data(true)).map_err(failed)?;
        Ok(found.0.into_iter().map(|(_, damage)| damage.to_string()).collect())
    }

    /// Restores a snapshot, the newest where none is named.
    pub(super) fn restore(self, snapshot: Option<&str>, target: &Path) -> Result<Listed, BackupError> {
        let wanted = snapshot.unwrap_or("latest");
        let found = self.repository.get_snapshot_from_str(wanted, |_| true);
        let found = found.map_err(|_| BackupError::NoSnapshot(wanted.to_owned()))?;
        std::fs::create_dir_all(target)
            .map_err(|cause| BackupError::Io { path: target.to_owned(), cause })?;
        let indexed = self.repository.to_indexed().map_err(failed)?;
        let node = indexed.node_from_snapshot_and_path(&found, ROOT).map_err(failed)?;
        let options = RestoreOptions::default().no_ownership(true);
        let shown = target.to_string_lossy();
        let destination = LocalDestination::new(&shown, true, !node.is_dir()).map_err(failed)?;
        let listing = LsOptions::default();
        let files = || indexed.ls(&node, &listing).map_err(failed);
        let plan = indexed.prepare_restore(&options, files()?, &destination, false).map_err(failed)?;
        indexed.restore(plan, &options, files()?, &destination).map_err(failed)?;
        Ok(listed(&found))
    }

    /// Lets go of snapshots that are not to be kept, and of what only they needed; gives how many.
    pub(super) fn forget(&self, keep: &Keep) -> Result<usize, BackupError> {
        let options = KeepOptions::default()
            .keep_last(1)
            .keep_daily(i32::from(keep.daily))
            .keep_weekly(i32::from(keep.weekly))
            .keep_monthly(i32::from(keep.monthly));
        let snapshots = self.repository.get_all_snapshots().map_err(failed)?;
        let judged = options.apply(snapshots, &jiff::Zoned::now()).map_err(failed)?;
        let gone: Vec<_> = judged.iter().filter(|one| !one.keep).map(|one| one.snapshot.id).collect();
        if !gone.is_empty() {
            self.repository.delete_snapshots(&gone).map_err(failed)?;
            let options = PruneOptions::default();
            let plan = self.repository.prune_plan(&options).map_err(failed)?;
            self.repository.prune(&options, plan).map_err(failed)?;
        }
        Ok(gone.len())
    }

    /// Where it is.
    pub fn shown(&self) -> &str {
        &self.shown
    }
}

fn closed(directory: &Path, progress: Progress) -> Result<Repository<()>, BackupError> {
    let backend = LocalBackend::new(directory.to_string_lossy(), None).map_err(failed)?;
    let backends = RepositoryBackends::new(Arc::new(backend), None);
    let options = RepositoryOptions::default().no_cache(true);
    Repository::new_with_progress(&options, &backends, progress).map_err(failed)
}

fn credentials(key: &BackupKey) -> Credentials {
    Credentials::password(key.expose())
}

fn listed(snapshot: &SnapshotFile) -> Listed {
    let summary = snapshot.summary.as_ref();
    let id: String = snapshot.id.to_string().chars().take(8).collect();
    Listed {
        id,
        made: snapshot.time.timestamp(),
        host: snapshot.hostname.clone(),
        octets: summary.map_or(0, |summary| summary.total_bytes_processed),
        added: summary.map_or(0, |summary| summary.data_added_packed),
    }
}

/// Its own text is of several lines.
#[expect(clippy::boxed_local, reason = "rustic gives its errors in boxes")]
fn failed(error: Box<RusticError>) -> BackupError {
    BackupError::Repository(error.display_log().split_whitespace().collect::<Vec<_>>().join(" "))
}
