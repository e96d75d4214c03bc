//! Sync: the files of a service kept the same in a container or on a remote host, and what happens there after they have
//! changed. One thread per service does it; it owns both sides, and everybody else asks.

mod actor;
mod after;
mod agreed;
mod connect;
mod embedded;
mod ending;
mod far;
mod link;
mod program;
mod push;
mod reach;
mod reconcile;
mod resolve;
mod round;
mod rounds;
mod session;
mod status;
mod takeover;
mod telling;
mod transport;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, unbounded};
use hotwatch_helper::watching;

use crate::config;
use crate::name::Name;
use crate::record::Tell;
use actor::Actor;
pub use connect::feed;
pub use embedded::helper;
pub use ending::Ending;
use session::Told;
use status::Shared;
pub use status::Status;
pub use transport::{ask, command};

/// How long it may take to leave a target in good order, and how often it is looked whether that is done.
const PATIENCE: Duration = Duration::from_secs(3);
const LOOK: Duration = Duration::from_millis(5);

/// Between the words of two commands that `relay restart` runs.
pub const SEPARATOR: &str = "--then--";

/// What is needed beside the configuration.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// A directory in which it is kept what was agreed on.
    pub state: PathBuf,
    /// A batch of changes ends with this much silence.
    pub quiet: Duration,
    /// How long the program in the target may take to stop.
    pub grace: Duration,
    /// Whether the target may be changed so that another program runs there.
    pub runs: bool,
    /// Where facts go.
    pub tell: Tell,
}

/// What is told to the service whose files these are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Report {
    /// What runs in the target does not know yet what has come there, or is gone.
    Renewed {
        /// When the change behind it was noticed.
        since: Instant,
        /// When this is told; whoever was started later knows.
        at: Instant,
        /// Whether that is to be started anew; otherwise only what has failed before is worth another try.
        runs: bool,
    },
}

/// Where an answer goes.
type Answer<T> = Box<dyn FnOnce(T) + Send>;

/// What may be asked.
enum Ask {
    /// Whether everything is in place; answered once it is, or with why it is not.
    Settle(Answer<Result<(), String>>),
    /// A full round now.
    Once(Answer<Result<(), String>>),
    /// Which side of a conflict, or of a pair that has halted, is right.
    Resolve(PathBuf, Winner, Answer<Option<Result<String, String>>>),
    /// This binary in its place there.
    Push(PathBuf, Sender<Result<(), String>>),
    /// The command that runs the program there.
    Command(Sender<Result<Vec<String>, String>>),
}

/// Who is right in a conflict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Winner {
    /// This side.
    Ours,
    /// The target.
    Theirs,
}

enum Heard {
    /// The watcher of a pair.
    Near(usize, watching::Told),
    /// The helper at the end of a link.
    Far(u64, Told),
    Ask(Ask),
    End,
}

/// The handle to the thread. Dropping it ends and joins it, and takes the helper out of the target.
#[derive(Debug)]
pub struct Sync {
    heard: Sender<Heard>,
    ending: Arc<Ending>,
    status: Shared,
    thread: Option<JoinHandle<()>>,
}

impl Sync {
    /// Syncs the service called `name` as `config` says. `report` is called from another thread.
    pub fn start(
        name: &Name,
        config: &config::Sync,
        surroundings: Surroundings,
        report: impl Fn(Report) + Send + 'static,
    ) -> Sync {
        let (sender, heard) = unbounded();
        let actor = Actor::new(name, config, surroundings, Box::new(report), sender.clone());
        let (ending, status) = (Arc::clone(&actor.ending), actor.status.clone());
        let thread = std::thread::spawn(move || actor.run(&heard));
        Sync { heard: sender, ending, status, thread: Some(thread) }
    }

    /// How it is.
    pub fn status(&self) -> Status {
        self.status.get()
    }

    /// Calls `answer` once everything is in place, or with why it will not be.
    pub fn settle(&self, answer: impl FnOnce(Result<(), String>) + Send + 'static) {
        self.send(Ask::Settle(Box::new(answer)));
    }

    /// Has everything be compared anew, and calls `answer` as [`Sync::settle`] does.
    pub fn once(&self, answer: impl FnOnce(Result<(), String>) + Send + 'static) {
        self.send(Ask::Once(Box::new(answer)));
    }

    /// Says who is right at `path`, an absolute one, and calls `answer` with what was done or why not, in words; with
    /// `None` if that is nothing of this service's.
    pub fn resolve(
        &self,
        path: PathBuf,
        winner: Winner,
        answer: impl FnOnce(Option<Result<String, String>>) + Send + 'static,
    ) {
        self.send(Ask::Resolve(path, winner, Box::new(answer)));
    }

    /// Puts `binary` in its place in the target.
    ///
    /// # Errors
    /// It cannot be put there, in words.
    pub fn push(&self, binary: &Path) -> Result<(), String> {
        let gone = || Err("the sync has ended".to_owned());
        self.ask(|reply| Ask::Push(binary.to_owned(), reply)).recv().unwrap_or_else(|_| gone())
    }

    /// The command that runs the program in the target, or shows what runs there.
    ///
    /// # Errors
    /// The target is out of reach, in words.
    pub fn command(&self) -> Result<Vec<String>, String> {
        let gone = || Err("the sync has ended".to_owned());
        self.ask(Ask::Command).recv().unwrap_or_else(|_| gone())
    }

    fn ask<T>(&self, ask: impl FnOnce(Sender<T>) -> Ask) -> Receiver<T> {
        let (reply, answer) = unbounded();
        self.send(ask(reply));
        answer
    }

    fn send(&self, ask: Ask) {
        // One that has ended answers nothing.
        let _ = self.heard.send(Heard::Ask(ask));
    }
}

impl Drop for Sync {
    fn drop(&mut self) {
        self.ending.want();
        let _ = self.heard.send(Heard::End);
        let Some(thread) = self.thread.take() else { return };
        let until = Instant::now() + PATIENCE;
        while !thread.is_finished() && Instant::now() < until {
            std::thread::sleep(LOOK);
        }
        // It may be writing to somebody who does not read.
        self.ending.force();
        drop(thread.join());
    }
}

/// The platform, as Go calls it, of what `config` syncs to. Where nobody says, that of this machine under Linux.
pub fn platform(config: &config::Sync) -> (String, String) {
    if let Some(platform) = &config.platform {
        return platform.clone();
    }
    let transport = transport::to(&config.to);
    let found = transport.find().ok().and_then(|found| found.into_iter().next());
    let machine = found.and_then(|instance| transport.machine(&instance).ok());
    let machine = machine.unwrap_or_else(|| std::env::consts::ARCH.to_owned());
    let os = if transport.is_here() { std::env::consts::OS } else { "linux" };
    (os.replace("macos", "darwin"), go_machine(&machine).to_owned())
}

/// What Go calls a machine that `uname -m` calls `name`.
fn go_machine(name: &str) -> &str {
    match name {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        name if name.starts_with("armv") => "arm",
        "i386" | "i686" => "386",
        name => name,
    }
}

/// Where `path`, one of the target, lies there.
fn place(to: &config::Target, path: &str) -> PathBuf {
    match to {
        config::Target::Dir(dir) => dir.join(path.trim_start_matches('/')),
        _ => PathBuf::from(path),
    }
}

/// Where a pair goes to.
fn root(to: &config::Target, pair: &config::Pair) -> PathBuf {
    place(to, &pair.target)
}
