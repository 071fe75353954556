//! SEARCH for texts: asks the account's index, and fills it.

use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, params};

use super::{Account, EmailId, MailboxId, ModSeq, UidSet};
use crate::blob::BlobId;
use crate::place::Place;
use crate::search::text::{self, Enough};
use crate::search::{Column, Document, Field, Hits, Index, Progress};
use crate::structure::Structure;
use crate::{Error, Result};

/// Emails indexed in one commit.
const BATCH: u32 = 64;
/// Terms after which a commit takes no more emails.
const BATCH_TERMS: usize = 60_000;

/// The index, opened when it is first used.
#[derive(Debug)]
pub(super) struct LazyIndex {
    place: Place,
    open: Mutex<Option<Arc<Index>>>,
}

impl LazyIndex {
    pub(super) fn at(directory: &Place) -> LazyIndex {
        LazyIndex { place: directory.join("search.sqlite"), open: Mutex::new(None) }
    }

    fn get(&self) -> Result<Arc<Index>> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(index) = &*open {
            return Ok(index.clone());
        }
        Ok(open.insert(Arc::new(Index::open(&self.place)?)).clone())
    }

    /// The next use opens the file again; a damaged one goes first.
    fn give_up(&self, error: &Error) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        *open = None;
        if let Error::Corrupt(_) = error
            && let Err(error) = Index::remove(self.place.path())
        {
            tracing::warn!(path = %self.place.path().display(), %error, "the damaged search index cannot be removed");
        }
    }
}

impl Account {
    /// What the index says of a text in a field; nothing where it cannot tell, and the messages must be read.
    pub fn find_text(&self, field: Field, needle: &str) -> Option<Hits> {
        let found = self.0.search.get().and_then(|index| index.find(field, needle));
        found.unwrap_or_else(|error| {
            tracing::warn!(%error, "the search index cannot be asked; messages are read instead");
            self.0.search.give_up(&error);
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
        let index = self.0.search.get()?;
        loop {
            match self.index_batch(&index).inspect_err(|error| self.0.search.give_up(error))? {
                Batch::Full => {}
                Batch::Last => return Ok(()),
            }
        }
    }

    /// A full queue means that the indexer has enough to do; the next change tells of this one too.
    pub(super) fn tell_indexer(&self) {
        let _ = self.0.news.try_send(Arc::downgrade(&self.0));
    }

    fn index_batch(&self, index: &Index) -> Result<Batch> {
        let from = index.progress()?;
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
                }
                Err(error) => return Err(error),
            }
        }
        index.advance(documents, destroyed, Progress { email: last, mod_seq })?;
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
        let mut statement =
            connection.prepare_cached("SELECT email_id FROM email_tombstone WHERE mod_seq > ?1")?;
        let destroyed = statement.query_map([from.mod_seq], |row| row.get(0))?.collect::<Result<_, _>>()?;
        let mod_seq =
            connection.prepare_cached("SELECT mod_seq FROM account")?.query_row([], |row| row.get(0))?;
        Ok(Work { emails, destroyed, mod_seq })
    }
}
