//! One SQLite database: how it is opened, brought up to date, written by one thread and read by many.
//!
//! In: a [`Place`], a [`Schema`], and closures over a connection. Out: their results, after the commit that made them
//! durable. Refused: files of another application, files of a newer schema, foreign-key violations.
//!
//! *Durability.* WAL with `synchronous=FULL`: a commit returns after `fdatasync` of the log, so [`Database::write`]
//! returning `Ok` means the change survives a power cut.
//!
//! *Group commit.* Writers do not commit by themselves. [`Database::write`] sends its closure to the database's
//! writer thread, which runs everything that is waiting inside one transaction, each closure in a savepoint of its
//! own, commits once, and then answers all. While one commit waits for the disk the next group gathers, so the
//! number of flushes does not grow with the number of writers. A closure that fails, or panics, is rolled back to
//! its savepoint and spoils nobody else's work.
//!
//! *A failed flush.* After an error from `fsync` the kernel may have dropped the dirty pages, and a second `fsync`
//! on the same handle would report success. So a failed commit is answered to the whole group as
//! [`Error::Temporary`] (or [`Error::DiskFull`]), the handle is closed, and the next group opens the file anew,
//! writes the log into it, and checks it, before it adds anything.

pub(crate) mod open;
mod writer;

use std::path::Path;
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;

pub use rusqlite::{Connection, OptionalExtension, params};

pub use crate::error::{Error, Result};
use crate::place::Place;
use writer::{Job, Task};

/// What a database file must be.
#[derive(Debug)]
pub struct Schema {
    /// What the file is called in errors and logs: `account`, `queue`, `directory`.
    pub name: &'static str,
    /// Written into the file's header; a file with another number is refused.
    pub application_id: i32,
    /// The SQL that leads from nothing to the present shape, step by step. Step `n` (from 1) takes a file from
    /// schema version `n - 1` to `n` in one transaction. A released step never changes; new ones are appended.
    pub migrations: &'static [&'static str],
    /// What a power cut may take.
    pub durability: Durability,
}

/// Which commits are on the disk when they are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Every one.
    Everything,
    /// Those before the last checkpoint: for what can be made again, whose flushes would hold up those of mail.
    UpToCheckpoint,
}

/// How many idle read connections are kept open for each database.
const IDLE_READERS: usize = 4;

/// An open database with its writer thread. Dropping it finishes what was submitted and closes the file.
#[derive(Debug)]
pub struct Database {
    place: Place,
    jobs: Option<mpsc::Sender<Box<dyn Job>>>,
    thread: Option<JoinHandle<()>>,
    readers: Mutex<Vec<Connection>>,
}

/// A write that was submitted and may be waited for.
#[derive(Debug)]
#[must_use = "a write is durable only when its ticket has been waited for"]
pub struct Ticket<T, E = Error>(mpsc::Receiver<Result<T, E>>);

impl<T, E: From<Error>> Ticket<T, E> {
    /// Waits for the commit and gives the closure's own result.
    ///
    /// # Errors
    /// The closure's error; or `Temporary`/`DiskFull` when the commit failed, and then nothing has changed.
    pub fn wait(self) -> Result<T, E> {
        let stopped = || Error::Temporary("the database is closed".to_owned());
        self.0.recv().unwrap_or_else(|_| Err(E::from(stopped())))
    }
}

impl Database {
    /// Opens the file at `place`, creating it (mode 0600) if it does not exist, and migrates it to `schema`.
    ///
    /// # Errors
    /// `NewerSchema` and `Permanent` (a file of another application) need an operator; `Corrupt` a repair.
    pub fn open(place: impl Into<Place>, schema: &'static Schema) -> Result<Database> {
        let place = place.into();
        let connection = open::writer(&place, schema)?;
        let (jobs, queue) = mpsc::channel();
        let thread = writer::spawn(place.clone(), schema, connection, queue)?;
        Ok(Database { place, jobs: Some(jobs), thread: Some(thread), readers: Mutex::new(Vec::new()) })
    }

    /// Opens an existing file for reading alone, also while another process writes to it. Writing is refused.
    ///
    /// # Errors
    /// As for [`Database::open`]; `Permanent` also for a file of an older schema, which only the daemon brings up to date.
    pub fn read_only(place: impl Into<Place>, schema: &'static Schema) -> Result<Database> {
        let place = place.into();
        let reader = open::inspected(&place, schema)?;
        Ok(Database { place, jobs: None, thread: None, readers: Mutex::new(vec![reader]) })
    }

    /// Every damage that SQLite finds in pages, indexes and references between rows; none means whole.
    ///
    /// # Errors
    /// `Corrupt` or `Temporary` when not even the check can run.
    pub fn damages(&self) -> Result<Vec<String>> {
        self.read(open::damages)
    }

    /// The database file.
    pub fn path(&self) -> &Path {
        self.place.path()
    }

    /// Runs `operation` in the next group commit and returns its result once it is durable. Blocks the calling
    /// thread; the closure runs on the writer thread, inside a savepoint, and must not commit or roll back.
    ///
    /// # Errors
    /// As for [`Ticket::wait`].
    pub fn write<T, E, F>(&self, operation: F) -> Result<T, E>
    where
        F: FnOnce(&Connection) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        self.submit(operation).wait()
    }

    /// Hands `operation` to the writer thread without waiting, so that one caller can write to several databases
    /// at once.
    pub fn submit<T, E, F>(&self, operation: F) -> Ticket<T, E>
    where
        F: FnOnce(&Connection) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        let (reply, answer) = mpsc::sync_channel(1);
        if let Some(jobs) = &self.jobs {
            // A writer thread that is gone drops the job and with it `reply`: the ticket then reports it.
            let _ = jobs.send(Box::new(Task::new(operation, reply)));
        }
        Ticket(answer)
    }

    /// Runs `query` on a read-only connection, in one read transaction: it sees one committed state throughout and
    /// never waits for a writer.
    ///
    /// # Errors
    /// The closure's error, or `Temporary` when no connection can be opened.
    pub fn read<T, E, F>(&self, query: F) -> Result<T, E>
    where
        F: FnOnce(&Connection) -> Result<T, E>,
        E: From<Error>,
    {
        let reader = self.reader()?;
        reader.execute_batch("BEGIN DEFERRED").map_err(Error::from)?;
        let result = query(&reader);
        // A connection that cannot end its transaction is closed instead of kept.
        if reader.execute_batch("COMMIT").is_ok() {
            self.keep(reader);
        }
        result
    }

    fn reader(&self) -> Result<Connection> {
        let idle = self.readers.lock().unwrap_or_else(PoisonError::into_inner).pop();
        idle.map_or_else(|| open::reader(&self.place), Ok)
    }

    fn keep(&self, reader: Connection) {
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        if readers.len() < IDLE_READERS {
            readers.push(reader);
        }
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        self.readers.lock().unwrap_or_else(PoisonError::into_inner).clear();
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != std::thread::current().id()
        {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests;
