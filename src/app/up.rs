//! `hotwatch up`: one loop that takes in what the watcher, the services and the user say, and decides with the
//! pure parts below what happens next. It owns nothing that runs; the services do.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded, select, unbounded};
use hotwatch_platform::dirs;
use hotwatch_platform::signal::{Blocked, Termination};
use nix::fcntl::{Flock, FlockArg};
use xxhash_rust::xxh3::xxh3_64;

use super::order::Order;
use super::{check, colored};
use crate::cli::Global;
use crate::config::{self, Config};
use crate::debounce::{Batch, Debounce};
use crate::error::Error;
use crate::go::build::Slots;
use crate::log::file::{self, LogFile};
use crate::log::json::Json;
use crate::log::terminal::Terminal;
use crate::log::{Log, View};
use crate::plan::{self, Affected, Plan};
use crate::record::{self, Event as Fact, Level, Rung, Tell};
use crate::service::{Input, Report, Service, Surroundings};
use crate::watch::git::Repository;
use crate::watch::known::Known;
use crate::watch::{Changed, Root, Summary, Told, Watch, Watched};

/// Messages of the watcher on their way; when there are more, the operating system's queue holds them.
const TOLD_IN_FLIGHT: usize = 64;

/// How long services that were killed may take to be gone before hotwatch ends without them.
const KILL_GRACE: Duration = Duration::from_secs(2);

/// When waiting for dependencies is first mentioned, and then again.
const MENTION_WAITING: Duration = Duration::from_secs(2);

/// What the loop hears of, besides the watcher.
#[derive(Debug)]
enum Event {
    /// A service reports.
    Service(usize, Report),
    /// The user, or the system, asks to end.
    Signal(Termination),
    /// Nobody reads what is written any more.
    OutputClosed,
}

/// Runs `config` until a signal ends it.
pub fn up(config: Config, global: &Global, signals: Blocked) -> Result<ExitCode, Error> {
    let (events, heard) = unbounded();
    let on_signal = events.clone();
    let _listener = signals
        .listen(move |signal| drop(on_signal.send(Event::Signal(signal))))
        .map_err(Error::io("start a thread"))?;
    check::refuse(&config)?;
    let cache = Cache::take(&config)?;
    let (tell, told) = record::channel();
    let on_closed = events.clone();
    let log = Log::start(told, views(&config, global)?, move || drop(on_closed.send(Event::OutputClosed)));

    let result = run(&config, &cache, &tell, events, &heard);
    drop(tell);
    // A reader of ours that is stuck must not keep hotwatch from ending once everything was killed.
    if !matches!(result, Ok(Ending::Killed)) {
        log.finish();
    }
    result.map(|ending| if ending == Ending::Failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// Every service was stopped.
    Stopped,
    /// The user did not want to wait for that.
    Killed,
    /// The watcher broke, which has been told.
    Failed,
}

fn run(
    config: &Config,
    cache: &Cache,
    tell: &Tell,
    events: Sender<Event>,
    heard: &Receiver<Event>,
) -> Result<Ending, Error> {
    let (told, telling) = bounded(TOLD_IN_FLIGHT);
    let watch = Watch::start(watched(config), told)?;
    let mut known = Known::default();
    let Some(summary) = read_all(&telling, heard, &mut known, tell)? else {
        return Ok(Ending::Stopped);
    };
    tell.fact(None, Fact::Watching { directories: summary.directories });
    let mut plan = Plan::new(config);
    summary.links.iter().for_each(|(link, target)| plan.add_link(link, target));

    let slots = Slots::new(std::thread::available_parallelism().map_or(2, usize::from));
    let start = |(index, service): (usize, &config::Service)| {
        let surroundings = Surroundings {
            cache: cache.dir.join(service.name.as_str()),
            cooldown: config.cooldown,
            slots: slots.clone(),
            tell: tell.clone(),
        };
        let events = events.clone();
        // The loop outlives its services.
        let report = move |report| drop(events.send(Event::Service(index, report)));
        Service::start(service.clone(), surroundings, report)
    };
    let mut app = App {
        known,
        plan,
        debounce: Debounce::new(config.quiet),
        repositories: config.services.iter().filter_map(|service| Repository::of(&service.dir)).collect(),
        order: Order::new(config.services.iter().map(|service| service.depends_on.clone())),
        mention_waiting: Some(Instant::now() + MENTION_WAITING),
        services: config.services.iter().enumerate().map(start).collect(),
        stopped: BTreeSet::new(),
        tell: tell.clone(),
        phase: Phase::Running,
        failed: false,
    };
    let ending = app.run(&telling, heard);
    drop(app);
    drop(telling);
    drop(watch);
    Ok(ending)
}

/// Reads every file that is there; `None` when the user ended it before that was done.
fn read_all(
    telling: &Receiver<Told>,
    heard: &Receiver<Event>,
    known: &mut Known,
    tell: &Tell,
) -> Result<Option<Summary>, Error> {
    loop {
        select! {
            recv(telling) -> told => match told {
                Ok(Told::Changed(Changed { paths, .. })) => paths.iter().for_each(|path| drop(known.refresh(path))),
                Ok(Told::Warning(message)) => tell.notice(None, Level::Warning, message),
                Ok(Told::Watching(summary)) => return Ok(Some(summary)),
                Ok(Told::Failed(message)) => return Err(Error::Watch(message)),
                Err(_) => return Err(Error::Watch("the file watcher stopped working".to_owned())),
            },
            recv(heard) -> _ => return Ok(None),
        }
    }
}

/// What `config` wants to be watched.
pub fn watched(config: &Config) -> Watched {
    let root = |service: &config::Service| Root {
        dir: service.dir.clone(),
        forced: service.patterns.include_dirs.clone(),
        gitignore: service.gitignore,
    };
    let plan = Plan::new(config);
    Watched {
        project: config.root.clone(),
        roots: config.services.iter().map(root).collect(),
        may_count: Arc::new(move |path| plan.may_count(path)),
    }
}

fn views(config: &Config, global: &Global) -> Result<Vec<Box<dyn View>>, Error> {
    let names: Vec<_> = config.services.iter().map(|service| service.name.clone()).collect();
    let stdout = io::stdout();
    let mut views: Vec<Box<dyn View>> = vec![if global.json {
        Box::new(Json::new(stdout))
    } else {
        let colored = colored(global.color, &stdout);
        Box::new(Terminal::new(stdout, colored, names.clone()))
    }];
    // All are opened before the first is emptied: if one cannot be used, none is touched.
    let mut files = Vec::new();
    for name in names {
        let path = file::path(&config.log_dir, &name);
        files.push((name, file::open(&path)?, path));
    }
    for (name, file, path) in files {
        views.push(Box::new(LogFile::new(name, path, file)?));
    }
    Ok(views)
}

/// The directory for this project's binaries, locked against a second hotwatch; removed on drop.
struct Cache {
    dir: PathBuf,
    _lock: Flock<File>,
}

impl Cache {
    fn take(config: &Config) -> Result<Cache, Error> {
        let id = xxh3_64(config.root.as_os_str().as_encoded_bytes());
        let dir = dirs::cache().join("hotwatch").join(format!("{id:016x}"));
        let path = dir.join("lock");
        let failed = || Error::io(format!("write to `{}`", dir.display()));
        loop {
            fs::create_dir_all(&dir).map_err(failed())?;
            let options = File::options().create(true).read(true).write(true).truncate(false).to_owned();
            let file = options.open(&path).map_err(failed())?;
            let Ok(mut lock) = Flock::lock(file, FlockArg::LockExclusiveNonblock) else {
                let pid = fs::read_to_string(&path).ok().and_then(|pid| pid.trim().parse().ok());
                return Err(Error::Taken { project: config.root.clone(), pid });
            };
            // Whoever held it before may have removed it between the two steps.
            let ours = lock.metadata().map_err(failed())?.ino();
            if fs::metadata(&path).is_ok_and(|now| now.ino() == ours) {
                lock.set_len(0).and_then(|()| writeln!(lock, "{}", std::process::id())).map_err(failed())?;
                return Ok(Cache { dir, _lock: lock });
            }
        }
    }
}

impl Drop for Cache {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.dir));
    }
}

struct App {
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

impl App {
    fn run(&mut self, telling: &Receiver<Told>, heard: &Receiver<Event>) -> Ending {
        self.launch();
        loop {
            if let Phase::Over(ending) = self.phase {
                return ending;
            }
            let deadline = self.deadline();
            let timer = deadline.map_or_else(crossbeam_channel::never, crossbeam_channel::at);
            select! {
                recv(heard) -> event => match event {
                    Ok(Event::Service(index, report)) => self.report(index, report),
                    Ok(Event::Signal(signal)) => self.signal(signal),
                    Ok(Event::OutputClosed) => self.signal(Termination::Hangup),
                    Err(_) => unreachable!("the loop itself holds a sender"),
                },
                recv(telling) -> told => match told {
                    Ok(told) => self.told(told),
                    Err(_) => self.told(Told::Failed("the file watcher stopped working".to_owned())),
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

    /// Every save gets a verdict, one that changed nothing too.
    fn tell_unchanged(&self, batch: &Batch, affected: &[Affected]) {
        let mut unchanged: BTreeMap<usize, Vec<String>> = BTreeMap::new();
        for path in batch.paths.iter().filter(|path| self.known.has_file(path)) {
            for (service, shown) in self.plan.counting(path) {
                if affected.iter().all(|one| one.service != service) {
                    unchanged.entry(service).or_default().push(shown);
                }
            }
        }
        for (service, paths) in unchanged {
            let reason = format!("{} saved with the same content", plan::list(&paths));
            let verdict = Fact::Verdict { rung: Rung::Nothing, reason };
            self.tell.fact(Some(self.services[service].name()), verdict);
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
            self.services[index].send(Input::Launch);
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
        self.mention_waiting = (!waiting.is_empty()).then(|| now + MENTION_WAITING * 5);
    }

    fn signal(&mut self, signal: Termination) {
        if self.phase == Phase::Running {
            let hint = if signal == Termination::Interrupt { "; Ctrl+C again kills" } else { "" };
            self.tell.notice(None, Level::Info, format!("stopping{hint}"));
            self.stop();
        } else {
            self.services.iter().for_each(|service| service.send(Input::Kill));
            self.phase = Phase::Killing(Instant::now() + KILL_GRACE);
        }
    }

    /// Stops the last service that has not stopped; each has its time before the next is asked.
    fn stop(&mut self) {
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
