//! The history of a public repository: a clone that is checked out at one commit after the other, and the tree of a
//! service that follows it by saves.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{Project, copy};
use crate::table::oracle::{Made, made_of};

/// Where repositories are cloned from; the variable `MIRROR` names a directory, or another address, to use instead.
const PUBLIC: &str = "https://github.com";

/// A clone beside a project.
pub struct History {
    dir: PathBuf,
    /// What `go.mod` says in commits that have none.
    module: &'static str,
}

/// A commit.
pub struct Commit {
    pub id: String,
    /// The day of its author.
    pub date: String,
    pub subject: String,
}

impl History {
    /// Clones `repository`, which is its owner and its name.
    pub fn clone(project: &Project, repository: &str, module: &'static str) -> History {
        let from = std::env::var("MIRROR").unwrap_or_else(|_| PUBLIC.to_owned());
        let dir = project.beside("history");
        let (from, to) = (format!("{from}/{repository}"), dir.to_str().unwrap());
        run(Command::new("git").args(["clone", "-q", "--no-checkout", &from, to]));
        History { dir, module }
    }

    /// The commits from `first` to `last`, both included, each after its parents.
    pub fn commits(&self, first: &str, last: &str) -> Vec<Commit> {
        let format = "--format=%H%x09%ad%x09%s";
        let range = format!("{first}..{last}");
        let shown = self.git(&["log", "-1", "--date=short", format, first]);
        let rest = self.git(&["log", "--reverse", "--topo-order", "--date=short", format, &range]);
        let commit = |line: &str| {
            let mut parts = line.splitn(3, '\t').map(str::to_owned);
            let mut next = || parts.next().unwrap();
            Commit { id: next(), date: next(), subject: next() }
        };
        shown.lines().chain(rest.lines()).map(commit).collect()
    }

    /// Puts the files of `commit` into the clone's directory.
    pub fn check_out(&self, commit: &Commit) {
        self.git(&["checkout", "-q", "-f", &commit.id]);
        let path = self.dir.join("go.mod");
        if !path.exists() {
            fs::write(path, format!("module {}\n", self.module)).unwrap();
        }
    }

    /// What `package` is made of in the commit that is checked out, by paths relative to it.
    pub fn program(&self, project: &Project, package: &str) -> Made {
        let made = made_of(project, self.dir.to_str().unwrap(), &[package]);
        let relative = |(path, content): (PathBuf, Vec<u8>)| {
            (path.strip_prefix(&self.dir).map(Path::to_owned).unwrap_or(path), content)
        };
        made.into_iter().map(relative).collect()
    }

    /// Builds `package` of the commit that is checked out, as its users do; says why if that fails.
    pub fn build(&self, project: &Project, package: &str, binary: &Path) -> Result<(), String> {
        let mut command = Command::new("go");
        project.surround(&mut command);
        command.args(["build", "-o"]).arg(binary).arg(package).current_dir(&self.dir);
        let output = command.output().unwrap();
        if output.status.success() { Ok(()) } else { Err(String::from_utf8(output.stderr).unwrap()) }
    }

    /// Makes `tree` what is checked out.
    pub fn fill(&self, tree: &Path) {
        copy(&self.dir, tree);
        fs::remove_dir_all(tree.join(".git")).unwrap();
    }

    /// Saves in `tree`, which holds the files of `from`, what differs in `to`, which is checked out.
    pub fn save(&self, tree: &Path, from: &Commit, to: &Commit) {
        let changed = self.git(&["diff", "--name-status", "--no-renames", "-z", &from.id, &to.id]);
        let mut parts = changed.split_terminator('\0');
        while let (Some(status), Some(name)) = (parts.next(), parts.next()) {
            let target = tree.join(name);
            if status == "D" {
                fs::remove_file(target).unwrap();
                continue;
            }
            fs::create_dir_all(target.parent().unwrap()).unwrap();
            fs::write(target, fs::read(self.dir.join(name)).unwrap()).unwrap();
        }
    }

    fn git(&self, args: &[&str]) -> String {
        run(Command::new("git").args(["-c", "advice.detachedHead=false"]).args(args).current_dir(&self.dir))
    }
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Whether Go code differs between two states of a program.
pub fn differs_in_code(before: &Made, after: &Made) -> bool {
    let code = |made: &Made| -> Made {
        let is_code = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "go");
        made.iter()
            .filter(|(path, _)| is_code(path))
            .map(|(path, content)| (path.clone(), content.clone()))
            .collect()
    };
    code(before) != code(after)
}
