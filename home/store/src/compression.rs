//! How stored octets are compressed: Zstandard (RFC 8878), so that any part can be read without what is before it.
//!
//! In: a message's octets. Out: frames of [`FRAME`] octets each (the last one shorter), every one with its checksum. A
//! content that is kept in a row is one frame. A file has a table of its frames at the end, in the seekable format of
//! the Zstandard project, so that `zstd -d` reads it too:
//!
//! ```text
//! frame, frame, ...
//! skippable frame: 5E 2A 4D 18, octets that follow (4)
//!   for each frame: its octets (4), the octets in it (4)
//!   footer: number of frames (4), 00, B1 EA 92 8F                       all numbers little-endian
//! ```
//!
//! Refused, as corrupt: frames whose checksum does not hold, a table that does not fit the file. A range costs the
//! memory of one frame and the table. Level 1: on mail the higher ones gain a hundredth and cost twice the time.

use std::io::{self, Write};
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use zstd::bulk::{Compressor, Decompressor};

use crate::seal::StoredFile;

/// Octets in a frame, a multiple of what readers ask for at once.
pub(crate) const FRAME: usize = 64 * 1024;
const LEVEL: i32 = 1;
const SKIPPABLE: u32 = 0x184D_2A5E;
const FOOTER: u32 = 0x8F92_EAB1;
const FOOTER_OCTETS: u64 = 9;
const ENTRY_OCTETS: u64 = 8;

/// The form in which a blob's octets are kept (column `blob.encoding`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// As they came.
    Identity = 0,
    /// Compressed as this module says.
    Zstandard = 1,
}

impl Encoding {
    pub(crate) fn from_column(number: i64) -> Option<Encoding> {
        match number {
            0 => Some(Encoding::Identity),
            1 => Some(Encoding::Zstandard),
            _ => None,
        }
    }
}

/// Whether `compressed` octets are worth the time to read them: an eighth less than `plain` at least.
pub(crate) fn pays(plain: u64, compressed: u64) -> bool {
    compressed <= plain - plain / 8
}

/// One frame, for a row.
pub(crate) fn compress(octets: &[u8]) -> io::Result<Vec<u8>> {
    COMPRESSORS.lend(compressor, |compressor| compressor.compress(octets))
}

/// What [`compress`] made, as `size` octets.
pub(crate) fn decompress(frame: &[u8], size: usize) -> io::Result<Vec<u8>> {
    let octets =
        DECOMPRESSORS.lend(Decompressor::new, |decompressor| decompressor.decompress(frame, size))?;
    if octets.len() == size { Ok(octets) } else { Err(corrupt("a frame is too short")) }
}

/// Writes `octets` as a file's frames and their table; gives the octets written.
pub(crate) fn compress_file(octets: &[u8], file: &mut impl Write) -> io::Result<u64> {
    COMPRESSORS.lend(compressor, |compressor| write_frames(compressor, octets, file))
}

fn write_frames(
    compressor: &mut Compressor<'static>,
    octets: &[u8],
    file: &mut impl Write,
) -> io::Result<u64> {
    let (mut table, mut written) = (Vec::new(), 0);
    for plain in octets.chunks(FRAME) {
        let frame = compressor.compress(plain)?;
        file.write_all(&frame)?;
        written += frame.len() as u64;
        table.extend_from_slice(&number(frame.len())?.to_le_bytes());
        table.extend_from_slice(&number(plain.len())?.to_le_bytes());
    }
    let frames = number(octets.len().div_ceil(FRAME))?;
    table.extend_from_slice(&frames.to_le_bytes());
    table.push(0);
    table.extend_from_slice(&FOOTER.to_le_bytes());
    file.write_all(&SKIPPABLE.to_le_bytes())?;
    file.write_all(&number(table.len())?.to_le_bytes())?;
    file.write_all(&table)?;
    Ok(written + 8 + table.len() as u64)
}

/// Reads a range of the `size` octets that a file of [`compress_file`] stands for; the range lies within them.
pub(crate) fn read_file(file: &StoredFile, size: u64, range: Range<u64>) -> io::Result<Vec<u8>> {
    DECOMPRESSORS.lend(Decompressor::new, |decompressor| read_frames(decompressor, file, size, range))
}

fn read_frames(
    decompressor: &mut Decompressor<'static>,
    file: &StoredFile,
    size: u64,
    range: Range<u64>,
) -> io::Result<Vec<u8>> {
    let table = Table::read(file, size)?;
    let mut octets = Vec::new();
    let mut position = 0;
    for (index, length) in table.frames.iter().enumerate() {
        let begin = (index * FRAME) as u64;
        let end = (begin + FRAME as u64).min(size);
        if begin < range.end && range.start < end {
            let mut frame = vec![0; *length as usize];
            file.read_exact_at(&mut frame, position)?;
            let plain = decompressor.decompress(&frame, FRAME)?;
            let wanted = range.start.max(begin) - begin..range.end.min(end) - begin;
            let part = usize::try_from(wanted.start).ok().zip(usize::try_from(wanted.end).ok());
            let part = part.and_then(|(start, end)| plain.get(start..end));
            octets.extend_from_slice(part.ok_or_else(|| corrupt("a frame is too short"))?);
        }
        position += u64::from(*length);
    }
    Ok(octets)
}

/// Contexts that are not in use: to make one costs more than a short message.
struct Contexts<T>(Mutex<Vec<T>>);

static COMPRESSORS: Contexts<Compressor<'static>> = Contexts(Mutex::new(Vec::new()));
static DECOMPRESSORS: Contexts<Decompressor<'static>> = Contexts(Mutex::new(Vec::new()));

/// Contexts of each kind that are kept: as many as a small machine uses at once.
const IDLE_CONTEXTS: usize = 2;

impl<T> Contexts<T> {
    /// Gives the work a context; it goes where the work fails.
    fn lend<R>(
        &self,
        make: impl FnOnce() -> io::Result<T>,
        work: impl FnOnce(&mut T) -> io::Result<R>,
    ) -> io::Result<R> {
        let idle = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut context = idle.map_or_else(make, Ok)?;
        let result = work(&mut context)?;
        let mut idle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE_CONTEXTS {
            idle.push(context);
        }
        Ok(result)
    }
}

/// The compressed length of each frame.
struct Table {
    frames: Vec<u32>,
}

impl Table {
    fn read(file: &StoredFile, size: u64) -> io::Result<Table> {
        let frames = size.div_ceil(FRAME as u64);
        let length = frames * ENTRY_OCTETS + FOOTER_OCTETS;
        let whole = file.size()?;
        let start = whole.checked_sub(length).ok_or_else(|| corrupt("the table is not whole"))?;
        let mut table = vec![0; usize::try_from(length).map_err(|_| corrupt("the table is too long"))?];
        file.read_exact_at(&mut table, start)?;
        let (entries, footer) = table
            .split_last_chunk::<{ FOOTER_OCTETS as usize }>()
            .ok_or_else(|| corrupt("the table is not whole"))?;
        let [a, b, c, d, _, magic @ ..] = footer;
        if u64::from(u32::from_le_bytes([*a, *b, *c, *d])) != frames || u32::from_le_bytes(*magic) != FOOTER {
            return Err(corrupt("the table does not fit the content"));
        }
        let frames = entries.chunks_exact(ENTRY_OCTETS as usize).filter_map(|entry| entry.first_chunk());
        let frames: Vec<u32> = frames.map(|octets| u32::from_le_bytes(*octets)).collect();
        let sum: u64 = frames.iter().copied().map(u64::from).sum();
        let one_is_too_long =
            frames.iter().any(|length| *length as usize > zstd::zstd_safe::compress_bound(FRAME));
        if one_is_too_long || sum + 8 != start {
            return Err(corrupt("the table does not fit the file"));
        }
        Ok(Table { frames })
    }
}

fn compressor() -> io::Result<Compressor<'static>> {
    let mut compressor = Compressor::new(LEVEL)?;
    compressor.include_checksum(true)?;
    Ok(compressor)
}

fn number(length: usize) -> io::Result<u32> {
    u32::try_from(length).map_err(|_| io::Error::new(io::ErrorKind::FileTooLarge, "too many frames"))
}

fn corrupt(reason: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test's helpers are tests too")]
mod tests {
    use super::*;
    use crate::seal::StoredWriter;

    fn content(octets: usize) -> Vec<u8> {
        (0..octets).map(|number| b"a letter of the family\r\n"[number * number % 24]).collect()
    }

    fn stored(octets: &[u8]) -> StoredFile {
        let mut file = Vec::new();
        let written = compress_file(octets, &mut file).unwrap();
        assert_eq!(file.len() as u64, written);
        as_file(&file)
    }

    fn as_file(octets: &[u8]) -> StoredFile {
        let mut writer = StoredWriter::new(tempfile::tempfile().unwrap(), None).unwrap();
        writer.write_all(octets).unwrap();
        writer.finish().unwrap()
    }

    #[test]
    fn any_range_of_a_file_is_read() {
        for size in [1, FRAME - 1, FRAME, FRAME + 1, 3 * FRAME, 5 * FRAME / 2] {
            let (plain, length) = (content(size), size as u64);
            let file = stored(&plain);
            for (start, end) in [(0, size), (0, 1), (size - 1, size), (size / 3, size / 2), (size, size)] {
                let read = read_file(&file, length, start as u64..end as u64).unwrap();
                assert!(read == plain[start..end], "{start}..{end} of {size}");
            }
        }
    }

    #[test]
    fn zstd_itself_reads_a_file() {
        let plain = content(200_000);
        let mut compressed = Vec::new();
        compress_file(&plain, &mut compressed).unwrap();
        assert!(zstd::stream::decode_all(compressed.as_slice()).unwrap() == plain);
    }

    #[test]
    fn any_flipped_bit_is_noticed() {
        let plain = content(2 * FRAME + 100);
        let mut compressed = Vec::new();
        compress_file(&plain, &mut compressed).unwrap();
        for octet in 0..compressed.len() {
            let mut damaged = compressed.clone();
            damaged[octet] ^= 0x10;
            let file = as_file(&damaged);
            // A damaged mark of the skippable frame, or the lengths that nothing needs, change nothing.
            if let Ok(read) = read_file(&file, plain.len() as u64, 0..plain.len() as u64) {
                assert!(read == plain, "octet {octet}");
            }
        }
    }
}
