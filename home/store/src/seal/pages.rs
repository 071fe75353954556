//! The units of a sealed database: pages, and frames of its write-ahead log.
//!
//! ```text
//! page 1      salt (16), octets of the page, tag (16), nonce (12)    the salt stands in the place of SQLite's 16 octets of magic
//! page n      octets of the page, tag (16), nonce (12)
//! log         header (32), as SQLite writes it: page size, checkpoint number, salts
//! frame n     frame header (24) and octets of the page, sealed together, tag (16), nonce (12)
//! ```
//! Every page reserves [`RESERVED`] octets at its end, which SQLite leaves alone: zero for SQLite, tag and nonce on the disk. So
//! nothing moves, and SQLite's own checksum of a frame, which would tell something of the page, is sealed with it.
//!
//! Refused: pages that use the reserved octets, units that are not what was sealed here. A page of zeros is a page that was never
//! written: SQLite leaves such holes.

use std::sync::{Arc, OnceLock};

use aws_lc_rs::rand;

use super::Unauthentic;
use super::cipher::{Cipher, OVERHEAD};
use super::key::DataKey;
use crate::Result;

/// Octets of a page; SQLite's default, and the only size that is sealed.
pub(crate) const PAGE: usize = 4096;
/// Octets at the end of a page that SQLite leaves alone.
pub(crate) const RESERVED: usize = OVERHEAD;
/// Octets of the log before its first frame.
pub(super) const LOG_HEADER: usize = 32;
/// Octets of a frame before its page.
pub(super) const FRAME_HEADER: usize = 24;
/// Octets of a frame.
pub(super) const FRAME: usize = FRAME_HEADER + PAGE;

pub(super) const SALT: usize = 16;
/// What SQLite wants to see where the salt is.
const MAGIC: [u8; SALT] = *b"SQLite format 3\0";

/// What a database and its log are sealed with.
#[derive(Debug)]
pub(super) struct Ciphers {
    salt: [u8; SALT],
    pages: Cipher,
    frames: Cipher,
}

/// The ciphers of one open database, from the moment at which its salt is known.
#[derive(Debug)]
pub(super) struct Keyring {
    key: Arc<DataKey>,
    /// The file's place below the state directory.
    place: String,
    ciphers: OnceLock<Ciphers>,
}

impl Keyring {
    pub(super) fn new(key: Arc<DataKey>, place: String) -> Keyring {
        Keyring { key, place, ciphers: OnceLock::new() }
    }

    /// The file's place below the state directory.
    pub(super) fn place(&self) -> &str {
        &self.place
    }

    pub(super) fn ciphers(&self) -> Option<&Ciphers> {
        self.ciphers.get()
    }

    /// Takes the salt that the file begins with.
    pub(super) fn take_salt(&self, salt: [u8; SALT]) -> Result<&Ciphers> {
        let (pages, frames) = ("database page", "database frame");
        let ciphers = Ciphers {
            salt,
            pages: self.key.cipher(&salt, pages, &self.place)?,
            frames: self.key.cipher(&salt, frames, &self.place)?,
        };
        Ok(self.ciphers.get_or_init(|| ciphers))
    }

    /// Draws a salt for a file that is empty.
    pub(super) fn draw_salt(&self) -> Result<&Ciphers> {
        let mut salt = [0; SALT];
        rand::fill(&mut salt).map_err(|_| crate::Error::Fault("no random numbers".to_owned()))?;
        self.take_salt(salt)
    }
}

/// Whether a database begins as SQLite's own do, so that it is not sealed.
pub(crate) fn is_plain(beginning: &[u8]) -> bool {
    beginning.starts_with(&MAGIC)
}

impl Ciphers {
    /// Seals the page with this number, from 0.
    pub(super) fn seal_page(&self, number: u64, page: &mut [u8; PAGE]) -> Result<(), Unauthentic> {
        check_reserved(page)?;
        let (salt, rest) = page.split_first_chunk_mut::<SALT>().ok_or(Unauthentic)?;
        if number > 0 {
            return self.pages.seal(&number.to_be_bytes(), page);
        }
        *salt = self.salt;
        self.pages.seal(&number.to_be_bytes(), rest)
    }

    /// Opens the page with this number, from 0.
    pub(super) fn open_page(&self, number: u64, page: &mut [u8; PAGE]) -> Result<(), Unauthentic> {
        if is_hole(page) {
            return Ok(());
        }
        let (salt, rest) = page.split_first_chunk_mut::<SALT>().ok_or(Unauthentic)?;
        if number > 0 {
            return self.pages.open(&number.to_be_bytes(), page);
        }
        *salt = MAGIC;
        self.pages.open(&number.to_be_bytes(), rest)
    }

    /// Seals the frame with this number, from 0.
    pub(super) fn seal_frame(&self, number: u64, frame: &mut [u8; FRAME]) -> Result<(), Unauthentic> {
        check_reserved(frame)?;
        self.frames.seal(&number.to_be_bytes(), frame)
    }

    /// Opens the frame with this number, from 0.
    pub(super) fn open_frame(&self, number: u64, frame: &mut [u8; FRAME]) -> Result<(), Unauthentic> {
        self.frames.open(&number.to_be_bytes(), frame)
    }
}

/// What SQLite left there would be lost, and with it the checksum of a frame.
fn check_reserved(unit: &[u8]) -> Result<(), Unauthentic> {
    match unit.last_chunk::<RESERVED>() {
        Some([0, rest @ ..]) if rest.iter().all(|octet| *octet == 0) => Ok(()),
        _ => Err(Unauthentic),
    }
}

fn is_hole(page: &[u8; PAGE]) -> bool {
    // A sealed page does not end with a nonce of zeros but once in 2^96.
    page.last_chunk::<RESERVED>().is_some_and(|tail| tail.iter().all(|octet| *octet == 0))
        && page.iter().all(|octet| *octet == 0)
}
