//! What the user's own packages are made of on disk, so that a save is told from what the running code was compiled
//! from: by content, whatever the times of files say.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use std::os::unix::fs::MetadataExt;

use xxhash_rust::xxh3::xxh3_64;

use crate::classify::is_go_source;
use crate::go::export::{Own, Program};

/// The files of a package, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Files(BTreeMap<String, u64>);

/// The packages, and what they are made of beside Go files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sources {
    /// By the path that the linker knows.
    packages: BTreeMap<String, Files>,
    /// By path; 0 for what is not there.
    beside: BTreeMap<PathBuf, u64>,
}

/// What has become of the packages.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Difference {
    /// Packages of which a file has another content.
    pub changed: Vec<String>,
    /// A Go file that is there but was not, or the other way round, or another file that changed.
    pub beside: Option<PathBuf>,
}

impl Sources {
    /// Reads the packages of `program` that are the user's own, and `workspace`, the file that joins their modules.
    ///
    /// # Errors
    /// One of their directories, or a file of theirs, cannot be read.
    pub fn read(program: &Program, workspace: Option<&Path>) -> io::Result<Sources> {
        let mut sources = Sources::default();
        for (path, own) in own(program) {
            sources.packages.insert(path.clone(), files(own)?);
            for path in own.beside.iter().map(PathBuf::as_path).chain(workspace) {
                let content = || fs::read(path).map_or(0, |bytes| xxh3_64(&bytes));
                sources.beside.entry(path.to_owned()).or_insert_with(content);
            }
        }
        Ok(sources)
    }

    /// What differs in `other`, which was read of the same `program`.
    pub fn difference(&self, other: &Sources, program: &Program) -> Difference {
        let beside = self.beside.iter().find(|(path, content)| other.beside.get(*path) != Some(*content));
        let mut difference = Difference { changed: Vec::new(), beside: beside.map(|(path, _)| path.clone()) };
        for (path, own) in own(program) {
            let (Some(Files(before)), Some(Files(after))) =
                (self.packages.get(path), other.packages.get(path))
            else {
                continue;
            };
            let mut names = before.keys().chain(after.keys());
            if let Some(name) = names.find(|name| before.contains_key(*name) != after.contains_key(*name)) {
                difference.beside = Some(own.dir.join(name));
            }
            if before != after {
                difference.changed.push(path.clone());
            }
        }
        difference
    }
}

fn own(program: &Program) -> impl Iterator<Item = (&String, &Own)> {
    program.packages.iter().filter_map(|(path, package)| Some((path, package.own.as_ref()?)))
}

/// Whether a file of `program` that is the user's own may have been written since `time`; by the time of the last change
/// of anything about it, which nobody can set.
pub fn written_since(program: &Program, time: SystemTime) -> bool {
    // As coarse as the clocks of file systems are (multigrain timestamps are finer, but not everywhere).
    let time = time.checked_sub(Duration::from_millis(10)).unwrap_or(UNIX_EPOCH);
    let paths = |(_, own): (_, &'_ Own)| {
        let files: Vec<PathBuf> = own.files.iter().map(|name| own.dir.join(name)).collect();
        files.into_iter().chain([own.dir.clone()]).chain(own.beside.clone())
    };
    own(program).flat_map(paths).any(|path| changed_at(&path).is_some_and(|at| at >= time))
}

fn changed_at(path: &Path) -> Option<SystemTime> {
    let meta = fs::metadata(path).ok()?;
    let seconds = u64::try_from(meta.ctime()).ok()?;
    let nanoseconds = u32::try_from(meta.ctime_nsec()).ok()?;
    Some(UNIX_EPOCH + Duration::new(seconds, nanoseconds))
}

/// The Go files in the directory of a package, those of tests left out. Whether build constraints let them in is not
/// asked: one that comes or goes restarts.
fn files(own: &Own) -> io::Result<Files> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(&own.dir)? {
        let name = entry?.file_name();
        let Some(name) = name.to_str().filter(|name| is_go_source(name)) else { continue };
        // Those of other systems, say, are no part of the program; only that they are there counts.
        let content = if own.files.iter().any(|file| file == name) {
            xxh3_64(&fs::read(own.dir.join(name))?)
        } else {
            0
        };
        files.insert(name.to_owned(), content);
    }
    Ok(Files(files))
}
