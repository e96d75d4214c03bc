//! Globs relative to a service's directory, as a config file writes them.

use std::path::{Path, PathBuf};

use globset::{Glob, GlobSet, GlobSetBuilder};

/// A set of globs. Two are equal when they are written the same.
#[derive(Debug, Clone, Default)]
pub struct Globs {
    written: Vec<String>,
    set: GlobSet,
}

impl Globs {
    /// The set of `written`.
    ///
    /// # Errors
    /// The index of the first that is no glob, and why.
    pub fn new(written: Vec<String>) -> Result<Globs, (usize, globset::Error)> {
        let mut set = GlobSetBuilder::new();
        for (index, glob) in written.iter().enumerate() {
            set.add(Glob::new(glob).map_err(|error| (index, error))?);
        }
        let set = set.build().map_err(|error| (0, error))?;
        Ok(Globs { written, set })
    }

    /// Whether one of them matches the path `relative` to the service's directory.
    pub fn is_match(&self, relative: &Path) -> bool {
        self.set.is_match(relative)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.written.is_empty()
    }

    /// The fixed directories that the globs start with: to be entered even where they would be left out.
    pub fn dirs(&self) -> impl Iterator<Item = PathBuf> + '_ {
        let fixed = |glob: &String| -> PathBuf {
            let parts: Vec<&str> = glob.split('/').collect();
            let plain = |part: &&str| !part.contains(['*', '?', '[', '{']);
            parts[..parts.len() - 1].iter().copied().take_while(plain).collect()
        };
        self.written.iter().map(fixed).filter(|dir| !dir.as_os_str().is_empty())
    }
}

impl PartialEq for Globs {
    fn eq(&self, other: &Globs) -> bool {
        self.written == other.written
    }
}

impl Eq for Globs {}
