//! A set of paths as a tree of names, with a value per path. A tree of 50,000 directories takes some 2 MB here
//! where full paths would take several times that: each node stores its own name once, in one shared buffer,
//! and children hang together as a linked list.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// A node of a [`Tree`]; valid until that node is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Id(u32);

const NONE: u32 = u32::MAX;

fn link(index: u32) -> Option<Id> {
    (index != NONE).then_some(Id(index))
}

#[derive(Debug)]
struct Node<T> {
    parent: u32,
    first_child: u32,
    next_sibling: u32,
    name_start: u32,
    name_len: u16,
    value: T,
}

/// Paths with a value each. Roots are full paths; everything else is a name below its parent.
#[derive(Debug)]
pub struct Tree<T> {
    nodes: Vec<Node<T>>,
    names: Vec<u8>,
    /// Bytes of `names` that belong to removed nodes.
    garbage: usize,
    free: Vec<u32>,
    roots: Vec<u32>,
}

impl<T> Default for Tree<T> {
    fn default() -> Self {
        Tree { nodes: Vec::new(), names: Vec::new(), garbage: 0, free: Vec::new(), roots: Vec::new() }
    }
}

impl<T: Copy> Tree<T> {
    /// Adds `path` as a root, or returns the root that it already is.
    pub fn insert_root(&mut self, path: &Path, value: T) -> Id {
        if let Some(id) = self.root(path) {
            return id;
        }
        let index = self.new_node(NONE, path.as_os_str(), value);
        self.roots.push(index);
        Id(index)
    }

    /// Adds `name` below `parent`. The caller knows that it is not there yet.
    pub fn insert(&mut self, parent: Id, name: &OsStr, value: T) -> Id {
        let index = self.new_node(parent.0, name, value);
        self.attach(index, parent.0);
        Id(index)
    }

    /// The root that is exactly `path`.
    pub fn root(&self, path: &Path) -> Option<Id> {
        self.roots.iter().copied().find(|&root| self.name(Id(root)) == path.as_os_str()).map(Id)
    }

    /// The child of `parent` called `name`.
    pub fn child(&self, parent: Id, name: &OsStr) -> Option<Id> {
        self.children(parent).find(|&child| self.name(child) == name)
    }

    /// The children of `id`, newest first.
    pub fn children(&self, id: Id) -> impl Iterator<Item = Id> + '_ {
        std::iter::successors(self.first_child(id), |&id| self.next_sibling(id))
    }

    /// The newest child of `id`.
    pub fn first_child(&self, id: Id) -> Option<Id> {
        link(self.node(id).first_child)
    }

    /// The child of the same parent that was inserted before `id`.
    pub fn next_sibling(&self, id: Id) -> Option<Id> {
        link(self.node(id).next_sibling)
    }

    /// The value of `id`.
    pub fn value(&self, id: Id) -> T {
        self.node(id).value
    }

    /// The value of `id`, to be changed.
    pub fn value_mut(&mut self, id: Id) -> &mut T {
        &mut self.nodes[id.0 as usize].value
    }

    /// The name of `id`: its last component, or for a root its whole path.
    pub fn name(&self, id: Id) -> &OsStr {
        let node = self.node(id);
        let start = node.name_start as usize;
        OsStr::from_bytes(&self.names[start..start + usize::from(node.name_len)])
    }

    /// What `id` lies in; `None` for a root.
    pub fn parent(&self, id: Id) -> Option<Id> {
        link(self.node(id).parent)
    }

    /// The full path of `id`.
    pub fn path(&self, id: Id) -> PathBuf {
        let mut chain = vec![id];
        while let Some(parent) = self.parent(chain[chain.len() - 1]) {
            chain.push(parent);
        }
        chain.iter().rev().map(|&id| self.name(id)).collect()
    }

    /// `id` and everything below it, parents before children.
    pub fn subtree(&self, id: Id) -> Vec<Id> {
        let mut found = vec![id];
        let mut next = 0;
        while next < found.len() {
            found.extend(self.children(found[next]));
            next += 1;
        }
        found
    }

    /// Removes `id` and everything below it.
    pub fn remove(&mut self, id: Id) {
        self.detach(id.0);
        for Id(index) in self.subtree(id) {
            self.garbage += usize::from(self.nodes[index as usize].name_len);
            self.free.push(index);
        }
        self.compact();
    }

    fn node(&self, id: Id) -> &Node<T> {
        &self.nodes[id.0 as usize]
    }

    fn new_node(&mut self, parent: u32, name: &OsStr, value: T) -> u32 {
        let (name_start, name_len) = self.store_name(name);
        let node = Node { parent, first_child: NONE, next_sibling: NONE, name_start, name_len, value };
        if let Some(index) = self.free.pop() {
            self.nodes[index as usize] = node;
            return index;
        }
        self.nodes.push(node);
        u32::try_from(self.nodes.len() - 1).expect("fewer than 2^32 paths")
    }

    fn store_name(&mut self, name: &OsStr) -> (u32, u16) {
        let start = u32::try_from(self.names.len()).expect("fewer than 4 GiB of names");
        // PATH_MAX and NAME_MAX are far below 64 KiB on both systems.
        let len = u16::try_from(name.len()).expect("a path is shorter than 64 KiB");
        self.names.extend_from_slice(name.as_bytes());
        (start, len)
    }

    fn attach(&mut self, index: u32, parent: u32) {
        self.nodes[index as usize].next_sibling = self.nodes[parent as usize].first_child;
        self.nodes[parent as usize].first_child = index;
    }

    fn detach(&mut self, index: u32) {
        let Node { parent, next_sibling, .. } = self.nodes[index as usize];
        if parent == NONE {
            self.roots.retain(|&root| root != index);
            return;
        }
        if self.nodes[parent as usize].first_child == index {
            self.nodes[parent as usize].first_child = next_sibling;
            return;
        }
        let mut at = self.nodes[parent as usize].first_child;
        while self.nodes[at as usize].next_sibling != index {
            at = self.nodes[at as usize].next_sibling;
        }
        self.nodes[at as usize].next_sibling = next_sibling;
    }

    /// Rewrites `names` once most of it is garbage.
    fn compact(&mut self) {
        if self.garbage < 64 * 1024 || self.garbage * 2 < self.names.len() {
            return;
        }
        let mut names = Vec::with_capacity(self.names.len() - self.garbage);
        let live: Vec<Id> = self.roots.clone().into_iter().flat_map(|root| self.subtree(Id(root))).collect();
        for id in live {
            let start = u32::try_from(names.len()).expect("shorter than before");
            names.extend_from_slice(self.name(id).as_bytes());
            self.nodes[id.0 as usize].name_start = start;
        }
        self.names = names;
        self.garbage = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(tree: &Tree<u32>, id: Id) -> Vec<String> {
        let mut all: Vec<_> =
            tree.subtree(id).into_iter().map(|id| tree.path(id).display().to_string()).collect();
        all.sort();
        all
    }

    #[test]
    fn finds_what_was_inserted_and_not_removed() {
        let mut tree = Tree::default();
        let root = tree.insert_root(Path::new("/r"), 0);
        let a = tree.insert(root, OsStr::new("a"), 1);
        tree.insert(a, OsStr::new("b"), 2);
        let c = tree.insert(root, OsStr::new("c"), 3);
        assert_eq!(paths(&tree, root), ["/r", "/r/a", "/r/a/b", "/r/c"]);
        tree.remove(a);
        assert_eq!(paths(&tree, root), ["/r", "/r/c"]);
        assert_eq!(tree.child(root, OsStr::new("c")), Some(c));
        assert_eq!(tree.child(root, OsStr::new("a")), None);
    }

    #[test]
    fn names_of_removed_paths_are_given_back() {
        let mut tree = Tree::default();
        let root = tree.insert_root(Path::new("/r"), 0);
        let kept = tree.insert(root, OsStr::new("kept"), 7);
        for round in 0..20_000 {
            let id = tree.insert(root, OsStr::new(&format!("temporary-{round}")), round);
            tree.remove(id);
        }
        assert!(tree.names.len() < 200_000, "{} bytes", tree.names.len());
        assert_eq!(paths(&tree, root), ["/r", "/r/kept"]);
        assert_eq!(tree.value(kept), 7);
    }
}
