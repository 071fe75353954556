//! Groups messages into conversations for THREAD (RFC 5256 §3).
//!
//! In: messages with what the algorithms look at, ascending by UID. Out: a forest. Nothing is refused; references that
//! would make a circle are passed over.

mod ordered_subject;
mod references;

/// What makes a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// ORDEREDSUBJECT: the same base subject.
    OrderedSubject,
    /// REFERENCES: who answers whom.
    References,
}

/// What the algorithms look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Threadable {
    /// The message.
    pub uid: u32,
    /// When it was sent, in seconds since 1970.
    pub sent: i64,
    /// A number for the base subject; nothing where it is empty.
    pub base_subject: Option<u64>,
    /// Whether the subject says that it answers or passes on another one.
    pub kind: SubjectKind,
    /// A number for its Message-ID.
    pub message_id: Option<u64>,
    /// Such numbers of what it refers to, the oldest first: References, or the first of In-Reply-To.
    pub references: Vec<u64>,
}

/// What a subject says (RFC 5256 §2.1, §3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SubjectKind {
    /// Nothing was taken off to get at the base subject.
    Original,
    /// `Re:`, `Fwd:`, `(fwd)` or the like was.
    ReplyOrForward,
}

/// A message and those below it; without a UID, messages whose parent is not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// The message.
    pub uid: Option<u32>,
    /// Its children.
    pub children: Vec<Node>,
}

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

/// The conversations, each by its first message.
pub fn threads(algorithm: Algorithm, messages: Vec<Threadable>) -> Vec<Node> {
    match algorithm {
        Algorithm::OrderedSubject => ordered_subject::threads(messages),
        Algorithm::References => references::threads(messages),
    }
}

/// What is still to be written of a thread.
enum Step<'n> {
    Node(&'n Node),
    Open,
    Close,
}

impl Node {
    /// Writes `thread-list`. Not recursive: a sender chooses how deep a conversation is.
    pub(crate) fn encode(&self, number: &impl Fn(u32) -> u32, out: &mut Vec<u8>) {
        let mut steps = vec![Step::Close, Step::Node(self), Step::Open];
        while let Some(step) = steps.pop() {
            match step {
                Step::Open => out.push(b'('),
                Step::Close => out.push(b')'),
                Step::Node(node) => node.encode_one(number, &mut steps, out),
            }
        }
    }

    fn encode_one<'n>(&'n self, number: &impl Fn(u32) -> u32, steps: &mut Vec<Step<'n>>, out: &mut Vec<u8>) {
        if let Some(uid) = self.uid {
            crate::response::encode::number(number(uid).into(), out);
            if !self.children.is_empty() {
                out.push(b' ');
            }
        }
        match self.children.as_slice() {
            [only] => steps.push(Step::Node(only)),
            several => {
                for child in several.iter().rev() {
                    steps.extend([Step::Close, Step::Node(child), Step::Open]);
                }
            }
        }
    }
}

impl Drop for Node {
    /// Takes a deep conversation apart level by level.
    fn drop(&mut self) {
        let mut rest = std::mem::take(&mut self.children);
        while let Some(mut node) = rest.pop() {
            rest.append(&mut node.children);
        }
    }
}

#[cfg(test)]
mod tests;
