//! What a round leads to, in words: what went over, what cannot be done and why, conflicts, and why a pair has halted.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Instant, SystemTime};

use hotwatch_helper::entry::Rel;
use hotwatch_helper::filter::CONFLICT;
use hotwatch_helper::replica::Refusal;

use super::actor::Actor;
use super::agreed::{Conflict, Copy};
use super::far::Far;
use super::link::flow;
use super::reconcile::{Flow, Halt, Side};
use super::rounds::{Led, TROUBLE};
use crate::config::Target;
use crate::record::{Event, Level, Rung};

/// How many troubles of a pair are listed.
const TROUBLES: usize = 20;

impl Actor {
    /// Why a pair has halted, in words.
    pub(super) fn words(&self, number: usize, halt: Halt) -> String {
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
            (Side::Theirs, Flow::Reverse { .. }) => ["leave here what is here", "delete here as well"],
            (Side::Theirs, _) => ["bring back what is here", "delete here as well"],
        };
        format!(
            "{place} {lost}; nothing is deleted before you say so: `hotwatch sync resolve {source} --ours` to {ours}, \
             `--theirs` to {theirs}"
        )
    }

    pub(super) fn halt(&mut self, at: usize, number: usize, halt: Option<Halt>, words: &str) {
        let new = Some((halt, words.to_owned()));
        let before = std::mem::replace(&mut self.links[at].halves[number].halted, new.clone());
        if before != new {
            self.notice(Level::Error, format!("{} has halted: {words}", self.pairs[number].config));
        }
        self.again.get_or_insert_with(|| Instant::now() + TROUBLE);
        self.show_halts(number);
    }

    pub(super) fn go_on_after_halt(&mut self, at: usize, number: usize) {
        if self.links[at].halves[number].halted.take().is_some() {
            self.show_halts(number);
        }
    }

    /// Has the status say whether a pair has halted, at any link.
    fn show_halts(&self, number: usize) {
        let halted = self.links.iter().find_map(|link| link.halves[number].halted.clone());
        self.status.with(|status| status.pairs[number].halted = halted.map(|(_, words)| words));
    }

    /// What was refused, in words.
    pub(super) fn refused(
        &self,
        at: usize,
        number: usize,
        side: Side,
        path: &Rel,
        refusal: &Refusal,
    ) -> Option<String> {
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
                        let owner = match self.config.to {
                            Target::Container { .. } => ", or set `owner` to have root write it",
                            _ => "",
                        };
                        format!(" for the user {}; let it belong to that user{owner}", session.uid)
                    }
                    _ => String::new(),
                };
                format!("`{place}`{there} cannot be written{user}: {why}")
            }
            Refusal::Failed(why) => format!("`{place}`{there} cannot be written: {why}"),
        })
    }

    pub(super) fn tell_conflict(&self, number: usize, conflict: &Conflict) {
        let (path, kept) = (&conflict.path, copy_name(conflict));
        let place = path.below(&self.pairs[number].config.source);
        let message = format!(
            "both sides have changed `{path}`; what the target had is kept in `{kept}`; say who is right: `hotwatch sync \
             resolve {} --ours`, or `--theirs`",
            place.display()
        );
        self.notice(Level::Warning, message);
    }

    /// Keeps the status current, and tells what cannot be done, once.
    pub(super) fn took_note(&mut self, at: usize, number: usize, moved: bool) {
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

    pub(super) fn tell_round(&self, at: usize, number: usize, led: &Led, all: bool, since: Instant) {
        let pair = &self.pairs[number].config;
        let is_fine = self.links[at].halves[number].trouble.is_empty();
        if led.ours.is_empty() && led.theirs.is_empty() && !(all && is_fine) {
            return;
        }
        let tell = |event| self.surroundings.tell.fact(Some(&self.name), event);
        let shown = |root: &Path, paths: &[Rel]| {
            let each = |path: &Rel| match path.below(root).display().to_string() {
                // The source itself, which is the service's directory.
                path if path.is_empty() => ".".to_owned(),
                path => path,
            };
            paths.iter().map(each).collect::<Vec<_>>()
        };
        if !all {
            let written = Path::new(&pair.source_as_written);
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
}

/// Where the loser of a conflict is.
pub(super) fn copy_name(conflict: &Conflict) -> String {
    match &conflict.copy {
        Copy::Beside(copy) => copy.to_string(),
        Copy::Kept(copy) => copy.display().to_string(),
    }
}

/// What is put behind the name of what loses a conflict with `host` at that time.
pub(super) fn suffix(host: &str, at: SystemTime) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' };
    let host: String = host.rsplit('/').next().unwrap_or(host).chars().map(plain).collect();
    let time = humantime::format_rfc3339_millis(at).to_string().replace([':', '-'], "");
    format!("{CONFLICT}{host}-{time}")
}

/// A size as people read it.
pub(super) fn size(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} bytes"),
        1_000..1_000_000 => format!("{} KB", bytes / 1_000),
        _ => format!("{} MB", bytes / 1_000_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn what_loses_is_named_after_the_target_and_the_time() {
        let at = std::time::UNIX_EPOCH + Duration::from_millis(1_700_000_000_123);
        assert_eq!(suffix("web", at), ".conflict-web-20231114T221320.123Z");
        assert_eq!(suffix("/srv/a b", at), ".conflict-a-b-20231114T221320.123Z");
    }
}
