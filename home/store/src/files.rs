//! Files and directories made durable: what every writer outside SQLite uses.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use crate::error::{Error, Result};

/// Flushes a directory, so that the names made, linked or removed in it survive a power cut.
pub(crate) fn sync_directory(path: &Path) -> Result<()> {
    File::open(path).and_then(|directory| directory.sync_all()).map_err(|error| at(path, &error))
}

/// Makes `path` and its missing parents (mode 0700) and flushes the parent's entry of each that was made.
pub(crate) fn create_directory(path: &Path) -> Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    if let Some(parent) = parent {
        create_directory(parent)?;
    }
    match std::fs::DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => parent.map_or(Ok(()), sync_directory),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(at(path, &error)),
    }
}

/// Replaces a small file, so that a crash leaves the old content or the new.
pub(crate) fn replace(path: &Path, content: &[u8]) -> Result<()> {
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let new = std::path::PathBuf::from(new);
    let written = (|| {
        let options = File::options().write(true).create(true).truncate(true).mode(0o600).open(&new);
        let mut file = options?;
        file.write_all(content)?;
        file.sync_all()?;
        std::fs::rename(&new, path)
    })();
    written.map_err(|error| at(path, &error))?;
    path.parent().map_or(Ok(()), sync_directory)
}

/// Names the file an error is about.
pub(crate) fn at(path: &Path, error: &std::io::Error) -> Error {
    match Error::from(std::io::Error::from(error.kind())) {
        Error::DiskFull(_) => Error::DiskFull(path.display().to_string()),
        _ => Error::Temporary(format!("{}: {error}", path.display())),
    }
}
