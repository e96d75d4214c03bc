//! Directories that are watched for the sake of single files in them: those of packages outside of the services'
//! own directories, and of the configuration.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};
use std::time::Instant;

use hotwatch_platform::watch::{limit, mounts};

use super::{Actor, Changed, Told, limit_reached};

/// Directories to watch beside the roots, without what lies below them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cover {
    /// Directories that lie in no root have one of these above them, or are one.
    pub tops: BTreeSet<PathBuf>,
    /// The directories; they need not exist yet.
    pub dirs: BTreeSet<PathBuf>,
    /// Roots to be read anew: everything in them is told once more.
    pub again: BTreeSet<PathBuf>,
}

impl Actor {
    /// Watches what `cover` asks for: enters the directories in the roots that hold them, and adds their tops
    /// where none does.
    pub(super) fn cover(&mut self, cover: Cover) {
        let roots = Arc::clone(&self.shared.roots);
        let mut again = cover.again;
        let mut new_tops = BTreeSet::new();
        let mut covered = self.shared.covered.lock().unwrap_or_else(PoisonError::into_inner);
        let ignore = self.shared.ignore.lock().unwrap_or_else(PoisonError::into_inner);
        for dir in cover.dirs {
            // A root takes in what lies in it, unless that is left out.
            let root = roots.iter().find(|root| dir.starts_with(root));
            let is_taken_in = root.is_some_and(|root| {
                let mut below = dir.ancestors().take_while(|dir| dir.starts_with(root) && dir != root);
                below.all(|dir| !ignore.prunes(dir))
            });
            let top = root.or_else(|| cover.tops.iter().find(|top| dir.starts_with(top)));
            let Some(top) = top else { continue };
            let way = dir.ancestors().take_while(|dir| dir.starts_with(top)).map(Path::to_owned);
            // Not `any`: each has to be inserted.
            let new = way.filter(|dir| covered.insert(dir.clone())).count() > 0;
            // What is not there yet is entered when it comes, even if an ignore file has come before it.
            if is_taken_in || !dir.is_dir() {
                continue;
            }
            if root.is_none() && !self.tops.contains(top) {
                new_tops.insert(top.clone());
            } else if new {
                again.insert(top.clone());
            }
        }
        drop((covered, ignore));
        let mut beyond_limit = Vec::new();
        let known: BTreeSet<PathBuf> =
            again.iter().filter(|root| !new_tops.contains(*root)).cloned().collect();
        for root in known.iter().chain(&new_tops) {
            if !mounts::silent(root).is_empty() {
                self.poll(std::slice::from_ref(root));
            } else if let Err(error) = self.add(root, &mut beyond_limit) {
                self.shared.warn(error.to_string());
            }
        }
        self.tops.extend(new_tops.iter().cloned());
        if !beyond_limit.is_empty() {
            let polled = self.poll(&beyond_limit);
            let needed = limit().unwrap_or_default() + polled;
            self.shared.warn(limit_reached(&format!("{polled} more"), needed));
        }
        drop(self.finds.take_links());
        self.finds.flush(&self.shared.told);
        // Nothing of what was known was watched for a moment: by this watcher, or by the one before it.
        let paths: Vec<PathBuf> = known.into_iter().chain(new_tops).collect();
        if !paths.is_empty() {
            self.shared.tell(Told::Changed(Changed { at: Instant::now(), paths }));
        }
    }
}
