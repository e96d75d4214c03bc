//! How a sync is ended from another thread: what it waits for is told that it is over, and what does not hear it is
//! killed.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use hotwatch_platform::process::{Group, Signal};

/// Whether somebody wants to end, and what might hold that up.
#[derive(Debug, Default)]
pub struct Ending {
    wanted: AtomicBool,
    forced: AtomicBool,
    /// Processes that do work which is not wanted any more then.
    interrupted: Groups,
    /// Processes to which somebody may be writing who do not read.
    forcible: Groups,
}

impl Ending {
    /// Whether somebody wants to end.
    pub fn is_wanted(&self) -> bool {
        self.wanted.load(Ordering::Acquire)
    }

    /// Has everybody end who asks, and what runs by now and can be interrupted. What puts things in order may begin
    /// after that.
    pub fn want(&self) {
        // What has begun since then puts things in order.
        if !self.wanted.swap(true, Ordering::AcqRel) {
            self.interrupted.kill();
        }
    }

    /// Has `group` be killed by [`Ending::want`], if it has begun before, and by [`Ending::force`] in any case.
    pub fn interrupts(&self, group: &Arc<Group>) {
        self.interrupted.add(group);
        self.ends_with(group);
    }

    /// Has `group` be killed by [`Ending::force`], also one that has come before.
    pub fn ends_with(&self, group: &Arc<Group>) {
        self.forcible.add(group);
        if self.forced.load(Ordering::Acquire) {
            self.forcible.kill();
        }
    }

    /// Whether nobody waits for things to be put in order.
    pub fn is_forced(&self) -> bool {
        self.forced.load(Ordering::Acquire)
    }

    /// Ends what does not end by itself, and whatever begins after that.
    pub fn force(&self) {
        self.forced.store(true, Ordering::Release);
        self.forcible.kill();
    }
}

/// Process groups that somebody else owns.
#[derive(Debug, Default)]
struct Groups(Mutex<Vec<Weak<Group>>>);

impl Groups {
    fn add(&self, group: &Arc<Group>) {
        let mut groups = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        groups.retain(|group| group.strong_count() > 0);
        groups.push(Arc::downgrade(group));
    }

    fn kill(&self) {
        let groups = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        groups.iter().filter_map(Weak::upgrade).for_each(|group| drop(group.signal(Signal::SIGKILL)));
    }
}
