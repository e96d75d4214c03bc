//! One command of a build: its own process group, its output collected while it runs, nothing of it left when it
//! has ended.

use std::io::{self, PipeReader, Read, pipe};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crossbeam_channel::{Receiver, bounded};
use hotwatch_platform::process::{self, Exit, Group, Signal};

/// How much of a command's output is kept.
pub(super) const OUTPUT_LIMIT: usize = 1024 * 1024;

/// How long the end of a command waits for the end of its output.
const LAST_OUTPUT: Duration = Duration::from_millis(100);

/// Commands that run one after the other and can be ended together.
#[derive(Debug, Default)]
pub(super) struct Runner {
    cancelled: AtomicBool,
    /// The processes of the one that runs.
    group: Mutex<Option<Arc<Group>>>,
}

impl Runner {
    /// Whether it was ended; looked at by those who wait for a slot.
    pub(super) fn cancelled(&self) -> &AtomicBool {
        &self.cancelled
    }

    /// Ends the command that runs, and all to come.
    pub(super) fn cancel(&self) {
        self.cancelled.store(true, Ordering::Release);
        if let Some(group) = &*self.group.lock().unwrap_or_else(PoisonError::into_inner) {
            // What cannot be signalled has ended.
            drop(group.signal(Signal::SIGKILL));
        }
    }

    /// Runs `command` to its end.
    ///
    /// # Errors
    /// What it wrote, or why it could not be run.
    pub(super) fn run(&self, command: &mut Command) -> Result<(), String> {
        let words: Vec<_> = std::iter::once(command.get_program()).chain(command.get_args()).collect();
        let shown = words.join(" ".as_ref()).display().to_string();
        // Under the lock: whoever cancels either is seen here, or finds the group.
        let mut group = self.group.lock().unwrap_or_else(PoisonError::into_inner);
        if self.cancelled.load(Ordering::Acquire) {
            return Err("cancelled".to_owned());
        }
        let started = Started::new(command)?;
        *group = Some(Arc::clone(&started.group));
        drop(group);
        started.wait(&shown)
    }
}

struct Started {
    group: Arc<Group>,
    output: PipeReader,
}

impl Started {
    fn new(command: &mut Command) -> Result<Started, String> {
        let pipe = || {
            let (output, input) = pipe()?;
            Ok((output, input.try_clone()?, input))
        };
        let (output, stdout, stderr) =
            pipe().map_err(|error: io::Error| format!("cannot open a pipe: {error}"))?;
        let spawned = process::spawn(command.stdin(Stdio::null()).stdout(stdout).stderr(stderr));
        // The command holds the writing ends of the pipe, which would never end.
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let started = spawned.map_err(|error| {
            let dir = command.get_current_dir().unwrap_or(".".as_ref()).display();
            format!("cannot run `{}` in `{dir}`: {error}", command.get_program().display())
        })?;
        Ok(Started { group: Arc::new(started.group), output })
    }

    /// Waits for the end of the leader, and ends whatever it leaves behind.
    fn wait(self, shown: &str) -> Result<(), String> {
        let output = Collected::start(self.output);
        let exit = self.group.wait_leader();
        drop(self.group.signal(Signal::SIGKILL));
        drop(self.group.reap());
        let text = output.text();
        let problem = match exit {
            Err(error) => format!("the build could not be followed: {error}"),
            Ok(Exit::Code(0)) => return Ok(()),
            Ok(_) if !text.is_empty() => return Err(text),
            Ok(exit) => format!("`{shown}` ended with {exit}"),
        };
        Err(format!("{text}\n{problem}").trim_start().to_owned())
    }
}

/// What a build writes, read while it runs.
struct Collected {
    text: Arc<Mutex<Vec<u8>>>,
    /// Disconnected at the end of the pipe.
    ended: Receiver<()>,
}

impl Collected {
    fn start(mut output: PipeReader) -> Collected {
        let text = Arc::new(Mutex::new(Vec::new()));
        let (running, ended) = bounded(0);
        let collected = Arc::clone(&text);
        // Ends with the pipe. That may outlive the build, if it started something that left its group, so
        // nobody waits for it for long.
        std::thread::spawn(move || {
            let mut buffer = [0; 8 * 1024];
            while let Ok(read @ 1..) = output.read(&mut buffer) {
                let mut text = collected.lock().unwrap_or_else(PoisonError::into_inner);
                let room = OUTPUT_LIMIT.saturating_sub(text.len());
                text.extend_from_slice(&buffer[..read.min(room)]);
            }
            drop(running);
        });
        Collected { text, ended }
    }

    fn text(&self) -> String {
        // Nothing is ever sent, so this ends with the pipe or with the time.
        let _ = self.ended.recv_timeout(LAST_OUTPUT);
        let text = self.text.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&text).trim_end().to_owned()
    }
}
