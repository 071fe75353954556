//! Stored messages' octets: once for each content of an account, counted, compressed where it pays, in the database or
//! in a file.
//!
//! In: staged messages. Out: ranges of octets. The on-disk shape and the order of file and commit are told in the
//! module `account::schema`.

use std::collections::HashSet;
use std::io;
use std::ops::Range;
use std::path::Path;

use rusqlite::{Connection, OptionalExtension, params};

use crate::compression::{self, Encoding};
use crate::db::Database;
use crate::hex::hex;
use crate::place::Place;
use crate::seal::StoredFile;
use crate::stage::{INLINE_LIMIT, StagedMessage};
use crate::{Error, Result, files};

/// A stored message's octets. Immutable; valid until the last copy of the message in the account is expunged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BlobId(pub i64);

impl rusqlite::ToSql for BlobId {
    fn to_sql(&self) -> rusqlite::Result<rusqlite::types::ToSqlOutput<'_>> {
        self.0.to_sql()
    }
}

impl rusqlite::types::FromSql for BlobId {
    fn column_result(value: rusqlite::types::ValueRef<'_>) -> rusqlite::types::FromSqlResult<Self> {
        value.as_i64().map(BlobId)
    }
}

/// The files of one account's large blobs.
#[derive(Debug)]
pub(crate) struct BlobFiles {
    directory: Place,
}

impl BlobFiles {
    pub(crate) fn open(directory: Place) -> Result<BlobFiles> {
        files::create_directory(directory.path())?;
        Ok(BlobFiles { directory })
    }

    /// The files of an account that is only read.
    pub(crate) fn inspected(directory: Place) -> BlobFiles {
        BlobFiles { directory }
    }

    /// Gives a large message a durable name here; a small one needs none. On success the caller hands the name to
    /// [`keep`]. It is never taken back after an error, because a commit that reported an error may still be found
    /// durable when the database is opened again.
    pub(crate) fn link(&self, message: &StagedMessage) -> Result<Option<String>> {
        let (_, content) = message.compact()?;
        if content.inline().is_some() {
            return Ok(None);
        }
        // A hash would tell who has the same message that it is here.
        let stem = content.salt().unwrap_or_else(|| hex(&message.hash().0));
        let prefix = stem.get(..2).unwrap_or_default();
        let directory = self.directory.join(prefix);
        files::create_directory(directory.path())?;
        let name = content.persist(&directory, &stem)?;
        Ok(Some(format!("{prefix}/{name}")))
    }

    /// Removes files that no committed row refers to.
    pub(crate) fn remove_files(&self, names: &[String]) {
        for name in names {
            if let Err(error) = std::fs::remove_file(self.directory.join(name).path()) {
                tracing::warn!(file = %name, %error, "unreferenced blob stays until the account is opened again");
            }
        }
    }

    /// Removes what a crash left: files without a row. Must run before anything is linked.
    pub(crate) fn sweep(&self, database: &Database) -> Result<()> {
        let known: HashSet<String> = database.read(|connection| {
            let mut statement = connection.prepare("SELECT file FROM blob WHERE file IS NOT NULL")?;
            let rows = statement.query_map([], |row| row.get(0))?;
            Ok::<_, Error>(rows.collect::<Result<_, _>>()?)
        })?;
        let unknown: Vec<String> = self.names()?.into_iter().filter(|name| !known.contains(name)).collect();
        self.remove_files(&unknown);
        Ok(())
    }

    fn names(&self) -> Result<Vec<String>> {
        let mut names = Vec::new();
        for prefix in entries(self.directory.path())? {
            for file in entries(self.directory.join(&prefix).path())? {
                names.push(format!("{prefix}/{file}"));
            }
        }
        Ok(names)
    }

    /// Reads octets; the range is cut at the blob's end.
    pub(crate) fn read(&self, connection: &Connection, blob: BlobId, range: Range<u64>) -> Result<Vec<u8>> {
        let row: Option<(u64, i64, Option<String>)> = connection
            .prepare_cached("SELECT size, encoding, file FROM blob WHERE blob_id = ?1")?
            .query_row([blob], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .optional()?;
        let (size, encoding, file) =
            row.ok_or_else(|| Error::NotFound("the message's content".to_owned()))?;
        let encoding = Encoding::from_column(encoding)
            .ok_or_else(|| Error::Corrupt(format!("blob {} has the unknown encoding {encoding}", blob.0)))?;
        let start = range.start.min(size);
        let range = start..range.end.min(size).max(start);
        match file {
            Some(file) => read_file(&self.directory.join(file), encoding, size, range),
            None => read_row(connection, blob, encoding, size, range),
        }
    }
}

fn read_file(place: &Place, encoding: Encoding, size: u64, range: Range<u64>) -> Result<Vec<u8>> {
    let path = place.path();
    let read = StoredFile::open(path, place.seal()).and_then(|file| match encoding {
        Encoding::Zstandard => compression::read_file(&file, size, range),
        Encoding::Identity => {
            let mut octets = vec![0; length(&range).map_err(io::Error::other)?];
            file.read_exact_at(&mut octets, range.start)?;
            Ok(octets)
        }
    });
    read.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData => {
            Error::Corrupt(format!("{}: {error}", path.display()))
        }
        // What zstd says of a frame that it cannot read.
        io::ErrorKind::Other => Error::Corrupt(format!("{}: {error}", path.display())),
        _ => files::at(path, &error),
    })
}

fn read_row(
    connection: &Connection,
    blob: BlobId,
    encoding: Encoding,
    size: u64,
    range: Range<u64>,
) -> Result<Vec<u8>> {
    let content = connection.blob_open("main", "blob_content", "content", blob.0, true)?;
    let mut octets = match encoding {
        Encoding::Identity => vec![0; length(&range)?],
        Encoding::Zstandard => vec![0; content.len()],
    };
    let start = usize::try_from(range.start).map_err(|_| Error::Corrupt("a blob's size".to_owned()))?;
    match encoding {
        Encoding::Identity => content.read_at_exact(&mut octets, start)?,
        Encoding::Zstandard => {
            content.read_at_exact(&mut octets, 0)?;
            let whole = length(&(0..size.min(INLINE_LIMIT as u64)))?;
            octets = compression::decompress(&octets, whole)
                .map_err(|error| Error::Corrupt(format!("blob {}: {error}", blob.0)))?;
            octets.truncate(start.saturating_add(length(&range)?));
            octets.drain(..start.min(octets.len()));
        }
    }
    Ok(octets)
}

fn length(range: &Range<u64>) -> Result<usize> {
    usize::try_from(range.end - range.start)
        .map_err(|_| Error::Permanent("the range is too large for this machine".to_owned()))
}

fn entries(directory: &Path) -> Result<Vec<String>> {
    let entries = std::fs::read_dir(directory).map_err(|error| files::at(directory, &error))?;
    let names = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    names.collect::<io::Result<_>>().map_err(|error| files::at(directory, &error))
}

/// Counts one reference to the message's octets, storing them if they are new here. `linked` is the name that
/// [`BlobFiles::link`] gave; when it is not needed, because the content is there already, it is given back for
/// removal after the commit.
pub(crate) fn keep(
    connection: &Connection,
    message: &StagedMessage,
    linked: Option<String>,
) -> Result<(BlobId, Option<String>)> {
    let known: Option<BlobId> = connection
        .prepare_cached("UPDATE blob SET refs = refs + 1 WHERE hash = ?1 RETURNING blob_id")?
        .query_row([message.hash().0], |row| row.get(0))
        .optional()?;
    if let Some(blob) = known {
        return Ok((blob, linked));
    }
    let (encoding, content) = message.compact()?;
    let blob: BlobId = connection
        .prepare_cached(
            "INSERT INTO blob (hash, size, refs, encoding, file) VALUES (?1, ?2, 1, ?3, ?4) RETURNING blob_id",
        )?
        .query_row(params![message.hash().0, message.size(), encoding as i64, linked], |row| row.get(0))?;
    if let Some(octets) = content.inline() {
        connection
            .prepare_cached("INSERT INTO blob_content (blob_id, content) VALUES (?1, ?2)")?
            .execute(params![blob, octets])?;
    }
    Ok((blob, None))
}

/// Counts one reference less; at none the blob goes, and the name of its file, if it has one, is given back for
/// removal after the commit.
pub(crate) fn release(connection: &Connection, blob: BlobId) -> Result<Option<String>> {
    let refs: i64 = connection
        .prepare_cached("UPDATE blob SET refs = refs - 1 WHERE blob_id = ?1 RETURNING refs")?
        .query_row([blob], |row| row.get(0))?;
    if refs > 0 {
        return Ok(None);
    }
    destroy(connection, blob)
}

/// Removes a blob that nothing refers to; gives the name of its file, if it has one, for removal after the commit.
pub(crate) fn destroy(connection: &Connection, blob: BlobId) -> Result<Option<String>> {
    Ok(connection
        .prepare_cached("DELETE FROM blob WHERE blob_id = ?1 RETURNING file")?
        .query_row([blob], |row| row.get(0))?)
}
