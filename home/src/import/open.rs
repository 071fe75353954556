//! Directories and files of which somebody else may be the owner.
//!
//! In: a path below the one that the operator named, with no link in it when it was found. Out: its entries, or an open
//! file. Refused: symbolic links in any part of the path, also one that was put there since, because an import may read
//! what the owner of a Maildir must not; and what is not a file, because a pipe or a device may never end.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Dir, Mode, OFlags, ResolveFlags, openat2};
use rustix::io::Errno;

/// What lies at a path: a link is one, and not what it leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Directory,
    Link,
    File,
    Other,
}

/// What lies at this path.
pub(super) fn kind(path: &Path) -> Kind {
    match std::fs::symlink_metadata(path).map(|metadata| metadata.file_type()) {
        Ok(found) if found.is_dir() => Kind::Directory,
        Ok(found) if found.is_symlink() => Kind::Link,
        Ok(found) if found.is_file() => Kind::File,
        _ => Kind::Other,
    }
}

/// Opens a file to read it.
pub(super) fn file(path: &Path) -> io::Result<File> {
    // A pipe would wait for its writer.
    let file = open(path, OFlags::NONBLOCK)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("not a file"));
    }
    Ok(file)
}

/// The paths of what a directory holds.
pub(super) fn entries(directory: &Path) -> io::Result<Vec<PathBuf>> {
    use std::os::unix::ffi::OsStrExt;
    let mut paths = Vec::new();
    for entry in Dir::new(open(directory, OFlags::DIRECTORY)?)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if !matches!(name, b"." | b"..") {
            paths.push(directory.join(std::ffi::OsStr::from_bytes(name)));
        }
    }
    Ok(paths)
}

fn open(path: &Path, flags: OFlags) -> io::Result<File> {
    let flags = flags | OFlags::RDONLY | OFlags::CLOEXEC;
    match openat2(CWD, path, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS) {
        Ok(opened) => Ok(opened.into()),
        Err(Errno::LOOP) => Err(io::Error::other("a symbolic link, which an import does not follow")),
        Err(error) => Err(error.into()),
    }
}
