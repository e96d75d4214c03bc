//! Everything about FSEvents that is not a call into macOS: how its events, which say little and are merged
//! freely, become [`Event`]s by looking at what is there. It runs, and is tested, on every system; see
//! `macos.rs` for the calls.
//!
//! Paths come as FSEvents spells them below the root's canonical path. A root that was given otherwise
//! (`/var/...` for `/private/var/...`) gets its own spelling back; below it nothing is respelt. Names are never
//! compared by case or Unicode form here: whether a name is there is asked of the file system, which applies
//! its own rules, so after `mv a.go A.go` on a volume that ignores case both names count as there.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(super) use self::queue::{Queue, Raw};
pub(super) use self::system::System;

use self::queue::Batch;
use self::system::{Look, What};
use super::flags::{self, Meaning};
use super::tree::{Id, Tree};
use super::{Added, Entry, Event, Kind, Rescan, Scope, Waker, WatchError, Watcher};

#[cfg(test)]
mod model;
mod queue;
mod system;
#[cfg(test)]
mod tests;

/// How often a root that is gone is looked for. Its stream may tell sooner, but whether it always does is not
/// documented.
const RECHECK: Duration = Duration::from_secs(1);

/// Files that are remembered at most.
const REMEMBERED: usize = 4096;

/// A [`Watcher`] over FSEvents, or over whatever `S` passes off as that.
pub(super) struct Backend<S> {
    system: S,
    queue: Arc<Queue>,
    scope: Box<dyn Scope>,
    roots: Vec<Root>,
    /// Files that were there when they were last looked at. Flags are sticky, so that a file that was made and
    /// reported is "created" for a while at each write. What is forgotten is at worst reported as created once
    /// more.
    seen: HashSet<PathBuf>,
}

struct Root {
    /// As it was given.
    path: PathBuf,
    /// As FSEvents spells it: canonical, and in whatever other way it was seen to.
    spellings: Vec<PathBuf>,
    /// Directories that the scope enters, and the topmost ones that it does not.
    tree: Tree<Dir>,
    /// The root's node and identity; `None` while it is gone.
    top: Option<(Id, (u64, u64))>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Dir {
    inode: u64,
    /// Whether events below it are reported.
    entered: bool,
}

/// Where a directory lies as to the scope.
enum Place {
    /// The scope enters it.
    Inside(Id),
    /// The scope does not enter it, or something above it; or the root is gone.
    Outside,
    /// This directory, which it is or lies in, has not been seen yet; its parent has.
    Unseen { parent: Id, dir: PathBuf },
}

/// What one batch says of a root.
#[derive(Default)]
struct Told {
    /// It, or a directory above it, was moved, deleted or made again.
    moved: bool,
    /// Events were lost.
    lost: bool,
    /// Paths, seen from the root, with all their flags, in the order in which they came up.
    items: Vec<(PathBuf, u32)>,
    /// Where a path is in `items`.
    at: HashMap<PathBuf, usize>,
}

impl Told {
    fn merge(&mut self, path: PathBuf, flags: u32) {
        if let Some(&at) = self.at.get(&path) {
            self.items[at].1 |= flags;
            return;
        }
        self.at.insert(path.clone(), self.items.len());
        self.items.push((path, flags));
    }
}

/// Collects the events of one batch about one root.
struct News<'a> {
    events: &'a mut Vec<Event>,
    /// Paths that were looked at, there, and reported in this batch. What the batch says of them happened
    /// before that look.
    told: HashSet<PathBuf>,
}

impl News<'_> {
    fn push(&mut self, path: &Path, kind: Kind, dir: bool) {
        self.events.push(Event::Change { path: path.to_owned(), kind, dir });
    }

    /// True if it has not been told yet.
    fn appeared(&mut self, path: &Path, dir: bool) -> bool {
        let new = self.told.insert(path.to_owned());
        if new {
            self.push(path, Kind::Created, dir);
        }
        new
    }
}

impl<S: System> Backend<S> {
    pub(super) fn over(system: S, queue: Arc<Queue>, scope: Box<dyn Scope>) -> Backend<S> {
        Backend { system, queue, scope, roots: Vec::new(), seen: HashSet::new() }
    }

    /// Turns a batch of what FSEvents told into events.
    fn translate(&mut self, batch: Batch, events: &mut Vec<Event>) {
        let told = |_: &Root| Told { lost: batch.lost, ..Told::default() };
        let mut told: Vec<Told> = self.roots.iter().map(told).collect();
        for raw in batch.raw {
            // A stream may outlive its root by a moment when the root could not be added after all.
            let Some(told) = told.get_mut(raw.root) else { continue };
            let meaning = match flags::meaning(raw.flags) {
                Meaning::Nothing if raw.flags & flags::OWNER != 0 && self.scope.permissions() => {
                    Meaning::Item
                }
                meaning => meaning,
            };
            match meaning {
                Meaning::Nothing => {}
                Meaning::RootChanged => told.moved = true,
                Meaning::Rescan => told.lost |= self.concerns(&raw),
                Meaning::Item => match self.below(raw.root, &raw.path) {
                    None => {}
                    Some(rest) if rest.as_os_str().is_empty() && self.is_other(raw.root, raw.flags) => {
                        told.moved = true;
                    }
                    Some(rest) => told.merge(rest, raw.flags),
                },
            }
        }
        for (index, told) in told.into_iter().enumerate() {
            if told.moved || told.lost {
                // All is read, which covers whatever else the batch says.
                self.read_again(index, told.moved, events);
                continue;
            }
            let mut news = News { events, told: HashSet::new() };
            let mut items = told.items;
            // A directory before what is in it: reading a new one answers for all below it.
            items.sort_by_key(|(rest, _)| rest.components().count());
            for (rest, flags) in items {
                self.item(index, &rest, flags, &mut news);
            }
        }
    }

    /// Where `path` lies below the root, as seen from there.
    fn below(&mut self, index: usize, path: &Path) -> Option<PathBuf> {
        let root = &mut self.roots[index];
        if let Some(rest) = root.spellings.iter().find_map(|spelling| path.strip_prefix(spelling).ok()) {
            return Some(rest.to_owned());
        }
        // The root in another spelling, by the file system's rules for names, is the same directory.
        let (_, identity) = root.top?;
        let is_root = |path: &&Path| self.system.look(path).is_some_and(|look| look.identity == identity);
        let spelling = path.ancestors().find(is_root)?;
        root.spellings.push(spelling.to_owned());
        path.strip_prefix(spelling).ok().map(Path::to_owned)
    }

    /// Whether lost events may be about something that the scope enters.
    fn concerns(&mut self, raw: &Raw) -> bool {
        if raw.flags & (flags::USER_DROPPED | flags::KERNEL_DROPPED) != 0 {
            return true;
        }
        // What lies above the root concerns it as well.
        let below = self.below(raw.root, &raw.path);
        below.is_none_or(|rest| !matches!(self.place(raw.root, &rest), Place::Outside))
    }

    /// Whether an event about the root's own path means that another directory is, or was, there.
    fn is_other(&self, index: usize, flags: u32) -> bool {
        let root = &self.roots[index];
        let replaced = || {
            let now = root.spellings.first().and_then(|path| self.system.look(path));
            root.top.map(|(_, identity)| identity) != now.map(|look| look.identity)
        };
        flags & (flags::REMOVED | flags::RENAMED) != 0 || (flags & flags::CREATED != 0 && replaced())
    }

    /// Where the directory `dir` lies, seen from the root.
    fn place(&self, index: usize, dir: &Path) -> Place {
        let root = &self.roots[index];
        let Some((mut at, _)) = root.top else { return Place::Outside };
        let mut path = root.path.clone();
        for part in dir.components() {
            path.push(part);
            match root.tree.child(at, part.as_os_str()) {
                Some(child) if root.tree.value(child).entered => at = child,
                Some(_) => return Place::Outside,
                None => return Place::Unseen { parent: at, dir: path },
            }
        }
        Place::Inside(at)
    }

    /// Something happened to `rest`, seen from the root. What the path is now decides what it was.
    fn item(&mut self, index: usize, rest: &Path, flags: u32, news: &mut News<'_>) {
        let path = self.roots[index].path.join(rest);
        let (Some(parent), Some(name)) = (rest.parent(), rest.file_name()) else {
            // The root itself, which is the same directory as before.
            if flags & flags::INODE_META != 0 {
                self.inode_changed(path, news);
            }
            return;
        };
        let parent = match self.place(index, parent) {
            Place::Inside(parent) => parent,
            Place::Outside => return,
            // Its own event is late or was merged into this one. Reading it finds `path` too.
            Place::Unseen { parent, dir } => return self.unseen(index, parent, dir, news),
        };
        if news.told.contains(&path) {
            return;
        }
        let now = self.system.look(&path);
        let tree = &mut self.roots[index].tree;
        let known = tree.child(parent, name);
        if let Some(look) = now.filter(|look| look.what == What::Directory) {
            let same = known.map(|id| tree.value(id)).filter(|dir| dir.inode == look.identity.1);
            match same {
                Some(dir) if flags & (flags::REMOVED | flags::RENAMED) == 0 => {
                    if dir.entered && flags & flags::INODE_META != 0 {
                        self.inode_changed(path, news);
                    }
                }
                _ => {
                    if known.is_none() && flags & (flags::IS_FILE | flags::IS_SYMLINK) != 0 {
                        news.push(&path, Kind::Removed, false);
                    }
                    self.directory(index, parent, path, look, news);
                }
            }
            return;
        }
        if let Some(known) = known {
            tree.remove(known);
            if now.is_some() {
                news.push(&path, Kind::Removed, true);
            }
        }
        let dir = now.is_none() && (known.is_some() || flags & flags::IS_DIR != 0);
        self.report(&path, flags, now.is_some(), dir, news);
    }

    /// Reports what happened to something that is no directory, or is gone.
    fn report(&mut self, path: &Path, flags: u32, there: bool, dir: bool, news: &mut News<'_>) {
        for &kind in flags::decide(flags, there, self.seen.contains(path)) {
            news.push(path, kind, dir);
        }
        if there {
            news.told.insert(path.to_owned());
            self.remember(path);
        } else {
            self.seen.remove(path);
        }
    }

    fn remember(&mut self, path: &Path) {
        if self.seen.len() == REMEMBERED {
            self.seen.clear();
        }
        self.seen.insert(path.to_owned());
    }

    /// The directory `dir` is not known: if it is there, it appeared.
    fn unseen(&mut self, index: usize, parent: Id, dir: PathBuf, news: &mut News<'_>) {
        if let Some(look) = self.system.look(&dir).filter(|look| look.what == What::Directory) {
            self.directory(index, parent, dir, look, news);
        }
    }

    /// The directory `path` appeared, or was replaced by another one or by itself after an absence.
    fn directory(&mut self, index: usize, parent: Id, mut path: PathBuf, look: Look, news: &mut News<'_>) {
        let Some(name) = path.file_name() else { return };
        let tree = &mut self.roots[index].tree;
        if let Some(known) = tree.child(parent, name) {
            tree.remove(known);
            news.push(&path, Kind::Removed, true);
        }
        let id = tree.insert(parent, name, Dir { inode: look.identity.1, entered: false });
        news.appeared(&path, true);
        if self.scope.enter(&path) {
            let mut added = Added::default();
            self.enter(index, id, &mut path, &mut Found { added: &mut added, news: Some(news) });
        }
    }

    /// Something happened to the inode of the directory `path`, which is all that a new hard link in it shows.
    fn inode_changed(&mut self, mut path: PathBuf, news: &mut News<'_>) {
        for entry in self.system.list(&path).unwrap_or_default() {
            path.push(&entry.name);
            let linked = |look: Look| look.what != What::Directory && look.links > 1;
            if !news.told.contains(&path) && self.system.look(&path).is_some_and(linked) {
                self.report(&path, 0, true, false, news);
            }
            path.pop();
        }
    }

    /// Reads the directory `path` of node `id`, and whatever the scope enters below it.
    fn enter(&mut self, index: usize, id: Id, path: &mut PathBuf, found: &mut Found<'_, '_>) {
        self.roots[index].tree.value_mut(id).entered = true;
        if let Err(error) = self.walk(index, id, path, found) {
            self.failed(index, id, path, &error, found.added);
        }
    }

    fn walk(
        &mut self,
        index: usize,
        id: Id,
        path: &mut PathBuf,
        found: &mut Found<'_, '_>,
    ) -> io::Result<()> {
        let entries = self.system.list(path)?;
        found.added.directories += 1;
        for entry in entries {
            path.push(&entry.name);
            match entry.what {
                What::Directory => {
                    let dir = Dir { inode: entry.inode, entered: false };
                    self.roots[index].tree.insert(id, &entry.name, dir);
                }
                What::Symlink => self.scope.found(path, Entry::Symlink),
                What::File => self.scope.found(path, Entry::File),
            }
            if let Some(news) = &mut found.news {
                let dir = entry.what == What::Directory;
                if news.appeared(path, dir) && !dir {
                    self.remember(path);
                }
            }
            path.pop();
        }
        let mut next = self.roots[index].tree.first_child(id);
        while let Some(child) = next {
            let tree = &self.roots[index].tree;
            next = tree.next_sibling(child);
            path.push(tree.name(child));
            if self.scope.enter(path) {
                self.enter(index, child, path, found);
            }
            path.pop();
        }
        Ok(())
    }

    /// The directory `path` could not be read.
    fn failed(&mut self, index: usize, id: Id, path: &Path, error: &io::Error, added: &mut Added) {
        let tree = &mut self.roots[index].tree;
        match error.raw_os_error() {
            // Gone again, or replaced by something else, since it was listed; its own event follows.
            Some(libc::ENOENT | libc::ENOTDIR | libc::ELOOP) => tree.remove(id),
            _ => {
                tree.value_mut(id).entered = false;
                added.unreadable.push((path.to_owned(), error.to_string()));
            }
        }
    }

    /// Reads the root from its top, with a new stream if it is another directory than before or if `stream`.
    /// The stream is there first, so that nothing made in between is missed.
    fn read_root(&mut self, index: usize, stream: bool) -> io::Result<Added> {
        let root = &mut self.roots[index];
        let before = root.top.take();
        let mut path = root.path.clone();
        let canonical = self.system.canonical(&path)?;
        let look = self.system.look(&canonical).ok_or(io::ErrorKind::NotFound)?;
        if look.what != What::Directory {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        let same = before.is_some_and(|(_, identity)| identity == look.identity);
        let same = same && root.spellings.first() == Some(&canonical);
        if (stream || !same) && !self.system.start(index, &canonical) {
            return Ok(Added { unwatched: vec![path], ..Added::default() });
        }
        root.spellings = vec![canonical];
        root.tree = Tree::default();
        let id = root.tree.insert_root(&path, Dir { inode: look.identity.1, entered: true });
        let mut added = Added::default();
        self.walk(index, id, &mut path, &mut Found { added: &mut added, news: None })?;
        self.roots[index].top = Some((id, look.identity));
        Ok(added)
    }

    /// Reads a root again of which it is not fully known what happened.
    fn read_again(&mut self, index: usize, moved: bool, events: &mut Vec<Event>) {
        let was_there = self.roots[index].top.is_some();
        // Whether a stream follows a path or the directory that was there is not documented; a new one does
        // the right thing either way.
        let read = self.read_root(index, moved);
        let there = read.is_ok_and(|added| added.unwatched.is_empty());
        let root = self.roots[index].path.clone();
        match (was_there, there) {
            (true, true) if !moved => events.push(Event::Rescan { root, why: Rescan::Overflow }),
            (_, true) => events.push(Event::Rescan { root, why: Rescan::RootBack }),
            (true, false) => events.push(Event::Rescan { root, why: Rescan::RootGone }),
            (false, false) => {}
        }
    }

    fn any_gone(&self) -> bool {
        self.roots.iter().any(|root| root.top.is_none())
    }

    /// Picks up roots that are back.
    fn look_for_roots(&mut self, events: &mut Vec<Event>) {
        for index in 0..self.roots.len() {
            if self.roots[index].top.is_none() {
                self.read_again(index, true, events);
            }
        }
    }
}

/// Where a walk puts what it finds: into the summary, and, unless it is the first, into the news.
struct Found<'a, 'b> {
    added: &'a mut Added,
    news: Option<&'a mut News<'b>>,
}

impl<S: System> Watcher for Backend<S> {
    fn add(&mut self, root: &Path) -> Result<Added, WatchError> {
        if let Some(index) = self.roots.iter().position(|known| known.path == root) {
            // One that is gone is picked up, and reported, when it comes back.
            return Ok(self.read_root(index, false).unwrap_or_default());
        }
        let index = self.roots.len();
        let path = root.to_owned();
        self.roots.push(Root { path, spellings: Vec::new(), tree: Tree::default(), top: None });
        let read = self.read_root(index, true);
        if self.roots[index].top.is_none() {
            self.system.stop(index);
            self.roots.pop();
        }
        read.map_err(|error| WatchError::at_root(root, error))
    }

    fn wait(&mut self, events: &mut Vec<Event>, timeout: Option<Duration>) -> io::Result<()> {
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let before = events.len();
        loop {
            let recheck = self.any_gone().then(|| Instant::now() + RECHECK);
            let batch = self.queue.take([deadline, recheck].into_iter().flatten().min());
            let woken = batch.woken;
            self.translate(batch, events);
            self.look_for_roots(events);
            let late = deadline.is_some_and(|deadline| Instant::now() >= deadline);
            if woken || late || events.len() > before {
                return Ok(());
            }
        }
    }

    fn waker(&self) -> Waker {
        let queue = Arc::clone(&self.queue);
        Waker::new(move || queue.wake())
    }
}
