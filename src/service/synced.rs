//! A service that runs in a container or on another host: its files, or its binary, are brought there before it is
//! started, and what is started here is what leads there.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender, after, at, bounded, never, select};

use super::protocol::Input;
use crate::config;
use crate::go::build::Made;
use crate::record::Failure;
use crate::sync::{self, Report, Surroundings, Sync, Unready};

/// The sync of one service.
#[derive(Debug)]
pub struct Synced {
    sync: Sync,
    /// Whether a binary is built here for it.
    builds: bool,
    /// Whether the container's own program is the service.
    owns: bool,
    /// The number of the wait that counts; what others wait for is over.
    waits: Arc<AtomicU64>,
    /// When what runs now was started.
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
            // The service's thread may be gone already.
            let _ = inputs.send(match report {
                Report::Renewed { since, at, runs } => Input::Renewed { since, at, runs },
                Report::Away(away) => Input::Away(away),
            });
        };
        let sync = Sync::start(&service.name, config, surroundings, report);
        let (builds, owns) = (config.binary.is_some(), config.restart == config::Restart::Recreate);
        Some(Synced { sync, builds, owns, waits: Arc::default(), started: None })
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

    /// Brings `binary` there, if there is one, and says what to run here. What comes in meanwhile is `deferred`; somebody
    /// who wants to stop does not wait.
    ///
    /// # Errors
    /// The target is out of reach, or does not take it.
    pub fn begin(
        &mut self,
        binary: &Path,
        received: &Receiver<Input>,
        deferred: &mut VecDeque<Input>,
    ) -> Result<Vec<String>, Unready> {
        let answer = self.sync.begin(self.builds.then_some(binary));
        let (begun, stops) = self.answered(&answer, received, deferred);
        let begun = begun.unwrap_or(Err(Unready::OutOfReach));
        // Who was interrupted has no reason of its own.
        let begun = begun.map_err(|why| if stops { Unready::OutOfReach } else { why })?;
        self.started = Some(begun.at);
        Ok(begun.words)
    }

    /// Whether a process that has ended has done so alone. Where its container is its own, that ended with it.
    pub fn ended_alone(&self, received: &Receiver<Input>, deferred: &mut VecDeque<Input>) -> bool {
        self.owns || self.answered(&self.sync.is_there(), received, deferred).0.unwrap_or(false)
    }

    /// What the sync answers, and whether somebody wants to stop meanwhile, who does not wait for long.
    fn answered<T>(
        &self,
        answer: &Receiver<T>,
        received: &Receiver<Input>,
        deferred: &mut VecDeque<Input>,
    ) -> (Option<T>, bool) {
        let (ending, mut stops, mut forced) = (self.sync.ending(), false, never());
        loop {
            select! {
                recv(answer) -> answer => return (answer.ok(), stops),
                recv(forced) -> _ => {
                    forced = never();
                    ending.force();
                }
                recv(received) -> input => {
                    let Ok(input) = input else { return (None, stops) };
                    if matches!(input, Input::Stop | Input::Kill) {
                        stops = true;
                        ending.want();
                        forced = if matches!(input, Input::Kill) { at(Instant::now()) } else { after(sync::PATIENCE) };
                    }
                    deferred.push_back(input);
                }
            }
        }
    }

    /// Ends the sync, and puts the target in order; at once if that is asked for in what is `received`, or was `deferred`.
    pub fn end(self, received: &Receiver<Input>, deferred: &VecDeque<Input>) {
        let ending = self.sync.ending();
        if deferred.iter().any(|input| matches!(input, Input::Kill)) {
            ending.force();
        }
        let (done, ended) = bounded::<()>(0);
        let thread = std::thread::spawn(move || {
            drop(self);
            drop(done);
        });
        loop {
            select! {
                recv(ended) -> _ => break,
                recv(received) -> input => match input {
                    Ok(Input::Kill) => ending.force(),
                    Ok(_) => {}
                    Err(_) => break,
                }
            }
        }
        drop(thread.join());
    }

    /// Whether what runs was started after something that was told at `at`.
    pub fn knows(&self, at: Instant) -> bool {
        self.started.is_some_and(|started| at < started)
    }
}
