//! Termination signals as values: they are blocked for the whole process, and one thread waits for them with
//! `sigwait`, so no code ever runs in a signal handler. The same thread collects adopted children that have ended.

use std::io;
use std::os::unix::thread::JoinHandleExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use nix::sys::pthread::pthread_kill;
use nix::sys::signal::{SigSet, Signal};

use crate::process::os;
use crate::terminal::Keyboard;

/// What asked the process to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Termination {
    /// SIGINT: Ctrl+C.
    Interrupt,
    /// SIGTERM.
    Terminate,
    /// SIGHUP: the terminal was closed.
    Hangup,
    /// SIGQUIT: Ctrl+\\, at once.
    Quit,
}

/// Ends the waiting thread; a user who sends it changes nothing.
const CLOSE: Signal = Signal::SIGUSR2;

/// Proof that the signals are blocked in this process.
#[derive(Debug)]
pub struct Blocked {
    set: SigSet,
    /// Follows Ctrl+Z and what comes after it, if those are blocked too.
    keyboard: Option<Keyboard>,
}

/// Blocks the termination signals. Call it before any thread is started: threads inherit the mask. So do
/// children, but for those that [`crate::process::spawn`] starts.
///
/// # Errors
/// Those of pthread_sigmask(3); none is known for this use.
pub fn block() -> io::Result<Blocked> {
    let ends = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT];
    let set = ends.into_iter().chain([Signal::SIGCHLD, CLOSE]).collect::<SigSet>();
    set.thread_block()?;
    Ok(Blocked { set, keyboard: None })
}

impl Blocked {
    /// Blocks the signals of job control as well, so that `keyboard` gives the terminal back before the process is
    /// stopped, and takes it when it goes on. Call it before any thread is started.
    ///
    /// # Errors
    /// Those of [`block`].
    pub fn with_keyboard(mut self, keyboard: Keyboard) -> io::Result<Blocked> {
        self.set.add(Signal::SIGTSTP);
        self.set.add(Signal::SIGCONT);
        self.set.thread_block()?;
        self.keyboard = Some(keyboard);
        Ok(self)
    }

    /// Calls `tell` from a thread of its own for every termination signal, until the listener is dropped.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn listen(self, mut tell: impl FnMut(Termination) + Send + 'static) -> io::Result<Listener> {
        let closing = Arc::new(AtomicBool::new(false));
        let closed = Arc::clone(&closing);
        let wait = move || {
            while let Ok(signal) = self.set.wait() {
                match signal {
                    Signal::SIGINT => tell(Termination::Interrupt),
                    Signal::SIGTERM => tell(Termination::Terminate),
                    Signal::SIGHUP => tell(Termination::Hangup),
                    Signal::SIGQUIT => tell(Termination::Quit),
                    Signal::SIGCHLD => os::reap_adopted(),
                    Signal::SIGTSTP => self.keyboard.iter().for_each(Keyboard::suspend),
                    Signal::SIGCONT => self.keyboard.iter().for_each(Keyboard::resume),
                    _ if closed.load(Ordering::Acquire) => break,
                    _ => {}
                }
            }
        };
        let thread = std::thread::Builder::new().name("signals".to_owned()).spawn(wait)?;
        Ok(Listener { closing, thread: Some(thread) })
    }
}

/// The waiting thread; joined on drop.
#[derive(Debug)]
pub struct Listener {
    closing: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.closing.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            // The thread ends only after this signal, so its handle is valid here.
            if pthread_kill(thread.as_pthread_t() as _, CLOSE).is_ok() {
                drop(thread.join());
            }
        }
    }
}
