//! Groups messages into conversations for THREAD (RFC 5256 §3).
//!
//! In: messages with what the algorithms look at, ascending by UID. Out: a forest, as a walk from the top down. Nothing is
//! refused; references that would make a circle are passed over.

mod ordered_subject;
mod references;

use std::num::NonZeroU64;

/// What makes a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// ORDEREDSUBJECT: the same base subject.
    OrderedSubject,
    /// REFERENCES: who answers whom.
    References,
}

/// What the algorithms look at, but for the references.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Threadable {
    /// The message.
    pub uid: u32,
    /// When it was sent, in seconds since 1970.
    pub sent: i64,
    /// A number for the base subject; nothing where it is empty.
    pub base_subject: Option<NonZeroU64>,
    /// Whether the subject says that it answers or passes on another one.
    pub kind: SubjectKind,
    /// A number for its Message-ID.
    pub message_id: Option<NonZeroU64>,
}

/// What a subject says (RFC 5256 §2.1, §3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SubjectKind {
    /// Nothing was taken off to get at the base subject.
    Original,
    /// `Re:`, `Fwd:`, `(fwd)` or the like was.
    ReplyOrForward,
}

/// The messages to be grouped.
#[derive(Debug, Clone, Default)]
pub struct Threadables {
    messages: Vec<Threadable>,
    /// Those of all messages, one message's behind the other's.
    references: Vec<u64>,
    /// For each message, where its references end.
    ends: Vec<usize>,
}

/// A message, or, without a UID, the place of one that is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Node {
    /// The message.
    pub uid: Option<u32>,
    /// How many there are right below it.
    pub children: u32,
}

/// Conversations: each node is followed by its children, and each child by its own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Forest(pub Vec<Node>);

impl Algorithm {
    const NAMES: [(Algorithm, &'static str); 2] =
        [(Algorithm::OrderedSubject, "ORDEREDSUBJECT"), (Algorithm::References, "REFERENCES")];

    /// The algorithm of that name, in upper case.
    pub fn named(name: &str) -> Option<Algorithm> {
        Algorithm::NAMES.iter().find(|(_, known)| *known == name).map(|(algorithm, _)| *algorithm)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        Algorithm::NAMES.iter().find(|(known, _)| *known == self).map_or("", |(_, name)| name)
    }
}

impl Threadables {
    /// Adds a message, with numbers like `message_id` of what it refers to, the oldest first: References, or the first of
    /// In-Reply-To.
    pub fn push(&mut self, message: Threadable, references: impl IntoIterator<Item = u64>) {
        self.messages.push(message);
        self.references.extend(references);
        self.ends.push(self.references.len());
    }

    /// Each message with its references.
    fn iter(&self) -> impl Iterator<Item = (&Threadable, &[u64])> {
        let mut begin = 0;
        self.messages.iter().zip(&self.ends).map(move |(message, &end)| {
            let references = self.references.get(begin..end).unwrap_or_default();
            begin = end;
            (message, references)
        })
    }
}

/// The conversations, each by its first message.
pub fn threads(algorithm: Algorithm, messages: Threadables) -> Forest {
    match algorithm {
        Algorithm::OrderedSubject => ordered_subject::threads(messages.messages),
        Algorithm::References => references::threads(&messages),
    }
}

impl Forest {
    /// Writes one `thread-list` for each conversation. Not recursive: a sender chooses how deep a conversation is.
    pub(crate) fn encode(&self, number: &impl Fn(u32) -> u32, out: &mut Vec<u8>) {
        // Of each branching point above, how many of its children are not yet written.
        let mut branches: Vec<u32> = Vec::new();
        let mut begins = true;
        for node in &self.0 {
            if begins {
                out.push(b'(');
            }
            if let Some(uid) = node.uid {
                crate::response::encode::number(number(uid).into(), out);
                if node.children > 0 {
                    out.push(b' ');
                }
            }
            begins = node.children != 1;
            match node.children {
                0 => close(&mut branches, out),
                1 => {}
                several => branches.push(several),
            }
        }
    }
}

/// Ends the list that a leaf ends, and those that end with it.
fn close(branches: &mut Vec<u32>, out: &mut Vec<u8>) {
    out.push(b')');
    while let Some(left) = branches.last_mut() {
        *left -= 1;
        if *left > 0 {
            return;
        }
        branches.pop();
        out.push(b')');
    }
}

#[cfg(test)]
mod tests;
