//! Seals what is there, and unseals it again: offline, one database after the other, each in one step from the one form to the other.
//!
//! In: a state directory that nobody uses, and the secret. Out: the same content in the other form, and nothing left of the first
//! but what the disk itself keeps of removed files. Refused: a wrong secret; a database that another program has open; before the
//! first step, a directory in which something cannot be read ([`check`]).
//!
//! | step, for each database | after a crash the next run |
//! |---|---|
//! | a copy is made beside it, NAME.new | makes it anew |
//! | the files that its rows name are copied, under new names; the rows of the copy name these | makes them anew |
//! | the copy takes the place of the database (rename) | sees that it is in the other form, and leaves it |
//! | files that no row names are removed | removes them |
//!
//! `seal.json` is there from before the first step until after the last, and says what is going on; meanwhile nothing else opens
//! the directory. Either command may follow the other one that was interrupted. Needed is room for the largest account a second
//! time; a file that several accounts share is copied once in a run.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags, params};

use super::check;
use super::key::{DataKey, Envelope, Phase, Secret};
use super::pages::is_plain;
use super::vfs::UNFINISHED;
use super::{RESERVED, SealError, StoredFile, StoredReader, StoredWriter};
use crate::db::open::connect;
use crate::hex::hex;
use crate::place::Place;
use crate::{Error, Result, files};

/// How far a conversion is, in octets of files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Octets converted, or found converted.
    pub done: u64,
    /// All octets.
    pub total: u64,
}

/// Seals the directory, or goes on with it.
///
/// # Errors
/// [`SealError::WrongSecret`] where it was begun with another secret. After any error the command can be given again.
pub fn seal(state_dir: &Path, secret: &Secret, tell: &mut dyn FnMut(Progress)) -> Result<(), SealError> {
    let (envelope, key) = match Envelope::of(state_dir)? {
        Some(envelope) => {
            let key = envelope.open(state_dir, secret)?;
            (envelope, key)
        }
        None => {
            check::readable(&Place::from(state_dir))?;
            Envelope::random(secret)?
        }
    };
    let envelope = envelope.in_phase(Phase::Sealing);
    envelope.write(state_dir)?;
    convert(Place::from(state_dir), place(state_dir, key)?, tell)?;
    envelope.in_phase(Phase::Sealed).write(state_dir)
}

/// Unseals the directory, or goes on with it.
///
/// # Errors
/// [`SealError::NotSealed`], [`SealError::WrongSecret`]. After any other error the command can be given again.
pub fn unseal(state_dir: &Path, secret: &Secret, tell: &mut dyn FnMut(Progress)) -> Result<(), SealError> {
    let envelope = Envelope::of(state_dir)?.ok_or(SealError::NotSealed)?;
    let key = envelope.open(state_dir, secret)?;
    let sealed = place(state_dir, key)?;
    if envelope.phase() == Phase::Sealed {
        check::readable(&sealed)?;
    }
    envelope.in_phase(Phase::Unsealing).write(state_dir)?;
    convert(sealed, Place::from(state_dir), tell)?;
    Envelope::remove(state_dir)
}

/// Has another secret open the directory from now on. The mail is not touched.
///
/// # Errors
/// [`SealError::NotSealed`], [`SealError::WrongSecret`], [`SealError::Unfinished`].
pub fn rekey(state_dir: &Path, old: &Secret, new: &Secret) -> Result<(), SealError> {
    let envelope = Envelope::of(state_dir)?.ok_or(SealError::NotSealed)?;
    envelope.finished()?;
    let key = envelope.open(state_dir, old)?;
    Envelope::around(&key, new, Phase::Sealed)?.write(state_dir)
}

fn place(state_dir: &Path, key: DataKey) -> Result<Place, SealError> {
    Ok(Place::sealed(state_dir, super::Seal::new(state_dir, key)?))
}

fn convert(from: Place, to: Place, tell: &mut dyn FnMut(Progress)) -> Result<(), SealError> {
    let staging = from.join("staging");
    if staging.path().exists() {
        std::fs::remove_dir_all(staging.path()).map_err(|error| files::at(staging.path(), &error))?;
    }
    let databases = databases(from.path())?;
    let total = octets_in(from.path())?;
    let progress = Progress { done: 0, total };
    let mut conversion = Conversion { from, to, shared: HashMap::new(), progress, tell };
    for name in databases {
        conversion.convert(&name)?;
    }
    Ok(())
}

/// Every database, those of the directory itself first.
pub(super) fn databases(state_dir: &Path) -> Result<Vec<PathBuf>> {
    let mut databases = Vec::new();
    for directory in directories(state_dir)? {
        databases.extend(databases_in(state_dir, &directory)?);
    }
    Ok(databases)
}

/// The directory itself, as an empty path, and those of the accounts.
fn directories(state_dir: &Path) -> Result<Vec<PathBuf>> {
    let accounts = state_dir.join("accounts");
    let numbers = if accounts.is_dir() { crate::inspect::accounts_in(&accounts)? } else { Vec::new() };
    let account = |number: crate::account::AccountId| Path::new("accounts").join(number.to_string());
    Ok(std::iter::once(PathBuf::new()).chain(numbers.into_iter().map(account)).collect())
}

fn databases_in(state_dir: &Path, directory: &Path) -> Result<Vec<PathBuf>> {
    let path = state_dir.join(directory);
    let names = names_in(&path)?.into_iter().filter(|name| name.ends_with(".sqlite"));
    Ok(names.map(|name| directory.join(name)).collect())
}

fn names_in(directory: &Path) -> Result<Vec<String>> {
    let entries = std::fs::read_dir(directory).map_err(|error| files::at(directory, &error))?;
    let names = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    names.collect::<io::Result<_>>().map_err(|error| files::at(directory, &error))
}

fn octets_in(path: &Path) -> Result<u64> {
    let metadata = std::fs::symlink_metadata(path).map_err(|error| files::at(path, &error))?;
    if !metadata.is_dir() {
        return Ok(metadata.len());
    }
    names_in(path)?.iter().map(|name| octets_in(&path.join(name))).sum()
}

/// The files to which the rows of a database refer.
pub(super) struct Files {
    directory: &'static str,
    /// Row number, name, and what a name that is not sealed begins with (NULL: anything).
    list: &'static str,
    rename: &'static str,
    layout: Layout,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Layout {
    /// All in one directory.
    Flat,
    /// In directories of the first two digits.
    ByPrefix,
}

const BLOBS: Files = Files {
    directory: "blobs",
    list: "SELECT blob_id, file, lower(hex(hash)) FROM blob WHERE file IS NOT NULL",
    rename: "UPDATE blob SET file = ?2 WHERE blob_id = ?1",
    layout: Layout::ByPrefix,
};
const QUEUED: Files = Files {
    directory: "queue",
    list: "SELECT id, content, NULL FROM message",
    rename: "UPDATE message SET content = ?2 WHERE id = ?1",
    layout: Layout::Flat,
};

impl Files {
    pub(super) fn of(database: &Path) -> Option<Files> {
        match database.file_name()?.to_str()? {
            "account.sqlite" => Some(BLOBS),
            "queue.sqlite" => Some(QUEUED),
            _ => None,
        }
    }

    /// Where they are.
    pub(super) fn beside(&self, database: &Path) -> PathBuf {
        database.parent().unwrap_or(Path::new("")).join(self.directory)
    }

    pub(super) fn named_in(&self, connection: &Connection) -> Result<Vec<(i64, String, Option<String>)>> {
        let mut statement = connection.prepare(self.list)?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

struct Conversion<'t> {
    from: Place,
    to: Place,
    /// The copies of files with several names, by the device and the inode of what was copied.
    shared: HashMap<(u64, u64), PathBuf>,
    progress: Progress,
    tell: &'t mut dyn FnMut(Progress),
}

impl Conversion<'_> {
    fn convert(&mut self, name: &Path) -> Result<()> {
        let (from, to) = (self.from.join(name), self.to.join(name));
        let new = self.to.join(with_suffix(name, UNFINISHED));
        remove_database(new.path())?;
        match form(from.path())? {
            Form::Empty => return remove_database(from.path()),
            found if found == Form::of(&to) => self.advance(octets_of(to.path())),
            _ => {
                copy_database(&from, &new)?;
                self.copy_files(name, &new)?;
                let octets = octets_of(from.path());
                replace(&from, &new)?;
                self.advance(octets);
            }
        }
        self.sweep(name)
    }

    fn advance(&mut self, octets: u64) {
        self.progress.done += octets;
        (self.tell)(self.progress);
    }

    /// Copies what the rows of the new database name, and has them name the copies.
    fn copy_files(&mut self, name: &Path, new: &Place) -> Result<()> {
        let connection = connect(new, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        // A journal would hold the first page; if this is interrupted, the database is made anew.
        connection.pragma_update(None, "journal_mode", "MEMORY")?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        if let Some(files) = Files::of(name) {
            let transaction = connection.unchecked_transaction()?;
            for (row, file, stem) in files.named_in(&transaction)? {
                let copy = self.copy_file(name, &files, &file, stem)?;
                transaction.execute(files.rename, params![row, copy])?;
            }
            transaction.commit()?;
        }
        connection.close().map_err(|(_, error)| error.into())
    }

    fn copy_file(
        &mut self,
        database: &Path,
        files: &Files,
        name: &str,
        stem: Option<String>,
    ) -> Result<String> {
        let beside = files.beside(database);
        let source = self.from.join(beside.join(name));
        let metadata = source.path().metadata().map_err(|error| files::at(source.path(), &error))?;
        let identity = (metadata.dev(), metadata.ino());
        let shared = self.shared.get(&identity).cloned();
        let stem = match (self.to.seal(), stem, shared.as_deref().and_then(stem_of)) {
            (None, Some(stem), _) => stem,
            (_, _, Some(stem)) => stem,
            _ => hex(&super::file::random_salt()?),
        };
        let prefix = match files.layout {
            Layout::Flat => "",
            Layout::ByPrefix => stem.get(..2).unwrap_or_default(),
        };
        let directory = self.to.join(beside.join(prefix));
        files::create_directory(directory.path())?;
        let copy = match shared {
            Some(path) => link(&path, &directory, &stem)?,
            None => {
                let file = StoredFile::open(source.path(), source.seal());
                let file = file.map_err(|error| files::at(source.path(), &error))?;
                write_copy(StoredReader::new(file), &directory, &stem)?
            }
        };
        if metadata.nlink() > 1 {
            self.shared.entry(identity).or_insert_with(|| directory.path().join(&copy));
        }
        self.advance(metadata.len());
        Ok(Path::new(prefix).join(copy).to_string_lossy().into_owned())
    }

    /// Removes the files that no row names: those of the old form, and copies of an interrupted run.
    fn sweep(&self, name: &Path) -> Result<()> {
        let Some(files) = Files::of(name) else { return Ok(()) };
        let connection = connect(&self.to.join(name), OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        let known: HashSet<String> =
            files.named_in(&connection)?.into_iter().map(|(_, name, _)| name).collect();
        let directory = self.to.path().join(name).with_file_name(files.directory);
        for prefix in prefixes(&directory, files.layout)? {
            for file in names_in(&directory.join(&prefix))? {
                let file = Path::new(&prefix).join(file);
                if !known.contains(&*file.to_string_lossy()) {
                    let path = directory.join(file);
                    std::fs::remove_file(&path).map_err(|error| files::at(&path, &error))?;
                }
            }
        }
        Ok(())
    }
}

fn prefixes(directory: &Path, layout: Layout) -> Result<Vec<String>> {
    match layout {
        _ if !directory.exists() => Ok(Vec::new()),
        Layout::Flat => Ok(vec![String::new()]),
        Layout::ByPrefix => names_in(directory),
    }
}

/// In which form a database is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// A crash came before its first page.
    Empty,
    Plain,
    Sealed,
}

impl Form {
    fn of(place: &Place) -> Form {
        if place.seal().is_some() { Form::Sealed } else { Form::Plain }
    }
}

/// Reads the beginning of a database that nothing has open: closing the file would drop SQLite's locks on it.
pub(super) fn form(path: &Path) -> Result<Form> {
    let mut beginning = Vec::new();
    let read = File::open(path).and_then(|file| file.take(16).read_to_end(&mut beginning));
    read.map_err(|error| files::at(path, &error))?;
    Ok(match beginning.as_slice() {
        [] => Form::Empty,
        beginning if is_plain(beginning) => Form::Plain,
        _ => Form::Sealed,
    })
}

/// Copies all pages of a database, the log's too, into a new one.
fn copy_database(from: &Place, to: &Place) -> Result<()> {
    let source = connect(from, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_URI)?;
    source.pragma_update(None, "temp_store", "MEMORY")?;
    source.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    let (layer, reserved) = match to.seal() {
        Some(seal) => (seal.vfs().to_string_lossy().into_owned(), RESERVED),
        None => ("unix".to_owned(), 0),
    };
    let target = format!("file:{}?vfs={layer}&reserve={reserved}", escaped(to.path()));
    source.execute("VACUUM INTO ?1", [target])?;
    source.close().map_err(|(_, error)| error.into())
}

/// A path as a part of a URI.
fn escaped(path: &Path) -> String {
    use std::os::unix::ffi::OsStrExt;
    let escape = |octet: &u8| match octet {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' | b'~' => {
            char::from(*octet).to_string()
        }
        octet => format!("%{octet:02x}"),
    };
    path.as_os_str().as_bytes().iter().map(escape).collect()
}

/// Puts the new database in the place of the old one.
fn replace(old: &Place, new: &Place) -> Result<()> {
    // Who closes a database last removes both. Another program would go on with them, and who opens the new database with it.
    for (place, suffix) in [(old, "-wal"), (old, "-shm"), (new, "-wal"), (new, "-journal")] {
        let log = with_suffix(place.path(), suffix);
        if std::fs::symlink_metadata(&log).is_ok() {
            return Err(Error::Temporary(format!("{}: another program has it open", log.display())));
        }
    }
    let rename = File::open(new.path())
        .and_then(|file| file.sync_all())
        .and_then(|()| std::fs::rename(new.path(), old.path()));
    rename.map_err(|error| files::at(new.path(), &error))?;
    old.path().parent().map_or(Ok(()), files::sync_directory)
}

/// Removes a database with what SQLite keeps beside it.
fn remove_database(path: &Path) -> Result<()> {
    for suffix in ["", "-wal", "-shm", "-journal"] {
        let file = with_suffix(path, suffix);
        match std::fs::remove_file(&file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(files::at(&file, &error)),
            _ => {}
        }
    }
    Ok(())
}

/// Writes a file whose name begins with `stem`, durably, and gives its name.
fn write_copy(mut octets: StoredReader, directory: &Place, stem: &str) -> Result<String> {
    for number in 0u32.. {
        let name = format!("{stem}-{number}");
        let place = directory.join(&name);
        let file = match File::options().write(true).create_new(true).mode(0o600).open(place.path()) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
            file => file,
        };
        let written = file.and_then(|file| {
            let mut writer = StoredWriter::named(file, place.seal(), &name)?;
            io::copy(&mut octets, &mut writer)?;
            writer.finish()?.as_file().sync_all()
        });
        written.map_err(|error| files::at(place.path(), &error))?;
        return files::sync_directory(directory.path()).map(|()| name);
    }
    Err(Error::Temporary("no name is left for a message's file".to_owned()))
}

/// Gives a file another name, durably, in this directory.
fn link(file: &Path, directory: &Place, stem: &str) -> Result<String> {
    for number in 0u32.. {
        let name = format!("{stem}-{number}");
        let place = directory.join(&name);
        match std::fs::hard_link(file, place.path()) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
            linked => linked.map_err(|error| files::at(place.path(), &error))?,
        }
        return files::sync_directory(directory.path()).map(|()| name);
    }
    Err(Error::Temporary("no name is left for a message's file".to_owned()))
}

/// What the name of a copy begins with.
fn stem_of(copy: &Path) -> Option<String> {
    Some(copy.file_name()?.to_str()?.rsplit_once('-')?.0.to_owned())
}

fn octets_of(path: &Path) -> u64 {
    path.metadata().map_or(0, |metadata| metadata.len())
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
