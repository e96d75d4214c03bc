//! The watcher's thread over a fake at the trait: what it makes of limits, lost events and vanished roots does
//! not depend on whether a machine can produce them.

use super::*;
use std::collections::VecDeque;
use std::fs;

use hotwatch_platform::watch::{Added, Kind};

const DEADLINE: Duration = Duration::from_secs(30);

/// Plays what `add` and `wait` answer, in order; afterwards it breaks, which ends the thread.
#[derive(Default)]
struct Fake {
    added: VecDeque<Result<Added, WatchError>>,
    waits: VecDeque<Vec<Event>>,
}

impl Watcher for Fake {
    fn add(&mut self, _: &Path) -> Result<Added, WatchError> {
        self.added.pop_front().unwrap_or_else(|| Ok(Added { directories: 1, ..Added::default() }))
    }

    fn wait(&mut self, events: &mut Vec<Event>, _: Option<Duration>) -> io::Result<()> {
        events.extend(self.waits.pop_front().ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn waker(&self) -> Waker {
        Waker::new(|| {})
    }
}

/// Runs the thread over `fake`; whoever is dropped last ends it.
fn watch(fake: Fake, roots: &[&Path]) -> Watch {
    watch_asked(fake, roots, None)
}

/// The same with something that it was `asked` for before.
fn watch_asked(fake: Fake, roots: &[&Path], before: Option<Asked>) -> Watch {
    let (told, telling) = bounded(TOLD_IN_FLIGHT);
    let may_count: MayCount = Arc::new(|path| path.extension().is_some_and(|extension| extension == "go"));
    let roots: BTreeSet<PathBuf> = roots.iter().map(|root| root.to_path_buf()).collect();
    let shared = Shared::new(Ignore::new(), may_count, told, roots.clone());
    let (ending, threads) = (Arc::clone(&shared.ending), Arc::clone(&shared.threads));
    let (asking, asked) = unbounded();
    before.into_iter().for_each(|before| asking.send(before).unwrap());
    let waker = fake.waker();
    let (watcher, finds) = (Box::new(fake), Finds::default());
    let (tops, counts) = Default::default();
    let actor = Actor { watcher, finds, asked, tops, counts, shared: shared.clone() };
    shared.spawn(actor, move |actor| actor.begin(&roots, BTreeSet::new(), Vec::new(), Path::new("/project")));
    Watch { telling, asking, waker, ending, threads }
}

fn change(path: &str, dir: bool) -> Event {
    Event::Change { path: path.into(), kind: Kind::Modified, dir }
}

/// What is told, as short lines, until the fake breaks.
fn transcript(watch: &Watch) -> Vec<String> {
    let mut lines = Vec::new();
    loop {
        lines.push(match watch.telling().recv_timeout(DEADLINE).unwrap() {
            Told::Changed(Changed { mut paths, .. }) => {
                paths.sort();
                let paths: Vec<_> = paths.iter().map(|path| path.display().to_string()).collect();
                format!("changed {}", paths.join(" "))
            }
            Told::Found(paths) => format!(
                "found {}",
                paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(" ")
            ),
            Told::Covered(directories) => format!("covered {directories}"),
            Told::Heard => "heard".to_owned(),
            Told::Watching(summary) => format!("watching {}", summary.directories),
            Told::Warning(message) => format!("warning: {message}"),
            Told::Failed(message) => {
                lines.push(format!("failed: {message}"));
                return lines;
            }
        });
    }
}

#[test]
fn what_is_read_at_once_is_told_at_once() {
    let waits =
        VecDeque::from([vec![change("/p/b.go", false), change("/p/c.txt", false), change("/p/dir", true)]]);
    let told = transcript(&watch(Fake { waits, ..Fake::default() }, &[Path::new("/p")]));
    assert_eq!(told[..2], ["watching 1", "changed /p/b.go /p/c.txt /p/dir"]);
    assert!(told[2].starts_with("failed: the file watcher stopped working"), "{told:?}");
}

#[test]
fn what_has_happened_is_told_before_it_is_said_to_be_heard() {
    let waits = ["a.go", "b.go", "c.go"].map(|name| vec![change(&format!("/p/{name}"), false)]);
    // Nothing more, then something that happens later.
    let waits = waits.into_iter().chain([vec![], vec![change("/p/late.go", false)]]).collect();
    let fake = Fake { waits, ..Fake::default() };
    let told = transcript(&watch_asked(fake, &[Path::new("/p")], Some(Asked::Hear)));
    assert_eq!(
        told[..6],
        [
            "watching 1",
            "changed /p/a.go",
            "changed /p/b.go",
            "changed /p/c.go",
            "heard",
            "changed /p/late.go"
        ]
    );
}

#[test]
fn lost_events_are_a_change_of_the_root() {
    let rescan = |why| Event::Rescan { root: "/p".into(), why };
    let waits = [Rescan::Overflow, Rescan::RootGone, Rescan::RootBack].map(|why| vec![rescan(why)]).into();
    let told = transcript(&watch(Fake { waits, ..Fake::default() }, &[Path::new("/p")]));
    assert_eq!(
        told[1..7],
        [
            "warning: events were dropped; everything below `/p` is compared",
            "changed /p",
            "warning: the watched directory is gone: `/p`",
            "changed /p",
            "warning: the watched directory is back: `/p`",
            "changed /p",
        ]
    );
}

#[test]
fn what_exceeds_the_limit_is_polled_and_the_remedy_names_the_number() {
    let dir = tempfile::tempdir().unwrap();
    let beyond = dir.path().join("beyond");
    let late = dir.path().join("late");
    for dir in [beyond.join("deep"), late.clone()] {
        fs::create_dir_all(dir).unwrap();
    }
    fs::write(beyond.join("deep/a.go"), "").unwrap();
    let added = Added { directories: 7, unwatched: vec![beyond.clone()], ..Added::default() };
    // The fake breaks after this; the poller goes on by itself.
    // One that is polled already needs no second poller.
    let unwatched = |dir: &PathBuf| vec![Event::Unwatched { dir: dir.clone() }];
    let waits = VecDeque::from([unwatched(&late), unwatched(&late), unwatched(&beyond.join("deep"))]);
    let watch = watch(Fake { added: VecDeque::from([Ok(added)]), waits }, &[dir.path()]);
    let told = transcript(&watch);
    assert_eq!(told[0], format!("found {}", beyond.join("deep/a.go").display()));
    assert!(told[1].contains("2 of 9 directories are polled instead"), "{told:?}");
    assert!(told[1].contains("sudo sysctl fs.inotify.max_user_watches=524288"), "{told:?}");
    assert_eq!(told[2], "watching 9");
    assert_eq!(told.iter().filter(|line| line.contains("polled")).count(), 2, "{told:?}");
    assert!(told[3].contains("1 more directories are polled"), "{told:?}");

    for file in [beyond.join("deep/a.go"), late.join("b.go")] {
        fs::write(&file, "edited").unwrap();
        loop {
            match watch.telling().recv_timeout(DEADLINE).unwrap() {
                Told::Changed(changed) if changed.paths.contains(&file) => break,
                _ => {}
            }
        }
    }
}

#[test]
fn unreadable_directories_are_told_and_a_root_that_cannot_be_watched_is_the_end() {
    let unreadable = vec![(PathBuf::from("/p/secret"), "permission denied".to_owned())];
    let added = VecDeque::from([
        Ok(Added { directories: 3, unreadable, ..Added::default() }),
        Err(WatchError::Missing("/q".into())),
    ]);
    let fake = Fake { added, ..Fake::default() };
    let told = transcript(&watch(fake, &[Path::new("/p"), Path::new("/q")]));
    assert_eq!(
        told,
        [
            "warning: the directory `/p/secret` is not watched: permission denied",
            "failed: the directory `/q` does not exist",
        ]
    );
}
