//! A service: one thread that owns its build and its process, and does what its state machine says. Everybody
//! else sends inputs, which never blocks, and is told reports.

mod awaited;
mod health;
mod output;
mod protocol;
mod state;
mod swap;

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, unbounded};

use crate::config::{self, Ready};
use crate::go::build::{Build, Made, Order, Progress};
use crate::go::command;
use crate::go::slots::Slots;
use crate::name::Name;
use crate::record::{Failure, Level, Tell};

pub use protocol::{Changed, Input, Renewal, Report};
use protocol::{Effect, Timing};
use state::Machine;
use swap::Running;

/// What a service needs beside its configuration.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// A directory of its own for binaries; made by the service, removed at its end.
    pub cache: PathBuf,
    /// After a start, saves are gathered for this long.
    pub cooldown: Duration,
    /// Shared by all builds.
    pub slots: Slots,
    /// Its place in the start order.
    pub rank: usize,
    /// Where the debugger listens under which it runs, if it runs under one.
    pub debugger: Option<u16>,
    /// How often the configuration had changed when it was started. Of two services with one name, which come
    /// one after the other, it tells who is who.
    pub round: u64,
    /// Flags of the go command that the environment sets, as `go env GOFLAGS` tells.
    pub goflags: String,
    /// Where facts go.
    pub tell: Tell,
}

/// The handle to a service's thread. Dropping it kills what runs and joins the thread.
#[derive(Debug)]
pub struct Service {
    name: Name,
    round: u64,
    inputs: Sender<Input>,
    thread: Option<JoinHandle<()>>,
}

impl Service {
    /// Starts the thread, which starts the first build. Reports are passed to `report`.
    pub fn start(
        config: config::Service,
        surroundings: Surroundings,
        report: impl Fn(Report) + Send + 'static,
    ) -> Service {
        let (inputs, received) = unbounded();
        let (name, round) = (config.name.clone(), surroundings.round);
        let actor = Actor {
            machine: Machine::new(timing(&config, surroundings.cooldown)),
            steps: (0..config.pre_build.len()).collect(),
            inputs: inputs.clone(),
            received,
            report: Box::new(report),
            build: None,
            process: None,
            started: Instant::now(),
            stopped: false,
            builds: 0,
            cancelled: false,
            fresh: None,
            config,
            surroundings,
        };
        let thread = std::thread::spawn(move || actor.run());
        Service { name, round, inputs, thread: Some(thread) }
    }

    /// Its name.
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// Whether it is the one of this name that was started in `round`.
    pub fn is(&self, name: &Name, round: u64) -> bool {
        (&self.name, self.round) == (name, round)
    }

    /// Gives it something to react to.
    pub fn send(&self, input: Input) {
        // A service that has stopped for good has nothing to react to.
        let _ = self.inputs.send(input);
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.send(Input::Kill);
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

fn timing(config: &config::Service, cooldown: Duration) -> Timing {
    Timing { cooldown, ready_timeout: config.ready_timeout, grace: config.grace }
}

struct Actor {
    config: config::Service,
    surroundings: Surroundings,
    machine: Machine,
    inputs: Sender<Input>,
    received: Receiver<Input>,
    report: Box<dyn Fn(Report) + Send>,
    build: Option<Build>,
    process: Option<Running>,
    /// When the process was started.
    started: Instant,
    stopped: bool,
    builds: u64,
    /// The steps before a build that have to run first, since their inputs changed.
    steps: BTreeSet<usize>,
    /// Whether the running build was cancelled.
    cancelled: bool,
    /// The binary that was built last and has not been started.
    fresh: Option<PathBuf>,
}

impl Actor {
    fn run(mut self) {
        self.give(Input::Tick);
        while !self.stopped {
            if let Some(input) = self.next() {
                self.give(input);
            }
        }
        self.build.take();
        self.process.take();
        // Only binaries of this run are in there.
        drop(fs::remove_dir_all(&self.surroundings.cache));
    }

    /// What happens next; `None` when it was only time to look again.
    fn next(&mut self) -> Option<Input> {
        let deadline = self.machine.deadline();
        let look = self.look_at();
        let Some(wake) = deadline.into_iter().chain(look).min() else {
            // The sender is held by this very actor, so there is always something to wait for.
            return self.received.recv().ok();
        };
        match self.received.recv_deadline(wake) {
            Ok(input) => Some(input),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) if deadline.is_some_and(|due| due <= Instant::now()) => {
                Some(Input::Tick)
            }
            Err(RecvTimeoutError::Timeout) => {
                let ready = |process: &&Running| health::is_ready(&self.config.ready, process.group());
                let process = self.process.as_ref().filter(ready);
                process.map(|process| Input::Ready { pid: process.pid() })
            }
        }
    }

    /// When to look next whether the process is ready, if looking is how that is found out.
    fn look_at(&self) -> Option<Instant> {
        let looks = self.machine.awaits_readiness() && !matches!(self.config.ready, Ready::Log(_));
        looks.then(|| Instant::now() + health::interval(self.started.elapsed()))
    }

    /// Gives `input` to the machine and does what it says, until nothing more follows from it.
    fn give(&mut self, input: Input) {
        let mut next = Some(self.prepared(input));
        while let Some(input) = next.take() {
            for effect in self.machine.step(Instant::now(), input) {
                if let Some(input) = self.perform(effect) {
                    next = Some(input);
                }
            }
        }
    }

    /// Takes in what an input means for what this actor owns.
    fn prepared(&mut self, input: Input) -> Input {
        match input {
            Input::Ended(result) => Input::Built(self.ended(result)),
            Input::Feeds { step } => {
                self.steps.insert(step);
                Input::Feeds { step }
            }
            Input::Fed { step } => {
                self.steps.remove(&step);
                Input::Fed { step }
            }
            Input::Reconfigured { config, how, since } => {
                if config.pre_build != self.config.pre_build {
                    self.steps = (0..config.pre_build.len()).collect();
                }
                self.machine.retime(timing(&config, self.surroundings.cooldown));
                self.config = (*config).clone();
                Input::Reconfigured { config, how, since }
            }
            Input::Gone { pid } => {
                if let Some(process) = self.process.take_if(|process| process.pid() == pid) {
                    process.finish();
                }
                Input::Gone { pid }
            }
            input => input,
        }
    }

    /// Takes in the end of a build.
    fn ended(&mut self, result: Result<Made, Failure>) -> Result<Made, Failure> {
        // A build may succeed in the moment in which it is cancelled.
        let cancelled = std::mem::take(&mut self.cancelled);
        let fresh = self.build_path();
        self.build = None;
        let older = match cancelled {
            true => Some(fresh),
            false if result.is_ok() && fresh.is_file() => self.fresh.replace(fresh),
            false => None,
        };
        older.into_iter().for_each(|older| drop(fs::remove_file(older)));
        result
    }

    /// Does what the machine says; returns what follows at once.
    fn perform(&mut self, effect: Effect) -> Option<Input> {
        match effect {
            Effect::Build => self.start_build(),
            Effect::CancelBuild => {
                self.cancelled = true;
                self.build.iter().for_each(Build::cancel);
            }
            Effect::Start => {
                return Some(match self.start_process() {
                    Ok(pid) => Input::Started { pid },
                    Err(reason) => Input::NotStarted(reason),
                });
            }
            Effect::Terminate => self.process.iter().for_each(|it| it.terminate(self.config.stop_signal)),
            Effect::Kill => self.process.iter().for_each(Running::kill),
            Effect::Abandon => {
                if let Some(process) = self.process.take() {
                    process.abandon();
                }
            }
            Effect::Tell(event) => self.surroundings.tell.fact(Some(&self.config.name), event),
            Effect::TellLate => {
                let timeout = humantime::format_duration(self.config.ready_timeout);
                let reason = health::reason(&self.config.ready);
                let message = format!("not ready after {timeout}: {reason}; what waits for it starts now");
                self.surroundings.tell.notice(Some(&self.config.name), Level::Warning, message);
            }
            Effect::Report(report) => {
                self.stopped |= report == Report::Stopped;
                (self.report)(report);
            }
        }
        None
    }

    /// Where the binary that runs lies.
    fn binary(&self) -> PathBuf {
        self.surroundings.cache.join(self.config.name.as_str())
    }

    fn build_path(&self) -> PathBuf {
        self.surroundings.cache.join(format!("build-{}", self.builds))
    }

    fn start_build(&mut self) {
        self.builds += 1;
        self.cancelled = false;
        let goflags = self.config.env.get("GOFLAGS").unwrap_or(&self.surroundings.goflags);
        let step = |&number: &usize| Some((number, self.config.pre_build.get(number)?.run.clone()));
        let order = Order {
            steps: self.steps.iter().filter_map(step).collect(),
            command: command::build(&self.config, goflags, self.surroundings.debugger.is_some()),
            makes_binary: self.config.run.iter().any(|word| word.contains("{out}")),
            dir: self.config.dir.clone(),
            env: self.config.env.clone(),
            out: self.build_path(),
            running: self.process.as_ref().map(|_| self.binary()),
            temp: self.surroundings.cache.join(format!("tmp-{}", self.builds)),
            rank: self.surroundings.rank,
        };
        let inputs = self.inputs.clone();
        let tell = move |progress| {
            // The actor outlives its builds, but not by much.
            let _ = inputs.send(match progress {
                Progress::Begun => Input::Building,
                Progress::Generated(step) => Input::Fed { step },
                Progress::Ended(result) => Input::Ended(result),
            });
        };
        self.build = Some(Build::start(order, &self.surroundings.slots, tell));
    }

    fn start_process(&mut self) -> Result<i32, String> {
        let binary = self.binary();
        if let Some(fresh) = self.fresh.take() {
            swap::install(&fresh, &binary)?;
        }
        let Surroundings { debugger, tell, .. } = &self.surroundings;
        let process = Running::start(&self.config, &binary, *debugger, tell, &self.inputs)?;
        let pid = process.pid();
        self.process = Some(process);
        self.started = Instant::now();
        Ok(pid)
    }
}
