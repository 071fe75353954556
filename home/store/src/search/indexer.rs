//! The thread that fills the indexes of all accounts, and packs what is sorted by, behind the mail.
//!
//! In: the news that an account has changed. Out: indexes and columns that are up to date some time later. It takes its time: changes are
//! gathered for a moment, and the thread runs at the lowest priority.

use std::collections::HashMap;
use std::sync::{Weak, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::Result;
use crate::account::{Account, AccountId, Inner};

/// How long changes are gathered.
const PAUSE: Duration = Duration::from_millis(500);
/// The priority that gives way to all others.
const LOWEST: i32 = 19;
/// Accounts whose changes wait at once; what is more is told again by their next change.
const QUEUE: usize = 1024;

/// Where changes are told.
pub(crate) type News = mpsc::SyncSender<Weak<Inner>>;

/// The thread; it ends when it and all accounts are dropped.
#[derive(Debug)]
pub(crate) struct Indexer {
    news: News,
    _thread: JoinHandle<()>,
}

impl Indexer {
    pub(crate) fn start() -> Result<Indexer> {
        let (news, queue) = mpsc::sync_channel(QUEUE);
        let builder = std::thread::Builder::new().name("search-indexer".to_owned());
        Ok(Indexer { news, _thread: builder.spawn(move || serve(&queue))? })
    }

    /// Where accounts tell of their changes.
    pub(crate) fn news(&self) -> News {
        self.news.clone()
    }
}

fn serve(queue: &mpsc::Receiver<Weak<Inner>>) {
    // On Linux this is the thread's own. Where it is refused, the thread is as the others.
    let _ = rustix::process::nice(LOWEST);
    while let Ok(first) = queue.recv() {
        std::thread::sleep(PAUSE);
        let changed = std::iter::once(first).chain(queue.try_iter()).filter_map(|account| account.upgrade());
        let accounts: HashMap<AccountId, Account> =
            changed.map(Account::from).map(|account| (account.id(), account)).collect();
        for account in accounts.into_values() {
            if let Err(error) = account.index_all() {
                tracing::warn!(account = %account.id(), %error, "the search index cannot be filled now");
            }
            if let Err(error) = account.pack_columns() {
                tracing::warn!(account = %account.id(), %error, "what is sorted by cannot be packed now");
            }
        }
    }
}
