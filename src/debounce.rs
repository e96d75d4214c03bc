//! Gathers paths that may have changed into batches. A batch opens with the first event, closes after a short
//! silence, and never stays open longer than a bound, so that steady writes cannot starve it. While a checkout
//! is under way it is held, within a bound of its own. Pure: time comes in from outside.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The longest a batch stays open while events keep coming.
pub const LONGEST: Duration = Duration::from_millis(200);

/// The longest a batch is held for a checkout; a lock file that stays longer was left behind.
pub const LONGEST_HELD: Duration = Duration::from_secs(10);

/// The longest that it takes to hear of everything that a checkout has written, once that has ended.
const LONGEST_AFTER: Duration = Duration::from_secs(2);

/// Gathers events; one per watcher.
#[derive(Debug)]
pub struct Debounce {
    quiet: Duration,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    batch: Batch,
    closes: Instant,
    /// When it closes at the latest, although events keep coming.
    latest: Instant,
    /// Whether it was last seen held.
    held: bool,
    /// Whether it was ever held.
    is_checkout: bool,
}

/// What happened between the first event and the silence after the last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// When the first event was read.
    pub since: Instant,
    /// The paths that may have changed.
    pub paths: BTreeSet<PathBuf>,
}

impl Debounce {
    /// Batches close after `quiet` without an event.
    pub fn new(quiet: Duration) -> Debounce {
        Debounce { quiet, open: None }
    }

    /// Batches close after `quiet` from now on.
    pub fn set_quiet(&mut self, quiet: Duration) {
        self.quiet = quiet;
    }

    /// Takes in events that were read at `at`.
    pub fn push(&mut self, at: Instant, paths: impl IntoIterator<Item = PathBuf>) {
        let latest = at + LONGEST.max(self.quiet);
        let batch = || Batch { since: at, paths: BTreeSet::new() };
        let open = self.open.get_or_insert_with(|| Open {
            batch: batch(),
            closes: at,
            latest,
            held: false,
            is_checkout: false,
        });
        open.batch.paths.extend(paths);
        open.closes = (at + self.quiet).min(open.latest).max(open.closes);
    }

    /// Whether the open batch is, or was, held for a checkout. That makes more events than can be taken in as they
    /// are read, so silence is to be counted from when they are taken in.
    pub fn is_checkout(&self) -> bool {
        self.open.as_ref().is_some_and(|open| open.is_checkout)
    }

    /// When the open batch closes, as far as is known now.
    pub fn deadline(&self) -> Option<Instant> {
        self.open.as_ref().map(|open| open.closes)
    }

    /// Whether `path` is in the open batch.
    pub fn has(&self, path: &Path) -> bool {
        self.open.as_ref().is_some_and(|open| open.batch.paths.contains(path))
    }

    /// The batch, if it is due. `held` says whether a checkout is under way.
    pub fn close(&mut self, now: Instant, held: impl FnOnce() -> bool) -> Option<Batch> {
        let open = self.open.as_mut().filter(|open| open.closes <= now)?;
        let is_held = now < open.batch.since + LONGEST_HELD && held();
        open.is_checkout |= is_held;
        // What a checkout has written last may be read after its end: silence counts from there.
        if std::mem::replace(&mut open.held, is_held) || is_held {
            open.closes = now + self.quiet.max(Duration::from_millis(1));
            open.latest = now + LONGEST_AFTER.max(self.quiet);
            return None;
        }
        self.open.take().map(|open| open.batch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Write;

    /// Plays a trace: lines of `<ms> event PATH...`, `<ms> lock` and `<ms> unlock`; returns the batches as
    /// lines of `<ms> batch since=<ms> PATH...`.
    fn play(trace: &str) -> String {
        let start = Instant::now();
        let ms = |at: Instant| at.duration_since(start).as_millis();
        let mut debounce = Debounce::new(Duration::from_millis(20));
        let mut locked = false;
        let mut out = String::new();
        let mut close_until = |debounce: &mut Debounce, until: Option<Instant>, locked: bool| {
            while let Some(due) = debounce.deadline().filter(|&due| until.is_none_or(|until| due <= until)) {
                if let Some(batch) = debounce.close(due, || locked) {
                    let paths: Vec<_> = batch.paths.iter().map(|path| path.display().to_string()).collect();
                    writeln!(out, "{} batch since={} {}", ms(due), ms(batch.since), paths.join(" ")).unwrap();
                }
            }
        };
        for line in trace.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
            let mut words = line.split(' ');
            let at = start + Duration::from_millis(words.next().unwrap().parse().unwrap());
            match words.next().unwrap() {
                // An event that is read at the very moment a batch is due belongs to the next one.
                "event" => {
                    close_until(&mut debounce, Some(at), locked);
                    debounce.push(at, words.map(PathBuf::from));
                }
                word => {
                    close_until(&mut debounce, Some(at), locked);
                    locked = word == "lock";
                }
            }
        }
        close_until(&mut debounce, None, locked);
        out
    }

    #[test]
    fn traces() {
        let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/traces/debounce");
        let mut played = 0;
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap();
            let (trace, expected) = text.split_once("---\n").unwrap();
            assert_eq!(play(trace), expected, "{}", path.display());
            played += 1;
        }
        assert!(played >= 6, "{played} traces in {dir}");
    }
}
