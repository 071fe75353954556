//! The maildrop of one session: what was there when it was opened, and what the client has marked.
//!
//! In: the host's list of messages. Out: numbers, sizes and unique ids, which do not change while the session lasts
//! (RFC 1939 §5). Messages marked as deleted keep their number and are not spoken of any more.
//!
//! A unique id (RFC 1939 §7) is `UIDVALIDITY.UID` of IMAP: it never comes back for another message.

use std::collections::BTreeSet;

use crate::command::MessageNumber;

/// What a maildrop holds, as the host tells it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contents {
    /// Generation of the UIDs.
    pub uid_validity: u32,
    /// The messages, ascending by UID.
    pub messages: Vec<Listed>,
}

/// A message of a maildrop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listed {
    /// Its UID.
    pub uid: u32,
    /// Octets, with CRLF at the end of each line.
    pub size: u64,
}

/// A maildrop in use.
#[derive(Debug)]
pub struct Maildrop {
    contents: Contents,
    /// Positions in `contents.messages`.
    deleted: BTreeSet<usize>,
    retrieved: BTreeSet<usize>,
}

/// There is no message of that number, or it is marked as deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no such message")]
pub struct NoSuchMessage;

impl Maildrop {
    /// As the host has found it.
    pub fn new(contents: Contents) -> Maildrop {
        Maildrop { contents, deleted: BTreeSet::new(), retrieved: BTreeSet::new() }
    }

    /// Number and octets of the messages that are not marked (STAT).
    pub fn total(&self) -> (usize, u64) {
        self.listing(0).fold((0, 0), |(count, octets), (_, message)| (count + 1, octets + message.size))
    }

    /// The message of this number.
    ///
    /// # Errors
    /// [`NoSuchMessage`]
    pub fn message(&self, number: MessageNumber) -> Result<Listed, NoSuchMessage> {
        let position = self.position(number)?;
        self.contents.messages.get(position).copied().ok_or(NoSuchMessage)
    }

    /// The messages that are not marked, and their numbers, from a position on.
    pub fn listing(&self, from: usize) -> impl Iterator<Item = (usize, Listed)> {
        let rest = self.contents.messages.iter().enumerate().skip(from);
        let kept = rest.filter(|(position, _)| !self.deleted.contains(position));
        kept.map(|(position, message)| (position + 1, *message))
    }

    /// The unique id of a message.
    pub fn unique_id(&self, message: Listed) -> String {
        format!("{}.{}", self.contents.uid_validity, message.uid)
    }

    /// Marks a message (DELE).
    ///
    /// # Errors
    /// [`NoSuchMessage`]
    pub fn delete(&mut self, number: MessageNumber) -> Result<(), NoSuchMessage> {
        self.deleted.insert(self.position(number)?);
        Ok(())
    }

    /// Notes that a message was sent whole.
    ///
    /// # Errors
    /// [`NoSuchMessage`]
    pub fn retrieve(&mut self, number: MessageNumber) -> Result<(), NoSuchMessage> {
        self.retrieved.insert(self.position(number)?);
        Ok(())
    }

    /// Takes all marks of deletion away (RSET).
    pub fn reset(&mut self) {
        self.deleted.clear();
    }

    /// UIDs of the messages marked as deleted, ascending.
    pub fn deleted(&self) -> Vec<u32> {
        self.uids(&self.deleted)
    }

    /// UIDs of the messages that were sent and stay, ascending.
    pub fn retrieved(&self) -> Vec<u32> {
        self.uids(&self.retrieved.difference(&self.deleted).copied().collect())
    }

    fn uids(&self, positions: &BTreeSet<usize>) -> Vec<u32> {
        positions.iter().filter_map(|&position| Some(self.contents.messages.get(position)?.uid)).collect()
    }

    fn position(&self, number: MessageNumber) -> Result<usize, NoSuchMessage> {
        let position = usize::try_from(number.get()).map_err(|_| NoSuchMessage)? - 1;
        let is_there = position < self.contents.messages.len() && !self.deleted.contains(&position);
        is_there.then_some(position).ok_or(NoSuchMessage)
    }
}
