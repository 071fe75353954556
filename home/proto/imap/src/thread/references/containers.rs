//! The containers of RFC 5256 §3: who is below whom, siblings in the order in which they came.
//!
//! All in one list; links are places in it. A container leaves its parent in constant time, however many siblings it has.

use std::num::NonZeroU32;

/// A container's place in the list, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Container(NonZeroU32);

impl Container {
    fn at(index: usize) -> Container {
        // Nobody has four thousand million messages in a mailbox: UIDs would not do.
        Container(u32::try_from(index + 1).ok().and_then(NonZeroU32::new).unwrap_or(NonZeroU32::MAX))
    }

    /// Its place in the list, from 0.
    pub(super) fn index(self) -> usize {
        self.0.get() as usize - 1
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Links {
    parent: Option<Container>,
    first_child: Option<Container>,
    last_child: Option<Container>,
    previous: Option<Container>,
    next: Option<Container>,
}

#[derive(Debug)]
pub(super) struct Containers(Vec<Links>);

impl Containers {
    /// So many, none below another.
    pub(super) fn new(count: usize) -> Containers {
        let mut links = Vec::with_capacity(count + count / 2);
        links.resize(count, Links::default());
        Containers(links)
    }

    /// All that are there now.
    pub(super) fn all(&self) -> impl Iterator<Item = Container> + use<> {
        (0..self.0.len()).map(Container::at)
    }

    /// One more.
    pub(super) fn add(&mut self) -> Container {
        self.0.push(Links::default());
        Container::at(self.0.len() - 1)
    }

    fn links(&self, at: Container) -> Links {
        self.0.get(at.index()).copied().unwrap_or_default()
    }

    fn change(&mut self, at: Option<Container>, change: impl FnOnce(&mut Links)) {
        if let Some(links) = at.and_then(|at| self.0.get_mut(at.index())) {
            change(links);
        }
    }

    pub(super) fn parent(&self, at: Container) -> Option<Container> {
        self.links(at).parent
    }

    /// In order.
    pub(super) fn children(&self, at: Container) -> impl Iterator<Item = Container> {
        std::iter::successors(self.links(at).first_child, |&child| self.links(child).next)
    }

    /// Makes a link to one without a parent, unless it would close a circle.
    pub(super) fn adopt(&mut self, parent: Container, child: Container) {
        // What has no children can be above nobody, but itself.
        let may_be_above = parent == child || self.links(child).first_child.is_some();
        let mut above = Some(parent).filter(|_| may_be_above);
        while let Some(at) = above {
            if at == child {
                return;
            }
            above = self.parent(at);
        }
        self.append(parent, child);
    }

    /// Makes a link that cannot close a circle, to one without a parent.
    pub(super) fn append(&mut self, parent: Container, child: Container) {
        let previous = self.links(parent).last_child;
        self.change(Some(child), |links| {
            (links.parent, links.previous, links.next) = (Some(parent), previous, None);
        });
        self.change(previous, |links| links.next = Some(child));
        self.change(Some(parent), |links| {
            links.first_child = links.first_child.or(Some(child));
            links.last_child = Some(child);
        });
    }

    pub(super) fn leave_parent(&mut self, child: Container) {
        let Links { parent, previous, next, .. } = self.links(child);
        self.change(parent, |links| {
            links.first_child = if previous.is_none() { next } else { links.first_child };
            links.last_child = if next.is_none() { previous } else { links.last_child };
        });
        self.change(previous, |links| links.next = next);
        self.change(next, |links| links.previous = previous);
        self.change(Some(child), |links| (links.parent, links.previous, links.next) = (None, None, None));
    }

    /// All children, the last first, now without a parent.
    pub(super) fn take_children_reversed(&mut self, at: Container) -> Vec<Container> {
        let last = self.links(at).last_child;
        let children: Vec<Container> =
            std::iter::successors(last, |&child| self.links(child).previous).collect();
        for &child in &children {
            self.change(Some(child), |links| (links.parent, links.previous, links.next) = (None, None, None));
        }
        self.change(Some(at), |links| (links.first_child, links.last_child) = (None, None));
        children
    }
}
