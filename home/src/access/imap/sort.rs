//! Puts what was found in order for SORT, and makes conversations of it for THREAD (RFC 5256).

use std::cmp::Ordering;

use postern_imap::request::Found;
use postern_imap::thread::{self, Algorithm, Forest, SubjectKind, Threadable, Threadables};
use postern_imap::types::{Direction, SearchKey, SortCriterion, SortKey};
use postern_store::Result;
use postern_store::account::{Account, MailboxId, SortKeys, SortNumbers, ThreadLinks, UidSet};

use super::{convert, search};

/// The messages that match, in this order; equal ones ascending by UID (RFC 5256 §3).
pub(super) fn find(
    account: &Account,
    mailbox: MailboxId,
    key: &SearchKey,
    criteria: &[SortCriterion],
) -> Result<Vec<Found>> {
    let uids = matching(account, mailbox, key, u32::MAX)?;
    match numbers(criteria) {
        Some(criteria) => Ok(by_numbers(&account.sort_numbers(mailbox, &uids)?, &criteria)),
        None => Ok(by_texts(account.sort_keys(mailbox, &uids)?, criteria)),
    }
}

/// The UIDs that match, as far as one.
fn matching(account: &Account, mailbox: MailboxId, key: &SearchKey, up_to: u32) -> Result<UidSet> {
    if matches!(key, SearchKey::And(keys) if keys.is_empty()) {
        return Ok(UidSet::from_ranges([1..=up_to]));
    }
    let found = search::find(account, mailbox, key)?;
    let uids: Vec<u32> = found.iter().map(|found| found.uid).filter(|uid| *uid <= up_to).collect();
    Ok(convert::uid_set(&uids))
}

/// How a number is got, and which way it counts.
type ByNumber = (fn(&SortNumbers) -> i64, Direction);

/// The criteria, where all are numbers.
fn numbers(criteria: &[SortCriterion]) -> Option<Vec<ByNumber>> {
    let number = |criterion: &SortCriterion| {
        let number: fn(&SortNumbers) -> i64 = match criterion.key {
            SortKey::Arrival => |numbers| numbers.internal_date,
            SortKey::Date => |numbers| numbers.sent_date,
            SortKey::Size => |numbers| i64::try_from(numbers.size).unwrap_or(i64::MAX),
            _ => return None,
        };
        Some((number, criterion.direction))
    };
    // One that came before decides nothing any more.
    let is_new = |(at, criterion): &(usize, &SortCriterion)| {
        criteria.iter().take(*at).all(|before| before.key != criterion.key)
    };
    criteria.iter().enumerate().filter(is_new).map(|(_, criterion)| number(criterion)).collect()
}

/// At most three criteria, for there are no more numbers.
fn by_numbers(messages: &[SortNumbers], criteria: &[ByNumber]) -> Vec<Found> {
    let keyed = messages.iter().map(|message| {
        let mut keys = [0; 3];
        for (key, (number, direction)) in keys.iter_mut().zip(criteria) {
            *key = match direction {
                Direction::Ascending => number(message),
                Direction::Descending => !number(message),
            };
        }
        (keys, message.uid.get(), message.mod_seq.0)
    });
    let mut keyed: Vec<([i64; 3], u32, u64)> = keyed.collect();
    keyed.sort_unstable();
    keyed.into_iter().map(|(_, uid, mod_seq)| Found { uid, mod_seq }).collect()
}

fn by_texts(mut messages: Vec<SortKeys>, criteria: &[SortCriterion]) -> Vec<Found> {
    messages.sort_by(|one, other| compare(one, other, criteria));
    let found = |keys: SortKeys| Found { uid: keys.numbers.uid.get(), mod_seq: keys.numbers.mod_seq.0 };
    messages.into_iter().map(found).collect()
}

fn compare(one: &SortKeys, other: &SortKeys, criteria: &[SortCriterion]) -> Ordering {
    let (numbers, others) = (&one.numbers, &other.numbers);
    let by = |criterion: &SortCriterion| {
        let ordering = match criterion.key {
            SortKey::Arrival => numbers.internal_date.cmp(&others.internal_date),
            SortKey::Cc => one.cc.cmp(&other.cc),
            SortKey::Date => numbers.sent_date.cmp(&others.sent_date),
            SortKey::DisplayFrom => one.display_from.cmp(&other.display_from),
            SortKey::DisplayTo => one.display_to.cmp(&other.display_to),
            SortKey::From => one.from.cmp(&other.from),
            SortKey::Size => numbers.size.cmp(&others.size),
            SortKey::Subject => one.base_subject.cmp(&other.base_subject),
            SortKey::To => one.to.cmp(&other.to),
        };
        match criterion.direction {
            Direction::Ascending => ordering,
            Direction::Descending => ordering.reverse(),
        }
    };
    criteria.iter().map(by).find(|ordering| ordering.is_ne()).unwrap_or_else(|| numbers.uid.cmp(&others.uid))
}

/// The conversations of the messages that match, as far as the session knows them.
pub(super) fn threads(
    account: &Account,
    mailbox: MailboxId,
    key: &SearchKey,
    algorithm: Algorithm,
    up_to: u32,
) -> Result<Forest> {
    let uids = matching(account, mailbox, key, up_to)?;
    let mut messages = Threadables::default();
    account.thread_links(mailbox, &uids, |links, references| messages.push(converted(&links), references))?;
    Ok(thread::threads(algorithm, messages))
}

fn converted(links: &ThreadLinks) -> Threadable {
    let kind = if links.reply_or_forward { SubjectKind::ReplyOrForward } else { SubjectKind::Original };
    Threadable {
        uid: links.uid.get(),
        sent: links.sent_date,
        base_subject: links.base_subject,
        kind,
        message_id: links.message_id,
    }
}
