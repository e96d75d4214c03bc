//! The patcher of one process: a thread that finds out what runs, and then applies saves to it, one at a time. It owns
//! the conversation with the agent, the outlines of the user's packages and all that was loaded.

mod baseline;
mod compiling;
mod contracts;
mod initial;
mod linking;
mod round;

use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use std::os::unix::net::UnixStream;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, unbounded};

use super::recipe::Recipe;
use super::sources::Sources;
use super::tool;
use super::verdict::Reason;
use crate::config::Service;
use crate::record::Effect;
pub use baseline::Baselines;
use baseline::Running;
pub use linking::Link;

/// A process that may be patched.
#[derive(Debug)]
pub struct Process {
    /// Its executable.
    pub binary: PathBuf,
    /// When the build of that began.
    pub built: SystemTime,
    /// What its packages were made of then, if that is known.
    pub before: Option<Sources>,
    /// Our end of what its agent talks over.
    pub stream: UnixStream,
    /// A directory for its patches, which is made and removed here.
    pub dir: PathBuf,
    /// Of how many generations it takes at most, and how much memory, in bytes.
    pub bounds: (u32, u64),
}

/// What the patcher tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// From now on saves can be applied.
    Ready,
    /// The process cannot be patched, for this reason.
    Unable(String),
    /// A save was dealt with.
    Done(Outcome),
    /// What later patches may need was compiled in the background, which took so long.
    Prepared(Duration),
    /// A while after the patch with this number: how often each of its functions has run the new code.
    Effects(u32, Vec<Effect>),
}

/// What became of a save.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The process runs the new code.
    Patched(Patched),
    /// Nothing that runs differs.
    Nothing,
    /// The process has to be started anew, for this reason.
    Restart(String),
    /// It does not compile, or no package differs: a build says it best.
    Unseen,
}

/// What would become of what is on disk, if it were a save.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Weighed {
    /// Nothing that runs differs.
    Nothing,
    /// These functions, as a user knows them, would run anew.
    Patch(Vec<String>),
    /// The process would have to be started anew, for this reason.
    Restart(String),
    /// It does not compile, as these words say.
    Broken(String),
}

/// A patch that was applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Patched {
    /// Its number, from 1.
    pub generation: u32,
    /// The functions that run anew, as a user knows them.
    pub functions: Vec<String>,
    /// How it was linked.
    pub link: Link,
    /// How many goroutines are still in an older version of them, of those that have any.
    pub stale: Vec<(String, u64)>,
    /// How much memory all generations of the process take, in bytes.
    pub memory: u64,
    /// How long the parts took.
    pub took: Took,
}

/// Where the time of a patch went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Took {
    /// Compiling and comparing.
    pub compile: Duration,
    /// Linking.
    pub link: Duration,
    /// Loading and switching.
    pub load: Duration,
}

/// How long after a patch its effects are looked at.
const EFFECTS: Duration = Duration::from_secs(2);

enum Request {
    Patch,
    Weigh(Box<dyn FnOnce(Weighed) + Send>),
    End,
}

/// The handle to a patcher. Dropping it ends what it runs and joins the thread; a process that is gone or stopped for
/// good is not waited for, but one that does not answer is, for ten seconds.
#[derive(Debug)]
pub struct Patcher {
    requests: Sender<Request>,
    tools: Arc<tool::Running>,
    thread: Option<JoinHandle<()>>,
}

impl Patcher {
    /// Starts the thread, which finds out what `process` of `service`, built by `recipe`, runs. What it has to say is
    /// passed to `tell`.
    pub fn start(
        recipe: Recipe,
        service: Service,
        process: Process,
        baselines: Baselines,
        tell: impl Fn(Told) + Send + Sync + 'static,
    ) -> Patcher {
        let (requests, received) = unbounded();
        let tools = Arc::new(tool::Running::with_level(recipe.level.clone()));
        let of_thread = Arc::clone(&tools);
        let thread = std::thread::spawn(move || {
            let dir = process.dir.clone();
            match Running::find(recipe, service, process, &baselines, of_thread) {
                Ok(mut running) => {
                    tell(Told::Ready);
                    let prepare = running.preparation();
                    std::thread::scope(|scope| {
                        scope.spawn(|| {
                            let begun = Instant::now();
                            if prepare() {
                                tell(Told::Prepared(begun.elapsed()));
                            }
                        });
                        serve(&mut running, &received, &tell);
                    });
                }
                Err(why) => {
                    tell(Told::Unable(why));
                    // Whoever has asked meanwhile is not left waiting.
                    let reason = || "the process cannot be patched".to_owned();
                    loop {
                        match received.recv() {
                            Ok(Request::Patch) => tell(Told::Done(Outcome::Restart(reason()))),
                            Ok(Request::Weigh(answer)) => answer(Weighed::Restart(reason())),
                            Ok(Request::End) | Err(_) => break,
                        }
                    }
                }
            }
            drop(std::fs::remove_dir_all(dir));
        });
        Patcher { requests, tools, thread: Some(thread) }
    }

    /// Has what is on disk now applied to the process; the outcome is told.
    /// False if there is nobody any more who could.
    pub fn patch(&self) -> bool {
        self.requests.send(Request::Patch).is_ok()
    }

    /// Has what is on disk now compared with what the process runs, and nothing else; what would become of it is passed
    /// to `answer`, which is dropped if there is nobody any more who could tell.
    pub fn weigh(&self, answer: impl FnOnce(Weighed) + Send + 'static) {
        // Whoever asks learns from the drop that nobody answers.
        let _ = self.requests.send(Request::Weigh(Box::new(answer)));
    }
}

impl Drop for Patcher {
    fn drop(&mut self) {
        let _ = self.requests.send(Request::End);
        self.tools.end();
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

fn serve(running: &mut Running, received: &Receiver<Request>, tell: &impl Fn(Told)) {
    let mut look = None;
    loop {
        let request = match look {
            Some(at) => received.recv_deadline(at),
            None => received.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        match request {
            Ok(Request::Patch) => {}
            Ok(Request::Weigh(answer)) => {
                answer(running.weigh());
                continue;
            }
            Err(RecvTimeoutError::Timeout) => {
                look = None;
                let (generation, effects) = running.effects();
                tell(Told::Effects(generation, effects));
                continue;
            }
            Ok(Request::End) | Err(RecvTimeoutError::Disconnected) => return,
        }
        let mut answer = Answer { tell, outcome: Outcome::Restart("its patcher has failed".to_owned()) };
        answer.outcome = running.round().unwrap_or_else(|why| match why {
            round::Why::Unchanged | round::Why::Broken(_) => Outcome::Unseen,
            round::Why::Restart(reason) => Outcome::Restart(reason),
        });
        if let Outcome::Patched(_) = answer.outcome {
            look = Some(Instant::now() + EFFECTS);
        }
    }
}

/// What is told in any case, since the service waits for it.
struct Answer<'a, F: Fn(Told)> {
    tell: &'a F,
    outcome: Outcome,
}

impl<F: Fn(Told)> Drop for Answer<'_, F> {
    fn drop(&mut self) {
        (self.tell)(Told::Done(std::mem::replace(&mut self.outcome, Outcome::Unseen)));
    }
}

/// The reason of a verdict, in words.
impl From<Reason> for round::Why {
    fn from(reason: Reason) -> round::Why {
        round::Why::Restart(reason.to_string())
    }
}

#[cfg(test)]
mod tests;
