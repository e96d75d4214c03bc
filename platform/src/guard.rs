//! The guard: a second process of this program that outlives the first by a moment and kills what it leaves behind
//! when it is killed with SIGKILL. It hears of every process group on a pipe, whose end is the end of hotwatch; what
//! has left its group is found by the mark in its environment.
//!
//! It is a child, not the parent: so hotwatch is the process that users see and signal, and the guard, in a session
//! of its own, is not among those that a terminal, `timeout` or `kill -9 -PGID` means.

mod duty;

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use nix::unistd::setsid;

use crate::process::{book, os, signal_each};

pub use duty::{Duty, on_duty};

/// What the guard is called in lists of processes. Not `hotwatch`: `pkill -9 hotwatch` must not mean it, too.
const NAME: &str = "hw-guard";

/// A guard that lived for less than this is not replaced: the next would fare no better.
const LIFE: Duration = Duration::from_millis(100);

/// What becomes of the guard.
#[derive(Debug)]
pub enum Told {
    /// It was killed, and another one, with this process id, has taken over.
    Replaced(i32),
    /// It was killed, and there is no other.
    Lost(io::Error),
}

/// The handle to the guard. Dropping it ends whatever this process has adopted and the guard, and waits for both.
#[derive(Debug)]
pub struct Guard {
    closing: Arc<Mutex<bool>>,
    thread: Option<JoinHandle<()>>,
}

/// What a guard is started with.
struct Post {
    lock: File,
    dir: PathBuf,
}

impl Guard {
    /// Starts the guard, and makes this process the one that adopts what daemonises. The guard works in `dir`, and
    /// its copy of `lock`, an open file, is closed when nothing is left of what was started here. `tell` is called
    /// from a thread of its own.
    ///
    /// # Errors
    /// The process or the thread cannot be started.
    pub fn start(lock: &File, dir: &Path, tell: impl Fn(Told) + Send + 'static) -> io::Result<Guard> {
        os::adopt()?;
        let post = Post { lock: lock.try_clone()?, dir: dir.to_owned() };
        let closing = Arc::new(Mutex::new(false));
        let mut child = post.fill()?;
        let closes = Arc::clone(&closing);
        let follow = move || {
            loop {
                let since = Instant::now();
                // It is waited for only here; that it cannot be is as good as its end.
                drop(child.wait());
                let closing = closes.lock().unwrap_or_else(PoisonError::into_inner);
                if *closing {
                    return;
                }
                let next = if since.elapsed() < LIFE {
                    Err(io::Error::other("it ended at once"))
                } else {
                    post.fill()
                };
                match next {
                    Ok(next) => child = next,
                    Err(error) => {
                        book::connect(None);
                        return tell(Told::Lost(error));
                    }
                }
                tell(Told::Replaced(id(&child)));
            }
        };
        let thread = std::thread::Builder::new().name("guard".to_owned()).spawn(follow);
        // Without a thread nobody would wait for it: it ends with its line.
        let thread = thread.inspect_err(|_| book::connect(None))?;
        Ok(Guard { closing, thread: Some(thread) })
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // What has emptied its environment belongs to no service, but it is ours.
        let mut left = os::running_adopted();
        while !left.is_empty() {
            let below = left.iter().flat_map(|&pid| os::below(pid)).collect();
            signal_each(&left, Signal::SIGKILL);
            signal_each(&below, Signal::SIGKILL);
            // What is below a killed process is adopted in turn.
            left = os::running_adopted().difference(&left).copied().collect();
        }
        *self.closing.lock().unwrap_or_else(PoisonError::into_inner) = true;
        book::connect(None);
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

impl Post {
    /// Starts a guard, and tells it of all groups.
    fn fill(&self) -> io::Result<Child> {
        let (hears, line) = io::pipe()?;
        let line = OwnedFd::from(line);
        // Nobody ever waits for the guard, not even if somebody has stopped it.
        fcntl(&line, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        let mut command = Command::new(os::own_program()?);
        command
            .arg0(NAME)
            .arg(book::run())
            // Without a mark: the guard of a hotwatch that is itself a service of another has to outlive it.
            .env_clear()
            .current_dir(&self.dir)
            .stdin(hears)
            .stdout(self.lock.try_clone()?)
            .stderr(Stdio::null());
        // SAFETY: between fork and exec the closure makes only async-signal-safe calls (signal-safety(7)).
        unsafe {
            command.pre_exec(|| {
                setsid()?;
                Ok(sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::all()), None)?)
            });
        }
        let child = command.spawn()?;
        book::connect(Some((id(&child), line)));
        Ok(child)
    }
}

fn id(child: &Child) -> i32 {
    i32::try_from(child.id()).expect("process ids fit in pid_t")
}
