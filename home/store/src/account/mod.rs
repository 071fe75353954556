//! One person's mail.

mod flags;
mod id;
mod mailbox;
mod message;

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use tokio::sync::watch;

pub use flags::{FlagChange, Flags, Keyword, SystemFlags};
pub use id::{AccountId, EmailId, MailboxId, ModSeq, ThreadId, Uid, UidSet, UidValidity};
pub use mailbox::{Mailbox, SpecialUse};
pub use message::{
    Append, Appended, Changes, Copied, Detail, Email, Expunge, Message, MessageState, Messages, Snapshot,
    Stored,
};

use crate::blob::BlobId;
use crate::{Error, Result};

fn later<T>() -> Result<T> {
    Err(Error::Fault("not yet".to_owned()))
}

/// An open account. Cheap to clone; every operation blocks and can be called from many threads at once.
#[derive(Debug, Clone)]
pub struct Account(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    id: AccountId,
    mod_seq: watch::Sender<ModSeq>,
}

impl Account {
    pub(crate) fn open(directory: &Path, id: AccountId) -> Result<Account> {
        let _ = directory;
        Ok(Account(Arc::new(Inner { id, mod_seq: watch::channel(ModSeq(1)).0 })))
    }

    /// The account's number.
    pub fn id(&self) -> AccountId {
        self.0.id
    }

    /// A receiver that holds the account's mod-sequence after each commit. It may skip values.
    pub fn watch(&self) -> watch::Receiver<ModSeq> {
        self.0.mod_seq.subscribe()
    }

    /// All mailboxes, parents before children, with their counts.
    pub fn mailboxes(&self) -> Result<Vec<Mailbox>> {
        later()
    }

    /// The mailbox `id`.
    ///
    /// # Errors
    /// `NotFound`
    pub fn mailbox(&self, id: MailboxId) -> Result<Mailbox> {
        let _ = id;
        later()
    }

    /// The mailbox with this name, levels separated by `/`; `INBOX` in any case.
    ///
    /// # Errors
    /// `NotFound`
    pub fn mailbox_named(&self, name: &str) -> Result<Mailbox> {
        let _ = name;
        later()
    }

    /// Makes a mailbox, and the missing ones above it.
    ///
    /// # Errors
    /// `Conflict` if it exists, or another mailbox has that special use; `Permanent` for a name that cannot be.
    pub fn create_mailbox(&self, name: &str, special_use: Option<SpecialUse>) -> Result<Mailbox> {
        let _ = (name, special_use);
        later()
    }

    /// Renames a mailbox and those below it. Renaming INBOX moves its messages into a new mailbox and leaves it
    /// empty (RFC 9051 §6.3.6). The new name becomes subscribed if the old one was.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` if the new name exists; `Permanent` for a name that cannot be.
    pub fn rename_mailbox(&self, from: &str, to: &str) -> Result<()> {
        let _ = (from, to);
        later()
    }

    /// Deletes a mailbox with its messages. One that has mailboxes below it stays as a name that cannot be selected.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` for a name that cannot be selected and has mailboxes below; `Permanent` for INBOX.
    pub fn delete_mailbox(&self, name: &str) -> Result<()> {
        let _ = name;
        later()
    }

    /// Adds a name, existing or not, to the subscriptions.
    pub fn subscribe(&self, name: &str) -> Result<()> {
        let _ = name;
        later()
    }

    /// Removes a name from the subscriptions, if it is there.
    pub fn unsubscribe(&self, name: &str) -> Result<()> {
        let _ = name;
        later()
    }

    /// The subscribed names, sorted; some may have no mailbox (any more).
    pub fn subscriptions(&self) -> Result<Vec<String>> {
        later()
    }

    /// The mailbox with the state of all its messages in UID order, as of one moment.
    pub fn snapshot(&self, mailbox: MailboxId) -> Result<Snapshot> {
        let _ = mailbox;
        later()
    }

    /// Takes the `\Recent` messages: gives the UID from which on messages are recent for the caller's session, and
    /// makes them not recent for any later one (RFC 3501 §2.3.2).
    pub fn claim_recent(&self, mailbox: MailboxId) -> Result<u32> {
        let _ = mailbox;
        later()
    }

    /// What happened in the mailbox after `since`: messages added or changed, and UIDs gone (VANISHED, RFC 7162).
    pub fn changes_since(&self, mailbox: MailboxId, since: ModSeq) -> Result<Changes> {
        let _ = (mailbox, since);
        later()
    }

    /// Stores messages at the end of the mailbox, all or none (MULTIAPPEND). Durable on return.
    ///
    /// # Errors
    /// `NotFound` (TRYCREATE), `OverQuota`, `DiskFull`, `Temporary`.
    pub fn append(&self, mailbox: MailboxId, messages: Vec<Append>) -> Result<Vec<Appended>> {
        let _ = (mailbox, messages);
        later()
    }

    /// Changes flags. Messages changed after `unchanged_since` are left alone and listed (RFC 7162 §3.1.3).
    pub fn store_flags(
        &self,
        mailbox: MailboxId,
        uids: &UidSet,
        change: FlagChange,
        unchanged_since: Option<ModSeq>,
    ) -> Result<Stored> {
        let _ = (mailbox, uids, change, unchanged_since);
        later()
    }

    /// Copies messages with their flags, all or none. UIDs that are gone are passed over.
    ///
    /// # Errors
    /// `NotFound` for a mailbox that is not there (TRYCREATE), `OverQuota`.
    pub fn copy(&self, from: MailboxId, uids: &UidSet, to: MailboxId) -> Result<Copied> {
        let _ = (from, uids, to);
        later()
    }

    /// Moves messages, all or none, in one step (RFC 6851).
    pub fn move_messages(&self, from: MailboxId, uids: &UidSet, to: MailboxId) -> Result<Copied> {
        let _ = (from, uids, to);
        later()
    }

    /// Removes messages for good and gives the UIDs that went.
    pub fn expunge(&self, mailbox: MailboxId, which: Expunge) -> Result<UidSet> {
        let _ = (mailbox, which);
        later()
    }

    /// The messages of the mailbox with these UIDs, ascending, read in chunks as the iterator goes.
    pub fn messages(&self, mailbox: MailboxId, uids: UidSet, detail: Detail) -> Messages {
        Messages { account: self.clone(), mailbox, uids, detail }
    }

    /// Octets of a stored message; the range is cut at the message's end.
    ///
    /// # Errors
    /// `NotFound` when the last copy has been expunged.
    pub fn read_blob(&self, blob: BlobId, range: Range<u64>) -> Result<Vec<u8>> {
        let _ = (blob, range);
        later()
    }
}
