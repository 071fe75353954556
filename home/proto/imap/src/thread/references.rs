//! REFERENCES (RFC 5256 §3): who answers whom, and then equal subjects. The steps are those of the RFC.

mod containers;
mod paths;

use std::collections::HashMap;
use std::num::NonZeroU64;

use foldhash::fast::RandomState;

use super::{Forest, Node, SubjectKind, Threadable, Threadables};
use containers::{Container, Containers, FAR};

/// By a number that a sender may have chosen, so that the hash has a key of its own in each run.
type Table = HashMap<u64, Container, RandomState>;

/// The containers of the messages are the first ones, in the messages' order; those behind them are dummies, for messages
/// that are only mentioned.
struct Threader<'m> {
    messages: &'m [Threadable],
    containers: Containers,
}

/// The first of a conversation.
struct Root {
    sent: (i64, u32),
    at: Container,
    subject: Option<NonZeroU64>,
}

pub(super) fn threads(messages: &Threadables) -> Forest {
    threads_walking(messages, FAR)
}

/// With so many steps up in search of circles before it is done in another way.
fn threads_walking(messages: &Threadables, far: usize) -> Forest {
    let containers = Containers::new(messages.messages.len(), far);
    let mut threader = Threader { messages: &messages.messages, containers };
    threader.link(messages);
    threader.containers.forget_paths();
    let roots = threader.prune();
    let roots = threader.merge_subjects(roots);
    threader.forest(roots)
}

impl Threader<'_> {
    /// Nothing for a dummy.
    fn message(&self, at: Container) -> Option<&Threadable> {
        self.messages.get(at.index())
    }

    fn is_dummy(&self, at: Container) -> bool {
        at.index() >= self.messages.len()
    }

    /// Step 1: parents and children by References. The first message with an id has it.
    fn link(&mut self, messages: &Threadables) {
        let mut by_id = Table::with_capacity_and_hasher(self.messages.len(), RandomState::default());
        for (at, message) in self.containers.all().zip(self.messages) {
            if let Some(id) = message.message_id {
                by_id.entry(id.get()).or_insert(at);
            }
        }
        for (at, (_, references)) in self.containers.all().zip(messages.iter()) {
            let mut above = None;
            for &id in references {
                let mentioned = *by_id.entry(id).or_insert_with(|| self.containers.add());
                if let Some(parent) = above.filter(|_| self.containers.parent(mentioned).is_none()) {
                    self.containers.adopt(parent, mentioned);
                }
                above = Some(mentioned);
            }
            if self.containers.parent(at) != above {
                self.containers.leave_parent(at);
                if let Some(parent) = above {
                    self.containers.adopt(parent, at);
                }
            }
        }
    }

    /// Steps 2 and 3: dummies go, and their children take their place; at the top only a single child does. Gives the roots.
    /// From the top down, without recursion.
    fn prune(&mut self) -> Vec<Container> {
        let roots: Vec<Container> =
            self.containers.all().filter(|&at| self.containers.parent(at).is_none()).collect();
        let mut next = roots.clone();
        while let Some(at) = next.pop() {
            self.take_dummies_apart(at);
            next.extend(self.containers.children(at));
        }
        let top = |at| self.top(at);
        let roots: Vec<Container> = roots.into_iter().filter_map(top).collect();
        roots.iter().for_each(|&at| self.containers.leave_parent(at));
        roots
    }

    /// What becomes of a root: itself, but of a dummy with a single child the child, and of one with none nothing.
    fn top(&self, at: Container) -> Option<Container> {
        let mut children = self.containers.children(at);
        match (self.is_dummy(at), children.next(), children.next()) {
            (true, only, None) => only,
            _ => Some(at),
        }
    }

    /// Puts in the place of each dummy below what is below it, in order; each is taken apart once.
    fn take_dummies_apart(&mut self, at: Container) {
        if !self.containers.children(at).any(|child| self.is_dummy(child)) {
            return;
        }
        let mut rest = self.containers.take_children_reversed(at);
        while let Some(child) = rest.pop() {
            match self.is_dummy(child) {
                true => rest.extend(self.containers.take_children_reversed(child)),
                false => self.containers.append(at, child),
            }
        }
    }

    /// When a container was sent; a dummy counts as its first child. Dummies are at the top only.
    fn sent(&self, at: Container) -> (i64, u32) {
        let sent = |message: &Threadable| (message.sent, message.uid);
        match self.message(at) {
            Some(message) => sent(message),
            None => {
                let children = self.containers.children(at).filter_map(|child| self.message(child));
                children.map(sent).min().unwrap_or_default()
            }
        }
    }

    /// Steps 4 and 6: siblings by the moment they were sent.
    fn sort(&self, siblings: &mut [Container]) {
        if siblings.len() > 1 {
            siblings.sort_by_cached_key(|&at| self.sent(at));
        }
    }

    /// The message whose subject a thread has.
    fn subject_of(&self, at: Container) -> Option<&Threadable> {
        let first = || self.containers.children(at).min_by_key(|&child| self.sent(child));
        self.message(at).or_else(|| self.message(first()?))
    }

    fn base_subject(&self, at: Container) -> Option<NonZeroU64> {
        self.subject_of(at).and_then(|message| message.base_subject)
    }

    fn is_reply(&self, at: Container) -> bool {
        self.message(at).is_some_and(|message| message.kind == SubjectKind::ReplyOrForward)
    }

    fn root(&self, at: Container) -> Root {
        Root { sent: self.sent(at), at, subject: self.base_subject(at) }
    }

    /// Steps 4 and 5: threads of one subject become one. Gives the roots that are left, in the order of step 6.
    fn merge_subjects(&mut self, roots: Vec<Container>) -> Vec<Container> {
        let mut roots: Vec<Root> = roots.into_iter().map(|at| self.root(at)).collect();
        roots.sort_by_key(|root| root.sent);
        let mut table = self.subject_table(&roots);
        let mut dummies = Vec::new();
        for root in &roots {
            let Some(held) = root.subject.and_then(|subject| table.get_mut(&subject.get())) else { continue };
            if *held != root.at
                && let Some(dummy) = self.merge(*held, root.at)
            {
                dummies.push(dummy);
                *held = dummy;
            }
        }
        // What went below another root, and dummies whose children did.
        roots.retain(|root| {
            let has_children = || self.containers.children(root.at).next().is_some();
            self.containers.parent(root.at).is_none() && (!self.is_dummy(root.at) || has_children())
        });
        roots.extend(dummies.into_iter().map(|at| self.root(at)));
        // A dummy is as old as its oldest child, and may have got others since.
        roots
            .iter_mut()
            .filter(|root| self.is_dummy(root.at))
            .for_each(|root| root.sent = self.sent(root.at));
        roots.sort_by_key(|root| root.sent);
        roots.into_iter().map(|root| root.at).collect()
    }

    /// Steps 5.A and 5.B: for each subject the thread that the others join.
    fn subject_table(&self, roots: &[Root]) -> Table {
        let mut table = Table::with_capacity_and_hasher(roots.len(), RandomState::default());
        for root in roots {
            let Some(subject) = root.subject else { continue };
            let held = table.entry(subject.get()).or_insert(root.at);
            if self.is_dummy(*held) || *held == root.at {
                continue;
            }
            if self.is_dummy(root.at) || (self.is_reply(*held) && !self.is_reply(root.at)) {
                *held = root.at;
            }
        }
        table
    }

    /// Step 5.C: joins two threads; gives the new dummy where both become its children.
    fn merge(&mut self, held: Container, at: Container) -> Option<Container> {
        match (self.is_dummy(held), self.is_dummy(at)) {
            (true, true) => {
                for child in self.containers.take_children_reversed(at).into_iter().rev() {
                    self.containers.append(held, child);
                }
                None
            }
            (true, false) => {
                self.containers.append(held, at);
                None
            }
            _ if self.is_reply(at) && !self.is_reply(held) => {
                self.containers.append(held, at);
                None
            }
            _ => {
                let dummy = self.containers.add();
                self.containers.append(dummy, held);
                self.containers.append(dummy, at);
                Some(dummy)
            }
        }
    }

    /// Step 6, and the result: from the top down, without recursion.
    fn forest(&self, mut roots: Vec<Container>) -> Forest {
        roots.reverse();
        let mut next = roots;
        let mut nodes = Vec::with_capacity(self.messages.len());
        let mut children = Vec::new();
        while let Some(at) = next.pop() {
            children.extend(self.containers.children(at));
            self.sort(&mut children);
            nodes.push(Node {
                uid: self.message(at).map(|message| message.uid),
                children: u32::try_from(children.len()).unwrap_or(u32::MAX),
            });
            next.extend(children.drain(..).rev());
        }
        Forest(nodes)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// As they were before there was another way: each circle is searched for by walking, however far.
    pub(crate) fn by_walking(messages: &Threadables) -> Forest {
        threads_walking(messages, usize::MAX)
    }

    /// Never by walking.
    pub(crate) fn by_paths(messages: &Threadables) -> Forest {
        threads_walking(messages, 0)
    }
}
