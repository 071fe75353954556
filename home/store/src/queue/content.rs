//! The files of `state_dir/queue`: made before their row, removed after it.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::{Content, Queue, QueueId};
use crate::db::{Connection, OptionalExtension, params};
use crate::files;
use crate::{Error, Result};

/// A queued message's octets: the prepended header fields, then the file.
#[derive(Debug)]
pub struct QueuedContent {
    /// Header fields, each with its CRLF.
    pub prepend: Vec<u8>,
    /// The rest, positioned at its beginning.
    pub file: File,
}

impl Queue {
    /// Opens the content of a message; `None` where it is no longer queued.
    ///
    /// # Errors
    /// Where the database or the file cannot be read.
    pub fn content(&self, id: QueueId) -> Result<Option<QueuedContent>> {
        let row = self.database.read(|connection: &Connection| -> Result<_> {
            let mut select =
                connection.prepare_cached("SELECT content, prepend FROM message WHERE id = ?1")?;
            let row = select.query_row(params![id.0], |row| Ok((row.get::<_, String>(0)?, row.get(1)?)));
            Ok(row.optional()?)
        })?;
        let Some((name, prepend)) = row else { return Ok(None) };
        let path = self.content_dir.join(name);
        let file = File::open(&path).map_err(|error| files::at(&path, &error))?;
        Ok(Some(QueuedContent { prepend, file }))
    }

    /// Puts content into a new file, durably. Gives its name and its octets.
    pub(super) fn keep_content(&self, content: &Content<'_>) -> Result<(NewFile, u64)> {
        let new = NewFile::random(&self.content_dir)?;
        let octets = match content {
            Content::Staged(staged) => staged.persist(&new.path).map(|()| staged.size())?,
            Content::Bytes(octets) => {
                write_synced(&new.path, octets)?;
                files::sync_directory(&self.content_dir)?;
                octets.len() as u64
            }
        };
        Ok((new, octets))
    }

    /// Removes the file of a message whose row is gone. What remains after a failure is removed at the next start.
    pub(super) fn remove_content(&self, name: &str) {
        let path = self.content_dir.join(name);
        if let Err(error) = std::fs::remove_file(&path) {
            tracing::warn!(path = %path.display(), %error, "queued content not removed");
        }
    }

    /// Removes files that have no row: a crash came between the file and its row, or between the row and its file.
    pub(super) fn remove_orphans(&self) -> Result<()> {
        let entries = std::fs::read_dir(&self.content_dir).map_err(|e| files::at(&self.content_dir, &e))?;
        self.database.read(|connection: &Connection| -> Result<()> {
            let mut select = connection.prepare_cached("SELECT 1 FROM message WHERE content = ?1")?;
            for entry in entries {
                let name = entry.map_err(|error| files::at(&self.content_dir, &error))?.file_name();
                let name = name.to_string_lossy();
                if !select.exists(params![name])? {
                    self.remove_content(&name);
                }
            }
            Ok(())
        })
    }
}

/// A content file that is removed again unless it is kept for a row.
#[derive(Debug)]
pub(super) struct NewFile {
    pub(super) name: String,
    path: PathBuf,
    kept: bool,
}

impl NewFile {
    fn random(directory: &Path) -> Result<NewFile> {
        let mut octets = [0; 16];
        aws_lc_rs::rand::fill(&mut octets).map_err(|_| Error::Fault("no random numbers".to_owned()))?;
        let name = octets.iter().map(|octet| format!("{octet:02x}")).collect::<String>();
        Ok(NewFile { path: directory.join(&name), name, kept: false })
    }

    /// Leaves the file in its place and gives its name.
    pub(super) fn keep(mut self) -> String {
        self.kept = true;
        std::mem::take(&mut self.name)
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if !self.kept {
            // It may not have been made at all, and otherwise the next start removes it.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn write_synced(path: &Path, octets: &[u8]) -> Result<()> {
    let file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let write = |mut file: File| file.write_all(octets).and_then(|()| file.sync_all());
    file.and_then(write).map_err(|error| files::at(path, &error))
}
