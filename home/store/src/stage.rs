//! The staging area: where a message's octets wait between the network and the stores that will keep them.
//!
//! In: octets as they come. Out: a [`StagedMessage`] with its size and SHA-256, whose octets can be mapped, and which
//! `Store::deliver`, `Account::append` and the queue take over; accounts take its compact form, compressed once for all
//! of them. A message up to [`INLINE_LIMIT`] octets stays in
//! memory, because it will be written into a database; a larger one goes to a file in `staging/`, which a store or
//! queue then links into its own place without copying. The file is removed when the value is dropped, and whatever
//! a crash left behind is removed at the next start. A staged message is *not* durable: it becomes so where it is
//! accepted. Where the mail is sealed its file is too, from the first octet on; it is then opened into memory to be read.

use std::io::Write;
use std::ops::Deref;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use sha2::{Digest, Sha256};

use crate::account::Parsed;
use crate::compression::{self, Encoding};
use crate::files;
use crate::place::Place;
use crate::seal::{Opened, StoredFile, StoredWriter};
use crate::{Error, Result};

/// The largest message, in octets, that is kept inside a database instead of in a file of its own.
pub const INLINE_LIMIT: usize = 64 * 1024;

/// The SHA-256 of a message's octets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BlobHash(pub [u8; 32]);

/// A message that is being received.
#[derive(Debug)]
pub struct Staging {
    directory: Place,
    hasher: Sha256,
    size: u64,
    sink: Sink,
}

#[derive(Debug)]
enum Sink {
    Memory(Vec<u8>),
    File(StoredWriter, Temporary),
}

/// A file that is removed when it is no longer wanted.
#[derive(Debug)]
pub(crate) struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        // What cannot be removed now goes at the next start.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// A message received whole. Share it in an `Arc`; it does not change.
#[derive(Debug)]
pub struct StagedMessage {
    hash: BlobHash,
    size: u64,
    content: Staged,
    parsed: OnceLock<Arc<Parsed>>,
    /// `None` inside where compressing does not pay.
    compact: OnceLock<Option<Staged>>,
    directory: Place,
}

/// Where the octets wait.
#[derive(Debug)]
pub(crate) enum Staged {
    Memory(Vec<u8>),
    File { file: StoredFile, path: Temporary, synced: OnceLock<()> },
}

/// The octets of a staged message, in memory or mapped from its file.
#[derive(Debug)]
pub enum StagedBytes<'a> {
    /// In memory.
    Memory(&'a [u8]),
    /// Mapped.
    Mapped(memmap2::Mmap),
    /// Opened from a sealed file.
    Opened(Opened),
}

impl Deref for StagedBytes<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            StagedBytes::Memory(bytes) => bytes,
            StagedBytes::Mapped(map) => map,
            StagedBytes::Opened(bytes) => bytes,
        }
    }
}

impl Staging {
    pub(crate) fn new(directory: &Place) -> Staging {
        Staging {
            directory: directory.clone(),
            hasher: Sha256::new(),
            size: 0,
            sink: Sink::Memory(Vec::new()),
        }
    }

    /// Octets received so far.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Appends octets.
    ///
    /// # Errors
    /// `DiskFull` or `Temporary`; the message cannot be completed then.
    pub fn write(&mut self, octets: &[u8]) -> Result<()> {
        self.hasher.update(octets);
        self.size = self.size.saturating_add(octets.len() as u64);
        if let Sink::Memory(buffer) = &mut self.sink {
            if buffer.len().saturating_add(octets.len()) <= INLINE_LIMIT {
                buffer.extend_from_slice(octets);
                return Ok(());
            }
            let buffered = std::mem::take(buffer);
            self.sink = self.spill(&buffered)?;
        }
        match &mut self.sink {
            Sink::File(file, path) => file.write_all(octets).map_err(|error| files::at(&path.0, &error)),
            Sink::Memory(_) => Ok(()),
        }
    }

    /// Completes the message.
    ///
    /// # Errors
    /// As for [`Staging::write`].
    pub fn finish(self) -> Result<StagedMessage> {
        let content = match self.sink {
            Sink::Memory(bytes) => Staged::Memory(bytes),
            Sink::File(writer, path) => {
                let file = writer.finish().map_err(|error| files::at(&path.0, &error))?;
                Staged::File { file, path, synced: OnceLock::new() }
            }
        };
        let hash = BlobHash(self.hasher.finalize().into());
        Ok(StagedMessage {
            hash,
            size: self.size,
            content,
            parsed: OnceLock::new(),
            compact: OnceLock::new(),
            directory: self.directory,
        })
    }

    fn spill(&self, buffered: &[u8]) -> Result<Sink> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let name = format!("{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let (mut file, path) = new_file(&self.directory.join(name))?;
        file.write_all(buffered).map_err(|error| files::at(&path.0, &error))?;
        Ok(Sink::File(file, path))
    }
}

impl Write for Staging {
    fn write(&mut self, octets: &[u8]) -> std::io::Result<usize> {
        Staging::write(self, octets).map_err(std::io::Error::other)?;
        Ok(octets.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl StagedMessage {
    /// The SHA-256 of the octets.
    pub fn hash(&self) -> BlobHash {
        self.hash
    }

    /// Octets.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The octets, mapped from the file where there is one.
    ///
    /// # Errors
    /// `Temporary` when the file cannot be mapped, or when too many sealed ones are open.
    pub fn bytes(&self) -> Result<StagedBytes<'_>> {
        match (&self.content, self.directory.seal()) {
            (Staged::Memory(bytes), _) => Ok(StagedBytes::Memory(bytes)),
            (Staged::File { file, path, .. }, Some(seal)) => {
                let opened = Opened::of(file, seal).map_err(|error| files::at(&path.0, &error))?;
                Ok(StagedBytes::Opened(opened))
            }
            (Staged::File { file, .. }, None) => {
                // SAFETY: the file was made by this process with a name of its own, mode 0600, in a directory that
                // only it writes; nothing writes to it after `finish`, and links to it are read-only by rule.
                let map = unsafe { memmap2::Mmap::map(file.as_file()) };
                Ok(StagedBytes::Mapped(map.map_err(Error::from)?))
            }
        }
    }

    /// What `parse` finds in the message, kept so that each message is parsed once however many accounts take it.
    pub(crate) fn parsed_or(&self, parse: impl FnOnce(&Self) -> Result<Parsed>) -> Result<Arc<Parsed>> {
        match self.parsed.get() {
            Some(parsed) => Ok(Arc::clone(parsed)),
            None => {
                let parsed = Arc::new(parse(self)?);
                Ok(Arc::clone(self.parsed.get_or_init(|| parsed)))
            }
        }
    }

    /// The octets in the form in which an account keeps them, and that form. Made once, however many accounts take
    /// the message.
    pub(crate) fn compact(&self) -> Result<(Encoding, &Staged)> {
        let compact = match self.compact.get() {
            Some(compact) => compact,
            None => {
                let compact = self.compress()?;
                self.compact.get_or_init(|| compact)
            }
        };
        Ok(compact
            .as_ref()
            .map_or((Encoding::Identity, &self.content), |staged| (Encoding::Zstandard, staged)))
    }

    fn compress(&self) -> Result<Option<Staged>> {
        match &self.content {
            Staged::Memory(bytes) => {
                let frame = compression::compress(bytes)?;
                let pays = compression::pays(self.size, frame.len() as u64);
                Ok(pays.then_some(Staged::Memory(frame)))
            }
            Staged::File { path, .. } => {
                let name = path.0.with_extension("zst");
                let (mut file, path) = new_file(&self.directory.join(name.file_name().unwrap_or_default()))?;
                let written = compression::compress_file(&self.bytes()?, &mut file);
                let written = written.map_err(|error| files::at(&path.0, &error))?;
                let file = file.finish().map_err(|error| files::at(&path.0, &error))?;
                let pays = compression::pays(self.size, written);
                Ok(pays.then(|| Staged::File { file, path, synced: OnceLock::new() }))
            }
        }
    }

    /// The octets as they came, to be kept as [`Staged::persist`] says.
    pub(crate) fn content(&self) -> &Staged {
        &self.content
    }
}

impl Staged {
    /// The octets, where they are to be kept inside a database.
    pub(crate) fn inline(&self) -> Option<&[u8]> {
        match self {
            Staged::Memory(bytes) => Some(bytes),
            Staged::File { .. } => None,
        }
    }

    /// The salt with which the name of a sealed file must begin.
    pub(crate) fn salt(&self) -> Option<String> {
        match self {
            Staged::Memory(_) => None,
            Staged::File { file, .. } => file.salt(),
        }
    }

    /// Gives the octets a durable name in `directory` that begins with `stem`, and gives that name: contents and directory
    /// are flushed when this returns. Those of a file are linked, not copied; the stem is its salt if it has one.
    ///
    /// # Errors
    /// `DiskFull` or `Temporary`.
    pub(crate) fn persist(&self, directory: &Place, stem: &str) -> Result<String> {
        for number in 0u32.. {
            let name = format!("{stem}-{number}");
            let target = directory.join(&name);
            match self.put(&target) {
                Ok(()) => return files::sync_directory(directory.path()).map(|()| name),
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(files::at(target.path(), &error)),
            }
        }
        Err(Error::Temporary("no name is left for a message's file".to_owned()))
    }

    fn put(&self, target: &Place) -> std::io::Result<()> {
        match self {
            Staged::Memory(bytes) => write_synced(target, bytes),
            Staged::File { file, path, synced } => {
                if synced.get().is_none() {
                    file.as_file().sync_all()?;
                    let _ = synced.set(());
                }
                std::fs::hard_link(&path.0, target.path())
            }
        }
    }
}

/// A file of the staging area that nobody had before.
fn new_file(place: &Place) -> Result<(StoredWriter, Temporary)> {
    let mut options = std::fs::OpenOptions::new();
    let file = options.read(true).write(true).create_new(true).mode(0o600).open(place.path());
    let file = file.map_err(|error| files::at(place.path(), &error))?;
    let path = Temporary(place.path().to_owned());
    Ok((StoredWriter::new(file, place.seal())?, path))
}

/// Makes a file of these octets, and flushes them. Where it is to be sealed its name begins with 32 hexadecimal digits that
/// are of it alone.
fn write_synced(target: &Place, octets: &[u8]) -> std::io::Result<()> {
    let name = target.path().file_name().and_then(|name| name.to_str());
    let file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(target.path())?;
    let written =
        StoredWriter::named(file, target.seal(), name.unwrap_or_default()).and_then(|mut writer| {
            writer.write_all(octets)?;
            writer.finish()?.as_file().sync_all()
        });
    if written.is_err() {
        // Half a file is of no use, and on a full disk every attempt would leave one.
        let _ = std::fs::remove_file(target.path());
    }
    written
}
