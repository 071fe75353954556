//! What an open file of the layer does with SQLite's reads and writes, in units of [`super::pages`]; no unsafe code.
//!
//! | SQLite does | what happens |
//! |---|---|
//! | reads in a page | the page is read and opened, the part copied |
//! | reads the header of a first page that does not open | zeros: SQLite goes on to the log, and to the whole page where that has none |
//! | writes a page | it is sealed in a copy, and written |
//! | writes a frame's header | it waits for its page, which follows; both are sealed and written at once |
//! | writes a frame's page, or a header alone | the frame that is there is opened, changed, and sealed again |
//! | reads a whole frame (recovery) | one that does not open is given as zeros: the end of the log, as a torn frame is to SQLite |

use std::sync::Arc;

use rusqlite::ffi;

use super::pages::{Ciphers, FRAME, FRAME_HEADER, Keyring, LOG_HEADER, PAGE, SALT, is_plain};
use super::vfs::{Code, Lower};

/// Of a rollback journal, what comes before its first page.
const JOURNAL_HEADER: u64 = 512;

/// An open file.
pub(super) struct Open {
    kind: Kind,
    keyring: Arc<Keyring>,
    /// The header of a frame whose page is not there yet.
    header: Option<(u64, [u8; FRAME_HEADER])>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Database,
    Log,
    Journal,
}

impl Kind {
    /// What the flags of SQLite's `xOpen` ask for; none for files that are not sealed.
    pub(super) fn of(flags: Code) -> Option<Kind> {
        match flags {
            _ if flags & ffi::SQLITE_OPEN_MAIN_DB != 0 => Some(Kind::Database),
            _ if flags & ffi::SQLITE_OPEN_WAL != 0 => Some(Kind::Log),
            _ if flags & ffi::SQLITE_OPEN_MAIN_JOURNAL != 0 => Some(Kind::Journal),
            _ => None,
        }
    }
}

impl Open {
    pub(super) fn new(kind: Kind, keyring: Arc<Keyring>) -> Open {
        Open { kind, keyring, header: None }
    }

    pub(super) fn keyring(&self) -> &Arc<Keyring> {
        &self.keyring
    }

    /// SQLite reads.
    pub(super) fn read(&mut self, lower: Lower, octets: &mut [u8], offset: u64) -> Result<(), Code> {
        self.flush(lower)?;
        match self.kind {
            Kind::Database => self.read_page(lower, octets, offset),
            Kind::Log if offset < LOG_HEADER as u64 => lower.read(octets, offset),
            Kind::Log => self.read_frame(lower, octets, offset),
            Kind::Journal => lower.read(octets, offset),
        }
    }

    /// SQLite writes.
    pub(super) fn write(&mut self, lower: Lower, octets: &[u8], offset: u64) -> Result<(), Code> {
        match self.kind {
            Kind::Database => self.write_page(lower, octets, offset),
            Kind::Log if offset < LOG_HEADER as u64 => {
                self.flush(lower)?;
                lower.write(octets, offset)
            }
            Kind::Log => self.write_frame(lower, octets, offset),
            Kind::Journal if offset + octets.len() as u64 <= JOURNAL_HEADER => lower.write(octets, offset),
            Kind::Journal => Err(ffi::SQLITE_IOERR_WRITE),
        }
    }

    fn read_page(&self, lower: Lower, octets: &mut [u8], offset: u64) -> Result<(), Code> {
        let (number, within) = (offset / PAGE as u64, (offset % PAGE as u64) as usize);
        let mut page = [0; PAGE];
        if let Err(code) = lower.read(&mut page, number * PAGE as u64) {
            octets.fill(0);
            return Err(code);
        }
        let opened = match self.ciphers(lower)? {
            Some(ciphers) => ciphers.open_page(number, &mut page).is_ok(),
            None => page.iter().all(|octet| *octet == 0),
        };
        if !opened && number == 0 && octets.len() < PAGE {
            // SQLite looks at the header before it looks into the log, which has the page whole where a power cut has torn it.
            octets.fill(0);
            return Err(ffi::SQLITE_IOERR_SHORT_READ);
        }
        if !opened {
            tracing::error!(database = self.keyring.place(), page = number + 1, "a sealed page is damaged");
            return Err(ffi::SQLITE_IOERR_DATA);
        }
        copy_part(&page, within, octets)
    }

    fn write_page(&self, lower: Lower, octets: &[u8], offset: u64) -> Result<(), Code> {
        let mut page: [u8; PAGE] = octets.try_into().map_err(|_| ffi::SQLITE_IOERR_WRITE)?;
        let ciphers = match self.ciphers(lower)? {
            Some(ciphers) => ciphers,
            None => self.keyring.draw_salt().map_err(|_| ffi::SQLITE_IOERR_WRITE)?,
        };
        ciphers.seal_page(offset / PAGE as u64, &mut page).map_err(|_| ffi::SQLITE_IOERR_WRITE)?;
        lower.write(&page, offset)
    }

    fn read_frame(&self, lower: Lower, octets: &mut [u8], offset: u64) -> Result<(), Code> {
        let (number, within) = frame_at(offset);
        let mut frame = [0; FRAME];
        if let Err(code) = lower.read(&mut frame, frame_offset(number)) {
            octets.fill(0);
            return Err(code);
        }
        if self.known_ciphers()?.open_frame(number, &mut frame).is_ok() {
            return copy_part(&frame, within, octets);
        }
        if octets.len() == FRAME {
            octets.fill(0);
            return Ok(());
        }
        tracing::error!(database = self.keyring.place(), frame = number + 1, "a sealed log is damaged");
        Err(ffi::SQLITE_IOERR_DATA)
    }

    fn write_frame(&mut self, lower: Lower, octets: &[u8], offset: u64) -> Result<(), Code> {
        match (frame_at(offset), octets.len()) {
            ((number, 0), FRAME_HEADER) => {
                self.flush(lower)?;
                self.header = Some((number, octets.try_into().map_err(|_| ffi::SQLITE_IOERR_WRITE)?));
                Ok(())
            }
            ((number, FRAME_HEADER), PAGE) => match self.header.take_if(|(waits, _)| *waits == number) {
                Some((_, header)) => {
                    let mut frame = [0; FRAME];
                    let (start, page) = frame.split_at_mut(FRAME_HEADER);
                    start.copy_from_slice(&header);
                    page.copy_from_slice(octets);
                    self.seal_frame(lower, number, &mut frame)
                }
                None => {
                    self.flush(lower)?;
                    self.change_frame(lower, number, FRAME_HEADER, octets)
                }
            },
            _ => Err(ffi::SQLITE_IOERR_WRITE),
        }
    }

    /// Writes a header for which no page came: SQLite counts a frame's checksum anew.
    pub(super) fn flush(&mut self, lower: Lower) -> Result<(), Code> {
        match self.header.take() {
            Some((number, header)) => self.change_frame(lower, number, 0, &header),
            None => Ok(()),
        }
    }

    fn change_frame(&self, lower: Lower, number: u64, within: usize, octets: &[u8]) -> Result<(), Code> {
        let mut frame = [0; FRAME];
        lower.read(&mut frame, frame_offset(number))?;
        self.known_ciphers()?.open_frame(number, &mut frame).map_err(|_| ffi::SQLITE_IOERR_DATA)?;
        let place = frame.get_mut(within..within + octets.len()).ok_or(ffi::SQLITE_IOERR_WRITE)?;
        place.copy_from_slice(octets);
        self.seal_frame(lower, number, &mut frame)
    }

    fn seal_frame(&self, lower: Lower, number: u64, frame: &mut [u8; FRAME]) -> Result<(), Code> {
        self.known_ciphers()?.seal_frame(number, frame).map_err(|_| ffi::SQLITE_IOERR_WRITE)?;
        lower.write(frame, frame_offset(number))
    }

    /// The ciphers; none while the file has no salt because it has no first page.
    pub(super) fn ciphers(&self, lower: Lower) -> Result<Option<&Ciphers>, Code> {
        if let Some(ciphers) = self.keyring.ciphers() {
            return Ok(Some(ciphers));
        }
        let mut salt = [0; SALT];
        match lower.read(&mut salt, 0) {
            Ok(()) if salt == [0; SALT] => Ok(None),
            Ok(()) if is_plain(&salt) => Err(ffi::SQLITE_NOTADB),
            Ok(()) => self.keyring.take_salt(salt).map(Some).map_err(|_| ffi::SQLITE_IOERR_READ),
            Err(ffi::SQLITE_IOERR_SHORT_READ) => Ok(None),
            Err(code) => Err(code),
        }
    }

    /// Those of a log: its database has a first page.
    fn known_ciphers(&self) -> Result<&Ciphers, Code> {
        self.keyring.ciphers().ok_or(ffi::SQLITE_IOERR_READ)
    }
}

fn copy_part(unit: &[u8], within: usize, octets: &mut [u8]) -> Result<(), Code> {
    let end = within.checked_add(octets.len()).ok_or(ffi::SQLITE_IOERR_READ)?;
    octets.copy_from_slice(unit.get(within..end).ok_or(ffi::SQLITE_IOERR_READ)?);
    Ok(())
}

/// The frame in which an offset beyond the log's header lies, and where in it.
fn frame_at(offset: u64) -> (u64, usize) {
    let offset = offset.saturating_sub(LOG_HEADER as u64);
    (offset / FRAME as u64, (offset % FRAME as u64) as usize)
}

fn frame_offset(number: u64) -> u64 {
    LOG_HEADER as u64 + number * FRAME as u64
}
