//! Runs Go's programs for a patcher, each in a process group of its own, so that all of them can be ended when nobody
//! waits for them any longer.

use std::io::{self, Read};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use hotwatch_platform::process::{self, Exit, Group, Signal};

use crate::go::export::Said;

/// The programs that run.
#[derive(Debug, Default)]
pub struct Running {
    state: Mutex<State>,
    level: String,
}

#[derive(Debug, Default)]
struct State {
    ended: bool,
    groups: Vec<Arc<Group>>,
}

impl Running {
    /// None yet, and those to come are told `level`: which instructions code may use, GOAMD64. What is empty is left as it
    /// is.
    pub fn with_level(level: String) -> Running {
        Running { level, ..Running::default() }
    }

    /// Ends those that run, and all to come.
    pub fn end(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.ended = true;
        for group in &state.groups {
            // What cannot be signalled has ended.
            drop(group.signal(Signal::SIGKILL));
        }
    }

    /// Runs `command` to its end, where nothing waits for it: others go first.
    ///
    /// # Errors
    /// As [`Running::run`].
    pub fn run_behind(&self, command: &mut Command) -> io::Result<Said> {
        let mut nice = Command::new("nice");
        nice.args(["-n", "10"]).arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => nice.env(name, value),
                None => nice.env_remove(name),
            };
        }
        if let Some(dir) = command.get_current_dir() {
            nice.current_dir(dir);
        }
        self.run(&mut nice)
    }

    /// Runs `command` to its end.
    ///
    /// # Errors
    /// It cannot be run, or nobody waits for it any longer.
    pub fn run(&self, command: &mut Command) -> io::Result<Said> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        if !self.level.is_empty() {
            command.env("GOAMD64", &self.level);
        }
        // Under the lock: whoever ends all of them is seen here, or finds the group.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.ended {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let started = process::spawn(command)?;
        let group = Arc::new(started.group);
        state.groups.push(Arc::clone(&group));
        drop(state);
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        std::thread::scope(|scope| {
            scope.spawn(|| started.stderr.map(|mut source| source.read_to_end(&mut stderr)));
            started.stdout.map(|mut source| source.read_to_end(&mut stdout));
        });
        let exit = group.wait_leader();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.groups.retain(|other| !Arc::ptr_eq(other, &group));
        let ended = state.ended;
        drop(state);
        drop(group.signal(Signal::SIGKILL));
        drop(group.reap());
        // What it has said, and that it has failed, may be no more than that.
        if ended {
            return Err(io::ErrorKind::Interrupted.into());
        }
        Ok(Said { success: exit? == Exit::Code(0), stdout, stderr })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_ended_has_not_failed() {
        let tools = Running::default();
        let ended = std::thread::scope(|scope| {
            let sleeps = scope.spawn(|| tools.run(Command::new("sleep").arg("600")));
            while tools.state.lock().unwrap().groups.is_empty() {
                std::thread::yield_now();
            }
            tools.end();
            sleeps.join().unwrap()
        });
        assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::Interrupted);
        assert_eq!(tools.run(&mut Command::new("true")).unwrap_err().kind(), io::ErrorKind::Interrupted);
    }
}
