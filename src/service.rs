//! A service: one thread that owns its build and its process, and does what its state machine says. Everybody
//! else sends inputs, which never blocks, and is told reports.

mod ahead;
mod awaited;
mod health;
mod lean;
mod orders;
mod output;
mod patches;
mod place;
mod port;
mod preview;
mod protocol;
mod reach;
mod reply;
mod state;
mod swap;
mod synced;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, unbounded};

use crate::config;
use crate::go::build::{Build, Made};
use crate::go::slots::Slots;
use crate::name::Name;
use crate::patch::patcher::Outcome;
use crate::record::{Failure, Level, Tell};
use crate::sync::{self, Unready};

use ahead::Ahead;
use lean::Lean;
use patches::Patches;
use place::Place;
use port::{Given, Port};
pub use preview::Preview;
pub use protocol::{Ask, Changed, Input, Renewal, Report, SyncAsk};
use protocol::{Effect, Launch, Timing};
pub use reach::Reached;
pub use reply::Reply;
use state::Machine;
use swap::Running;
use synced::Synced;

/// What a service needs beside its configuration.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// A directory of its own for binaries; made by the service, removed at its end.
    pub cache: PathBuf,
    /// After a start, saves are gathered for this long.
    pub cooldown: Duration,
    /// Shared by all builds.
    pub slots: Slots,
    /// Shared by all that nobody waits for.
    pub background: Slots,
    /// Its place in the start order.
    pub rank: usize,
    /// Where the debugger listens under which it runs, if it runs under one.
    pub debugger: Option<u16>,
    /// How often the configuration had changed when it was started. Of two services with one name, which come
    /// one after the other, it tells who is who.
    pub round: u64,
    /// Flags of the go command that the environment sets, as `go env GOFLAGS` tells.
    pub goflags: String,
    /// Where it is kept what both sides of a sync have agreed on.
    pub sync_state: PathBuf,
    /// A batch of changes ends with this much silence.
    pub quiet: Duration,
    /// Where facts go.
    pub tell: Tell,
}

impl Surroundings {
    /// Has a service whose process runs under a debugger be alone: two debuggers cannot listen on one port.
    fn adapt(&self, config: &mut config::Service) {
        if self.debugger.is_some() {
            config.hold_nothing();
        }
    }

    fn of_sync(&self, config: &config::Service) -> sync::Surroundings {
        let (state, tell) = (self.sync_state.clone(), self.tell.clone());
        sync::Surroundings { state, quiet: self.quiet, grace: config.grace, runs: true, tell }
    }
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
        mut config: config::Service,
        surroundings: Surroundings,
        report: impl Fn(Report) + Send + 'static,
    ) -> Service {
        surroundings.adapt(&mut config);
        let (inputs, received) = unbounded();
        let (name, round) = (config.name.clone(), surroundings.round);
        let mut actor = Actor {
            machine: Machine::new(timing(&config, surroundings.cooldown), config.sync.is_some()),
            deferred: VecDeque::new(),
            steps: (0..config.pre_build.len()).collect(),
            received,
            report: Box::new(report),
            build: None,
            lean: Lean::default(),
            ahead: Ahead::default(),
            patches: Patches::new(&surroundings.cache),
            synced: Synced::start(&config, surroundings.of_sync(&config), &inputs),
            port: None,
            processes: BTreeMap::new(),
            place: Place::new(surroundings.cache.clone(), config.name.as_str().to_owned()),
            stopped: false,
            cancelled: false,
            waits_for_files: false,
            inputs: inputs.clone(),
            config,
            surroundings,
        };
        // Whoever comes before it runs waits. If somebody else listens there, that is told when it is to be started.
        drop(actor.hold());
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
    let config::Readiness { timeout: ready_timeout, settle, .. } = config.readiness;
    let drain = config.proxy.as_ref().map(|proxy| proxy.drain);
    Timing { cooldown, ready_timeout, settle, grace: config.grace, drain }
}

struct Actor {
    config: config::Service,
    surroundings: Surroundings,
    machine: Machine,
    inputs: Sender<Input>,
    received: Receiver<Input>,
    /// What came in while something else was waited for.
    deferred: VecDeque<Input>,
    report: Box<dyn Fn(Report) + Send>,
    build: Option<Build>,
    lean: Lean,
    ahead: Ahead,
    patches: Patches,
    /// What brings its files to where it runs, if that is elsewhere.
    synced: Option<Synced>,
    /// The port that is held for it, if one is.
    port: Option<Port>,
    /// Its processes by their ids; several only behind a held port.
    processes: BTreeMap<i32, Running>,
    place: Place,
    stopped: bool,
    /// The steps before a build that have to run first, since their inputs changed.
    steps: BTreeSet<usize>,
    /// Whether the running build was cancelled.
    cancelled: bool,
    /// Whether it is none, but a wait for files.
    waits_for_files: bool,
}

impl Actor {
    fn run(mut self) {
        self.give(Input::Tick);
        while !self.stopped {
            match self.next() {
                Some(Input::Reach { reply }) => reply.send(self.reached()),
                Some(Input::Sync(ask)) => self.asked_of_sync(ask),
                Some(Input::Renewed { at, .. }) if self.synced.as_ref().is_some_and(|it| it.knows(at)) => {}
                Some(input) => self.give(input),
                None => {}
            }
        }
        self.build.take();
        self.lean.forget();
        self.ahead.forget();
        self.processes.clear();
        self.place.remove();
    }

    /// What happens next; `None` when there is nothing to wait for.
    fn next(&mut self) -> Option<Input> {
        if let Some(input) = self.deferred.pop_front() {
            return Some(input);
        }
        let Some(deadline) = self.machine.deadline() else {
            // The sender is held by this very actor, so there is always something to wait for.
            return self.received.recv().ok();
        };
        match self.received.recv_deadline(deadline) {
            Err(RecvTimeoutError::Timeout) => Some(Input::Tick),
            input => input.ok(),
        }
    }

    /// Gives `input` to the machine and does what it says, until nothing more follows from it.
    fn give(&mut self, input: Input) {
        let mut next = VecDeque::from([self.prepared(input)]);
        while let Some(input) = next.pop_front() {
            for effect in self.machine.step(Instant::now(), input) {
                next.extend(self.perform(effect));
            }
        }
    }

    /// Takes in what an input means for what this actor owns.
    fn prepared(&mut self, input: Input) -> Input {
        match input {
            Input::Ended(result) => Input::Built(self.ended(result)),
            Input::Prepared(done) => {
                self.lean.ended(done);
                // What was saved meanwhile may not lead to another process, which would begin it anew.
                if done && self.build.is_none() {
                    self.prepare();
                }
                input
            }
            Input::BuiltAhead(number, done) => {
                self.ahead.ended(number, done);
                input
            }
            Input::Changed(_) | Input::Generated { .. } => {
                self.lean.saved();
                input
            }
            Input::Feeds { step } => {
                self.steps.insert(step);
                Input::Feeds { step }
            }
            Input::Fed { step } => {
                self.steps.remove(&step);
                Input::Fed { step }
            }
            Input::Reconfigured { mut config, how, since } => {
                self.surroundings.adapt(&mut config);
                if config.pre_build != self.config.pre_build {
                    self.steps = (0..config.pre_build.len()).collect();
                }
                self.machine.retime(timing(&config, self.surroundings.cooldown));
                // Another package, or other flags.
                self.lean.forget();
                self.ahead.forget();
                self.patches.forget_recipe();
                if config.sync != self.config.sync {
                    self.end_wait();
                    // One at a time: both would bring the same files.
                    self.synced.take();
                    self.synced = Synced::start(&config, self.surroundings.of_sync(&config), &self.inputs);
                    self.machine.retarget(self.synced.is_some());
                }
                self.config = (*config).clone();
                Input::Reconfigured { config, how, since }
            }
            Input::Exited { pid, .. } => {
                self.processes.get_mut(&pid).into_iter().for_each(Running::end_probe);
                if let Some(synced) = self.synced.as_ref().filter(|_| self.machine.runs(pid)) {
                    let alone = synced.ended_alone(&self.received, &mut self.deferred);
                    self.machine.ends_with_its_target(!alone);
                }
                input
            }
            Input::Patchable { able: Err(_), .. } => {
                // Whatever it is, the next build looks at it anew: the module may have got another name.
                self.patches.forget_recipe();
                input
            }
            Input::Ready { pid } => {
                self.processes.get_mut(&pid).into_iter().for_each(Running::end_probe);
                let tell = &self.surroundings.tell;
                self.patches.begin(pid, &self.config, &self.place.binary(), &self.inputs, tell);
                input
            }
            Input::Gone { pid } => {
                self.patches.end(pid);
                self.processes.remove(&pid).into_iter().for_each(Running::finish);
                self.port.iter().for_each(|port| port.close(pid));
                input
            }
            input => input,
        }
    }

    /// Takes in the end of a build.
    fn ended(&mut self, result: Result<Made, Failure>) -> Result<Made, Failure> {
        // A build may succeed in the moment in which it is cancelled.
        let cancelled = std::mem::take(&mut self.cancelled);
        self.build = None;
        self.waits_for_files = false;
        self.place.built(result.is_ok() && !cancelled);
        self.lean.built(result.is_ok() && !cancelled);
        result
    }

    /// Does what the machine says; returns what follows at once.
    fn perform(&mut self, effect: Effect) -> Option<Input> {
        match effect {
            Effect::Build => self.start_build(),
            Effect::Patch => {
                // What a step would write is not there yet.
                if !self.steps.is_empty() || !self.patches.patch() {
                    return Some(Input::Patched(Outcome::Unseen));
                }
            }
            Effect::Weigh(standing, reply) => self.patches.weigh(&self.config, standing, reply),
            Effect::CancelBuild => {
                self.cancelled = true;
                self.build.iter().for_each(Build::cancel);
                self.end_wait();
            }
            Effect::Start(launch) => {
                return Some(match self.start_process(launch) {
                    Ok(pid) => Input::Started { pid },
                    Err(Unready::Refused(reason)) => Input::NotStarted(reason),
                    Err(Unready::OutOfReach) => Input::OutOfReach,
                });
            }
            Effect::Keep => self.place.forget_aside(),
            Effect::Prepare => self.prepare(),
            Effect::BuildAhead => self.build_ahead(),
            Effect::Restore => {
                self.lean.went_back();
                if let Err(reason) = self.place.restore() {
                    self.surroundings.tell.notice(Some(&self.config.name), Level::Warning, reason);
                }
            }
            Effect::Switch(to) => {
                let address = |pid| Some((pid, self.processes.get(&pid)?.address()?));
                self.port.iter().for_each(|port| port.switch(to.and_then(address)));
            }
            Effect::Retire { pid } => {
                if self.port.as_ref().is_none_or(|port| !port.retire(pid)) {
                    return Some(Input::Idle { pid });
                }
            }
            Effect::Terminate { pid } => {
                self.processes.get(&pid).into_iter().for_each(|it| it.terminate(self.config.stop_signal));
            }
            Effect::Kill { pid } => self.processes.get(&pid).into_iter().for_each(Running::kill),
            Effect::Abandon { pid } => {
                self.processes.remove(&pid).into_iter().for_each(Running::abandon);
            }
            Effect::Tell(event) => {
                self.port.iter().for_each(|port| port.show(&event));
                self.surroundings.tell.fact(Some(&self.config.name), event);
            }
            Effect::TellLate { pid, gives_up } => {
                let timeout = humantime::format_duration(self.config.readiness.timeout);
                let address = self.processes.get(&pid).and_then(Running::address);
                let reason = health::reason(&self.config, address.map(|address| address.port()));
                let next =
                    if gives_up { "it gives way to what ran before" } else { "what waits for it starts now" };
                let message = format!("not ready after {timeout}: {reason}; {next}");
                self.surroundings.tell.notice(Some(&self.config.name), Level::Warning, message);
            }
            Effect::Report(report) => {
                if report == Report::Stopped {
                    self.stopped = true;
                    // It has not stopped before the target is as it was.
                    self.synced
                        .take()
                        .into_iter()
                        .for_each(|synced| synced.end(&self.received, &self.deferred));
                }
                (self.report)(report);
            }
        }
        None
    }

    fn start_process(&mut self, launch: Launch) -> Result<i32, Unready> {
        // Before anything else that may fail: whatever is started next counts on it.
        let mut settings = self.place.prepare(launch, &self.config).map_err(Unready::Refused)?.clone();
        match launch {
            Launch::New { .. } => self.lean.started(),
            Launch::Back => self.lean.went_back(),
            Launch::Again => {}
        }
        self.hold().map_err(Unready::Refused)?;
        let given = self.port.as_ref().map_or(Ok(Given::Nothing), Port::give).map_err(Unready::Refused)?;
        let binary = self.place.binary();
        if let Some(synced) = &mut self.synced {
            settings.run = synced.begin(&binary, &self.received, &mut self.deferred)?;
        }
        if let Some(address) = given.address() {
            settings.listen_on(address.port());
        }
        let Surroundings { debugger, tell, .. } = &self.surroundings;
        let agent = self.patches.agent();
        let process = Running::start(&settings, given, &binary, *debugger, agent, tell, &self.inputs)
            .map_err(Unready::Refused)?;
        let pid = process.pid();
        self.patches.started(pid);
        self.processes.insert(pid, process);
        Ok(pid)
    }

    /// Does not wait for files any longer, if that is what the build is.
    fn end_wait(&mut self) {
        if std::mem::take(&mut self.waits_for_files) {
            self.synced.iter().for_each(|synced| synced.cancel(&self.inputs));
        }
    }

    fn asked_of_sync(&self, ask: SyncAsk) {
        let Some(synced) = &self.synced else { return };
        match ask {
            SyncAsk::Status(reply) => reply.send(synced.sync().status()),
            SyncAsk::Once(reply) => synced.sync().once(move |result| reply.send(result)),
            SyncAsk::Resolve(path, winner, reply) => {
                synced.sync().resolve(path, winner, move |answer| reply.send(answer));
            }
        }
    }

    /// Listens on the port that is to be held for the service, if that is not done yet.
    fn hold(&mut self) -> Result<(), String> {
        if let Some(proxy) = self.config.proxy.as_ref().filter(|_| self.port.is_none()) {
            self.port = Some(Port::hold(proxy, self.config.readiness.timeout, &self.inputs)?);
        }
        Ok(())
    }
}
