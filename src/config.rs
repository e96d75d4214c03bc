//! The configuration, checked and complete: defaults filled in, names unique, directories canonical, services
//! in start order. Nothing is started before all of it is known to fit together. Every error names the file,
//! the line and what to do.

mod beside;
mod env;
mod file;
mod globs;
pub mod init;
mod proxy;
mod readiness;
mod resolve;
mod size;
mod sync;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hotwatch_platform::process::Signal;

use crate::name::Name;
pub use beside::BesideError;
pub use file::sync::Mode as SyncMode;
pub use globs::Globs;
pub use proxy::Proxy;
pub use readiness::{Http, Readiness, Ready};
use resolve::Source;
pub use resolve::nearest;
pub use sync::{Engine, Kubectl, Pair, Pods, Restart, Sync, Target};

/// The file that is looked for.
pub const FILE_NAME: &str = "hotwatch.toml";

/// A backend to run.
#[derive(Debug)]
pub struct Config {
    /// The files that all of this was read from: the config file and the env files.
    pub files: Vec<PathBuf>,
    /// The directory of that file, canonical.
    pub root: PathBuf,
    /// Where log files go.
    pub log_dir: PathBuf,
    /// How long a log file may become, in bytes.
    pub log_size: u64,
    /// How many older parts of a log are kept beside it.
    pub log_keep: usize,
    /// Whether escape sequences are left out of log files.
    pub log_strip: bool,
    /// A batch of events closes after this much silence.
    pub quiet: Duration,
    /// After a restart, saves are gathered for this long.
    pub cooldown: Duration,
    /// Whether saves are applied to the processes of all services, whatever their entries say.
    pub patch_all: bool,
    /// The services that were asked to be synced, as a user names them.
    pub sync_asked: Vec<String>,
    /// The services, in start order.
    pub services: Vec<Service>,
    /// The names of the services, in the order of the file.
    pub in_file: Vec<Name>,
}

/// A service to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Its name.
    pub name: Name,
    /// Its directory as the config file writes it.
    pub dir_as_written: String,
    /// Its directory, canonical.
    pub dir: PathBuf,
    /// Whether the directory is the top of a Go module.
    pub is_module: bool,
    /// The port it listens on, for messages and readiness.
    pub port: Option<u16>,
    /// Arguments of the service.
    pub args: Vec<String>,
    /// Variables added to the environment that it inherits.
    pub env: BTreeMap<String, String>,
    /// The main package, as the go command takes it in `dir`; `None` when the config does not say.
    pub package: Option<String>,
    /// Whether saves are applied to its running process where that is safe, and how often; `None` if they restart it.
    pub patch: Option<Patch>,
    /// Whether binaries that hotwatch builds by itself keep what debuggers need.
    pub debug_info: bool,
    /// Whether it writes to a terminal instead of to pipes.
    pub pty: bool,
    /// What runs before a build, in order.
    pub pre_build: Vec<Step>,
    /// How the binary is made.
    pub build: Build,
    /// What runs; `{out}` stands for the binary.
    pub run: Vec<String>,
    /// Indices, in start order, of the services that must be ready first.
    pub depends_on: Vec<usize>,
    /// When it counts as ready, and when as good.
    pub readiness: Readiness,
    /// The port that is held for it, if one is.
    pub proxy: Option<Proxy>,
    /// The signal that asks it to stop.
    pub stop_signal: Signal,
    /// How long it may take to stop.
    pub grace: Duration,
    /// Which files count besides Go sources, and which do not.
    pub patterns: Patterns,
    /// Whether directories that git ignores are left out.
    pub gitignore: bool,
    /// Whether its files can be synced to somewhere, whether they are or not.
    pub can_sync: bool,
    /// Where its files are synced to, if they are.
    pub sync: Option<Sync>,
}

impl Config {
    /// The same with saves applied to the processes of all services whose binaries hotwatch builds by itself.
    pub fn patched(mut self) -> Config {
        self.patch_all = true;
        for service in self.services.iter_mut().filter(|service| service.build == Build::Go) {
            service.patch.get_or_insert_default();
        }
        self
    }
}

impl Service {
    /// Globs of files that have to be watched beside Go sources.
    pub fn watched_globs(&self) -> impl Iterator<Item = &Globs> {
        let steps = self.pre_build.iter().flat_map(|step| [&step.inputs, &step.outputs]);
        std::iter::once(&self.patterns.include).chain(steps).filter(|globs| !globs.is_empty())
    }
}

/// How a service's binary is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Build {
    /// By `go build`, with the flags that hotwatch thinks best.
    Go,
    /// By this command; `{out}` stands for the binary.
    Command(Vec<String>),
    /// Not at all: what runs is there already.
    None,
}

/// How much a process is patched before it is started anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patch {
    /// How often.
    pub generations: u32,
    /// How much memory the patches may take together, in bytes.
    pub memory: u64,
}

impl Default for Patch {
    fn default() -> Patch {
        Patch { generations: 200, memory: 64_000_000 }
    }
}

/// A command that generates files before a build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The command, run in the service's directory.
    pub run: Vec<String>,
    /// The files that it reads: it runs when they have changed.
    pub inputs: Globs,
    /// The files that it writes: they start no second round.
    pub outputs: Globs,
}

/// Which files of a service's directory count besides Go sources, and which do not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Patterns {
    /// Files that count although they are no Go sources.
    pub include: Globs,
    /// Files that do not count.
    pub exclude: Globs,
}

/// What is wrong with a configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// There is none.
    #[error("neither a `{FILE_NAME}` nor a `go.mod` in `{}` or a directory above it; write the first with `hotwatch init`, or try `hotwatch demo`", .0.display())]
    NotFound(PathBuf),
    /// It cannot be read.
    #[error("`{}` cannot be read: {error}", file.display())]
    Io { file: PathBuf, error: std::io::Error },
    /// The path cannot be written in messages and logs.
    #[error("the path `{}` is not valid UTF-8; rename the directory or file", .0.display())]
    NotUtf8(PathBuf),
    /// Something at a place in the file.
    #[error("{}:{line}:{column}: {message}", file.display())]
    At { file: PathBuf, line: usize, column: usize, message: String },
    /// An env file.
    #[error(transparent)]
    Env(#[from] env::EnvError),
}

/// The config file in `start` or the nearest directory above it.
pub fn find(start: &Path) -> Option<PathBuf> {
    start.ancestors().map(|dir| dir.join(FILE_NAME)).find(|file| file.is_file())
}

/// Reads and checks the config file `path`. `environment` looks up a variable of the process.
pub fn load(path: &Path, environment: &dyn Fn(&str) -> Option<String>) -> Result<Config, ConfigError> {
    let io = |error| ConfigError::Io { file: path.to_owned(), error };
    let file = path.canonicalize().map_err(io)?;
    if file.to_str().is_none() {
        return Err(ConfigError::NotUtf8(file));
    }
    let bytes = std::fs::read(&file).map_err(io)?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let at = Source { shown: path, text: "" };
        let line =
            error.as_bytes()[..error.utf8_error().valid_up_to()].iter().filter(|&&b| b == b'\n').count();
        at.error_at_line(line + 1, "not valid UTF-8; save the file as UTF-8")
    })?;
    let mut config = parse(&text, path, file.parent().unwrap_or(Path::new("/")), environment)?;
    config.files.push(file);
    Ok(config)
}

/// Checks the content `text` of a config file, called `shown` in messages, in the canonical directory `root`.
pub fn parse(
    text: &str,
    shown: &Path,
    root: &Path,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<Config, ConfigError> {
    let source = Source { shown, text };
    let parsed: file::File = toml::from_str(text).map_err(|error| source.toml_error(&error))?;
    source.resolve(parsed, root.to_owned(), environment)
}

#[cfg(test)]
mod tests;
