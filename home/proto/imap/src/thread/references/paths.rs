//! Who stands at the top, in a forest that is linked and cut: link-cut trees (Sleator and Tarjan, "A data structure for dynamic
//! trees", 1983, in their later form with splay trees).
//!
//! In: links of a top below another container, and cuts. Out: the top above a container, in O(log n) steps on average over all
//! calls, however deep a sender made the trees. Each path that was walked lies in a splay tree ordered by depth; a tree whose
//! parts were never walked is nothing but its links, so a forest of any shape is taken over by copying them.

/// A place in the forest, from 1; 0 is none.
type Place = usize;
const NONE: Place = 0;

#[derive(Debug, Clone, Copy, Default)]
struct Node {
    /// In the splay tree; of its root, the container above the path's uppermost.
    up: Place,
    /// Nearer to the top.
    left: Place,
    /// Farther from it.
    right: Place,
}

/// The forest, by the containers' indexes from 0.
#[derive(Debug)]
pub(super) struct Paths(Vec<Node>);

impl Paths {
    /// Takes over a forest: of each container, the index of the one above it.
    pub(super) fn new(parents: impl Iterator<Item = Option<usize>>) -> Paths {
        let node =
            |parent: Option<usize>| Node { up: parent.map_or(NONE, |index| index + 1), ..Node::default() };
        Paths(std::iter::once(Node::default()).chain(parents.map(node)).collect())
    }

    /// One more, with none above it.
    pub(super) fn add(&mut self) {
        self.0.push(Node::default());
    }

    /// The index of the top above one; itself, if it is one.
    pub(super) fn top(&mut self, index: usize) -> usize {
        let mut at = index + 1;
        self.expose(at);
        while self.node(at).left != NONE {
            at = self.node(at).left;
        }
        self.splay(at);
        at - 1
    }

    /// Puts a top below one that is not below it.
    pub(super) fn link(&mut self, top: usize, parent: usize) {
        self.expose(top + 1);
        self.change(top + 1, |node| node.up = parent + 1);
    }

    /// Makes a top of one.
    pub(super) fn cut(&mut self, index: usize) {
        let at = index + 1;
        self.expose(at);
        let above = self.node(at).left;
        self.change(above, |node| node.up = NONE);
        self.change(at, |node| node.left = NONE);
    }

    fn node(&self, at: Place) -> Node {
        self.0.get(at).copied().unwrap_or_default()
    }

    fn change(&mut self, at: Place, change: impl FnOnce(&mut Node)) {
        if let Some(node) = self.0.get_mut(at).filter(|_| at != NONE) {
            change(node);
        }
    }

    /// Makes one splay tree of the path from the top to `at`, and `at` its root and its end.
    fn expose(&mut self, at: Place) {
        self.splay(at);
        self.change(at, |node| node.right = NONE);
        loop {
            let above = self.node(at).up;
            if above == NONE {
                return;
            }
            self.splay(above);
            self.change(above, |node| node.right = at);
            self.rotate(at);
        }
    }

    fn is_root(&self, at: Place) -> bool {
        let above = self.node(self.node(at).up);
        self.node(at).up == NONE || (above.left != at && above.right != at)
    }

    fn splay(&mut self, at: Place) {
        while !self.is_root(at) {
            let above = self.node(at).up;
            if !self.is_root(above) {
                let same_side = self.is_left(at) == self.is_left(above);
                self.rotate(if same_side { above } else { at });
            }
            self.rotate(at);
        }
    }

    fn is_left(&self, at: Place) -> bool {
        self.node(self.node(at).up).left == at
    }

    /// Changes places with the one above in the splay tree.
    fn rotate(&mut self, at: Place) {
        let above = self.node(at).up;
        let farther_up = self.node(above).up;
        if !self.is_root(above) {
            match self.is_left(above) {
                true => self.change(farther_up, |node| node.left = at),
                false => self.change(farther_up, |node| node.right = at),
            }
        }
        let Node { left, right, .. } = self.node(at);
        let inner = if self.is_left(at) {
            self.change(above, |node| node.left = right);
            self.change(at, |node| node.right = above);
            right
        } else {
            self.change(above, |node| node.right = left);
            self.change(at, |node| node.left = above);
            left
        };
        self.change(inner, |node| node.up = above);
        self.change(above, |node| node.up = at);
        self.change(at, |node| node.up = farther_up);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn top(parents: &[Option<usize>], index: usize) -> usize {
        std::iter::successors(Some(index), |&at| parents[at]).last().unwrap()
    }

    proptest! {
        /// The same tops as by walking, after any links and cuts, begun at any moment.
        #[test]
        fn tops_are_those_that_a_walk_finds(
            before in prop::collection::vec((0usize..24, 0usize..24), 0..40),
            after in prop::collection::vec((prop::bool::weighted(0.8), 0usize..24, 0usize..24), 0..120),
        ) {
            let mut parents = vec![None; 20];
            for (child, parent) in before.into_iter().filter(|(child, parent)| child.max(parent) < &20) {
                if parents[child].is_none() && top(&parents, parent) != child {
                    parents[child] = Some(parent);
                }
            }
            let mut paths = Paths::new(parents.iter().copied());
            for _ in 20..24 {
                parents.push(None);
                paths.add();
            }
            for (links, child, parent) in after {
                if !links {
                    parents[child] = None;
                    paths.cut(child);
                } else if parents[child].is_none() && paths.top(parent) != child {
                    parents[child] = Some(parent);
                    paths.link(child, parent);
                }
                prop_assert_eq!(paths.top(child), top(&parents, child));
                prop_assert_eq!(paths.top(parent), top(&parents, parent));
            }
        }
    }
}
