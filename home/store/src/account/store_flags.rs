//! STORE: changing flags.

use rusqlite::params;

use super::change::{Change, Counters};
use super::keywords::{Keywords, StoredFlags};
use super::{
    Account, FlagChange, FlagMask, MailboxId, MessageState, ModSeq, Stored, SystemFlags, Uid, UidSet,
};
use crate::Result;

impl Account {
    /// Changes flags. Messages changed after `unchanged_since` are left alone and listed (RFC 7162 §3.1.3). A
    /// message whose flags are already as asked keeps its mod-sequence.
    ///
    /// # Errors
    /// `NotFound` for the mailbox; `Permanent` when the account has too many keywords.
    pub fn store_flags(
        &self,
        mailbox: MailboxId,
        uids: &UidSet,
        change: FlagChange,
        unchanged_since: Option<ModSeq>,
    ) -> Result<Stored> {
        let uids = uids.clone();
        self.change(move |operation| apply(operation, mailbox, &uids, &change, unchanged_since))
    }
}

pub(super) fn apply(
    operation: &Change<'_>,
    mailbox: MailboxId,
    uids: &UidSet,
    change: &FlagChange,
    unchanged_since: Option<ModSeq>,
) -> Result<Stored> {
    let mut counters = operation.counters(mailbox)?;
    let mut keywords = operation.keywords()?;
    let edit = Edit::new(operation, &mut keywords, change)?;
    let (mut messages, mut modified) = (Vec::new(), Vec::new());
    for row in rows(operation, mailbox, uids)? {
        if unchanged_since.is_some_and(|since| row.mod_seq > since) {
            modified.push(row.uid);
            continue;
        }
        messages.push(edit_one(operation, &mut counters, &keywords, &edit, row)?);
    }
    if messages.iter().any(|message| message.mod_seq == operation.mod_seq) {
        operation.save(&counters)?;
    }
    Ok(Stored { messages, modified: modified.into_iter().collect() })
}

struct Row {
    uid: Uid,
    mod_seq: ModSeq,
    flags: StoredFlags,
}

fn rows(operation: &Change<'_>, mailbox: MailboxId, uids: &UidSet) -> Result<Vec<Row>> {
    let mut statement = operation.connection.prepare_cached(
        "SELECT uid, mod_seq, flags, keywords FROM message
          WHERE mailbox_id = ?1 AND uid BETWEEN ?2 AND ?3 ORDER BY uid",
    )?;
    let mut found = Vec::new();
    for range in uids.ranges() {
        let rows = statement.query_map(params![mailbox, range.start(), range.end()], |row| {
            Ok(Row { uid: row.get(0)?, mod_seq: row.get(1)?, flags: StoredFlags::read(row, 2)? })
        })?;
        for row in rows {
            found.push(row?);
        }
    }
    Ok(found)
}

fn edit_one(
    operation: &Change<'_>,
    counters: &mut Counters,
    keywords: &Keywords,
    edit: &Edit,
    row: Row,
) -> Result<MessageState> {
    let flags = edit.apply(&row.flags);
    if flags == row.flags {
        return Ok(MessageState { uid: row.uid, mod_seq: row.mod_seq, flags: keywords.resolve(&flags) });
    }
    operation.execute(
        "UPDATE message SET flags = ?3, keywords = ?4, mod_seq = ?5 WHERE mailbox_id = ?1 AND uid = ?2",
        params![counters.mailbox, row.uid, flags.system.bits(), flags.keyword_column(), operation.mod_seq],
    )?;
    counters.reflag(row.flags.system, flags.system);
    Ok(MessageState { uid: row.uid, mod_seq: operation.mod_seq, flags: keywords.resolve(&flags) })
}

/// A flag change by number.
enum Edit {
    Add(StoredFlags),
    Remove(StoredFlags),
    Replace(StoredFlags),
    ReplaceWithin(StoredFlags, FlagMask),
}

impl Edit {
    fn new(operation: &Change<'_>, keywords: &mut Keywords, change: &FlagChange) -> Result<Edit> {
        Ok(match change {
            FlagChange::Add(flags) => Edit::Add(keywords.intern(operation.connection, flags)?),
            FlagChange::Remove(flags) => Edit::Remove(keywords.intern(operation.connection, flags)?),
            FlagChange::Replace(flags) => Edit::Replace(keywords.intern(operation.connection, flags)?),
            FlagChange::ReplaceWithin(flags, mask) => {
                Edit::ReplaceWithin(keywords.intern(operation.connection, flags)?, *mask)
            }
        })
    }

    fn apply(&self, old: &StoredFlags) -> StoredFlags {
        match self {
            Edit::Replace(flags) => flags.clone(),
            Edit::ReplaceWithin(flags, mask) => StoredFlags {
                system: old.system.without(mask.system) | flags.system,
                keywords: if mask.keywords { &flags.keywords } else { &old.keywords }.clone(),
            },
            Edit::Add(flags) => {
                let mut keywords: Vec<u16> = old.keywords.iter().chain(&flags.keywords).copied().collect();
                keywords.sort_unstable();
                keywords.dedup();
                StoredFlags { system: old.system | flags.system, keywords }
            }
            Edit::Remove(flags) => {
                let stays = |number: &u16| flags.keywords.binary_search(number).is_err();
                let system: SystemFlags = old.system.without(flags.system);
                StoredFlags { system, keywords: old.keywords.iter().copied().filter(stays).collect() }
            }
        }
    }
}
