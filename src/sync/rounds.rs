//! Rounds: what has changed is looked at, planned and carried out, again until nothing is left to do; then it is told,
//! and what is to run in the target after it runs.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant, SystemTime};

use hotwatch_helper::entry::{Entry, Rel};
use hotwatch_helper::replica::{Expect, Refusal};

use super::actor::Actor;
use super::agreed::{Conflict, Copy};
use super::far::Far;
use super::link::{Pending, comes_back, flow, is_within, wire};
use super::reach::RETRY;
use super::reconcile::{self, Flow, Halt, Side};
use super::round::{Progress, Sides};
use super::session::Lost;
use super::telling::{size, suffix};
use super::{Report, root};
use crate::config;
use crate::record::Level;

/// How often what has changed meanwhile is looked at before others get their turn.
const TRIES: usize = 6;

/// From how long a round takes on it is told how far it has come, and how often.
const LONG: Duration = Duration::from_secs(1);

/// After this much time what could not be done is tried again.
pub(super) const TROUBLE: Duration = Duration::from_secs(10);

/// What a round has led to.
#[derive(Default)]
pub(super) struct Led {
    pub(super) ours: Vec<Rel>,
    pub(super) theirs: Vec<Rel>,
    pub(super) files: usize,
    pub(super) bytes: u64,
    /// Whether something here is another than what was agreed on last.
    pub(super) news: bool,
}

impl Actor {
    /// Does what is pending, at all links; the change behind it was noticed at `since`, if that is known.
    pub(super) fn rounds(&mut self, since: Option<Instant>) {
        let since = since.unwrap_or_else(Instant::now);
        let mut renewed: Option<bool> = None;
        let mut at = 0;
        while at < self.links.len() {
            match self.rounds_at(at, since) {
                Ok(outcome) => {
                    renewed = renewed.max(outcome);
                    self.pause = RETRY.0;
                    at += 1;
                }
                Err(why) => self.lose(at, why),
            }
        }
        self.tell_away();
        if let Some(runs) = renewed {
            (self.report)(Report::Renewed { since, at: Instant::now(), runs });
        }
    }

    /// Tells whether the target is out of reach, if that is known, and new.
    fn tell_away(&mut self) {
        // A container whose program has ended is not lost before somebody has looked for it.
        let is_lost = self.told_lost.is_some()
            || self.hopeless.is_some()
            || (self.away == Some(false) && self.config.restart != config::Restart::Recreate);
        let away = self.links.is_empty();
        if (!away || is_lost) && self.away.replace(away) != Some(away) {
            (self.report)(Report::Away(away));
        }
    }

    /// Whether there is something new to tell, and whether what runs is to be started anew for it.
    fn rounds_at(&mut self, at: usize, since: Instant) -> Result<Option<bool>, Lost> {
        let link = &mut self.links[at];
        let first = !std::mem::replace(&mut link.began, true);
        let had_failed = link.failure.is_some() || link.halves.iter().any(|half| half.halted.is_some());
        let (mut arrived, mut news, mut anew) = (false, false, first);
        for number in 0..self.pairs.len() {
            let half = &mut self.links[at].halves[number];
            if half.pending.is_empty() {
                continue;
            }
            let pending = std::mem::take(&mut half.pending);
            anew |= pending == Pending::Everything;
            let led = self.round(at, number, pending, since)?;
            arrived |= !led.theirs.is_empty();
            news |= led.news;
        }
        if arrived || (anew && self.is_post_sync_due()) {
            self.links[at].failure = self.after_sync(at)?.err();
        }
        let link = &self.links[at];
        let fails = link.failure.is_some() || link.halves.iter().any(|half| half.halted.is_some());
        let runs = match self.config.restart {
            config::Restart::None => false,
            // What runs in a container was started with it, and may itself have changed what is put back then.
            config::Restart::Recreate => {
                if first {
                    news
                } else {
                    arrived
                }
            }
            // What was started before the target was is gone with it. It runs in the first.
            config::Restart::Supervise | config::Restart::Override => at == 0 && (arrived || first),
        };
        Ok((!fails && (runs || had_failed)).then_some(runs))
    }

    /// Makes the two sides of a pair agree at what is `pending`.
    fn round(&mut self, at: usize, number: usize, pending: Pending, since: Instant) -> Result<Led, Lost> {
        let flow = flow(self.pairs[number].config.mode);
        if matches!(&self.links[at].far, Far::Archive(it) if it.stands() && flow != (Flow::OneWay { replica: false }))
        {
            // Everything is compared when somebody is there again who can do that.
            return Ok(Led::default());
        }
        let all = pending == Pending::Everything;
        let mut scope = pending.scope();
        if matches!(self.links[at].far, Far::Archive(_)) && flow != (Flow::OneWay { replica: false }) {
            self.halt(at, number, None, "this mode needs the helper in the target");
            return Ok(Led::default());
        }
        if self.links.len() > 1 && comes_back(flow) {
            self.halt(at, number, None, "files come back from one pod only; say with `pod` from which");
            return Ok(Led::default());
        }
        if all {
            self.prepare(at, number, flow)?;
        }
        let (mut led, looked_at) = (Led::default(), scope.clone());
        let mut trouble: BTreeMap<Rel, String> = BTreeMap::new();
        // What could not be done there may have been done by somebody else since.
        let retried = self.links[at].halves[number].trouble.keys().any(|path| is_within(path, &scope));
        let mut look = all || comes_back(flow) || retried;
        for attempt in 0..TRIES {
            self.look(at, number, flow, &scope, look)?;
            let mut halt = self.is_halted(at, number, flow);
            if halt.is_some() && !scope.contains(&Rel::root()) {
                // All files seem gone. Whether the root is as well was not looked at.
                scope = BTreeSet::from([Rel::root()]);
                self.look(at, number, flow, &scope, true)?;
                halt = self.is_halted(at, number, flow);
            }
            if let Some(halt) = halt {
                let words = self.words(number, halt);
                self.halt(at, number, Some(halt), &words);
                return Ok(led);
            }
            self.go_on_after_halt(at, number);
            let plan = {
                let half = &self.links[at].halves[number];
                let (base, ours, theirs) = (half.agreed.tree(), &self.pairs[number].ours, &half.theirs);
                let plan = reconcile::plan(flow, reconcile::Trees { base, ours, theirs }, &scope);
                led.news |= plan.steps.iter().any(|step| ours.get(step.path()) != base.get(step.path()));
                plan
            };
            trouble.retain(|path, _| !is_within(path, &scope));
            let left_alone =
                |(path, why): &(Rel, String)| (path.clone(), format!("`{path}` {why}; it is left alone"));
            trouble.extend(plan.opaque.iter().map(left_alone));
            let done = self.carry_out(at, number, plan)?;
            for (side, path) in done.paths {
                if side == Side::Ours { led.ours.push(path) } else { led.theirs.push(path) }
            }
            led.files += done.files;
            led.bytes += done.bytes;
            done.conflicts.iter().for_each(|conflict| self.tell_conflict(number, conflict));
            for (side, path, refusal) in done.trouble {
                match refusal {
                    // It is the target's own then, or what takes no part.
                    Refusal::NotEmpty if self.is_let_go(number, flow, &path) => {
                        self.let_go(at, number, &path)?;
                    }
                    refusal => {
                        let words = self.refused(at, number, side, &path, &refusal);
                        trouble.extend(words.map(|words| (path, words)));
                    }
                }
            }
            (scope, look) = (done.again, true);
            if !comes_back(flow) {
                // It will not be empty the next time either.
                scope.retain(|path| !trouble.contains_key(path));
            }
            if scope.is_empty() {
                break;
            }
            if attempt + 1 == TRIES {
                // Somebody writes all the time. The rest is for the next event, or for a while later.
                self.again = Some(Instant::now() + TROUBLE);
                let changes = |path: &Rel| (path.clone(), format!("`{path}` changes while it is synced"));
                for (path, words) in scope.iter().map(changes) {
                    trouble.entry(path).or_insert(words);
                }
                break;
            }
        }
        self.links[at].halves[number].accepted = false;
        self.settle_conflicts(at, number)?;
        let before = &mut self.links[at].halves[number].trouble;
        before.retain(|path, _| !is_within(path, &looked_at));
        before.extend(trouble);
        self.took_note(at, number, !led.ours.is_empty() || !led.theirs.is_empty());
        self.tell_round(at, number, &led, all, since);
        Ok(led)
    }

    /// Before everything is compared: what both sides need to be there, and to tell of changes.
    fn prepare(&mut self, at: usize, number: usize, flow: Flow) -> Result<(), Lost> {
        let is_new = self.links[at].halves[number].agreed.tree().is_bare();
        let theirs = match &mut self.links[at].far {
            Far::Helper(session) if comes_back(flow) => {
                session.scan(wire(number), vec![Rel::root()], false)?.pop().map(|(_, entry)| entry)
            }
            _ => None,
        };
        let source = self.pairs[number].config.source.clone();
        if is_new && !source.exists() && comes_back(flow) {
            // A file takes its place itself.
            let is_file = theirs.as_ref().is_some_and(|entry| !entry.is_dir());
            let dir = if is_file { source.parent().unwrap_or(&source) } else { &source };
            if let Err(error) = std::fs::create_dir_all(dir) {
                self.notice(Level::Error, format!("cannot make `{}`: {error}", dir.display()));
            }
            if is_file && matches!(flow, Flow::TwoWay { .. }) {
                self.watch_source(number);
            }
        }
        if self.pairs[number].watching.is_none() {
            self.watch(number);
        }
        let pair = &self.pairs[number];
        let there = root(&self.config.to, &pair.config);
        let link = &mut self.links[at];
        let Far::Helper(session) = &mut link.far else { return Ok(()) };
        if !comes_back(flow) {
            return Ok(());
        }
        if is_new && theirs.is_none() && !source.is_file() {
            let made = (&Rel::root(), Expect::Exactly(None), &Entry::Dir);
            session.put(wire(number), made, 0o755, &mut std::io::empty())?;
            drop(session.settle()?);
        }
        if let Some(error) = link.open(number, &there, &pair.config, true)? {
            let message = format!("changes in the target are not seen as they happen: {error}");
            self.notice(Level::Warning, message);
        }
        Ok(())
    }

    /// Looks what stands at the paths of `scope` here, and if `there` in the target.
    fn look(
        &mut self,
        at: usize,
        number: usize,
        flow: Flow,
        scope: &BTreeSet<Rel>,
        there: bool,
    ) -> Result<(), Lost> {
        let pair = &mut self.pairs[number];
        for path in scope {
            let found = pair.near.scan(path);
            pair.ours.replace(path, found);
        }
        if there { self.links[at].look(number, flow, &self.pairs[number].ours, scope) } else { Ok(()) }
    }

    fn is_halted(&self, at: usize, number: usize, flow: Flow) -> Option<Halt> {
        let half = &self.links[at].halves[number];
        let (base, ours, theirs) = (half.agreed.tree(), &self.pairs[number].ours, &half.theirs);
        reconcile::halt(flow, reconcile::Trees { base, ours, theirs }).filter(|_| !half.accepted)
    }

    fn carry_out(
        &mut self,
        at: usize,
        number: usize,
        plan: reconcile::Plan,
    ) -> Result<super::round::Done, Lost> {
        let whole = Progress::whole(&plan);
        let (tell, name) = (self.surroundings.tell.clone(), self.name.clone());
        let mut next = Instant::now() + LONG;
        let mut progress = |so_far: Progress| {
            if Instant::now() >= next {
                next = Instant::now() + LONG;
                let [done, all] = [so_far.bytes, whole.bytes].map(size);
                let message = format!("syncing: {} of {} files, {done} of {all}", so_far.files, whole.files);
                tell.notice(Some(&name), Level::Info, message);
            }
        };
        let suffix = suffix(&self.links[at].instance.name, SystemTime::now());
        let keep = self.surroundings.state.join("kept").join(self.name.as_str());
        let (pair, link) = (&mut self.pairs[number], &mut self.links[at]);
        let half = &mut link.halves[number];
        let mut sides = Sides {
            number: wire(number),
            near: &mut pair.near,
            ours: &mut pair.ours,
            far: &mut link.far,
            theirs: &mut half.theirs,
            agreed: &mut half.agreed,
            ending: &self.ending,
            keep: &keep,
            suffix: &suffix,
        };
        sides.carry_out(plan, &mut progress)
    }

    /// Whether a directory that cannot be removed there stays, as the target's own.
    fn is_let_go(&self, number: usize, flow: Flow, path: &Rel) -> bool {
        !comes_back(flow) && self.pairs[number].ours.get(path).is_none()
    }

    /// What stands at `path` in the target is its own from now on.
    fn let_go(&mut self, at: usize, number: usize, path: &Rel) -> Result<(), Lost> {
        let half = &mut self.links[at].halves[number];
        half.agreed.agree(vec![(path.clone(), None)]).map_err(Lost::here)
    }

    /// Conflicts whose losers are gone, on both sides, are no more.
    fn settle_conflicts(&mut self, at: usize, number: usize) -> Result<(), Lost> {
        let ours = &self.pairs[number].ours;
        let half = &mut self.links[at].halves[number];
        let solved = |conflict: &&Conflict| match &conflict.copy {
            Copy::Beside(copy) => ours.get(copy).is_none() && half.theirs.get(copy).is_none(),
            Copy::Kept(copy) => copy.symlink_metadata().is_err(),
        };
        let solved: Vec<Conflict> = half.agreed.conflicts().iter().filter(solved).cloned().collect();
        for conflict in solved {
            half.agreed.solved(&conflict).map_err(Lost::here)?;
        }
        Ok(())
    }
}
