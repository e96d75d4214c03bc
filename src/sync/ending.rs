//! How a sync is ended from another thread: what it waits for is told that it is over, and what does not hear it is
//! killed.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use hotwatch_platform::process::{Group, Signal};

/// Whether somebody wants to end, and what might hold that up.
#[derive(Debug, Default)]
pub struct Ending {
    wanted: AtomicBool,
    /// Processes to which somebody may be writing who do not read.
    groups: Mutex<Vec<Weak<Group>>>,
}

impl Ending {
    /// Whether somebody wants to end.
    pub fn is_wanted(&self) -> bool {
        self.wanted.load(Ordering::Acquire)
    }

    /// Has everybody end who asks.
    pub fn want(&self) {
        self.wanted.store(true, Ordering::Release);
    }

    /// Has `group` be killed by [`Ending::force`].
    pub fn ends_with(&self, group: &Arc<Group>) {
        let mut groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        groups.retain(|group| group.strong_count() > 0);
        groups.push(Arc::downgrade(group));
    }

    /// Ends what does not end by itself.
    pub fn force(&self) {
        let groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        groups.iter().filter_map(Weak::upgrade).for_each(|group| drop(group.signal(Signal::SIGKILL)));
    }
}
