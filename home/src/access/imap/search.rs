//! Finds the messages that a SEARCH asks for (RFC 9051 §6.4.4).
//!
//! Texts are compared without regard to case, as substrings of what a person would read: header fields with
//! encoded-words decoded, text parts with transfer encoding and character set decoded, HTML without its marks. Cheap criteria
//! are looked at first. The account's index narrows the search down to the messages that may hold a text; a message's octets
//! are read only where the index is not sure, or does not know the message yet.

mod answers;
mod state;

use std::cell::OnceCell;

use postern_imap::request::Found;
use postern_imap::types::{Date, SearchKey};
use postern_store::account::{Account, Detail, MailboxId, Message, MessageState, UidSet};
use postern_store::search::text::{self, Enough};
use postern_store::search::{Field, Holds, fold};
use postern_store::{Error, Result, Timestamp};

use super::convert;
use answers::{Answers, field_of};

const SECONDS_PER_DAY: i64 = 86_400;

/// The messages that match, ascending.
pub(super) fn find(account: &Account, mailbox: MailboxId, key: &SearchKey) -> Result<Vec<Found>> {
    let key = prepared(key);
    if state::is_enough(&key) {
        return by_state(account, mailbox, &key);
    }
    look(account, mailbox, &key, &Answers::ask(account, &key))
}

fn by_state(account: &Account, mailbox: MailboxId, key: &SearchKey) -> Result<Vec<Found>> {
    let states = account.states(mailbox, &candidates(key))?;
    let found = states.iter().filter(|state| state::matches(key, state));
    Ok(found.map(|state| Found { uid: state.uid.get(), mod_seq: state.mod_seq.0 }).collect())
}

/// Looks at the messages that the answers leave.
fn look(account: &Account, mailbox: MailboxId, key: &SearchKey, answers: &Answers<'_>) -> Result<Vec<Found>> {
    let detail = if needs_structure(key) { Detail::Structure } else { Detail::Summary };
    let uids = match answers.narrowest(key) {
        Some(hits) => account.uids_of_hits(mailbox, hits)?,
        None => candidates(key),
    };
    let now = Timestamp::now();
    let mut found = Vec::new();
    for message in account.messages(mailbox, &uids, detail) {
        let candidate = Candidate { account, answers, message: message?, now, header: OnceCell::new() };
        let matches = candidate.matches(key);
        let Message { uid, mod_seq, .. } = candidate.message;
        match matches {
            Ok(true) => found.push(Found { uid: uid.get(), mod_seq: mod_seq.0 }),
            Ok(false) => {}
            // One damaged message does not hide the others.
            Err(error @ Error::Corrupt(_)) => tracing::warn!(%uid, %error, "a message cannot be searched"),
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

fn needs_structure(key: &SearchKey) -> bool {
    key.any(&|key| {
        matches!(
            key,
            SearchKey::Body(_)
                | SearchKey::Text(_)
                | SearchKey::SentBefore(_)
                | SearchKey::SentOn(_)
                | SearchKey::SentSince(_)
        )
    })
}

/// Texts folded, and cheap criteria before dear ones.
fn prepared(key: &SearchKey) -> SearchKey {
    match key {
        SearchKey::And(keys) => {
            let mut keys: Vec<SearchKey> = keys.iter().map(prepared).collect();
            keys.sort_by_key(cost);
            SearchKey::And(keys)
        }
        SearchKey::Or(one, other) => {
            let (one, other) = (prepared(one), prepared(other));
            let (first, second) = if cost(&one) <= cost(&other) { (one, other) } else { (other, one) };
            SearchKey::Or(Box::new(first), Box::new(second))
        }
        SearchKey::Not(key) => SearchKey::Not(Box::new(prepared(key))),
        SearchKey::Header { name, text } => {
            SearchKey::Header { name: name.to_ascii_lowercase(), text: fold(text) }
        }
        SearchKey::Body(text) => SearchKey::Body(fold(text)),
        SearchKey::Text(text) => SearchKey::Text(fold(text)),
        other => other.clone(),
    }
}

fn cost(key: &SearchKey) -> u8 {
    match key {
        SearchKey::And(keys) => keys.iter().map(cost).max().unwrap_or(0),
        SearchKey::Or(one, other) => cost(one).max(cost(other)),
        SearchKey::Not(key) => cost(key),
        SearchKey::Header { .. } => 1,
        SearchKey::Body(_) | SearchKey::Text(_) => 2,
        _ => 0,
    }
}

/// The UIDs that a top-level criterion narrows the search to.
fn candidates(key: &SearchKey) -> UidSet {
    let set = top_level(key).iter().find_map(|key| match key {
        SearchKey::Uid(set) => {
            Some(UidSet::from_ranges(set.resolve(u32::MAX).into_iter().map(|(a, b)| a..=b)))
        }
        _ => None,
    });
    set.unwrap_or_else(UidSet::all)
}

/// Criteria of which each must hold.
fn top_level(key: &SearchKey) -> &[SearchKey] {
    match key {
        SearchKey::And(keys) => keys,
        other => std::slice::from_ref(other),
    }
}

struct Candidate<'a> {
    account: &'a Account,
    answers: &'a Answers<'a>,
    message: Message,
    now: Timestamp,
    header: OnceCell<Vec<u8>>,
}

impl Candidate<'_> {
    fn matches(&self, key: &SearchKey) -> Result<bool> {
        Ok(match key {
            SearchKey::And(keys) => {
                for key in keys {
                    if !self.matches(key)? {
                        return Ok(false);
                    }
                }
                true
            }
            SearchKey::Or(one, other) => self.matches(one)? || self.matches(other)?,
            SearchKey::Not(key) => !self.matches(key)?,
            key if state::is_of_state(key) => state::matches(key, &self.state()),
            SearchKey::Header { name, text } => self.has_field(name, text)?,
            SearchKey::Body(text) => self.has_body(text)?,
            SearchKey::Text(text) => self.has_text(text)?,
            SearchKey::Before(date) => self.received_day() < date.days_since_epoch(),
            SearchKey::On(date) => self.received_day() == date.days_since_epoch(),
            SearchKey::Since(date) => self.received_day() >= date.days_since_epoch(),
            SearchKey::SentBefore(date) => self.sent_day() < date.days_since_epoch(),
            SearchKey::SentOn(date) => self.sent_day() == date.days_since_epoch(),
            SearchKey::SentSince(date) => self.sent_day() >= date.days_since_epoch(),
            SearchKey::Larger(octets) => self.message.email.size > *octets,
            SearchKey::Smaller(octets) => self.message.email.size < *octets,
            SearchKey::Older(seconds) => self.age() >= i64::from(*seconds),
            SearchKey::EmailId(id) => self.message.email.id.to_string() == *id,
            SearchKey::ThreadId(id) => self.message.email.thread.to_string() == *id,
            SearchKey::SavedBefore(date) => self.saved_day() < date.days_since_epoch(),
            SearchKey::SavedOn(date) => self.saved_day() == date.days_since_epoch(),
            SearchKey::SavedSince(date) => self.saved_day() >= date.days_since_epoch(),
            SearchKey::Younger(seconds) => self.age() <= i64::from(*seconds),
            _ => false,
        })
    }

    fn state(&self) -> MessageState {
        let Message { uid, mod_seq, flags, .. } = &self.message;
        MessageState { uid: *uid, mod_seq: *mod_seq, flags: flags.clone() }
    }

    fn received_day(&self) -> i64 {
        self.message.email.internal_date.as_second().div_euclid(SECONDS_PER_DAY)
    }

    fn saved_day(&self) -> i64 {
        self.message.save_date.as_second().div_euclid(SECONDS_PER_DAY)
    }

    /// The day in the Date field as its writer saw it (RFC 9051 §6.4.4: without regard to time and zone).
    fn sent_day(&self) -> i64 {
        let field =
            self.message.email.structure.as_ref().and_then(|structure| structure.envelope.date.as_deref());
        let written = field.and_then(written_day);
        let stored = self.message.email.sent_date.as_second().div_euclid(SECONDS_PER_DAY);
        written.map_or(stored, Date::days_since_epoch)
    }

    /// Seconds since it was received.
    fn age(&self) -> i64 {
        self.now.as_second().saturating_sub(self.message.email.internal_date.as_second())
    }

    /// The index knows the values of some fields apart, and of the others only that one of them holds the text.
    fn has_field(&self, name: &str, text: &str) -> Result<bool> {
        let field = field_of(name);
        match self.answers.holds(self.message.email.id, field, text) {
            Holds::No => Ok(false),
            Holds::Yes if field != Field::Header => Ok(true),
            Holds::Yes | Holds::Unknown => {
                Ok(text::fields(self.header()?).any(|field| field.name == name && field.value.contains(text)))
            }
        }
    }

    fn has_text(&self, text: &str) -> Result<bool> {
        match self.answers.holds(self.message.email.id, Field::Text, text) {
            Holds::Yes => Ok(true),
            Holds::No => Ok(false),
            Holds::Unknown => Ok(self.reads_in_header(text)? || self.reads_in_body(text)?),
        }
    }

    fn has_body(&self, text: &str) -> Result<bool> {
        match self.answers.holds(self.message.email.id, Field::Body, text) {
            Holds::Yes => Ok(true),
            Holds::No => Ok(false),
            Holds::Unknown => self.reads_in_body(text),
        }
    }

    fn reads_in_header(&self, text: &str) -> Result<bool> {
        Ok(text::fields(self.header()?)
            .any(|field| format!("{}: {}", field.name, field.value).contains(text)))
    }

    /// In the header of the message only, as read from the blob once.
    fn header(&self) -> Result<&[u8]> {
        if let Some(header) = self.header.get() {
            return Ok(header);
        }
        let range = text::header_range(self.message.email.header_size);
        let header = self.account.read_blob(self.message.email.blob, range)?;
        Ok(self.header.get_or_init(|| header))
    }

    fn reads_in_body(&self, text: &str) -> Result<bool> {
        let Some(structure) = &self.message.email.structure else {
            return Err(Error::Fault("the structure was not asked for".to_owned()));
        };
        let mut found = false;
        let read = |range| self.account.read_blob(self.message.email.blob, range);
        text::visit_body(&structure.root, read, |part| {
            found = part.contains(text);
            Enough::when(found)
        })?;
        Ok(found)
    }
}

/// The calendar day of a Date field.
fn written_day(field: &[u8]) -> Option<Date> {
    let mut line = field.to_vec();
    line.push(b'\n');
    let parsed = mail_parser::parsers::MessageStream::new(&line).parse_date().into_datetime()?;
    Date::new(
        i16::try_from(parsed.year).ok()?,
        i8::try_from(parsed.month).ok()?,
        i8::try_from(parsed.day).ok()?,
    )
}

#[cfg(test)]
mod tests;
