//! How much one user may send, and what becomes of an account that sends more.
//!
//! In: submitted messages with the allowance that counts for them ([`Queue::submit`]). Out: whether each goes, or is held with the
//! reason. Refused: more than [`HELD_MAX`] messages of a held account.
//!
//! | the account | event | then |
//! |---|---|---|
//! | free | a message within the allowance | it goes, and is counted |
//! | free | a message beyond it | held: this message, and all of the account that wait, are held in the same transaction |
//! | held | a message | held too; refused beyond [`HELD_MAX`] |
//! | held | [`Queue::release_sender`] | free: what was held for this reason goes or is dropped, and counting begins anew |
//!
//! Counted is in the transaction that queues the message, so that no restart and no power cut forgets it. A recipient is new when
//! the user has never written there; what is known of each user is bounded by [`CORRESPONDENTS_MAX`], the longest unused goes.

use jiff::{SignedDuration, Timestamp};

use super::enqueue::MessageRow;
use super::{NewMessage, Queue, QueueId};
use crate::account::AccountId;
use crate::db::{Connection, OptionalExtension, params};
use crate::journal::StoryId;
use crate::{Error, Result};

/// Messages that are taken from an account while it is held.
pub const HELD_MAX: u32 = 200;
/// Addresses that are known of one user.
const CORRESPONDENTS_MAX: i64 = 20_000;

/// What one user may send; 0 is no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Allowance {
    /// Messages within an hour.
    pub messages_per_hour: u32,
    /// Messages within a day.
    pub messages_per_day: u32,
    /// Recipients within an hour, each as often as it is written to.
    pub recipients_per_hour: u32,
    /// Recipients within a day.
    pub recipients_per_day: u32,
    /// Recipients within a day to whom the user had never written before.
    pub new_recipients_per_day: u32,
}

/// What became of a submitted message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Submitted {
    /// It goes.
    Queued(QueueId),
    /// It is in the queue and stays there, with the account's other mail.
    Held {
        /// Its number.
        id: QueueId,
        /// Why, a clause for people.
        reason: String,
        /// Messages of the account that waited and are held from now on.
        also: Vec<QueueId>,
    },
    /// It is not taken: too much of the account's mail is held already.
    Full,
}

/// What becomes of the mail of an account that is released.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It goes.
    Sent,
    /// It is removed; nobody is told.
    Dropped,
}

/// An account that is held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldSender {
    /// Which.
    pub sender: AccountId,
    /// Since when.
    pub since: Timestamp,
    /// Why.
    pub reason: String,
}

/// What a sender has sent, with the message that is being judged.
struct Sent {
    messages: [i64; 2],
    recipients: [i64; 2],
    new: i64,
}

impl Queue {
    /// Queues a message as [`Queue::enqueue`] does, if its sender may; the sender's count goes with it.
    ///
    /// # Errors
    /// As for [`Queue::enqueue`].
    pub fn submit(&self, message: NewMessage<'_>, allowance: Allowance) -> Result<Submitted> {
        let Some(sender) = message.sender else { return self.enqueue(message).map(Submitted::Queued) };
        let now = Timestamp::now();
        let (row, file) = self.prepare(message, now)?;
        let name = file.keep();
        let submitted = self
            .database
            .write(move |connection: &Connection| submit(connection, sender, &row, allowance, now))?;
        match &submitted {
            Submitted::Queued(_) => self.announce_change(),
            Submitted::Held { .. } => {}
            Submitted::Full => self.remove_content(&name),
        }
        Ok(submitted)
    }

    /// The accounts that are held.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub fn held_senders(&self) -> Result<Vec<HeldSender>> {
        self.database.read(|connection: &Connection| {
            let mut select = connection.prepare_cached("SELECT sender, since, reason FROM held_sender")?;
            let rows = select.query_map([], |row| {
                let since = Timestamp::from_millisecond(row.get(1)?).unwrap_or(Timestamp::UNIX_EPOCH);
                Ok(HeldSender { sender: AccountId(row.get(0)?), since, reason: row.get(2)? })
            })?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// Lets an account send again; gives the messages that go or are dropped, `None` where it is not held.
    ///
    /// # Errors
    /// Where the database cannot be written.
    pub fn release_sender(&self, sender: AccountId, fate: Fate) -> Result<Option<Vec<QueueId>>> {
        let now = Timestamp::now();
        let released =
            self.database.write(move |connection: &Connection| release(connection, sender, fate, now))?;
        let Some((ids, contents)) = released else { return Ok(None) };
        contents.iter().for_each(|name| self.remove_content(name));
        self.announce_change();
        Ok(Some(ids))
    }

    /// The messages that are held with this account.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub fn held_of(&self, sender: AccountId) -> Result<Vec<(QueueId, StoryId)>> {
        self.database.read(|connection: &Connection| {
            let mut select = connection.prepare_cached(
                "SELECT id, story FROM message WHERE sender = ?1 AND hold IS NOT NULL ORDER BY id",
            )?;
            let rows = select.query_map(params![sender.0], |row| {
                Ok((QueueId(row.get(0)?), StoryId::from_column(row.get(1)?)))
            })?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// Forgets what is known of an account that is gone.
    ///
    /// # Errors
    /// Where the database cannot be written.
    pub fn forget_sender(&self, sender: AccountId) -> Result<()> {
        self.database.write(move |connection: &Connection| {
            for table in ["sent", "correspondent", "held_sender"] {
                connection.execute(&format!("DELETE FROM {table} WHERE sender = ?1"), params![sender.0])?;
            }
            Ok(())
        })
    }
}

fn submit(
    connection: &Connection,
    sender: AccountId,
    row: &MessageRow,
    allowance: Allowance,
    now: Timestamp,
) -> Result<Submitted> {
    if let Some(reason) = held(connection, sender)? {
        let mut count = connection
            .prepare_cached("SELECT COUNT(*) FROM message WHERE sender = ?1 AND hold IS NOT NULL")?;
        let waiting: u32 = count.query_row(params![sender.0], |row| row.get(0))?;
        if waiting >= HELD_MAX {
            return Ok(Submitted::Full);
        }
        let id = row.insert(connection)?;
        hold(connection, id, &reason)?;
        return Ok(Submitted::Held { id, reason, also: Vec::new() });
    }
    let sent = count(connection, sender, row, now)?;
    let id = row.insert(connection)?;
    let Some(reason) = sent.excess(&allowance) else { return Ok(Submitted::Queued(id)) };
    connection.execute(
        "INSERT INTO held_sender (sender, since, reason) VALUES (?1, ?2, ?3)",
        params![sender.0, now.as_millisecond(), reason],
    )?;
    let mut also = waiting_of(connection, sender)?;
    for message in &also {
        hold(connection, *message, &reason)?;
    }
    also.retain(|message| *message != id);
    Ok(Submitted::Held { id, reason, also })
}

fn held(connection: &Connection, sender: AccountId) -> Result<Option<String>> {
    let mut select = connection.prepare_cached("SELECT reason FROM held_sender WHERE sender = ?1")?;
    Ok(select.query_row(params![sender.0], |row| row.get(0)).optional()?)
}

fn waiting_of(connection: &Connection, sender: AccountId) -> Result<Vec<QueueId>> {
    let mut select = connection.prepare_cached(
        "SELECT id FROM message WHERE sender = ?1
             AND EXISTS (SELECT 1 FROM recipient WHERE message = message.id AND state = 0)",
    )?;
    let rows = select.query_map(params![sender.0], |row| row.get(0).map(QueueId))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

fn hold(connection: &Connection, message: QueueId, reason: &str) -> Result<()> {
    connection
        .prepare_cached("UPDATE recipient SET state = 3 WHERE message = ?1 AND state = 0")?
        .execute(params![message.0])?;
    connection
        .prepare_cached("UPDATE message SET hold = ?2 WHERE id = ?1")?
        .execute(params![message.0, reason])?;
    Ok(())
}

/// Counts the message, and gives the sums of the last hour and day with it.
fn count(connection: &Connection, sender: AccountId, row: &MessageRow, now: Timestamp) -> Result<Sent> {
    let moment = now.as_millisecond();
    let ago =
        |hours| now.saturating_sub(SignedDuration::from_hours(hours)).map_or(0, |time| time.as_millisecond());
    let (hour, day) = (ago(1), ago(24));
    connection
        .prepare_cached("DELETE FROM sent WHERE sender = ?1 AND moment < ?2")?
        .execute(params![sender.0, day])?;
    let new = note_correspondents(connection, sender, row, moment)?;
    let recipients = i64::try_from(row.recipients.len()).unwrap_or(i64::MAX);
    connection
        .prepare_cached("INSERT INTO sent (sender, moment, recipients, new) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![sender.0, moment, recipients, new])?;
    let mut sum = connection.prepare_cached(
        "SELECT COUNT(*), COALESCE(SUM(recipients), 0), COALESCE(SUM(new), 0) FROM sent
         WHERE sender = ?1 AND moment >= ?2",
    )?;
    let mut since = |moment: i64| {
        sum.query_row(params![sender.0, moment], |row| {
            Ok::<(i64, i64, i64), _>((row.get(0)?, row.get(1)?, row.get(2)?))
        })
    };
    let (last_hour, last_day) = (since(hour)?, since(day)?);
    Ok(Sent { messages: [last_hour.0, last_day.0], recipients: [last_hour.1, last_day.1], new: last_day.2 })
}

/// Notes to whom the user writes; gives how many of them are new.
fn note_correspondents(
    connection: &Connection,
    sender: AccountId,
    row: &MessageRow,
    moment: i64,
) -> Result<i64> {
    let mut known =
        connection.prepare_cached("SELECT 1 FROM correspondent WHERE sender = ?1 AND address = ?2")?;
    let mut note = connection.prepare_cached(
        "INSERT INTO correspondent (sender, address, last) VALUES (?1, ?2, ?3)
         ON CONFLICT (sender, address) DO UPDATE SET last = excluded.last",
    )?;
    let mut new = 0;
    for recipient in &row.recipients {
        let address = recipient.forward_path.to_string().to_lowercase();
        new += i64::from(!known.exists(params![sender.0, address])?);
        note.execute(params![sender.0, address, moment])?;
    }
    if new > 0 {
        connection
            .prepare_cached(
                "DELETE FROM correspondent WHERE sender = ?1 AND address IN (
                     SELECT address FROM correspondent WHERE sender = ?1 ORDER BY last DESC LIMIT -1 OFFSET ?2)",
            )?
            .execute(params![sender.0, CORRESPONDENTS_MAX])?;
    }
    Ok(new)
}

impl Sent {
    /// The first limit that is passed, as a clause for people.
    fn excess(&self, allowance: &Allowance) -> Option<String> {
        let ([messages_hour, messages_day], [recipients_hour, recipients_day]) =
            (self.messages, self.recipients);
        let limits = [
            (messages_hour, allowance.messages_per_hour, "messages within an hour"),
            (messages_day, allowance.messages_per_day, "messages within a day"),
            (recipients_hour, allowance.recipients_per_hour, "recipients within an hour"),
            (recipients_day, allowance.recipients_per_day, "recipients within a day"),
            (
                self.new,
                allowance.new_recipients_per_day,
                "recipients within a day to whom it had never written",
            ),
        ];
        let passed = limits.into_iter().find(|(sent, limit, _)| *limit > 0 && *sent > i64::from(*limit));
        passed.map(|(sent, limit, what)| format!("{sent} {what}, where {limit} are allowed"))
    }
}

type Released = Option<(Vec<QueueId>, Vec<String>)>;

/// The messages, and the names of the contents that are left without one.
fn release(connection: &Connection, sender: AccountId, fate: Fate, now: Timestamp) -> Result<Released> {
    if connection.execute("DELETE FROM held_sender WHERE sender = ?1", params![sender.0])? == 0 {
        return Ok(None);
    }
    connection.execute("DELETE FROM sent WHERE sender = ?1", params![sender.0])?;
    let mut select = connection
        .prepare_cached("SELECT id, content FROM message WHERE sender = ?1 AND hold IS NOT NULL")?;
    let rows = select.query_map(params![sender.0], |row| Ok((QueueId(row.get(0)?), row.get(1)?)))?;
    let (ids, contents): (Vec<QueueId>, Vec<String>) =
        rows.collect::<rusqlite::Result<Vec<_>>>()?.into_iter().unzip();
    match fate {
        Fate::Dropped => {
            connection
                .execute("DELETE FROM message WHERE sender = ?1 AND hold IS NOT NULL", params![sender.0])?;
            Ok(Some((ids, contents)))
        }
        Fate::Sent => {
            for id in &ids {
                super::inspect::let_go(connection, *id, now)?;
            }
            Ok::<_, Error>(Some((ids, Vec::new())))
        }
    }
}
