//! Rounds: what has changed is looked at, planned and carried out, again until nothing is left to do; then it is told,
//! and what is to run in the target after it runs.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant, SystemTime};

use hotwatch_helper::entry::{Entry, Rel};
use hotwatch_helper::replica::{Expect, Refusal};

use super::agreed::{Conflict, Copy};
use super::far::Far;
use super::link::{Pending, comes_back, flow, is_within, wire};
use super::reconcile::{self, Flow, Halt, Side};
use super::round::{Progress, Sides};
use super::session::Lost;
use super::{Actor, Report, TROUBLE, root};
use crate::config;
use crate::record::{Event, Level, Rung, Stream};

/// How often what has changed meanwhile is looked at before others get their turn.
const TRIES: usize = 6;

/// From how long a round takes on it is told how far it has come, and how often.
const LONG: Duration = Duration::from_secs(1);

/// How many troubles of a pair are listed.
const TROUBLES: usize = 20;

/// What a round has led to.
#[derive(Default)]
struct Led {
    ours: Vec<Rel>,
    theirs: Vec<Rel>,
    files: usize,
    bytes: u64,
}

impl Actor {
    /// Does what is pending, at all links; the change behind it was noticed at `since`, if that is known.
    pub(super) fn rounds(&mut self, since: Option<Instant>) {
        let since = since.unwrap_or_else(Instant::now);
        let mut at = 0;
        while at < self.links.len() {
            match self.rounds_at(at, since) {
                Ok(()) => at += 1,
                Err(why) => self.lose(at, why),
            }
        }
    }

    fn rounds_at(&mut self, at: usize, since: Instant) -> Result<(), Lost> {
        let (mut arrived, first) = (false, !std::mem::replace(&mut self.links[at].began, true));
        for number in 0..self.pairs.len() {
            let half = &mut self.links[at].halves[number];
            if half.pending.is_empty() {
                continue;
            }
            let pending = std::mem::take(&mut half.pending);
            let led = self.round(at, number, pending, since)?;
            arrived |= !led.theirs.is_empty();
        }
        if arrived {
            self.failure = self.after_sync(at)?.err();
        }
        let renews = match self.config.restart {
            config::Restart::None => false,
            // What runs in a container was started with it.
            config::Restart::Recreate => arrived,
            // What was started before the target was is gone with it.
            config::Restart::Supervise | config::Restart::Override => arrived || first,
        };
        if renews && self.failure.is_none() {
            (self.report)(Report::Renewed { since, at: Instant::now() });
        }
        Ok(())
    }

    /// Makes the two sides of a pair agree at what is `pending`.
    fn round(&mut self, at: usize, number: usize, pending: Pending, since: Instant) -> Result<Led, Lost> {
        let flow = flow(self.pairs[number].config.mode);
        let all = pending == Pending::Everything;
        let mut scope = pending.scope();
        if matches!(self.links[at].far, Far::Archive(_)) && flow != (Flow::OneWay { replica: false }) {
            self.halt(number, "this mode needs the helper in the target");
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
            if let Some(halt) = self.is_halted(at, number, flow) {
                let words = self.words(number, halt);
                self.halt(number, &words);
                self.links[at].halves[number].pending = Pending::default();
                return Ok(led);
            }
            self.status.with(|status| status.pairs[number].halted = None);
            let plan = {
                let half = &self.links[at].halves[number];
                let (base, ours, theirs) = (half.agreed.tree(), &self.pairs[number].ours, &half.theirs);
                reconcile::plan(flow, reconcile::Trees { base, ours, theirs }, &scope)
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
            done.conflicts.iter().for_each(|conflict| self.tell_conflict(conflict));
            for (side, path, refusal) in done.trouble {
                match refusal {
                    // It is the target's own then, or what takes no part.
                    Refusal::NotEmpty if !comes_back(flow) => self.let_go(at, number, &path)?,
                    refusal => {
                        let words = self.refused(at, number, side, &path, &refusal);
                        trouble.extend(words.map(|words| (path, words)));
                    }
                }
            }
            (scope, look) = (done.again, true);
            if scope.is_empty() {
                break;
            }
            if attempt + 1 == TRIES {
                // Somebody writes all the time. The rest is for the next event, or for a while later.
                self.again = Some(Instant::now() + TROUBLE);
                let changes = |path: &Rel| (path.clone(), format!("`{path}` changes while it is synced"));
                trouble.extend(scope.iter().map(changes));
                break;
            }
        }
        self.links[at].halves[number].accepted = false;
        self.settle_conflicts(at, number)?;
        let before = &mut self.links[at].halves[number].trouble;
        before.retain(|path, _| !is_within(path, &looked_at));
        before.extend(trouble);
        self.took_note(at, number, !led.ours.is_empty() || !led.theirs.is_empty());
        self.tell_round(number, &led, all, since);
        Ok(led)
    }

    /// Before everything is compared: what both sides need to be there, and to tell of changes.
    fn prepare(&mut self, at: usize, number: usize, flow: Flow) -> Result<(), Lost> {
        let pair = &mut self.pairs[number];
        let is_new = self.links[at].halves[number].agreed.tree().is_bare();
        if is_new && !pair.config.source.exists() && comes_back(flow) {
            // A directory, if it is none there: what comes takes its place then.
            let made = std::fs::create_dir_all(&pair.config.source);
            if let Err(error) = made {
                self.notice(
                    Level::Error,
                    format!("cannot make `{}`: {error}", self.pairs[number].config.source.display()),
                );
            }
            self.watch(number);
        }
        let pair = &self.pairs[number];
        if !comes_back(flow) {
            return Ok(());
        }
        let there = root(&self.config.to, &pair.config);
        let link = &mut self.links[at];
        let Far::Helper(session) = &mut link.far else { return Ok(()) };
        let nothing = session.scan(wire(number), vec![Rel::root()], false)?.is_empty();
        if is_new && nothing && !pair.config.source.is_file() {
            let made = (&Rel::root(), Expect::Exactly(None), &Entry::Dir);
            session.put(wire(number), made, 0o755, &mut std::io::empty(), |_| {})?;
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

    /// Why a pair has halted, in words.
    fn words(&self, number: usize, halt: Halt) -> String {
        let pair = &self.pairs[number].config;
        let (place, source) = match halt.side {
            Side::Ours => (format!("`{}`", pair.source.display()), pair.source.display().to_string()),
            Side::Theirs => (format!("`{}` in the target", pair.target), pair.source.display().to_string()),
        };
        let lost = if halt.gone { "is gone" } else { "is suddenly empty" };
        let [ours, theirs] = match (halt.side, flow(pair.mode)) {
            (Side::Ours, Flow::OneWay { .. }) => {
                ["delete in the target as well", "leave there what is there"]
            }
            (Side::Ours, _) => ["delete in the target as well", "bring back what is there"],
            (Side::Theirs, _) => ["bring back what is here", "delete here as well"],
        };
        format!(
            "{place} {lost}; nothing is deleted before you say so: `hotwatch sync resolve {source} --ours` to {ours}, \
             `--theirs` to {theirs}"
        )
    }

    fn halt(&mut self, number: usize, words: &str) {
        let before = self.status.with(|status| status.pairs[number].halted.replace(words.to_owned()));
        if before.as_deref() != Some(words) {
            self.notice(Level::Error, format!("{} has halted: {words}", self.pairs[number].config));
        }
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
            keep: &keep,
            suffix: &suffix,
        };
        sides.carry_out(plan, &mut progress)
    }

    /// What stands at `path` in the target is its own from now on.
    fn let_go(&mut self, at: usize, number: usize, path: &Rel) -> Result<(), Lost> {
        let half = &mut self.links[at].halves[number];
        Ok(half.agreed.agree(vec![(path.clone(), None)])?)
    }

    /// What was refused, in words.
    fn refused(&self, at: usize, number: usize, side: Side, path: &Rel, refusal: &Refusal) -> Option<String> {
        let pair = &self.pairs[number].config;
        let place = match side {
            Side::Ours => path.below(&pair.source).display().to_string(),
            Side::Theirs => path.below(pair.target.as_ref()).display().to_string(),
        };
        let there = if side == Side::Theirs { " in the target" } else { "" };
        Some(match refusal {
            Refusal::Differs => return None,
            Refusal::NotEmpty => format!("`{place}`{there} stays: it holds what takes no part in the sync"),
            Refusal::Full => format!("`{place}`{there} cannot be written: the disk is full; free some space"),
            Refusal::Denied(why) => {
                let user = match &self.links[at].far {
                    Far::Helper(session) if side == Side::Theirs => {
                        format!(
                            " for the user {}; let it belong to that user, or set `owner` to have root write it",
                            session.uid
                        )
                    }
                    _ => String::new(),
                };
                format!("`{place}`{there} cannot be written{user}: {why}")
            }
            Refusal::Failed(why) => format!("`{place}`{there} cannot be written: {why}"),
        })
    }

    /// Conflicts whose losers are gone, on both sides, are no more.
    fn settle_conflicts(&mut self, at: usize, number: usize) -> Result<(), Lost> {
        let ours = &self.pairs[number].ours;
        let half = &mut self.links[at].halves[number];
        let solved = |conflict: &&Conflict| match &conflict.copy {
            Copy::Beside(copy) => ours.get(copy).is_none() && half.theirs.get(copy).is_none(),
            Copy::Kept(copy) => !copy.exists(),
        };
        let solved: Vec<Conflict> = half.agreed.conflicts().iter().filter(solved).cloned().collect();
        for conflict in solved {
            half.agreed.solved(&conflict)?;
        }
        Ok(())
    }

    fn tell_conflict(&self, conflict: &Conflict) {
        let kept = copy_name(conflict);
        let message = format!(
            "both sides have changed `{}`; what the target had is kept in `{kept}`; say who is right with `hotwatch sync \
             resolve`",
            conflict.path
        );
        self.notice(Level::Warning, message);
    }

    /// Keeps the status current, and tells what cannot be done, once.
    fn took_note(&mut self, at: usize, number: usize, moved: bool) {
        let half = &self.links[at].halves[number];
        let conflicts =
            half.agreed.conflicts().iter().map(|it| (it.path.to_string(), copy_name(it))).collect();
        let (files, bytes) = (half.agreed.tree().files(), half.agreed.tree().bytes());
        let all = || self.links.iter().flat_map(|link| &link.halves).flat_map(|half| half.trouble.values());
        self.told_trouble.retain(|told| all().any(|words| words == told));
        // Another pod may have the same.
        let here = self.links.iter().flat_map(|link| link.halves[number].trouble.values());
        let mut trouble: Vec<String> = here.cloned().collect::<BTreeSet<_>>().into_iter().collect();
        for words in trouble.iter().take(TROUBLES) {
            if self.told_trouble.insert(words.clone()) {
                self.notice(Level::Warning, words);
            }
        }
        if trouble.len() > TROUBLES {
            let more = trouble.len() - TROUBLES;
            trouble.truncate(TROUBLES);
            trouble.push(format!("{more} more"));
        }
        if !trouble.is_empty() {
            // A disk may be less full by then, however often something else is saved meanwhile.
            self.again.get_or_insert_with(|| Instant::now() + TROUBLE);
        }
        self.status.with(|status| {
            let pair = &mut status.pairs[number];
            (pair.files, pair.bytes, pair.conflicts, pair.trouble) = (files, bytes, conflicts, trouble);
            if moved {
                pair.last = Some(SystemTime::now());
            }
        });
    }

    fn tell_round(&self, number: usize, led: &Led, all: bool, since: Instant) {
        let pair = &self.pairs[number].config;
        if led.ours.is_empty() && led.theirs.is_empty() && !all {
            return;
        }
        let tell = |event| self.surroundings.tell.fact(Some(&self.name), event);
        let shown = |root: &std::path::Path, paths: &[Rel]| {
            paths.iter().map(|path| path.below(root).display().to_string()).collect::<Vec<_>>()
        };
        if !all {
            let written = std::path::Path::new(&pair.source_as_written);
            let written = written.strip_prefix(".").unwrap_or(written);
            let mut paths = shown(written, &led.theirs);
            paths.extend(shown(pair.target.as_ref(), &led.ours));
            let reason = format!("{} changed", crate::plan::list(&paths));
            tell(Event::Change { paths });
            tell(Event::Verdict { rung: Rung::Sync, reason });
        }
        let ms = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
        tell(Event::Synced { pair: pair.to_string(), files: led.files, bytes: led.bytes, ms });
    }

    /// Runs what is to run in the target after a round; whether it has succeeded.
    fn after_sync(&mut self, at: usize) -> Result<Result<(), String>, Lost> {
        if self.config.post_sync.is_empty() {
            return Ok(Ok(()));
        }
        let (tell, name) = (self.surroundings.tell.clone(), self.name.clone());
        let mut lines = Lines::default();
        let mut show = |stderr: bool, piece: &[u8]| {
            let stream = if stderr { Stream::Stderr } else { Stream::Stdout };
            lines.take(stderr, piece, |line| tell.line(&name, stream, line, false));
        };
        let longest = self.config.post_sync_timeout;
        let pair = self
            .pairs
            .first()
            .map(|pair| (pair.config.source.is_file(), root(&self.config.to, &pair.config)));
        let dir = match pair {
            Some((false, root)) => root,
            _ => "/".into(),
        };
        let (words, link) = (&self.config.post_sync, &mut self.links[at]);
        let begun = Instant::now();
        let failure = match &mut link.far {
            Far::Helper(session) => session.run(words, &dir, longest, &mut show)?,
            Far::Archive(archive) => archive.run(words, longest, &mut show).err(),
        };
        lines.rest(|stderr, line| {
            let stream = if stderr { Stream::Stderr } else { Stream::Stdout };
            tell.line(&name, stream, line, false);
        });
        let shown = words.join(" ");
        Ok(match failure {
            None => {
                let ms = begun.elapsed().as_millis();
                self.notice(Level::Info, format!("`{shown}` has run in the target, {ms} ms"));
                Ok(())
            }
            Some(why) => {
                let message = format!("`post_sync` failed in the target: {why}");
                self.notice(Level::Error, message.clone());
                Err(message)
            }
        })
    }
}

/// Where the loser of a conflict is.
pub(super) fn copy_name(conflict: &Conflict) -> String {
    match &conflict.copy {
        Copy::Beside(copy) => copy.to_string(),
        Copy::Kept(copy) => copy.display().to_string(),
    }
}

/// What is put behind the name of what loses a conflict with `host` at that time.
fn suffix(host: &str, at: SystemTime) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' };
    let host: String = host.rsplit('/').next().unwrap_or(host).chars().map(plain).collect();
    let time = humantime::format_rfc3339_millis(at).to_string().replace([':', '-'], "");
    format!(".conflict-{host}-{time}")
}

/// A size as people read it.
fn size(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} bytes"),
        1_000..1_000_000 => format!("{} KB", bytes / 1_000),
        _ => format!("{} MB", bytes / 1_000_000),
    }
}

/// Lines of what comes in pieces, of two streams.
#[derive(Default)]
struct Lines([Vec<u8>; 2]);

impl Lines {
    fn take(&mut self, stderr: bool, piece: &[u8], mut each: impl FnMut(Vec<u8>)) {
        let open = &mut self.0[usize::from(stderr)];
        open.extend_from_slice(piece);
        while let Some(end) = open.iter().position(|&byte| byte == b'\n') {
            let rest = open.split_off(end + 1);
            let mut line = std::mem::replace(open, rest);
            line.pop();
            each(line);
        }
    }

    fn rest(self, mut each: impl FnMut(bool, Vec<u8>)) {
        let open = [false, true].into_iter().zip(self.0);
        open.filter(|(_, line)| !line.is_empty()).for_each(|(stderr, line)| each(stderr, line));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_loses_is_named_after_the_target_and_the_time() {
        let at = std::time::UNIX_EPOCH + Duration::from_millis(1_700_000_000_123);
        assert_eq!(suffix("web", at), ".conflict-web-20231114T221320.123Z");
        assert_eq!(suffix("/srv/a b", at), ".conflict-a-b-20231114T221320.123Z");
    }
}
