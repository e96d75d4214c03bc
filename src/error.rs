//! What ends hotwatch with exit code 1: one enum over the errors of all stages, and the one place where they
//! are shown.

use std::io;
use std::path::PathBuf;
use std::time::SystemTime;

use hotwatch_platform::watch::WatchError;

use crate::app::cache::Holder;
use crate::app::check::Finding;
use crate::config::{BesideError, ConfigError};
use crate::control::ClientError;
use crate::log::file::LogError;
use crate::plugin::PluginError;
use crate::replay::request::RequestError;

/// Why hotwatch cannot run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The directory of `-C`.
    #[error("cannot change to the directory `{}`: {error}", dir.display())]
    Directory { dir: PathBuf, error: io::Error },
    /// The config file, or an env file.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A log file.
    #[error(transparent)]
    Log(#[from] LogError),
    /// A directory that cannot be watched.
    #[error("{0}")]
    Watch(String),
    /// What `check` finds as well.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n       "))]
    Checks(Vec<Finding>),
    /// Another hotwatch has this project.
    #[error("`{}` is run by another hotwatch{}; end that one with `hotwatch stop -C {0}`", project.display(), by(*.holder))]
    Taken { project: PathBuf, holder: Option<Holder> },
    /// Another hotwatch had this project, and is not there any more, but what it has started is.
    #[error(
        "`{}` was run by a hotwatch, PID {pid}, that was killed, and its guard (`hw-guard`) has not ended yet what that \
         left behind; if it was stopped, `pkill -CONT hw-guard` has it go on",
        project.display()
    )]
    NotCleaned { project: PathBuf, pid: i32 },
    /// There is nobody to ask.
    #[error("no hotwatch runs `{}`; start it with `hotwatch`{hint}", project.display())]
    NotRunning { project: PathBuf, hint: String },
    /// There is nobody to ask who would hear it.
    #[error(
        "`{}` is run by a hotwatch{} that has no control socket: not yet, or it said why not when it started",
        project.display(), by(*.holder)
    )]
    Mute { project: PathBuf, holder: Option<Holder> },
    /// It was asked, without success.
    #[error(transparent)]
    Control(#[from] ClientError),
    /// `timeline` finds a file that is none of its own.
    #[error("`{}` is no timeline of hotwatch and is not written over; name another file, or say `--force`", .0.display())]
    NoTimeline(PathBuf),
    /// `init` finds a file where it would write one.
    #[error("`{}` exists and is not touched; edit it, or see with `hotwatch init --print` what would be written", .0.display())]
    Exists(PathBuf),
    /// There is no config file, and more than one program that could be meant.
    #[error("`{}` holds several programs (`{}`) and no `hotwatch.toml`; write one with `hotwatch init`, or run hotwatch in the directory of one of them", module.display(), names.join("`, `"))]
    SeveralPrograms { module: PathBuf, names: Vec<String> },
    /// `init` finds no program.
    #[error("{0}")]
    NothingToRun(String),
    /// What `init` found makes no configuration.
    #[error(
        "what was found does not fit together, and nothing was written: {0}; `hotwatch init --json --print` lists it"
    )]
    Unfit(String),
    /// A flag names a service that is not there.
    #[error("there is no service `{name}`{hint}")]
    NoService { name: String, hint: String },
    /// A service that cannot run under a debugger.
    #[error(
        "`{0}` cannot run under a debugger: its `run` starts something else than its binary; make `\"{{out}}\"` its first word"
    )]
    NotDebuggable(String),
    /// A service that no second process can be started of.
    #[error(transparent)]
    Beside(#[from] BesideError),
    /// What `--sync` asks for cannot be.
    #[error("{0}")]
    NotSynced(String),
    /// A file of requests.
    #[error("`{}`: {error}", file.display())]
    Requests { file: PathBuf, error: RequestError },
    /// `verify` has nothing to compare, or nothing to compare with.
    #[error("{0}")]
    Unverified(String),
    /// A regular expression.
    #[error("`{name}` is no regular expression: {error}")]
    Pattern { name: String, error: regex::Error },
    /// A plugin cannot be built, or its host not asked.
    #[error(transparent)]
    Plugin(#[from] PluginError),
    /// No page for it.
    #[error("there is no verb `{0}`; `hotwatch --help` lists them")]
    NoVerb(String),
    /// The demo's directory.
    #[error("`{}` is not empty; name a new directory", .0.display())]
    NotEmpty(PathBuf),
    /// The operating system says no.
    #[error("cannot {what}: {error}")]
    Io { what: String, error: io::Error },
}

impl Error {
    /// An error of the operating system while trying to do `what`.
    pub fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Error {
        |error| Error::Io { what: what.into(), error }
    }
}

impl From<WatchError> for Error {
    fn from(error: WatchError) -> Error {
        Error::Watch(error.to_string())
    }
}

fn by(holder: Option<Holder>) -> String {
    holder.map(|holder| format!(", {}", holder.described(SystemTime::now()))).unwrap_or_default()
}
