//! A watcher that looks instead of being told: for file systems that deliver no events, and for directories
//! beyond the watch limit. It compares size, times and inode of every entry once per interval, and spends at
//! most a tenth of the time on looking.

use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash, Hasher};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::tree::{Id, Tree};
use super::{Added, Entry, Event, Kind, Rescan, Scope, Waker, WatchError, Watcher};

/// A [`Watcher`] that reads its directories again and again.
pub struct Poller {
    interval: Duration,
    scope: Box<dyn Scope>,
    tree: Tree<Seen>,
    roots: Vec<PathBuf>,
    round: u32,
    next_look: Instant,
    woken: Arc<(Mutex<bool>, Condvar)>,
}

/// What an entry looked like, and in which round it was last there.
#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    stamp: u64,
    round: u32,
    dir: bool,
}

impl Poller {
    /// A watcher that looks every `interval`, or less often when looking takes long.
    pub fn new(scope: Box<dyn Scope>, interval: Duration) -> Poller {
        Poller {
            interval,
            scope,
            tree: Tree::default(),
            roots: Vec::new(),
            round: 0,
            next_look: Instant::now() + interval,
            woken: Arc::default(),
        }
    }

    /// Sleeps until `until`; true when it was woken before.
    fn sleep(&self, until: Instant) -> bool {
        let (woken, signal) = &*self.woken;
        let guard = woken.lock().unwrap_or_else(PoisonError::into_inner);
        let left = until.saturating_duration_since(Instant::now());
        let (mut guard, _) =
            signal.wait_timeout_while(guard, left, |woken| !*woken).unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *guard)
    }

    fn look(&mut self, events: &mut Vec<Event>) {
        self.round += 1;
        for root in self.roots.clone() {
            let known = self.tree.root(&root);
            match (known, root.is_dir()) {
                (Some(id), true) => {
                    self.read(id, &mut root.clone(), &mut Some(events));
                }
                (Some(id), false) => {
                    self.tree.remove(id);
                    events.push(Event::Rescan { root, why: Rescan::RootGone });
                }
                (None, true) => {
                    let id = self.tree.insert_root(&root, Seen::default());
                    self.read(id, &mut root.clone(), &mut None);
                    events.push(Event::Rescan { root, why: Rescan::RootBack });
                }
                (None, false) => {}
            }
        }
    }

    /// Compares the directory `path` with what is known of it; `events` is `None` while it is read for the
    /// first time. Returns the directories read.
    fn read(&mut self, id: Id, path: &mut PathBuf, events: &mut Option<&mut Vec<Event>>) -> usize {
        let Ok(entries) = fs::read_dir(&*path) else {
            return 0;
        };
        let mut directories = Vec::new();
        for entry in entries.flatten() {
            let Ok(meta) = entry.metadata() else { continue };
            let name = entry.file_name();
            let seen = Seen { stamp: stamp(&meta), round: self.round, dir: meta.is_dir() };
            path.push(&name);
            let known = self.tree.child(id, &name);
            let kind = match known.map(|id| self.tree.value(id)) {
                Some(before) if before.dir == seen.dir && (seen.dir || before.stamp == seen.stamp) => None,
                Some(_) => Some(Kind::Modified),
                None => Some(Kind::Created),
            };
            let child = known.unwrap_or_else(|| self.tree.insert(id, &name, seen));
            *self.tree.value_mut(child) = seen;
            if seen.dir {
                directories.push(child);
            } else if kind == Some(Kind::Created) {
                let symlink = meta.file_type().is_symlink();
                self.scope.found(path, if symlink { Entry::Symlink } else { Entry::File });
            }
            if let (Some(events), Some(kind)) = (events.as_mut(), kind) {
                events.push(Event::Change { path: path.clone(), kind, dir: seen.dir });
            }
            path.pop();
        }
        self.drop_unseen(id, path, events);
        let mut read = 1;
        for child in directories {
            path.push(self.tree.name(child));
            if self.scope.enter(path) {
                read += self.read(child, path, events);
            }
            path.pop();
        }
        read
    }

    fn drop_unseen(&mut self, id: Id, path: &Path, events: &mut Option<&mut Vec<Event>>) {
        let gone = |child: &Id| self.tree.value(*child).round != self.round;
        for child in self.tree.children(id).filter(gone).collect::<Vec<_>>() {
            if let Some(events) = events {
                let path = path.join(self.tree.name(child));
                events.push(Event::Change { path, kind: Kind::Removed, dir: self.tree.value(child).dir });
            }
            self.tree.remove(child);
        }
    }
}

impl Watcher for Poller {
    fn add(&mut self, root: &Path) -> Result<Added, WatchError> {
        fs::read_dir(root).map_err(|error| WatchError::at_root(root, error))?;
        let id = self.tree.insert_root(root, Seen::default());
        let directories = self.read(id, &mut root.to_owned(), &mut None);
        self.roots.push(root.to_owned());
        Ok(Added { directories, ..Added::default() })
    }

    fn wait(&mut self, events: &mut Vec<Event>, timeout: Option<Duration>) -> io::Result<()> {
        let deadline = timeout.map(|timeout| Instant::now() + timeout);
        while events.is_empty() {
            let until = deadline.map_or(self.next_look, |deadline| deadline.min(self.next_look));
            let woken = self.sleep(until);
            let now = Instant::now();
            if now >= self.next_look {
                self.look(events);
                self.next_look = Instant::now() + self.interval.max(now.elapsed() * 9);
            }
            if woken || deadline.is_some_and(|deadline| now >= deadline) {
                break;
            }
        }
        Ok(())
    }

    fn waker(&self) -> Waker {
        let shared = Arc::clone(&self.woken);
        Waker::new(move || {
            let (woken, signal) = &*shared;
            *woken.lock().unwrap_or_else(PoisonError::into_inner) = true;
            signal.notify_one();
        })
    }
}

fn stamp(meta: &fs::Metadata) -> u64 {
    let mut hasher = DefaultHasher::new();
    (meta.len(), meta.ino(), meta.mtime(), meta.mtime_nsec(), meta.ctime(), meta.ctime_nsec())
        .hash(&mut hasher);
    hasher.finish()
}
