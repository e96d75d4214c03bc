//! Outside tools: started in groups of their own, asked for an answer within a time, and ended with the sync.

use std::io::{self, Read};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crossbeam_channel::{Receiver, bounded};
use hotwatch_platform::process::{Exit, Group, Signal, spawn};

use super::ending::Ending;

/// How long the last words of a tool may take that has ended.
const LAST_WORDS: Duration = Duration::from_millis(300);

/// How long a tool may take for an answer.
pub const ANSWER: Duration = Duration::from_secs(20);

/// `words` as a command.
pub fn command(words: &[String]) -> Command {
    let mut command = Command::new(program(words));
    command.args(words.get(1..).unwrap_or_default());
    command
}

/// What `words` write, which must succeed.
///
/// # Errors
/// They fail, do not answer, or are ended by `ending`; what the tool said.
pub fn ask(words: &[String], ending: &Ending) -> Result<String, String> {
    ask_within(words, ANSWER, ending)
}

/// The same within another time.
///
/// # Errors
/// As for [`ask`].
pub fn ask_within(words: &[String], longest: Duration, ending: &Ending) -> Result<String, String> {
    let tool = started(words)?;
    ending.interrupts(&tool.group);
    tool.end(longest)
}

/// The same for what changes something, and is to come to its end even if the sync is to end: only
/// [`Ending::force`] ends it.
///
/// # Errors
/// As for [`ask`].
pub fn carry_out(words: &[String], longest: Duration, ending: &Ending) -> Result<(), String> {
    let tool = started(words)?;
    ending.ends_with(&tool.group);
    tool.end(longest).map(|_| ())
}

fn started(words: &[String]) -> Result<Tool, String> {
    let cannot_run = |error| format!("cannot run `{}`: {error}", program(words));
    Tool::start(words, Stdio::null()).map_err(cannot_run)
}

/// The program of `words`.
fn program(words: &[String]) -> &str {
    words.first().map_or("", String::as_str)
}

/// A tool that runs, and what it writes.
#[derive(Debug)]
pub struct Tool {
    program: String,
    group: Arc<Group>,
    stdout: Reading,
    stderr: Reading,
}

impl Tool {
    /// Starts `words` with `stdin`, to be interrupted by `ending`, whoever waits for them by then.
    ///
    /// # Errors
    /// They cannot be run.
    pub fn interruptible(words: &[String], stdin: Stdio, ending: &Ending) -> io::Result<Tool> {
        let tool = Tool::start(words, stdin)?;
        ending.interrupts(&tool.group);
        Ok(tool)
    }

    fn start(words: &[String], stdin: Stdio) -> io::Result<Tool> {
        let mut command = command(words);
        command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
        let started = spawn(&mut command)?;
        let (stdout, stderr) = (read(started.stdout), read(started.stderr));
        let group = Arc::new(started.group);
        Ok(Tool { program: program(words).to_owned(), group, stdout, stderr })
    }

    /// What it has written once it has ended, which it must with success and within `longest`.
    ///
    /// # Errors
    /// It does not; what it complained of.
    pub fn end(self, longest: Duration) -> Result<String, String> {
        let Tool { program, group, stdout, stderr } = self;
        let in_time = group.wait_end(group.id(), Some(longest));
        // What it leaves behind may hold its output.
        drop(group.signal(Signal::SIGKILL));
        let exit = group.wait_leader().map_err(|error| format!("`{program}` was lost: {error}"))?;
        drop(group.reap());
        let [stdout, stderr] = [stdout, stderr].map(Reading::said);
        match exit {
            _ if !in_time => {
                Err(format!("`{program}` does not answer; it was ended after {} s", longest.as_secs()))
            }
            Exit::Code(0) => Ok(stdout.trim().to_owned()),
            exit => Err(complaint(&stderr).unwrap_or_else(|| format!("`{program}` fails with {exit}"))),
        }
    }
}

/// What a tool complains of: the line that says so, otherwise the last; what comes before is about something else.
pub fn complaint(stderr: &str) -> Option<String> {
    const HEADS: [&str; 3] = ["Error response from daemon: ", "Error: ", "error: "];
    let lines = || stderr.lines().map(str::trim).filter(|line| !line.is_empty());
    let head = |line: &str| HEADS.iter().find(|head| line.starts_with(**head)).copied();
    let line = lines().find(|line| head(line).is_some()).or_else(|| lines().next_back())?;
    let mut line = line;
    while let Some(head) = head(line) {
        line = &line[head.len()..];
    }
    // Several are listed below it.
    let listed = lines().find_map(|line| line.strip_prefix("* ")).filter(|_| line.ends_with(':'));
    Some(listed.unwrap_or(line).to_owned())
}

/// Reads `stream` on a thread of its own.
pub fn read(stream: Option<impl Read + Send + 'static>) -> Reading {
    let said = Arc::new(Mutex::new(Vec::new()));
    let (ends, ended) = bounded::<()>(0);
    let so_far = Arc::clone(&said);
    std::thread::spawn(move || {
        let mut piece = [0; 8192];
        if let Some(mut stream) = stream {
            while let Ok(count @ 1..) = stream.read(&mut piece) {
                so_far.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&piece[..count]);
            }
        }
        drop(ends);
    });
    Reading { said, ended }
}

/// What comes from a stream.
#[derive(Debug)]
pub struct Reading {
    said: Arc<Mutex<Vec<u8>>>,
    ended: Receiver<()>,
}

impl Reading {
    /// All of it, once whoever writes it has ended. A daemon that was left behind may hold the other end for good, and
    /// is not waited for.
    pub fn said(self) -> String {
        let _ = self.ended.recv_timeout(LAST_WORDS);
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&said).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_that_matters_is_found() {
        let table = [
            ("", None),
            ("\nError: no container\n", Some("no container")),
            (
                "Defaulted container \"web\" out of: web, proxy\nerror: unable to upgrade\n",
                Some("unable to upgrade"),
            ),
            ("Error: Error response from daemon: gone\nusage\n", Some("gone")),
            ("Error: 2 errors occurred:\n\t* a lock is held\n\t* read-only\n\n\n", Some("a lock is held")),
            ("Welcome to this host\nsh: x: not found\n", Some("sh: x: not found")),
        ];
        for (stderr, expected) in table {
            assert_eq!(complaint(stderr).as_deref(), expected, "{stderr}");
        }
    }
}
