//! One build: the steps before it, then its command, with a fresh output path and a temporary directory of its
//! own. It waits for a free slot, can be cancelled at any time, and leaves nothing behind but the binary of a
//! success.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::thread::JoinHandle;

use super::build_id::is_same;
use super::diagnostic;
use super::run::Runner;
use super::slots::Slots;
use crate::record::Failure;

/// What to build.
#[derive(Debug, Clone)]
pub struct Order {
    /// What runs before, each with a number by which it is reported.
    pub steps: Vec<(usize, Vec<String>)>,
    /// The command; `{out}` stands for the binary. `None` when nothing is to be built.
    pub command: Option<Vec<String>>,
    /// Whether the command must have made the binary.
    pub makes_binary: bool,
    /// Where it runs.
    pub dir: PathBuf,
    /// Variables added to the inherited environment.
    pub env: BTreeMap<String, String>,
    /// Where the binary goes.
    pub out: PathBuf,
    /// The binary that runs already, if one does.
    pub running: Option<PathBuf>,
    /// A directory of its own for temporary files; made here, removed at the end.
    pub temp: PathBuf,
    /// Its place in the queue for a slot; lower goes first.
    pub rank: usize,
}

/// How far a build has come.
#[derive(Debug, PartialEq, Eq)]
pub enum Progress {
    /// It has its slot and runs now; not told where there is nothing to run.
    Begun,
    /// The step of this number has succeeded.
    Generated(usize),
    /// It has ended.
    Ended(Result<Made, Failure>),
}

/// What a build made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Made {
    /// A new program.
    New,
    /// The program that runs already.
    Same,
    /// Nothing, since there is nothing to build.
    Nothing,
}

/// A build that waits for its slot or runs. Dropping it cancels it and waits for its end.
#[derive(Debug)]
pub struct Build {
    runner: Arc<Runner>,
    slots: Slots,
    thread: Option<JoinHandle<()>>,
}

impl Build {
    /// Starts the build, as soon as there is a slot. `tell` is called from another thread.
    pub fn start(order: Order, slots: &Slots, tell: impl Fn(Progress) + Send + 'static) -> Build {
        let runner = Arc::new(Runner::default());
        let (of_build, of_slots) = (Arc::clone(&runner), slots.clone());
        let thread = std::thread::spawn(move || {
            let mut result = Err("cancelled".to_owned());
            if of_slots.take(order.rank, of_build.cancelled()) {
                if order.command.is_some() || !order.steps.is_empty() {
                    tell(Progress::Begun);
                }
                result = order.run(&of_build, &of_slots, &tell);
                of_slots.give_back();
            }
            drop(fs::remove_dir_all(&order.temp));
            if result.is_err() {
                drop(fs::remove_file(&order.out));
            }
            tell(Progress::Ended(result.map_err(|output| order.failure(output))));
        });
        Build { runner, slots: slots.clone(), thread: Some(thread) }
    }

    /// Ends the build; its end is reported as that of any other.
    pub fn cancel(&self) {
        self.runner.cancel();
        self.slots.wake();
    }
}

impl Drop for Build {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take() {
            if !thread.is_finished() {
                self.cancel();
            }
            drop(thread.join());
        }
    }
}

impl Order {
    fn run(&self, runner: &Runner, slots: &Slots, tell: &impl Fn(Progress)) -> Result<Made, String> {
        fs::create_dir_all(&self.temp)
            .map_err(|error| format!("cannot create `{}`: {error}", self.temp.display()))?;
        if !self.steps.is_empty() {
            let _alone = slots.generating();
            for (number, words) in &self.steps {
                self.command(words).map_or(Ok(()), |mut command| runner.run(&mut command))?;
                tell(Progress::Generated(*number));
            }
        }
        let Some(mut command) = self.command.as_ref().and_then(|words| self.command(words)) else {
            return Ok(Made::Nothing);
        };
        runner.run(&mut command)?;
        if self.makes_binary && !self.out.is_file() {
            return Err("the build succeeded but made no binary; does it use `{out}`?".to_owned());
        }
        let is_same = |running: &PathBuf| is_same(running, &self.out).unwrap_or(false);
        Ok(if self.running.as_ref().is_some_and(is_same) { Made::Same } else { Made::New })
    }

    fn command(&self, words: &[String]) -> Option<Command> {
        let out = self.out.display().to_string();
        let words: Vec<String> = words.iter().map(|word| word.replace("{out}", &out)).collect();
        let (program, args) = words.split_first()?;
        let mut command = Command::new(program);
        command.args(args).current_dir(&self.dir).envs(&self.env);
        // Go tells positions in the directory that `PWD` names.
        command.env("PWD", &self.dir).env("GOTMPDIR", &self.temp);
        Some(command)
    }

    fn failure(&self, output: String) -> Failure {
        let parsed = diagnostic::parse(&output, &self.dir);
        let summary = diagnostic::summary(&parsed, &self.dir);
        Failure { output, summary, diagnostics: parsed.diagnostics, rest: parsed.rest }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::go::run::OUTPUT_LIMIT;
    use hotwatch_platform::process::Signal;
    use std::path::Path;
    use std::sync::mpsc::{self, channel};
    use std::time::Duration;

    fn follow(order: Order) -> (Build, mpsc::Receiver<Result<(), String>>) {
        let (sender, receiver) = channel();
        let tell = move |progress| {
            if let Progress::Ended(result) = progress {
                sender.send(result.map(|_| ()).map_err(|failure| failure.output)).unwrap();
            }
        };
        (Build::start(order, &Slots::new(1), tell), receiver)
    }

    fn order(command: Vec<String>, dir: &Path) -> Order {
        Order {
            steps: Vec::new(),
            command: Some(command),
            makes_binary: true,
            dir: dir.to_owned(),
            env: BTreeMap::new(),
            out: dir.join("out"),
            running: None,
            temp: dir.join("temp"),
            rank: 0,
        }
    }

    fn start(dir: &Path, script: &str) -> (Build, mpsc::Receiver<Result<(), String>>) {
        let command = ["sh", "-c", script, "sh", "{out}"].map(str::to_owned).to_vec();
        follow(order(command, dir))
    }

    fn run(dir: &Path, script: &str) -> Result<(), String> {
        let (_build, done) = start(dir, script);
        done.recv_timeout(Duration::from_secs(30)).unwrap()
    }

    #[test]
    fn a_build_succeeds_with_its_binary_only() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(run(dir.path(), "touch $GOTMPDIR/x; echo done > $1"), Ok(()));
        assert!(dir.path().join("out").exists() && !dir.path().join("temp").exists());
        assert_eq!(run(dir.path(), "echo half > $1; echo broken >&2; exit 1"), Err("broken".to_owned()));
        assert!(!dir.path().join("out").exists());
        assert!(run(dir.path(), "true").unwrap_err().contains("made no binary"));
        assert!(run(dir.path(), "exit 3").unwrap_err().contains("exit code 3"));
        assert_eq!(run(dir.path(), "yes | head -c 2000000; exit 1").unwrap_err().len(), OUTPUT_LIMIT - 1);
    }

    #[test]
    fn what_a_build_leaves_behind_does_not_keep_it_from_ending() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(run(dir.path(), "sleep 600 & echo done > $1"), Ok(()));
        // It has left the group, so it lives on with the pipe until it is ended here.
        let script = "setsid sh -c 'echo $$ > daemon; exec sleep 600' & \
                      while ! [ -s daemon ]; do :; done; echo done > $1";
        assert_eq!(run(dir.path(), script), Ok(()));
        let daemon = fs::read_to_string(dir.path().join("daemon")).unwrap();
        let daemon = nix::unistd::Pid::from_raw(daemon.trim().parse().unwrap());
        nix::sys::signal::kill(daemon, Signal::SIGKILL).unwrap();
    }

    #[test]
    fn a_program_that_is_missing_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let (build, done) = follow(order(vec!["no-such-program".to_owned()], dir.path()));
        assert!(done.recv().unwrap().unwrap_err().starts_with("cannot run `no-such-program` in"));
        drop(build);
        assert!(!dir.path().join("temp").exists());
    }

    #[test]
    fn cancelling_ends_the_whole_group() {
        let dir = tempfile::tempdir().unwrap();
        let (build, done) = start(dir.path(), "sleep 600 & sleep 600");
        build.cancel();
        // The pipe is read to its end, so this says that no process of the group is left.
        assert!(done.recv_timeout(Duration::from_secs(30)).unwrap().is_err());
    }
}
