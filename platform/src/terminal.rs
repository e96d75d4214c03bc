//! Single keys from a terminal: no line editing and no echo, but Ctrl+C and its like stay signals. The terminal is
//! its user's again whenever hotwatch is stopped, in the background, or at its end.

use std::io::{self, PipeReader, PipeWriter, Read, Stdin, Write};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, raise};
use nix::sys::termios::{LocalFlags, SetArg, SpecialCharacterIndices, Termios, tcgetattr, tcsetattr};
use nix::unistd::{getpgrp, read, tcgetpgrp};

/// The terminal behind standard input. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Keyboard(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    stdin: Stdin,
    /// The settings as the user has them, while they are others.
    original: Mutex<Option<Termios>>,
    /// A byte in here makes the thread that reads keys look up.
    wake: PipeWriter,
    woken: PipeReader,
    ended: AtomicBool,
}

impl Keyboard {
    /// The terminal behind standard input, left as it is so far.
    ///
    /// # Errors
    /// No pipe can be opened.
    pub fn new() -> io::Result<Keyboard> {
        let (woken, wake) = io::pipe()?;
        let (stdin, original, ended) = (io::stdin(), Mutex::new(None), AtomicBool::new(false));
        Ok(Keyboard(Arc::new(Inner { stdin, original, wake, woken, ended })))
    }

    /// Calls `tell` for every byte that is typed while this is the terminal's foreground job, on a thread of its
    /// own, until the handle is dropped or the terminal is gone. To be called once.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn listen(&self, mut tell: impl FnMut(u8) + Send + 'static) -> io::Result<Listener> {
        let inner = Arc::clone(&self.0);
        let run = move || {
            while let Some(byte) = inner.next() {
                byte.into_iter().for_each(&mut tell);
            }
        };
        let thread = std::thread::Builder::new().name("keys".to_owned()).spawn(run)?;
        self.0.take();
        Ok(Listener { keyboard: self.clone(), thread: Some(thread) })
    }

    /// Stops this process, as Ctrl+Z does by default, with the terminal given back; returns when it goes on.
    pub fn suspend(&self) {
        self.0.give_back();
        // Cannot fail: the signal exists, and one may always signal oneself.
        let _ = raise(Signal::SIGSTOP);
    }

    /// To be called when the process goes on after it was stopped (SIGCONT), in the foreground or not.
    pub fn resume(&self) {
        if !self.0.ended.load(Ordering::Acquire) {
            self.0.take();
        }
        self.0.wake();
    }
}

impl Inner {
    /// Has every key told at once and none shown, if this is the terminal's foreground job. To others it is not
    /// theirs (and setting it would stop them: SIGTTOU).
    fn take(&self) {
        let mut kept = self.original.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.in_foreground() {
            return;
        }
        let Ok(original) = tcgetattr(&self.stdin) else { return };
        let mut single = original.clone();
        single.local_flags.remove(LocalFlags::ICANON | LocalFlags::ECHO);
        single.control_chars[SpecialCharacterIndices::VMIN as usize] = 1;
        single.control_chars[SpecialCharacterIndices::VTIME as usize] = 0;
        if tcsetattr(&self.stdin, SetArg::TCSANOW, &single).is_ok() {
            // A shell may have let the settings be, or not, while this was stopped.
            kept.get_or_insert(original);
        }
    }

    /// Gives the terminal back as it was.
    fn give_back(&self) {
        let mut kept = self.original.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(original) = kept.take()
            && self.in_foreground()
        {
            // A terminal that is gone has no settings.
            let _ = tcsetattr(&self.stdin, SetArg::TCSANOW, &original);
        }
    }

    fn in_foreground(&self) -> bool {
        tcgetpgrp(&self.stdin) == Ok(getpgrp())
    }

    fn wake(&self) {
        // The pipe holds far more bytes than there are reasons to wake.
        let _ = (&self.wake).write(&[0]);
    }

    /// The next byte that was typed, or nothing when something else is to be looked at; `None` at the end.
    fn next(&self) -> Option<Option<u8>> {
        let mut set = vec![PollFd::new(self.woken.as_fd(), PollFlags::POLLIN)];
        // A background job must not read (SIGTTIN); it is woken when that may have changed.
        if self.in_foreground() {
            set.push(PollFd::new(self.stdin.as_fd(), PollFlags::POLLIN));
        }
        match poll(&mut set, PollTimeout::NONE) {
            Ok(_) => {}
            Err(Errno::EINTR) => return Some(None),
            Err(_) => return None,
        }
        let mut byte = [0];
        if set[0].any().unwrap_or(true) {
            let woken = (&self.woken).read(&mut byte).is_ok_and(|read| read > 0);
            return (woken && !self.ended.load(Ordering::Acquire)).then_some(None);
        }
        if !self.in_foreground() {
            return Some(None);
        }
        // Past the buffer of `Stdin`, of which poll(2) knows nothing.
        match read(&self.stdin, &mut byte) {
            Ok(1..) => Some(Some(byte[0])),
            Err(Errno::EINTR) => Some(None),
            Ok(0) | Err(_) => None,
        }
    }
}

/// The thread that reads keys; dropping it joins the thread and gives the terminal back.
#[derive(Debug)]
pub struct Listener {
    keyboard: Keyboard,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.keyboard.0.ended.store(true, Ordering::Release);
        self.keyboard.0.give_back();
        self.keyboard.0.wake();
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}
