//! Writing down what came of attempts: the transitions of the state table.

use std::path::PathBuf;

use jiff::Timestamp;

use super::enqueue::MessageRow;
use super::{NewMessage, Outcome, Queue, QueueId, RecipientState, Settlement};
use crate::db::{Connection, params};
use crate::{Error, Result};

/// What [`Queue::settle`] did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// No recipient waits any more; the message has left the queue.
    pub finished: bool,
    /// The reports that were queued.
    pub reports: Vec<QueueId>,
}

impl Queue {
    /// Writes down one attempt at some recipients of one message, queues the reports that it calls for, and lets the
    /// message go when none of its recipients waits any more: all in one transaction. Recipients that no longer wait,
    /// because the operator has dropped them, are passed over; if there are only such, no report goes out.
    ///
    /// # Errors
    /// Nothing has been written; the recipients wait as before.
    pub fn settle(
        &self,
        message: QueueId,
        settlements: Vec<Settlement>,
        reports: Vec<NewMessage<'_>>,
    ) -> Result<Settled> {
        let now = Timestamp::now();
        let prepared = reports.into_iter().map(|report| self.prepare(report, now));
        let (rows, files): (Vec<_>, Vec<_>) = prepared.collect::<Result<Vec<_>>>()?.into_iter().unzip();
        let unkept: Vec<PathBuf> =
            files.iter().map(|file| self.content_dir.path().join(&file.name)).collect();
        let written = self.database.write(move |connection: &Connection| {
            let mut changed = 0;
            for settlement in &settlements {
                changed += apply(connection, settlement, now)?;
            }
            let reports = if changed > 0 { insert_all(connection, &rows)? } else { Vec::new() };
            let content = remove_if_finished(connection, message)?;
            // The files of rows stay from here on, for the same reason as in `enqueue`; others go with this closure.
            // The caller tries again after an error, and each time with new files.
            if !reports.is_empty() {
                files.into_iter().for_each(|file| drop(file.keep()));
            }
            Ok::<_, Error>((Settled { finished: content.is_some(), reports }, content))
        });
        if matches!(written, Err(Error::DiskFull(_))) {
            // What finds no room in the log is not committed: only a flush that fails leaves that open.
            unkept.iter().for_each(|path| drop(std::fs::remove_file(path)));
        }
        let (settled, content) = written?;
        if !settled.reports.is_empty() {
            self.announce_change();
        }
        if let Some(name) = content {
            self.remove_content(&name);
        }
        Ok(settled)
    }

    /// Lets all that waits for a destination wait at least until `until`, because it cannot be reached.
    ///
    /// # Errors
    /// Where the database cannot be written.
    pub fn defer_destination(&self, domain: &str, until: Timestamp, reason: &str) -> Result<usize> {
        let (domain, reason) = (domain.to_owned(), reason.to_owned());
        self.database.write(move |connection: &Connection| {
            Ok(connection.execute(
                "UPDATE recipient SET next_attempt = ?2, last_reply = ?3
                 WHERE state = 0 AND domain = ?1 AND next_attempt < ?2",
                params![domain, until.as_millisecond(), reason],
            )?)
        })
    }
}

/// Gives 1 where the recipient was waiting, otherwise 0. One that was held while it was tried stays held unless the attempt
/// has decided about it: a release must not deliver it twice.
fn apply(connection: &Connection, settlement: &Settlement, now: Timestamp) -> Result<usize> {
    let (state, next_attempt, delay_reported) = match settlement.outcome {
        Outcome::Delivered => (RecipientState::Delivered, now, false),
        Outcome::Failed => (RecipientState::Failed, now, false),
        Outcome::Deferred { next_attempt, delay_reported } => {
            (RecipientState::Waiting, next_attempt, delay_reported)
        }
    };
    let changed = connection
        .prepare_cached(
            "UPDATE recipient SET state = CASE ?2 WHEN 0 THEN state ELSE ?2 END, next_attempt = ?3, delay_reported = MAX(delay_reported, ?4),
                 attempts = attempts + 1, last_attempt = ?5, last_host = ?6, last_reply = ?7
             WHERE id = ?1 AND state IN (0, 3)",
        )?
        .execute(params![
            settlement.recipient.0,
            state.to_column(),
            next_attempt.as_millisecond(),
            delay_reported,
            now.as_millisecond(),
            settlement.remote_host,
            settlement.reply,
        ])?;
    Ok(changed)
}

fn insert_all(connection: &Connection, rows: &[MessageRow]) -> Result<Vec<QueueId>> {
    rows.iter().map(|row| row.insert(connection)).collect()
}

/// Removes the message if none of its recipients waits; gives the name of its content file.
fn remove_if_finished(connection: &Connection, message: QueueId) -> Result<Option<String>> {
    let mut delete = connection.prepare_cached(
        "DELETE FROM message WHERE id = ?1
             AND NOT EXISTS (SELECT 1 FROM recipient WHERE message = ?1 AND state IN (0, 3)) RETURNING content",
    )?;
    let mut rows = delete.query(params![message.0])?;
    Ok(rows.next()?.map(|row| row.get(0)).transpose()?)
}
