//! SELECT and resynchronisation: the state of all messages, and what happened since.

use rusqlite::{Connection, Row, params};

use super::keywords::{Keywords, StoredFlags};
use super::placements::{Placement, State};
use super::{
    Account, Changes, Keyword, Mailbox, MailboxId, MessageState, ModSeq, Snapshot, SystemFlags, UidSet,
};
use crate::{Error, Result};

impl Account {
    /// The mailbox with the state of all its messages in UID order, as of one moment.
    ///
    /// # Errors
    /// `NotFound` for a mailbox that is not there or cannot be selected.
    pub fn snapshot(&self, mailbox: MailboxId) -> Result<Snapshot> {
        self.0.database.read(|connection| {
            let mailbox = super::mailboxes::selectable(connection, mailbox)?;
            let messages = self.all_states(connection, &mailbox)?;
            let recent: u32 = connection
                .prepare_cached("SELECT recent_from FROM mailbox WHERE mailbox_id = ?1")?
                .query_row([mailbox.id], |row| row.get(0))?;
            Ok(Snapshot { mailbox, messages, recent })
        })
    }

    /// Takes the `\Recent` messages: gives the UID from which on messages are recent for the caller's session, and
    /// makes them not recent for any later one (RFC 3501 §2.3.2). SELECT does this, EXAMINE does not.
    ///
    /// # Errors
    /// `NotFound` for the mailbox.
    pub fn claim_recent(&self, mailbox: MailboxId) -> Result<u32> {
        let (from, next) = self.0.database.read(|connection| recent(connection, mailbox))?;
        if from == next {
            return Ok(from);
        }
        self.0.database.write(move |connection| {
            let (from, next) = recent(connection, mailbox)?;
            connection
                .prepare_cached("UPDATE mailbox SET recent_from = ?2 WHERE mailbox_id = ?1")?
                .execute(params![mailbox, next])?;
            Ok(from)
        })
    }

    /// Messages that no session has claimed as `\Recent`. They are counted one by one, and may be all there are, so
    /// that nothing but STATUS asks.
    ///
    /// # Errors
    /// `Temporary`
    pub fn unclaimed(&self, mailbox: MailboxId) -> Result<u32> {
        self.0.database.read(|connection| {
            let sql = "SELECT count(*) FROM message
                        WHERE mailbox_id = ?1 AND uid >= (SELECT recent_from FROM mailbox WHERE mailbox_id = ?1)";
            Ok(connection.prepare_cached(sql)?.query_row([mailbox], |row| row.get(0))?)
        })
    }

    /// What happened in the mailbox after `since`: messages added or changed, and UIDs gone (VANISHED, RFC 7162).
    ///
    /// # Errors
    /// `NotFound` for the mailbox.
    pub fn changes_since(&self, mailbox: MailboxId, since: ModSeq) -> Result<Changes> {
        self.0.database.read(|connection| {
            let mailbox = super::mailboxes::selectable(connection, mailbox)?;
            if mailbox.highest_mod_seq <= since {
                return Ok(Changes { mailbox, changed: Vec::new(), vanished: UidSet::default() });
            }
            let changed = states_since(connection, mailbox.id, since)?;
            let vanished = vanished(connection, mailbox.id, since)?;
            Ok(Changes { mailbox, changed, vanished })
        })
    }

    /// Octets of the messages with `\Deleted` (RFC 9208 §4.1.4). Looked up only where the counter says there are any.
    ///
    /// # Errors
    /// `Temporary`
    pub fn deleted_size(&self, mailbox: MailboxId) -> Result<u64> {
        self.0.database.read(|connection| {
            let sql = "SELECT coalesce(sum(size), 0) FROM message CROSS JOIN email USING (email_id)
                        WHERE mailbox_id = ?1 AND message.flags & ?2
                          AND (SELECT deleted FROM mailbox WHERE mailbox_id = ?1) > 0";
            let deleted = SystemFlags::DELETED.bits();
            Ok(connection.prepare_cached(sql)?.query_row(params![mailbox, deleted], |row| row.get(0))?)
        })
    }

    /// The state of all messages; keeps which emails they are.
    fn all_states(&self, connection: &Connection, mailbox: &Mailbox) -> Result<Vec<MessageState>> {
        let keywords = Keywords::load(connection)?;
        let mut statement = connection.prepare_cached(
            "SELECT uid, mod_seq, flags, keywords, email_id FROM message WHERE mailbox_id = ?1 ORDER BY uid",
        )?;
        let count = usize::try_from(mailbox.messages).unwrap_or_default();
        let (mut states, mut placements) = (Vec::with_capacity(count), Vec::with_capacity(count));
        let mut rows = statement.query([mailbox.id])?;
        while let Some(row) = rows.next()? {
            let state = state(&keywords, row)?;
            placements.push(Placement { uid: state.uid, mod_seq: state.mod_seq, email: row.get(4)? });
            states.push(state);
        }
        let highest_mod_seq = mailbox.highest_mod_seq;
        self.0
            .placements
            .keep(State { account: self.0.id, mailbox: mailbox.id, highest_mod_seq }, placements);
        Ok(states)
    }

    /// Every keyword that was ever set in the account (FLAGS, PERMANENTFLAGS).
    ///
    /// # Errors
    /// `Temporary`
    pub fn keywords(&self) -> Result<Vec<Keyword>> {
        self.0.database.read(|connection| Ok(Keywords::load(connection)?.all()))
    }
}

fn states_since(connection: &Connection, mailbox: MailboxId, since: ModSeq) -> Result<Vec<MessageState>> {
    let keywords = Keywords::load(connection)?;
    let mut statement = connection.prepare_cached(
        "SELECT uid, mod_seq, flags, keywords FROM message INDEXED BY message_mod_seq
          WHERE mailbox_id = ?1 AND mod_seq > ?2 ORDER BY uid",
    )?;
    let rows = statement.query_map(params![mailbox, since], |row| state(&keywords, row))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn state(keywords: &Keywords, row: &Row<'_>) -> rusqlite::Result<MessageState> {
    let flags = keywords.resolve(&StoredFlags::read(row, 2)?);
    Ok(MessageState { uid: row.get(0)?, mod_seq: row.get(1)?, flags })
}

fn vanished(connection: &Connection, mailbox: MailboxId, since: ModSeq) -> Result<UidSet> {
    let mut statement = connection
        .prepare_cached("SELECT uid_first, uid_last FROM expunged WHERE mailbox_id = ?1 AND mod_seq > ?2")?;
    let rows = statement.query_map(params![mailbox, since], |row| Ok(row.get(0)?..=row.get(1)?))?;
    let ranges: Vec<std::ops::RangeInclusive<u32>> = rows.collect::<Result<_, _>>()?;
    Ok(UidSet::from_ranges(ranges))
}

fn recent(connection: &Connection, mailbox: MailboxId) -> Result<(u32, u32)> {
    connection
        .prepare_cached("SELECT recent_from, uid_next FROM mailbox WHERE mailbox_id = ?1 AND selectable")?
        .query_row([mailbox], |row| Ok((row.get(0)?, row.get(1)?)))
        .map_err(|error| match error {
            rusqlite::Error::QueryReturnedNoRows => Error::NotFound(format!("mailbox {mailbox}")),
            other => other.into(),
        })
}
