//! The groups that this process has started and not yet reaped, by number, and the line on which its guard is told
//! of them. One book per process, because children, their adoption and their reaping are matters of a whole process.
//!
//! A group is told by its own leader, between fork and exec: however soon this process is killed, a program that
//! runs is one that the guard knows.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError, RwLock, RwLockReadGuard};
use std::time::{SystemTime, UNIX_EPOCH};

use nix::sys::signal::{SigHandler, Signal, signal};

use super::{Members, Span};

/// The variable in the environment of every process that is started here and of what that starts in turn. A daemon
/// leaves its group, its session and its parent; this stays with it.
pub(crate) const MARK: &str = "HOTWATCH_GROUP";

/// The size of a [`Word`] on the line. Writes of up to `PIPE_BUF` bytes are atomic (pipe(7)).
pub(crate) const WORD: usize = 9;

/// The writing end of the line, or -1. An atomic, because it is read between fork and exec.
static LINE: AtomicI32 = AtomicI32::new(-1);

/// Held for reading from before a fork until the child is in the book; whoever changes the line, or reaps children
/// that are not in the book, holds it for writing.
static FORKING: RwLock<()> = RwLock::new(());

static BOOK: Mutex<Book> = Mutex::new(Book { groups: BTreeMap::new(), guard: None });

static NEXT: AtomicU32 = AtomicU32::new(0);

struct Book {
    groups: BTreeMap<u32, Members>,
    /// Its process id and the line to it.
    guard: Option<(i32, OwnedFd)>,
}

/// What the guard is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Word {
    /// The group of this number has begun.
    Begun(u32, Members),
    /// It is over; its id may be another's from now on.
    Over(u32),
}

impl Word {
    /// Its form on the line. Allocates nothing.
    pub(crate) fn bytes(self) -> [u8; WORD] {
        let (kind, number, id) = match self {
            Word::Begun(number, Members { id, span: Span::Group }) => (b'g', number, id),
            Word::Begun(number, Members { id, span: Span::Session }) => (b's', number, id),
            Word::Over(number) => (b'-', number, 0),
        };
        let ([a, b, c, d], [e, f, g, h]) = (number.to_ne_bytes(), id.to_ne_bytes());
        [kind, a, b, c, d, e, f, g, h]
    }

    /// Reads that form; `None` for what no [`Word`] looks like.
    pub(crate) fn parse([kind, a, b, c, d, e, f, g, h]: [u8; WORD]) -> Option<Word> {
        let (number, id) = (u32::from_ne_bytes([a, b, c, d]), i32::from_ne_bytes([e, f, g, h]));
        match kind {
            b'g' => Some(Word::Begun(number, Members { id, span: Span::Group })),
            b's' => Some(Word::Begun(number, Members { id, span: Span::Session })),
            b'-' => Some(Word::Over(number)),
            _ => None,
        }
    }
}

/// What tells this process from all others that ever run here; the first half of every mark.
pub(crate) fn run() -> &'static str {
    static RUN: OnceLock<String> = OnceLock::new();
    RUN.get_or_init(|| {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        format!("{}-{:x}", std::process::id(), since.as_nanos())
    })
}

/// The value of [`MARK`] for the group `number`.
pub(crate) fn mark(number: u32) -> String {
    format!("{}.{number}", run())
}

/// A group that is about to be started.
pub(super) struct Beginning {
    pub(super) number: u32,
    _forking: RwLockReadGuard<'static, ()>,
}

/// Begins a group: it gets its number.
pub(super) fn begin() -> Beginning {
    let forking = FORKING.read().unwrap_or_else(PoisonError::into_inner);
    Beginning { number: NEXT.fetch_add(1, Ordering::Relaxed), _forking: forking }
}

impl Beginning {
    /// Its leader is there.
    pub(super) fn done(self, members: Members) {
        book().groups.insert(self.number, members);
    }

    /// It could not be started; its leader may have told of itself before that was known.
    pub(super) fn failed(self) {
        book().say(Word::Over(self.number));
    }
}

/// Tells the guard of the group `number`, whose leader is the caller: called between fork and exec, so it allocates
/// nothing and makes only async-signal-safe calls (signal-safety(7)).
pub(super) fn tell_from_leader(number: u32, span: Span) -> io::Result<()> {
    let line = LINE.load(Ordering::Acquire);
    if line >= 0 {
        let id = i32::try_from(std::process::id()).unwrap_or_default();
        let word = Word::Begun(number, Members { id, span }).bytes();
        // SAFETY: no handler is installed, and `word` is valid for reads of its length. The standard library has set
        // SIGPIPE to its default, by which a guard that is gone would end the caller.
        unsafe {
            signal(Signal::SIGPIPE, SigHandler::SigIgn)?;
            libc::write(line, word.as_ptr().cast(), word.len());
            signal(Signal::SIGPIPE, SigHandler::SigDfl)?;
        }
    }
    Ok(())
}

/// The group `number` is about to be reaped.
pub(super) fn over(number: u32) {
    let mut book = book();
    book.groups.remove(&number);
    book.say(Word::Over(number));
}

/// Whether `pid` leads a group of the book, or is the guard.
#[cfg(target_os = "linux")]
pub(super) fn knows(pid: i32) -> bool {
    let book = book();
    book.groups.values().any(|members| members.id == pid)
        || book.guard.as_ref().is_some_and(|guard| guard.0 == pid)
}

/// Calls `alone` while no child is between its fork and its place in the book.
#[cfg(target_os = "linux")]
pub(super) fn while_nothing_starts(alone: impl FnOnce()) {
    let _forking = FORKING.write().unwrap_or_else(PoisonError::into_inner);
    alone();
}

/// Tells the new guard with this process id of all groups, on this line, and of what comes from now on; without a
/// guard, nobody.
pub(crate) fn connect(guard: Option<(i32, OwnedFd)>) {
    let _forking = FORKING.write().unwrap_or_else(PoisonError::into_inner);
    let mut book = book();
    LINE.store(guard.as_ref().map_or(-1, |(_, line)| line.as_raw_fd()), Ordering::Release);
    book.guard = guard;
    book.groups.iter().for_each(|(&number, &members)| book.say(Word::Begun(number, members)));
}

fn book() -> MutexGuard<'static, Book> {
    BOOK.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Book {
    fn say(&self, word: Word) {
        if let Some((_, line)) = &self.guard {
            // A guard that is gone hears it from the book when there is a new one.
            let _ = nix::unistd::write(line, &word.bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_as_they_were_written() {
        let members = |span| Members { id: 4711, span };
        for word in [
            Word::Begun(7, members(Span::Group)),
            Word::Begun(0, members(Span::Session)),
            Word::Over(1 << 20),
        ] {
            assert_eq!(Word::parse(word.bytes()), Some(word));
        }
        assert_eq!(Word::parse([0; WORD]), None);
    }
}
