//! A message's file, sealed or not: written once from its beginning to its end, read in any part.
//!
//! In: octets. Out: any range of them. Refused: files that were changed, cut, or put in another's place.
//!
//! ```text
//! sealed:  "PosternS" (8), salt (16), chunk, chunk, ...
//!          chunk: at most 16 KiB of octets, tag (16)
//! ```
//! A file's key is derived from its salt, and a chunk's nonce is its number and whether it is the last (the STREAM construction
//! of Hoang, Reyhanitabar, Rogaway and Vizár 2015, in the shape in which age uses it). A file is written once, so no nonce comes
//! twice. The first digits of a sealed file's name are its salt; who refers to a file keeps the name.

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use aws_lc_rs::rand;

use super::Seal;
use super::cipher::{Cipher, TAG};
use crate::hex::{hex, unhex};
use crate::place::Place;

const MAGIC: [u8; 8] = *b"PosternS";
const SALT: usize = 16;
const HEADER: usize = MAGIC.len() + SALT;
/// Octets in a chunk: what one message of a conversation has, so that a range costs little more than itself.
const CHUNK: usize = 16 * 1024;
const SEALED_CHUNK: usize = CHUNK + TAG;

/// A file of octets that can be read in any part.
#[derive(Debug)]
pub(crate) struct StoredFile {
    file: File,
    sealed: Option<Sealed>,
}

#[derive(Debug)]
struct Sealed {
    salt: [u8; SALT],
    cipher: Cipher,
}

impl StoredFile {
    /// Opens the file at `path`.
    ///
    /// # Errors
    /// `InvalidData` for a file that is not sealed where it must be, or not the one of that name.
    pub(crate) fn open(path: &Path, seal: Option<&Arc<Seal>>) -> io::Result<StoredFile> {
        let file = File::open(path)?;
        let Some(seal) = seal else { return Ok(StoredFile { file, sealed: None }) };
        let mut header = [0; HEADER];
        file.read_exact_at(&mut header, 0)?;
        let salt = header.strip_prefix(&MAGIC).and_then(|salt| salt.first_chunk());
        let salt = salt.ok_or_else(|| damaged("the file is not sealed"))?;
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if !name.starts_with(&hex(salt)) {
            return Err(damaged("the file is not the one of this name"));
        }
        Ok(StoredFile { file, sealed: Some(Sealed { salt: *salt, cipher: cipher(seal, salt)? }) })
    }

    /// The name that a sealed file must begin with.
    pub(crate) fn salt(&self) -> Option<String> {
        self.sealed.as_ref().map(|sealed| hex(&sealed.salt))
    }

    /// The file as it lies on the disk.
    pub(crate) fn as_file(&self) -> &File {
        &self.file
    }

    /// Octets in it.
    pub(crate) fn size(&self) -> io::Result<u64> {
        let size = self.file.metadata()?.len();
        if self.sealed.is_none() {
            return Ok(size);
        }
        let body = size.checked_sub(HEADER as u64).ok_or_else(|| damaged("the file is cut"))?;
        body.checked_sub(chunks(body) * TAG as u64).ok_or_else(|| damaged("the file is cut"))
    }

    /// Fills `octets` with those at `offset`.
    pub(crate) fn read_exact_at(&self, octets: &mut [u8], offset: u64) -> io::Result<()> {
        let Some(sealed) = &self.sealed else { return self.file.read_exact_at(octets, offset) };
        let last = self.last_chunk()?;
        let mut rest = octets;
        let mut offset = offset;
        while !rest.is_empty() {
            let chunk = self.chunk(sealed, offset / CHUNK as u64, last)?;
            let part = chunk.get((offset % CHUNK as u64) as usize..).filter(|part| !part.is_empty());
            let part = part.ok_or(io::ErrorKind::UnexpectedEof)?;
            let length = part.len().min(rest.len());
            let (place, next) = std::mem::take(&mut rest).split_at_mut(length);
            place.copy_from_slice(part.get(..length).unwrap_or_default());
            (rest, offset) = (next, offset + length as u64);
        }
        Ok(())
    }

    /// All of it.
    pub(crate) fn read_all(&self) -> io::Result<Vec<u8>> {
        let size = usize::try_from(self.size()?).map_err(|_| io::ErrorKind::OutOfMemory)?;
        let mut octets = vec![0; size];
        self.read_exact_at(&mut octets, 0)?;
        Ok(octets)
    }

    fn last_chunk(&self) -> io::Result<u64> {
        let body = self.file.metadata()?.len().saturating_sub(HEADER as u64);
        chunks(body).checked_sub(1).ok_or_else(|| damaged("the file is cut"))
    }

    fn chunk(&self, sealed: &Sealed, number: u64, last: u64) -> io::Result<Vec<u8>> {
        if number > last {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let begin = HEADER as u64 + number * SEALED_CHUNK as u64;
        let mut chunk = Vec::with_capacity(SEALED_CHUNK);
        ReadAt { file: &self.file, range: begin..begin + SEALED_CHUNK as u64 }.read_to_end(&mut chunk)?;
        let place = if number == last { Position::Last } else { Position::Inner };
        let opened = sealed.cipher.open_numbered(nonce(number, place), &[], &mut chunk);
        opened.map_err(|_| damaged("a sealed chunk is damaged"))?;
        chunk.truncate(chunk.len().saturating_sub(TAG));
        Ok(chunk)
    }
}

/// A [`StoredFile`] read from its beginning to its end.
#[derive(Debug)]
pub struct StoredReader {
    file: StoredFile,
    position: u64,
    /// The chunk that was read last, and where it begins.
    ahead: (u64, Vec<u8>),
}

impl StoredReader {
    pub(crate) fn new(file: StoredFile) -> StoredReader {
        StoredReader { file, position: 0, ahead: (0, Vec::new()) }
    }

    /// Goes back to the beginning.
    pub fn rewind(&mut self) {
        self.position = 0;
    }
}

impl Read for StoredReader {
    fn read(&mut self, octets: &mut [u8]) -> io::Result<usize> {
        let Some(sealed) = &self.file.sealed else {
            let length = self.file.file.read_at(octets, self.position)?;
            self.position += length as u64;
            return Ok(length);
        };
        let is_ahead =
            |(begin, chunk): &(u64, Vec<u8>)| (*begin..begin + chunk.len() as u64).contains(&self.position);
        if !is_ahead(&self.ahead) {
            let (number, last) = (self.position / CHUNK as u64, self.file.last_chunk()?);
            if number > last {
                return Ok(0);
            }
            self.ahead = (number * CHUNK as u64, self.file.chunk(sealed, number, last)?);
        }
        let (begin, chunk) = &self.ahead;
        let part = usize::try_from(self.position - begin).ok().and_then(|at| chunk.get(at..));
        let length = part.unwrap_or_default().read(octets)?;
        self.position += length as u64;
        Ok(length)
    }
}

/// A file that is being written.
#[derive(Debug)]
pub(crate) struct StoredWriter {
    file: BufWriter<File>,
    sealed: Option<Sealing>,
}

#[derive(Debug)]
struct Sealing {
    salt: [u8; SALT],
    cipher: Cipher,
    number: u64,
    /// Up to a whole chunk: it may be the last.
    chunk: Vec<u8>,
}

impl StoredWriter {
    /// Begins a file, which is empty.
    pub(crate) fn new(file: File, seal: Option<&Arc<Seal>>) -> io::Result<StoredWriter> {
        let salt = seal.map(|_| random_salt()).transpose()?;
        StoredWriter::salted(file, seal.zip(salt))
    }

    /// Begins a file whose name begins with its salt; the salt is of this file alone.
    pub(crate) fn named(file: File, seal: Option<&Arc<Seal>>, name: &str) -> io::Result<StoredWriter> {
        let salt = name.get(..2 * SALT).and_then(unhex).and_then(|salt| salt.try_into().ok());
        if seal.is_some() && salt.is_none() {
            return Err(io::Error::other("the name of a sealed file has no salt"));
        }
        StoredWriter::salted(file, seal.zip(salt))
    }

    fn salted(file: File, seal: Option<(&Arc<Seal>, [u8; SALT])>) -> io::Result<StoredWriter> {
        let mut file = BufWriter::with_capacity(256 * 1024, file);
        let Some((seal, salt)) = seal else { return Ok(StoredWriter { file, sealed: None }) };
        file.write_all(&MAGIC)?;
        file.write_all(&salt)?;
        let cipher = cipher(seal, &salt)?;
        let sealing = Sealing { salt, cipher, number: 0, chunk: Vec::with_capacity(SEALED_CHUNK) };
        Ok(StoredWriter { file, sealed: Some(sealing) })
    }

    /// Ends the file; it is not yet durable.
    pub(crate) fn finish(mut self) -> io::Result<StoredFile> {
        if let Some(sealing) = &mut self.sealed {
            sealing.put(&mut self.file, Position::Last)?;
        }
        let file = self.file.into_inner().map_err(io::IntoInnerError::into_error)?;
        let sealed = self.sealed.map(|sealing| Sealed { salt: sealing.salt, cipher: sealing.cipher });
        Ok(StoredFile { file, sealed })
    }
}

impl Write for StoredWriter {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        let Some(sealing) = &mut self.sealed else { return self.file.write(octets) };
        if sealing.chunk.len() == CHUNK {
            sealing.put(&mut self.file, Position::Inner)?;
        }
        let length = octets.len().min(CHUNK - sealing.chunk.len());
        sealing.chunk.extend_from_slice(octets.get(..length).unwrap_or_default());
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Sealing {
    fn put(&mut self, file: &mut impl Write, position: Position) -> io::Result<()> {
        self.chunk.resize(self.chunk.len() + TAG, 0);
        let sealed = self.cipher.seal_numbered(nonce(self.number, position), &[], &mut self.chunk);
        sealed.map_err(|_| io::Error::other("a chunk was not sealed"))?;
        file.write_all(&self.chunk)?;
        self.chunk.clear();
        self.number += 1;
        Ok(())
    }
}

#[derive(Clone, Copy)]
enum Position {
    Inner = 0,
    Last = 1,
}

/// Reads a file to its end and gives the number of its octets.
///
/// # Errors
/// As [`StoredFile::open`]; `InvalidData` where a chunk does not hold its seal.
pub(crate) fn read_through(place: &Place) -> io::Result<u64> {
    let file = StoredFile::open(place.path(), place.seal())?;
    io::copy(&mut StoredReader::new(file), &mut io::sink())
}

fn nonce(number: u64, position: Position) -> [u8; 12] {
    let mut nonce = [0; 12];
    let [.., last] = &mut nonce;
    *last = position as u8;
    if let Some(place) = nonce.get_mut(3..11) {
        place.copy_from_slice(&number.to_be_bytes());
    }
    nonce
}

fn chunks(body: u64) -> u64 {
    body.div_ceil(SEALED_CHUNK as u64)
}

fn cipher(seal: &Seal, salt: &[u8; SALT]) -> io::Result<Cipher> {
    seal.key().cipher(salt, "file", "").map_err(io::Error::other)
}

/// A salt for one file.
pub(super) fn random_salt() -> io::Result<[u8; SALT]> {
    let mut salt = [0; SALT];
    rand::fill(&mut salt).map_err(|_| io::Error::other("no random numbers"))?;
    Ok(salt)
}

fn damaged(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// A range of a file, as far as the file has it.
struct ReadAt<'f> {
    file: &'f File,
    range: Range<u64>,
}

impl Read for ReadAt<'_> {
    fn read(&mut self, octets: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.range.end - self.range.start).unwrap_or(usize::MAX);
        let most = most.min(octets.len());
        let place = octets.get_mut(..most).unwrap_or_default();
        let length = self.file.read_at(place, self.range.start)?;
        self.range.start += length as u64;
        Ok(length)
    }
}
