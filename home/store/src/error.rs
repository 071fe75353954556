//! The one error of the mailbox store and of the databases below it.
//!
//! The variants are the choices a caller has: refuse for now (`Temporary`, `DiskFull`), refuse for good
//! (`Permanent`, `OverQuota`), tell the client that the thing is not there or stands in the way (`NotFound`,
//! `Conflict`), or call a person (`Corrupt`, `NewerSchema`, `Fault`).

use std::path::PathBuf;

/// Why an operation on a database, a blob or an account did not happen.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// An input/output error, a lock held too long or a commit that failed; nothing was changed, try later
    /// (SMTP 451).
    #[error("temporary storage failure: {0}")]
    Temporary(String),
    /// The file system has no room; nothing was changed (SMTP 452).
    #[error("no space left for {0}")]
    DiskFull(String),
    /// The request can never succeed as it stands.
    #[error("{0}")]
    Permanent(String),
    /// The object does not exist, or no longer.
    #[error("{0} does not exist")]
    NotFound(String),
    /// Something that exists already forbids it.
    #[error("{0}")]
    Conflict(String),
    /// The account may hold no more octets (SMTP 452 4.2.2 or 552 5.2.2, IMAP OVERQUOTA).
    #[error("the account is over its quota")]
    OverQuota,
    /// Stored bytes do not hold what they must; a person should look (`store verify`).
    #[error("corrupt storage: {0}")]
    Corrupt(String),
    /// The file was written by a newer program.
    #[error(
        "{path}: written by a newer version (schema {found}, this program knows up to {known}); \
         install that version again or restore a backup",
        path = .path.display()
    )]
    NewerSchema {
        /// The database file.
        path: PathBuf,
        /// The schema version found in it.
        found: u32,
        /// The newest schema version this program knows.
        known: u32,
    },
    /// Our own mistake: a statement that is wrong, or a closure that panicked.
    #[error("internal storage error: {0}")]
    Fault(String),
}

/// The result of every operation in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// Whether the same request may succeed later with nothing changed by the caller.
    pub fn is_temporary(&self) -> bool {
        matches!(self, Error::Temporary(_) | Error::DiskFull(_) | Error::Corrupt(_) | Error::Fault(_))
    }
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Error {
        use rusqlite::ErrorCode as Code;
        let text = error.to_string();
        match &error {
            rusqlite::Error::QueryReturnedNoRows => Error::NotFound("the row".to_owned()),
            rusqlite::Error::SqliteFailure(failure, _) => match failure.code {
                Code::DiskFull => Error::DiskFull(text),
                Code::DatabaseCorrupt | Code::NotADatabase => Error::Corrupt(text),
                // What the sealing layer says of a page that is not what was sealed.
                Code::SystemIoFailure if failure.extended_code == rusqlite::ffi::SQLITE_IOERR_DATA => {
                    Error::Corrupt(format!("a sealed page is damaged: {text}"))
                }
                Code::DatabaseBusy
                | Code::DatabaseLocked
                | Code::SystemIoFailure
                | Code::CannotOpen
                | Code::ReadOnly
                | Code::OutOfMemory
                | Code::OperationInterrupted
                | Code::PermissionDenied
                | Code::FileLockingProtocolFailed => Error::Temporary(text),
                _ => Error::Fault(text),
            },
            _ => Error::Fault(text),
        }
    }
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Error {
        match error.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
                Error::DiskFull(error.to_string())
            }
            _ => Error::Temporary(error.to_string()),
        }
    }
}
