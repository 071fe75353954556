//! Packed files: gzip (RFC 1952) and zip.
//!
//! In: octets, packed or not. Out: what is in them. Refused: more than [`MAX_PACKED`] octets, an archive of other than one
//! file, what becomes more than [`MAX_UNPACKED`] octets or grows by more than [`MAX_GROWTH`], and what is damaged. Nothing is
//! believed of the sizes that a file states; what is packed twice stays packed.

use std::io::{Cursor, Read};

use flate2::read::GzDecoder;
use zip::ZipArchive;

use crate::Refused;

/// Most octets of a report as it is attached.
pub const MAX_PACKED: usize = 2 << 20;
/// Most octets of a report unpacked.
pub const MAX_UNPACKED: usize = 20 << 20;
/// Reports repeat themselves and shrink to a thirtieth or so; a bomb shrinks to a thousandth.
const MAX_GROWTH: usize = 200;
/// Below so many octets growth does not matter.
const HARMLESS: usize = 1 << 20;

/// Unpacks what is packed.
pub(crate) fn unpack(packed: &[u8]) -> Result<Vec<u8>, Refused> {
    if packed.len() > MAX_PACKED {
        return Err(Refused::TooLarge("octets"));
    }
    let most = (packed.len() * MAX_GROWTH).clamp(HARMLESS, MAX_UNPACKED);
    match packed {
        [0x1f, 0x8b, ..] => read_all(GzDecoder::new(packed), most),
        [b'P', b'K', ..] => unzip(packed, most),
        plain => Ok(plain.to_vec()),
    }
}

fn unzip(packed: &[u8], most: usize) -> Result<Vec<u8>, Refused> {
    let mut archive = ZipArchive::new(Cursor::new(packed)).map_err(damaged)?;
    if archive.len() != 1 {
        return Err(Refused::TooLarge("files in the archive"));
    }
    read_all(archive.by_index(0).map_err(damaged)?, most)
}

fn read_all(reader: impl Read, most: usize) -> Result<Vec<u8>, Refused> {
    let mut octets = Vec::new();
    reader.take(most as u64 + 1).read_to_end(&mut octets).map_err(damaged)?;
    if octets.len() > most {
        return Err(Refused::TooLarge("octets unpacked"));
    }
    Ok(octets)
}

fn damaged(error: impl std::fmt::Display) -> Refused {
    Refused::Malformed(format!("it cannot be unpacked: {error}"))
}
