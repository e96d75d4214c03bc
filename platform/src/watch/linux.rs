//! inotify, one watch per directory. A directory is watched first and listed afterwards, so that nothing made
//! in between is missed; the queue is drained to `EAGAIN` because epoll is used edge-triggered. Any event about
//! a directory drops what was known below it and reads it anew, which covers renames (whose halves may come in
//! two reads), exchanges and re-creations with one rule. The kernel's facts are from inotify(7).

mod listing;
mod nodes;

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use inotify::{EventMask, WatchMask};
use mio::unix::SourceFd;

use self::listing::{DT_DIR, DT_LNK, DT_UNKNOWN};
use self::nodes::Nodes;
use super::tree::{Id, Tree};
use super::{Added, Entry, Event, Kind, Rescan, Scope, Waker, WatchError, Watcher};

const QUEUE: mio::Token = mio::Token(0);
const WAKE: mio::Token = mio::Token(1);

/// So many directories are held open at most while a tree is read.
const DEEPEST_OPEN: usize = 64;

/// Value of a node that has no watch yet; the kernel counts from 1.
const NO_WATCH: i32 = 0;

/// What every watched directory is asked for. Files are reported when they are closed after writing, not at
/// each write: a half-written file is no save.
fn mask() -> WatchMask {
    WatchMask::CLOSE_WRITE
        | WatchMask::CREATE
        | WatchMask::DELETE
        | WatchMask::MOVED_FROM
        | WatchMask::MOVED_TO
        | WatchMask::DELETE_SELF
        | WatchMask::MOVE_SELF
        | WatchMask::EXCL_UNLINK
        | WatchMask::ONLYDIR
}

/// What the ancestor of a root is asked for.
fn anchor_mask() -> WatchMask {
    WatchMask::CREATE
        | WatchMask::DELETE
        | WatchMask::MOVED_FROM
        | WatchMask::MOVED_TO
        | WatchMask::DELETE_SELF
        | WatchMask::MOVE_SELF
        | WatchMask::ONLYDIR
        | WatchMask::MASK_ADD
}

/// A [`Watcher`] over one inotify instance.
pub(super) struct Inotify {
    queue: inotify::Inotify,
    watches: inotify::Watches,
    poll: mio::Poll,
    ready: mio::Events,
    waker: Arc<mio::Waker>,
    /// For reading the queue.
    events: Box<[u8]>,
    /// For reading directories.
    buffer: Box<[u8]>,
    scope: Box<dyn Scope>,
    roots: Vec<Root>,
    /// Every watched directory, with its watch descriptor.
    tree: Tree<i32>,
    nodes: Nodes,
    /// Watches on the nearest existing ancestor of each root, with what leads from there to the root. A root
    /// does not tell that it was deleted while a process has it as its working directory; its parent does.
    anchors: HashMap<i32, Vec<Anchor>>,
}

struct Anchor {
    /// The index of the root.
    root: usize,
    /// The name in the anchored directory that is the root or leads to it.
    name: OsString,
}

struct Root {
    path: PathBuf,
    /// `None` while the directory is gone.
    node: Option<Id>,
}

impl Inotify {
    pub(super) fn new(scope: Box<dyn Scope>) -> Result<Inotify, WatchError> {
        let queue = inotify::Inotify::init().map_err(WatchError::NoFacility)?;
        let open = || {
            let poll = mio::Poll::new()?;
            let registry = poll.registry();
            registry.register(&mut SourceFd(&queue.as_raw_fd()), QUEUE, mio::Interest::READABLE)?;
            let waker = Arc::new(mio::Waker::new(registry, WAKE)?);
            Ok((poll, waker))
        };
        let (poll, waker) = open().map_err(WatchError::NoFacility)?;
        Ok(Inotify {
            watches: queue.watches(),
            queue,
            poll,
            ready: mio::Events::with_capacity(4),
            waker,
            events: vec![0; 64 * 1024].into_boxed_slice(),
            buffer: vec![0; 32 * 1024].into_boxed_slice(),
            scope,
            roots: Vec::new(),
            tree: Tree::default(),
            nodes: Nodes::default(),
            anchors: HashMap::new(),
        })
    }

    /// Watches the directory `path` of node `id`, and whatever the scope enters below it. `parent` is its open
    /// parent, if there is one.
    fn walk(
        &mut self,
        id: Id,
        path: &mut PathBuf,
        parent: Option<BorrowedFd<'_>>,
        found: &mut Found<'_>,
    ) -> io::Result<()> {
        let follow = if self.tree.parent(id).is_none() { WatchMask::empty() } else { WatchMask::DONT_FOLLOW };
        let permissions = if self.scope.permissions() { WatchMask::ATTRIB } else { WatchMask::empty() };
        let wd = self.watches.add(&*path, mask() | follow | permissions)?.get_watch_descriptor_id();
        *self.tree.value_mut(id) = wd;
        self.nodes.insert(wd, id);
        let dir = match parent {
            Some(parent) => listing::open(Some(parent), Path::new(self.tree.name(id)))?,
            None => listing::open(None, path)?,
        };
        self.list(id, path, &dir, found)?;
        found.added.directories += 1;

        // Deeper down the descriptor is given back first: a tree may be deeper than there are descriptors.
        found.depth += 1;
        let dir = (found.depth < DEEPEST_OPEN).then_some(dir);
        let mut next = self.tree.first_child(id);
        while let Some(child) = next {
            next = self.tree.next_sibling(child);
            path.push(self.tree.name(child));
            if !self.scope.enter(path) {
                self.tree.remove(child);
            } else if let Err(error) = self.walk(child, path, dir.as_ref().map(AsFd::as_fd), found) {
                self.forget(child);
                found.failed(path, &error);
            }
            path.pop();
        }
        found.depth -= 1;
        Ok(())
    }

    /// Reads the directory `dir` at `path`: files go to the scope, directories become nodes.
    fn list(&mut self, id: Id, path: &mut PathBuf, dir: &OwnedFd, found: &mut Found<'_>) -> io::Result<()> {
        let mut buffer = std::mem::take(&mut self.buffer);
        let (scope, tree) = (&mut self.scope, &mut self.tree);
        let read = listing::read(dir, &mut buffer, |name, kind| {
            path.push(name);
            let kind = if kind == DT_UNKNOWN { type_of(path) } else { kind };
            match kind {
                DT_DIR => drop(tree.insert(id, name, NO_WATCH)),
                DT_LNK => scope.found(path, Entry::Symlink),
                _ => scope.found(path, Entry::File),
            }
            if let Some(events) = &mut found.events {
                let dir = kind == DT_DIR;
                events.push(Event::Change { path: path.clone(), kind: Kind::Created, dir });
            }
            path.pop();
        });
        self.buffer = buffer;
        read
    }

    /// Drops a node, everything below it, and the watches that no other path needs.
    fn forget(&mut self, id: Id) {
        for below in self.tree.subtree(id) {
            let wd = self.tree.value(below);
            if wd != NO_WATCH && self.nodes.remove(wd, below) && !self.anchors.contains_key(&wd) {
                self.unwatch(wd);
            }
        }
        self.tree.remove(id);
    }

    fn unwatch(&self, wd: i32) {
        // SAFETY: the queue's descriptor is open as long as `self` is, and the call touches no memory of ours.
        // A watch that the kernel has removed already is answered with EINVAL, which changes nothing.
        unsafe { libc::inotify_rm_watch(self.queue.as_raw_fd(), wd) };
    }

    /// Reads the queue until it is empty.
    fn drain(&mut self, events: &mut Vec<Event>) -> io::Result<()> {
        let mut buffer = std::mem::take(&mut self.events);
        let result = loop {
            match self.queue.read_events(&mut buffer) {
                Ok(read) => {
                    for event in read {
                        self.handle(event.wd.get_watch_descriptor_id(), event.mask, event.name, events);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => break Err(error),
            }
        };
        self.events = buffer;
        result
    }

    fn handle(&mut self, wd: i32, mask: EventMask, name: Option<&OsStr>, events: &mut Vec<Event>) {
        if mask.contains(EventMask::Q_OVERFLOW) {
            return self.overflowed(events);
        }
        for id in self.nodes.get(wd) {
            // An earlier path of this same inode may have dropped this one.
            if !self.nodes.contains(wd, id) {
                continue;
            }
            match name {
                // Those of a directory; what is in it stays the same.
                Some(_) if mask.contains(EventMask::ISDIR | EventMask::ATTRIB) => {}
                Some(name) if mask.contains(EventMask::ISDIR) => {
                    self.handle_directory(id, name, mask, events);
                }
                Some(name) => {
                    let mut path = self.tree.path(id);
                    path.push(name);
                    events.push(Event::Change { path, kind: kind_of(mask), dir: false });
                }
                None => self.handle_self(id, mask, events),
            }
        }
        if self.anchors.contains_key(&wd) {
            self.handle_anchor(wd, name, events);
        }
    }

    /// Something happened in, or to, the ancestor of a root.
    fn handle_anchor(&mut self, wd: i32, name: Option<&OsStr>, events: &mut Vec<Event>) {
        let anchors = self.anchors.get(&wd).into_iter().flatten();
        let hit = anchors.filter(|anchor| name.is_none_or(|name| name == anchor.name));
        let hit: Vec<usize> = hit.map(|anchor| anchor.root).collect();
        for &root in &hit {
            self.root_gone(root, events);
        }
        if !hit.is_empty() {
            self.look_for_roots(events);
        }
    }

    /// The root is not what it was, if it was there; whether it is there again is another question.
    fn root_gone(&mut self, root: usize, events: &mut Vec<Event>) {
        if let Some(id) = self.roots[root].node.take() {
            self.forget(id);
            events.push(Event::Rescan { root: self.roots[root].path.clone(), why: Rescan::RootGone });
        }
    }

    /// Something happened to a watched directory itself; for all but roots its parent reports the same.
    fn handle_self(&mut self, id: Id, mask: EventMask, events: &mut Vec<Event>) {
        let gone = EventMask::DELETE_SELF | EventMask::MOVE_SELF | EventMask::UNMOUNT;
        let root = self.roots.iter().position(|root| root.node == Some(id));
        match root {
            Some(root) if mask.intersects(gone) => {
                self.root_gone(root, events);
                self.look_for_roots(events);
            }
            None if mask.contains(EventMask::UNMOUNT) => {
                events.push(Event::Change { path: self.tree.path(id), kind: Kind::Removed, dir: true });
                self.forget(id);
            }
            _ => {}
        }
    }

    /// Something happened to the directory `name` below the watched directory `parent`. What the path is now
    /// decides, not what the event says: a removal may be half of an exchange, or be followed by a creation.
    fn handle_directory(&mut self, parent: Id, name: &OsStr, mask: EventMask, events: &mut Vec<Event>) {
        let mut path = self.tree.path(parent);
        path.push(name);
        if let Some(known) = self.tree.child(parent, name) {
            self.forget(known);
        }
        events.push(Event::Change { path: path.clone(), kind: kind_of(mask), dir: true });
        if self.scope.enter(&path) {
            let id = self.tree.insert(parent, name, NO_WATCH);
            let mut added = Added::default();
            let mut found = Found { added: &mut added, events: Some(events), depth: 0 };
            if let Err(error) = self.walk(id, &mut path, None, &mut found) {
                found.failed(&path, &error);
                self.forget(id);
            }
        }
    }

    /// The kernel dropped events: directories may have come and gone unseen, so every root is read again.
    fn overflowed(&mut self, events: &mut Vec<Event>) {
        for index in 0..self.roots.len() {
            if let Some(id) = self.roots[index].node.take() {
                self.forget(id);
            }
            let root = self.roots[index].path.clone();
            match self.read_root(index) {
                Ok(added) => {
                    events.push(Event::Rescan { root, why: Rescan::Overflow });
                    events.extend(added.unwatched.into_iter().map(|dir| Event::Unwatched { dir }));
                }
                Err(_) => events.push(Event::Rescan { root, why: Rescan::RootGone }),
            }
        }
        self.look_for_roots(events);
    }

    /// Picks up roots that are back, and anchors every root anew.
    fn look_for_roots(&mut self, events: &mut Vec<Event>) {
        let old = std::mem::take(&mut self.anchors);
        for index in 0..self.roots.len() {
            // Anchored before it is looked for, so that it cannot come back in between.
            self.anchor(index);
            if self.roots[index].node.is_some() {
                continue;
            }
            if let Ok(added) = self.read_root(index) {
                let root = self.roots[index].path.clone();
                events.push(Event::Rescan { root, why: Rescan::RootBack });
                events.extend(added.unwatched.into_iter().map(|dir| Event::Unwatched { dir }));
            }
        }
        for wd in old.into_keys().filter(|wd| !self.anchors.contains_key(wd)).collect::<Vec<_>>() {
            if self.nodes.get(wd).is_empty() {
                self.unwatch(wd);
            }
        }
    }

    /// Watches the nearest ancestor of a root that exists.
    fn anchor(&mut self, root: usize) {
        let path = self.roots[root].path.clone();
        for ancestor in path.ancestors().skip(1) {
            if let Ok(wd) = self.watches.add(ancestor, anchor_mask()) {
                let below = path.strip_prefix(ancestor).ok().and_then(|below| below.iter().next());
                let name = below.unwrap_or_default().to_owned();
                self.anchors.entry(wd.get_watch_descriptor_id()).or_default().push(Anchor { root, name });
                break;
            }
        }
    }

    /// Walks the root `index` from its top.
    fn read_root(&mut self, index: usize) -> io::Result<Added> {
        let mut path = self.roots[index].path.clone();
        let id = self.tree.insert_root(&path, NO_WATCH);
        let mut added = Added::default();
        match self.walk(id, &mut path, None, &mut Found { added: &mut added, events: None, depth: 0 }) {
            Ok(()) => {
                self.roots[index].node = Some(id);
                Ok(added)
            }
            Err(error) => {
                self.forget(id);
                Err(error)
            }
        }
    }
}

impl Watcher for Inotify {
    fn add(&mut self, root: &Path) -> Result<Added, WatchError> {
        if let Some(index) = self.roots.iter().position(|known| known.path == root) {
            if let Some(id) = self.roots[index].node.take() {
                self.forget(id);
            }
            // One that is gone is picked up, and reported, when it comes back.
            return Ok(self.read_root(index).unwrap_or_default());
        }
        self.roots.push(Root { path: root.to_owned(), node: None });
        match self.read_root(self.roots.len() - 1) {
            Ok(added) => {
                self.anchor(self.roots.len() - 1);
                Ok(added)
            }
            Err(error) => {
                self.roots.pop();
                if error.raw_os_error() == Some(libc::ENOSPC) {
                    return Ok(Added { unwatched: vec![root.to_owned()], ..Added::default() });
                }
                Err(WatchError::at_root(root, error))
            }
        }
    }

    fn wait(&mut self, events: &mut Vec<Event>, timeout: Option<Duration>) -> io::Result<()> {
        match self.poll.poll(&mut self.ready, timeout) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            result => result?,
        }
        if self.ready.iter().any(|event| event.token() == QUEUE) {
            self.drain(events)?;
        }
        Ok(())
    }

    fn waker(&self) -> Waker {
        let waker = Arc::clone(&self.waker);
        // It fails only when its eventfd's counter is full, and then a wake-up is pending anyway.
        Waker::new(move || drop(waker.wake()))
    }
}

/// Where a walk puts what it finds: into the summary, and, unless it is the first, into events.
struct Found<'a> {
    added: &'a mut Added,
    events: Option<&'a mut Vec<Event>>,
    /// How many directories lead to the one that is being read.
    depth: usize,
}

impl Found<'_> {
    /// The directory `path` could not be watched.
    fn failed(&mut self, path: &Path, error: &io::Error) {
        match error.raw_os_error() {
            Some(libc::ENOSPC) => match &mut self.events {
                Some(events) => events.push(Event::Unwatched { dir: path.to_owned() }),
                None => self.added.unwatched.push(path.to_owned()),
            },
            // Gone again, or replaced by something else, since it was listed; its own event follows.
            Some(libc::ENOENT | libc::ENOTDIR | libc::ELOOP) => {}
            _ => self.added.unreadable.push((path.to_owned(), error.to_string())),
        }
    }
}

fn kind_of(mask: EventMask) -> Kind {
    if mask.intersects(EventMask::DELETE | EventMask::MOVED_FROM) {
        Kind::Removed
    } else if mask.intersects(EventMask::CLOSE_WRITE | EventMask::ATTRIB) {
        Kind::Modified
    } else {
        Kind::Created
    }
}

/// For file systems that do not tell an entry's type while listing.
fn type_of(path: &Path) -> u8 {
    match path.symlink_metadata().map(|meta| meta.file_type()) {
        Ok(kind) if kind.is_dir() => DT_DIR,
        Ok(kind) if kind.is_symlink() => DT_LNK,
        _ => libc::DT_REG,
    }
}
