//! The containers of RFC 5256 §3: who is below whom, siblings in the order in which they came.
//!
//! All in one list; links are places in it. A container leaves its parent in constant time, however many siblings it has.
//!
//! No link may close a circle. Whether one would is seen by walking up, where that is not far; the first time that it is
//! farther than [`FAR`], the forest is taken over by [`Paths`], which answers in a time that no depth changes much. The answer
//! is the same.

use std::num::NonZeroU32;

use super::paths::Paths;

/// So many steps up are walked; conversations are seldom as deep.
pub(super) const FAR: usize = 128;

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
pub(super) struct Containers {
    links: Vec<Links>,
    /// Once it was far to a top, until [`Containers::forget_paths`].
    paths: Option<Paths>,
    /// Steps up that are walked.
    far: usize,
}

impl Containers {
    /// So many, none below another. Up to `far` steps up are walked.
    pub(super) fn new(count: usize, far: usize) -> Containers {
        let mut links = Vec::with_capacity(count + count / 2);
        links.resize(count, Links::default());
        Containers { links, paths: None, far }
    }

    /// All that are there now.
    pub(super) fn all(&self) -> impl Iterator<Item = Container> + use<> {
        (0..self.links.len()).map(Container::at)
    }

    /// One more.
    pub(super) fn add(&mut self) -> Container {
        self.links.push(Links::default());
        if let Some(paths) = &mut self.paths {
            paths.add();
        }
        Container::at(self.links.len() - 1)
    }

    fn links(&self, at: Container) -> Links {
        self.links.get(at.index()).copied().unwrap_or_default()
    }

    fn change(&mut self, at: Option<Container>, change: impl FnOnce(&mut Links)) {
        if let Some(links) = at.and_then(|at| self.links.get_mut(at.index())) {
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
        if self.is_above(child, parent) {
            return;
        }
        if let Some(paths) = &mut self.paths {
            paths.link(child.index(), parent.index());
        }
        self.append(parent, child);
    }

    /// Whether a container without a parent is another one, or above it.
    fn is_above(&mut self, top: Container, at: Container) -> bool {
        // What has no children can be above nobody, but itself.
        if top == at || self.links(top).first_child.is_none() {
            return top == at;
        }
        if self.paths.is_none() {
            let mut walk = std::iter::successors(Some(at), |&at| self.parent(at)).take(self.far);
            if let Some(above) = walk.find(|&above| above == top || self.parent(above).is_none()) {
                return above == top;
            }
            let parents = self.links.iter().map(|links| links.parent.map(Container::index));
            self.paths = Some(Paths::new(parents));
        }
        self.paths.as_mut().is_some_and(|paths| paths.top(at.index()) == top.index())
    }

    /// From here on only links are made that cannot close a circle.
    pub(super) fn forget_paths(&mut self) {
        self.paths = None;
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
        if let Some(paths) = self.paths.as_mut().filter(|_| parent.is_some()) {
            paths.cut(child.index());
        }
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
