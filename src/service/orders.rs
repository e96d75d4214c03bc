//! The builds that a service orders: the one that its machine asks for, and the one in the background that makes later
//! ones faster.

use std::path::PathBuf;

use super::Actor;
use super::protocol::Input;
use crate::go::build::{Build, Order, Progress};
use crate::go::command;

impl Actor {
    pub(super) fn start_build(&mut self) {
        self.place.next_build();
        self.cancelled = false;
        if let Some(synced) = self.synced.as_ref().filter(|synced| synced.is_build()) {
            synced.wait(&self.inputs);
            self.waits_for_files = true;
            return;
        }
        let (out, temp) = self.place.build_paths();
        let lean = self.lean.begin_build();
        let debugged = self.is_debugged();
        let own_command = command::build(&self.config, self.goflags(), debugged, lean);
        let patchable = self.patches.build(&self.config, debugged, &self.surroundings.tell);
        let ahead = if self.steps.is_empty() { self.ahead.take(self.lean.saves()) } else { None };
        let moved = ahead.map(|(binary, begun)| {
            self.patches.adopt(begun);
            vec!["mv".to_owned(), binary.display().to_string(), "{out}".to_owned()]
        });
        let step = |&number: &usize| Some((number, self.config.pre_build.get(number)?.run.clone()));
        let order = Order {
            steps: self.steps.iter().filter_map(step).collect(),
            command: moved.or(patchable).or(own_command),
            makes_binary: self.config.run.iter().any(|word| word.contains("{out}")),
            dir: self.config.dir.clone(),
            env: command::environment(&self.config, |name| std::env::var_os(name).is_some()),
            out,
            running: (!self.processes.is_empty()).then(|| self.lean.twin().unwrap_or(self.place.binary())),
            temp,
            rank: self.surroundings.rank,
        };
        let inputs = self.inputs.clone();
        let tell = move |progress| {
            // The actor outlives its builds, but not by much.
            let _ = inputs.send(match progress {
                Progress::Begun => Input::Building,
                Progress::Generated(step) => Input::Fed { step },
                Progress::Ended(result) => Input::Ended(result),
            });
        };
        self.build = Some(Build::start(order, &self.surroundings.slots, tell));
    }

    /// Compiles in the background what makes later builds faster, if that was not done yet.
    pub(super) fn prepare(&mut self) {
        if !self.lean.is_untried() || self.patches.is_patchable() {
            return;
        }
        let Some(words) = command::prepare(&self.config, self.goflags(), self.is_debugged()) else { return };
        let (build, out) = self.build_in_background(words, Input::Prepared);
        self.lean.begin(build, out);
    }

    /// Builds in the background what the patched process runs.
    pub(super) fn build_ahead(&mut self) {
        self.ahead.forget();
        let Some((words, begun)) = self.patches.build_ahead(&self.config) else { return };
        let number = self.ahead.next();
        let ended = move |done| Input::BuiltAhead(number, done);
        let (build, out) = self.build_in_background(command::in_background(words), ended);
        self.ahead.begin(build, out, self.lean.saves(), begun);
    }

    /// Starts a build whose end is told by `ended`, and returns it with where its binary goes.
    fn build_in_background(
        &self,
        words: Vec<String>,
        ended: impl Fn(bool) -> Input + Send + 'static,
    ) -> (Build, PathBuf) {
        let (out, temp) = self.place.background_paths();
        let order = Order {
            steps: Vec::new(),
            command: Some(words),
            makes_binary: true,
            dir: self.config.dir.clone(),
            env: command::environment(&self.config, |name| std::env::var_os(name).is_some()),
            out: out.clone(),
            running: None,
            temp,
            rank: self.surroundings.rank,
        };
        let inputs = self.inputs.clone();
        let tell = move |progress| {
            if let Progress::Ended(result) = progress {
                // The actor outlives its builds, but not by much.
                let _ = inputs.send(ended(result.is_ok()));
            }
        };
        (Build::start(order, &self.surroundings.background, tell), out)
    }

    fn goflags(&self) -> &str {
        self.config.env.get("GOFLAGS").unwrap_or(&self.surroundings.goflags)
    }

    fn is_debugged(&self) -> bool {
        self.surroundings.debugger.is_some()
    }
}
