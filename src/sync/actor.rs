//! Whoever syncs a service: hears of changes on both sides and of questions, and owns both.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, after, never, select};
use hotwatch_helper::entry::Rel;
use hotwatch_helper::filter::Filter;
use hotwatch_helper::replica::{Options, Replica};
use hotwatch_helper::tree::Tree;
use hotwatch_helper::watching::{self, Watching};

use super::ending::Ending;
use super::far::Far;
use super::link::{Link, Pending, comes_back, flow, left_out};
use super::pushed::Pushed;
use super::reach::RETRY;
use super::reconcile::Flow;
use super::session::{Lost, Told};
use super::status::{self, Shared};
use super::takeover::Takeover;
use super::transport::{self, Transport};
use super::{Answer, Ask, Heard, Report, Surroundings, root};
use crate::config;
use crate::name::Name;
use crate::record::Level;
use crate::watch::git::Repository;

/// This half of a pair.
pub(super) struct Pair {
    pub(super) config: config::Pair,
    pub(super) near: Replica,
    pub(super) ours: Tree,
    pub(super) watching: Option<Watching>,
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

/// Whether what `config` means is started when all files are there, whatever it is until then.
fn starts(config: &config::Sync) -> bool {
    config.restart == config::Restart::Recreate
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

/// The thread's own.
pub(super) struct Actor {
    pub(super) name: Name,
    pub(super) config: config::Sync,
    pub(super) transport: Arc<dyn Transport>,
    pub(super) surroundings: Surroundings,
    pub(super) report: Box<dyn Fn(Report) + Send>,
    pub(super) sender: Sender<Heard>,
    pub(super) ending: Arc<Ending>,
    pub(super) status: Shared,
    pub(super) pairs: Vec<Pair>,
    pub(super) links: Vec<Link>,
    /// The helpers that were brought to targets.
    pub(super) pushed: Pushed,
    /// How many links there have been.
    pub(super) opened: u64,
    /// When the target is looked for next.
    pub(super) retry: Option<Instant>,
    pub(super) pause: Duration,
    /// When what could not be done is tried again.
    pub(super) again: Option<Instant>,
    /// What was told last, if anything was: whether the target is out of reach.
    pub(super) away: Option<bool>,
    /// Why the target will not be had as it would have to be.
    pub(super) hopeless: Option<String>,
    /// The reason that was told last why it is not there.
    pub(super) told_lost: Option<String>,
    /// What was told that cannot be done.
    pub(super) told_trouble: BTreeSet<String>,
    /// What was changed of the target for as long as it is synced.
    pub(super) takeover: Option<Takeover>,
    /// When the target was last started anew: that it is gone for a while is no news then.
    pub(super) restarted: Option<Instant>,
    /// Those who wait until everything is in place.
    pub(super) waiting: Vec<Answer<Result<(), String>>>,
    /// Those of them who want all of it to be there.
    pub(super) strict: Vec<Answer<Result<(), String>>>,
}

impl Actor {
    /// Nothing has happened yet.
    pub(super) fn new(
        name: &Name,
        config: &config::Sync,
        surroundings: Surroundings,
        report: Box<dyn Fn(Report) + Send>,
        sender: Sender<Heard>,
    ) -> Actor {
        let transport = transport::to(&config.to, starts(config));
        let status = Shared::default();
        status.with(|status| {
            status.service = name.to_string();
            status.target = transport.describe();
            let pair =
                |pair: &config::Pair| status::Pair { pair: pair.to_string(), ..status::Pair::default() };
            status.pairs = config.pairs.iter().map(pair).collect();
        });
        let pushed = Pushed::load(surroundings.state.join(format!("{name}.helpers")));
        Actor {
            name: name.clone(),
            config: config.clone(),
            transport,
            surroundings,
            report,
            sender,
            ending: Arc::default(),
            status,
            pairs: config.pairs.iter().map(Pair::new).collect(),
            links: Vec::new(),
            pushed,
            opened: 0,
            retry: Some(Instant::now()),
            pause: RETRY.0,
            again: None,
            away: None,
            hopeless: None,
            told_lost: None,
            told_trouble: BTreeSet::new(),
            takeover: None,
            restarted: None,
            waiting: Vec::new(),
            strict: Vec::new(),
        }
    }

    /// Syncs until it is to end; then the target is as if nobody had been there.
    pub(super) fn run(mut self, heard: &Receiver<Heard>) {
        (0..self.pairs.len()).for_each(|number| self.watch(number));
        while !self.ending.is_wanted() {
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
        let mut left = Vec::new();
        for Link { far, instance, helper, .. } in self.links.drain(..) {
            let has_left = match far {
                Far::Helper(session) => helper.is_some() && session.leave(),
                Far::Archive(_) => false,
            };
            if has_left { self.pushed.remove(&instance) } else { left.push(instance) }
        }
        self.pushed.leave(self.transport.as_ref(), &left, &self.ending);
        if let Some(why) = self.takeover.take().and_then(|takeover| takeover.end(&self.ending)) {
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
                // Where nothing comes back nobody has asked for that.
                let is_asked = |number: &usize| {
                    self.pairs.get(*number).is_some_and(|pair| comes_back(flow(pair.config.mode)))
                };
                let half = |pair: u32| usize::try_from(pair).ok().filter(is_asked);
                match told {
                    Told::Changed(pair, paths) => {
                        half(pair).into_iter().for_each(|at| link.halves[at].pending.add(paths.clone()));
                    }
                    Told::Everything(pair) => {
                        half(pair).into_iter().for_each(|at| link.halves[at].pending = Pending::Everything);
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
                let source = &self.pairs[number].config.source;
                let may_hold_rules = |path: &Rel| path.name() == ".gitignore" || path.below(source).is_dir();
                if paths.iter().any(may_hold_rules) {
                    self.reread(number);
                }
                for link in &mut self.links {
                    link.halves[number].pending.add(paths.clone());
                }
                self.rounds(Some(since));
            }
            watching::Told::Everything => {
                self.reread(number);
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
            let gone = left_out(half.agreed.tree(), &filter);
            left_out(&half.theirs, &filter).into_iter().for_each(|(path, _)| half.theirs.set(path, None));
            let agreed = half.agreed.agree(gone).map_err(Lost::here);
            half.pending = Pending::Everything;
            let config = &self.pairs[number].config;
            let root = root(&self.config.to, config);
            let opened =
                agreed.and_then(|()| link.open(number, &root, config, comes_back(flow(config.mode))));
            lost.extend(opened.err().map(|why| (at, why)));
        }
        lost.into_iter().rev().for_each(|(at, why)| self.lose(at, why));
    }

    /// Watches this side of a pair, if changes here are of interest.
    pub(super) fn watch(&mut self, number: usize) {
        let pair = &mut self.pairs[number];
        pair.watching = None;
        let is_reverse = matches!(flow(pair.config.mode), Flow::Reverse { .. });
        if is_reverse || !pair.config.source.exists() {
            return;
        }
        self.watch_source(number);
    }

    /// The same for sure; a file that is to come is watched for by its directory.
    pub(super) fn watch_source(&mut self, number: usize) {
        let pair = &mut self.pairs[number];
        let sender = self.sender.clone();
        let tell = move |told| drop(sender.send(Heard::Near(number, told)));
        match Watching::start(&pair.config.source, pair.near.filter(), self.surroundings.quiet, tell) {
            Ok(watching) => pair.watching = Some(watching),
            Err(error) => self.notice(Level::Error, error),
        }
    }

    fn asked(&mut self, ask: Ask) {
        match ask {
            Ask::Settle(reply) => self.waiting.push(reply),
            Ask::Whole(reply) => self.strict.push(reply),
            Ask::Once(reply) => {
                for half in self.links.iter_mut().flat_map(|link| &mut link.halves) {
                    half.pending = Pending::Everything;
                }
                self.strict.push(reply);
            }
            Ask::Resolve(path, winner, answer) => answer(self.resolve(&path, winner)),
            Ask::There(reply) => drop(reply.send(self.is_there())),
            Ask::Begin(binary, reply) => drop(reply.send(self.begin(binary.as_deref()))),
        }
    }

    /// Tells those who wait that everything is in place, if it is.
    fn answer_waiting(&mut self) {
        if let Some(why) = &self.hopeless {
            let all = self.waiting.drain(..).chain(self.strict.drain(..));
            return all.for_each(|answer| answer(Err(why.clone())));
        }
        let pending = self.links.iter().flat_map(|link| &link.halves).any(|half| !half.pending.is_empty());
        if self.links.is_empty() || pending {
            return;
        }
        let halted = self.status.get().pairs.into_iter().find_map(|pair| pair.halted);
        let failed = self.links.iter().find_map(|link| link.failure.clone());
        let result = halted.or(failed).map_or(Ok(()), Err);
        self.waiting.drain(..).for_each(|answer| answer(result.clone()));
        let trouble = self.status.get().pairs.into_iter().flat_map(|pair| pair.trouble).next();
        let result = result.and(trouble.map_or(Ok(()), Err));
        self.strict.drain(..).for_each(|answer| answer(result.clone()));
    }

    pub(super) fn notice(&self, level: Level, message: impl Into<String>) {
        self.surroundings.tell.notice(Some(&self.name), level, message);
    }
}
