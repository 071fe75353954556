//! REFERENCES (RFC 5256 §3): who answers whom, and then equal subjects.
//!
//! Messages and the dummies for those that are only mentioned stand in one list, `containers`; links are indices into
//! it. The steps are those of the RFC.

use std::collections::HashMap;

use super::{Node, SubjectKind, Threadable};

/// A message, or a dummy for one that is not there.
#[derive(Debug, Default)]
struct Container {
    message: Option<usize>,
    parent: Option<usize>,
    children: Vec<usize>,
}

struct Threader {
    messages: Vec<Threadable>,
    containers: Vec<Container>,
}

pub(super) fn threads(messages: Vec<Threadable>) -> Vec<Node> {
    let mut threader = Threader { messages, containers: Vec::new() };
    threader.link();
    let orphans = (0..threader.containers.len()).filter(|&at| threader.at(at).parent.is_none()).collect();
    let roots = threader.prune(orphans);
    let roots = threader.merge_subjects(threader.sorted(roots));
    threader.forest(roots)
}

impl Threader {
    fn at(&self, at: usize) -> &Container {
        self.containers.get(at).unwrap_or(&EMPTY)
    }

    fn message(&self, at: usize) -> Option<&Threadable> {
        self.at(at).message.and_then(|index| self.messages.get(index))
    }

    fn add(&mut self, message: Option<usize>) -> usize {
        self.containers.push(Container { message, ..Container::default() });
        self.containers.len() - 1
    }

    /// Step 1: parents and children by References. The first message with an id has it.
    fn link(&mut self) {
        let messages = std::mem::take(&mut self.messages);
        let mut by_id: HashMap<u64, usize> = HashMap::with_capacity(messages.len());
        let own: Vec<usize> = (0..messages.len()).map(|index| self.add(Some(index))).collect();
        for (message, &at) in messages.iter().zip(&own) {
            if let Some(id) = message.message_id {
                by_id.entry(id).or_insert(at);
            }
        }
        for (message, &at) in messages.iter().zip(&own) {
            let mut above = None;
            for &id in &message.references {
                let mentioned = *by_id.entry(id).or_insert_with(|| self.add(None));
                if let Some(parent) = above.filter(|_| self.at(mentioned).parent.is_none()) {
                    self.adopt(parent, mentioned);
                }
                above = Some(mentioned);
            }
            if self.at(at).parent != above {
                self.leave_parent(at);
                if let Some(parent) = above {
                    self.adopt(parent, at);
                }
            }
        }
        self.messages = messages;
    }

    /// Makes a link unless it would close a circle.
    fn adopt(&mut self, parent: usize, child: usize) {
        // What has no children can be above nobody, but itself.
        let mut above = Some(parent).filter(|_| parent == child || !self.at(child).children.is_empty());
        while let Some(at) = above {
            if at == child {
                return;
            }
            above = self.at(at).parent;
        }
        if let Some(container) = self.containers.get_mut(child) {
            container.parent = Some(parent);
        }
        if let Some(container) = self.containers.get_mut(parent) {
            container.children.push(child);
        }
    }

    fn leave_parent(&mut self, child: usize) {
        let parent = self.containers.get_mut(child).and_then(|container| container.parent.take());
        if let Some(container) = parent.and_then(|parent| self.containers.get_mut(parent)) {
            container.children.retain(|&at| at != child);
        }
    }

    /// Step 3: dummies go, and their children take their place; at the top only a single child does. From the roots
    /// down, without recursion.
    fn prune(&mut self, roots: Vec<usize>) -> Vec<usize> {
        let mut next = roots.clone();
        while let Some(at) = next.pop() {
            let children = self.nearest_messages(at);
            next.extend_from_slice(&children);
            if let Some(container) = self.containers.get_mut(at) {
                container.children = children;
            }
        }
        let top = |at: usize| match (self.at(at).message, self.at(at).children.as_slice()) {
            (None, []) => None,
            (None, [only]) => Some(*only),
            _ => Some(at),
        };
        let top: Vec<usize> = roots.into_iter().filter_map(top).collect();
        for &at in &top {
            if let Some(container) = self.containers.get_mut(at) {
                container.parent = None;
            }
        }
        top
    }

    /// The messages below a container with nothing but dummies between, in order; each dummy is taken apart once.
    fn nearest_messages(&mut self, at: usize) -> Vec<usize> {
        let mut found = Vec::new();
        let mut rest = self.take_children_reversed(at);
        while let Some(at) = rest.pop() {
            match self.at(at).message {
                Some(_) => found.push(at),
                None => rest.extend(self.take_children_reversed(at)),
            }
        }
        found
    }

    fn take_children_reversed(&mut self, at: usize) -> Vec<usize> {
        let container = self.containers.get_mut(at);
        let mut children =
            container.map(|container| std::mem::take(&mut container.children)).unwrap_or_default();
        children.reverse();
        children
    }

    /// When a container was sent; a dummy counts as its first child. Dummies are at the top only.
    fn sent(&self, at: usize) -> (i64, u32) {
        match self.message(at) {
            Some(message) => (message.sent, message.uid),
            None => self
                .at(at)
                .children
                .iter()
                .map(|&child| self.sent_of_message(child))
                .min()
                .unwrap_or_default(),
        }
    }

    fn sent_of_message(&self, at: usize) -> (i64, u32) {
        self.message(at).map_or((0, 0), |message| (message.sent, message.uid))
    }

    /// Steps 4 and 6: siblings by the moment they were sent.
    fn sorted(&self, mut siblings: Vec<usize>) -> Vec<usize> {
        siblings.sort_by_cached_key(|&at| self.sent(at));
        siblings
    }

    /// The message whose subject a thread has.
    fn subject_of(&self, at: usize) -> Option<&Threadable> {
        let first = || self.at(at).children.iter().copied().min_by_key(|&child| self.sent_of_message(child));
        self.message(at).or_else(|| self.message(first()?))
    }

    fn is_reply(&self, at: usize) -> bool {
        self.message(at).is_some_and(|message| message.kind == SubjectKind::ReplyOrForward)
    }

    /// Step 5: threads of one subject become one.
    fn merge_subjects(&mut self, mut roots: Vec<usize>) -> Vec<usize> {
        let mut table = self.subject_table(&roots);
        for at in roots.clone() {
            let Some(subject) = self.subject_of(at).and_then(|message| message.base_subject) else {
                continue;
            };
            let Some(held) = table.get(&subject).copied().filter(|&held| held != at) else { continue };
            if let Some(dummy) = self.merge(held, at) {
                roots.push(dummy);
                table.insert(subject, dummy);
            }
        }
        // What went below another root, and dummies whose children did.
        roots.retain(|&at| {
            let container = self.at(at);
            container.parent.is_none() && (container.message.is_some() || !container.children.is_empty())
        });
        self.sorted(roots)
    }

    /// Steps 5.A and 5.B: for each subject the thread that the others join.
    fn subject_table(&self, roots: &[usize]) -> HashMap<u64, usize> {
        let mut table: HashMap<u64, usize> = HashMap::new();
        for &at in roots {
            let Some(subject) = self.subject_of(at).and_then(|message| message.base_subject) else {
                continue;
            };
            let is_dummy = self.at(at).message.is_none();
            match table.get_mut(&subject) {
                None => {
                    table.insert(subject, at);
                }
                Some(held) => {
                    let held_is_dummy = self.at(*held).message.is_none();
                    let better = is_dummy || (self.is_reply(*held) && !self.is_reply(at));
                    if !held_is_dummy && better {
                        *held = at;
                    }
                }
            }
        }
        table
    }

    /// Step 5.C: joins two threads; gives the new dummy where both become its children.
    fn merge(&mut self, held: usize, at: usize) -> Option<usize> {
        let dummy = |this: &Threader, at: usize| this.at(at).message.is_none();
        match (dummy(self, held), dummy(self, at)) {
            (true, true) => {
                let children =
                    self.containers.get_mut(at).map(|container| std::mem::take(&mut container.children));
                for child in children.unwrap_or_default() {
                    self.reparent(held, child);
                }
                None
            }
            (true, false) => {
                self.reparent(held, at);
                None
            }
            _ if self.is_reply(at) && !self.is_reply(held) => {
                self.reparent(held, at);
                None
            }
            _ => {
                let dummy = self.add(None);
                self.reparent(dummy, held);
                self.reparent(dummy, at);
                Some(dummy)
            }
        }
    }

    /// Both are roots, so there is no circle to look for.
    fn reparent(&mut self, parent: usize, child: usize) {
        if let Some(container) = self.containers.get_mut(child) {
            container.parent = Some(parent);
        }
        if let Some(container) = self.containers.get_mut(parent) {
            container.children.push(child);
        }
    }

    /// Step 6, and the result: from the leaves up, without recursion.
    fn forest(&self, roots: Vec<usize>) -> Vec<Node> {
        let mut order = roots.clone();
        let mut next = 0;
        while let Some(&at) = order.get(next) {
            order.extend_from_slice(&self.at(at).children);
            next += 1;
        }
        let mut made: Vec<Option<Node>> = self.containers.iter().map(|_| None).collect();
        let take = |made: &mut Vec<Option<Node>>, at: usize| made.get_mut(at).and_then(Option::take);
        for &at in order.iter().rev() {
            let children = self.sorted(self.at(at).children.clone());
            let children = children.into_iter().filter_map(|child| take(&mut made, child)).collect();
            if let Some(place) = made.get_mut(at) {
                *place = Some(Node { uid: self.message(at).map(|message| message.uid), children });
            }
        }
        roots.into_iter().filter_map(|at| take(&mut made, at)).collect()
    }
}

static EMPTY: Container = Container { message: None, parent: None, children: Vec::new() };
