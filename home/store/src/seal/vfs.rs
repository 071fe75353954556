//! The layer between SQLite and the disk: a VFS that seals what its files hold, in the shape of SQLite's own `cksumvfs`.
//!
//! In: SQLite's reads and writes of databases and logs. Out: the same on the machine's own VFS, as [`super::open`] says.
//! Refused: every other kind of file (temporary ones stay in memory, see `db::open`), databases that are not sealed, pages of a
//! rollback journal: such a journal exists only while a new database is made, and has no page then.
//!
//! # Invariants of the unsafe code
//! * SQLite allocates `szOsFile` octets for each file: a [`File`], and behind it the file of the VFS below. So a pointer to the one
//!   leads to the other. `File` has the size of a multiple of 8, to which SQLite aligns.
//! * `File::open` is a box from `open` to `close`. SQLite calls the methods of one file from one thread at a time.
//! * A layer, its name and its methods live as long as the process: SQLite may hold them as long.
//! * A log or journal is opened after its database and closed before it, with the same layer (`sqlite3_database_file_object`).

use std::ffi::{CStr, CString, OsStr, c_char, c_int, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rusqlite::ffi;

use super::key::DataKey;
use super::open::{Kind, Open};
use super::pages::Keyring;
use crate::{Error, Result};

pub(crate) use super::pages::RESERVED;

/// What a database that is being made is called besides; it is bound to the place that it will have.
pub(crate) const UNFINISHED: &str = ".new";

/// What SQLite calls a layer.
pub(crate) type Name = CString;
/// SQLite's word for what went wrong.
pub(super) type Code = c_int;

/// Makes a layer for the databases below `root` and gives its name.
pub(super) fn register(root: &Path, key: Arc<DataKey>) -> Result<Name> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let name = CString::new(format!("postern-seal-{}", NEXT.fetch_add(1, Ordering::Relaxed)));
    let name = name.map_err(|error| Error::Fault(error.to_string()))?;
    // SAFETY: no argument; SQLite initialises itself.
    let lower = unsafe { ffi::sqlite3_vfs_find(std::ptr::null()) };
    // SAFETY: SQLite's default VFS lives as long as the process.
    let Some(below) = (unsafe { lower.as_ref() }) else {
        return Err(Error::Fault("SQLite has no VFS".to_owned()));
    };
    let layer = Box::leak(Box::new(Layer { root: root.to_owned(), key, lower }));
    let vfs = ffi::sqlite3_vfs {
        iVersion: 2,
        szOsFile: c_int::try_from(size_of::<File>()).unwrap_or(c_int::MAX).saturating_add(below.szOsFile),
        pNext: std::ptr::null_mut(),
        zName: name.clone().into_raw(),
        pAppData: std::ptr::from_mut(layer).cast(),
        xOpen: Some(open),
        xDelete: Some(delete),
        xAccess: Some(access),
        xFullPathname: Some(full_pathname),
        xRandomness: Some(randomness),
        xSleep: Some(sleep),
        xCurrentTime: Some(current_time),
        xCurrentTimeInt64: Some(current_time_int64),
        xGetLastError: Some(last_error),
        // Extensions are not loaded, and these take no notice of the VFS.
        ..*below
    };
    // SAFETY: the structure is leaked, so that it lives as long as the process.
    match unsafe { ffi::sqlite3_vfs_register(Box::leak(Box::new(vfs)), 0) } {
        ffi::SQLITE_OK => Ok(name),
        code => Err(Error::Fault(format!("the sealing layer is not taken (SQLite says {code})"))),
    }
}

/// One layer: the databases of one state directory.
struct Layer {
    root: PathBuf,
    key: Arc<DataKey>,
    lower: *mut ffi::sqlite3_vfs,
}

/// What SQLite holds of an open file.
#[repr(C)]
struct File {
    base: ffi::sqlite3_file,
    open: *mut Open,
}

/// The same file in the VFS below.
#[derive(Clone, Copy)]
pub(super) struct Lower(*mut ffi::sqlite3_file);

impl Lower {
    /// # Safety
    /// `file` is one that SQLite allocated for a layer of this module.
    unsafe fn of(file: *mut ffi::sqlite3_file) -> Lower {
        // SAFETY: `szOsFile` counts the file of the VFS below, which stands behind a `File`.
        Lower(unsafe { file.byte_add(size_of::<File>()) })
    }

    fn methods(self) -> &'static ffi::sqlite3_io_methods {
        // SAFETY: a `Lower` is used between its `xOpen` and its `xClose`; the tables of methods are static.
        unsafe { &*(*self.0).pMethods }
    }

    pub(super) fn read(self, octets: &mut [u8], offset: u64) -> Result<(), Code> {
        let (length, offset) = numbers(octets.len(), offset)?;
        let Some(read) = self.methods().xRead else { return Err(ffi::SQLITE_IOERR_READ) };
        // SAFETY: the file is open, and `octets` has that length.
        outcome(unsafe { read(self.0, octets.as_mut_ptr().cast(), length, offset) })
    }

    pub(super) fn write(self, octets: &[u8], offset: u64) -> Result<(), Code> {
        let (length, offset) = numbers(octets.len(), offset)?;
        let Some(write) = self.methods().xWrite else { return Err(ffi::SQLITE_IOERR_WRITE) };
        // SAFETY: the file is open, and `octets` has that length.
        outcome(unsafe { write(self.0, octets.as_ptr().cast(), length, offset) })
    }
}

fn numbers(length: usize, offset: u64) -> Result<(c_int, i64), Code> {
    let numbers = c_int::try_from(length).ok().zip(i64::try_from(offset).ok());
    numbers.ok_or(ffi::SQLITE_IOERR)
}

fn outcome(code: Code) -> Result<(), Code> {
    if code == ffi::SQLITE_OK { Ok(()) } else { Err(code) }
}

fn code(outcome: Result<(), Code>) -> Code {
    outcome.err().unwrap_or(ffi::SQLITE_OK)
}

/// # Safety
/// SQLite calls this with a VFS of [`register`].
unsafe fn layer(vfs: *mut ffi::sqlite3_vfs) -> &'static Layer {
    // SAFETY: `pAppData` was set by `register` and is never freed.
    unsafe { &*(*vfs).pAppData.cast::<Layer>() }
}

/// # Safety
/// `file` was opened by [`open`] and not closed; SQLite uses it from one thread at a time.
unsafe fn opened<'f>(file: *mut ffi::sqlite3_file) -> &'f mut Open {
    // SAFETY: as above; the box lives until `close`.
    unsafe { &mut *(*file.cast::<File>()).open }
}

unsafe extern "C" fn open(
    vfs: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    // SAFETY: SQLite gives a file of `szOsFile` octets, and a name that lives as long as the file.
    unsafe {
        (*file).pMethods = std::ptr::null();
        let layer = layer(vfs);
        let (Some(kind), false) = (Kind::of(flags), name.is_null()) else {
            tracing::error!(flags, "SQLite asks for a file that cannot be sealed");
            return ffi::SQLITE_CANTOPEN;
        };
        let Some(keyring) = keyring(layer, kind, name) else { return ffi::SQLITE_CANTOPEN };
        let Some(below) = (*layer.lower).xOpen else { return ffi::SQLITE_CANTOPEN };
        let lower = Lower::of(file);
        let code = below(layer.lower, name, lower.0, flags, out_flags);
        if code != ffi::SQLITE_OK {
            return code;
        }
        let open = Open::new(kind, keyring);
        let looked = if kind == Kind::Database { open.ciphers(lower).map(|_| ()) } else { Ok(()) };
        (*file.cast::<File>()).open = Box::into_raw(Box::new(open));
        (*file).pMethods = &raw const METHODS;
        if let Err(code) = looked {
            close(file);
            (*file).pMethods = std::ptr::null();
            return code;
        }
        ffi::SQLITE_OK
    }
}

/// A database's own keyring; a log and a journal have that of their database.
///
/// # Safety
/// `name` is what SQLite gave [`open`] for a file of this kind.
unsafe fn keyring(layer: &Layer, kind: Kind, name: *const c_char) -> Option<Arc<Keyring>> {
    if kind != Kind::Database {
        // SAFETY: a log or a journal has a database, which this layer opened before.
        return unsafe { Some(Arc::clone(opened(ffi::sqlite3_database_file_object(name)).keyring())) };
    }
    // SAFETY: SQLite's names end with a zero.
    let path = Path::new(OsStr::from_bytes(unsafe { CStr::from_ptr(name) }.to_bytes()));
    let place = path.strip_prefix(&layer.root).ok()?.to_str()?;
    let place = place.strip_suffix(UNFINISHED).unwrap_or(place).to_owned();
    Some(Arc::new(Keyring::new(Arc::clone(&layer.key), place)))
}

static METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    // 3 would offer memory maps, through which SQLite would see what is sealed.
    iVersion: 2,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: None,
    xUnfetch: None,
};

// SAFETY, for all that follow: SQLite calls them with files that `open` opened, from one thread at a time, and with buffers of
// the length that it names.

unsafe extern "C" fn close(file: *mut ffi::sqlite3_file) -> c_int {
    unsafe {
        let lower = Lower::of(file);
        let flushed = opened(file).flush(lower);
        drop(Box::from_raw(std::mem::replace(&mut (*file.cast::<File>()).open, std::ptr::null_mut())));
        let closed = lower.methods().xClose.map_or(ffi::SQLITE_IOERR_CLOSE, |close| close(lower.0));
        code(flushed.and(outcome(closed)))
    }
}

unsafe extern "C" fn read(
    file: *mut ffi::sqlite3_file,
    to: *mut c_void,
    length: c_int,
    offset: i64,
) -> c_int {
    let (Ok(length), Ok(offset)) = (usize::try_from(length), u64::try_from(offset)) else {
        return ffi::SQLITE_IOERR_READ;
    };
    unsafe {
        // Not yet initialised, perhaps, but octets are never read from it before they are written.
        to.write_bytes(0, length);
        let octets = std::slice::from_raw_parts_mut(to.cast(), length);
        code(opened(file).read(Lower::of(file), octets, offset))
    }
}

unsafe extern "C" fn write(
    file: *mut ffi::sqlite3_file,
    from: *const c_void,
    length: c_int,
    offset: i64,
) -> c_int {
    let (Ok(length), Ok(offset)) = (usize::try_from(length), u64::try_from(offset)) else {
        return ffi::SQLITE_IOERR_WRITE;
    };
    unsafe {
        let octets = std::slice::from_raw_parts(from.cast(), length);
        code(opened(file).write(Lower::of(file), octets, offset))
    }
}

unsafe extern "C" fn truncate(file: *mut ffi::sqlite3_file, size: i64) -> c_int {
    unsafe {
        let lower = Lower::of(file);
        let flushed = opened(file).flush(lower);
        let Some(truncate) = lower.methods().xTruncate else { return ffi::SQLITE_IOERR_TRUNCATE };
        code(flushed.and_then(|()| outcome(truncate(lower.0, size))))
    }
}

unsafe extern "C" fn sync(file: *mut ffi::sqlite3_file, flags: c_int) -> c_int {
    unsafe {
        let lower = Lower::of(file);
        let flushed = opened(file).flush(lower);
        let Some(sync) = lower.methods().xSync else { return ffi::SQLITE_IOERR_FSYNC };
        code(flushed.and_then(|()| outcome(sync(lower.0, flags))))
    }
}

unsafe extern "C" fn file_size(file: *mut ffi::sqlite3_file, size: *mut i64) -> c_int {
    let lower = unsafe { Lower::of(file) };
    lower.methods().xFileSize.map_or(ffi::SQLITE_IOERR_FSTAT, |call| unsafe { call(lower.0, size) })
}

unsafe extern "C" fn lock(file: *mut ffi::sqlite3_file, level: c_int) -> c_int {
    let lower = unsafe { Lower::of(file) };
    lower.methods().xLock.map_or(ffi::SQLITE_IOERR_LOCK, |call| unsafe { call(lower.0, level) })
}

unsafe extern "C" fn unlock(file: *mut ffi::sqlite3_file, level: c_int) -> c_int {
    let lower = unsafe { Lower::of(file) };
    lower.methods().xUnlock.map_or(ffi::SQLITE_IOERR_UNLOCK, |call| unsafe { call(lower.0, level) })
}

unsafe extern "C" fn check_reserved_lock(file: *mut ffi::sqlite3_file, is_held: *mut c_int) -> c_int {
    let lower = unsafe { Lower::of(file) };
    let call = lower.methods().xCheckReservedLock;
    call.map_or(ffi::SQLITE_IOERR_CHECKRESERVEDLOCK, |call| unsafe { call(lower.0, is_held) })
}

unsafe extern "C" fn file_control(
    file: *mut ffi::sqlite3_file,
    operation: c_int,
    argument: *mut c_void,
) -> c_int {
    let lower = unsafe { Lower::of(file) };
    let call = lower.methods().xFileControl;
    call.map_or(ffi::SQLITE_NOTFOUND, |call| unsafe { call(lower.0, operation, argument) })
}

unsafe extern "C" fn sector_size(file: *mut ffi::sqlite3_file) -> c_int {
    let lower = unsafe { Lower::of(file) };
    lower.methods().xSectorSize.map_or(0, |call| unsafe { call(lower.0) })
}

unsafe extern "C" fn device_characteristics(file: *mut ffi::sqlite3_file) -> c_int {
    let lower = unsafe { Lower::of(file) };
    lower.methods().xDeviceCharacteristics.map_or(0, |call| unsafe { call(lower.0) })
}

unsafe extern "C" fn shm_map(
    file: *mut ffi::sqlite3_file,
    region: c_int,
    size: c_int,
    extend: c_int,
    address: *mut *mut c_void,
) -> c_int {
    let lower = unsafe { Lower::of(file) };
    let call = lower.methods().xShmMap;
    call.map_or(ffi::SQLITE_IOERR_SHMMAP, |call| unsafe { call(lower.0, region, size, extend, address) })
}

unsafe extern "C" fn shm_lock(
    file: *mut ffi::sqlite3_file,
    offset: c_int,
    count: c_int,
    flags: c_int,
) -> c_int {
    let lower = unsafe { Lower::of(file) };
    lower
        .methods()
        .xShmLock
        .map_or(ffi::SQLITE_IOERR_SHMLOCK, |call| unsafe { call(lower.0, offset, count, flags) })
}

unsafe extern "C" fn shm_barrier(file: *mut ffi::sqlite3_file) {
    let lower = unsafe { Lower::of(file) };
    if let Some(call) = lower.methods().xShmBarrier {
        unsafe { call(lower.0) }
    }
}

unsafe extern "C" fn shm_unmap(file: *mut ffi::sqlite3_file, delete: c_int) -> c_int {
    let lower = unsafe { Lower::of(file) };
    lower.methods().xShmUnmap.map_or(ffi::SQLITE_OK, |call| unsafe { call(lower.0, delete) })
}

unsafe extern "C" fn delete(vfs: *mut ffi::sqlite3_vfs, name: *const c_char, sync_directory: c_int) -> c_int {
    let lower = unsafe { layer(vfs) }.lower;
    unsafe { (*lower).xDelete }
        .map_or(ffi::SQLITE_IOERR_DELETE, |call| unsafe { call(lower, name, sync_directory) })
}

unsafe extern "C" fn access(
    vfs: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    flags: c_int,
    answer: *mut c_int,
) -> c_int {
    let lower = unsafe { layer(vfs) }.lower;
    unsafe { (*lower).xAccess }
        .map_or(ffi::SQLITE_IOERR_ACCESS, |call| unsafe { call(lower, name, flags, answer) })
}

/// A path that is absolute stays as it is: a database's place is told by the path at which it was asked for, wherever the disk is.
unsafe extern "C" fn full_pathname(
    vfs: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    size: c_int,
    full: *mut c_char,
) -> c_int {
    let given = unsafe { CStr::from_ptr(name) }.to_bytes_with_nul();
    if given.starts_with(b"/") && usize::try_from(size).is_ok_and(|size| given.len() <= size) {
        unsafe { full.cast::<u8>().copy_from_nonoverlapping(given.as_ptr(), given.len()) };
        return ffi::SQLITE_OK;
    }
    let lower = unsafe { layer(vfs) }.lower;
    unsafe { (*lower).xFullPathname }
        .map_or(ffi::SQLITE_CANTOPEN, |call| unsafe { call(lower, name, size, full) })
}

unsafe extern "C" fn randomness(vfs: *mut ffi::sqlite3_vfs, length: c_int, octets: *mut c_char) -> c_int {
    let lower = unsafe { layer(vfs) }.lower;
    unsafe { (*lower).xRandomness }.map_or(0, |call| unsafe { call(lower, length, octets) })
}

unsafe extern "C" fn sleep(vfs: *mut ffi::sqlite3_vfs, microseconds: c_int) -> c_int {
    let lower = unsafe { layer(vfs) }.lower;
    unsafe { (*lower).xSleep }.map_or(0, |call| unsafe { call(lower, microseconds) })
}

unsafe extern "C" fn current_time(vfs: *mut ffi::sqlite3_vfs, days: *mut f64) -> c_int {
    let lower = unsafe { layer(vfs) }.lower;
    unsafe { (*lower).xCurrentTime }.map_or(ffi::SQLITE_ERROR, |call| unsafe { call(lower, days) })
}

unsafe extern "C" fn current_time_int64(vfs: *mut ffi::sqlite3_vfs, milliseconds: *mut i64) -> c_int {
    let lower = unsafe { layer(vfs) }.lower;
    unsafe { (*lower).xCurrentTimeInt64 }
        .map_or(ffi::SQLITE_ERROR, |call| unsafe { call(lower, milliseconds) })
}

unsafe extern "C" fn last_error(vfs: *mut ffi::sqlite3_vfs, length: c_int, text: *mut c_char) -> c_int {
    let lower = unsafe { layer(vfs) }.lower;
    unsafe { (*lower).xGetLastError }.map_or(0, |call| unsafe { call(lower, length, text) })
}
