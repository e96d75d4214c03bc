//! The way of events from the thread that receives them to the one that waits for them. It is bounded: what is
//! too much is dropped, and known to be.

use std::path::PathBuf;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Events that wait at most.
const LIMIT: usize = 16 * 1024;

/// An event as FSEvents tells it.
#[derive(Debug)]
pub(in crate::watch) struct Raw {
    /// The number of the root whose stream told it.
    pub(in crate::watch) root: usize,
    pub(in crate::watch) path: PathBuf,
    pub(in crate::watch) flags: u32,
}

/// Hands events from the thread that receives them to the one that waits for them.
#[derive(Default)]
pub(in crate::watch) struct Queue {
    pending: Mutex<Batch>,
    signal: Condvar,
}

/// What came in since the last look.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) raw: Vec<Raw>,
    /// Events were dropped because too many were waiting.
    pub(super) lost: bool,
    /// Somebody wants the waiting thread to return.
    pub(super) woken: bool,
}

impl Queue {
    /// Adds events, as long as there is room.
    pub(in crate::watch) fn push(&self, events: impl Iterator<Item = Raw>) {
        let mut pending = self.lock();
        for event in events {
            if pending.raw.len() == LIMIT {
                pending.lost = true;
                break;
            }
            pending.raw.push(event);
        }
        self.signal.notify_one();
    }

    /// Makes the current or next [`Queue::take`] return.
    pub(super) fn wake(&self) {
        self.lock().woken = true;
        self.signal.notify_one();
    }

    /// Waits until something came in, or it is `until`.
    pub(super) fn take(&self, until: Option<Instant>) -> Batch {
        let idle = |pending: &mut Batch| pending.raw.is_empty() && !pending.woken;
        let pending = self.lock();
        let mut pending = match until {
            None => self.signal.wait_while(pending, idle).unwrap_or_else(PoisonError::into_inner),
            Some(until) => {
                let left = until.saturating_duration_since(Instant::now());
                let waited = self.signal.wait_timeout_while(pending, left, idle);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
        };
        std::mem::take(&mut *pending)
    }

    fn lock(&self) -> MutexGuard<'_, Batch> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
