//! The writer thread: gathers waiting operations into one transaction, commits it, answers all.
//!
//! | state of the handle | event | next |
//! |---|---|---|
//! | open | group commits | open |
//! | open | commit fails, or SQLite ends the transaction by itself | closed; the group is answered with the error |
//! | closed | a group comes, the file opens and passes `quick_check` | open; the group runs |
//! | closed | a group comes, the file does not open | closed; the group is answered with the error |

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc;
use std::thread::JoinHandle;

use rusqlite::Connection;

use super::{Error, Place, Result, Schema, open};

/// The most operations in one transaction: bounds what one failed commit can undo, and the wait of the first.
const GROUP_LIMIT: usize = 256;

/// An operation on its way through the writer thread.
pub(super) trait Job: Send + std::fmt::Debug {
    /// Runs the operation inside the open savepoint. True if its changes are to be kept.
    fn run(&mut self, connection: &Connection) -> bool;
    /// Answers the caller; `outcome` says whether the group was committed.
    fn finish(self: Box<Self>, outcome: &Result<()>);
}

/// An operation that has its closure until it has its result.
pub(super) struct Task<T, E, F> {
    operation: Option<F>,
    result: Option<Result<T, E>>,
    reply: mpsc::SyncSender<Result<T, E>>,
}

impl<T, E, F> Task<T, E, F> {
    pub(super) fn new(operation: F, reply: mpsc::SyncSender<Result<T, E>>) -> Self {
        Task { operation: Some(operation), result: None, reply }
    }
}

impl<T, E, F> std::fmt::Debug for Task<T, E, F> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Task")
    }
}

impl<T, E, F> Job for Task<T, E, F>
where
    F: FnOnce(&Connection) -> Result<T, E> + Send,
    T: Send,
    E: From<Error> + Send,
{
    fn run(&mut self, connection: &Connection) -> bool {
        let Some(operation) = self.operation.take() else { return false };
        let result = catch_unwind(AssertUnwindSafe(|| operation(connection)))
            .unwrap_or_else(|_| Err(E::from(Error::Fault("a write operation panicked".to_owned()))));
        let keep = result.is_ok();
        self.result = Some(result);
        keep
    }

    fn finish(mut self: Box<Self>, outcome: &Result<()>) {
        let answer = match (outcome, self.result.take()) {
            (Ok(()), Some(result)) | (Err(_), Some(result @ Err(_))) => result,
            (Ok(()), None) => Err(E::from(Error::Fault("a write operation did not run".to_owned()))),
            (Err(error), _) => Err(E::from(error.clone())),
        };
        // The caller may have given up waiting; the commit stands all the same.
        let _ = self.reply.send(answer);
    }
}

/// Starts the thread; it ends when every sender of `queue` is gone and the queue is drained.
pub(super) fn spawn(
    place: Place,
    schema: &'static Schema,
    connection: Connection,
    queue: mpsc::Receiver<Box<dyn Job>>,
) -> Result<JoinHandle<()>> {
    let writer = Writer { place, schema, connection: Some(connection) };
    let builder = std::thread::Builder::new().name(format!("{}-writer", schema.name));
    Ok(builder.spawn(move || writer.serve(&queue))?)
}

struct Writer {
    place: Place,
    schema: &'static Schema,
    connection: Option<Connection>,
}

impl Writer {
    fn serve(mut self, queue: &mpsc::Receiver<Box<dyn Job>>) {
        while let Ok(first) = queue.recv() {
            let mut group = Vec::new();
            let outcome = self.commit_group(first, queue, &mut group);
            if let Err(error) = &outcome {
                tracing::error!(path = %self.place.path().display(), %error, operations = group.len(), "commit failed");
                self.connection = None;
            }
            group.into_iter().for_each(|job| job.finish(&outcome));
        }
    }

    /// Runs `first` and whatever is waiting in one transaction; every job taken from the queue lands in `group`.
    fn commit_group(
        &mut self,
        first: Box<dyn Job>,
        queue: &mpsc::Receiver<Box<dyn Job>>,
        group: &mut Vec<Box<dyn Job>>,
    ) -> Result<()> {
        group.push(first);
        let connection = self.usable()?;
        connection.execute_batch("BEGIN IMMEDIATE")?;
        let mut next = group.pop();
        while let Some(mut job) = next {
            let ran = run_in_savepoint(connection, job.as_mut());
            group.push(job);
            ran?;
            next = if group.len() < GROUP_LIMIT { queue.try_recv().ok() } else { None };
        }
        Ok(connection.execute_batch("COMMIT")?)
    }

    fn usable(&mut self) -> Result<&Connection> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => open::reopen_verified(&self.place, self.schema)?,
        };
        Ok(self.connection.insert(connection))
    }
}

/// Runs one job; an error means that the transaction of the whole group is gone.
fn run_in_savepoint(connection: &Connection, job: &mut dyn Job) -> Result<()> {
    connection.execute_batch("SAVEPOINT operation")?;
    let keep = job.run(connection);
    if connection.is_autocommit() {
        // SQLite rolls back by itself on a full disk or an input/output error.
        return Err(Error::Temporary("the transaction was rolled back".to_owned()));
    }
    let end = if keep { "RELEASE operation" } else { "ROLLBACK TO operation; RELEASE operation" };
    Ok(connection.execute_batch(end)?)
}
