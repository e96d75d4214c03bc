//! What became of a save, and where its time went.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::record::Split;

/// What became of one save, or of one request, for one service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reload {
    /// When it was over.
    #[serde(with = "humantime_serde")]
    pub at: SystemTime,
    /// For which service.
    pub service: String,
    /// What led to it.
    pub reason: String,
    /// How long it took, in milliseconds: from the first event of the save if something was started, otherwise
    /// from the beginning of the build.
    pub ms: u64,
    /// What became of it.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// What became of a save.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// Another process is ready.
    Restarted {
        old_pid: Option<i32>,
        pid: i32,
        #[serde(flatten)]
        split: Split,
    },
    /// The process runs the new code.
    Patched { generation: u32, functions: Vec<String> },
    /// The build made the program that runs already.
    Unchanged,
    /// The build failed.
    Failed { error: String },
    /// What was started gave way to what ran before it.
    RolledBack {
        error: String,
        #[serde(flatten)]
        split: Split,
    },
    /// A newer save made the build pointless.
    Cancelled,
}

impl Reload {
    /// When its first event was read, or its build began.
    pub fn event(&self) -> SystemTime {
        self.at - Duration::from_millis(self.ms)
    }

    /// What became of it, in one word.
    pub fn word(&self) -> &'static str {
        match self.outcome {
            Outcome::Restarted { .. } => "restarted",
            Outcome::Patched { .. } => "patched",
            Outcome::Unchanged => "unchanged",
            Outcome::Failed { .. } => "failed",
            Outcome::RolledBack { .. } => "rolled-back",
            Outcome::Cancelled => "cancelled",
        }
    }

    /// What led to it, and what was wrong.
    pub fn words(&self) -> String {
        match (&self.outcome, self.reason.as_str()) {
            (Outcome::Failed { error } | Outcome::RolledBack { error, .. }, "") => error.clone(),
            (Outcome::Failed { error } | Outcome::RolledBack { error, .. }, reason) => {
                format!("{reason}: {error}")
            }
            (_, reason) => reason.to_owned(),
        }
    }

    /// Its parts in milliseconds, in order; what started nothing was a build.
    pub fn parts(&self) -> [(&'static str, u64); 5] {
        let split = match self.outcome {
            Outcome::Restarted { split, .. } | Outcome::RolledBack { split, .. } => split,
            _ => Split { build_ms: self.ms, ..Split::default() },
        };
        [
            ("gather", split.wait_ms),
            ("build", split.build_ms),
            ("stop", split.stop_ms),
            ("start", split.start_ms),
            ("ready", split.ready_ms),
        ]
    }
}
