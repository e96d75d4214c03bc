//! From events to services: what a save really changed, whom that concerns, and what each of them is told. Keeps
//! what is known of the files, the open batch, the plan, and the package graph behind it. Services get inputs;
//! nothing is started or stopped here.

mod listing;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime};

use super::lister::{Listed, Lister, Reason};
use super::order::Order;
use crate::change::{Change, Digest};
use crate::config::Config;
use crate::debounce::{Batch, Debounce};
use crate::plan::{self, Affected, Idle, Lead, Outcome, Plan};
use crate::record::{Event as Fact, Rung, Tell};
use crate::service::{Changed, Input, Service};
use crate::watch::git::Repository;
use crate::watch::known::Known;
use crate::watch::{self, Summary, Watch};

/// What was saved without a change, for one service.
#[derive(Debug, Default)]
struct Unchanged {
    /// Files that count, as they are shown.
    same: Vec<String>,
    /// Files that belong to its packages but are not built in.
    idle: Vec<(String, Idle)>,
    /// Whether any of them counts.
    counts: bool,
    /// Whether any of those is nothing that a step before a build writes.
    by_hand: bool,
}

/// What becomes of saves.
pub struct Saves {
    known: Known,
    plan: Plan,
    debounce: Debounce,
    repositories: BTreeSet<Repository>,
    lister: Lister,
    /// What the first events of the open batch lead to.
    early: Outcome,
    /// Services that no listing has told of yet, and that may still be told of.
    unlisted: BTreeSet<usize>,
    /// The listing whose files are not watched yet: why it was made, and which files its services had before.
    uncovered: Option<(Reason, BTreeMap<usize, BTreeSet<PathBuf>>)>,
    /// Files in which the reason lies that there was none.
    unlistable: BTreeSet<PathBuf>,
    /// Answers that wait until that is done.
    listed: Vec<Listed>,
    /// The services' directories.
    dirs: Vec<PathBuf>,
    /// Services to whose processes saves are applied.
    patched: BTreeSet<usize>,
    /// Files of the configuration.
    config_files: Vec<PathBuf>,
    /// Whether the user wants saves to wait.
    paused: bool,
    /// When that ended last.
    resumed: Option<Instant>,
    /// Whether the services' directories are being read anew.
    unread: bool,
    /// Whether a checkout was under way at the last look.
    checkout: bool,
    /// How many have ended of which it is not known yet that everything they have written has been told.
    unheard: usize,
    /// When the services' directories had been read, and their first builds had not begun.
    began: SystemTime,
    /// How many directories are watched.
    directories: usize,
    /// Whether that was told.
    watching: bool,
    tell: Tell,
}

impl Saves {
    /// Nothing has happened yet. `known` holds what was found when the services' directories were read, so many
    /// `directories`, of which all but those of programs that have to be listed are watched for good.
    pub fn new(
        config: &Config,
        known: Known,
        plan: Plan,
        mut lister: Lister,
        directories: usize,
        tell: Tell,
    ) -> Saves {
        let unlisted = lister.services();
        let began = SystemTime::now();
        lister.ask(&unlisted, began);
        let mut saves = Saves {
            known,
            plan,
            debounce: Debounce::new(config.quiet),
            repositories: repositories(config),
            lister,
            early: Outcome::default(),
            unlisted,
            uncovered: None,
            unlistable: BTreeSet::new(),
            listed: Vec::new(),
            dirs: config.services.iter().map(|service| service.dir.clone()).collect(),
            patched: patched(config),
            config_files: config.files.clone(),
            paused: false,
            resumed: None,
            unread: false,
            checkout: false,
            unheard: 0,
            began,
            directories,
            watching: false,
            tell,
        };
        saves.tell_watching();
        saves
    }

    /// Goes on with the configuration `new` instead of `old`. What is known of files stays, and what services have
    /// been told stands for the same as before. The directories are read anew.
    pub fn reconfigure(&mut self, old: &Config, new: &Config, mut lister: Lister) {
        let digests = new.services.iter().map(|service| {
            let before = old.services.iter().position(|other| other.name == service.name);
            before.map_or_else(Digest::default, |index| self.plan.digest(index))
        });
        let digests: Vec<Digest> = digests.collect();
        self.unlisted = lister.services();
        self.plan = Plan::new(new, &self.unlisted);
        self.plan.go_on_from(digests);
        self.began = SystemTime::now();
        lister.ask(&self.unlisted, self.began);
        self.lister = lister;
        self.debounce.set_quiet(new.quiet);
        self.repositories = repositories(new);
        (self.uncovered, self.listed) = (None, Vec::new());
        self.dirs = new.services.iter().map(|service| service.dir.clone()).collect();
        self.patched = patched(new);
        self.config_files.clone_from(&new.files);
        // By the watcher before this one; all it had not told is read anew.
        self.unheard = 0;
        self.unread = true;
    }

    /// The directories have been read, and are watched.
    pub fn read(&mut self, summary: &Summary) {
        summary.links.iter().for_each(|(link, target)| self.plan.add_link(link, target));
        self.directories = summary.directories;
        if std::mem::take(&mut self.unread) {
            // What the watcher before this one had not told yet.
            self.debounce.push(Instant::now(), self.dirs.iter().cloned());
        }
    }

    /// When [`Saves::tick`] is due.
    pub fn deadline(&self) -> Option<Instant> {
        self.debounce.deadline().filter(|_| !self.paused)
    }

    /// Holds back what is saved from now on.
    pub fn pause(&mut self) {
        self.paused = true;
    }

    /// Takes in, at the next tick, what was saved since [`Saves::pause`].
    pub fn resume(&mut self, now: Instant) {
        (self.paused, self.resumed) = (false, Some(now));
    }

    /// Takes in paths that may have changed. What is certain to concern a service is acted on at once.
    pub fn changed(&mut self, changed: watch::Changed, services: &[Service]) {
        let of_interest = |path: &PathBuf| path.is_dir() || self.is_of_interest(path);
        let paths: Vec<PathBuf> = changed.paths.into_iter().filter(of_interest).collect();
        if paths.is_empty() {
            return;
        }
        let at = if self.debounce.is_checkout() { Instant::now() } else { changed.at };
        self.debounce.push(at, paths.iter().cloned());
        if !self.paused && !self.is_held() {
            self.begin_early(changed.at, &paths, services);
        }
    }

    /// Whether the file or former directory `path` is anything to anybody.
    fn is_of_interest(&self, path: &Path) -> bool {
        !self.unlisted.is_empty()
            || self.plan.is_of_interest(path)
            || self.known.has_any(path)
            || self.config_files.iter().any(|file| file == path)
    }

    /// Files that are there and not of one that is gone, which is mostly about to come back, can be acted on
    /// before the batch closes: the build begins on the chance that nothing more follows.
    fn begin_early(&mut self, since: Instant, paths: &[PathBuf], services: &[Service]) {
        let there = paths.iter().filter(|path| self.known.has_file(path) && path.is_file());
        let there: Vec<PathBuf> = there.cloned().collect();
        let changes: Vec<Change> = there.iter().flat_map(|path| self.known.refresh(path)).collect();
        if changes.is_empty() {
            return;
        }
        let outcome = self.apply(&changes, services);
        for one in &outcome.affected {
            if let Lead::Build { generated: false, .. } = one.lead {
                let digest = self.plan.digest(one.service);
                let changed = Changed { digest, since, settled: false, restart: false };
                services[one.service].send(Input::Changed(changed));
            }
        }
        self.early.absorb(outcome);
    }

    /// Finds out what `changes` lead to, and sets about what does not depend on the save being complete.
    fn apply(&mut self, changes: &[Change], services: &[Service]) -> Outcome {
        let outcome = self.plan.apply(changes);
        for &(service, step) in &outcome.steps {
            services[service].send(Input::Feeds { step });
        }
        self.lister.ask(&outcome.relist, SystemTime::now());
        outcome
    }

    /// Closes the batch if it is due. Returns when it began, if the configuration is among what was saved.
    pub fn tick(
        &mut self,
        now: Instant,
        watch: &Watch,
        order: &mut Order,
        services: &[Service],
    ) -> Option<Instant> {
        if self.paused {
            return None;
        }
        let checkout = self.repositories.iter().any(Repository::is_locked);
        if std::mem::replace(&mut self.checkout, checkout) && !checkout {
            // It may have been quicker than whoever tells of it, and silence alone does not tell that.
            watch.hear();
            self.unheard += 1;
        }
        let held = self.is_held();
        let batch = self.debounce.close(now, || held)?;
        self.batch(&batch, order, services);
        let reconfigured = batch.paths.iter().any(|path| self.config_files.contains(path));
        reconfigured.then_some(batch.since)
    }

    /// Whether it is too early to tell what was saved: a checkout is under way, or it is being found out which
    /// files count.
    fn is_held(&self) -> bool {
        self.unread
            || !self.unlisted.is_empty()
            || self.uncovered.is_some()
            || self.unheard > 0
            || self.repositories.iter().any(Repository::is_locked)
    }

    /// Everything has been told that the first of the checkouts in question has written.
    pub fn heard(&mut self) {
        self.unheard = self.unheard.saturating_sub(1);
    }

    /// Finds out what a batch really changed, and tells those whom it concerns.
    fn batch(&mut self, batch: &Batch, order: &mut Order, services: &[Service]) {
        // The go command takes too long to be waited for.
        self.unlisted.iter().for_each(|&service| self.plan.go_by_directory(service));
        let changes: Vec<Change> = batch.paths.iter().flat_map(|path| self.known.refresh(path)).collect();
        let mut outcome = std::mem::take(&mut self.early);
        outcome.absorb(self.apply(&changes, services));
        let is_reload = |one: &&Affected| matches!(one.lead, Lead::Build { generated: false, .. });
        let reloads = outcome.affected.iter().filter(is_reload).map(|one| one.service).collect();
        // Before they are told of the change: otherwise a quick one might have started already.
        order.reload(&reloads).into_iter().for_each(|service| services[service].send(Input::Hold(true)));
        for one in &outcome.affected {
            self.tell_affected(one, batch.since, services);
        }
        self.tell_unchanged(batch, &outcome.affected, services);
        // A new directory may hold what is embedded; what lies in it was not seen.
        let dirs = batch.paths.iter().filter(|path| path.is_dir());
        let concerned = dirs.flat_map(|dir| self.plan.graph().looks_into(dir)).collect();
        self.lister.ask(&concerned, SystemTime::now());
    }

    fn tell_affected(&self, one: &Affected, since: Instant, services: &[Service]) {
        let service = &services[one.service];
        let tell = |fact| self.tell.fact(Some(service.name()), fact);
        let names = plan::list(&one.paths);
        let verdict = |rung, reason| tell(Fact::Verdict { rung, reason });
        // The time that a save has waited because it was to wait is not that of its reload.
        let begun = self.resumed.map_or(since, |resumed| since.max(resumed));
        // Taken when it is sent: a listing may have come in between.
        let digest = self.plan.digest(one.service);
        match one.lead {
            Lead::Build { restart, generated } => {
                tell(Fact::Change { paths: one.paths.clone() });
                if generated {
                    service.send(Input::Generated { digest, since });
                    return;
                }
                let rung = if self.patched.contains(&one.service) { Rung::Patch } else { Rung::Restart };
                verdict(rung, format!("{names} changed"));
                let changed = Changed { digest, since: begun, settled: true, restart };
                service.send(Input::Changed(changed));
            }
            Lead::Cosmetic => {
                tell(Fact::Change { paths: one.paths.clone() });
                verdict(
                    Rung::Nothing,
                    format!("only comments or formatting changed in {names}; nothing to do"),
                );
                service.send(Input::Touched { since, generated: false });
            }
            Lead::Idle(idle) => {
                verdict(Rung::Nothing, idle_words(&names, idle));
                service.send(Input::Beside { since });
            }
        }
    }

    /// Every save gets a verdict, one that changed nothing too. A build that runs meanwhile may have read it
    /// half-written, so the service hears of it as well.
    fn tell_unchanged(&self, batch: &Batch, affected: &[Affected], services: &[Service]) {
        let mut unchanged: BTreeMap<usize, Unchanged> = BTreeMap::new();
        for path in &batch.paths {
            let there = self.known.has_file(path);
            for (service, (shown, idle)) in self.plan.concerned(path) {
                let one = unchanged.entry(service).or_default();
                match idle {
                    Some(idle) => one.idle.push((shown, idle)),
                    None => {
                        one.counts = true;
                        one.by_hand |= !self.plan.part(service, path).generated;
                        // What came and went within the batch is nothing to tell of, but may have been read too.
                        one.same.extend(there.then_some(shown));
                    }
                }
            }
        }
        unchanged.retain(|&service, _| affected.iter().all(|one| one.service != service));
        for (index, one) in unchanged {
            let service = &services[index];
            let verdict =
                |reason| self.tell.fact(Some(service.name()), Fact::Verdict { rung: Rung::Nothing, reason });
            if !one.same.is_empty() {
                verdict(format!("{} saved with the same content; nothing to do", plan::list(&one.same)));
            } else if let Some((_, idle)) = one.idle.first() {
                let names: Vec<String> = one.idle.iter().map(|(shown, _)| shown.clone()).collect();
                verdict(idle_words(&plan::list(&names), *idle));
            }
            if one.counts {
                service.send(Input::Touched { since: batch.since, generated: !one.by_hand });
            }
        }
    }
}

fn patched(config: &Config) -> BTreeSet<usize> {
    let services = config.services.iter().enumerate();
    services.filter(|(_, service)| service.patch.is_some()).map(|(index, _)| index).collect()
}

fn repositories(config: &Config) -> BTreeSet<Repository> {
    config.services.iter().filter_map(|service| Repository::of(&service.dir)).collect()
}

fn idle_words(names: &str, idle: Idle) -> String {
    match idle {
        Idle::Test => format!("{names}: no service is built from tests; nothing to do"),
        Idle::Excluded => format!("{names}: left out by build constraints; nothing to do"),
    }
}
