//! SEARCH for texts: asks the account's index, and fills it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, params};

use super::{Account, EmailId, MailboxId, ModSeq, UidSet};
use crate::blob::BlobId;
use crate::place::Place;
use crate::search::text::{self, Enough};
use crate::search::{Column, Document, Field, Hits, Index, Progress};
use crate::structure::Structure;
use crate::{Error, Result, files};

/// Emails indexed in one commit.
const BATCH: u32 = 256;
/// Terms after which a commit takes no more emails.
const BATCH_TERMS: usize = 60_000;

/// Destroyed emails whose words an index may keep, however few emails there are.
const MOST_DESTROYED: u64 = 1000;

/// The index, opened when it is first used. Each one that is made has a number of its own in its name, so that whoever still
/// holds one that was given up does not meet the files of the next.
#[derive(Debug)]
pub(super) struct LazyIndex {
    directory: Place,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    open: Option<Arc<Index>>,
    /// How far the account was when it was opened, until an index has been compared with it.
    account: Option<Progress>,
}

impl LazyIndex {
    pub(super) fn at(directory: &Place, account: Progress) -> LazyIndex {
        let state = State { open: None, account: Some(account) };
        LazyIndex { directory: directory.clone(), state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn get(&self) -> Result<Arc<Index>> {
        let mut state = self.state();
        if let Some(index) = &state.open {
            return Ok(index.clone());
        }
        let latest = self.numbers()?.last().copied().unwrap_or(1);
        let index = match self.open_known(latest, state.account) {
            Err(Error::Corrupt(_) | Error::Permanent(_) | Error::NewerSchema { .. }) => {
                self.begin(latest + 1)
            }
            other => other,
        }?;
        state.account = None;
        Ok(state.open.insert(Arc::new(index)).clone())
    }

    /// Opens an index; one that knows more than the account did when it was opened is of another history.
    fn open_known(&self, number: u32, account: Option<Progress>) -> Result<Index> {
        let index = Index::open(&self.place(number))?;
        let progress = index.progress()?;
        if account.is_some_and(|account| progress.is_beyond(account)) {
            return Err(Error::Corrupt("the search index is newer than the account".to_owned()));
        }
        Ok(index)
    }

    /// Makes an index of this number, and removes those before it.
    fn begin(&self, number: u32) -> Result<Index> {
        tracing::warn!(path = %self.place(number).path().display(), "the search index is made anew");
        let index = Index::open(&self.place(number))?;
        for old in self.numbers()?.into_iter().filter(|old| *old < number) {
            Index::remove(self.place(old).path())?;
        }
        Ok(index)
    }

    /// Asks the index; what then fails is its own fault.
    fn ask<T>(&self, index: &Arc<Index>, ask: impl FnOnce(&Index) -> Result<T>) -> Result<T> {
        ask(index).inspect_err(|error| self.give_up(index, error))
    }

    /// The next use opens the file again, or meets another where this one is damaged.
    fn give_up(&self, failed: &Arc<Index>, error: &Error) {
        if !matches!(error, Error::Corrupt(_)) {
            self.state().open.take_if(|index| Arc::ptr_eq(index, failed));
        } else if let Err(error) = self.replace(failed) {
            tracing::warn!(%error, "no other search index can be made now");
        }
    }

    /// Makes an empty index in the place of this one, unless somebody else has done so.
    fn replace(&self, old: &Arc<Index>) -> Result<()> {
        let mut state = self.state();
        if state.open.take_if(|index| Arc::ptr_eq(index, old)).is_some() {
            let latest = self.numbers()?.last().copied().unwrap_or(0);
            state.open = Some(Arc::new(self.begin(latest + 1)?));
        }
        Ok(())
    }

    fn place(&self, number: u32) -> Place {
        self.directory.join(format!("search-{number}.sqlite"))
    }

    /// The numbers of the indexes that are there, ascending.
    fn numbers(&self) -> Result<Vec<u32>> {
        let directory = self.directory.path();
        let entries = std::fs::read_dir(directory).map_err(|error| files::at(directory, &error))?;
        let number = |name: &str| name.strip_prefix("search-")?.strip_suffix(".sqlite")?.parse().ok();
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let mut numbers: Vec<u32> = names.filter_map(|name| number(&name)).collect();
        numbers.sort_unstable();
        Ok(numbers)
    }
}

/// How far the account is: the last email that it gave a number, and the last change.
pub(super) fn reached(connection: &Connection) -> Result<Progress> {
    let last =
        "SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'email'), 0), mod_seq FROM account";
    let read = |row: &rusqlite::Row<'_>| Ok(Progress { email: row.get(0)?, mod_seq: row.get(1)? });
    Ok(connection.query_row(last, [], read)?)
}

impl Account {
    /// What the index says of a text in a field; nothing where it cannot tell, and the messages must be read.
    pub fn find_text(&self, field: Field, needle: &str) -> Option<Hits> {
        let search = &self.0.search;
        let found = search.get().and_then(|index| search.ask(&index, |index| index.find(field, needle)));
        found.unwrap_or_else(|error| {
            tracing::warn!(%error, "the search index cannot be asked; messages are read instead");
            None
        })
    }

    /// UIDs of the mailbox's messages that may hold what was asked for: those that the index names, and those that it does
    /// not know yet.
    ///
    /// # Errors
    /// `Temporary`
    pub fn uids_of_hits(&self, mailbox: MailboxId, hits: &Hits) -> Result<UidSet> {
        self.0.database.read(|connection| {
            let mut uids = Vec::new();
            let mut one = connection
                .prepare_cached("SELECT uid FROM message WHERE email_id = ?1 AND mailbox_id = ?2")?;
            for email in hits.emails() {
                for uid in one.query_map(params![email, mailbox], |row| row.get(0))? {
                    uids.push(uid?);
                }
            }
            let mut newer = connection.prepare_cached(
                "SELECT uid FROM message INDEXED BY message_email WHERE email_id > ?1 AND mailbox_id = ?2",
            )?;
            for uid in newer.query_map(params![hits.known(), mailbox], |row| row.get(0))? {
                uids.push(uid?);
            }
            Ok(uids.into_iter().collect())
        })
    }

    /// Brings the index up to date.
    ///
    /// # Errors
    /// `Temporary`, `DiskFull`; the index is then as far as it was.
    pub fn index_all(&self) -> Result<()> {
        loop {
            let index = self.0.search.get()?;
            match self.index_batch(&index)? {
                Batch::Full => {}
                Batch::Last if self.is_mostly_of_the_dead(&index)? => {
                    self.0.search.replace(&index)?;
                }
                Batch::Last => return Ok(()),
            }
        }
    }

    /// Whether the index knows more emails that are gone than there are.
    fn is_mostly_of_the_dead(&self, index: &Arc<Index>) -> Result<bool> {
        let destroyed = self.0.search.ask(index, Index::destroyed)?;
        if destroyed <= MOST_DESTROYED {
            return Ok(false);
        }
        let emails: u64 = self.0.database.read(|connection| {
            Ok::<_, Error>(connection.query_row("SELECT count(*) FROM email", [], |row| row.get(0))?)
        })?;
        Ok(destroyed > emails)
    }

    /// A full queue means that the indexer has enough to do; the next change tells of this one too.
    pub(super) fn tell_indexer(&self) {
        let _ = self.0.news.try_send(Arc::downgrade(&self.0));
    }

    fn index_batch(&self, index: &Arc<Index>) -> Result<Batch> {
        let from = self.0.search.ask(index, Index::progress)?;
        let Work { emails, destroyed, mod_seq } =
            self.0.database.read(|connection| Work::after(connection, from))?;
        let batch = if emails.len() < BATCH as usize { Batch::Last } else { Batch::Full };
        if emails.is_empty() && destroyed.is_empty() {
            return Ok(batch);
        }
        let (mut documents, mut terms, mut last, mut batch) = (Vec::new(), 0, from.email, batch);
        for email in &emails {
            if terms >= BATCH_TERMS {
                batch = Batch::Full;
                break;
            }
            last = email.id;
            match self.document(email) {
                Ok(document) => {
                    terms += document.size();
                    documents.push(document);
                }
                Err(Error::NotFound(_)) => {}
                Err(error @ Error::Corrupt(_)) => {
                    tracing::error!(account = %self.0.id, email = %email.id, %error, "a message cannot be read");
                    documents.push(Document::unreadable(email.id));
                }
                Err(error) => return Err(error),
            }
        }
        let to = Progress { email: last, mod_seq };
        self.0.search.ask(index, |index| index.advance(documents, destroyed, from, to))?;
        Ok(batch)
    }

    fn document(&self, email: &Unindexed) -> Result<Document> {
        let read = |range| self.read_blob(email.blob, range);
        let mut document = Document::new(email.id);
        for field in text::fields(&read(text::header_range(email.header_size))?) {
            document.add(Column::of_field(&field.name), &field.value);
            document.add(Column::Header, &field.name);
        }
        text::visit_body(&email.structure.as_ref().map_err(Clone::clone)?.root, read, |text| {
            document.add(Column::Body, text);
            Enough::when(document.is_partial())
        })?;
        Ok(document)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Batch {
    Full,
    Last,
}

/// An email that the index does not know.
struct Unindexed {
    id: EmailId,
    blob: BlobId,
    header_size: u64,
    /// A damaged one is this message's misfortune alone.
    structure: Result<Structure>,
}

/// What there is to do for the index.
struct Work {
    emails: Vec<Unindexed>,
    destroyed: Vec<EmailId>,
    mod_seq: ModSeq,
}

impl Work {
    fn after(connection: &Connection, from: Progress) -> Result<Work> {
        let mut statement = connection.prepare_cached(
            "SELECT email_id, blob_id, header_size, structure FROM email JOIN email_structure USING (email_id)
              WHERE email_id > ?1 ORDER BY email_id LIMIT ?2",
        )?;
        let mut rows = statement.query(params![from.email, BATCH])?;
        let mut emails = Vec::new();
        while let Some(row) = rows.next()? {
            let structure = Structure::decode(row.get_ref(3)?.as_blob().map_err(rusqlite::Error::from)?);
            emails.push(Unindexed {
                id: row.get(0)?,
                blob: row.get(1)?,
                header_size: row.get(2)?,
                structure,
            });
        }
        let mut statement = connection
            .prepare_cached("SELECT email_id FROM email_tombstone WHERE mod_seq > ?1 AND email_id <= ?2")?;
        let destroyed = statement.query_map(params![from.mod_seq, from.email], |row| row.get(0))?;
        let destroyed = destroyed.collect::<Result<_, _>>()?;
        let mod_seq =
            connection.prepare_cached("SELECT mod_seq FROM account")?.query_row([], |row| row.get(0))?;
        Ok(Work { emails, destroyed, mod_seq })
    }
}

#[cfg(test)]
mod tests;
