//! What the backend needs of the system: streams of events, which only macOS has, and a file system to look at,
//! which is the same everywhere.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::{DirEntryExt, MetadataExt};
use std::path::{Path, PathBuf};

/// What something in the file system is; links are not followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::watch) enum What {
    Directory,
    File,
    Symlink,
}

impl From<fs::FileType> for What {
    fn from(kind: fs::FileType) -> What {
        match kind {
            kind if kind.is_dir() => What::Directory,
            kind if kind.is_symlink() => What::Symlink,
            _ => What::File,
        }
    }
}

/// The answer to a look at a path.
#[derive(Debug, Clone, Copy)]
pub(in crate::watch) struct Look {
    pub(super) what: What,
    /// Device and inode.
    pub(super) identity: (u64, u64),
    /// How many names it has.
    pub(super) links: u64,
}

/// An entry of a directory.
pub(in crate::watch) struct Listed {
    pub(super) name: OsString,
    pub(super) what: What,
    pub(super) inode: u64,
}

/// What this module needs of the system: streams of events, and the file system.
pub(in crate::watch) trait System: Send {
    /// Reports what happens below `root`, a canonical path, from now on, as root number `index`. An earlier
    /// stream of that number ends. False if the system has no stream to give.
    fn start(&mut self, index: usize, root: &Path) -> bool;

    /// Ends the stream of root number `index`, if there is one.
    fn stop(&mut self, index: usize);

    /// `path` without links and in the file system's own spelling.
    fn canonical(&self, path: &Path) -> io::Result<PathBuf> {
        fs::canonicalize(path)
    }

    /// What is at `path`, if anything is.
    fn look(&self, path: &Path) -> Option<Look> {
        let meta = fs::symlink_metadata(path).ok()?;
        let what = meta.file_type().into();
        Some(Look { what, identity: (meta.dev(), meta.ino()), links: meta.nlink() })
    }

    /// What is in the directory `dir`.
    fn list(&self, dir: &Path) -> io::Result<Vec<Listed>> {
        let mut listed = Vec::new();
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            // An entry of unknown type is one that is gone again.
            if let Ok(kind) = entry.file_type() {
                listed.push(Listed { name: entry.file_name(), what: kind.into(), inode: entry.ino() });
            }
        }
        Ok(listed)
    }
}
