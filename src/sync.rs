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
mod pushed;
mod reach;
mod reconcile;
mod resolve;
mod round;
mod rounds;
mod session;
mod status;
mod takeover;
mod telling;
mod tool;
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
pub use tool::{ask, command};

/// How long it may take to leave a target in good order.
pub const PATIENCE: Duration = Duration::from_secs(3);

/// The same where the target has to be put back as it was, or may be on its way up.
const PUTS_BACK: Duration = Duration::from_secs(60);

/// How often it is looked whether that is done.
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
    /// Whether the target is out of reach, which it is at first: nothing can be started there.
    Away(bool),
}

/// Where an answer goes.
type Answer<T> = Box<dyn FnOnce(T) + Send>;

/// What may be asked.
enum Ask {
    /// Whether everything is in place; answered once it is, or with why it is not.
    Settle(Answer<Result<(), String>>),
    /// The same, and that nothing is left that could not be done.
    Whole(Answer<Result<(), String>>),
    /// A full round now.
    Once(Answer<Result<(), String>>),
    /// Which side of a conflict, or of a pair that has halted, is right.
    Resolve(PathBuf, Winner, Answer<Option<Result<String, String>>>),
    /// Whether the target in which the program runs is still there.
    There(Sender<bool>),
    /// This binary in its place there, if there is one, and the command that runs the program.
    Begin(Option<PathBuf>, Sender<Result<Begun, Unready>>),
}

/// What is to run here for a program in the target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Begun {
    /// The command.
    pub words: Vec<String>,
    /// The program knows what had come by then.
    pub at: Instant,
}

/// Why the program in the target cannot be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unready {
    /// The target is not there, which is told; it may be there again later.
    OutOfReach,
    /// The target does not take it, in words.
    Refused(String),
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
    /// How long it may take to leave the target in good order.
    patience: Duration,
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
        let takes_over = surroundings.runs && config.takes_over();
        let actor = Actor::new(name, config, surroundings, Box::new(report), sender.clone());
        let (ending, status) = (Arc::clone(&actor.ending), actor.status.clone());
        let thread = std::thread::spawn(move || actor.run(&heard));
        let restarts = config.restart == config::Restart::Recreate;
        let patience = if takes_over || restarts { PUTS_BACK } else { PATIENCE };
        Sync { heard: sender, ending, status, thread: Some(thread), patience }
    }

    /// How it is.
    pub fn status(&self) -> Status {
        self.status.get()
    }

    /// Calls `answer` once everything is in place, or with why it will not be.
    pub fn settle(&self, answer: impl FnOnce(Result<(), String>) + Send + 'static) {
        self.send(Ask::Settle(Box::new(answer)));
    }

    /// The same, but also what could not be written is a reason.
    pub fn settle_whole(&self, answer: impl FnOnce(Result<(), String>) + Send + 'static) {
        self.send(Ask::Whole(Box::new(answer)));
    }

    /// Has everything be compared anew, and calls `answer` as [`Sync::settle_whole`] does.
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

    /// Has `binary` be put in its place in the target, if there is one; what comes is the command that runs the program
    /// there, or shows what runs there.
    pub fn begin(&self, binary: Option<&Path>) -> Receiver<Result<Begun, Unready>> {
        let (reply, answer) = unbounded();
        self.send(Ask::Begin(binary.map(Path::to_owned), reply));
        answer
    }

    /// Looks whether the target is still there in which the program was begun, and comes back with that.
    pub fn is_there(&self) -> Receiver<bool> {
        let (reply, answer) = unbounded();
        self.send(Ask::There(reply));
        answer
    }

    /// How to end it soon, whatever it does, or at once; the handle is to be dropped then.
    pub fn ending(&self) -> Arc<Ending> {
        Arc::clone(&self.ending)
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
        let until = Instant::now() + self.patience;
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
    let (transport, ending) = (transport::to(&config.to, false), Ending::default());
    let found = transport.find(&ending).ok().and_then(|found| found.into_iter().next());
    let machine = found.and_then(|instance| transport.machine(&instance, &ending).ok());
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
