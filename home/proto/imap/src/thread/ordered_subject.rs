//! ORDEREDSUBJECT: messages of one base subject, the first above the others (RFC 5256 §3).

use super::{Node, Threadable};

pub(super) fn threads(mut messages: Vec<Threadable>) -> Vec<Node> {
    messages.sort_by(|one, other| {
        (one.base_subject, one.sent, one.uid).cmp(&(other.base_subject, other.sent, other.uid))
    });
    let mut threads: Vec<&[Threadable]> =
        messages.chunk_by(|one, other| one.base_subject == other.base_subject).collect();
    threads.sort_by_key(|thread| thread.first().map(|message| (message.sent, message.uid)));
    threads.into_iter().filter_map(thread).collect()
}

fn thread(messages: &[Threadable]) -> Option<Node> {
    let (first, others) = messages.split_first()?;
    let children = others.iter().map(|message| Node { uid: Some(message.uid), children: Vec::new() });
    Some(Node { uid: Some(first.uid), children: children.collect() })
}
