//! The watcher of `up`: a thread that waits for the operating system's events and tells of paths that may have
//! changed, never whether they did. It leaves out directories that hold no source, follows symbolic links to
//! directories inside the project, and polls what the system cannot watch.

mod cover;
pub mod git;
mod ignore;
pub mod known;
mod scope;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded, never, unbounded};
use hotwatch_platform::watch::poll::Poller;
use hotwatch_platform::watch::{Event, Rescan, Waker, WatchError, Watcher, limit, mounts, native};

pub use cover::Cover;
use ignore::Ignore;
use scope::{Finds, Sources};

/// How often directories are looked at that the system cannot watch.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// What is to be watched.
pub struct Watched {
    /// The project's directory; links that lead out of it are not followed.
    pub project: PathBuf,
    /// The directories to watch.
    pub roots: Vec<Root>,
    /// Directories to watch without what lies below them.
    pub beside: BTreeSet<PathBuf>,
    /// Whether a file of this path is worth telling when a root is read. Every change is told.
    pub may_count: MayCount,
}

/// Whether a file of this path is worth telling when a root is read.
pub type MayCount = Arc<dyn Fn(&Path) -> bool + Send + Sync>;

/// A directory to watch.
#[derive(Debug, Clone)]
pub struct Root {
    /// The directory, canonical.
    pub dir: PathBuf,
    /// Directories below it that are entered in any case.
    pub forced: Vec<PathBuf>,
    /// Whether directories that git ignores are left out.
    pub gitignore: bool,
}

/// What the watcher tells.
#[derive(Debug)]
pub enum Told {
    /// These paths may have changed.
    Changed(Changed),
    /// These files are there; told while a root is first read, or read anew.
    Found(Vec<PathBuf>),
    /// What was asked for by [`Watch::cover`] is watched; all in all so many directories are.
    Covered(usize),
    /// Everything that had happened when [`Watch::hear`] was called has been told; pollers may still be at it.
    Heard,
    /// Everything that is there has been told, and every later change will be.
    Watching(Summary),
    /// Something that the user should know.
    Warning(String),
    /// The watcher cannot begin, or cannot go on.
    Failed(String),
}

/// Paths that may have changed, each standing for everything below it.
#[derive(Debug)]
pub struct Changed {
    /// When the first of the events behind it was read.
    pub at: Instant,
    /// The paths, canonical.
    pub paths: Vec<PathBuf>,
}

/// What is watched.
#[derive(Debug, Default)]
pub struct Summary {
    /// How many directories.
    pub directories: usize,
    /// Links that were followed: where they stand, and the canonical directory they lead to.
    pub links: Vec<(PathBuf, PathBuf)>,
}

/// Messages on their way; when there are more, the operating system's queue holds them.
const TOLD_IN_FLIGHT: usize = 64;

/// The running watcher; dropping it ends and joins its threads.
pub struct Watch {
    telling: Receiver<Told>,
    asking: Sender<Asked>,
    /// Interrupts the native watcher.
    waker: Waker,
    ending: Arc<AtomicBool>,
    threads: Threads,
}

/// What the native watcher's thread is asked for.
enum Asked {
    Cover(Cover),
    Hear,
}

/// The native watcher's thread and those of pollers.
type Threads = Arc<Mutex<Vec<Running>>>;

struct Running {
    waker: Waker,
    thread: JoinHandle<()>,
}

impl Watch {
    /// Begins to watch; everything else is told.
    pub fn start(watched: Watched) -> Result<Watch, WatchError> {
        let (told, telling) = bounded(TOLD_IN_FLIGHT);
        let mut ignore = Ignore::new();
        for root in &watched.roots {
            ignore.add_root(&root.dir, root.gitignore);
            root.forced.iter().for_each(|dir| ignore.force(root.dir.join(dir)));
        }
        let roots: BTreeSet<PathBuf> = watched.roots.into_iter().map(|root| root.dir).collect();
        let shared = Shared::new(ignore, watched.may_count, told, roots.clone());
        let (ending, threads) = (Arc::clone(&shared.ending), Arc::clone(&shared.threads));
        let silent = roots.iter().flat_map(|root| mounts::silent(root)).collect::<Vec<_>>();

        let (scope, finds) = shared.scope(silent.iter().map(|silent| silent.mount.clone()).collect());
        let watcher = native(Box::new(scope))?;
        let (asking, asked) = unbounded();
        let waker = watcher.waker();
        let actor = Actor {
            watcher,
            finds,
            asked,
            tops: BTreeSet::new(),
            counts: BTreeMap::new(),
            shared: shared.clone(),
        };
        shared.spawn(actor, move |actor| actor.begin(&roots, watched.beside, silent, &watched.project));
        Ok(Watch { telling, asking, waker, ending, threads })
    }

    /// Watches more than the roots; answered by [`Told::Covered`].
    pub fn cover(&self, cover: Cover) {
        self.ask(Asked::Cover(cover));
    }

    /// Tells what has happened so far, however long that takes, and then [`Told::Heard`].
    pub fn hear(&self) {
        self.ask(Asked::Hear);
    }

    fn ask(&self, asked: Asked) {
        // A watcher that has ended tells so by itself.
        let _ = self.asking.send(asked);
        self.waker.wake();
    }

    /// Where it tells what happens.
    pub fn telling(&self) -> &Receiver<Told> {
        &self.telling
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // A thread may be waiting to tell something; with the receiver gone it no longer does.
        self.telling = never();
        self.ending.store(true, Ordering::Release);
        // A watcher that is being joined may still have started a poller, so this goes on until none is left.
        loop {
            // Not in the loop's head: there the lock would be held until the thread has ended.
            let next = self.threads.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let Some(running) = next else { break };
            running.waker.wake();
            drop(running.thread.join());
        }
    }
}

/// What every watching thread needs.
#[derive(Clone)]
struct Shared {
    /// What walks learn of ignore files decides also which directories have to be covered.
    ignore: Arc<Mutex<Ignore>>,
    may_count: MayCount,
    told: Sender<Told>,
    /// The roots that were asked for.
    roots: Arc<BTreeSet<PathBuf>>,
    /// Directories that are entered although they lie in no root, or would be left out.
    covered: Arc<Mutex<BTreeSet<PathBuf>>>,
    /// Directories that are polled, with all below them.
    polled: Arc<Mutex<BTreeSet<PathBuf>>>,
    /// Whether all threads are to end.
    ending: Arc<AtomicBool>,
    threads: Threads,
}

impl Shared {
    fn new(ignore: Ignore, may_count: MayCount, told: Sender<Told>, roots: BTreeSet<PathBuf>) -> Shared {
        let ignore = Arc::new(Mutex::new(ignore));
        let (covered, polled, ending, threads) = Default::default();
        Shared { ignore, may_count, told, roots: Arc::new(roots), covered, polled, ending, threads }
    }

    fn scope(&self, closed: Vec<PathBuf>) -> (Sources, Finds) {
        let finds = Finds::default();
        let may_count = Arc::clone(&self.may_count);
        let ending = Arc::clone(&self.ending);
        let sources = Sources {
            ignore: Arc::clone(&self.ignore),
            roots: Arc::clone(&self.roots),
            covered: Arc::clone(&self.covered),
            closed,
            may_count,
            told: self.told.clone(),
            finds: finds.clone(),
            ending,
        };
        (sources, finds)
    }

    /// Runs `actor` on a thread of its own: `begin` first, then until it is ended.
    fn spawn(&self, mut actor: Actor, begin: impl FnOnce(&mut Actor) -> bool + Send + 'static) {
        let waker = actor.watcher.waker();
        let ended = Arc::clone(&self.ending);
        let thread = std::thread::spawn(move || {
            if begin(&mut actor) {
                actor.run(&ended);
            }
        });
        let running = Running { waker, thread };
        self.threads.lock().unwrap_or_else(PoisonError::into_inner).push(running);
    }

    /// Polls `dirs` from now on; returns how many directories are new to that, those below included. A poller
    /// waits for a directory that is gone, so one that was polled before is polled still.
    fn poll(&self, dirs: &[PathBuf]) -> usize {
        let mut polled = self.polled.lock().unwrap_or_else(PoisonError::into_inner);
        // From above a root, nothing in it is looked at.
        let reaches = |known: &PathBuf, dir: &PathBuf| {
            let mut around = self.roots.iter().filter(|root| dir.starts_with(root)).peekable();
            dir.starts_with(known) && (around.peek().is_none() || around.any(|root| known.starts_with(root)))
        };
        let new = |dir: &&PathBuf| !polled.iter().any(|known| reaches(known, dir));
        let dirs: Vec<PathBuf> = dirs.iter().filter(new).cloned().collect();
        polled.extend(dirs.iter().cloned());
        drop(polled);
        if dirs.is_empty() {
            return 0;
        }
        let (scope, finds) = self.scope(Vec::new());
        let mut poller = Poller::new(Box::new(scope), POLL_INTERVAL);
        let added = dirs.iter().filter_map(|dir| poller.add(dir).ok()).map(|added| added.directories).sum();
        finds.flush(&self.told);
        let watcher = Box::new(poller);
        let actor = Actor {
            watcher,
            finds,
            asked: never(),
            tops: BTreeSet::new(),
            counts: BTreeMap::new(),
            shared: self.clone(),
        };
        self.spawn(actor, |_| true);
        added
    }

    fn tell(&self, told: Told) {
        // Nobody listens any more once `up` ends.
        let _ = self.told.send(told);
    }

    fn warn(&self, message: impl Into<String>) {
        self.tell(Told::Warning(message.into()));
    }
}

/// One watcher and its thread's work.
struct Actor {
    watcher: Box<dyn Watcher>,
    finds: Finds,
    asked: Receiver<Asked>,
    /// Roots that were added to reach what is covered.
    tops: BTreeSet<PathBuf>,
    /// How many directories are watched for each root, and polled for whatever cannot be watched.
    counts: BTreeMap<PathBuf, usize>,
    shared: Shared,
}

impl Actor {
    /// Adds the roots and what links lead to. False when that failed, which has been told.
    fn begin(
        &mut self,
        roots: &BTreeSet<PathBuf>,
        beside: BTreeSet<PathBuf>,
        silent: Vec<mounts::Silent>,
        project: &Path,
    ) -> bool {
        let mut summary = Summary::default();
        let mut beyond_limit = Vec::new();
        let polled = |root: &PathBuf| silent.iter().any(|silent| root.starts_with(&silent.mount));
        for root in roots.iter().filter(|root| !polled(root)) {
            if let Err(error) = self.add(root, &mut beyond_limit) {
                self.shared.tell(Told::Failed(error.to_string()));
                return false;
            }
        }
        for link in self.finds.take_links() {
            let Ok(target) = link.canonicalize() else { continue };
            // A link to what is around a root, or out of the project, is none to sources of the service.
            if !target.starts_with(project) || roots.iter().any(|root| root.starts_with(&target)) {
                continue;
            }
            let mut watched = roots.iter().chain(summary.links.iter().map(|(_, target)| target));
            let watched = watched.any(|dir| target.starts_with(dir));
            if watched || self.add(&target, &mut beyond_limit).is_ok() {
                summary.links.push((link, target));
            }
        }
        // Links inside linked directories are not followed: one step is what a tree of sources needs, and
        // it cannot go round in circles.
        drop(self.finds.take_links());

        for silent in &silent {
            let message =
                format!("`{}` is on {}, which reports no changes", silent.mount.display(), silent.kind);
            self.shared.warn(format!("{message}; it is looked at every {} ms", POLL_INTERVAL.as_millis()));
        }
        if !silent.is_empty() {
            let inside = |silent: mounts::Silent| {
                let below = roots.iter().filter(|root| root.starts_with(&silent.mount)).cloned();
                let below = below.collect::<Vec<_>>();
                if below.is_empty() { vec![silent.mount] } else { below }
            };
            let dirs: Vec<PathBuf> = silent.into_iter().flat_map(inside).collect();
            self.poll(&dirs);
        }
        if !beyond_limit.is_empty() {
            let polled = self.poll(&beyond_limit);
            self.shared.warn(limit_reached(&format!("{polled} of {}", self.watched()), self.watched()));
        }
        self.cover(Cover { tops: beside.clone(), dirs: beside, again: BTreeSet::new() });
        summary.directories = self.watched();
        self.shared.tell(Told::Watching(summary));
        true
    }

    /// Polls `dirs`; returns how many directories that are, those below included.
    fn poll(&mut self, dirs: &[PathBuf]) -> usize {
        let polled = self.shared.poll(dirs);
        *self.counts.entry(PathBuf::new()).or_default() += polled;
        polled
    }

    /// How many directories are watched or polled.
    fn watched(&self) -> usize {
        self.counts.values().sum()
    }

    fn add(&mut self, root: &Path, beyond_limit: &mut Vec<PathBuf>) -> Result<(), WatchError> {
        let added = self.watcher.add(root)?;
        self.counts.insert(root.to_owned(), added.directories);
        beyond_limit.extend(added.unwatched);
        for (dir, reason) in added.unreadable {
            self.shared.warn(format!("the directory `{}` is not watched: {reason}", dir.display()));
        }
        Ok(())
    }

    /// Tells what happens until the thread is ended or nobody listens.
    fn run(&mut self, ended: &AtomicBool) {
        self.finds.set_as_changes(true);
        let mut result = Ok(());
        while result.is_ok() && !ended.load(Ordering::Acquire) {
            result = self.hear(None).and_then(|_| self.answer());
        }
        if let Err(error) = result {
            self.shared.tell(Told::Failed(format!("the file watcher stopped working: {error}")));
        }
    }

    /// Waits for events, not longer than `timeout`, and tells what they mean; returns whether there were any.
    fn hear(&mut self, timeout: Option<Duration>) -> io::Result<bool> {
        let mut events = Vec::new();
        self.watcher.wait(&mut events, timeout)?;
        let (at, any) = (Instant::now(), !events.is_empty());
        let paths = self.paths(&mut events);
        self.finds.flush(&self.shared.told);
        if !paths.is_empty() {
            self.shared.tell(Told::Changed(Changed { at, paths }));
        }
        Ok(any)
    }

    /// Does what it is asked for.
    fn answer(&mut self) -> io::Result<()> {
        while let Ok(asked) = self.asked.try_recv() {
            match asked {
                Asked::Cover(cover) => {
                    self.finds.set_as_changes(false);
                    self.cover(cover);
                    self.shared.tell(Told::Covered(self.watched()));
                    self.finds.set_as_changes(true);
                }
                Asked::Hear => {
                    // What was read before it was asked may not be all that had happened by then.
                    while self.hear(Some(Duration::ZERO))? {}
                    self.shared.tell(Told::Heard);
                }
            }
        }
        Ok(())
    }

    /// The paths that `events` say may have changed; warnings are told.
    fn paths(&mut self, events: &mut Vec<Event>) -> Vec<PathBuf> {
        let mut paths = Vec::new();
        let mut unwatched = Vec::new();
        for event in events.drain(..) {
            match event {
                Event::Change { path, .. } => paths.push(path),
                Event::Rescan { root, why } => {
                    let shown = root.display();
                    if why == Rescan::Overflow {
                        self.shared.warn(format!("{why}; everything below `{shown}` is compared"));
                    } else if self.shared.roots.contains(&root) {
                        self.shared.warn(format!("{why}: `{shown}`"));
                    }
                    paths.push(root);
                }
                Event::Unwatched { dir } => unwatched.push(dir),
            }
        }
        if !unwatched.is_empty() {
            let polled = self.shared.poll(&unwatched);
            if polled > 0 {
                let needed = limit().unwrap_or_default() + polled;
                self.shared.warn(limit_reached(&format!("{polled} more"), needed));
            }
        }
        paths
    }
}

/// Words for a watch limit that was reached: `which` directories are polled, and `needed` is how many there are.
fn limit_reached(which: &str, needed: usize) -> String {
    let limit = limit().map(|limit| format!(" (now {limit})")).unwrap_or_default();
    format!(
        "the watch limit is reached: {which} directories are polled instead, every {} ms; raise \
         `fs.inotify.max_user_watches`{limit} with `sudo sysctl fs.inotify.max_user_watches={}`",
        POLL_INTERVAL.as_millis(),
        needed.next_power_of_two().max(524_288),
    )
}

#[cfg(test)]
mod tests;
