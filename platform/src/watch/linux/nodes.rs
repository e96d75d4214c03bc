//! From the kernel's watch descriptors to the directories they stand for.

use std::collections::HashMap;

use crate::watch::tree::Id;

/// Which directories a watch descriptor stands for. Mostly one; several when one inode is reached by several
/// paths (bind mounts, overlapping roots).
#[derive(Default)]
pub(super) struct Nodes {
    first: HashMap<i32, Id>,
    more: HashMap<i32, Vec<Id>>,
}

impl Nodes {
    pub(super) fn insert(&mut self, wd: i32, id: Id) {
        let first = *self.first.entry(wd).or_insert(id);
        if first != id && !self.contains(wd, id) {
            self.more.entry(wd).or_default().push(id);
        }
    }

    pub(super) fn contains(&self, wd: i32, id: Id) -> bool {
        self.first.get(&wd) == Some(&id) || self.more.get(&wd).is_some_and(|more| more.contains(&id))
    }

    pub(super) fn get(&self, wd: i32) -> Vec<Id> {
        let more = self.more.get(&wd).into_iter().flatten();
        self.first.get(&wd).into_iter().chain(more).copied().collect()
    }

    /// Forgets one directory of a watch; true when it was the last.
    pub(super) fn remove(&mut self, wd: i32, id: Id) -> bool {
        let Some(more) = self.more.get_mut(&wd) else {
            return self.first.remove(&wd).is_some();
        };
        if self.first.get(&wd) == Some(&id) {
            self.first.insert(wd, more.swap_remove(0));
        } else {
            more.retain(|&other| other != id);
        }
        if more.is_empty() {
            self.more.remove(&wd);
        }
        false
    }
}
