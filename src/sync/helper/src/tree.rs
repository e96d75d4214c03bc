//! A tree of files as it was seen, or agreed on: entries by path. Pure.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::entry::{Entry, Rel};

/// Entries by path; the root is among them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tree(BTreeMap<Rel, Entry>);

impl Tree {
    /// What stands at `path`.
    pub fn get(&self, path: &Rel) -> Option<&Entry> {
        self.0.get(path)
    }

    /// Has `entry` stand at `path`, or nothing.
    pub fn set(&mut self, path: Rel, entry: Option<Entry>) {
        match entry {
            Some(entry) => drop(self.0.insert(path, entry)),
            None => drop(self.0.remove(&path)),
        }
    }

    /// All entries, each directory before what is in it.
    pub fn iter(&self) -> impl Iterator<Item = (&Rel, &Entry)> {
        self.0.iter()
    }

    /// The entries at `path` and below it.
    pub fn under(&self, path: &Rel) -> impl Iterator<Item = (&Rel, &Entry)> {
        let below = if path.is_root() {
            self.0.range(Rel::root()..)
        } else {
            self.0.range(path.first_below()..path.past())
        };
        self.0.get_key_value(path).filter(|_| !path.is_root()).into_iter().chain(below)
    }

    /// Has `seen` stand at `path` and below it, and nothing else.
    pub fn replace(&mut self, path: &Rel, seen: impl IntoIterator<Item = (Rel, Entry)>) {
        let old: Vec<Rel> = self.under(path).map(|(path, _)| path.clone()).collect();
        old.iter().for_each(|path| drop(self.0.remove(path)));
        self.0.extend(seen);
    }

    /// How many files and links there are.
    pub fn files(&self) -> usize {
        self.0.values().filter(|entry| !entry.is_dir() && !entry.is_opaque()).count()
    }

    /// How many bytes all files have together.
    pub fn bytes(&self) -> u64 {
        self.0.values().map(Entry::size).sum()
    }

    /// Whether there is nothing, or a root without anything in it.
    pub fn is_bare(&self) -> bool {
        self.0.iter().all(|(path, entry)| path.is_root() && entry.is_dir())
    }

    /// Whether nothing is there that somebody could miss: directories alone, or nothing at all.
    pub fn is_empty(&self) -> bool {
        self.0.values().all(Entry::is_dir)
    }
}

impl FromIterator<(Rel, Entry)> for Tree {
    fn from_iter<T: IntoIterator<Item = (Rel, Entry)>>(entries: T) -> Tree {
        Tree(entries.into_iter().collect())
    }
}

impl IntoIterator for Tree {
    type Item = (Rel, Entry);
    type IntoIter = std::collections::btree_map::IntoIter<Rel, Entry>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn a_subtree_is_replaced_and_nothing_beside_it() {
        let rel = |path: &str| Rel::new(Path::new(path)).unwrap();
        let paths = ["", "a", "a!", "a/b", "a/b/c", "a0", "ab"];
        let mut tree: Tree = paths.into_iter().map(|path| (rel(path), Entry::Dir)).collect();
        let under =
            |tree: &Tree, path| tree.under(&rel(path)).map(|(path, _)| path.to_string()).collect::<Vec<_>>();
        assert_eq!(under(&tree, "a"), ["a", "a/b", "a/b/c"]);
        assert_eq!(under(&tree, "").len(), paths.len());
        tree.replace(&rel("a"), [(rel("a"), Entry::Link(b"x".to_vec()))]);
        assert_eq!(under(&tree, ""), [".", "a", "a!", "a0", "ab"]);
        tree.replace(&rel(""), []);
        assert!(tree.is_bare());
    }
}
