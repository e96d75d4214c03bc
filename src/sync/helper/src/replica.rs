//! One side of a sync: a tree of files below a root, looked at and changed step by step. A step says what it expects to
//! find, and does nothing where something else stands. What is replaced is replaced whole, in one moment.

mod change;
mod look;
mod owner;

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use serde::{Deserialize, Serialize};

use crate::entry::{Content, Entry, Rel};
use crate::filter::Filter;
pub use change::Writing;
use look::Stamp;
pub use look::open;
pub use owner::Owner;

/// A way is not looked at again for as long as this: many files go into one directory at once.
const JUST_NOW: Duration = Duration::from_millis(20);

/// Whoever writes a temporary file is done with it long before.
const LEFT_BEHIND: Duration = Duration::from_secs(60);

/// A tree of files below a root.
#[derive(Debug)]
pub struct Replica {
    root: PathBuf,
    filter: Arc<Filter>,
    options: Options,
    /// What was read of files that look as they did then.
    seen: HashMap<Rel, (Stamp, Content)>,
    /// Tells names of temporary files apart.
    number: u64,
    /// Temporary files that are older than this were left behind.
    patience: Duration,
    /// A directory that was just seen to be reached by directories alone, and when.
    seen_way: RefCell<Option<(Rel, Instant)>>,
}

/// How what is made here is to be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Options {
    /// Whom everything belongs to: `USER`, `USER:GROUP`, by name or number; who runs this if it is not said.
    pub owner: Option<String>,
    /// The permissions of files, otherwise those of the source; who may read may execute what is executable.
    pub file_mode: Option<u32>,
    /// The permissions of directories, otherwise those of the source.
    pub dir_mode: Option<u32>,
}

/// What a step expects to find at its path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Expect {
    /// Whatever is there gives way.
    Anything,
    /// This and nothing else, or nothing at all.
    Exactly(Option<Entry>),
}

/// Why a step was not done. Nothing has changed then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// Something else stands there than was expected, or the content is not what was announced.
    Differs,
    /// A directory is to go that holds what takes no part in the sync.
    NotEmpty,
    /// The disk is full, or a quota.
    Full,
    /// It is not allowed, in words.
    Denied(String),
    /// Anything else, in words.
    Failed(String),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Full => f.write_str("the disk is full"),
            Refusal::Denied(why) | Refusal::Failed(why) => f.write_str(why),
            Refusal::NotEmpty => f.write_str("a directory stands there that is not empty"),
            Refusal::Differs => f.write_str("it has changed meanwhile"),
        }
    }
}

impl Refusal {
    fn of(error: &io::Error) -> Refusal {
        match error.raw_os_error().map(Errno::from_raw) {
            Some(Errno::ENOSPC | Errno::EDQUOT) => Refusal::Full,
            Some(Errno::ENOTEMPTY) => Refusal::NotEmpty,
            Some(Errno::EACCES | Errno::EPERM | Errno::EROFS) => Refusal::Denied(error.to_string()),
            _ => Refusal::Failed(error.to_string()),
        }
    }
}

/// The permissions in `meta`.
pub fn mode(meta: &fs::Metadata) -> u32 {
    meta.mode() & 0o7777
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Refusal {
        Refusal::of(&error)
    }
}

impl Replica {
    /// The tree below `root`, which need not be there.
    pub fn new(root: PathBuf, filter: Arc<Filter>, options: Options) -> Replica {
        Replica {
            root,
            filter,
            options,
            seen: HashMap::new(),
            number: 0,
            patience: LEFT_BEHIND,
            seen_way: RefCell::new(None),
        }
    }

    /// Its root.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// What takes part.
    pub fn filter(&self) -> &Arc<Filter> {
        &self.filter
    }

    /// Has other rules say what takes part.
    pub fn set_filter(&mut self, filter: Arc<Filter>) {
        self.filter = filter;
    }

    /// Where `rel` lies, for reading.
    ///
    /// # Errors
    /// What leads to it cannot be read, or is no directory.
    pub fn place(&self, rel: &Rel) -> io::Result<PathBuf> {
        self.way(rel)
    }

    /// The path of `rel`, if all that leads to it are directories, and no links to somewhere else.
    fn path(&self, rel: &Rel) -> Result<PathBuf, Refusal> {
        Ok(self.way(rel)?)
    }

    fn way(&self, rel: &Rel) -> io::Result<PathBuf> {
        let Some(parent) = rel.parent() else { return Ok(self.root.clone()) };
        let mut seen = self.seen_way.borrow_mut();
        if seen.as_ref().is_some_and(|(dir, at)| *dir == parent && at.elapsed() < JUST_NOW) {
            return Ok(rel.below(&self.root));
        }
        for above in parent.ancestors().filter(|above| !above.is_root()) {
            if !fs::symlink_metadata(above.below(&self.root))?.is_dir() {
                return Err(io::Error::new(
                    io::ErrorKind::NotADirectory,
                    format!("`{above}` is no directory"),
                ));
            }
        }
        *seen = Some((parent, Instant::now()));
        Ok(rel.below(&self.root))
    }
}

#[cfg(test)]
mod tests;
