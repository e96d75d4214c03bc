//! The contract of every file watcher: a [`Watcher`] is given roots, asks its [`Scope`] which directories
//! matter, and turns what the operating system tells into [`Event`]s. A lost event is a value
//! ([`Event::Rescan`]), never an error. Paths in events lie below the root as it was given, so a caller that
//! gives canonical roots gets canonical paths.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

pub mod flags;
pub mod mounts;
pub mod poll;
#[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "the poller needs less of it than inotify"))]
mod tree;

#[cfg_attr(not(target_os = "macos"), allow(dead_code, reason = "only macOS has FSEvents; tested everywhere"))]
mod fsevents;
#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "macos")]
mod macos;

/// The operating system's own watcher, with a scope that decides what is looked at.
///
/// # Errors
/// The facility cannot be opened (on Linux: `fs.inotify.max_user_instances` is used up).
pub fn native(scope: Box<dyn Scope>) -> Result<Box<dyn Watcher>, WatchError> {
    #[cfg(target_os = "linux")]
    return Ok(Box::new(linux::Inotify::new(scope)?));
    #[cfg(target_os = "macos")]
    return Ok(Box::new(macos::FsEvents::new(scope)?));
}

/// How many directories one user may watch, where the operating system sets such a limit.
#[cfg(target_os = "linux")]
pub fn limit() -> Option<usize> {
    std::fs::read_to_string("/proc/sys/fs/inotify/max_user_watches").ok()?.trim().parse().ok()
}

/// How many directories one user may watch, where the operating system sets such a limit.
#[cfg(target_os = "macos")]
pub fn limit() -> Option<usize> {
    None
}

/// Reports changes below directories. Driven by one thread, which calls [`Watcher::wait`] in a loop; other
/// threads interrupt it through a [`Waker`].
pub trait Watcher: Send {
    /// Watches `root` and every directory below it that the scope enters. When this returns, every later
    /// change is reported, and the scope has been told of every file that was there. A root that was added
    /// before is read anew, for a scope that has changed its mind; changes made meanwhile may not be reported.
    ///
    /// # Errors
    /// `root` itself is missing, is no directory, or cannot be read. What cannot be watched further down is
    /// reported as [`Added::unwatched`] and [`Added::unreadable`].
    fn add(&mut self, root: &Path) -> Result<Added, WatchError>;

    /// Blocks until there are events, the waker was called, or `timeout` has passed, and appends the events.
    ///
    /// # Errors
    /// The facility itself broke; the watcher is of no further use.
    fn wait(&mut self, events: &mut Vec<Event>, timeout: Option<Duration>) -> io::Result<()>;

    /// A handle that interrupts [`Watcher::wait`] from another thread.
    fn waker(&self) -> Waker;
}

/// Decides what a watcher looks at, and is told what is there.
pub trait Scope: Send {
    /// Whether the directory `dir` (below a root, never the root itself) is watched and entered. All files of
    /// its parent have been passed to [`Scope::found`] before.
    fn enter(&mut self, dir: &Path) -> bool;

    /// `path` is there and is no directory. Called while a root or a new directory is first read.
    fn found(&mut self, path: &Path, kind: Entry);

    /// Whether a file has changed as well ([`Kind::Modified`]) when only its permissions have.
    fn permissions(&self) -> bool {
        false
    }
}

/// The scope of a bare watcher: everything.
#[derive(Debug, Clone, Copy, Default)]
pub struct Everything;

impl Scope for Everything {
    fn enter(&mut self, _: &Path) -> bool {
        true
    }
    fn found(&mut self, _: &Path, _: Entry) {}
}

/// What kind of directory entry [`Scope::found`] was called for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// A regular file, or anything else that is neither a directory nor a symbolic link.
    File,
    /// A symbolic link, to whatever; it is not followed.
    Symlink,
}

/// What [`Watcher::add`] did.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Added {
    /// Directories now watched, the root included.
    pub directories: usize,
    /// Topmost directories that exceed the operating system's watch limit; nothing below them is watched.
    pub unwatched: Vec<PathBuf>,
    /// Directories that cannot be read, with the reason; nothing below them is watched.
    pub unreadable: Vec<(PathBuf, String)>,
}

/// Something a watcher reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// `path` changed. For a directory, anything below it may have changed with it.
    Change {
        /// The path, below one of the roots.
        path: PathBuf,
        /// What happened, as far as the operating system told.
        kind: Kind,
        /// Whether `path` is, or was, a directory.
        dir: bool,
    },
    /// What happened below `root` is not fully known: compare with what was there.
    Rescan {
        /// A root as it was given to [`Watcher::add`].
        root: PathBuf,
        /// Why.
        why: Rescan,
    },
    /// A directory that appeared exceeds the watch limit; neither it nor what is below it is watched.
    Unwatched {
        /// The directory.
        dir: PathBuf,
    },
}

/// What happened to a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// It appeared: created, or moved here.
    Created,
    /// Its content was written and closed.
    Modified,
    /// It is gone: deleted, or moved away.
    Removed,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Created => "created",
            Kind::Modified => "modified",
            Kind::Removed => "removed",
        })
    }
}

/// Why a [`Event::Rescan`] was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rescan {
    /// The operating system dropped events because they were not read fast enough.
    Overflow,
    /// The root was deleted or moved away. It is picked up again when it comes back.
    RootGone,
    /// The root is there again.
    RootBack,
}

impl fmt::Display for Rescan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Rescan::Overflow => "events were dropped",
            Rescan::RootGone => "the watched directory is gone",
            Rescan::RootBack => "the watched directory is back",
        })
    }
}

/// Interrupts a blocked [`Watcher::wait`]. Cheap to clone; calling it more than once does no harm.
#[derive(Clone)]
pub struct Waker(Arc<dyn Fn() + Send + Sync>);

impl Waker {
    /// A waker that calls `wake`.
    pub fn new(wake: impl Fn() + Send + Sync + 'static) -> Waker {
        Waker(Arc::new(wake))
    }

    /// Makes the current or next [`Watcher::wait`] return.
    pub fn wake(&self) {
        (self.0)();
    }
}

impl fmt::Debug for Waker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Waker")
    }
}

/// Why a directory cannot be watched.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// The root is not there.
    #[error("the directory `{0}` does not exist")]
    Missing(PathBuf),
    /// The root is something else.
    #[error("`{0}` is not a directory")]
    NotADirectory(PathBuf),
    /// The root cannot be read.
    #[error("the directory `{0}` cannot be read: {1}")]
    Unreadable(PathBuf, io::Error),
    /// No watcher can be opened at all.
    #[error(
        "no file watcher can be opened: {0}; on Linux, raise `fs.inotify.max_user_instances` \
         (`sudo sysctl fs.inotify.max_user_instances=512`)"
    )]
    NoFacility(io::Error),
}

impl WatchError {
    /// The error for a root whose first access failed with `error`.
    fn at_root(root: &Path, error: io::Error) -> WatchError {
        match error.kind() {
            io::ErrorKind::NotFound => WatchError::Missing(root.to_owned()),
            io::ErrorKind::NotADirectory => WatchError::NotADirectory(root.to_owned()),
            _ => WatchError::Unreadable(root.to_owned(), error),
        }
    }
}
