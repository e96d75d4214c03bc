//! Both sides of a two-way sync changed at random, also at once, while what leads from one to the other is killed or
//! stands still: whenever it is quiet both sides agree, and nothing that anybody has written is lost. `SEED=N` replays a
//! run, `STEPS=N` sets its length.

mod cases;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::{Project, Up, until};

/// How many changes there are if nobody says otherwise.
const STEPS: usize = 2000;

/// Leads to this machine, as ssh would to another: the last word is for a shell.
/// It says of itself that it was started anew when the file `boot` beside it says something else.
const SSH: &str = "#!/bin/sh\nfor last; do :; done\ncase $last in *boot_id*) exec cat \"${0%/*}/boot\";; esac\n\
                   exec sh -c \"$last\"\n";

/// A project with one service whose directory `here` is synced both ways with `there`.
pub struct Both {
    pub project: Project,
    pub here: PathBuf,
    pub there: PathBuf,
}

impl Both {
    pub fn new(mode: &str, settings: &str) -> Both {
        let project = Project::new();
        let (here, there) = (project.path("here"), project.beside("there"));
        fs::create_dir_all(&here).unwrap();
        let bin = project.beside("bin");
        fs::create_dir_all(&bin).unwrap();
        fs::create_dir_all(project.beside("helper")).unwrap();
        fs::write(bin.join("ssh"), SSH).unwrap();
        fs::write(bin.join("boot"), "0").unwrap();
        fs::set_permissions(bin.join("ssh"), fs::Permissions::from_mode(0o755)).unwrap();
        let config = format!(
            "log_dir = {:?}\n[[service]]\nname = \"web\"\ndir = \"here\"\n[service.sync]\nto = {{ ssh = \"box\" }}\n\
             helper_dir = {:?}\n[[service.sync.pair]]\ntarget = {there:?}\nmode = \"{mode}\"\n{settings}\n",
            project.log_dir(),
            project.beside("helper"),
        );
        project.write("hotwatch.toml", &config);
        Both { project, here, there }
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = self.project.hotwatch(args);
        let path = std::env::var("PATH").unwrap();
        command.env("PATH", format!("{}:{path}", self.project.beside("bin").display()));
        command
    }

    pub fn up(&self) -> Up {
        Up::start(self.command(&["up", "--json", "--sync", "web"]))
    }

    /// Has everything be compared, and waits until that is done.
    pub fn settle(&self) {
        until("a full round", || {
            let output = self.command(&["sync", "once", "web"]).output().unwrap();
            output.status.success().then_some(())
        });
    }

    /// Makes changes that nobody at work looks at before all of them are made.
    fn at_once(&self, change: impl FnOnce()) {
        let helpers = self.helpers();
        helpers.iter().for_each(|&pid| send(pid, Signal::SIGSTOP));
        change();
        helpers.iter().for_each(|&pid| send(pid, Signal::SIGCONT));
    }

    /// Has the target be another, as after a start of its machine.
    fn start_anew(&self, number: usize) {
        fs::write(self.project.beside("bin").join("boot"), number.to_string()).unwrap();
        self.helpers().into_iter().for_each(|pid| send(pid, Signal::SIGKILL));
    }

    /// The helpers that serve.
    fn helpers(&self) -> Vec<Pid> {
        let helper = self.project.beside("helper");
        let processes = fs::read_dir("/proc").unwrap().flatten();
        let is_ours = |path: &PathBuf| {
            let words = fs::read(path.join("cmdline")).unwrap_or_default();
            words.starts_with(helper.as_os_str().as_encoded_bytes())
        };
        let found = processes.map(|process| process.path()).filter(is_ours);
        found.filter_map(|path| path.file_name()?.to_str()?.parse().ok()).map(Pid::from_raw).collect()
    }
}

/// What stands below `root`, but for the names of what was moved aside.
fn tree(root: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    let mut dirs = vec![root.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(&dir).into_iter().flatten().flatten() {
            let path = entry.path();
            // What a helper has left behind that was killed takes no part.
            if path.file_name().unwrap().as_encoded_bytes().starts_with(b".hotwatch-") {
                continue;
            }
            let meta = fs::symlink_metadata(&path).unwrap();
            let text = if meta.is_dir() {
                dirs.push(path.clone());
                "dir".to_owned()
            } else if meta.is_symlink() {
                format!("link {}", fs::read_link(&path).unwrap().display())
            } else {
                let executable = meta.permissions().mode() & 0o100 != 0;
                format!("{} {executable}", fs::read_to_string(&path).unwrap())
            };
            found.insert(path.strip_prefix(root).unwrap().to_owned(), text);
        }
    }
    found
}

struct Model {
    both: Both,
    random: u64,
    /// How many versions were written.
    versions: usize,
    /// Where everything goes that somebody has replaced or deleted: not lost, but no longer wanted.
    trash: PathBuf,
    thrown: usize,
}

impl Model {
    fn draw(&mut self, below: usize) -> usize {
        // Knuth's MMIX generator; its upper bits are good enough.
        self.random =
            self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.random >> 33).unwrap() % below
    }

    fn side(&mut self) -> PathBuf {
        if self.draw(2) == 0 { self.both.here.clone() } else { self.both.there.clone() }
    }

    fn path(&mut self) -> PathBuf {
        let depth = 1 + self.draw(3);
        (0..depth).map(|_| ["a", "b", "c", "d"][self.draw(4)]).collect()
    }

    /// Moves what stands at `path` out of the way, in one moment, so that it is known what that was.
    fn throw(&mut self, path: &Path) {
        self.thrown += 1;
        drop(fs::rename(path, self.trash.join(self.thrown.to_string())));
    }

    fn write(&mut self, side: &Path, path: &Path) {
        self.versions += 1;
        let new = self.trash.join("new");
        fs::write(&new, format!("version {}", self.versions)).unwrap();
        let place = side.join(path);
        self.throw(&place);
        // What leads to it may be a file.
        let made = fs::create_dir_all(place.parent().unwrap());
        if made.and_then(|()| fs::hard_link(&new, &place)).is_err() {
            // Nobody has seen it.
            self.versions -= 1;
        }
        fs::remove_file(new).unwrap();
    }

    fn step(&mut self) {
        let (side, path) = (self.side(), self.path());
        let place = side.join(&path);
        match self.draw(21) {
            0..8 => self.write(&side, &path),
            8 | 9 => self.throw(&place),
            10 => {
                let to = side.join(self.path());
                self.throw(&to);
                drop(fs::rename(&place, &to));
            }
            11 => drop(fs::create_dir_all(&place)),
            12 => {
                if fs::symlink_metadata(&place).is_ok_and(|meta| meta.is_file()) {
                    let mode = if self.draw(2) == 0 { 0o755 } else { 0o644 };
                    drop(fs::set_permissions(&place, fs::Permissions::from_mode(mode)));
                }
            }
            13 => {
                self.throw(&place);
                drop(symlink("nowhere", &place));
            }
            14..17 => {
                let (here, there) = (self.both.here.clone(), self.both.there.clone());
                self.write(&here, &path);
                self.write(&there, &path);
            }
            17 => {
                // A directory where a file was, and the other way round.
                let inside = path.join("inside");
                self.throw(&place);
                let becomes = if self.draw(2) == 0 { inside } else { path };
                self.write(&side, &becomes);
            }
            20 => self.both.start_anew(self.versions),
            18 => self.both.helpers().into_iter().for_each(|pid| send(pid, Signal::SIGKILL)),
            _ => {
                let helpers = self.both.helpers();
                helpers.iter().for_each(|&pid| send(pid, Signal::SIGSTOP));
                let (here, there) = (self.both.here.clone(), self.both.there.clone());
                self.write(&here, &path);
                self.write(&there, &path);
                helpers.iter().for_each(|&pid| send(pid, Signal::SIGCONT));
            }
        }
    }

    /// Both sides agree, and every version is somewhere.
    fn check(&self, step: usize) {
        let (here, there) = (tree(&self.both.here), tree(&self.both.there));
        let differ: BTreeSet<&PathBuf> =
            here.keys().chain(there.keys()).filter(|path| here.get(*path) != there.get(*path)).collect();
        let shown: Vec<_> = differ.iter().map(|path| (path, here.get(*path), there.get(*path))).collect();
        assert!(shown.is_empty(), "after {step} steps both sides differ (path, here, there): {shown:#?}");
        let kept = self.both.project.beside("cache");
        let mut found = BTreeSet::new();
        for root in [&self.both.here, &self.both.there, &self.trash, &kept] {
            found.extend(versions(root));
        }
        let lost: Vec<usize> = (1..=self.versions).filter(|version| !found.contains(version)).collect();
        assert!(lost.is_empty(), "after {step} steps the versions {lost:?} are nowhere");
    }
}

/// Sends `signal` to a helper, which may be gone by now.
fn send(pid: Pid, signal: Signal) {
    let _ = kill(pid, signal);
}

/// The numbers of all versions below `root`.
fn versions(root: &Path) -> Vec<usize> {
    let (mut found, mut dirs) = (Vec::new(), vec![root.to_owned()]);
    while let Some(dir) = dirs.pop() {
        if let Some(text) = fs::read_to_string(&dir).ok().filter(|_| dir.is_file()) {
            found.extend(text.strip_prefix("version ").and_then(|number| number.parse::<usize>().ok()));
            continue;
        }
        dirs.extend(fs::read_dir(&dir).into_iter().flatten().flatten().map(|entry| entry.path()));
    }
    found
}

fn random(mode: &str, steps: usize) {
    let seed = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs());
    println!("{mode}: SEED={seed}");
    let both = Both::new(mode, "");
    let trash = both.project.beside("trash");
    fs::create_dir_all(&trash).unwrap();
    // One side is never quite empty: that would halt it.
    fs::write(both.here.join("anchor-1"), "").unwrap();
    fs::write(both.here.join("anchor-2"), "").unwrap();
    let mut up = both.up();
    up.until_event("synced", "web");
    let mut model = Model { both, random: seed, versions: 0, trash, thrown: 0 };
    let mut next = 0;
    for step in 1..=steps {
        model.step();
        if step >= next {
            model.both.settle();
            model.check(step);
            next = step + 1 + model.draw(40);
        }
    }
    model.both.settle();
    model.check(steps);
    let (status, _) = up.stop();
    assert!(status.success());
    println!("{mode}: {steps} steps, {} versions, all of them found", model.versions);
}

fn steps() -> usize {
    std::env::var("STEPS").ok().and_then(|steps| steps.parse().ok()).unwrap_or(STEPS)
}

#[test]
fn nothing_is_lost_in_a_safe_sync() {
    random("two-way-safe", steps());
}

#[test]
fn nothing_is_lost_in_a_resolved_sync() {
    random("two-way-resolved", steps() / 4);
}
