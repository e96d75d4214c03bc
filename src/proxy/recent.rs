//! The last requests that passed a held port, so that they can be sent again. In memory only, and not much of it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

/// So many are kept, each once.
const REQUESTS: usize = 32;

/// A request that is larger than this is not kept, in bytes with its head.
const LARGEST: u64 = 64 * 1024;

/// A request as it came.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Passed {
    /// Its head, with the empty line behind it.
    pub head: Vec<u8>,
    /// Its body.
    pub body: Vec<u8>,
}

impl Passed {
    /// One with `head`, whose body of `length` bytes is to come; `None` if it is too large to be kept.
    pub fn begin(head: &[u8], length: u64) -> Option<Passed> {
        let size = length.saturating_add(head.len() as u64);
        (size <= LARGEST).then(|| Passed { head: head.to_vec(), body: Vec::new() })
    }
}

/// The last ones, newest last. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Recent(Arc<Mutex<VecDeque<Passed>>>);

impl Recent {
    /// Keeps `passed`, in place of the same one before and of the oldest.
    pub fn push(&self, passed: Passed) {
        let mut kept = self.lock();
        if let Some(same) = kept.iter().position(|known| *known == passed) {
            kept.remove(same);
        }
        if kept.len() == REQUESTS {
            kept.pop_front();
        }
        kept.push_back(passed);
    }

    /// All of them, newest last.
    pub fn all(&self) -> Vec<Passed> {
        self.lock().iter().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Passed>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passed(path: usize) -> Passed {
        Passed::begin(format!("GET /{path} HTTP/1.1\r\n\r\n").as_bytes(), 0).unwrap()
    }

    #[test]
    fn the_last_ones_are_kept_each_once() {
        let recent = Recent::default();
        (0..100).for_each(|path| recent.push(passed(path)));
        recent.push(passed(70));
        recent.push(passed(99));
        let mut expected: Vec<Passed> = (68..99).filter(|&path| path != 70).map(passed).collect();
        expected.extend([passed(70), passed(99)]);
        assert_eq!(recent.all(), expected);
    }

    #[test]
    fn what_is_large_is_not_kept() {
        assert!(Passed::begin(b"x", LARGEST).is_none() && Passed::begin(b"x", u64::MAX).is_none());
        assert!(Passed::begin(b"x", LARGEST - 1).is_some());
    }
}
