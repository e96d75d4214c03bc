//! Which directories are not worth watching. They are left out before a watch is spent on them: what git
//! keeps for itself, what other tools install, what Go never builds, and what git ignores. Files are not
//! decided on here: an ignored file may well be generated source.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use ignore::gitignore::{Gitignore, GitignoreBuilder};

use super::git::Repository;

/// Decides which directories are entered. Ignore files are learned as they are met.
#[derive(Debug, Clone, Default)]
pub struct Ignore {
    /// Entered whatever else is said, with all that leads to them and lies in them.
    forced: Vec<PathBuf>,
    /// Directories below which ignore files of git do not count.
    unread: Vec<PathBuf>,
    /// Ignore files by the directory they stand in.
    rules: HashMap<PathBuf, Gitignore>,
    /// The repositories' own lists by work tree; they are looked at last.
    excludes: HashMap<PathBuf, Gitignore>,
}

impl Ignore {
    /// Nothing learned yet.
    pub fn new() -> Ignore {
        Ignore::default()
    }

    /// Enters `dir` in any case.
    pub fn force(&mut self, dir: PathBuf) {
        self.forced.push(dir);
    }

    /// Prepares for the root `dir`: reads the ignore files between it and the top of its repository, or takes
    /// note that there git's rules do not count.
    pub fn add_root(&mut self, dir: &Path, gitignore: bool) {
        if !gitignore {
            self.unread.push(dir.to_owned());
            return;
        }
        let Some(repository) = Repository::of(dir) else { return };
        if let Some(rules) = read_rules(&repository.exclude_file(), &repository.work_tree) {
            self.excludes.insert(repository.work_tree.clone(), rules);
        }
        for above in dir.ancestors().take_while(|above| above.starts_with(&repository.work_tree)) {
            self.learn(&above.join(".gitignore"));
        }
    }

    /// Takes the ignore file `file` into account, as it is now.
    pub fn learn(&mut self, file: &Path) {
        let Some(dir) = file.parent() else { return };
        match read_rules(file, dir) {
            Some(rules) => drop(self.rules.insert(dir.to_owned(), rules)),
            None => drop(self.rules.remove(dir)),
        }
    }

    /// Whether the directory `dir` is left out, with everything below it.
    pub fn prunes(&self, dir: &Path) -> bool {
        if self.forced.iter().any(|forced| forced.starts_with(dir) || dir.starts_with(forced)) {
            return false;
        }
        dir.file_name().is_some_and(never_source) || self.git_ignores(dir)
    }

    fn git_ignores(&self, dir: &Path) -> bool {
        let nothing_learned = self.rules.is_empty() && self.excludes.is_empty();
        if nothing_learned || self.unread.iter().any(|root| dir.starts_with(root)) {
            return false;
        }
        // The nearest file that says something decides, then the repository's own list (gitignore(5)).
        let above = || dir.ancestors().skip(1);
        let nearest = above().filter_map(|above| self.rules.get(above));
        let last = above().filter_map(|above| self.excludes.get(above));
        let mut verdicts = nearest.chain(last).map(|rules| rules.matched(dir, true));
        verdicts.find(|verdict| !verdict.is_none()).is_some_and(|verdict| verdict.is_ignore())
    }
}

/// The rules of an ignore file; `None` if there are none.
fn read_rules(file: &Path, dir: &Path) -> Option<Gitignore> {
    let mut builder = GitignoreBuilder::new(dir);
    // A bad line is left out, as git does.
    drop(builder.add(file));
    builder.build().ok().filter(|rules| !rules.is_empty())
}

/// Directories that hold no Go source that is built and edited. The go command itself skips names that start with
/// `.` or `_`, and `testdata` (`go help packages`); what is vendored is a copy of what others wrote.
fn never_source(name: &OsStr) -> bool {
    let name = name.as_encoded_bytes();
    matches!(name, b"node_modules" | b"testdata" | b"vendor") || matches!(name.first(), Some(b'.' | b'_'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn leaves_out_what_is_no_source_and_what_git_ignores() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("repo/services/api");
        fs::create_dir_all(root.join("gen")).unwrap();
        fs::create_dir_all(dir.path().join("repo/.git/info")).unwrap();
        fs::write(dir.path().join("repo/.gitignore"), "build/\n/services/*/tmp\n").unwrap();
        fs::write(dir.path().join("repo/.git/info/exclude"), "private\n!build\n").unwrap();
        fs::write(root.join("gen/.gitignore"), "out\n!build/\n").unwrap();

        let mut ignore = Ignore::new();
        ignore.add_root(&root, true);
        ignore.learn(&root.join("gen/.gitignore"));
        ignore.force(root.join("testdata/gold"));
        let table = [
            ("pkg", false),
            (".git", true),
            (".idea", true),
            ("_old", true),
            ("node_modules", true),
            ("vendor", true),
            ("pkg/testdata", true),
            ("testdata", false),
            ("testdata/other", false),
            ("testdata/gold/deep", false),
            ("build", true),
            ("pkg/build", true),
            ("tmp", true),
            ("pkg/tmp", false),
            ("private", true),
            ("out", false),
            ("gen/out", true),
            ("gen/build", false),
        ];
        for (name, expected) in table {
            assert_eq!(ignore.prunes(&root.join(name)), expected, "{name}");
        }
    }

    #[test]
    fn git_rules_can_be_switched_off() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join(".git")).unwrap();
        fs::write(dir.path().join(".gitignore"), "gen\n").unwrap();
        let mut ignore = Ignore::new();
        ignore.add_root(dir.path(), false);
        ignore.learn(&dir.path().join(".gitignore"));
        assert!(!ignore.prunes(&dir.path().join("gen")));
        assert!(ignore.prunes(&dir.path().join("node_modules")));
    }
}
