//! ORDEREDSUBJECT: messages of one base subject, the first above the others (RFC 5256 §3).

use super::{Forest, Node, Threadable};

pub(super) fn threads(mut messages: Vec<Threadable>) -> Forest {
    messages.sort_by_key(|message| (message.base_subject, message.sent, message.uid));
    let mut threads: Vec<&[Threadable]> =
        messages.chunk_by(|one, other| one.base_subject == other.base_subject).collect();
    threads.sort_by_key(|thread| thread.first().map(|message| (message.sent, message.uid)));
    Forest(threads.into_iter().flat_map(thread).collect())
}

fn thread(messages: &[Threadable]) -> impl Iterator<Item = Node> {
    let below_first = u32::try_from(messages.len().saturating_sub(1)).unwrap_or(u32::MAX);
    let children = std::iter::once(below_first).chain(std::iter::repeat(0));
    messages.iter().zip(children).map(|(message, children)| Node { uid: Some(message.uid), children })
}
