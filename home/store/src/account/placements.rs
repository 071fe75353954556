//! Which email each message of a mailbox is, kept in memory for the mailboxes that were opened last.
//!
//! In: the rows that SELECT reads anyway. Out: the same rows for SORT and THREAD, which come after it, as long as nothing in the
//! mailbox has changed: its highest mod-sequence tells. All accounts of a store share a bounded amount of memory.

use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, params};

use super::{AccountId, EmailId, MailboxId, ModSeq, Uid, UidSet};
use crate::Result;

/// Messages that are kept, of all mailboxes together: 3 MB.
const MOST: usize = 128 * 1024;

/// A message of a mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Placement {
    pub(super) uid: Uid,
    /// When it was added or its flags changed last.
    pub(super) mod_seq: ModSeq,
    pub(super) email: EmailId,
}

/// A mailbox as of one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct State {
    pub(super) account: AccountId,
    pub(super) mailbox: MailboxId,
    pub(super) highest_mod_seq: ModSeq,
}

/// All messages of a mailbox, ascending by UID.
type Placements = Arc<[Placement]>;

/// What is kept; the mailbox that was used last stands last. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Kept(Arc<Mutex<Vec<(State, Placements)>>>);

impl Kept {
    /// Keeps the messages of a mailbox, if they are not too many.
    pub(super) fn keep(&self, state: State, placements: Vec<Placement>) {
        if placements.len() > MOST {
            return;
        }
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|(known, _)| (known.account, known.mailbox) != (state.account, state.mailbox));
        kept.push((state, placements.into()));
        let mut room = MOST;
        let mut fits = |placements: &Placements| match room.checked_sub(placements.len()) {
            Some(rest) => {
                room = rest;
                true
            }
            None => false,
        };
        let first = kept.iter().rposition(|(_, placements)| !fits(placements)).map_or(0, |last| last + 1);
        kept.drain(..first);
    }

    /// Forgets an account's mailboxes: another database has taken its place.
    pub(super) fn forget(&self, account: AccountId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|(known, _)| known.account != account);
    }

    fn known(&self, state: State) -> Option<Placements> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = kept.iter().position(|(known, _)| *known == state)?;
        let found = kept.remove(at);
        let placements = Arc::clone(&found.1);
        kept.push(found);
        Some(placements)
    }

    /// Calls `each` with every one of these messages, ascending by UID.
    pub(super) fn each(
        &self,
        connection: &Connection,
        state: State,
        uids: &UidSet,
        mut each: impl FnMut(Placement) -> Result<()>,
    ) -> Result<()> {
        let Some(placements) = self.known(state) else {
            return each_row(connection, state.mailbox, uids, each);
        };
        for range in uids.ranges() {
            let begin = placements.partition_point(|placement| placement.uid.get() < *range.start());
            let rest = placements.get(begin..).unwrap_or_default();
            let in_range = rest.iter().take_while(|placement| placement.uid.get() <= *range.end());
            in_range.copied().try_for_each(&mut each)?;
        }
        Ok(())
    }
}

fn each_row(
    connection: &Connection,
    mailbox: MailboxId,
    uids: &UidSet,
    mut each: impl FnMut(Placement) -> Result<()>,
) -> Result<()> {
    let mut statement = connection.prepare_cached(
        "SELECT uid, mod_seq, email_id FROM message WHERE mailbox_id = ?1 AND uid BETWEEN ?2 AND ?3 ORDER BY uid",
    )?;
    for range in uids.ranges() {
        let mut rows = statement.query(params![mailbox, range.start(), range.end()])?;
        while let Some(row) = rows.next()? {
            each(Placement { uid: row.get(0)?, mod_seq: row.get(1)?, email: row.get(2)? })?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(mailbox: i64, highest: u64) -> State {
        State { account: AccountId(1), mailbox: MailboxId(mailbox), highest_mod_seq: ModSeq(highest) }
    }

    fn placements(count: u32) -> Vec<Placement> {
        let placement = |uid| Placement { uid, mod_seq: ModSeq(1), email: EmailId(uid.get().into()) };
        (1..=count).filter_map(Uid::new).map(placement).collect()
    }

    #[test]
    fn a_mailbox_that_changed_is_forgotten() {
        let kept = Kept::default();
        kept.keep(state(1, 5), placements(3));
        assert_eq!(kept.known(state(1, 5)).unwrap().len(), 3);
        assert_eq!(kept.known(state(1, 6)), None);
        kept.keep(state(1, 6), placements(4));
        assert_eq!(kept.known(state(1, 5)), None);
        assert_eq!(kept.known(state(1, 6)).unwrap().len(), 4);
    }

    #[test]
    fn those_used_last_stay_within_the_bound() {
        let kept = Kept::default();
        let half = MOST as u32 / 2;
        kept.keep(state(1, 1), placements(half));
        kept.keep(state(2, 1), placements(half));
        assert!(kept.known(state(1, 1)).is_some());
        kept.keep(state(3, 1), placements(half));
        assert!(kept.known(state(2, 1)).is_none(), "the one that was not used goes first");
        assert!(kept.known(state(1, 1)).is_some() && kept.known(state(3, 1)).is_some());
        kept.keep(state(4, 1), placements(2 * half + 1));
        assert!(kept.known(state(4, 1)).is_none(), "more than all");
        assert!(kept.known(state(1, 1)).is_some());
    }
}
