//! What `hotwatch init` writes: the findings of the foreign formats, put together with the main packages that are
//! there. Text in, findings out; files are read and written by `app/init`.

pub mod air;
pub mod compose;
mod go_command;
pub mod gomod;
pub mod plan;
mod port;
pub mod procfile;
pub mod render;
mod shell;
pub mod start_sh;

use std::collections::BTreeMap;

use super::env::Layers;

/// A value, and where it stands: `start.sh:12`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact<T> {
    /// The value.
    pub value: T,
    /// The file and line it was read from.
    pub from: String,
}

/// What a foreign file starts. Paths are relative to the root and have no `.` and `..` in them; the root itself
/// is empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Program {
    /// The main package in this directory.
    Package(String),
    /// A binary that some other tool builds.
    Binary(String),
    /// No Go program, as far as can be seen.
    Command(Vec<String>),
}

/// A service as a foreign file starts it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    /// The place where it is started.
    pub from: String,
    /// What it is called there.
    pub name: Option<String>,
    /// The name of the file that its output goes to: what tells two processes of one program apart.
    pub log: Option<String>,
    /// The directory that it is started in, where that is known.
    pub dir: Option<String>,
    /// What is started.
    pub program: Program,
    /// Flags of `go build`.
    pub build_flags: Vec<String>,
    /// Arguments of the program.
    pub args: Vec<String>,
    /// Variables that it is given.
    pub env: BTreeMap<String, Fact<String>>,
    /// The port that it is said to listen on.
    pub port: Option<Fact<u16>>,
    /// Services of the same file that are started before it.
    pub depends_on: Vec<String>,
    /// Which files count besides Go sources.
    pub include: Vec<String>,
    /// Which files do not count.
    pub exclude: Vec<String>,
    /// The signal that stops it, and the time it has, as in `5s`.
    pub stop: Option<Fact<(String, Option<String>)>>,
    /// Env files for this service alone.
    pub env_files: Vec<Fact<String>>,
    /// What to say beside a variable.
    pub remarks: BTreeMap<String, String>,
    /// What a reader of the written file should know.
    pub notes: Vec<String>,
}

impl Start {
    fn new(from: String, dir: Option<String>, program: Program) -> Start {
        Start {
            from,
            name: None,
            log: None,
            dir,
            program,
            build_flags: Vec::new(),
            args: Vec::new(),
            env: BTreeMap::new(),
            port: None,
            depends_on: Vec::new(),
            include: Vec::new(),
            exclude: Vec::new(),
            stop: None,
            env_files: Vec::new(),
            remarks: BTreeMap::new(),
            notes: Vec::new(),
        }
    }
}

/// What a foreign file says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// Its services, in order.
    pub starts: Vec<Start>,
    /// Env files that all of them get.
    pub env_files: Vec<Fact<String>>,
    /// Binaries that it builds.
    pub builds: BTreeMap<String, Built>,
    /// What could not be taken over, and why.
    pub notes: Vec<String>,
}

/// What a binary is built from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Built {
    /// The directory of its main package.
    pub package: String,
    /// Flags of `go build`.
    pub flags: Vec<String>,
}

/// What the readers may know of the tree that the foreign files stand in.
pub struct Tree<'a> {
    /// The text of a file.
    pub read: &'a dyn Fn(&str) -> Option<String>,
    /// The directories that patterns such as `services/*` may mean.
    pub dirs: &'a [String],
}

/// The variables of the env file `path`; the error says what is wrong with it.
pub fn env_file(path: &str, tree: &Tree<'_>) -> Result<BTreeMap<String, String>, String> {
    let text = (tree.read)(path).ok_or_else(|| "it cannot be read".to_owned())?;
    let mut layers = Layers::new(&|_| None, true);
    layers.parse(&text, path).map_err(|error| error.to_string())?;
    Ok(layers.into_variables())
}

/// `path` as seen from `dir`, without `.` and `..`; those that lead out of the root stay in front.
fn join(dir: &str, path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in dir.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// The last part of a path.
fn last(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or_default()
}

/// The directory that a path lies in.
fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(dir, _)| dir)
}

/// Whether `path` is `dir` or lies in it.
fn is_below(path: &str, dir: &str) -> bool {
    dir.is_empty() || path.strip_prefix(dir).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// A name without what people write differently in different places: `user-service`, `userService` and
/// `USER_SERVICE` are one.
fn plain_name(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

/// Whether the directory `dir` is called `name`: `users/rpc` is `rpc`, `users-rpc` and `users_rpc`.
fn is_called(dir: &str, name: &str) -> bool {
    let ends = dir.match_indices('/').map(|(at, _)| &dir[at..]);
    !name.is_empty() && ends.chain([dir]).any(|end| same_name(end, name))
}

fn same_name(one: &str, other: &str) -> bool {
    plain_name(one) == plain_name(other)
}
