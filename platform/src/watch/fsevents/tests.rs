//! The backend over real files, told what FSEvents would tell of them.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::sync::Mutex;
use std::thread;

use super::super::Everything;
use super::super::flags::*;
use super::system::Listed;
use super::*;

const FILE: u32 = IS_FILE;
const DIR: u32 = IS_DIR;

/// A system without streams, on whose file system names may ignore case.
#[derive(Clone, Default)]
struct Fake {
    streams: Arc<Mutex<Vec<(usize, PathBuf)>>>,
    refuses: bool,
    ignores_case: bool,
}

impl Fake {
    /// `path` as it is spelt on disk.
    fn real(&self, path: &Path) -> PathBuf {
        let mut real = PathBuf::new();
        for part in path.components() {
            let alike = |entry: &fs::DirEntry| entry.file_name().eq_ignore_ascii_case(part);
            let found = match real.join(part).symlink_metadata() {
                Err(_) if self.ignores_case => {
                    fs::read_dir(&real).into_iter().flatten().flatten().find(alike)
                }
                _ => None,
            };
            real.push(found.map_or(part.as_os_str().to_owned(), |entry| entry.file_name()));
        }
        real
    }
}

/// The file system as it is.
struct Real;

impl System for Real {
    fn start(&mut self, _: usize, _: &Path) -> bool {
        true
    }
    fn stop(&mut self, _: usize) {}
}

impl System for Fake {
    fn start(&mut self, index: usize, root: &Path) -> bool {
        self.streams.lock().unwrap().push((index, root.to_owned()));
        !self.refuses
    }
    fn stop(&mut self, index: usize) {
        self.streams.lock().unwrap().retain(|stream| stream.0 != index);
    }
    fn canonical(&self, path: &Path) -> io::Result<PathBuf> {
        Real.canonical(&self.real(path))
    }
    fn look(&self, path: &Path) -> Option<Look> {
        Real.look(&self.real(path))
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<Listed>> {
        Real.list(&self.real(dir))
    }
}

/// Enters everything but `skip`, and notes what it was told of.
#[derive(Clone, Default)]
struct Noting(Arc<Mutex<BTreeSet<PathBuf>>>);

impl Scope for Noting {
    fn enter(&mut self, dir: &Path) -> bool {
        !dir.ends_with("skip")
    }
    fn found(&mut self, path: &Path, _: Entry) {
        self.0.lock().unwrap().insert(path.to_owned());
    }
}

struct Probe {
    dir: tempfile::TempDir,
    /// Where FSEvents says that things happen.
    told: PathBuf,
    /// The root as the backend was given it.
    root: PathBuf,
    fake: Fake,
    noted: Noting,
    backend: Backend<Fake>,
}

impl Probe {
    fn new(fake: Fake) -> Probe {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap().join("root");
        fs::create_dir(&root).unwrap();
        let noted = Noting::default();
        let backend = Backend::over(fake.clone(), Arc::default(), Box::new(noted.clone()));
        Probe { dir, told: root.clone(), root, fake, noted, backend }
    }

    /// A root with these files.
    fn with(files: &[&str]) -> Probe {
        let mut probe = Probe::new(Fake::default());
        for file in files {
            probe.write(file);
        }
        probe.backend.add(&probe.root).unwrap();
        probe
    }

    fn path(&self, path: &str) -> PathBuf {
        self.told.join(path)
    }

    fn write(&self, path: &str) {
        fs::create_dir_all(self.path(path).parent().unwrap()).unwrap();
        fs::write(self.path(path), path).unwrap();
    }

    fn rename(&self, from: &str, to: &str) {
        fs::rename(self.path(from), self.path(to)).unwrap();
    }

    /// Tells the backend events in one batch, and returns what it makes of them: `+`, `~` and `-` for created,
    /// modified and removed, with a slash after directories.
    fn tell(&mut self, events: &[(&str, u32)]) -> Vec<String> {
        let raw = |&(path, flags): &(&str, u32)| Raw { root: 0, path: self.told.join(path), flags };
        self.backend.queue.push(events.iter().map(raw));
        self.wait(Duration::ZERO)
    }

    fn wait(&mut self, timeout: Duration) -> Vec<String> {
        let mut events = Vec::new();
        self.backend.wait(&mut events, Some(timeout)).unwrap();
        events.iter().map(|event| self.shown(event)).collect()
    }

    fn shown(&self, event: &Event) -> String {
        match event {
            Event::Change { path, kind, dir } => {
                let path = path.strip_prefix(&self.root).unwrap().display();
                let sign = match kind {
                    Kind::Created => '+',
                    Kind::Modified => '~',
                    Kind::Removed => '-',
                };
                format!("{sign}{path}{}", if *dir { "/" } else { "" })
            }
            Event::Rescan { root, why } => {
                assert_eq!(*root, self.root);
                format!("{why:?}")
            }
            Event::Unwatched { dir } => format!("unwatched {}", dir.display()),
        }
    }

    fn noted(&self) -> Vec<String> {
        let noted = std::mem::take(&mut *self.noted.0.lock().unwrap());
        noted.iter().map(|path| path.strip_prefix(&self.root).unwrap().display().to_string()).collect()
    }
}

fn sorted(mut events: Vec<String>) -> Vec<String> {
    events.sort();
    events
}

const NONE: [&str; 0] = [];

#[test]
fn a_write() {
    let mut probe = Probe::with(&["a.go"]);
    assert_eq!(probe.tell(&[("a.go", INODE_META | FILE), ("a.go", INODE_META | MODIFIED | FILE)]), ["~a.go"]);
    probe.write("new.go");
    assert_eq!(probe.tell(&[("new.go", CREATED | MODIFIED | FILE)]), ["+new.go", "~new.go"]);
    // The flags stick, and the file is known now. (https://github.com/fsevents/fsevents/issues/409)
    assert_eq!(probe.tell(&[("new.go", CREATED | INODE_META | MODIFIED | XATTR | FILE)]), ["~new.go"]);
    fs::remove_file(probe.path("new.go")).unwrap();
    assert_eq!(probe.tell(&[("new.go", CREATED | MODIFIED | REMOVED | FILE)]), ["-new.go"]);
    probe.write("new.go");
    assert_eq!(probe.tell(&[("new.go", CREATED | REMOVED | FILE)]), ["+new.go"]);
}

#[test]
fn metadata_alone_is_nothing_but_an_inode_may_have_been_emptied() {
    let mut probe = Probe::with(&["a.go", "pkg/b.go"]);
    assert_eq!(probe.tell(&[("a.go", OWNER | FILE), ("a.go", XATTR | FILE), ("pkg", OWNER | DIR)]), NONE);
    assert_eq!(probe.tell(&[("a.go", FINDER_INFO | FILE), ("", HISTORY_DONE), ("", OWNER | DIR)]), NONE);
    assert_eq!(probe.tell(&[("pkg", INODE_META | DIR)]), NONE);
    assert_eq!(probe.tell(&[("a.go", INODE_META | FILE)]), ["~a.go"]);
}

#[test]
fn a_save_by_rename() {
    let mut probe = Probe::with(&["a.go"]);
    // `sed -i` and most editors: written beside it, then renamed over it.
    probe.write("a.go.tmp");
    probe.rename("a.go.tmp", "a.go");
    let events = probe.tell(&[("a.go.tmp", CREATED | MODIFIED | RENAMED | FILE), ("a.go", RENAMED | FILE)]);
    assert_eq!(events, ["-a.go.tmp", "+a.go"]);
    // vim: renamed away, written anew, the backup deleted.
    let backup = ("a.go~", RENAMED | REMOVED | FILE);
    let events = probe.tell(&[("4913", CREATED | REMOVED | OWNER | FILE), backup, ("a.go", 4_282_624)]);
    assert_eq!(events, ["-4913", "-a.go~", "~a.go"]);
}

#[test]
fn a_rename_below_the_root() {
    let mut probe = Probe::with(&["before.txt"]);
    probe.rename("before.txt", "after.txt");
    // https://github.com/emcrisostomo/fswatch/issues/111
    let events = [("before.txt", CREATED | RENAMED | FILE), ("after.txt", REMOVED | RENAMED | FILE)];
    assert_eq!(probe.tell(&events), ["-before.txt", "+after.txt"]);
}

#[test]
fn a_directory_that_took_the_place_of_a_file() {
    let mut probe = Probe::with(&[]);
    fs::create_dir(probe.path("some-path")).unwrap();
    probe.write("some-path/a.go");
    // https://github.com/atom/watcher/blob/master/docs/macos.md
    let flags = CREATED | MODIFIED | REMOVED | RENAMED | FILE | DIR;
    let events = probe.tell(&[("a-directory", CREATED | RENAMED | DIR), ("some-path", flags)]);
    assert_eq!(events, ["-a-directory/", "-some-path", "+some-path/", "+some-path/a.go"]);
    fs::remove_dir_all(probe.path("some-path")).unwrap();
    probe.write("some-path");
    assert_eq!(probe.tell(&[("some-path", flags)]), ["-some-path/", "+some-path", "~some-path"]);
}

#[test]
fn clones_and_hard_links() {
    let mut probe = Probe::with(&["a.go", "pkg/x.go"]);
    fs::copy(probe.path("a.go"), probe.path("b.go")).unwrap();
    let clone = [("a.go", CLONED | FILE), ("b.go", CLONED | FILE), ("b.go", CREATED | FILE)];
    assert_eq!(probe.tell(&clone), ["~a.go", "+b.go"]);
    fs::hard_link(probe.path("pkg/x.go"), probe.path("pkg/y.go")).unwrap();
    // https://github.com/emcrisostomo/fswatch/issues/271: the directory alone, although y.go is new.
    let found = sorted(probe.tell(&[("pkg", INODE_META | DIR)]));
    assert_eq!(found, ["~pkg/x.go", "~pkg/y.go"]);
    fs::hard_link(probe.path("a.go"), probe.path("z.go")).unwrap();
    assert_eq!(sorted(probe.tell(&[("", INODE_META | DIR)])), ["~a.go", "~z.go"]);
}

#[test]
fn new_directories_are_read_whatever_comes_first() {
    let all = [
        ("a", CREATED | DIR),
        ("a/b", CREATED | DIR),
        ("a/b/f.go", CREATED | MODIFIED | FILE),
        ("a/skip", DIR),
    ];
    let reversed = [all[2], all[1], all[0]];
    for told in [&all[..3], &reversed, &all[..1], &all[1..2], &all[2..3]] {
        let mut probe = Probe::with(&["main.go"]);
        probe.noted();
        probe.write("a/b/f.go");
        probe.write("a/skip/unseen.go");
        symlink("/", probe.path("a/slash")).unwrap();
        assert_eq!(sorted(probe.tell(told)), ["+a/", "+a/b/", "+a/b/f.go", "+a/skip/", "+a/slash"]);
        assert_eq!(probe.noted(), ["a/b/f.go", "a/slash"]);
        // What comes late says nothing new of directories.
        assert_eq!(probe.tell(&all[..2]), NONE);
        assert_eq!(probe.tell(&[("a/skip/unseen.go", CREATED | MODIFIED | FILE)]), NONE);
    }
}

#[test]
fn moved_directories_are_read_and_forgotten() {
    let mut probe = Probe::with(&["pkg/a.go", "pkg/deep/b.go"]);
    let outside = probe.dir.path().join("outside");
    fs::rename(probe.path("pkg"), &outside).unwrap();
    // https://github.com/mz2/SCEvents/issues/1: the number, of a directory moved to the Trash.
    assert_eq!(probe.tell(&[("pkg", 133_120)]), ["-pkg/"]);
    fs::remove_file(outside.join("a.go")).unwrap();
    fs::rename(&outside, probe.path("pkg")).unwrap();
    let back = ["+pkg/", "+pkg/deep/", "+pkg/deep/b.go"];
    assert_eq!(sorted(probe.tell(&[("pkg", 133_120)])), back);
    // There and back between two batches: what was in it may be another one.
    let mut again = probe.tell(&[("pkg", 133_120)]);
    assert_eq!(again.remove(0), "-pkg/");
    assert_eq!(sorted(again), back);
}

#[test]
fn a_directory_that_is_made_again_is_another_one() {
    let mut probe = Probe::with(&["pkg/old.go"]);
    // Kept, so that its inode is not given to the new one.
    let aside = probe.dir.path().join("aside");
    fs::rename(probe.path("pkg"), &aside).unwrap();
    probe.write("pkg/new.go");
    assert_eq!(probe.tell(&[("pkg", CREATED | DIR)]), ["-pkg/", "+pkg/", "+pkg/new.go"]);
}

#[test]
fn what_the_scope_does_not_enter_is_not_reported() {
    let mut probe = Probe::with(&["skip/deep/a.go", "pkg/skip/b.go"]);
    probe.write("skip/deep/c.go");
    let events =
        [("skip/deep/c.go", CREATED | FILE), ("pkg/skip/b.go", MODIFIED | FILE), ("skip/new", CREATED | DIR)];
    assert_eq!(probe.tell(&events), NONE);
    assert_eq!(
        probe.tell(&[("skip", INODE_META | DIR), ("skip/deep", MUST_SCAN), ("pkg/skip", MOUNT)]),
        NONE
    );
    fs::remove_dir_all(probe.path("skip")).unwrap();
    assert_eq!(probe.tell(&[("skip", REMOVED | DIR)]), ["-skip/"]);
}

const MOUNT: u32 = 0x40;
const UNMOUNT: u32 = 0x80;

#[test]
fn lost_events_ask_for_a_comparison() {
    let mut probe = Probe::with(&["pkg/a.go", "skip/b.go"]);
    for (path, flags) in [
        ("", MUST_SCAN),
        ("pkg", MUST_SCAN),
        ("not-seen-yet/deep", MUST_SCAN),
        // What was dropped may have been anywhere, whatever the path says.
        ("skip", MUST_SCAN | USER_DROPPED),
        ("/", MUST_SCAN | KERNEL_DROPPED),
        ("/", MUST_SCAN),
        ("pkg", USER_DROPPED),
        ("pkg/volume", MOUNT),
        ("pkg/volume", UNMOUNT),
        ("pkg", 0),
    ] {
        probe.noted();
        let told = [("pkg/a.go", MODIFIED | FILE), (path, flags), (path, flags), ("pkg", CREATED | DIR)];
        assert_eq!(probe.tell(&told), ["Overflow"], "{path} {flags:x}");
        assert_eq!(probe.noted(), ["pkg/a.go"], "{path} {flags:x}");
    }
    assert_eq!(probe.fake.streams.lock().unwrap().len(), 1);
    // Directories that came unseen are known.
    probe.write("new/deep/c.go");
    probe.tell(&[("", MUST_SCAN)]);
    assert_eq!(probe.tell(&[("new/deep/c.go", MODIFIED | FILE)]), ["~new/deep/c.go"]);
}

#[test]
fn too_many_waiting_events_are_lost_ones() {
    let mut probe = Probe::with(&["a.go"]);
    let many = vec![("a.go", MODIFIED | FILE); 16 * 1024];
    assert_eq!(probe.tell(&many), ["~a.go"]);
    let more = vec![("a.go", MODIFIED | FILE); 16 * 1024 + 1];
    assert_eq!(probe.tell(&more), ["Overflow"]);
}

#[test]
fn a_root_that_goes_and_comes_back() {
    let mut probe = Probe::with(&["a.go"]);
    let elsewhere = probe.dir.path().join("elsewhere");
    fs::rename(&probe.root, &elsewhere).unwrap();
    assert_eq!(
        probe.tell(&[("", RENAMED | DIR), ("", ROOT_CHANGED), ("a.go", MODIFIED | FILE)]),
        ["RootGone"]
    );
    assert_eq!(probe.tell(&[("a.go", MODIFIED | FILE), ("", ROOT_CHANGED)]), NONE);
    probe.noted();
    fs::rename(&elsewhere, &probe.root).unwrap();
    assert_eq!(
        probe.tell(&[("", RENAMED | DIR), ("", ROOT_CHANGED), ("a.go", CREATED | FILE)]),
        ["RootBack"]
    );
    assert_eq!(probe.noted(), ["a.go"]);
    assert_eq!(probe.tell(&[("a.go", MODIFIED | FILE)]), ["~a.go"]);
    // A new stream, in case the old one followed the directory.
    assert_eq!(*probe.fake.streams.lock().unwrap(), vec![(0, probe.root.clone()); 2]);
}

#[test]
fn a_root_is_looked_for_without_being_told() {
    let mut probe = Probe::with(&[]);
    fs::remove_dir(&probe.root).unwrap();
    assert_eq!(probe.tell(&[("", REMOVED | DIR)]), ["RootGone"]);
    fs::create_dir(&probe.root).unwrap();
    assert_eq!(probe.wait(Duration::from_secs(60)), ["RootBack"]);
}

#[test]
fn a_root_that_was_replaced_unseen() {
    let mut probe = Probe::with(&["a.go"]);
    // Events from just before the start; nothing about the root is new.
    assert_eq!(probe.tell(&[("", CREATED | DIR), ("", INODE_META | DIR)]), NONE);
    fs::rename(&probe.root, probe.dir.path().join("aside")).unwrap();
    probe.write("b.go");
    assert_eq!(probe.tell(&[("", CREATED | DIR)]), ["RootBack"]);
    assert_eq!(probe.tell(&[("b.go", MODIFIED | FILE)]), ["~b.go"]);
    // The same directory, but it was away; the stream may be too.
    assert_eq!(probe.tell(&[("", REMOVED | CREATED | DIR)]), ["RootBack"]);
    assert_eq!(*probe.fake.streams.lock().unwrap(), vec![(0, probe.root.clone()); 3]);
}

#[test]
fn a_root_below_a_link_that_was_turned() {
    let mut probe = Probe::with(&["one/root/a.go"]);
    let link = probe.dir.path().join("link");
    symlink(probe.path("one"), &link).unwrap();
    probe.backend.add(&link.join("root")).unwrap();
    probe.rename("one", "two");
    fs::remove_file(&link).unwrap();
    symlink(probe.path("two"), &link).unwrap();
    probe.backend.queue.push([Raw { root: 1, path: "/".into(), flags: MUST_SCAN }].into_iter());
    probe.root = link.join("root");
    assert_eq!(probe.wait(Duration::ZERO), ["Overflow"]);
    let streams = probe.fake.streams.lock().unwrap().clone();
    assert_eq!(streams[1..], [(1, probe.path("one/root")), (1, probe.path("two/root"))]);
}

#[test]
fn a_root_comes_back_as_it_was_given() {
    let mut probe = Probe::new(Fake::default());
    let link = probe.dir.path().join("link");
    symlink(&probe.root, &link).unwrap();
    probe.root = link.join(".");
    probe.write("pkg/a.go");
    probe.backend.add(&probe.root).unwrap();
    assert_eq!(probe.noted(), ["pkg/a.go"]);
    assert_eq!(*probe.fake.streams.lock().unwrap(), [(0, probe.told.clone())]);
    assert_eq!(probe.tell(&[("pkg/a.go", MODIFIED | FILE)]), ["~pkg/a.go"]);
    assert_eq!(probe.tell(&[("", MUST_SCAN)]), ["Overflow"]);
}

#[test]
fn case_is_the_file_systems_business() {
    let mut probe = Probe::new(Fake { ignores_case: true, ..Fake::default() });
    probe.write("pkg/a.go");
    // The disk has `root`; FSEvents is told, and tells, `Root`.
    probe.backend.add(&probe.root).unwrap();
    let real = std::mem::replace(&mut probe.told, probe.dir.path().canonicalize().unwrap().join("Root"));
    assert_eq!(probe.tell(&[("pkg/a.go", MODIFIED | FILE)]), ["~pkg/a.go"]);
    fs::rename(real.join("pkg/a.go"), real.join("pkg/A.go")).unwrap();
    // Either spelling finds the file.
    let events = probe.tell(&[("pkg/a.go", RENAMED | FILE), ("pkg/A.go", RENAMED | FILE)]);
    assert_eq!(events, ["~pkg/a.go", "+pkg/A.go"]);
    // Something else altogether is not of this root.
    probe.told = probe.dir.path().to_owned();
    assert_eq!(probe.tell(&[("pkg/a.go", MODIFIED | FILE), ("rooted/a.go", CREATED | FILE)]), NONE);
}

#[test]
fn decomposed_names_are_passed_on() {
    let mut probe = Probe::with(&[]);
    probe.write("e\u{301}tat/a.go");
    let events = probe.tell(&[("e\u{301}tat/a.go", CREATED | FILE)]);
    assert_eq!(events, ["+e\u{301}tat/", "+e\u{301}tat/a.go"]);
}

#[test]
fn rejects_what_is_no_directory() {
    let mut probe = Probe::with(&["file"]);
    symlink("loop", probe.path("loop")).unwrap();
    let mut add = |name: &str| probe.backend.add(&probe.root.join(name)).unwrap_err();
    assert!(matches!(add("missing"), WatchError::Missing(_)));
    assert!(matches!(add("file"), WatchError::NotADirectory(_)));
    assert!(matches!(add("file/below"), WatchError::NotADirectory(_)));
    assert!(matches!(add("loop"), WatchError::Unreadable(..)));
    assert_eq!(probe.fake.streams.lock().unwrap().len(), 1);
}

#[test]
fn counts_directories_and_says_when_there_is_no_stream() {
    let mut probe = Probe::new(Fake::default());
    for file in ["a.go", "pkg/b.go", "pkg/deep/c.go", "skip/d.go"] {
        probe.write(file);
    }
    let added = probe.backend.add(&probe.root).unwrap();
    assert_eq!(added, Added { directories: 3, ..Added::default() });
    assert_eq!(probe.noted(), ["a.go", "pkg/b.go", "pkg/deep/c.go"]);

    let mut probe = Probe::new(Fake { refuses: true, ..Fake::default() });
    let added = probe.backend.add(&probe.root).unwrap();
    assert_eq!(added, Added { unwatched: vec![probe.root.clone()], ..Added::default() });
    assert_eq!(probe.tell(&[("a.go", CREATED | FILE)]), NONE);
}

#[test]
fn overlapping_roots_both_report() {
    let mut probe = Probe::with(&["inner/a.go"]);
    probe.backend.add(&probe.path("inner")).unwrap();
    let raw = |root| Raw { root, path: probe.path("inner/a.go"), flags: MODIFIED | FILE };
    probe.backend.queue.push([raw(0), raw(1), raw(7)].into_iter());
    assert_eq!(probe.wait(Duration::ZERO), ["~inner/a.go", "~inner/a.go"]);
}

#[test]
fn a_waker_and_an_event_end_a_wait() {
    let mut backend = Backend::over(Real, Arc::default(), Box::new(Everything));
    let dir = tempfile::tempdir().unwrap();
    backend.add(dir.path()).unwrap();
    let (waker, queue) = (backend.waker(), Arc::clone(&backend.queue));
    let path = dir.path().canonicalize().unwrap().join("gone");
    let raw = |flags| Raw { root: 0, path: path.clone(), flags };
    let mut events = Vec::new();
    waker.wake();
    waker.wake();
    backend.wait(&mut events, None).unwrap();
    assert_eq!(events, []);

    // Neither the second call nor what is of no interest ends the next wait.
    let waiting = thread::spawn(move || {
        backend.wait(&mut events, Some(Duration::MAX)).unwrap();
        events
    });
    queue.push([raw(XATTR | FILE)].into_iter());
    queue.push([raw(REMOVED | FILE)].into_iter());
    let gone = Event::Change { path: dir.path().join("gone"), kind: Kind::Removed, dir: false };
    assert_eq!(waiting.join().unwrap(), [gone]);
}
