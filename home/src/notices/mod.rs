//! Notices: what the owner should know of without having asked.
//!
//! In: conditions that [`watch`] sees in the status, on the disk and in the queue, and those that other parts raise and
//! resolve. Out: one letter, and where it is configured one call of a webhook and of ntfy, when something begins, a week
//! later if it lasts, and when it is over. Refused: the same thing twice within an hour, and what ends by itself before its
//! patience does ([`Kind::patience`]).
//!
//! What is known is kept in the directory (`setting`, name `notices`), so that a restart tells nothing again.

mod kind;

mod book;
mod letter;
mod teller;
mod watch;

use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use postern_store::directory::{Directory, DirectoryError};

pub use book::{Entry, Telling};
pub use kind::Kind;
pub use teller::{Outcome, Teller};
pub use watch::Watcher;

use book::Book;

/// The name under which the directory keeps the book.
const SETTING: &str = "notices";

/// Something that a person should look at, as long as it lasts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// What it is about.
    pub kind: Kind,
    /// Which of its kind: a domain, a user, a name server. The same kind and subject is the same condition.
    pub subject: String,
    /// Sentences that say what is wrong and how to mend it.
    pub text: String,
}

impl Condition {
    /// A condition.
    pub fn new(kind: Kind, subject: impl ToString, text: impl Into<String>) -> Self {
        Self { kind, subject: subject.to_string(), text: text.into() }
    }
}

/// What is told and what is to be told; clones share it.
#[derive(Clone)]
pub struct Notices {
    directory: Directory,
    book: Arc<Mutex<Book>>,
}

impl Notices {
    /// Takes up what was known before the last stop; nothing where that cannot be understood.
    ///
    /// # Errors
    /// [`DirectoryError::Storage`] when the directory cannot be read.
    pub fn open(directory: Directory) -> Result<Self, DirectoryError> {
        let kept = directory.setting(SETTING)?;
        let book = kept.and_then(|kept| serde_json::from_slice(&kept).ok()).unwrap_or_default();
        Ok(Self { directory, book: Arc::new(Mutex::new(book)) })
    }

    /// Says that something has begun, or lasts. It is told within a minute of its kind's patience, and stays open until it is
    /// resolved. Blocks on the disk where it is new.
    pub fn raise(&self, kind: Kind, subject: &str, text: &str) {
        let condition = Condition::new(kind, subject, text);
        self.change(|book| book.raise(condition, Timestamp::now()));
    }

    /// Says that it is over; nothing happens where it is not open. Blocks on the disk where it was.
    pub fn resolve(&self, kind: Kind, subject: &str) {
        self.change(|book| book.resolve(kind, subject, Timestamp::now()));
    }

    /// What is open, and what has ended lately.
    pub fn entries(&self) -> Vec<Entry> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner).entries().cloned().collect()
    }

    /// Takes up a look at all that is watched, and gives what is to be told now. Blocks on the disk.
    fn look(&self, conditions: Vec<Condition>) -> Vec<(Telling, Entry)> {
        self.change(|book| book.look(conditions, Timestamp::now()));
        self.book.lock().unwrap_or_else(PoisonError::into_inner).due(Timestamp::now())
    }

    /// Notes that these were told. Blocks on the disk.
    fn note_told(&self, told: &[(Telling, Entry)]) {
        self.change(|book| book.note_told(told, Timestamp::now()));
    }

    /// Makes the change, and keeps the book where it became another.
    fn change(&self, change: impl FnOnce(&mut Book)) {
        let mut book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        let before = serde_json::to_vec(&*book).unwrap_or_default();
        change(&mut book);
        let after = serde_json::to_vec(&*book).unwrap_or_default();
        if after != before
            && let Err(error) = self.directory.set_setting(SETTING, after)
        {
            tracing::warn!(%error, "the notices cannot be kept; after a restart some may come again");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_raised_is_known_after_a_restart() {
        let state = tempfile::tempdir().expect("a directory");
        let open = || Notices::open(Directory::open(state.path()).expect("opened")).expect("opened");
        let notices = open();
        notices.raise(Kind::Account, "ana@home.example", "The account sends too much.");
        drop(notices);
        let notices = open();
        assert_eq!(notices.entries().len(), 1);
        notices.resolve(Kind::Account, "ana@home.example");
        drop(notices);
        assert!(open().entries().iter().all(|entry| entry.ended.is_some()));
    }
}
