//! Who may build: a limited number of builds at once, in start order.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// How many builds may run at once, and who is next: the service that starts first. The first build of all goes
/// alone: with a cold cache it compiles the standard library, which the others would otherwise all compile at
/// the same time.
#[derive(Debug, Clone)]
pub struct Slots(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    taken: Mutex<Taken>,
    changed: Condvar,
    generating: Mutex<()>,
}

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
        let taken = Mutex::new(Taken { now: 0, limit, waiting: Vec::new(), warm: false });
        Slots(Arc::new(Shared { taken, changed: Condvar::new(), generating: Mutex::new(()) }))
    }

    /// Waits for a slot; false when `cancelled` was set before there was one.
    pub(super) fn take(&self, rank: usize, cancelled: &AtomicBool) -> bool {
        let Shared { taken, changed, .. } = &*self.0;
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

    pub(super) fn give_back(&self) {
        let Shared { taken, changed, .. } = &*self.0;
        let mut taken = taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.now -= 1;
        taken.warm = true;
        changed.notify_all();
    }

    /// Makes those that wait look whether they were cancelled.
    pub(super) fn wake(&self) {
        let Shared { taken, changed, .. } = &*self.0;
        drop(taken.lock().unwrap_or_else(PoisonError::into_inner));
        changed.notify_all();
    }

    /// Held while steps before a build run: two services may share what they generate.
    pub(super) fn generating(&self) -> MutexGuard<'_, ()> {
        self.0.generating.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

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
        while slots.0.taken.lock().unwrap().waiting.len() < 3 {
            std::thread::yield_now();
        }
        slots.give_back();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(order.try_iter().collect::<Vec<_>>(), [2, 3, 4]);
    }
}
