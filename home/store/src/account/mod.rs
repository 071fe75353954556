//! One person's mail: mailboxes, messages, flags, and everything that happened to them.
//!
//! In: staged messages and operations, each named after what IMAP or JMAP does. Out: snapshots, changes since a
//! mod-sequence, message rows with their parsed structure, octets. Refused: what would break a UID, a counter or the
//! history. Every operation is one transaction, durable when it returns, and blocks its caller; many threads may
//! call at once, readers never wait for writers.
//!
//! The on-disk layout is told in `schema.rs`. RFC 9051 (IMAP4rev2), RFC 7162 (CONDSTORE, QRESYNC), RFC 8474
//! (OBJECTID), RFC 8514 (SAVEDATE), RFC 6154 (SPECIAL-USE), RFC 6851 (MOVE), RFC 8621 (JMAP Mail) as far as its
//! identities and states go.

mod flags;
mod id;
mod mailbox;
mod message;
mod name;
mod schema;

mod change;
mod keywords;
mod parsed;
mod thread;

mod append;
mod copy;
mod expunge;
mod fetch;
mod mailboxes;
mod maildrop;
mod search;
mod snapshot;
mod sort_keys;
mod store_flags;
mod verify;

use std::path::Path;
use std::sync::Arc;

use tokio::sync::watch;

pub(crate) use append::{PendingAppend, Target};
pub use fetch::Messages;
pub use flags::{FlagChange, Flags, Keyword, SystemFlags};
pub use id::{AccountId, EmailId, MailboxId, ModSeq, ThreadId, Uid, UidSet, UidValidity};
pub use mailbox::{Mailbox, SpecialUse};
pub use maildrop::{Maildrop, MaildropMessage};
pub use message::{
    Append, Appended, Changes, Copied, Detail, Email, Expunge, Message, MessageState, Snapshot, Stored,
};
pub use name::SEPARATOR;
pub(crate) use parsed::Parsed;
pub use sort_keys::{SortKeys, ThreadLinks};

use crate::blob::BlobFiles;
use crate::db::Database;
use crate::search::News;
use crate::{Error, Result, files};

/// An open account. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Account(Arc<Inner>);

#[derive(Debug)]
pub(crate) struct Inner {
    id: AccountId,
    database: Database,
    blobs: BlobFiles,
    mod_seq: watch::Sender<ModSeq>,
    search: search::LazyIndex,
    /// Where the indexer hears of changes.
    news: News,
}

impl From<Arc<Inner>> for Account {
    fn from(inner: Arc<Inner>) -> Account {
        Account(inner)
    }
}

impl Account {
    pub(crate) fn open(directory: &Path, id: AccountId, news: News) -> Result<Account> {
        files::create_directory(directory)?;
        let database = Database::open(&directory.join("account.sqlite"), &schema::SCHEMA)?;
        let blobs = BlobFiles::open(directory.join("blobs"))?;
        blobs.sweep(&database)?;
        let mod_seq = database.write(begin)?;
        let mod_seq = watch::channel(mod_seq).0;
        let search = search::LazyIndex::at(directory);
        let account = Account(Arc::new(Inner { id, database, blobs, mod_seq, search, news }));
        account.tell_indexer();
        Ok(account)
    }

    /// The account's number.
    pub fn id(&self) -> AccountId {
        self.0.id
    }

    /// A receiver that holds the account's mod-sequence after each commit. It may skip values.
    pub fn watch(&self) -> watch::Receiver<ModSeq> {
        self.0.mod_seq.subscribe()
    }

    /// Octets in the account, and its quota in octets if it has one.
    ///
    /// # Errors
    /// `Temporary`
    pub fn usage(&self) -> Result<(u64, Option<u64>)> {
        self.0.database.read(|connection| {
            let mut statement = connection.prepare_cached("SELECT size, quota FROM account")?;
            Ok(statement.query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?)
        })
    }

    /// Sets the quota in octets, or takes it away. An account above its quota keeps what it has.
    ///
    /// # Errors
    /// `Temporary`
    pub fn set_quota(&self, quota: Option<u64>) -> Result<()> {
        self.change(move |change| {
            change.execute("UPDATE account SET quota = ?1", [quota])?;
            Ok(())
        })
    }
}

/// Makes the first rows of a new account; gives the mod-sequence of any.
fn begin(connection: &rusqlite::Connection) -> Result<ModSeq> {
    use rusqlite::OptionalExtension;
    let current = "SELECT mod_seq FROM account";
    if let Some(mod_seq) = connection.query_row(current, [], |row| row.get(0)).optional()? {
        return Ok(mod_seq);
    }
    // Half of the numbers are left even if the clock is wrong by decades.
    let validity = change::now().clamp(1, i64::from(i32::MAX));
    connection
        .execute("INSERT INTO account (id, mod_seq, next_uid_validity) VALUES (1, 0, ?1)", [validity])?;
    change::Change::run(connection, mailboxes::create_first)?;
    Ok::<_, Error>(connection.query_row(current, [], |row| row.get(0))?)
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
