//! The files of `state_dir/queue`: made before their row, removed after it.

use std::path::PathBuf;

use super::{Content, Queue, QueueId};
use crate::db::{Connection, OptionalExtension, params};
use crate::files;
use crate::hex::hex;
use crate::seal::{StoredFile, StoredReader};
use crate::stage::Staged;
use crate::{Error, Result};

/// A queued message's octets: the prepended header fields, then the file.
#[derive(Debug)]
pub struct QueuedContent {
    /// Header fields, each with its CRLF.
    pub prepend: Vec<u8>,
    /// The rest, positioned at its beginning.
    pub file: StoredReader,
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
        let place = self.content_dir.join(name);
        let file = StoredFile::open(place.path(), place.seal());
        let file = file.map_err(|error| files::at(place.path(), &error))?;
        Ok(Some(QueuedContent { prepend, file: StoredReader::new(file) }))
    }

    /// Puts content into a new file, durably. Gives its name and its octets.
    pub(super) fn keep_content(&self, content: &Content<'_>) -> Result<(NewFile, u64)> {
        let kept = match content {
            Content::Staged(staged) => (self.keep(staged.content())?, staged.size()),
            Content::Bytes(octets) => (self.keep(&Staged::Memory(octets.to_vec()))?, octets.len() as u64),
        };
        Ok(kept)
    }

    fn keep(&self, content: &Staged) -> Result<NewFile> {
        let stem = content.salt().map_or_else(random_stem, Ok)?;
        let name = content.persist(&self.content_dir, &stem)?;
        Ok(NewFile { path: self.content_dir.path().join(&name), name, kept: false })
    }

    /// Removes the file of a message whose row is gone. What remains after a failure is removed at the next start.
    pub(super) fn remove_content(&self, name: &str) {
        let path = self.content_dir.path().join(name);
        if let Err(error) = std::fs::remove_file(&path) {
            tracing::warn!(path = %path.display(), %error, "queued content not removed");
        }
    }

    /// Removes files that have no row: a crash came between the file and its row, or between the row and its file.
    pub(super) fn remove_orphans(&self) -> Result<()> {
        let directory = self.content_dir.path();
        let entries = std::fs::read_dir(directory).map_err(|error| files::at(directory, &error))?;
        self.database.read(|connection: &Connection| -> Result<()> {
            let mut select = connection.prepare_cached("SELECT 1 FROM message WHERE content = ?1")?;
            for entry in entries {
                let name = entry.map_err(|error| files::at(directory, &error))?.file_name();
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

fn random_stem() -> Result<String> {
    let mut octets = [0; 16];
    aws_lc_rs::rand::fill(&mut octets).map_err(|_| Error::Fault("no random numbers".to_owned()))?;
    Ok(hex(&octets))
}
