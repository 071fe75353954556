//! Finds the messages that a SEARCH asks for (RFC 9051 §6.4.4).
//!
//! Texts are compared without regard to case, as substrings of what a person would read: header fields with
//! encoded-words decoded, text parts with transfer encoding and character set decoded. Cheap criteria are looked at
//! first; a message's octets are read only when a criterion asks for its text.

use std::cell::OnceCell;

use postern_imap::request::Found;
use postern_imap::types::{Date, Flag, SearchKey};
use postern_store::account::{Account, Detail, MailboxId, Message, UidSet};
use postern_store::structure::{self, Part, text};
use postern_store::{Error, Result, Timestamp};

use super::convert;

/// At most so many octets of a header are searched.
const MAX_HEADER: u64 = 1024 * 1024;
/// At most so many octets of one text part are searched.
const MAX_PART: u64 = 16 * 1024 * 1024;
const SECONDS_PER_DAY: i64 = 86_400;

/// The messages that match, ascending.
pub(super) fn find(account: &Account, mailbox: MailboxId, key: &SearchKey) -> Result<Vec<Found>> {
    let detail = if needs_structure(key) { Detail::Structure } else { Detail::Summary };
    let (key, now) = (prepared(key), Timestamp::now());
    let mut found = Vec::new();
    for message in account.messages(mailbox, &candidates(&key), detail) {
        let candidate = Candidate { account, message: message?, now, header: OnceCell::new() };
        if candidate.matches(&key)? {
            let Message { uid, mod_seq, .. } = candidate.message;
            found.push(Found { uid: uid.get(), mod_seq: mod_seq.0 });
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

/// Texts in lower case, and cheap criteria before dear ones.
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
            SearchKey::Header { name: name.clone(), text: text.to_lowercase() }
        }
        SearchKey::Body(text) => SearchKey::Body(text.to_lowercase()),
        SearchKey::Text(text) => SearchKey::Text(text.to_lowercase()),
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
    let keys = match key {
        SearchKey::And(keys) => keys.as_slice(),
        other => std::slice::from_ref(other),
    };
    let set = keys.iter().find_map(|key| match key {
        SearchKey::Uid(set) => {
            Some(UidSet::from_ranges(set.resolve(u32::MAX).into_iter().map(|(a, b)| a..=b)))
        }
        _ => None,
    });
    set.unwrap_or_else(UidSet::all)
}

struct Candidate<'a> {
    account: &'a Account,
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
            SearchKey::Uid(set) | SearchKey::Sequence(set) => {
                let uid = self.message.uid.get();
                set.resolve(u32::MAX).iter().any(|(first, last)| (*first..=*last).contains(&uid))
            }
            SearchKey::Flag(flag) => self.has_flag(flag),
            SearchKey::Recent => false,
            SearchKey::Header { name, text } => self.has_field(name, text)?,
            SearchKey::Body(text) => self.has_body_text(text)?,
            SearchKey::Text(text) => self.has_header_text(text)? || self.has_body_text(text)?,
            SearchKey::Before(date) => self.received_day() < date.days_since_epoch(),
            SearchKey::On(date) => self.received_day() == date.days_since_epoch(),
            SearchKey::Since(date) => self.received_day() >= date.days_since_epoch(),
            SearchKey::SentBefore(date) => self.sent_day() < date.days_since_epoch(),
            SearchKey::SentOn(date) => self.sent_day() == date.days_since_epoch(),
            SearchKey::SentSince(date) => self.sent_day() >= date.days_since_epoch(),
            SearchKey::Larger(octets) => self.message.email.size > *octets,
            SearchKey::Smaller(octets) => self.message.email.size < *octets,
            SearchKey::Older(seconds) => self.age() >= i64::from(*seconds),
            SearchKey::ModSeq(mod_seq) => self.message.mod_seq.0 >= *mod_seq,
            SearchKey::EmailId(id) => self.message.email.id.to_string() == *id,
            SearchKey::ThreadId(id) => self.message.email.thread.to_string() == *id,
            SearchKey::SavedBefore(date) => self.saved_day() < date.days_since_epoch(),
            SearchKey::SavedOn(date) => self.saved_day() == date.days_since_epoch(),
            SearchKey::SavedSince(date) => self.saved_day() >= date.days_since_epoch(),
            SearchKey::Younger(seconds) => self.age() <= i64::from(*seconds),
        })
    }

    /// Keywords compare without regard to case, system flags by value.
    fn has_flag(&self, wanted: &Flag) -> bool {
        convert::flags_from_store(&self.message.flags)
            .iter()
            .any(|flag| flag.name().eq_ignore_ascii_case(&wanted.name()))
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

    fn has_field(&self, name: &str, text: &str) -> Result<bool> {
        Ok(structure::fields(self.header()?)
            .any(|field| field.is(name) && contains(&text::decode_header(field.value), text)))
    }

    fn has_header_text(&self, text: &str) -> Result<bool> {
        Ok(structure::fields(self.header()?).any(|field| {
            let name = String::from_utf8_lossy(field.name);
            contains(&format!("{name}: {}", text::decode_header(field.value)), text)
        }))
    }

    /// In the header of the message only, as read from the blob once.
    fn header(&self) -> Result<&[u8]> {
        if let Some(header) = self.header.get() {
            return Ok(header);
        }
        let length = self.message.email.header_size.min(MAX_HEADER);
        let header = self.account.read_blob(self.message.email.blob, 0..length)?;
        Ok(self.header.get_or_init(|| header))
    }

    fn has_body_text(&self, text: &str) -> Result<bool> {
        let Some(structure) = &self.message.email.structure else {
            return Err(Error::Fault("the structure was not asked for".to_owned()));
        };
        for part in structure.root.walk() {
            if self.part_has_text(part, text)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Text parts hold text, and enclosed messages also their header.
    fn part_has_text(&self, part: &Part, text: &str) -> Result<bool> {
        let range = match &part.content {
            structure::Content::Message(message) => message.root.header.clone(),
            structure::Content::Leaf if part.media_type.eq_ignore_ascii_case(b"text") => part.body.clone(),
            structure::Content::Leaf | structure::Content::Multipart(_) => return Ok(false),
        };
        let end = range.end.min(range.start.saturating_add(MAX_PART));
        let octets = self.account.read_blob(self.message.email.blob, range.start..end)?;
        Ok(match part.content {
            structure::Content::Message(_) => {
                structure::fields(&octets).any(|field| contains(&text::decode_header(field.value), text))
            }
            _ => contains(&text::decode_text(part, &octets), text),
        })
    }
}

/// `needle` is in lower case already.
fn contains(haystack: &str, needle: &str) -> bool {
    needle.is_empty() || haystack.to_lowercase().contains(needle)
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
