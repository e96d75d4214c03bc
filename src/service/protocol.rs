//! What goes into a service's state machine, and what comes out of it.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use hotwatch_platform::process::Exit;

use super::preview::{Preview, Standing};
use super::reach::Reached;
use super::reply::Reply;
use crate::change::Digest;
use crate::config;
use crate::go::build::Made;
use crate::patch::patcher::Outcome;
use crate::record::{Event, Failure};
use crate::sync;

/// The times a machine keeps to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// After a start, saves are gathered for this long.
    pub cooldown: Duration,
    /// How long a process may take to become ready before the user is told.
    pub ready_timeout: Duration,
    /// How long a ready process has to stay up before it counts as good.
    pub settle: Duration,
    /// How long a process may take to stop before it is killed.
    pub grace: Duration,
    /// Where somebody else holds the port: how long a process that was replaced may take to finish what it has
    /// begun before it is asked to stop.
    pub drain: Option<Duration>,
}

/// What happens to a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// Its turn to start has come.
    Launch,
    /// Whether to let what it depends on be reloaded first.
    Hold(bool),
    /// What it is built from changed, first noticed at `since`.
    Changed(Changed),
    /// Other files than before are known to belong to it. Whoever has read `from` has read `to`.
    Rebased { from: Digest, to: Digest },
    /// Its own steps before a build wrote files, first noticed at `since`.
    Generated { digest: Digest, since: Instant },
    /// What is in the target is newer than what runs there, or that is gone.
    Renewed {
        /// When the change behind it was noticed.
        since: Instant,
        /// When this was told.
        at: Instant,
        /// Whether what runs is to be started anew; otherwise only what has failed before is worth another try.
        runs: bool,
    },
    /// Whether where it runs is out of reach: until it is not, nothing is started.
    Away(bool),
    /// The process was not started, since where it runs is out of reach.
    OutOfReach,
    /// Somebody wants to know how its files are synced, or something of that.
    Sync(SyncAsk),
    /// Its configuration changed.
    Reconfigured {
        /// The new one.
        config: Box<config::Service>,
        /// What that takes.
        how: Renewal,
        /// When the file that says so was saved.
        since: Instant,
    },
    /// A save, noticed at `since`, that left all content as it was. A build that ran meanwhile may have read it
    /// half-written all the same, unless it was `generated`: written by a step before a build, as far as is known.
    Touched { since: Instant, generated: bool },
    /// A save, noticed at `since`, of a file that is not built in but that the go command looks at: it builds
    /// nothing where the head of a test is no Go.
    Beside { since: Instant },
    /// The build has begun; before, it may have waited for others.
    Building,
    /// A step before the build has to run, since its inputs changed.
    Feeds { step: usize },
    /// A step before the build has succeeded.
    Fed { step: usize },
    /// The build ended; becomes [`Input::Built`].
    Ended(Result<Made, Failure>),
    /// The build ended. One that was cancelled is reported as well.
    Built(Result<Made, Failure>),
    /// Saves can be applied to the process from now on, or cannot, in words.
    Patchable { pid: i32, able: Result<(), String> },
    /// What has become of a save that was to be applied to the process.
    Patched(Outcome),
    /// What makes later builds faster is there, or is not to be had.
    Prepared(bool),
    /// The build of this number in the background, of what a patched process runs, has ended; whether it has succeeded.
    BuiltAhead(u64, bool),
    /// The process was started.
    Started { pid: i32 },
    /// The process could not be started.
    NotStarted(String),
    /// The process is ready.
    Ready { pid: i32 },
    /// The process ended; others of its group may still run.
    Exited { pid: i32, exit: Exit },
    /// The process has finished what had come to it through the held port.
    Idle { pid: i32 },
    /// Nothing of the process's group is left.
    Gone { pid: i32 },
    /// The user asks for something.
    Ask(Ask),
    /// The user asks what a save of all that is on disk would lead to.
    Weigh(Reply<Preview>),
    /// Somebody wants to send the process requests.
    Reach { reply: Reply<Reached> },
    /// Stop for good.
    Stop,
    /// Stop at once.
    Kill,
    /// The deadline has passed.
    Tick,
}

/// What may be asked of a service's sync.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SyncAsk {
    /// How it is.
    Status(Reply<sync::Status>),
    /// A full comparison now; answered with what has failed.
    Once(Reply<Result<(), String>>),
    /// Who is right at a path; answered with what was done or why not, or nothing where that is none of its files.
    Resolve(PathBuf, sync::Winner, Reply<Option<Result<String, String>>>),
}

/// A change of what a service is built from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Changed {
    /// The identity of all inputs now.
    pub digest: Digest,
    /// When the first event of it was read.
    pub since: Instant,
    /// Whether the save is complete: nothing more has been written for a while. Before that a build may begin,
    /// on the chance that it is.
    pub settled: bool,
    /// Whether to restart even if the program turns out to be the same.
    pub restart: bool,
}

/// What a user may ask of one service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// Another process with what was built last, or with what a build that is due makes.
    Restart,
    /// No process, until it is asked for.
    Stop,
    /// A process, if there is none.
    Start,
    /// A build of what is there, even if that was built already.
    Build,
}

/// What a new configuration takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renewal {
    /// Nothing: it counts from now on.
    None,
    /// Another process.
    Restart,
    /// Another binary.
    Rebuild,
}

/// What is to be done about it, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Start a build.
    Build,
    /// Apply the save to the process; reported as [`Input::Patched`].
    Patch,
    /// Find out what a save of all that is on disk would lead to, and tell it.
    Weigh(Standing, Reply<Preview>),
    /// End the running build; its end is reported as [`Input::Built`].
    CancelBuild,
    /// Start a process; reported as [`Input::Started`] or [`Input::NotStarted`].
    Start(Launch),
    /// What runs now is good: what was kept beside it is needed no longer.
    Keep,
    /// Prepare what makes later builds faster: there is time for it.
    Prepare,
    /// Build in the background what the process has come to run.
    BuildAhead,
    /// What was kept aside still runs, and is what is started again from now on.
    Restore,
    /// What comes to the held port goes to this process, or waits.
    Switch(Option<i32>),
    /// Find out when nothing that has come to the held port is left at this process; reported as [`Input::Idle`].
    Retire { pid: i32 },
    /// Ask the process group to stop.
    Terminate { pid: i32 },
    /// Kill the process group.
    Kill { pid: i32 },
    /// Do not wait any longer for a group that cannot be killed; [`Input::Gone`] will not come.
    Abandon { pid: i32 },
    /// Tell the user.
    Tell(Event),
    /// Tell the user that the process is still not ready, and why; `gives_up` when it is not waited for any longer.
    TellLate { pid: i32, gives_up: bool },
    /// Tell whoever starts and stops the services.
    Report(Report),
}

/// What is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Launch {
    /// What was built last, as the settings say now. `keep` says that what ran before was good, and is to be kept
    /// aside for [`Launch::Back`].
    New { keep: bool },
    /// The same as the last time.
    Again,
    /// What was kept aside.
    Back,
}

/// What a service tells whoever starts and stops all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Report {
    /// A process runs.
    Started,
    /// It is ready.
    Ready,
    /// It will not become ready by itself.
    Failed,
    /// Nothing is under way with it any more: no build, no start, no stop.
    Settled,
    /// It was asked to stop, and nothing of it is left.
    Stopped,
}
