//! What POP3 does with a mailbox: one list when it begins, one operation when it ends well.

use rusqlite::params;

use super::{Account, Expunge, FlagChange, Flags, MailboxId, SystemFlags, Uid, UidSet, UidValidity};
use super::{expunge, mailboxes, store_flags};
use crate::Result;
use crate::blob::BlobId;

/// The messages of a mailbox as POP3 sees them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Maildrop {
    /// Generation of the UIDs.
    pub uid_validity: UidValidity,
    /// In UID order.
    pub messages: Vec<MaildropMessage>,
}

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MaildropMessage {
    /// Its UID.
    pub uid: Uid,
    /// Where its octets are.
    pub blob: BlobId,
    /// How many they are.
    pub size: u64,
}

impl Account {
    /// All messages of the mailbox, as of one moment.
    ///
    /// # Errors
    /// `NotFound` for a mailbox that is not there or cannot be selected.
    pub fn maildrop(&self, mailbox: MailboxId) -> Result<Maildrop> {
        self.0.database.read(|connection| {
            let mailbox = mailboxes::selectable(connection, mailbox)?;
            let mut statement = connection.prepare_cached(
                "SELECT uid, blob_id, size FROM message CROSS JOIN email USING (email_id)
                  WHERE mailbox_id = ?1 ORDER BY uid",
            )?;
            let messages = statement.query_map(params![mailbox.id], |row| {
                Ok(MaildropMessage { uid: row.get(0)?, blob: row.get(1)?, size: row.get(2)? })
            })?;
            let messages = messages.collect::<Result<_, _>>()?;
            Ok(Maildrop { uid_validity: mailbox.uid_validity, messages })
        })
    }

    /// Removes messages for good and marks others as read, both or neither (UPDATE, RFC 1939 §6).
    ///
    /// # Errors
    /// `NotFound` for the mailbox.
    pub fn update_maildrop(&self, mailbox: MailboxId, deleted: UidSet, retrieved: UidSet) -> Result<()> {
        let seen = Flags { system: SystemFlags::SEEN, ..Flags::default() };
        let fate = self.fate();
        self.change(move |change| {
            expunge::expunge(change, mailbox, &Expunge::Exactly(deleted), fate)?;
            store_flags::apply(change, mailbox, &retrieved, &FlagChange::Add(seen), None)?;
            Ok(())
        })
    }
}
