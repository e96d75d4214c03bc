//! The contract of a watcher, shown on the operating system's own and on the polling one, with real files.

#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use hotwatch_platform::watch::poll::Poller;
use hotwatch_platform::watch::{Entry, Event, Everything, Kind, Rescan, Scope, WatchError, Watcher, native};

const DEADLINE: Duration = Duration::from_secs(30);

struct Probe {
    dir: tempfile::TempDir,
    root: PathBuf,
    watcher: Box<dyn Watcher>,
}

impl Probe {
    fn new(make: impl FnOnce(Box<dyn Scope>) -> Box<dyn Watcher>, scope: impl Scope + 'static) -> Probe {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap().join("root");
        fs::create_dir(&root).unwrap();
        Probe { dir, root, watcher: make(Box::new(scope)) }
    }

    fn native() -> Probe {
        let mut probe = Probe::new(|scope| native(scope).unwrap(), Everything);
        probe.watcher.add(&probe.root).unwrap();
        probe
    }

    fn polling() -> Probe {
        let poller = |scope| Box::new(Poller::new(scope, Duration::from_millis(5))) as Box<dyn Watcher>;
        let mut probe = Probe::new(poller, Everything);
        probe.watcher.add(&probe.root).unwrap();
        probe
    }

    /// Reads events until `done` says that the wanted one is there.
    fn until(&mut self, done: impl Fn(&Event) -> bool) -> Vec<Event> {
        let deadline = Instant::now() + DEADLINE;
        let mut all = Vec::new();
        while !all.iter().any(&done) {
            assert!(Instant::now() < deadline, "not reported; so far: {all:#?}");
            self.watcher.wait(&mut all, Some(Duration::from_secs(1))).unwrap();
        }
        all
    }

    /// Reads events until `path` was reported with `kind`.
    fn until_change(&mut self, path: &str, kind: Kind) -> Vec<Event> {
        let wanted = self.root.join(path);
        self.until(
            |event| matches!(event, Event::Change { path, kind: k, .. } if *path == wanted && *k == kind),
        )
    }

    fn until_rescan(&mut self, wanted: Rescan) -> Vec<Event> {
        self.until(|event| matches!(event, Event::Rescan { why, .. } if *why == wanted))
    }

    fn write(&self, path: &str) {
        fs::write(self.root.join(path), path).unwrap();
    }
}

#[test]
fn reports_writes_renames_and_removals() {
    for mut probe in [Probe::native(), Probe::polling()] {
        probe.write("a.go");
        probe.until_change("a.go", Kind::Created);
        fs::write(probe.root.join("a.go"), "something longer").unwrap();
        probe.until_change("a.go", Kind::Modified);
        fs::rename(probe.root.join("a.go"), probe.root.join("b.go")).unwrap();
        probe.until_change("b.go", Kind::Created);
        fs::remove_file(probe.root.join("b.go")).unwrap();
        probe.until_change("b.go", Kind::Removed);
    }
}

#[test]
fn follows_new_moved_and_replaced_directories() {
    for mut probe in [Probe::native(), Probe::polling()] {
        fs::create_dir_all(probe.root.join("a/b/c")).unwrap();
        probe.write("a/b/c/first.go");
        probe.until_change("a/b/c/first.go", Kind::Created);

        fs::rename(probe.root.join("a"), probe.root.join("z")).unwrap();
        probe.until_change("z/b/c/first.go", Kind::Created);
        probe.write("z/b/c/second.go");
        let events = probe.until_change("z/b/c/second.go", Kind::Created);
        let old = probe.root.join("a/b/c/second.go");
        assert!(!events.iter().any(|event| matches!(event, Event::Change { path, .. } if *path == old)));

        let outside = probe.dir.path().join("outside");
        fs::rename(probe.root.join("z"), &outside).unwrap();
        probe.until_change("z", Kind::Removed);
        fs::rename(&outside, probe.root.join("back")).unwrap();
        probe.until_change("back/b/c/second.go", Kind::Created);

        fs::remove_dir_all(probe.root.join("back")).unwrap();
        fs::create_dir_all(probe.root.join("back/b")).unwrap();
        probe.write("back/b/third.go");
        probe.until_change("back/b/third.go", Kind::Created);
    }
}

#[test]
fn picks_up_a_root_that_is_deleted_and_made_again() {
    for mut probe in [Probe::native(), Probe::polling()] {
        fs::create_dir(probe.root.join("sub")).unwrap();
        probe.until_change("sub", Kind::Created);
        fs::remove_dir_all(&probe.root).unwrap();
        probe.until_rescan(Rescan::RootGone);
        fs::create_dir_all(probe.root.join("sub")).unwrap();
        probe.until_rescan(Rescan::RootBack);
        probe.write("sub/again.go");
        probe.until_change("sub/again.go", Kind::Created);
    }
}

#[test]
fn picks_up_a_root_that_somebody_works_in() {
    let mut probe = Probe::native();
    // As a service does that runs in its directory: the inode lives on after the directory is deleted.
    let mut sleeper = Command::new("sleep").arg("600").current_dir(&probe.root).spawn().unwrap();
    for _ in 0..2 {
        fs::remove_dir_all(&probe.root).unwrap();
        probe.until_rescan(Rescan::RootGone);
        fs::create_dir(&probe.root).unwrap();
        probe.until_rescan(Rescan::RootBack);
    }
    probe.write("a.go");
    probe.until_change("a.go", Kind::Created);

    let (parent, aside) = (probe.dir.path().join("parent"), probe.dir.path().join("aside"));
    let mut probe = Probe::native();
    fs::create_dir_all(parent.join("root")).unwrap();
    probe.root = parent.join("root").canonicalize().unwrap();
    probe.watcher.add(&probe.root).unwrap();
    fs::rename(&parent, &aside).unwrap();
    probe.until_rescan(Rescan::RootGone);
    fs::create_dir_all(&probe.root).unwrap();
    probe.until_rescan(Rescan::RootBack);
    sleeper.kill().unwrap();
    sleeper.wait().unwrap();
}

#[test]
fn picks_up_a_root_whose_parents_went_with_it() {
    let mut probe = Probe::new(|scope| native(scope).unwrap(), Everything);
    let parent = probe.root.clone();
    probe.root = parent.join("x/y/z");
    fs::create_dir_all(&probe.root).unwrap();
    probe.watcher.add(&probe.root).unwrap();
    fs::remove_dir_all(parent.join("x")).unwrap();
    probe.until_rescan(Rescan::RootGone);
    for step in ["x", "x/y", "x/y/z"] {
        fs::create_dir(parent.join(step)).unwrap();
    }
    probe.until_rescan(Rescan::RootBack);
    probe.write("a.go");
    probe.until_change("a.go", Kind::Created);
}

#[test]
fn a_moved_root_is_gone_until_it_is_back() {
    let mut probe = Probe::native();
    let elsewhere = probe.dir.path().join("elsewhere");
    fs::rename(&probe.root, &elsewhere).unwrap();
    probe.until_rescan(Rescan::RootGone);
    fs::write(elsewhere.join("not-reported.go"), "").unwrap();
    fs::rename(&elsewhere, &probe.root).unwrap();
    let events = probe.until_rescan(Rescan::RootBack);
    assert!(events.iter().all(|event| matches!(event, Event::Rescan { .. })), "{events:?}");
}

#[test]
fn overlapping_roots_both_report() {
    let mut probe = Probe::native();
    fs::create_dir_all(probe.root.join("inner")).unwrap();
    probe.until_change("inner", Kind::Created);
    probe.watcher.add(&probe.root.join("inner")).unwrap();
    probe.write("inner/a.go");
    // Created and modified, each reported for either root.
    let wanted = probe.root.join("inner/a.go");
    let mut reports = 0;
    while reports < 4 {
        let events = probe.until(|event| matches!(event, Event::Change { path, .. } if *path == wanted));
        reports += events
            .iter()
            .filter(|event| matches!(event, Event::Change { path, .. } if *path == wanted))
            .count();
    }
}

#[test]
fn rejects_roots_that_cannot_be_watched() {
    for mut probe in [Probe::native(), Probe::polling()] {
        probe.write("file");
        symlink("loop", probe.root.join("loop")).unwrap();
        let mut add = |name: &str| probe.watcher.add(&probe.root.join(name)).unwrap_err();
        assert!(matches!(add("missing"), WatchError::Missing(_)));
        assert!(matches!(add("file"), WatchError::NotADirectory(_)));
        assert!(add("loop").to_string().contains("loop` cannot be read"));
    }
}

struct Recording(Sender<(PathBuf, Entry)>);

impl Scope for Recording {
    fn enter(&mut self, dir: &Path) -> bool {
        !dir.ends_with("node_modules")
    }
    fn found(&mut self, path: &Path, kind: Entry) {
        self.0.send((path.to_owned(), kind)).unwrap();
    }
}

fn found(receiver: &Receiver<(PathBuf, Entry)>, root: &Path) -> Vec<(String, Entry)> {
    let relative = |path: PathBuf| path.strip_prefix(root).unwrap().display().to_string();
    let mut all: Vec<_> = receiver.try_iter().map(|(path, kind)| (relative(path), kind)).collect();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}

#[test]
fn tells_its_scope_what_is_there_and_stays_out_of_the_rest() {
    let (sender, receiver) = channel();
    let mut probe = Probe::new(|scope| native(scope).unwrap(), Recording(sender));
    fs::create_dir_all(probe.root.join("node_modules/deep")).unwrap();
    fs::create_dir_all(probe.root.join("pkg")).unwrap();
    for file in ["main.go", "pkg/a.go", "node_modules/deep/x.go"] {
        probe.write(file);
    }
    symlink("/", probe.root.join("pkg/slash")).unwrap();
    let added = probe.watcher.add(&probe.root).unwrap();
    assert_eq!(added.directories, 2);
    let expected = [("main.go", Entry::File), ("pkg/a.go", Entry::File), ("pkg/slash", Entry::Symlink)];
    assert_eq!(found(&receiver, &probe.root), expected.map(|(path, kind)| (path.to_owned(), kind)));

    probe.write("node_modules/deep/y.go");
    probe.write("pkg/b.go");
    let events = probe.until_change("pkg/b.go", Kind::Modified);
    let inside = |event: &Event| matches!(event, Event::Change { path, .. } if path.starts_with(probe.root.join("node_modules")));
    assert!(!events.iter().any(inside), "{events:?}");
}

#[test]
fn a_waker_interrupts_a_blocked_wait() {
    for mut probe in [Probe::native(), Probe::polling()] {
        let waker = probe.watcher.waker();
        let waiting = std::thread::spawn(move || probe.watcher.wait(&mut Vec::new(), None));
        waker.wake();
        waiting.join().unwrap().unwrap();
    }
}

#[test]
#[cfg(target_os = "linux")]
fn survives_more_events_than_the_queue_holds() {
    let mut probe = Probe::native();
    fs::create_dir(probe.root.join("known")).unwrap();
    probe.until_change("known", Kind::Created);
    // Nobody reads meanwhile; the queue holds 16384 events by default.
    let limit = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap_or_default();
    let limit: usize = limit.trim().parse().unwrap_or(16384);
    for round in 0..limit {
        fs::write(probe.root.join(format!("{}.txt", round % 100)), "x").unwrap();
    }
    fs::create_dir(probe.root.join("unseen")).unwrap();
    probe.until_rescan(Rescan::Overflow);
    probe.write("unseen/after.go");
    probe.until_change("unseen/after.go", Kind::Created);
    probe.write("known/after.go");
    probe.until_change("known/after.go", Kind::Created);
}
