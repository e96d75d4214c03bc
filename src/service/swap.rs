//! A service's running process: put in place, started, followed to the end of its whole group.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::Sender;
use hotwatch_platform::process::{self, Group, Signal};

use super::output::Output;
use super::protocol::Input;
use crate::config::{Ready, Service};
use crate::record::Tell;

/// How long the end of a process waits for its last lines.
const LAST_LINES: Duration = Duration::from_millis(50);

/// A started process. Dropping it kills its group and waits for the end.
#[derive(Debug)]
pub struct Running {
    group: Arc<Group>,
    /// Set when nobody waits for the group any longer.
    abandoned: Arc<AtomicBool>,
    waiter: Option<JoinHandle<()>>,
}

/// Moves the binary `fresh` to `stable`, where every binary of a service runs: macOS asks about the firewall
/// once per path.
///
/// # Errors
/// The rename fails, in words.
pub fn install(fresh: &Path, stable: &Path) -> Result<(), String> {
    std::fs::rename(fresh, stable)
        .map_err(|error| format!("cannot move the new binary to `{}`: {error}", stable.display()))
}

impl Running {
    /// Starts `binary` as `service` says. What becomes of it is sent to `inputs`, what it writes is told.
    ///
    /// # Errors
    /// It cannot be run, in words.
    pub fn start(
        service: &Service,
        binary: &Path,
        tell: &Tell,
        inputs: &Sender<Input>,
    ) -> Result<Running, String> {
        let path = binary.display().to_string();
        let words: Vec<String> = service.run.iter().map(|word| word.replace("{out}", &path)).collect();
        let (program, args) = words.split_first().ok_or("`run` is empty")?;
        let describe = |error| format!("cannot run `{program}`: {error}");
        let started = process::spawn(
            Command::new(program)
                .args(args)
                .args(&service.args)
                .current_dir(&service.dir)
                .envs(&service.env)
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped()),
        )
        .map_err(describe)?;
        let group = Arc::new(started.group);
        let abandoned = Arc::new(AtomicBool::new(false));
        let tell_line = lines(service, group.id(), tell.clone(), inputs.clone());
        match Output::read(started.stdout, started.stderr, tell_line) {
            Ok(output) => {
                let mut running = Running { group, abandoned, waiter: None };
                running.follow(output, inputs.clone());
                Ok(running)
            }
            Err(error) => {
                // Nobody would ever hear of it again.
                drop(group.signal(Signal::SIGKILL));
                drop(group.reap());
                Err(describe(error))
            }
        }
    }

    /// Its process id, which is that of its group.
    pub fn pid(&self) -> i32 {
        self.group.id()
    }

    /// Its process group.
    pub fn group(&self) -> &Group {
        &self.group
    }

    /// Sends `signal` to the whole group.
    pub fn signal(&self, signal: Signal) {
        // What cannot be signalled is not ours any more; the waiter sees the end of it or not.
        drop(self.group.signal(signal));
    }

    /// Lets go of a group that has ended. Its last lines may still be on their way to somebody who does not
    /// read them, which is not waited for.
    pub fn finish(mut self) {
        self.waiter.take();
    }

    /// Stops waiting for a group that does not end.
    pub fn abandon(mut self) {
        self.abandoned.store(true, Ordering::Release);
        self.waiter.take();
    }

    fn follow(&mut self, output: Output, inputs: Sender<Input>) {
        let (group, abandoned) = (Arc::clone(&self.group), Arc::clone(&self.abandoned));
        self.waiter = Some(std::thread::spawn(move || {
            let pid = group.id();
            // The service's thread may be gone already, or may have given up on this group.
            let tell = |input| {
                if !abandoned.load(Ordering::Acquire) {
                    let _ = inputs.send(input);
                }
            };
            if let Ok(exit) = group.wait_leader() {
                output.wait(LAST_LINES);
                tell(Input::Exited { pid, exit });
            }
            let mut pause = Duration::from_millis(1);
            while !group.alive().is_empty() && !abandoned.load(Ordering::Acquire) {
                std::thread::sleep(pause);
                pause = (pause * 2).min(Duration::from_millis(20));
            }
            output.wait(LAST_LINES);
            drop(group.reap());
            tell(Input::Gone { pid });
        }));
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(waiter) = self.waiter.take() {
            self.signal(Signal::SIGKILL);
            drop(waiter.join());
        }
    }
}

/// Tells every line, and looks for the one that means ready.
fn lines(
    service: &Service,
    pid: i32,
    tell: Tell,
    inputs: Sender<Input>,
) -> impl FnMut(crate::record::Stream, Vec<u8>) + Send + 'static {
    let name = service.name.clone();
    let mut awaited = match &service.ready {
        Ready::Log(text) => Some(text.clone().into_bytes()),
        Ready::Tcp(_) | Ready::Started => None,
    };
    move |stream, line| {
        let ready = awaited.as_ref().is_some_and(|text| contains(&line, text));
        tell.line(&name, stream, line);
        if ready {
            awaited = None;
            // The service's thread may be gone already.
            let _ = inputs.send(Input::Ready { pid });
        }
    }
}

fn contains(line: &[u8], text: &[u8]) -> bool {
    text.is_empty() || line.windows(text.len()).any(|window| window == text)
}
