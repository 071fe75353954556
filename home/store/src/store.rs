//! All accounts of this home.
//!
//! ```text
//! state_dir/
//!   staging/              messages on their way in; emptied at start
//!   accounts/ID/          one account, see the module `account`
//! ```

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::account::placements::Kept;
use crate::account::{Account, AccountId, Append, Appended, Flags, MailboxId, PendingAppend, Target};
use crate::inspect::accounts_in;
use crate::place::Place;
use crate::search::Indexer;
use crate::stage::{StagedMessage, Staging};
use crate::{Error, Result, Timestamp, files};

/// The mailbox store. Cheap to clone; all clones share the open accounts.
#[derive(Debug, Clone)]
pub struct Store(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    staging: Place,
    accounts: Place,
    /// A slot for each account, so that opening one does not keep others waiting.
    open: Mutex<Slots>,
    indexer: Indexer,
    /// For SORT and THREAD, of all accounts.
    placements: Kept,
    keeps_removed: AtomicBool,
}

/// What becomes of an account that is not there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Missing {
    Made,
    Refused,
}

type Slots = HashMap<AccountId, Arc<Mutex<Option<Account>>>>;

/// One copy of a message to be delivered.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// The account.
    pub account: AccountId,
    /// The mailbox; `None` is INBOX.
    pub mailbox: Option<MailboxId>,
    /// Flags to begin with.
    pub flags: Flags,
    /// When the message was received (INTERNALDATE).
    pub internal_date: Timestamp,
}

impl Store {
    /// Opens the store below `state_dir` and empties the staging area. One process may have it open.
    ///
    /// # Errors
    /// `Temporary` or `DiskFull` if the directories cannot be made.
    pub fn open(state_dir: impl Into<Place>) -> Result<Store> {
        let state_dir = state_dir.into().admit()?;
        let staging = state_dir.join("staging");
        if staging.path().exists() {
            std::fs::remove_dir_all(staging.path()).map_err(|error| files::at(staging.path(), &error))?;
        }
        let accounts = state_dir.join("accounts");
        files::create_directory(staging.path())?;
        files::create_directory(accounts.path())?;
        Ok(Store(Arc::new(Inner {
            staging,
            accounts,
            open: Mutex::default(),
            indexer: Indexer::start()?,
            placements: Kept::default(),
            keeps_removed: AtomicBool::new(false),
        })))
    }

    /// Whether what is in it is encrypted on the disk.
    pub fn is_sealed(&self) -> bool {
        self.0.accounts.is_sealed()
    }

    /// The account `id`, opened at its first use, and made with its first mailboxes if it is new: the directory, not
    /// the store, decides which accounts there are.
    ///
    /// # Errors
    /// As for [`crate::db::Database::open`].
    pub fn account(&self, id: AccountId) -> Result<Account> {
        self.slot(id, Missing::Made)
    }

    /// The account `id`, if its database is there: what a deletion left half done is not made a new account of.
    ///
    /// # Errors
    /// `NotFound`; and as for [`Store::account`].
    pub fn existing_account(&self, id: AccountId) -> Result<Account> {
        self.slot(id, Missing::Refused)
    }

    fn slot(&self, id: AccountId, missing: Missing) -> Result<Account> {
        let slot = Arc::clone(self.slots().entry(id).or_default());
        let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(account) = &*slot {
            return Ok(account.clone());
        }
        let directory = self.0.accounts.join(id.to_string());
        if missing == Missing::Refused && !Account::is_at(&directory) {
            return Err(Error::NotFound(format!("account {id}")));
        }
        let account = Account::open(&directory, id, self.0.indexer.news(), self.0.placements.clone())?;
        if self.0.keeps_removed.load(Ordering::Relaxed) {
            account.keep_removed();
        }
        *slot = Some(account.clone());
        Ok(account)
    }

    /// Accounts that are opened from now on keep what is expunged, until [`Store::purge_removed`].
    pub fn keep_removed(&self) {
        self.0.keeps_removed.store(true, Ordering::Relaxed);
    }

    /// As [`Account::purge_removed`], in every account that is there; gives how many messages went. An account that
    /// cannot be opened does not keep the others waiting.
    ///
    /// # Errors
    /// `Temporary` when not even the accounts can be listed.
    pub fn purge_removed(&self, now: Timestamp, keep: Duration) -> Result<usize> {
        let mut purged = 0;
        for id in self.accounts()? {
            match self.existing_account(id).and_then(|account| account.purge_removed(now, keep)) {
                Ok(messages) => purged += messages,
                Err(Error::NotFound(_)) => {}
                Err(error) => tracing::warn!(account = %id, %error, "removed messages stay longer"),
            }
        }
        Ok(purged)
    }

    /// Every account that has a directory on the disk.
    ///
    /// # Errors
    /// `Temporary`
    pub fn accounts(&self) -> Result<Vec<AccountId>> {
        accounts_in(self.0.accounts.path())
    }

    fn slots(&self) -> MutexGuard<'_, Slots> {
        self.0.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Deletes the account `id` with all its mail, for good. The caller has removed the user first, so nothing is
    /// delivered to it any more; a session that still has it open reads on until it ends. A crash in the middle leaves
    /// files that belong to nobody: account numbers are never given twice.
    ///
    /// # Errors
    /// `Temporary` if the files cannot be removed.
    pub fn delete_account(&self, id: AccountId) -> Result<()> {
        self.slots().remove(&id);
        let directory = self.0.accounts.path().join(id.to_string());
        match std::fs::remove_dir_all(&directory) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(files::at(&directory, &error)),
            _ => files::sync_directory(self.0.accounts.path()),
        }
    }

    /// Begins to receive a message.
    pub fn stage(&self) -> Staging {
        Staging::new(&self.0.staging)
    }

    /// Stores `message` in each of the given places. Every copy answered `Ok` is durable when this returns. The
    /// accounts are written at the same time; one that fails does not hinder the others. One answer for each
    /// delivery, in their order. A mailbox that is gone is replaced by INBOX.
    pub fn deliver(&self, message: &Arc<StagedMessage>, deliveries: &[Delivery]) -> Vec<Result<Appended>> {
        let begun: Vec<_> =
            deliveries.iter().map(|delivery| self.begin_delivery(message, delivery)).collect();
        begun
            .into_iter()
            .map(|begun| begun.and_then(|(account, pending)| finish(&account, pending)))
            .collect()
    }

    fn begin_delivery(
        &self,
        message: &Arc<StagedMessage>,
        delivery: &Delivery,
    ) -> Result<(Account, PendingAppend)> {
        let Delivery { account, mailbox, flags, internal_date } = delivery.clone();
        let account = self.account(account)?;
        let append = Append { message: Arc::clone(message), flags, internal_date };
        let pending = account.begin_append(Target::OrInbox(mailbox), account.incoming(vec![append])?);
        Ok((account, pending))
    }
}

fn finish(account: &Account, pending: PendingAppend) -> Result<Appended> {
    let appended = account.finish_append(pending)?;
    appended.into_iter().next().ok_or_else(|| Error::Fault("a delivery stored nothing".to_owned()))
}
