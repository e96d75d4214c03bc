//! How a sync is: plain data, kept current by whoever syncs, for whoever asks.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

/// How the sync of a service is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The service.
    pub service: String,
    /// What it is synced to, in words.
    pub target: String,
    /// How that is reached, in words; `None` while it is not.
    pub reached: Option<String>,
    /// Why it is not, in words.
    pub lost: Option<String>,
    /// Its pairs.
    pub pairs: Vec<Pair>,
}

/// How a pair is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pair {
    /// What goes where.
    pub pair: String,
    /// How many files and links there are on which both sides agree, and how many bytes.
    pub files: usize,
    /// How many bytes they have.
    pub bytes: u64,
    /// When something went over last.
    pub last: Option<SystemTime>,
    /// Paths that both sides have changed, and where what theirs had is kept.
    pub conflicts: Vec<(String, String)>,
    /// Why nothing is done before a user has said what to do.
    pub halted: Option<String>,
    /// What cannot be done, in words.
    pub trouble: Vec<String>,
}

/// The same, shared.
#[derive(Debug, Clone, Default)]
pub struct Shared(Arc<Mutex<Status>>);

impl Shared {
    /// How it is now.
    pub fn get(&self) -> Status {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Changes it.
    pub fn with<T>(&self, change: impl FnOnce(&mut Status) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
