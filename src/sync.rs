//! Sync: the files of a service kept the same in a container or on a remote host, and what happens there after they have
//! changed. One thread per service does it; it owns both sides, and everybody else asks.

mod agreed;
mod connect;
mod embedded;
mod far;
mod link;
mod push;
mod reconcile;
mod resolve;
mod round;
mod rounds;
mod session;
mod status;
mod takeover;
mod transport;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, after, never, select, unbounded};
use hotwatch_helper::entry::Rel;
use hotwatch_helper::filter::Filter;
use hotwatch_helper::replica::{Options, Replica};
use hotwatch_helper::tree::Tree;
use hotwatch_helper::watching::{self, Watching};

use crate::config;
use crate::name::Name;
use crate::record::{Level, Tell};
use crate::watch::git::Repository;
pub use connect::feed;
use connect::{Place, connect, leave};
pub use embedded::helper;
use link::{Half, Link, Pending, comes_back, flow};
use session::{Lost, Told};
use status::Shared;
pub use status::{Pair as PairStatus, Status};
use takeover::Takeover;
use transport::{Instance, Transport, User};
pub use transport::{ask, command};

/// How long to wait before a target that is not there is looked for again: at first, and at most.
const RETRY: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));

/// How often it is looked whether there are other pods.
const OTHERS: Duration = Duration::from_secs(10);

/// How long a target may take to start anew, beside the time its program has to stop.
const RESTART: Duration = Duration::from_secs(10);

/// Between the words of two commands that `relay restart` runs.
pub const SEPARATOR: &str = "--then--";

/// After this much time what could not be done is tried again.
const TROUBLE: Duration = Duration::from_secs(10);

/// What is needed beside the configuration.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// A directory in which it is kept what was agreed on.
    pub state: PathBuf,
    /// A batch of changes ends with this much silence.
    pub quiet: Duration,
    /// How long the program in the target may take to stop.
    pub grace: Duration,
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
    ending: Arc<AtomicBool>,
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
        let (ending, status) = (Arc::new(AtomicBool::new(false)), Shared::default());
        let transport = transport::to(&config.to);
        status.with(|status| {
            status.service = name.to_string();
            status.target = transport.describe();
            let pair = |pair: &config::Pair| PairStatus { pair: pair.to_string(), ..PairStatus::default() };
            status.pairs = config.pairs.iter().map(pair).collect();
        });
        let actor = Actor {
            name: name.clone(),
            transport,
            pairs: config.pairs.iter().map(Pair::new).collect(),
            config: config.clone(),
            surroundings,
            report: Box::new(report),
            sender: sender.clone(),
            ending: Arc::clone(&ending),
            status: status.clone(),
            links: Vec::new(),
            opened: 0,
            retry: Some(Instant::now()),
            pause: RETRY.0,
            again: None,
            told_lost: None,
            told_trouble: BTreeSet::new(),
            failure: None,
            takeover: None,
            restarted: None,
            waiting: Vec::new(),
        };
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
        self.ending.store(true, Ordering::Release);
        let _ = self.heard.send(Heard::End);
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

/// This half of a pair.
struct Pair {
    config: config::Pair,
    near: Replica,
    ours: Tree,
    watching: Option<Watching>,
}

impl Pair {
    fn new(config: &config::Pair) -> Pair {
        let mut config = config.clone();
        read_rules(&mut config);
        let filter = Arc::new(Filter::new(config.rules.clone()));
        // Who it belongs to, and how, is said for the target.
        let near = Replica::new(config.source.clone(), filter, Options::default());
        Pair { config, near, ours: Tree::default(), watching: None }
    }
}

/// Reads what git ignores, as its files are now.
fn read_rules(pair: &mut config::Pair) {
    pair.rules.files.clear();
    if pair.rules.ignored {
        return;
    }
    pair.rules.read_tree(&pair.source);
    if let Some(repository) = Repository::of(&pair.source) {
        pair.rules.read_above(&pair.source, &repository.work_tree, &repository.exclude_file());
    }
}

struct Actor {
    name: Name,
    config: config::Sync,
    transport: Arc<dyn Transport>,
    surroundings: Surroundings,
    report: Box<dyn Fn(Report) + Send>,
    sender: Sender<Heard>,
    ending: Arc<AtomicBool>,
    status: Shared,
    pairs: Vec<Pair>,
    links: Vec<Link>,
    /// How many links there have been.
    opened: u64,
    /// When the target is looked for next.
    retry: Option<Instant>,
    pause: Duration,
    /// When what could not be done is tried again.
    again: Option<Instant>,
    /// The reason that was told last why it is not there.
    told_lost: Option<String>,
    /// What was told that cannot be done.
    told_trouble: BTreeSet<String>,
    /// Why what has come last does not count: what runs after it has failed.
    failure: Option<String>,
    /// What was changed of the target for as long as it is synced.
    takeover: Option<Takeover>,
    /// When the target was last started anew: that it is gone for a while is no news then.
    restarted: Option<Instant>,
    /// Those who wait until everything is in place.
    waiting: Vec<Answer<Result<(), String>>>,
}

impl Actor {
    fn run(mut self, heard: &Receiver<Heard>) {
        self.watch_all();
        while !self.ending.load(Ordering::Acquire) {
            self.connect_if_due();
            self.try_again_if_due();
            self.rounds(None);
            self.answer_waiting();
            let due = self.retry.into_iter().chain(self.again).min();
            let timer = due.map_or_else(never, |at| after(at.saturating_duration_since(Instant::now())));
            select! {
                recv(heard) -> event => match event {
                    Ok(event) => self.hear(event),
                    Err(_) => return,
                },
                recv(timer) -> _ => {}
            }
            // What has come meanwhile belongs to the same round.
            heard.try_iter().for_each(|event| self.hear(event));
        }
        self.pairs.iter_mut().for_each(|pair| drop(pair.watching.take()));
        for link in std::mem::take(&mut self.links) {
            let Link { instance, far, helper, .. } = link;
            drop(far);
            helper.iter().for_each(|helper| leave(self.transport.as_ref(), &instance, helper));
        }
        if let Some(why) = self.takeover.take().and_then(Takeover::end) {
            let target = self.transport.describe();
            self.notice(Level::Error, format!("{target} is not as it was before: {why}"));
        }
    }

    fn hear(&mut self, heard: Heard) {
        match heard {
            Heard::Near(number, told) => self.near_told(number, told),
            Heard::Far(number, Told::Lost) => {
                if let Some(at) = self.links.iter().position(|link| link.number == number) {
                    self.lose(at, Lost("the connection was closed".to_owned()));
                }
            }
            Heard::Far(number, told) => {
                let Some(link) = self.links.iter_mut().find(|link| link.number == number) else { return };
                let half = |pair: u32| usize::try_from(pair).unwrap_or(usize::MAX);
                match told {
                    Told::Changed(pair, paths) => {
                        link.halves
                            .get_mut(half(pair))
                            .into_iter()
                            .for_each(|half| half.pending.add(paths.clone()));
                    }
                    Told::Everything(pair) => {
                        link.halves
                            .get_mut(half(pair))
                            .into_iter()
                            .for_each(|half| half.pending = Pending::Everything);
                    }
                    Told::Warning(message) => self.notice(Level::Warning, message),
                    Told::Lost => {}
                }
            }
            Heard::Ask(ask) => self.asked(ask),
            Heard::End => {}
        }
    }

    fn near_told(&mut self, number: usize, told: watching::Told) {
        match told {
            watching::Told::Changed(since, paths) => {
                let rules = paths.iter().any(|path| path.name() == ".gitignore");
                if rules && !self.pairs[number].config.rules.ignored {
                    self.reread(number);
                }
                for link in &mut self.links {
                    link.halves[number].pending.add(paths.clone());
                }
                self.rounds(Some(since));
            }
            watching::Told::Everything => {
                self.links.iter_mut().for_each(|link| link.halves[number].pending = Pending::Everything);
            }
            watching::Told::Warning(message) => self.notice(Level::Warning, message),
            watching::Told::Failed(message) => self.notice(Level::Error, message),
        }
    }

    /// Takes over what git ignores now. What it has begun to ignore stays where it is.
    fn reread(&mut self, number: usize) {
        let pair = &mut self.pairs[number];
        let before = pair.config.rules.clone();
        read_rules(&mut pair.config);
        if pair.config.rules == before {
            return;
        }
        let filter = Arc::new(Filter::new(pair.config.rules.clone()));
        pair.near.set_filter(Arc::clone(&filter));
        self.watch(number);
        let mut lost = Vec::new();
        for (at, link) in self.links.iter_mut().enumerate() {
            let half = &mut link.halves[number];
            let left_out = |tree: &Tree| {
                let out = tree.iter().filter(|(path, entry)| filter.leaves_out_at(path, entry.is_dir()));
                out.map(|(path, _)| (path.clone(), None)).collect::<Vec<_>>()
            };
            let gone = left_out(half.agreed.tree());
            left_out(&half.theirs).into_iter().for_each(|(path, _)| half.theirs.set(path, None));
            if let Err(error) = half.agreed.agree(gone) {
                lost.push((at, Lost(error.to_string())));
            }
            half.pending = Pending::Everything;
            let (config, root) =
                (&self.pairs[number].config, root(&self.config.to, &self.pairs[number].config));
            if let Err(error) = link.open(number, &root, config, comes_back(flow(config.mode))) {
                lost.push((at, error));
            }
        }
        lost.into_iter().rev().for_each(|(at, why)| self.lose(at, why));
    }

    fn watch_all(&mut self) {
        (0..self.pairs.len()).for_each(|number| self.watch(number));
    }

    /// Watches this side of a pair, if changes here are of interest.
    fn watch(&mut self, number: usize) {
        let pair = &mut self.pairs[number];
        pair.watching = None;
        let is_reverse = matches!(flow(pair.config.mode), reconcile::Flow::Reverse { .. });
        if is_reverse || !pair.config.source.exists() {
            return;
        }
        let sender = self.sender.clone();
        let tell = move |told| drop(sender.send(Heard::Near(number, told)));
        match Watching::start(&pair.config.source, pair.near.filter(), self.surroundings.quiet, tell) {
            Ok(watching) => pair.watching = Some(watching),
            Err(error) => self.notice(Level::Error, error),
        }
    }

    fn connect_if_due(&mut self) {
        if self.retry.is_none_or(|at| at > Instant::now()) {
            return;
        }
        if let Err(why) = self.take_over() {
            return self.not_there(why);
        }
        let found = match self.transport.find() {
            Ok(found) => found,
            Err(why) => return self.not_there(why),
        };
        // One that has been started anew is another.
        let stays = |link: &Link| found.contains(&link.instance);
        let gone: Vec<usize> = (0..self.links.len()).rev().filter(|&at| !stays(&self.links[at])).collect();
        gone.into_iter().for_each(|at| drop(self.links.remove(at)));
        let is_new = |instance: &&Instance| self.links.iter().all(|link| link.instance != **instance);
        let new: Vec<Instance> = found.iter().filter(is_new).cloned().collect();
        for instance in new {
            if let Err(why) = self.connect(instance) {
                return self.not_there(why);
            }
        }
        (self.pause, self.told_lost) = (RETRY.0, None);
        let many = matches!(self.config.to, config::Target::Kubectl(_));
        self.retry = many.then(|| Instant::now() + OTHERS);
        let words = self.links.first().map(|link| link.words.clone());
        self.status.with(|status| (status.reached, status.lost) = (words, None));
    }

    fn try_again_if_due(&mut self) {
        if self.again.is_none_or(|at| at > Instant::now()) {
            return;
        }
        self.again = None;
        for half in self.links.iter_mut().flat_map(|link| &mut link.halves) {
            half.pending.add(half.trouble.keys().cloned());
        }
    }

    /// Changes the target as it has to be while it is synced, once.
    fn take_over(&mut self) -> Result<(), String> {
        if self.takeover.is_none() {
            let file = self.surroundings.state.join(format!("{}.before", self.name));
            self.takeover = Takeover::begin(&self.config, self.surroundings.grace, file)?;
        }
        Ok(())
    }

    /// What runs in the target, with its arguments.
    fn program(&self) -> Vec<String> {
        let own = self.takeover.as_ref().and_then(Takeover::command);
        let (command, args) = match own {
            Some((command, args)) if self.config.run.is_empty() => (command, args),
            _ => (self.config.run.as_slice(), [].as_slice()),
        };
        let args = if self.config.run_args.is_empty() { args } else { &self.config.run_args };
        [command, args].concat()
    }

    fn connect(&mut self, instance: Instance) -> Result<(), String> {
        self.opened += 1;
        let (number, sender) = (self.opened, self.sender.clone());
        let tell = move |told| drop(sender.send(Heard::Far(number, told)));
        let halves: Vec<Half> = self.pairs.iter().map(|pair| self.half(&pair.config, &instance)).collect();
        let known = halves.iter().any(|half| !half.agreed.tree().is_bare());
        let place = Place { sync: &self.config, name: self.name.as_str(), known };
        let (pairs, transport, ending) = (&mut self.pairs, &self.transport, &self.ending);
        let reached = std::thread::scope(|scope| {
            // What stands here is read meanwhile; to look at it again takes no time then.
            scope.spawn(|| {
                for pair in pairs.iter_mut().filter(|pair| pair.ours.is_bare()) {
                    drop(pair.near.scan(&Rel::root()));
                }
            });
            connect(transport, &instance, &place, ending, tell)
        })?;
        let connect::Reached { far, helper, words } = reached;
        let mut link = Link { number, instance, far, helper, words, halves, began: false };
        if !self.is_restarting() {
            self.notice(Level::Info, format!("{} is reached {}", self.transport.describe(), link.words));
        }
        for (number, pair) in self.pairs.iter().enumerate() {
            let root = root(&self.config.to, &pair.config);
            link.open(number, &root, &pair.config, false).map_err(|Lost(why)| why)?;
        }
        self.links.push(link);
        Ok(())
    }

    /// The other half of `pair` at `instance`, of which nothing is known but what was agreed on.
    fn half(&self, pair: &config::Pair, instance: &Instance) -> Half {
        let about = format!("{:?} {} {} {:?}", pair.source, instance.name, pair.target, pair.mode);
        let id = xxhash_rust::xxh3::xxh3_64(about.as_bytes());
        let path = self.surroundings.state.join(format!("{}-{id:016x}.agreed", self.name));
        let agreed = agreed::Agreed::load(path, &instance.place);
        let (theirs, trouble) = Default::default();
        Half { theirs, agreed, pending: Pending::Everything, trouble, accepted: false }
    }

    fn not_there(&mut self, why: String) {
        let target = self.transport.describe();
        if self.told_lost.as_ref() != Some(&why) && !self.is_restarting() {
            self.notice(
                Level::Warning,
                format!("{target} is out of reach: {why}; it is looked for until it is there"),
            );
        }
        self.status.with(|status| (status.reached, status.lost) = (None, Some(why.clone())));
        self.told_lost = Some(why);
        self.retry = Some(Instant::now() + self.pause);
        self.pause = (self.pause * 2).min(RETRY.1);
    }

    /// The link at `at` is no more; it is looked for again.
    fn lose(&mut self, at: usize, Lost(why): Lost) {
        drop(self.links.remove(at));
        if self.ending.load(Ordering::Acquire) {
            return;
        }
        self.status.with(|status| (status.reached, status.lost) = (None, Some(why.clone())));
        if !self.is_restarting() {
            self.notice(Level::Warning, format!("{} is lost: {why}", self.transport.describe()));
        }
        (self.retry, self.pause) = (Some(Instant::now()), RETRY.0);
    }

    /// Whether the target is on its way back.
    fn is_restarting(&self) -> bool {
        self.restarted.is_some_and(|at| at.elapsed() < self.surroundings.grace + RESTART)
    }

    fn asked(&mut self, ask: Ask) {
        match ask {
            Ask::Settle(reply) => self.waiting.push(reply),
            Ask::Once(reply) => {
                for half in self.links.iter_mut().flat_map(|link| &mut link.halves) {
                    half.pending = Pending::Everything;
                }
                self.waiting.push(reply);
            }
            Ask::Resolve(path, winner, answer) => answer(self.resolve(&path, winner)),
            Ask::Push(binary, reply) => drop(reply.send(self.push(&binary))),
            Ask::Command(reply) => {
                let is_restart = self.config.restart == config::Restart::Recreate;
                self.restarted = is_restart.then(Instant::now);
                drop(reply.send(self.command()));
            }
        }
    }

    /// Tells those who wait that everything is in place, if it is.
    fn answer_waiting(&mut self) {
        let pending = self.links.iter().flat_map(|link| &link.halves).any(|half| !half.pending.is_empty());
        if self.links.is_empty() || pending {
            return;
        }
        let halted = self.status.get().pairs.into_iter().find_map(|pair| pair.halted);
        let result = halted.or(self.failure.clone()).map_or(Ok(()), Err);
        self.waiting.drain(..).for_each(|answer| answer(result.clone()));
    }

    fn notice(&self, level: Level, message: impl Into<String>) {
        self.surroundings.tell.notice(Some(&self.name), level, message);
    }

    /// What runs the program in the target, or shows what runs there.
    fn command(&self) -> Result<Vec<String>, String> {
        let link = self.links.first().ok_or_else(|| {
            let why = self.told_lost.clone().unwrap_or_else(|| "it was not found yet".to_owned());
            format!("{} is out of reach: {why}", self.transport.describe())
        })?;
        let relay = |mode: &str, words: Vec<String>| {
            let program = std::env::current_exe()
                .map_err(|error| format!("hotwatch's own program is not known: {error}"))?;
            let mut all =
                vec![program.display().to_string(), "relay".to_owned(), mode.to_owned(), "--".to_owned()];
            all.extend(words);
            Ok(all)
        };
        match self.config.restart {
            config::Restart::Supervise | config::Restart::Override if self.transport.is_here() => {
                Ok(self.program())
            }
            config::Restart::Supervise | config::Restart::Override => {
                let helper = link
                    .helper
                    .clone()
                    .ok_or_else(|| format!("nobody is there to run it: {}", link.words))?;
                let grace = self.surroundings.grace.as_millis().to_string();
                let mut words = vec![helper, "run".to_owned(), grace, "/".to_owned()];
                words.extend(self.program());
                relay("run", self.transport.exec(&link.instance, &words, User::Own))
            }
            config::Restart::Recreate => {
                let restart = self.transport.restart(&link.instance, self.surroundings.grace);
                let words = restart.unwrap_or_default().join(&SEPARATOR.to_owned());
                relay("restart", words)
            }
            config::Restart::None => {
                relay("follow", self.transport.follow(&link.instance).unwrap_or_default())
            }
        }
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

/// Where a pair goes to.
fn root(to: &config::Target, pair: &config::Pair) -> PathBuf {
    match to {
        config::Target::Dir(dir) => dir.join(pair.target.trim_start_matches('/')),
        _ => PathBuf::from(&pair.target),
    }
}
