//! Puts what was found in order for SORT, and makes conversations of it for THREAD (RFC 5256).

use std::cmp::Ordering;
use std::collections::HashMap;

use postern_imap::request::Found;
use postern_imap::thread::{self, Algorithm, Node, SubjectKind, Threadable};
use postern_imap::types::{Direction, SearchKey, SortCriterion, SortKey};
use postern_store::Result;
use postern_store::account::{Account, MailboxId, SortKeys, SortTexts, ThreadLinks};

use super::{convert, search};

/// The messages that match, in this order; equal ones ascending by UID (RFC 5256 §3).
pub(super) fn find(
    account: &Account,
    mailbox: MailboxId,
    key: &SearchKey,
    criteria: &[SortCriterion],
) -> Result<Vec<Found>> {
    let found = search::find(account, mailbox, key)?;
    let uids: Vec<u32> = found.iter().map(|found| found.uid).collect();
    let mod_seqs: HashMap<u32, u64> = found.iter().map(|found| (found.uid, found.mod_seq)).collect();
    let mut keys = account.sort_keys(mailbox, &convert::uid_set(&uids), texts(criteria))?;
    keys.sort_by(|one, other| compare(one, other, criteria));
    let sorted = keys.iter().map(|keys| keys.uid.get());
    Ok(sorted.map(|uid| Found { uid, mod_seq: mod_seqs.get(&uid).copied().unwrap_or_default() }).collect())
}

fn texts(criteria: &[SortCriterion]) -> SortTexts {
    let is_number =
        |criterion: &SortCriterion| matches!(criterion.key, SortKey::Arrival | SortKey::Date | SortKey::Size);
    if criteria.iter().all(is_number) { SortTexts::Left } else { SortTexts::Read }
}

fn compare(one: &SortKeys, other: &SortKeys, criteria: &[SortCriterion]) -> Ordering {
    let by = |criterion: &SortCriterion| {
        let ordering = match criterion.key {
            SortKey::Arrival => one.internal_date.cmp(&other.internal_date),
            SortKey::Cc => one.cc.cmp(&other.cc),
            SortKey::Date => one.sent_date.cmp(&other.sent_date),
            SortKey::DisplayFrom => one.display_from.cmp(&other.display_from),
            SortKey::DisplayTo => one.display_to.cmp(&other.display_to),
            SortKey::From => one.from.cmp(&other.from),
            SortKey::Size => one.size.cmp(&other.size),
            SortKey::Subject => one.base_subject.cmp(&other.base_subject),
            SortKey::To => one.to.cmp(&other.to),
        };
        match criterion.direction {
            Direction::Ascending => ordering,
            Direction::Descending => ordering.reverse(),
        }
    };
    criteria.iter().map(by).find(|ordering| ordering.is_ne()).unwrap_or_else(|| one.uid.cmp(&other.uid))
}

/// The conversations of the messages that match, as far as the session knows them.
pub(super) fn threads(
    account: &Account,
    mailbox: MailboxId,
    key: &SearchKey,
    algorithm: Algorithm,
    up_to: u32,
) -> Result<Vec<Node>> {
    let found = search::find(account, mailbox, key)?;
    let uids: Vec<u32> = found.iter().map(|found| found.uid).filter(|uid| *uid <= up_to).collect();
    let links = account.thread_links(mailbox, &convert::uid_set(&uids))?;
    Ok(thread::threads(algorithm, links.into_iter().map(converted).collect()))
}

fn converted(links: ThreadLinks) -> Threadable {
    let kind = if links.reply_or_forward { SubjectKind::ReplyOrForward } else { SubjectKind::Original };
    Threadable {
        uid: links.uid.get(),
        sent: links.sent_date,
        base_subject: links.base_subject,
        kind,
        message_id: links.message_id,
        references: links.references,
    }
}
