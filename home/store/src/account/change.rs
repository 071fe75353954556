//! The frame of every operation that changes an account: its mod-sequence, the counters of the mailboxes it
//! touches, and what is to be done once it is committed.

use std::cell::RefCell;

use rusqlite::{Connection, OptionalExtension, params};

use super::keywords::{Keywords, StoredFlags};
use super::{Account, EmailId, MailboxId, ModSeq, SystemFlags, Uid, UidValidity};
use crate::{Error, Result, Timestamp};

/// An operation under way inside its savepoint.
pub(super) struct Change<'c> {
    pub(super) connection: &'c Connection,
    /// The mod-sequence of everything this operation touches.
    pub(super) mod_seq: ModSeq,
    /// Blob files that nothing refers to once this is committed.
    unreferenced: RefCell<Vec<String>>,
}

impl Account {
    /// Runs `operation` in the next group commit; then tells the watchers, and removes files that are not needed.
    pub(super) fn change<T, F>(&self, operation: F) -> Result<T>
    where
        F: FnOnce(&Change<'_>) -> Result<T> + Send + 'static,
        T: Send + 'static,
    {
        self.settle(self.0.database.submit(move |connection| Change::run(connection, operation)).wait())
    }

    /// What [`Account::change`] does after the commit.
    pub(super) fn settle<T>(&self, committed: Result<Committed<T>>) -> Result<T> {
        let Committed { value, mod_seq, unreferenced } = committed?;
        self.0.mod_seq.send_if_modified(|current| {
            let rises = *current < mod_seq;
            *current = mod_seq.max(*current);
            rises
        });
        self.0.blobs.remove_files(&unreferenced);
        self.tell_indexer();
        Ok(value)
    }
}

/// An operation's result and what follows from it.
pub(super) struct Committed<T> {
    value: T,
    mod_seq: ModSeq,
    unreferenced: Vec<String>,
}

impl Change<'_> {
    pub(super) fn run<T>(
        connection: &Connection,
        operation: impl FnOnce(&Change<'_>) -> Result<T>,
    ) -> Result<Committed<T>> {
        let mod_seq = connection
            .prepare_cached("UPDATE account SET mod_seq = mod_seq + 1 RETURNING mod_seq")?
            .query_row([], |row| row.get(0))?;
        let change = Change { connection, mod_seq, unreferenced: RefCell::default() };
        let value = operation(&change)?;
        Ok(Committed { value, mod_seq, unreferenced: change.unreferenced.into_inner() })
    }

    /// Remembers a blob file to be removed after the commit.
    pub(super) fn forget_file(&self, file: String) {
        self.unreferenced.borrow_mut().push(file);
    }

    /// Runs a statement that changes rows.
    pub(super) fn execute(&self, sql: &str, parameters: impl rusqlite::Params) -> Result<usize> {
        Ok(self.connection.prepare_cached(sql)?.execute(parameters)?)
    }

    /// The account's keywords.
    pub(super) fn keywords(&self) -> Result<Keywords> {
        Keywords::load(self.connection)
    }

    /// Gives out the next UIDVALIDITY.
    pub(super) fn next_uid_validity(&self) -> Result<UidValidity> {
        let number: i64 = self
            .connection
            .prepare_cached(
                "UPDATE account SET next_uid_validity = next_uid_validity + 1 RETURNING next_uid_validity - 1",
            )?
            .query_row([], |row| row.get(0))?;
        let number = u32::try_from(number).map_err(|_| Error::Permanent("no UIDVALIDITY is left".to_owned()));
        Ok(UidValidity(number?))
    }

    /// Opens a mailbox for changes to its messages.
    pub(super) fn counters(&self, mailbox: MailboxId) -> Result<Counters> {
        self.connection
            .prepare_cached(
                "SELECT mailbox_id, uid_validity, uid_next, messages, unseen, deleted, size
                   FROM mailbox WHERE mailbox_id = ?1 AND selectable",
            )?
            .query_row([mailbox], Counters::read)
            .optional()?
            .ok_or_else(|| Error::NotFound(format!("mailbox {mailbox}")))
    }

    /// Writes back what changed in a mailbox, and in the account's size.
    pub(super) fn save(&self, counters: &Counters) -> Result<()> {
        self.execute(
            "UPDATE mailbox SET uid_next = ?2, messages = ?3, unseen = ?4, deleted = ?5, size = ?6,
                                highest_mod_seq = ?7
              WHERE mailbox_id = ?1",
            params![
                counters.mailbox,
                counters.uid_next,
                counters.messages,
                counters.unseen,
                counters.deleted,
                counters.size,
                self.mod_seq,
            ],
        )?;
        let growth = counters.size - counters.size_before;
        if growth != 0 {
            self.execute("UPDATE account SET size = size + ?1", [growth])?;
        }
        Ok(())
    }

    /// Puts an email into a mailbox under the next UID, and counts it; the caller saves the counters.
    pub(super) fn place(
        &self,
        mailbox: &mut Counters,
        email: EmailId,
        flags: &StoredFlags,
        size: i64,
    ) -> Result<Uid> {
        let uid = mailbox.next_uid()?;
        self.execute(
            "INSERT INTO message (mailbox_id, uid, email_id, flags, keywords, mod_seq, save_date)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            params![
                mailbox.mailbox,
                uid,
                email,
                flags.system.bits(),
                flags.keyword_column(),
                self.mod_seq,
                now()
            ],
        )?;
        mailbox.add(flags.system, size);
        Ok(uid)
    }
}

/// A mailbox's counters while an operation changes its messages.
#[derive(Debug)]
pub(super) struct Counters {
    pub(super) mailbox: MailboxId,
    pub(super) uid_validity: UidValidity,
    uid_next: i64,
    messages: i64,
    unseen: i64,
    deleted: i64,
    size: i64,
    size_before: i64,
}

impl Counters {
    fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Counters> {
        Ok(Counters {
            mailbox: row.get(0)?,
            uid_validity: UidValidity(row.get(1)?),
            uid_next: row.get(2)?,
            messages: row.get(3)?,
            unseen: row.get(4)?,
            deleted: row.get(5)?,
            size: row.get(6)?,
            size_before: row.get(6)?,
        })
    }

    /// Takes the next UID.
    fn next_uid(&mut self) -> Result<Uid> {
        let uid = u32::try_from(self.uid_next).ok().filter(|number| *number < u32::MAX).and_then(Uid::new);
        let uid = uid.ok_or_else(|| Error::Permanent("the mailbox has no UIDs left".to_owned()))?;
        self.uid_next += 1;
        Ok(uid)
    }

    /// Counts a message that came.
    fn add(&mut self, flags: SystemFlags, size: i64) {
        self.count(flags, size, 1);
    }

    /// Counts a message that went.
    pub(super) fn remove(&mut self, flags: SystemFlags, size: i64) {
        self.count(flags, size, -1);
    }

    /// Counts a message whose flags changed.
    pub(super) fn reflag(&mut self, from: SystemFlags, to: SystemFlags) {
        self.count(from, 0, -1);
        self.count(to, 0, 1);
    }

    fn count(&mut self, flags: SystemFlags, size: i64, sign: i64) {
        self.messages += sign;
        self.size += sign * size;
        self.unseen += if flags.contains(SystemFlags::SEEN) { 0 } else { sign };
        self.deleted += if flags.contains(SystemFlags::DELETED) { sign } else { 0 };
    }
}

/// The time for SAVEDATE, in seconds.
pub(super) fn now() -> i64 {
    Timestamp::now().as_second()
}
