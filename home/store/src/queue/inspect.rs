//! The queue as the operator sees and changes it.

use jiff::Timestamp;
use rusqlite::Row;

use super::{Detail, Queue, QueueId, RecipientDetail, RecipientState, Summary};
use crate::Result;
use crate::db::{Connection, OptionalExtension, params};
use crate::journal::StoryId;

/// The columns of a [`Summary`]. Of a waiting recipient's replies, that of the latest attempt is shown.
const SUMMARY: &str = "
    SELECT m.id, m.reverse_path, m.octets, m.arrived,
        (SELECT COUNT(*) FROM recipient r WHERE r.message = m.id AND r.state = 0),
        (SELECT COUNT(*) FROM recipient r WHERE r.message = m.id),
        (SELECT MIN(next_attempt) FROM recipient r WHERE r.message = m.id AND r.state = 0),
        (SELECT last_reply FROM recipient r WHERE r.message = m.id AND r.state = 0 AND last_reply IS NOT NULL
         ORDER BY last_attempt DESC LIMIT 1),
        (SELECT COUNT(*) FROM recipient r WHERE r.message = m.id AND r.state = 3), m.story, m.hold, m.not_before
    FROM message m";

/// The soonest time of an attempt: now, which is parameter 1, but not before the sender's own time.
const SOONEST: &str =
    "MAX(?1, COALESCE((SELECT m.not_before FROM message m WHERE m.id = recipient.message), 0))";

impl Queue {
    /// Lists up to `limit` messages in the order of their arrival, beginning behind `after`.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub fn list(&self, after: Option<QueueId>, limit: usize) -> Result<Vec<Summary>> {
        let after = after.map_or(0, |id| id.0);
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.database.read(|connection: &Connection| {
            let mut select =
                connection.prepare_cached(&format!("{SUMMARY} WHERE m.id > ?1 ORDER BY m.id LIMIT ?2"))?;
            let rows = select.query_map(params![after, limit], |row| self.summary(row))?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// How many messages are queued.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub fn len(&self) -> Result<u64> {
        self.database.read(|connection: &Connection| {
            let count: i64 = connection.query_row("SELECT COUNT(*) FROM message", [], |row| row.get(0))?;
            Ok(u64::try_from(count).unwrap_or(0))
        })
    }

    /// Whether nothing is queued.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub fn is_empty(&self) -> Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Shows one message with every recipient; `None` where it is not queued.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub fn show(&self, id: QueueId) -> Result<Option<Detail>> {
        self.database.read(|connection: &Connection| {
            let mut select = connection.prepare_cached(&format!("{SUMMARY} WHERE m.id = ?1"))?;
            let summary = select.query_row(params![id.0], |row| self.summary(row)).optional()?;
            let Some(summary) = summary else { return Ok(None) };
            let mut select = connection.prepare_cached(
                "SELECT forward_path, state, attempts, next_attempt, last_attempt, last_host, last_reply
                 FROM recipient WHERE message = ?1 ORDER BY id",
            )?;
            let rows = select.query_map(params![id.0], recipient_detail)?;
            let recipient_details = rows.collect::<rusqlite::Result<_>>()?;
            Ok(Some(Detail { summary, recipient_details }))
        })
    }

    /// Makes every waiting recipient of the message due now. False where none waits.
    ///
    /// # Errors
    /// Where the database cannot be written.
    pub fn retry(&self, id: QueueId) -> Result<bool> {
        let changed = self.database.write(move |connection: &Connection| {
            let sql =
                format!("UPDATE recipient SET next_attempt = {SOONEST} WHERE message = ?2 AND state = 0");
            Ok::<_, crate::Error>(connection.execute(&sql, params![Timestamp::now().as_millisecond(), id.0])?)
        })?;
        self.announce_retry();
        Ok(changed > 0)
    }

    /// Makes everything that waits due now; gives the number of recipients.
    ///
    /// # Errors
    /// Where the database cannot be written.
    pub fn retry_all(&self) -> Result<usize> {
        let changed = self.database.write(move |connection: &Connection| {
            let sql = format!(
                "UPDATE recipient SET next_attempt = {SOONEST} WHERE state = 0 AND next_attempt > {SOONEST}"
            );
            Ok::<_, crate::Error>(connection.execute(&sql, params![Timestamp::now().as_millisecond()])?)
        })?;
        self.announce_retry();
        Ok(changed)
    }

    /// Keeps back every waiting recipient of the message until [`Queue::release`]. An attempt that is going on ends as it
    /// does. False where none waits.
    ///
    /// # Errors
    /// Where the database cannot be written.
    pub fn hold_message(&self, id: QueueId) -> Result<bool> {
        self.database.write(move |connection: &Connection| {
            let sql = "UPDATE recipient SET state = 3 WHERE message = ?1 AND state = 0";
            Ok(connection.execute(sql, params![id.0])? > 0)
        })
    }

    /// Lets what is held of the message wait again, due now. False where nothing is held.
    ///
    /// # Errors
    /// Where the database cannot be written.
    pub fn release(&self, id: QueueId) -> Result<bool> {
        let changed =
            self.database.write(move |connection: &Connection| let_go(connection, id, Timestamp::now()))?;
        self.announce_retry();
        Ok(changed > 0)
    }

    fn announce_retry(&self) {
        self.retries.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Removes a message without a report to anyone. False where the message is not queued.
    ///
    /// # Errors
    /// Where the database cannot be written.
    pub fn drop_message(&self, id: QueueId) -> Result<bool> {
        let content = self.database.write(move |connection: &Connection| {
            let sql = "DELETE FROM message WHERE id = ?1 RETURNING content";
            let name = connection.query_row(sql, params![id.0], |row| row.get::<_, String>(0));
            Ok::<_, crate::Error>(name.optional()?)
        })?;
        if let Some(name) = &content {
            self.remove_content(name);
        }
        Ok(content.is_some())
    }

    fn summary(&self, row: &Row<'_>) -> rusqlite::Result<Summary> {
        Ok(Summary {
            id: QueueId(row.get(0)?),
            story: StoryId::from_column(row.get(9)?),
            reverse_path: row.get(1)?,
            octets: u64::try_from(row.get::<_, i64>(2)?).unwrap_or(0),
            arrived: rfc3339(row.get(3)?),
            waiting: row.get(4)?,
            held: row.get(8)?,
            recipients: row.get(5)?,
            next_attempt: row.get::<_, Option<i64>>(6)?.map(rfc3339),
            last_reply: row.get(7)?,
            account_held: row.get(10)?,
            not_before: row.get::<_, Option<i64>>(11)?.map(rfc3339),
            held_because: self.held_because(),
        })
    }
}

/// Lets what is held of a message wait again; gives the number of its recipients.
pub(super) fn let_go(connection: &Connection, id: QueueId, now: Timestamp) -> Result<usize> {
    connection.prepare_cached("UPDATE message SET hold = NULL WHERE id = ?1")?.execute(params![id.0])?;
    let sql =
        format!("UPDATE recipient SET state = 0, next_attempt = {SOONEST} WHERE message = ?2 AND state = 3");
    Ok(connection.prepare_cached(&sql)?.execute(params![now.as_millisecond(), id.0])?)
}

fn recipient_detail(row: &Row<'_>) -> rusqlite::Result<RecipientDetail> {
    let state = RecipientState::from_column(row.get(1)?);
    let next_attempt: i64 = row.get(3)?;
    Ok(RecipientDetail {
        forward_path: row.get(0)?,
        state,
        attempts: row.get(2)?,
        next_attempt: (state == RecipientState::Waiting).then(|| rfc3339(next_attempt)),
        last_attempt: row.get::<_, Option<i64>>(4)?.map(rfc3339),
        last_host: row.get(5)?,
        last_reply: row.get(6)?,
    })
}

/// To the second; nobody reads more.
fn rfc3339(millisecond: i64) -> String {
    let time = Timestamp::from_second(millisecond.div_euclid(1000)).unwrap_or(Timestamp::UNIX_EPOCH);
    time.to_string()
}
