//! Which paths of a tree take part in a sync: all but what is excluded, what git ignores or keeps for itself, and
//! hotwatch's own temporary files. Both ends decide by the same rules, which the host reads and sends. Pure, but for the
//! reading of ignore files.

use std::fs;
use std::path::{Path, PathBuf};

use ignore::gitignore::{Gitignore, GitignoreBuilder};
use serde::{Deserialize, Serialize};

use crate::entry::Rel;

/// What names begin with that are hotwatch's own and never take part.
pub const OWN: &str = ".hotwatch-";

/// What stands behind the name of a file that has lost a conflict, before what tells it from others.
pub const CONFLICT: &str = ".conflict-";

/// The rules, as they go over the wire.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rules {
    /// If there are any, only what they match takes part, even if git ignores it. In the form of gitignore(5).
    pub include: Vec<String>,
    /// What they match does not take part in any case. In the form of gitignore(5).
    pub exclude: Vec<String>,
    /// Whether what git ignores takes part.
    pub ignored: bool,
    /// Ignore files of git: how far above the root each stands, or where below it, and its lines.
    pub files: Vec<IgnoreFile>,
}

/// An ignore file of git.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IgnoreFile {
    /// The directories that lead from its own to the root, where it stands above that; empty otherwise.
    pub down: Rel,
    /// Its directory, where that is the root or lies below it; empty otherwise.
    pub at: Rel,
    /// Its lines.
    pub lines: Vec<String>,
}

/// The rules, ready to be asked.
#[derive(Debug)]
pub struct Filter {
    rules: Rules,
    include: Gitignore,
    exclude: Gitignore,
    /// Nearest to the leaves first.
    git: Vec<Matcher>,
}

#[derive(Debug)]
struct Matcher {
    down: Rel,
    at: Rel,
    rules: Gitignore,
}

impl Rules {
    /// What is wrong with the patterns, if anything is: the pattern, and why.
    pub fn fault(&self) -> Option<(String, String)> {
        self.include.iter().chain(&self.exclude).find_map(|pattern| {
            let mut builder = GitignoreBuilder::new("");
            let added = builder.add_line(None, pattern).err().or_else(|| builder.build().err());
            added.map(|error| (pattern.clone(), error.to_string()))
        })
    }

    /// Takes in the ignore file `file` in the directory `at` of the tree; what stands there now, or nothing.
    pub fn read_below(&mut self, at: &Rel, file: &Path) {
        self.files.retain(|known| !known.down.is_root() || known.at != *at);
        let lines = lines(file);
        if !lines.is_empty() {
            self.files.push(IgnoreFile { down: Rel::root(), at: at.clone(), lines });
        }
    }

    /// Takes in the ignore files in the tree below `root`, but for those in what is left out.
    pub fn read_tree(&mut self, root: &Path) {
        self.files.retain(|file| !file.down.is_root());
        let mut dirs = vec![Rel::root()];
        let mut filter = Filter::new(self.clone());
        while let Some(dir) = dirs.pop() {
            let place = dir.below(root);
            if place.join(".gitignore").is_file() {
                self.read_below(&dir, &place.join(".gitignore"));
                filter = Filter::new(self.clone());
            }
            let entries = fs::read_dir(place).into_iter().flatten().flatten();
            let inside = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
            let inside = inside.map(|entry| dir.join(&entry.file_name()));
            dirs.extend(inside.filter(|dir| !filter.leaves_out(dir, true)));
        }
    }

    /// Takes in the ignore files above `root` up to `top`, and what `exclude`, the repository's own list, says.
    pub fn read_above(&mut self, root: &Path, top: &Path, exclude: &Path) {
        let above = root.ancestors().skip(1).take_while(|dir| dir.starts_with(top));
        let files = above.map(|dir| (dir.to_owned(), dir.join(".gitignore")));
        // The repository's own list is looked at last.
        for (dir, file) in files.chain([(top.to_owned(), exclude.to_owned())]) {
            let down = root.strip_prefix(&dir).ok().and_then(Rel::new);
            let (Some(down), lines) = (down, lines(&file)) else { continue };
            if !lines.is_empty() {
                self.files.push(IgnoreFile { down, at: Rel::root(), lines });
            }
        }
    }
}

fn lines(file: &Path) -> Vec<String> {
    let text = fs::read(file).unwrap_or_default();
    String::from_utf8_lossy(&text).lines().map(str::to_owned).collect()
}

/// Patterns relative to a directory that is called `/` here; one that is none is left out, as git does.
fn matcher(lines: &[String]) -> Gitignore {
    let mut builder = GitignoreBuilder::new("/");
    lines.iter().for_each(|line| drop(builder.add_line(None, line)));
    builder.build().unwrap_or_else(|_| Gitignore::empty())
}

fn absolute(path: &Rel) -> PathBuf {
    path.below(Path::new("/"))
}

impl Filter {
    /// The filter for `rules`.
    pub fn new(rules: Rules) -> Filter {
        let of = |file: &IgnoreFile| Matcher {
            down: file.down.clone(),
            at: file.at.clone(),
            rules: matcher(&file.lines),
        };
        let mut git: Vec<Matcher> = rules.files.iter().filter(|_| !rules.ignored).map(of).collect();
        // Stable: what stands above the root keeps its order, and comes last.
        git.sort_by_key(|file| {
            std::cmp::Reverse(if file.down.is_root() { file.at.ancestors().count() } else { 0 })
        });
        Filter { include: matcher(&rules.include), exclude: matcher(&rules.exclude), git, rules }
    }

    /// What it was made of.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Whether only what is included takes part, so that a directory may hold nothing that does.
    pub fn picks(&self) -> bool {
        !self.rules.include.is_empty()
    }

    /// Whether `path`, none of whose directories is left out, is left out itself. What lost a conflict takes part as the
    /// one does that has won.
    pub fn leaves_out(&self, path: &Rel, is_dir: bool) -> bool {
        if path.is_root() {
            return false;
        }
        if let Some(winner) = path.without_suffix(CONFLICT) {
            return self.leaves_out(&winner, is_dir);
        }
        if path.name().as_encoded_bytes().starts_with(OWN.as_bytes()) {
            return true;
        }
        let absolute = absolute(path);
        if self.exclude.matched_path_or_any_parents(&absolute, is_dir).is_ignore() {
            return true;
        }
        if self.picks() {
            return !is_dir && !self.includes(path, is_dir);
        }
        path.name() == ".git" || (!self.rules.ignored && self.git_ignores(path, is_dir))
    }

    /// Whether `path` is what was asked for, if only that takes part.
    pub fn includes(&self, path: &Rel, is_dir: bool) -> bool {
        if let Some(winner) = path.without_suffix(CONFLICT) {
            return self.includes(&winner, is_dir);
        }
        !self.picks() || self.include.matched_path_or_any_parents(absolute(path), is_dir).is_ignore()
    }

    /// Whether `path` or a directory above it is left out.
    pub fn leaves_out_at(&self, path: &Rel, is_dir: bool) -> bool {
        let above = path.ancestors().skip(1).any(|dir| self.leaves_out(&dir, true));
        above || self.leaves_out(path, is_dir)
    }

    fn git_ignores(&self, path: &Rel, is_dir: bool) -> bool {
        // The nearest file that says something decides (gitignore(5)).
        let verdicts = self.git.iter().filter(|file| path.is_at_or_below(&file.at)).map(|file| {
            let from_there = if file.at.is_root() {
                file.down.below(Path::new("/")).join(path.as_path())
            } else {
                let below = path.as_path().strip_prefix(file.at.as_path()).unwrap_or(path.as_path());
                Path::new("/").join(below)
            };
            file.rules.matched(from_there, is_dir)
        });
        verdicts.into_iter().find(|verdict| !verdict.is_none()).is_some_and(|verdict| verdict.is_ignore())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rel(path: &str) -> Rel {
        Rel::new(Path::new(path)).unwrap()
    }

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn what_takes_part() {
        let file = |down: &str, at: &str, lines: &str| IgnoreFile {
            down: rel(down),
            at: rel(at),
            lines: words(lines),
        };
        let files = vec![
            file("services/api", "", "*.log /services/api/tmp /services/api/gen/out"),
            file("", "", "dist/ !keep.log"),
            file("", "gen", "!out /local"),
        ];
        let plain = Rules { files: files.clone(), exclude: words("secret*"), ..Rules::default() };
        let all = Rules { ignored: true, ..plain.clone() };
        let picked = Rules { include: words("*.html dist/"), ..plain.clone() };
        let table = [
            // path, directory?, by default, with what git ignores, picked
            ("main.go", false, true, true, false),
            ("x.log", false, false, true, false),
            ("keep.log", false, true, true, false),
            ("a/keep.log", false, true, true, false),
            ("tmp", true, false, true, true),
            ("a/tmp", true, true, true, true),
            ("dist", true, false, true, true),
            ("dist/app.js", false, false, true, true),
            ("gen/out", true, true, true, true),
            ("gen/local", true, false, true, true),
            ("local", true, true, true, true),
            ("secrets/x", false, false, false, false),
            (".git", true, false, false, true),
            (".git/config", false, false, false, false),
            (".hotwatch-tmp-1", false, false, false, false),
            ("x.html", false, true, true, true),
            ("x.html.conflict-web-1", false, true, true, true),
            ("x.log.conflict-web-1", false, false, true, false),
        ];
        let [plain, all, picked] = [plain, all, picked].map(Filter::new);
        for (path, is_dir, by_default, with_ignored, when_picked) in table {
            let takes_part = |filter: &Filter| !filter.leaves_out_at(&rel(path), is_dir);
            let found = (takes_part(&plain), takes_part(&all), takes_part(&picked));
            assert_eq!(found, (by_default, with_ignored, when_picked), "{path}");
        }
    }

    #[test]
    fn an_ignore_file_is_read_anew() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(".gitignore");
        fs::write(&file, "a\n").unwrap();
        let mut rules = Rules::default();
        rules.read_below(&Rel::root(), &file);
        assert!(Filter::new(rules.clone()).leaves_out(&rel("a"), false));
        fs::remove_file(&file).unwrap();
        rules.read_below(&Rel::root(), &file);
        assert!(!Filter::new(rules).leaves_out(&rel("a"), false));
    }
}
