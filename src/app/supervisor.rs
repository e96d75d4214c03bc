//! The loop of `up`: takes in what the watcher, the services and the user say, and decides with the pure parts
//! below what happens next. It owns nothing that runs; the services do.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, at, never, select};
use hotwatch_platform::signal::Termination;

use super::order::Order;
use crate::config::Config;
use crate::debounce::{Batch, Debounce};
use crate::plan::{self, Affected, Plan};
use crate::record::{Event as Fact, Level, Rung, Tell};
use crate::service::{Input, Report, Service};
use crate::watch::git::Repository;
use crate::watch::known::Known;
use crate::watch::{Changed, Told};

/// How long services that were killed may take to be gone before hotwatch ends without them.
const KILL_GRACE: Duration = Duration::from_secs(2);

/// A signal that comes this soon after the first is the same one, relayed by somebody.
const SAME_SIGNAL: Duration = Duration::from_millis(300);

/// When waiting for dependencies is first mentioned; then again after five times as long.
const MENTION_WAITING: Duration = Duration::from_secs(2);

/// What the loop hears of, besides the watcher.
#[derive(Debug)]
pub enum Event {
    /// A service reports.
    Service(usize, Report),
    /// The user, or the system, asks to end.
    Signal(Termination),
    /// Nobody reads what is written any more.
    OutputClosed,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Every service was stopped.
    Stopped,
    /// The user did not want to wait for that; threads may still be stuck.
    Killed,
    /// The watcher broke, which has been told.
    Failed,
}

/// What the loop owns and knows.
pub struct Supervisor {
    known: Known,
    plan: Plan,
    debounce: Debounce,
    repositories: BTreeSet<Repository>,
    order: Order,
    mention_waiting: Option<Instant>,
    services: Vec<Service>,
    stopped: BTreeSet<usize>,
    tell: Tell,
    phase: Phase,
    asked_to_stop: Option<Instant>,
    /// Whether the watcher broke.
    failed: bool,
}

/// What the loop is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Running,
    /// The services above this index have stopped; this one is stopping.
    Stopping(usize),
    /// Everything was killed; until then it is waited for.
    Killing(Instant),
    Over(Ending),
}

impl Supervisor {
    /// The loop for `config`, whose `services` have just been started.
    pub fn new(config: &Config, known: Known, plan: Plan, services: Vec<Service>, tell: Tell) -> Supervisor {
        Supervisor {
            known,
            plan,
            debounce: Debounce::new(config.quiet),
            repositories: config.services.iter().filter_map(|service| Repository::of(&service.dir)).collect(),
            order: Order::new(config.services.iter().map(|service| service.depends_on.clone())),
            mention_waiting: Some(Instant::now() + MENTION_WAITING),
            services,
            stopped: BTreeSet::new(),
            tell,
            phase: Phase::Running,
            asked_to_stop: None,
            failed: false,
        }
    }

    /// Runs until everything has ended.
    pub fn run(&mut self, telling: &Receiver<Told>, heard: &Receiver<Event>) -> Ending {
        let mut telling = telling.clone();
        self.launch();
        loop {
            if let Phase::Over(ending) = self.phase {
                return ending;
            }
            let deadline = self.deadline();
            let timer = deadline.map_or_else(never, at);
            select! {
                recv(heard) -> event => match event {
                    Ok(Event::Service(index, report)) => self.report(index, report),
                    Ok(Event::Signal(signal)) => self.signal(signal),
                    Ok(Event::OutputClosed) if self.phase == Phase::Running => self.stop(),
                    Ok(Event::OutputClosed) => {}
                    Err(_) => unreachable!("the loop itself holds a sender"),
                },
                recv(telling) -> told => match told {
                    Ok(told) => self.told(told),
                    Err(_) => {
                        telling = never();
                        self.told(Told::Failed("the file watcher stopped working".to_owned()));
                    }
                },
                recv(timer) -> _ => self.tick(Instant::now()),
            }
        }
    }
    fn deadline(&self) -> Option<Instant> {
        match self.phase {
            Phase::Running => self.debounce.deadline().into_iter().chain(self.mention_waiting).min(),
            Phase::Killing(until) => Some(until),
            Phase::Stopping(_) | Phase::Over(_) => None,
        }
    }

    fn tick(&mut self, now: Instant) {
        match self.phase {
            Phase::Running => {
                let repositories = &self.repositories;
                if let Some(batch) =
                    self.debounce.close(now, || repositories.iter().any(Repository::is_locked))
                {
                    self.batch(&batch);
                }
                if self.mention_waiting.is_some_and(|due| due <= now) {
                    self.mention_waiting(now);
                }
            }
            Phase::Killing(until) if until <= now => self.phase = Phase::Over(Ending::Killed),
            _ => {}
        }
    }

    fn told(&mut self, told: Told) {
        if self.phase != Phase::Running {
            return;
        }
        match told {
            Told::Changed(Changed { at, paths }) => self.debounce.push(at, paths),
            Told::Warning(message) => self.tell.notice(None, Level::Warning, message),
            Told::Watching(_) => {}
            Told::Failed(message) => {
                self.tell.notice(None, Level::Error, message);
                self.failed = true;
                self.stop();
            }
        }
    }

    /// Finds out what a batch really changed, and tells those whom it concerns.
    fn batch(&mut self, batch: &Batch) {
        let changes: Vec<_> = batch.paths.iter().flat_map(|path| self.known.refresh(path)).collect();
        let affected = self.plan.apply(&changes);
        for one in &affected {
            let service = &self.services[one.service];
            self.tell.fact(Some(service.name()), Fact::Change { paths: one.paths.clone() });
            let reason = format!("{} changed", plan::list(&one.paths));
            self.tell.fact(Some(service.name()), Fact::Verdict { rung: Rung::Restart, reason });
            service.send(Input::Changed { digest: one.digest, since: batch.since });
        }
        self.tell_unchanged(batch, &affected);
    }

    /// Every save gets a verdict, one that changed nothing too. A build that runs meanwhile may have read it
    /// half-written, so the service hears of it as well.
    fn tell_unchanged(&self, batch: &Batch, affected: &[Affected]) {
        let mut unchanged: BTreeMap<usize, Vec<String>> = BTreeMap::new();
        for path in &batch.paths {
            let there = self.known.has_file(path);
            for (service, shown) in self.plan.counting(path) {
                // What came and went within the batch is nothing to tell of, but may have been read too.
                unchanged.entry(service).or_default().extend(there.then_some(shown));
            }
        }
        unchanged.retain(|&service, _| affected.iter().all(|one| one.service != service));
        for (service, paths) in unchanged {
            let service = &self.services[service];
            if !paths.is_empty() {
                let reason = format!("{} saved with the same content; nothing to do", plan::list(&paths));
                self.tell.fact(Some(service.name()), Fact::Verdict { rung: Rung::Nothing, reason });
            }
            service.send(Input::Touched { since: batch.since });
        }
    }

    fn report(&mut self, index: usize, report: Report) {
        self.order.report(index, report);
        if report == Report::Stopped {
            self.stopped.insert(index);
        }
        match self.phase {
            Phase::Running => self.launch(),
            Phase::Stopping(_) => self.stop(),
            Phase::Killing(_) if self.stopped.len() == self.services.len() => {
                self.phase = Phase::Over(self.ending());
            }
            Phase::Killing(_) | Phase::Over(_) => {}
        }
    }

    fn launch(&mut self) {
        for index in self.order.launch() {
            let missing = self.order.failed_dependencies(index);
            if !missing.is_empty() {
                let names: Vec<_> =
                    missing.iter().map(|&on| format!("`{}`", self.services[on].name())).collect();
                let message = format!("starts although {} is not ready", names.join(", "));
                self.tell.notice(Some(self.services[index].name()), Level::Warning, message);
            }
            self.services[index].send(Input::Launch);
        }
        // A timer that nobody needs would wake an idle hotwatch.
        if self.order.not_launched().next().is_none() {
            self.mention_waiting = None;
        }
    }

    fn mention_waiting(&mut self, now: Instant) {
        let waiting: Vec<usize> = self.order.not_launched().collect();
        for &index in &waiting {
            let names: Vec<_> = self
                .order
                .waits_for(index)
                .iter()
                .map(|&on| format!("`{}`", self.services[on].name()))
                .collect();
            if !names.is_empty() {
                let message = format!("waits for {}", names.join(", "));
                self.tell.notice(Some(self.services[index].name()), Level::Info, message);
            }
        }
        self.mention_waiting = Some(now + MENTION_WAITING * 5);
    }

    fn signal(&mut self, signal: Termination) {
        let now = Instant::now();
        match (self.phase, signal) {
            (_, Termination::Quit) => self.kill(now),
            (Phase::Running, _) => {
                let hint = if signal == Termination::Interrupt { "; Ctrl+C again kills" } else { "" };
                self.tell.notice(None, Level::Info, format!("stopping{hint}"));
                self.stop();
            }
            // Shells and `timeout` send the same signal twice, to the process and to its group.
            (_, Termination::Hangup) => {}
            _ if self.asked_to_stop.is_some_and(|asked| now < asked + SAME_SIGNAL) => {}
            _ => self.kill(now),
        }
    }

    fn kill(&mut self, now: Instant) {
        self.services.iter().for_each(|service| service.send(Input::Kill));
        self.phase = Phase::Killing(now + KILL_GRACE);
    }

    /// Stops the last service that has not stopped; each has its time before the next is asked.
    fn stop(&mut self) {
        self.asked_to_stop.get_or_insert_with(Instant::now);
        let last = (0..self.services.len()).rev().find(|index| !self.stopped.contains(index));
        match (last, self.phase) {
            (None, _) => self.phase = Phase::Over(self.ending()),
            (Some(index), Phase::Stopping(current)) if index == current => {}
            (Some(index), _) => {
                self.services[index].send(Input::Stop);
                self.phase = Phase::Stopping(index);
            }
        }
    }

    fn ending(&self) -> Ending {
        if self.failed { Ending::Failed } else { Ending::Stopped }
    }
}
