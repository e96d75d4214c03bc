//! The loop of `up`: takes in what the watcher, the go command, the services and the user say, and decides who is
//! started and stopped when. What saves lead to is decided in `saves`.

mod asked;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, at, never, select};
use hotwatch_platform::signal::Termination;

use super::lister::Listed;
use super::means::Means;
use super::order::Order;
use super::reload::{self, How};
use super::saves::Saves;
use super::{sync, up};
use crate::config::{self, Config};
use crate::control::Command;
use crate::name::Name;
use crate::record::{Event as Fact, Level, Tell};
use crate::service::{Input, Report, Service};
use crate::watch::{Told, Watch};

/// How long services that were killed may take to be gone before hotwatch ends without them.
const KILL_GRACE: Duration = Duration::from_secs(2);

/// A signal that comes this soon after the first is the same one, relayed by somebody.
const SAME_SIGNAL: Duration = Duration::from_millis(300);

/// How many words of the watcher are taken in before a batch closes. A checkout makes some thousands.
const HEARD_AT_ONCE: usize = 10_000;

/// When waiting for dependencies is first mentioned; then again after five times as long.
const MENTION_WAITING: Duration = Duration::from_secs(2);

/// What the loop hears of, besides the watcher.
#[derive(Debug)]
pub enum Event {
    /// The service of this name that was started for this configuration reports.
    Service(Name, u64, Report),
    /// The user, or the system, asks to end.
    Signal(Termination),
    /// The go command has answered; the number is that of the configuration.
    Listed(u64, Listed),
    /// The user asks for something, from the console or another one.
    Control(Command),
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
    saves: Saves,
    watch: Watch,
    order: Order,
    mention_waiting: Option<Instant>,
    config: Config,
    /// How often there was a new configuration.
    round: u64,
    means: Means,
    services: Vec<Service>,
    /// Services that the configuration no longer names, until they have stopped.
    leaving: Vec<Service>,
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
    /// The loop for `config`; its services are started here.
    pub fn new(config: Config, saves: Saves, watch: Watch, means: Means) -> Supervisor {
        means.introduce(&config);
        Supervisor {
            saves,
            watch,
            order: Order::new(config.services.iter().map(|service| service.depends_on.clone())),
            mention_waiting: Some(Instant::now() + MENTION_WAITING),
            services: (0..config.services.len()).map(|index| means.service(&config, index, 0)).collect(),
            config,
            round: 0,
            tell: means.tell.clone(),
            means,
            leaving: Vec::new(),
            stopped: BTreeSet::new(),
            phase: Phase::Running,
            asked_to_stop: None,
            failed: false,
        }
    }

    /// Runs until everything has ended.
    pub fn run(&mut self, heard: &Receiver<Event>) -> Ending {
        self.launch();
        loop {
            let telling = if self.failed { never() } else { self.watch.telling().clone() };
            if let Phase::Over(ending) = self.phase {
                return ending;
            }
            let deadline = self.deadline();
            let timer = deadline.map_or_else(never, at);
            select! {
                recv(heard) -> event => match event {
                    Ok(Event::Service(name, round, report)) => self.report(&name, round, report),
                    Ok(Event::Signal(signal)) => self.signal(signal),
                    Ok(Event::Listed(round, listed)) if self.phase == Phase::Running && round == self.round => {
                        self.saves.listed(listed, &self.watch, &self.services);
                    }
                    Ok(Event::Listed(..)) => {}
                    Ok(Event::Control(command)) if self.phase == Phase::Running => self.control(command),
                    Ok(Event::Control(_)) => {}
                    Ok(Event::OutputClosed) if self.phase == Phase::Running => self.stop(),
                    Ok(Event::OutputClosed) => {}
                    Err(_) => unreachable!("the loop itself holds a sender"),
                },
                recv(telling) -> told => match told {
                    Ok(told) => self.told(told),
                    Err(_) => {
                        self.told(Told::Failed("the file watcher stopped working".to_owned()));
                        self.failed = true;
                    }
                },
                recv(timer) -> _ => self.tick(Instant::now()),
            }
        }
    }
    fn deadline(&self) -> Option<Instant> {
        match self.phase {
            Phase::Running => self.saves.deadline().into_iter().chain(self.mention_waiting).min(),
            Phase::Killing(until) => Some(until),
            Phase::Stopping(_) | Phase::Over(_) => None,
        }
    }

    fn tick(&mut self, now: Instant) {
        match self.phase {
            Phase::Running => {
                // What was told before a batch is due belongs to it, however long it takes to hear of it.
                let told: Vec<Told> = self.watch.telling().try_iter().take(HEARD_AT_ONCE).collect();
                told.into_iter().for_each(|told| self.told(told));
                if let Some(since) = self.saves.tick(now, &self.watch, &mut self.order, &self.services) {
                    self.reconfigure(since);
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
            Told::Changed(changed) => self.saves.changed(changed, &self.services),
            Told::Found(paths) => self.saves.found(&paths, &self.services),
            Told::Covered(directories) => self.saves.covered(directories, &self.watch, &self.services),
            Told::Heard => self.saves.heard(),
            Told::Warning(message) => self.tell.notice(None, Level::Warning, message),
            Told::Watching(summary) => self.saves.read(&summary),
            Told::Failed(message) => {
                self.tell.notice(None, Level::Error, message);
                self.failed = true;
                self.stop();
            }
        }
    }

    /// The configuration was saved: takes over what differs, if it is sound.
    fn reconfigure(&mut self, since: Instant) {
        let Some(file) = self.config.files.last() else { return };
        let new = match config::load(file, &|name| std::env::var(name).ok()) {
            Ok(new) if self.config.patch_all => Ok(new.patched()),
            Ok(new) => Ok(new),
            Err(error) => Err(error.into()),
        };
        let new = match new.and_then(|new| sync::picked(new, &self.config.sync_asked)) {
            Ok(new) => new,
            Err(error) => {
                let message = format!("{error}; everything goes on as before until that is mended");
                return self.tell.notice(None, Level::Error, message);
            }
        };
        let difference = reload::compare(&self.config, &new);
        if difference.is_empty() {
            return self.tell.notice(None, Level::Info, "the configuration was saved; nothing differs");
        }
        for key in &difference.later {
            let message = format!("the new `{key}` takes effect when hotwatch is started again");
            self.tell.notice(None, Level::Warning, message);
        }
        let watch = match Watch::start(up::watched(&new)) {
            Ok(watch) => watch,
            Err(error) => return self.tell.notice(None, Level::Error, error.to_string()),
        };
        self.watch = watch;
        self.round += 1;
        let lister = self.means.lister(&new, self.round);
        self.saves.reconfigure(&self.config, &new, lister);
        self.take_over(new, &difference, since);
        self.launch();
    }

    /// Starts, stops and tells services as `difference` says.
    fn take_over(&mut self, new: Config, difference: &reload::Difference, since: Instant) {
        let mut old: BTreeMap<Name, (usize, Service)> = BTreeMap::new();
        for (index, service) in std::mem::take(&mut self.services).into_iter().enumerate() {
            old.insert(service.name().clone(), (index, service));
        }
        let mut order = Order::new(new.services.iter().map(|service| service.depends_on.clone()));
        let (mut stay, mut reloads) = (BTreeSet::new(), BTreeSet::new());
        for (index, config) in new.services.iter().enumerate() {
            let same_port =
                |(before, _): &(usize, Service)| self.config.services[*before].proxy == config.proxy;
            // Whose port is held otherwise is ended at once: its successor needs it.
            let Some((before, service)) = old.remove(&config.name).filter(same_port) else {
                // The same name may have left a moment ago.
                self.leaving.retain(|leaving| *leaving.name() != config.name);
                let is_new = difference.new.contains(&config.name);
                let words = if is_new {
                    "new in the configuration"
                } else {
                    "its port is held otherwise; it starts anew"
                };
                self.tell.notice(Some(&config.name), Level::Info, words);
                self.services.push(self.means.service(&new, index, self.round));
                continue;
            };
            order.resume(index, &self.order, before);
            let starts_anew = difference.changed.get(&config.name).is_some_and(|how| *how != How::Live);
            if starts_anew || self.order.is_reloading(before) {
                reloads.insert(index);
            }
            stay.insert(index);
            self.services.push(service);
        }
        // Who depends on whom may be another now. Before they are told of their settings: otherwise a quick one
        // might have started already.
        let held = order.reload(&reloads);
        for index in stay {
            let (service, config) = (&self.services[index], &new.services[index]);
            service.send(Input::Hold(held.contains(&index)));
            let Some(&how) = difference.changed.get(&config.name) else { continue };
            let message = match how {
                How::Live => "its settings changed; they count from now on",
                How::Restart => "its settings changed; it is started anew",
                How::Rebuild => "its settings changed; it is built anew",
            };
            self.tell.notice(Some(&config.name), Level::Info, message);
            let config = Box::new(config.clone());
            service.send(Input::Reconfigured { config, how: how.into(), since });
        }
        for (_, service) in old.into_values() {
            self.tell.notice(Some(service.name()), Level::Info, "no longer in the configuration");
            service.send(Input::Stop);
            self.leaving.push(service);
        }
        self.means.introduce(&new);
        (self.order, self.config) = (order, new);
    }

    fn report(&mut self, name: &Name, round: u64, report: Report) {
        let Some(index) = self.services.iter().position(|service| service.is(name, round)) else {
            if report == Report::Stopped {
                self.leaving.retain(|service| !service.is(name, round));
                if self.phase == Phase::Running {
                    self.launch();
                }
            }
            return;
        };
        if report == Report::Settled {
            // After all that the service has told of it.
            self.tell.fact(Some(name), Fact::Settled);
            return self
                .order
                .settled(index)
                .into_iter()
                .for_each(|free| self.services[free].send(Input::Hold(false)));
        }
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
        // Who comes may need the port of who goes.
        if !self.leaving.is_empty() {
            return;
        }
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
        self.services.iter().chain(&self.leaving).for_each(|service| service.send(Input::Kill));
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
