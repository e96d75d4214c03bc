//! A long random history of a real directory, told the way FSEvents tells: merged, sticky, late and out of
//! order. Whoever follows the events must end up with what is there.

use std::collections::BTreeMap;
use std::fs;

use super::super::flags::*;
use super::*;

/// What a reader of the events believes: every file with its content.
type Mirror = BTreeMap<PathBuf, Vec<u8>>;

/// A system whose streams are the test itself.
struct Silent;

impl System for Silent {
    fn start(&mut self, _: usize, _: &Path) -> bool {
        true
    }
    fn stop(&mut self, _: usize) {}
}

struct Pruned;

impl Scope for Pruned {
    fn enter(&mut self, dir: &Path) -> bool {
        !dir.ends_with("skip")
    }
    fn found(&mut self, _: &Path, _: Entry) {}
}

/// Numbers that look random, the same at every run of one seed (xorshift).
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % limit
    }
}

struct History {
    root: PathBuf,
    outside: PathBuf,
    dice: Dice,
    written: usize,
    /// Flags that were told of a path and stick to it.
    sticky: HashMap<PathBuf, u32>,
    /// Paths about which something is still to be told.
    due: Vec<PathBuf>,
    log: Vec<String>,
}

impl History {
    fn note(&mut self, what: &str, path: &Path, flags: u32) {
        self.log.push(format!("{what} {} {flags:x}", path.display()));
        *self.sticky.entry(path.to_owned()).or_default() |= flags;
        if !self.due.contains(&path.to_owned()) {
            self.due.push(path.to_owned());
        }
    }

    /// A path of few possible ones, so that paths are used again and again.
    fn path(&mut self) -> PathBuf {
        let names = ["a", "b", "c", "skip"];
        let depth = 1 + self.dice.below(3);
        (0..depth).fold(self.root.clone(), |path, _| path.join(names[self.dice.below(names.len())]))
    }

    fn act(&mut self) {
        let (path, other) = (self.path(), self.path());
        let dir = path.is_dir();
        match self.dice.below(8) {
            0 => self.make(&path),
            1..=3 if !dir => self.write(&path),
            4 if path.exists() => self.remove(&path),
            5 | 6 if path.exists() => self.rename(&path, &other),
            7 if dir && !self.outside.exists() => {
                fs::rename(&path, &self.outside).unwrap();
                self.note("out", &path, RENAMED | IS_DIR);
            }
            7 if self.outside.exists() && fs::rename(&self.outside, &path).is_ok() => {
                self.note("in", &path, RENAMED | IS_DIR);
            }
            _ => {}
        }
    }

    fn make(&mut self, path: &Path) {
        for dir in path.ancestors().collect::<Vec<_>>().into_iter().rev() {
            if fs::create_dir(dir).is_ok() {
                self.note("mkdir", dir, CREATED | IS_DIR);
            }
        }
    }

    fn write(&mut self, path: &Path) {
        self.written += 1;
        let before = fs::read(path);
        let empty = before.is_ok() && self.dice.below(4) == 0;
        let content = if empty { String::new() } else { self.written.to_string() };
        if fs::write(path, content).is_err() {
            return;
        }
        let flags = match before {
            Err(_) => CREATED | MODIFIED,
            Ok(_) if empty => INODE_META,
            Ok(_) => INODE_META | MODIFIED,
        };
        self.note("write", path, flags | IS_FILE);
    }

    fn remove(&mut self, path: &Path) {
        if !path.is_dir() {
            fs::remove_file(path).unwrap();
            return self.note("rm", path, REMOVED | IS_FILE);
        }
        for entry in fs::read_dir(path).unwrap() {
            self.remove(&entry.unwrap().path());
        }
        fs::remove_dir(path).unwrap();
        self.note("rmdir", path, REMOVED | IS_DIR);
    }

    fn rename(&mut self, from: &Path, to: &Path) {
        let kind = if from.is_dir() { IS_DIR } else { IS_FILE };
        if fs::rename(from, to).is_ok() {
            self.note("from", from, RENAMED | kind);
            self.note("to", to, RENAMED | kind);
        }
    }

    /// Some of what is due, in any order; all of it if `all`.
    fn tell(&mut self, all: bool) -> Vec<Raw> {
        let mut raw = Vec::new();
        let mut due = std::mem::take(&mut self.due);
        while !due.is_empty() {
            let path = due.swap_remove(self.dice.below(due.len()));
            if !all && self.dice.below(3) == 0 {
                self.due.push(path);
            } else {
                let flags = self.sticky[&path];
                self.log.push(format!("told {} {flags:x}", path.display()));
                raw.push(Raw { root: 0, path, flags });
            }
        }
        // After a while flags do not stick any more; those of what is still due were not told yet.
        if self.dice.below(3) == 0 {
            let due = &self.due;
            self.sticky.retain(|path, _| due.contains(path));
        }
        raw
    }
}

/// Every file of the directory `dir` that the scope lets one see.
fn read(dir: &Path, mirror: &mut Mirror) {
    for entry in fs::read_dir(dir).unwrap().flatten() {
        let path = entry.path();
        if !path.is_dir() {
            mirror.insert(path.clone(), fs::read(path).unwrap());
        } else if Pruned.enter(&path) {
            read(&path, mirror);
        }
    }
}

fn follow(mirror: &mut Mirror, event: &Event) {
    match event {
        Event::Change { path, kind: Kind::Removed, dir: true } => {
            mirror.retain(|file, _| !file.starts_with(path));
        }
        Event::Change { dir: true, .. } => {}
        Event::Change { path, .. } => match fs::read(path) {
            Ok(content) => drop(mirror.insert(path.clone(), content)),
            Err(_) => drop(mirror.remove(path)),
        },
        Event::Rescan { root, .. } => {
            mirror.clear();
            read(root, mirror);
        }
        Event::Unwatched { .. } => unreachable!("there is no limit"),
    }
}

fn check(seed: u64) {
    let dir = tempfile::tempdir().unwrap();
    let base = dir.path().canonicalize().unwrap();
    let root = base.join("root");
    fs::create_dir(&root).unwrap();
    let mut history = History {
        outside: base.join("outside"),
        root: root.clone(),
        dice: Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15)),
        written: 0,
        sticky: HashMap::new(),
        due: Vec::new(),
        log: Vec::new(),
    };
    for _ in 0..20 {
        history.act();
    }
    let mut backend = Backend::over(Silent, Arc::default(), Box::new(Pruned));
    backend.add(&root).unwrap();
    let mut mirror = Mirror::new();
    read(&root, &mut mirror);

    for round in 0..60 {
        for _ in 0..=history.dice.below(6) {
            history.act();
        }
        let all = round % 4 == 3;
        let mut events = Vec::new();
        backend.queue.push(history.tell(all).into_iter());
        backend.wait(&mut events, Some(Duration::ZERO)).unwrap();
        history.log.push(format!("{events:?}"));
        for event in &events {
            follow(&mut mirror, event);
        }
        if all {
            let mut there = Mirror::new();
            read(&root, &mut there);
            assert_eq!(mirror, there, "seed {seed}, round {round}:\n{}", history.log.join("\n"));
        }
    }
}

#[test]
fn following_the_events_leads_to_what_is_there() {
    for seed in 1..=300 {
        check(seed);
    }
}
