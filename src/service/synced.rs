//! A service that runs in a container or on another host: its files, or its binary, are brought there before it is
//! started, and what is started here is what leads there.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use crossbeam_channel::Sender;

use super::protocol::Input;
use crate::config;
use crate::go::build::Made;
use crate::record::Failure;
use crate::sync::{Report, Surroundings, Sync};

/// The sync of one service.
#[derive(Debug)]
pub struct Synced {
    sync: Sync,
    /// Whether a binary is built here for it.
    builds: bool,
    /// The number of the wait that counts; what others wait for is over.
    waits: Arc<AtomicU64>,
    /// When what runs now was about to be started.
    started: Option<Instant>,
}

impl Synced {
    /// Syncs `service`, if it is to be; what becomes of it is sent to `inputs`.
    pub fn start(
        service: &config::Service,
        surroundings: Surroundings,
        inputs: &Sender<Input>,
    ) -> Option<Synced> {
        let config = service.sync.as_ref()?;
        let inputs = inputs.clone();
        let report = move |report| {
            let Report::Renewed { since, at, runs } = report;
            // The service's thread may be gone already.
            let _ = inputs.send(Input::Renewed { since, at, runs });
        };
        let sync = Sync::start(&service.name, config, surroundings, report);
        Some(Synced { sync, builds: config.binary.is_some(), waits: Arc::default(), started: None })
    }

    /// The sync itself.
    pub fn sync(&self) -> &Sync {
        &self.sync
    }

    /// Whether there is nothing to build, but files to wait for.
    pub fn is_build(&self) -> bool {
        !self.builds
    }

    /// Waits until all files are in place; that ends as a build does.
    pub fn wait(&self, inputs: &Sender<Input>) {
        let number = self.waits.fetch_add(1, Ordering::AcqRel) + 1;
        let (waits, inputs) = (Arc::clone(&self.waits), inputs.clone());
        self.sync.settle(move |result| {
            if waits.load(Ordering::Acquire) == number {
                let failure =
                    |summary: String| Failure { output: summary.clone(), summary, ..Failure::default() };
                let _ = inputs.send(Input::Ended(result.map(|()| Made::Nothing).map_err(failure)));
            }
        });
    }

    /// Does not wait any longer.
    pub fn cancel(&self, inputs: &Sender<Input>) {
        self.waits.fetch_add(1, Ordering::AcqRel);
        let _ = inputs.send(Input::Ended(Err(Failure::default())));
    }

    /// Brings `binary` there, if there is one, and says what to run here.
    ///
    /// # Errors
    /// The target is out of reach, or does not take it, in words.
    pub fn begin(&mut self, binary: &Path) -> Result<Vec<String>, String> {
        if self.builds {
            self.sync.push(binary)?;
        }
        self.started = Some(Instant::now());
        self.sync.command()
    }

    /// Whether what runs was started after something that was told at `at`.
    pub fn knows(&self, at: Instant) -> bool {
        self.started.is_some_and(|started| at < started)
    }
}
