//! What the watcher of `up` looks at: directories that may hold sources, and of the files only those that may
//! count. Found files are passed on while the walk goes on, so that they can be read at the same time.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crossbeam_channel::Sender;
use hotwatch_platform::watch::{Entry, Scope};

use super::ignore::Ignore;
use super::{Changed, MayCount, Told};

/// Files per message.
const CHUNK: usize = 512;

/// Files and links that walks have found and nobody was told of yet; shared by a scope and the thread that
/// drives its watcher.
#[derive(Clone, Default)]
pub(super) struct Finds(Arc<Mutex<Found>>);

#[derive(Default)]
struct Found {
    files: Vec<PathBuf>,
    links: Vec<PathBuf>,
    /// Whether files are found because something happened, and not because somebody asked for them.
    as_changes: bool,
}

impl Finds {
    fn with<T>(&self, act: impl FnOnce(&mut Found) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Tells of the files found so far.
    pub(super) fn flush(&self, told: &Sender<Told>) {
        let (paths, as_changes) = self.with(|found| (std::mem::take(&mut found.files), found.as_changes));
        if !paths.is_empty() {
            let changed = |paths| Told::Changed(Changed { at: Instant::now(), paths });
            // Nobody listens any more once `up` ends.
            let _ = told.send(if as_changes { changed(paths) } else { Told::Found(paths) });
        }
    }

    /// Whether files that are found from now on may have changed.
    pub(super) fn set_as_changes(&self, as_changes: bool) {
        self.with(|found| found.as_changes = as_changes);
    }

    /// The links to directories found so far.
    pub(super) fn take_links(&self) -> Vec<PathBuf> {
        self.with(|found| std::mem::take(&mut found.links))
    }
}

/// The scope.
pub(super) struct Sources {
    pub(super) ignore: Arc<Mutex<Ignore>>,
    pub(super) roots: Arc<BTreeSet<PathBuf>>,
    /// Directories that are entered in any case. What lies in no root is entered for their sake only.
    pub(super) covered: Arc<Mutex<BTreeSet<PathBuf>>>,
    /// Directories that somebody else looks at.
    pub(super) closed: Vec<PathBuf>,
    pub(super) may_count: MayCount,
    pub(super) told: Sender<Told>,
    pub(super) finds: Finds,
    /// Set when nobody wants to know any more; a walk may take long.
    pub(super) ending: Arc<AtomicBool>,
}

impl Sources {
    fn is_covered(&self, dir: &Path) -> bool {
        self.covered.lock().unwrap_or_else(PoisonError::into_inner).contains(dir)
    }

    fn ignore(&self) -> MutexGuard<'_, Ignore> {
        self.ignore.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Scope for Sources {
    fn enter(&mut self, dir: &Path) -> bool {
        if self.ending.load(Ordering::Acquire) || self.closed.iter().any(|closed| dir == closed) {
            return false;
        }
        // A root itself is reached from its own top.
        let in_a_root = |dir: &Path| self.roots.iter().any(|root| dir != root && dir.starts_with(root));
        // What is covered for the sake of its files alone may lie in what is left out.
        let left_out = || {
            let above = dir.parent().is_some_and(|parent| self.is_covered(parent));
            let ignore = self.ignore();
            match above {
                true => dir.ancestors().take_while(|dir| in_a_root(dir)).any(|dir| ignore.prunes(dir)),
                false => ignore.prunes(dir),
            }
        };
        self.is_covered(dir) || (in_a_root(dir) && !left_out())
    }

    fn found(&mut self, path: &Path, kind: Entry) {
        if kind == Entry::Symlink && path.is_dir() {
            if !self.ignore().prunes(path) {
                self.finds.with(|found| found.links.push(path.to_owned()));
            }
            return;
        }
        if path.file_name().is_some_and(|name| name == ".gitignore") {
            self.ignore().learn(path);
        }
        if (self.may_count)(path) {
            let full = self.finds.with(|found| {
                found.files.push(path.to_owned());
                found.files.len() >= CHUNK
            });
            if full {
                self.finds.flush(&self.told);
            }
        }
    }
}
