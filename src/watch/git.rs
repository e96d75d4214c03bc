//! What git has to say about a directory: where its repository begins, and whether a checkout is under way.

use std::path::{Path, PathBuf};
use std::time::Duration;

/// How old the lock of a checkout may be.
const OLDEST_LOCK: Duration = Duration::from_secs(60);

/// A repository's work tree.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Repository {
    /// The directory that holds `.git`.
    pub work_tree: PathBuf,
    /// The git directory; elsewhere for worktrees and submodules.
    git_dir: PathBuf,
}

impl Repository {
    /// The repository that `dir` lies in.
    pub fn of(dir: &Path) -> Option<Repository> {
        dir.ancestors().find_map(|work_tree| {
            let dot_git = work_tree.join(".git");
            let git_dir = if dot_git.is_dir() {
                dot_git
            } else {
                // A worktree or submodule: a file that says `gitdir: PATH` (gitrepository-layout(5)).
                let text = std::fs::read_to_string(&dot_git).ok()?;
                work_tree.join(text.strip_prefix("gitdir:")?.trim())
            };
            Some(Repository { work_tree: work_tree.to_owned(), git_dir })
        })
    }

    /// Whether git is changing the index right now: a checkout, merge or stash is under way, and files come
    /// and go until it ends. A lock that is older was left behind by a git that crashed.
    pub fn is_locked(&self) -> bool {
        let made = std::fs::metadata(self.git_dir.join("index.lock")).and_then(|meta| meta.modified());
        made.is_ok_and(|made| made.elapsed().is_ok_and(|age| age < OLDEST_LOCK))
    }

    /// The repository's own list of ignored files, beside those named `.gitignore`.
    pub fn exclude_file(&self) -> PathBuf {
        self.git_dir.join("info/exclude")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn finds_repositories_and_worktrees() {
        let dir = tempfile::tempdir().unwrap();
        let (main, tree) = (dir.path().join("main"), dir.path().join("tree"));
        fs::create_dir_all(main.join(".git/worktrees/tree")).unwrap();
        fs::create_dir_all(main.join("a/b")).unwrap();
        fs::create_dir_all(tree.join("x")).unwrap();
        fs::write(tree.join(".git"), "gitdir: ../main/.git/worktrees/tree\n").unwrap();

        let repository = Repository::of(&main.join("a/b")).unwrap();
        assert_eq!(repository.work_tree, main);
        assert!(!repository.is_locked());
        fs::write(main.join(".git/index.lock"), "").unwrap();
        assert!(repository.is_locked());

        let worktree = Repository::of(&tree.join("x")).unwrap();
        assert!(!worktree.is_locked());
        fs::write(main.join(".git/worktrees/tree/index.lock"), "").unwrap();
        assert!(worktree.is_locked());
        let lock = fs::File::options().write(true).open(main.join(".git/index.lock")).unwrap();
        lock.set_modified(std::time::UNIX_EPOCH).unwrap();
        assert!(!repository.is_locked());
    }
}
