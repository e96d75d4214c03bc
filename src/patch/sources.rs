//! What the user's own packages are made of on disk, so that a save is told from what the running code was compiled
//! from: by content, whatever the times of files say.

pub mod embedded;
mod package;

use std::collections::BTreeMap;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use std::os::unix::fs::MetadataExt;

use crate::go::export::{Own, Program};
use package::Package;
pub use package::{Inputs, Text, digest};

/// The packages, and what they are made of beside their own files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sources {
    /// By the path that the linker knows.
    packages: BTreeMap<String, Package>,
    /// Digests by path: what says how the packages are built, and directories of vendored packages.
    beside: BTreeMap<PathBuf, u64>,
}

/// What has become of the packages.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Difference {
    /// Packages whose Go code, or what that embeds, is another.
    pub changed: Vec<String>,
    /// Another file that changed, came or went.
    pub beside: Option<PathBuf>,
}

impl Sources {
    /// Reads the packages of `program` that are the user's own, and `workspace`, the file that joins their modules.
    /// What is as in `before` is not looked into.
    ///
    /// # Errors
    /// One of their directories, or a file of theirs, cannot be read.
    pub fn read(
        program: &Program,
        workspace: Option<&Path>,
        before: Option<&Sources>,
    ) -> io::Result<Sources> {
        let mut sources = Sources::default();
        for (path, own) in own(program) {
            let before = before.and_then(|before| before.packages.get(path));
            let package = Package::read(&own.dir, &program.context, before)?;
            sources.packages.insert(path.clone(), package);
            // What would make a module or a workspace of it may come.
            let could_be =
                own.dir.ancestors().flat_map(|dir| ["go.mod", "go.work"].map(|name| dir.join(name)));
            let of_workspace = workspace
                .into_iter()
                .flat_map(|file| ["go.work.sum", "vendor/modules.txt"].map(|name| file.with_file_name(name)));
            let workspace = workspace.map(Path::to_owned);
            let beside = own.beside.iter().cloned().chain(could_be).chain(of_workspace).chain(workspace);
            for path in beside {
                sources.beside.entry(path).or_insert_with_key(|path| digest(path));
            }
        }
        sources.beside.extend(program.vendored.iter().map(|dir| (dir.clone(), listing(dir))));
        Ok(sources)
    }

    /// What the package `path` is compiled from.
    pub fn inputs(&self, path: &str) -> Option<&Inputs> {
        self.packages.get(path).map(Package::inputs)
    }

    /// A Go file of the package `path`; `None` if there is none of that name, or it is no Go.
    pub fn text(&self, path: &str, file: &str) -> Option<&Text> {
        self.packages.get(path)?.text(file)
    }

    /// What differs in `other`, which was read of the same program.
    pub fn difference(&self, other: &Sources) -> Difference {
        let beside = self.beside.iter().find(|(path, content)| other.beside.get(*path) != Some(*content));
        let mut difference = Difference { changed: Vec::new(), beside: beside.map(|(path, _)| path.clone()) };
        for (path, before) in &self.packages {
            let Some(after) = other.packages.get(path) else { continue };
            if let Some(file) = before.differs_beside(after) {
                difference.beside = Some(file.clone());
            }
            if !before.is_same_go(after) {
                difference.changed.push(path.clone());
            }
        }
        difference
    }

    /// Whether one of the files, which are those of `program`, may have been written since `time`; by the time of the
    /// last change of anything about it, which nobody can set.
    pub fn written_since(&self, program: &Program, time: SystemTime) -> bool {
        // As coarse as the clocks of file systems are (multigrain timestamps are finer, but not everywhere).
        let time = time.checked_sub(Duration::from_millis(10)).unwrap_or(UNIX_EPOCH);
        let is_late = |path: &Path| changed_at(path).is_some_and(|at| at >= time);
        let of_packages = own(program).any(|(path, own)| {
            let files = self.packages.get(path).into_iter().flat_map(Package::paths);
            is_late(&own.dir) || files.into_iter().any(|file| is_late(&own.dir.join(file)))
        });
        of_packages || self.beside.keys().any(|path| is_late(path))
    }
}

/// A digest of which files are in `dir`, and when they were written.
fn listing(dir: &Path) -> u64 {
    let entries = fs::read_dir(dir).into_iter().flatten().filter_map(Result::ok);
    let mut entries: Vec<_> = entries
        .filter_map(|entry| {
            let meta = entry.metadata().ok().filter(fs::Metadata::is_file)?;
            Some((entry.file_name(), meta.size(), meta.ctime(), meta.ctime_nsec()))
        })
        .collect();
    entries.sort_unstable();
    let mut hash = DefaultHasher::new();
    entries.hash(&mut hash);
    hash.finish()
}

fn own(program: &Program) -> impl Iterator<Item = (&String, &Own)> {
    program.packages.iter().filter_map(|(path, package)| Some((path, package.own.as_ref()?)))
}

fn changed_at(path: &Path) -> Option<SystemTime> {
    let meta = fs::metadata(path).ok()?;
    let seconds = u64::try_from(meta.ctime()).ok()?;
    let nanoseconds = u32::try_from(meta.ctime_nsec()).ok()?;
    Some(UNIX_EPOCH + Duration::new(seconds, nanoseconds))
}
