//! One run of a build command: its own process group, a fresh output path, a temporary directory of its own.
//! It waits for a free slot, can be cancelled at any time, and leaves nothing behind but the binary of a success.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, PipeReader, Read, pipe};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, bounded};

use hotwatch_platform::process::{self, Exit, Group, Signal};

/// How much of a build's output is kept.
const OUTPUT_LIMIT: usize = 1024 * 1024;

/// How long the end of a build waits for the end of its output.
const LAST_OUTPUT: Duration = Duration::from_millis(100);

/// What to build.
#[derive(Debug, Clone)]
pub struct Order {
    /// The command; `{out}` stands for the binary.
    pub command: Vec<String>,
    /// Where it runs.
    pub dir: PathBuf,
    /// Variables added to the inherited environment.
    pub env: BTreeMap<String, String>,
    /// Where the binary goes.
    pub out: PathBuf,
    /// A directory of its own for temporary files; made here, removed at the end.
    pub temp: PathBuf,
    /// Its place in the queue for a slot; lower goes first.
    pub rank: usize,
}

/// How many builds may run at once, and who is next: the service that starts first. The first build of all goes
/// alone: with a cold cache it compiles the standard library, which the others would otherwise all compile at
/// the same time.
#[derive(Debug, Clone)]
pub struct Slots(Arc<(Mutex<Taken>, Condvar)>);

#[derive(Debug)]
struct Taken {
    now: usize,
    limit: usize,
    /// The ranks of those that wait; lower ones go first.
    waiting: Vec<usize>,
    /// Whether the first build has ended.
    warm: bool,
}

impl Slots {
    /// Slots for `limit` builds.
    pub fn new(limit: usize) -> Slots {
        Slots(Arc::new((
            Mutex::new(Taken { now: 0, limit, waiting: Vec::new(), warm: false }),
            Condvar::new(),
        )))
    }

    /// Waits for a slot; false when `cancelled` was set before there was one.
    fn take(&self, rank: usize, cancelled: &AtomicBool) -> bool {
        let (taken, changed) = &*self.0;
        let mut taken = taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.waiting.push(rank);
        let not_yet = |taken: &mut Taken| {
            let limit = if taken.warm { taken.limit } else { 1 };
            let next = taken.waiting.iter().min() == Some(&rank);
            !(cancelled.load(Ordering::Acquire) || (next && taken.now < limit))
        };
        let mut taken = changed.wait_while(taken, not_yet).unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = taken.waiting.iter().position(|&waiting| waiting == rank) {
            taken.waiting.swap_remove(place);
        }
        // Whoever is next now may have waited for this one only.
        changed.notify_all();
        if cancelled.load(Ordering::Acquire) {
            return false;
        }
        taken.now += 1;
        true
    }

    fn give_back(&self) {
        let (taken, changed) = &*self.0;
        let mut taken = taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.now -= 1;
        taken.warm = true;
        changed.notify_all();
    }

    /// Makes those that wait look whether they were cancelled.
    fn wake(&self) {
        let (taken, changed) = &*self.0;
        drop(taken.lock().unwrap_or_else(PoisonError::into_inner));
        changed.notify_all();
    }
}

/// How far a build has come.
#[derive(Debug, PartialEq, Eq)]
pub enum Progress {
    /// It has its slot and runs now.
    Begun,
    /// It has ended: with nothing if the binary is there, otherwise with what the build said.
    Ended(Result<(), String>),
}

/// A build that waits for its slot or runs. Dropping it cancels it and waits for its end.
#[derive(Debug)]
pub struct Build {
    shared: Arc<Shared>,
    slots: Slots,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    cancelled: AtomicBool,
    /// The build's processes, once it runs.
    group: Mutex<Option<Arc<Group>>>,
}

impl Build {
    /// Starts the build, as soon as there is a slot. `tell` is called from another thread.
    pub fn start(order: Order, slots: &Slots, tell: impl Fn(Progress) + Send + 'static) -> Build {
        let shared = Arc::new(Shared::default());
        let (of_build, of_slots) = (Arc::clone(&shared), slots.clone());
        let thread = std::thread::spawn(move || {
            let mut result = Err("cancelled".to_owned());
            if of_slots.take(order.rank, &of_build.cancelled) {
                tell(Progress::Begun);
                result = of_build.run(&order);
                of_slots.give_back();
            }
            drop(fs::remove_dir_all(&order.temp));
            if result.is_err() {
                drop(fs::remove_file(&order.out));
            }
            tell(Progress::Ended(result));
        });
        Build { shared, slots: slots.clone(), thread: Some(thread) }
    }

    /// Ends the build; its end is reported as that of any other.
    pub fn cancel(&self) {
        self.shared.cancelled.store(true, Ordering::Release);
        self.slots.wake();
        if let Some(group) = &*self.shared.group.lock().unwrap_or_else(PoisonError::into_inner) {
            // What cannot be signalled has ended.
            drop(group.signal(Signal::SIGKILL));
        }
    }
}

impl Drop for Build {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take() {
            if !thread.is_finished() {
                self.cancel();
            }
            drop(thread.join());
        }
    }
}

impl Shared {
    fn run(&self, order: &Order) -> Result<(), String> {
        // Under the lock: whoever cancels either is seen here, or finds the group.
        let mut group = self.group.lock().unwrap_or_else(PoisonError::into_inner);
        if self.cancelled.load(Ordering::Acquire) {
            return Err("cancelled".to_owned());
        }
        let started = Started::new(order)?;
        *group = Some(Arc::clone(&started.group));
        drop(group);
        started.wait(order)
    }
}

struct Started {
    group: Arc<Group>,
    output: PipeReader,
}

impl Started {
    fn new(order: &Order) -> Result<Started, String> {
        let out = order.out.display().to_string();
        let words: Vec<String> = order.command.iter().map(|word| word.replace("{out}", &out)).collect();
        let (program, args) = words.split_first().ok_or("the build command is empty")?;
        fs::create_dir_all(&order.temp)
            .map_err(|error| format!("cannot create `{}`: {error}", order.temp.display()))?;
        let pipe = || {
            let (output, input) = pipe()?;
            Ok((output, input.try_clone()?, input))
        };
        let (output, stdout, stderr) =
            pipe().map_err(|error: io::Error| format!("cannot open a pipe: {error}"))?;
        let started = process::spawn(
            Command::new(program)
                .args(args)
                .current_dir(&order.dir)
                .envs(&order.env)
                .env("GOTMPDIR", &order.temp)
                .stdin(Stdio::null())
                .stdout(stdout)
                .stderr(stderr),
        )
        .map_err(|error| format!("cannot run `{program}` in `{}`: {error}", order.dir.display()))?;
        Ok(Started { group: Arc::new(started.group), output })
    }

    /// Waits for the end of the leader, and ends whatever it leaves behind.
    fn wait(self, order: &Order) -> Result<(), String> {
        let output = Collected::start(self.output);
        let exit = self.group.wait_leader();
        drop(self.group.signal(Signal::SIGKILL));
        drop(self.group.reap());
        let text = output.text();
        let problem = match exit {
            Err(error) => format!("the build could not be followed: {error}"),
            Ok(Exit::Code(0)) if order.out.is_file() => return Ok(()),
            Ok(Exit::Code(0)) => "the build succeeded but made no binary; does it use `{out}`?".to_owned(),
            Ok(_) if !text.is_empty() => return Err(text),
            Ok(exit) => format!("`{}` ended with {exit}", order.command.join(" ")),
        };
        Err(format!("{text}\n{problem}").trim_start().to_owned())
    }
}

/// What a build writes, read while it runs.
struct Collected {
    text: Arc<Mutex<Vec<u8>>>,
    /// Disconnected at the end of the pipe.
    ended: Receiver<()>,
}

impl Collected {
    fn start(mut output: PipeReader) -> Collected {
        let text = Arc::new(Mutex::new(Vec::new()));
        let (running, ended) = bounded(0);
        let collected = Arc::clone(&text);
        // Ends with the pipe. That may outlive the build, if it started something that left its group, so
        // nobody waits for it for long.
        std::thread::spawn(move || {
            let mut buffer = [0; 8 * 1024];
            while let Ok(read @ 1..) = output.read(&mut buffer) {
                let mut text = collected.lock().unwrap_or_else(PoisonError::into_inner);
                let room = OUTPUT_LIMIT.saturating_sub(text.len());
                text.extend_from_slice(&buffer[..read.min(room)]);
            }
            drop(running);
        });
        Collected { text, ended }
    }

    fn text(&self) -> String {
        // Nothing is ever sent, so this ends with the pipe or with the time.
        let _ = self.ended.recv_timeout(LAST_OUTPUT);
        let text = self.text.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&text).trim_end().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;
    use std::sync::mpsc::{self, channel};

    fn follow(order: Order) -> (Build, mpsc::Receiver<Result<(), String>>) {
        let (sender, receiver) = channel();
        let tell = move |progress| {
            if let Progress::Ended(result) = progress {
                sender.send(result).unwrap();
            }
        };
        (Build::start(order, &Slots::new(1), tell), receiver)
    }

    fn start(dir: &Path, script: &str) -> (Build, mpsc::Receiver<Result<(), String>>) {
        let command = ["sh", "-c", script, "sh", "{out}"].map(str::to_owned).to_vec();
        let (out, temp) = (dir.join("out"), dir.join("temp"));
        let order = Order { command, dir: dir.to_owned(), env: BTreeMap::new(), out, temp, rank: 0 };
        follow(order)
    }

    fn run(dir: &Path, script: &str) -> Result<(), String> {
        let (_build, done) = start(dir, script);
        done.recv_timeout(Duration::from_secs(30)).unwrap()
    }

    #[test]
    fn a_build_succeeds_with_its_binary_only() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(run(dir.path(), "touch $GOTMPDIR/x; echo done > $1"), Ok(()));
        assert!(dir.path().join("out").exists() && !dir.path().join("temp").exists());
        assert_eq!(run(dir.path(), "echo half > $1; echo broken >&2; exit 1"), Err("broken".to_owned()));
        assert!(!dir.path().join("out").exists());
        assert!(run(dir.path(), "true").unwrap_err().contains("made no binary"));
        assert!(run(dir.path(), "exit 3").unwrap_err().contains("exit code 3"));
        assert_eq!(run(dir.path(), "yes | head -c 2000000; exit 1").unwrap_err().len(), OUTPUT_LIMIT - 1);
    }

    #[test]
    fn what_a_build_leaves_behind_does_not_keep_it_from_ending() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(run(dir.path(), "sleep 600 & echo done > $1"), Ok(()));
        // It has left the group, so it lives on with the pipe until it is ended here.
        let script = "setsid sh -c 'echo $$ > daemon; exec sleep 600' & \
                      while ! [ -s daemon ]; do :; done; echo done > $1";
        assert_eq!(run(dir.path(), script), Ok(()));
        let daemon = fs::read_to_string(dir.path().join("daemon")).unwrap();
        let daemon = nix::unistd::Pid::from_raw(daemon.trim().parse().unwrap());
        nix::sys::signal::kill(daemon, Signal::SIGKILL).unwrap();
    }

    #[test]
    fn a_program_that_is_missing_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let order = Order {
            command: vec!["no-such-program".to_owned()],
            dir: dir.path().to_owned(),
            env: BTreeMap::new(),
            out: dir.path().join("out"),
            temp: dir.path().join("temp"),
            rank: 0,
        };
        let (build, done) = follow(order);
        assert!(done.recv().unwrap().unwrap_err().starts_with("cannot run `no-such-program` in"));
        drop(build);
        assert!(!dir.path().join("temp").exists());
    }

    #[test]
    fn one_build_goes_alone_first_and_a_waiting_one_can_be_cancelled() {
        let slots = Slots::new(2);
        let free = AtomicBool::new(false);
        assert!(slots.take(0, &free));
        let gone = AtomicBool::new(true);
        assert!(!slots.take(1, &gone));
        slots.give_back();
        assert!(slots.take(1, &free) && slots.take(2, &free));
        assert!(!slots.take(3, &gone));
    }

    #[test]
    fn whoever_starts_first_builds_first() {
        let slots = Slots::new(1);
        let free = Arc::new(AtomicBool::new(false));
        assert!(slots.take(9, &free));
        let (sender, order) = channel();
        let wait = |rank: usize| {
            let (slots, free, sender) = (slots.clone(), Arc::clone(&free), sender.clone());
            std::thread::spawn(move || {
                assert!(slots.take(rank, &free));
                sender.send(rank).unwrap();
                slots.give_back();
            })
        };
        let threads = [4, 2, 3].map(wait);
        while slots.0.0.lock().unwrap().waiting.len() < 3 {
            std::thread::yield_now();
        }
        slots.give_back();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(order.try_iter().collect::<Vec<_>>(), [2, 3, 4]);
    }

    #[test]
    fn cancelling_ends_the_whole_group() {
        let dir = tempfile::tempdir().unwrap();
        let (build, done) = start(dir.path(), "sleep 600 & sleep 600");
        build.cancel();
        // The pipe is read to its end, so this says that no process of the group is left.
        assert!(done.recv_timeout(Duration::from_secs(30)).unwrap().is_err());
    }
}
