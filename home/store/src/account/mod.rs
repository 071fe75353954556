//! One person's mail: mailboxes, messages, flags, and everything that happened to them.
//!
//! In: staged messages and operations, each named after what IMAP or JMAP does. Out: snapshots, changes since a
//! mod-sequence, message rows with their parsed structure, octets. Refused: what would break a UID, a counter or the
//! history. Every operation is one transaction, durable when it returns, and blocks its caller; many threads may
//! call at once, readers never wait for writers.
//!
//! The on-disk layout is told in `schema.rs`. RFC 9051 (IMAP4rev2), RFC 7162 (CONDSTORE, QRESYNC), RFC 8474
//! (OBJECTID), RFC 4314 (ACL), RFC 9208 (QUOTA), RFC 8514 (SAVEDATE), RFC 6154 (SPECIAL-USE), RFC 6851 (MOVE), RFC 8621 (JMAP Mail) as far as its
//! identities and states go.

mod flags;
mod id;
mod mailbox;
mod message;
mod name;
mod rights;
mod schema;

mod census;
mod change;
mod columns;
mod keywords;
mod parsed;
pub(crate) mod placements;
mod quota;
mod thread;

mod acl;
mod annotations;
mod append;
mod copy;
mod expunge;
mod fetch;
mod holdings;
mod mailboxes;
mod maildrop;
mod removed;
mod repair;
mod replace;
mod search;
mod snapshot;
mod sort_keys;
mod store_flags;
mod verify;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};

use tokio::sync::watch;

pub use acl::{Grant, Grantee, RightsChange, Sign};
pub use annotations::{Annotation, AnnotationChange};
pub(crate) use append::{PendingAppend, Target};
pub use census::Census;
pub use fetch::{Messages, Remaining};
pub use flags::{FlagChange, Flags, Keyword, SystemFlags};
pub use holdings::Holdings;
pub use id::{AccountId, EmailId, MailboxId, ModSeq, ThreadId, Uid, UidSet, UidValidity};
pub use mailbox::{Mailbox, SpecialUse};
pub use maildrop::{Maildrop, MaildropMessage};
pub use message::{
    Append, Appended, Changes, Copied, Detail, Email, Expunge, Header, Message, MessageState, Snapshot,
    Stored,
};
pub use name::SEPARATOR;
pub(crate) use parsed::Parsed;
pub use quota::{Limits, QuotaRoot, Usage};
pub use removed::Removed;
pub use rights::{FlagMask, Rights};
pub use sort_keys::{SortKeys, SortNumbers, ThreadLinks};

use crate::blob::BlobFiles;
use crate::db::Database;
use crate::place::Place;
use crate::search::News;
use crate::{Error, Result, files};

/// The database of an account, in its directory.
const DATABASE: &str = "account.sqlite";

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
    placements: placements::Kept,
    /// Where the indexer hears of changes.
    news: News,
    /// Whether expunged messages are kept for undelete.
    keeps_removed: AtomicBool,
}

impl From<Arc<Inner>> for Account {
    fn from(inner: Arc<Inner>) -> Account {
        Account(inner)
    }
}

impl Account {
    /// Whether the database of an account is in this directory.
    pub(crate) fn is_at(directory: &Place) -> bool {
        directory.path().join(DATABASE).exists()
    }

    pub(crate) fn open(
        directory: &Place,
        id: AccountId,
        news: News,
        placements: placements::Kept,
    ) -> Result<Account> {
        files::create_directory(directory.path())?;
        let file = directory.path().join(DATABASE);
        let blobs = directory.path().join("blobs");
        if !Account::is_at(directory)
            && std::fs::read_dir(&blobs).is_ok_and(|mut entries| entries.next().is_some())
        {
            // A new database would know none of the messages, and their files would be taken for left over.
            return Err(Error::Corrupt(format!("{}: missing, beside messages; restore it", file.display())));
        }
        placements.forget(id);
        let database = Database::open(directory.join("account.sqlite"), &schema::SCHEMA)?;
        let blobs = BlobFiles::open(directory.join("blobs"))?;
        blobs.sweep(&database)?;
        let mod_seq = database.write(begin)?;
        let mod_seq = watch::channel(mod_seq).0;
        let keeps_removed = AtomicBool::new(false);
        let search = search::LazyIndex::at(directory, database.read(search::reached)?);
        let account = Account(Arc::new(Inner {
            id,
            database,
            blobs,
            mod_seq,
            search,
            placements,
            news,
            keeps_removed,
        }));
        account.tell_indexer();
        Ok(account)
    }

    /// Opens an account that is there, to read it, also while another process has it open.
    pub(crate) fn inspect(directory: &Place, id: AccountId) -> Result<Account> {
        let database = Database::read_only(directory.join(DATABASE), &schema::SCHEMA)?;
        let blobs = BlobFiles::inspected(directory.join("blobs"));
        let (mod_seq, keeps_removed) = (watch::channel(ModSeq(0)).0, AtomicBool::new(false));
        // Nobody listens at the other end: what is only read has no news.
        let search = search::LazyIndex::at(directory, database.read(search::reached)?);
        let news = mpsc::sync_channel(0).0;
        let placements = placements::Kept::default();
        Ok(Account(Arc::new(Inner { id, database, blobs, mod_seq, search, placements, news, keeps_removed })))
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
        self.quota(QuotaRoot::Account).map(|usage| (usage.octets, usage.limits.octets))
    }

    /// From now on, expunged messages are kept for undelete; they go when they are purged.
    pub fn keep_removed(&self) {
        self.0.keeps_removed.store(true, Ordering::Relaxed);
    }

    fn fate(&self) -> expunge::Fate {
        match self.0.keeps_removed.load(Ordering::Relaxed) {
            true => expunge::Fate::Kept,
            false => expunge::Fate::Gone,
        }
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
