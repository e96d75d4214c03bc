//! Watching a tree: a thread that tells which paths of it may have changed, never whether they did. It leaves out what
//! takes no part, and looks from time to time where the system reports nothing.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use hotwatch_platform::watch::poll::Poller;
use hotwatch_platform::watch::{Entry, Event, Scope, Waker, Watcher, mounts, native};

use crate::entry::Rel;
use crate::filter::Filter;

/// How often a tree is looked at that the system cannot watch.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// At the latest after this much time it is told what has happened, even if more goes on.
const LONGEST: Duration = Duration::from_millis(200);

/// What is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// These paths may have changed, each with all below it; the first of the events behind it was read then.
    Changed(Instant, Vec<Rel>),
    /// Anything may have changed.
    Everything,
    /// Something that the user should know.
    Warning(String),
    /// Nothing will be told any more.
    Failed(String),
}

/// The running watcher; dropping it ends and joins its thread.
#[derive(Debug)]
pub struct Watching {
    waker: Waker,
    ending: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Watching {
    /// Watches the directory `root`, or the one file that it is; every later change is told, after `quiet` without
    /// another.
    ///
    /// # Errors
    /// It cannot be watched, in words.
    pub fn start(
        root: &Path,
        filter: &Arc<Filter>,
        quiet: Duration,
        tell: impl Fn(Told) + Send + 'static,
    ) -> Result<Watching, String> {
        let lone = !root.is_dir();
        let top = if lone { root.parent().unwrap_or(root) } else { root };
        let ending = Arc::new(AtomicBool::new(false));
        let scope = || {
            Box::new(Below {
                root: root.to_owned(),
                lone,
                filter: Arc::clone(filter),
                ending: Arc::clone(&ending),
            })
        };
        let mut watcher = native(scope()).map_err(|error| error.to_string())?;
        let mut silent: Vec<String> = mounts::silent(top)
            .into_iter()
            .map(|silent| format!("is on {}, which reports no changes", silent.kind))
            .collect();
        let added = watcher.add(top).map_err(|error| error.to_string())?;
        if !added.unwatched.is_empty() {
            silent.push("has more directories than this user may watch".to_owned());
        }
        if let Some(reason) = silent.first() {
            let mut poller = Poller::new(scope(), POLL_INTERVAL);
            poller.add(top).map_err(|error| error.to_string())?;
            watcher = Box::new(poller);
            tell(Told::Warning(format!(
                "`{}` {reason}; it is looked at every {} ms",
                root.display(),
                POLL_INTERVAL.as_millis()
            )));
        }
        let actor = Actor {
            root: root.to_owned(),
            lone,
            filter: Arc::clone(filter),
            quiet,
            ending: Arc::clone(&ending),
        };
        let waker = watcher.waker();
        let thread = std::thread::spawn(move || actor.run(watcher.as_mut(), &tell));
        Ok(Watching { waker, ending, thread: Some(thread) })
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.ending.store(true, Ordering::Release);
        self.waker.wake();
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

/// The scope: what takes part.
struct Below {
    root: PathBuf,
    lone: bool,
    filter: Arc<Filter>,
    ending: Arc<AtomicBool>,
}

impl Scope for Below {
    fn enter(&mut self, dir: &Path) -> bool {
        let rel = dir.strip_prefix(&self.root).ok().and_then(Rel::new);
        // All above it is entered, otherwise nobody would ask.
        !self.lone
            && !self.ending.load(Ordering::Acquire)
            && rel.is_some_and(|rel| !self.filter.leaves_out(&rel, true))
    }

    fn found(&mut self, _: &Path, _: Entry) {}

    fn permissions(&self) -> bool {
        true
    }
}

struct Actor {
    root: PathBuf,
    lone: bool,
    filter: Arc<Filter>,
    quiet: Duration,
    ending: Arc<AtomicBool>,
}

impl Actor {
    fn run(&self, watcher: &mut dyn Watcher, tell: &dyn Fn(Told)) {
        while !self.ending.load(Ordering::Acquire) {
            let (mut events, mut seen) = (Vec::new(), 0);
            if let Err(error) = watcher.wait(&mut events, None) {
                return tell(Told::Failed(format!("the file watcher stopped working: {error}")));
            }
            let since = Instant::now();
            // More that belongs to the same save may be on its way.
            while events.len() > seen && since.elapsed() < LONGEST && !self.ending.load(Ordering::Acquire) {
                seen = events.len();
                if watcher.wait(&mut events, Some(self.quiet)).is_err() {
                    break;
                }
            }
            self.told(events, since, tell);
        }
    }

    fn told(&self, events: Vec<Event>, since: Instant, tell: &dyn Fn(Told)) {
        let mut paths = Vec::new();
        for event in events {
            match event {
                Event::Change { path, dir, .. } => paths.extend(self.concerned(&path, dir)),
                Event::Rescan { .. } => return tell(Told::Everything),
                Event::Unwatched { dir } => {
                    tell(Told::Warning(format!(
                        "`{}` exceeds what this user may watch; changes in it are not seen",
                        dir.display()
                    )));
                }
            }
        }
        paths.sort();
        paths.dedup_by(|later, earlier| later.is_at_or_below(earlier));
        if !paths.is_empty() {
            tell(Told::Changed(since, paths));
        }
    }

    /// The path as it is called in the tree, if it takes part.
    fn concerned(&self, path: &Path, dir: bool) -> Option<Rel> {
        let rel = Rel::new(path.strip_prefix(&self.root).ok()?)?;
        (!self.lone || rel.is_root()).then_some(())?;
        (!self.filter.leaves_out_at(&rel, dir)).then_some(rel)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter::Rules;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::sync::mpsc::{Receiver, channel};

    const LONG: Duration = Duration::from_secs(30);

    fn watch(root: &Path, exclude: &str) -> (Watching, Receiver<Told>) {
        let rules = Rules { exclude: vec![exclude.to_owned()], ..Rules::default() };
        let (sender, told) = channel();
        let tell = move |told| drop(sender.send(told));
        (Watching::start(root, &Arc::new(Filter::new(rules)), Duration::from_millis(5), tell).unwrap(), told)
    }

    fn next(told: &Receiver<Told>) -> Vec<String> {
        match told.recv_timeout(LONG).unwrap() {
            Told::Changed(_, paths) => paths.iter().map(Rel::to_string).collect(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_takes_part_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        fs::create_dir(root.join("out")).unwrap();
        let (_watching, told) = watch(&root, "out");
        fs::write(root.join("out/x"), "1").unwrap();
        fs::write(root.join(".hotwatch-tmp-1"), "1").unwrap();
        fs::create_dir(root.join("a")).unwrap();
        while !next(&told).contains(&"a".to_owned()) {}
        fs::write(root.join("a/b"), "1").unwrap();
        let mut seen = Vec::new();
        while !seen.contains(&"a/b".to_owned()) {
            seen.extend(next(&told));
        }
        assert!(seen.iter().all(|path| path.starts_with('a')), "{seen:?}");
    }

    #[test]
    fn whether_a_file_may_be_executed_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        fs::write(root.join("tool"), "1").unwrap();
        let (_watching, told) = watch(&root, "x");
        fs::set_permissions(root.join("tool"), fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(next(&told), ["tool"]);
    }

    #[test]
    fn one_file_is_watched_by_its_directory() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        fs::write(root.join("one"), "1").unwrap();
        let (_watching, told) = watch(&root.join("one"), "x");
        fs::write(root.join("two"), "1").unwrap();
        fs::write(root.join("new"), "2").unwrap();
        fs::rename(root.join("new"), root.join("one")).unwrap();
        assert_eq!(next(&told), ["."]);
    }
}
