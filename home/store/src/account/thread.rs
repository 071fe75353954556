//! Conversations: which thread a new message joins.
//!
//! In: hashes of its message-ids and of its base subject. Out: a thread. A message joins the oldest thread that
//! knows one of its ids under the same base subject (RFC 8621 §3); without one it begins a thread. Since every
//! message leaves behind all ids that it mentions, replies find each other also when what they answer never comes
//! or comes last.

use rusqlite::params;

use super::change::Change;
use super::{ModSeq, ThreadId};
use crate::Result;

/// By what a message's conversation is found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct ThreadKeys {
    /// Hashes of Message-ID, In-Reply-To and References, each once.
    pub(super) ids: Vec<i64>,
    /// Hash of the base subject.
    pub(super) subject: i64,
}

/// Finds or begins the thread of a new email, and counts the email in it.
pub(super) fn join(change: &Change<'_>, keys: &ThreadKeys) -> Result<ThreadId> {
    let thread = match find(change, keys)? {
        Some(thread) => thread,
        None => begin(change)?,
    };
    change.execute("UPDATE thread SET emails = emails + 1 WHERE thread_id = ?1", [thread])?;
    for id in &keys.ids {
        change.execute(
            "INSERT OR IGNORE INTO thread_reference (id_hash, subject_hash, thread_id) VALUES (?1, ?2, ?3)",
            params![id, keys.subject, thread],
        )?;
    }
    Ok(thread)
}

fn find(change: &Change<'_>, keys: &ThreadKeys) -> Result<Option<ThreadId>> {
    let mut statement = change
        .connection
        .prepare_cached("SELECT thread_id FROM thread_reference WHERE id_hash = ?1 AND subject_hash = ?2")?;
    let mut oldest: Option<ThreadId> = None;
    for id in &keys.ids {
        let mut rows = statement.query(params![id, keys.subject])?;
        if let Some(row) = rows.next()? {
            let thread: ThreadId = row.get(0)?;
            oldest = Some(oldest.map_or(thread, |known| known.min(thread)));
        }
    }
    Ok(oldest)
}

fn begin(change: &Change<'_>) -> Result<ThreadId> {
    let mod_seq: ModSeq = change.mod_seq;
    Ok(change
        .connection
        .prepare_cached("INSERT INTO thread (created_mod_seq) VALUES (?1) RETURNING thread_id")?
        .query_row([mod_seq], |row| row.get(0))?)
}
