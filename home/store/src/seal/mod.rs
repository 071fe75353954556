//! Encryption at rest: everything of a state directory that tells of mail, sealed under one key that is not kept there.
//!
//! In: the operator's [`Secret`]. Out: a [`Place`] whose databases and files are read and written as if nothing were sealed.
//! Refused: a wrong secret, before anything is touched; units that were changed, exchanged or cut; a directory of which only a
//! part is sealed, until the conversion has ended.
//!
//! ```text
//! seal.json              the data key, sealed under a key made from the secret (`key`)
//!   |- databases         HKDF(data key, salt of the file, "database" and the file's place)
//!   |    page            octets, tag, nonce; bound to the page's number                       (`pages`, `open`, `vfs`)
//!   |    frame of a log  header and page, tag, nonce; bound to the frame's number
//!   `- files             HKDF(data key, salt of the file, "file")                             (`file`)
//!        chunk           octets, tag; bound to the chunk's number and to being the last
//! ```
//!
//! *Whole databases.* SQLite reads and writes through a layer (a VFS) that seals each page on its way to the disk and each
//! frame of the write-ahead log with its header. So the mailboxes, the full-text index, the queue and the users are covered alike,
//! no query knows of it, and SQLite keeps its locks, its log and its recovery. Temporary tables and statement journals stay in
//! memory; the layer opens no other file. A database is bound to its salt and to its place in the state directory, so that one
//! account's cannot be put in another's place.
//!
//! *Files.* Messages of more than 64 KiB, staged and queued ones too, are files of chunks under a key of their own; a chunk's number
//! is its nonce. The file's name is its salt, and the row that names it is sealed: a file cannot be put in another's place,
//! and its name tells nothing of what is in it.
//!
//! *Nonces.* Pages and frames are rewritten, so theirs are random. See [`cipher`].
//!
//! *What a seal does not hold.* An older state of a whole file, or of a single page of a database, put back in its place by who can
//! write to the disk, is taken for the present one; so is a page of zeros, which SQLite leaves where it has written nothing.
//! Visible are the number and the sizes of files and databases, the times at which they change, which accounts share a large
//! message, and which pages change together.
//!
//! RFC 8439 (ChaCha20-Poly1305), RFC 5869 (HKDF), RFC 9106 (Argon2).

mod cipher;
mod key;

mod open;
mod pages;
mod vfs;

mod file;
mod opened;

mod check;
mod convert;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

pub use convert::{Progress, rekey, seal, unseal};
pub use key::{Envelope, KEY_OCTETS_MIN, Phase, Secret, SecretKind};

pub use file::StoredReader;
pub(crate) use file::{StoredFile, StoredWriter, read_through};
pub use opened::Opened;
pub(crate) use vfs::RESERVED;

use crate::Error;
use crate::place::Place;
use key::DataKey;

/// Why a sealed state directory does not open.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// Nothing was touched.
    #[error("{path}: this key or passphrase does not open it", path = .path.display())]
    WrongSecret {
        /// The envelope.
        path: PathBuf,
    },
    /// A key is needed where a passphrase was given, or the reverse.
    #[error("the mail is sealed with another kind of secret")]
    OtherKind,
    /// It would be guessed.
    #[error("a key has {KEY_OCTETS_MIN} octets at least; `head -c 32 /dev/urandom` makes one")]
    ShortKey,
    /// It would be guessed.
    #[error("the passphrase is empty")]
    NoPassphrase,
    /// A person must restore it: without the envelope no key opens anything.
    #[error("{path}: {what}; put back a copy of this file, without which the mail cannot be read", path = .path.display())]
    Damaged {
        /// The envelope.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// There is no envelope.
    #[error("the mail is not sealed")]
    NotSealed,
    /// A conversion was interrupted.
    #[error(
        "a part of the mail is sealed and a part is not; `postern-home store {again}` goes on where it was interrupted"
    )]
    Unfinished {
        /// The command.
        again: &'static str,
    },
    /// The disk.
    #[error(transparent)]
    Storage(#[from] Error),
}

/// A unit is not what was sealed in this place.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Unauthentic;

/// An opened seal: the key, and the layer through which SQLite uses it.
#[derive(Debug)]
pub struct Seal {
    key: Arc<DataKey>,
    vfs: vfs::Name,
    /// Octets of messages that are open in memory.
    opened: AtomicU64,
}

impl Seal {
    fn new(state_dir: &Path, key: DataKey) -> Result<Arc<Seal>, SealError> {
        let key = Arc::new(key);
        let vfs = vfs::register(state_dir, Arc::clone(&key))?;
        Ok(Arc::new(Seal { key, vfs, opened: AtomicU64::new(0) }))
    }

    /// The name by which SQLite knows the layer.
    pub(crate) fn vfs(&self) -> &vfs::Name {
        &self.vfs
    }

    fn opened(&self) -> &AtomicU64 {
        &self.opened
    }

    fn key(&self) -> &DataKey {
        &self.key
    }
}

impl Envelope {
    /// Opens a state directory that is sealed.
    ///
    /// # Errors
    /// [`SealError::WrongSecret`]; [`SealError::Unfinished`] while only a part is sealed.
    pub fn unseal(&self, state_dir: &Path, secret: &Secret) -> Result<Place, SealError> {
        self.finished()?;
        let key = self.open(state_dir, secret)?;
        Ok(Place::sealed(state_dir, Seal::new(state_dir, key)?))
    }

    fn finished(&self) -> Result<(), SealError> {
        match self.phase() {
            Phase::Sealed => Ok(()),
            Phase::Sealing => Err(SealError::Unfinished { again: "seal" }),
            Phase::Unsealing => Err(SealError::Unfinished { again: "unseal" }),
        }
    }
}

#[cfg(test)]
mod crash;
#[cfg(test)]
pub(crate) mod tests;
