//! Ways into a target: each knows one outside tool, finds whom it leads to, and says how a command is run there, how a
//! file gets there without any help from inside, and what the target is.

mod container;
mod kubectl;
mod ssh;

use std::io::{self, Read};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crossbeam_channel::{Receiver, bounded};
use hotwatch_platform::process::{Exit, Group, Signal, spawn};

use super::ending::Ending;
use crate::config::Target;

/// How long the last words of a tool may take that has ended.
const LAST_WORDS: Duration = Duration::from_millis(300);

/// How long a tool may take for an answer.
const ANSWER: Duration = Duration::from_secs(20);

/// A way into a target.
pub trait Transport: Send + Sync + std::fmt::Debug {
    /// What it leads to, for messages.
    fn describe(&self) -> String;

    /// Those that are there and run. Each has its own identity, which is another after every start.
    ///
    /// # Errors
    /// There is none, or the tool fails, in words.
    fn find(&self) -> Result<Vec<Instance>, String>;

    /// The machine that `instance` runs on, as `uname -m` calls it.
    ///
    /// # Errors
    /// Nobody says, in words.
    fn machine(&self, instance: &Instance) -> Result<String, String> {
        let uname = ["uname", "-m"].map(str::to_owned);
        ask(&self.exec(instance, &uname, User::Own))
            .map_err(|why| format!("its machine is not known (`uname` cannot be run there: {why})"))
    }

    /// The command that runs `words` in `instance`, with its own standard input, output and error.
    fn exec(&self, instance: &Instance, words: &[String], user: User) -> Vec<String>;

    /// The command that takes a tar archive and unpacks it into the directory `dir` of `instance`, even if nothing there
    /// can do that.
    fn unpack(&self, instance: &Instance, dir: &str) -> Option<Vec<String>> {
        let _ = (instance, dir);
        None
    }

    /// Where programs may lie there that nobody else can have put there, if others may write elsewhere.
    ///
    /// # Errors
    /// There is no such place, in words.
    fn private(&self, instance: &Instance) -> Option<Result<String, String>> {
        let _ = instance;
        None
    }

    /// The command that goes on to show what `instance` writes.
    fn follow(&self, instance: &Instance) -> Option<Vec<String>> {
        let _ = instance;
        None
    }

    /// The command that starts `instance` anew, which may take as long as `grace` to stop; the one that shows what it
    /// writes from the time `{since}` on, as RFC 3339 has it; and the one that says whether it runs, and its exit code.
    fn restart(&self, instance: &Instance, grace: Duration) -> Option<[Vec<String>; 3]> {
        let _ = (instance, grace);
        None
    }

    /// Whether what runs there sees the same disk and ports as hotwatch, and needs no helper.
    fn is_here(&self) -> bool {
        false
    }
}

/// As whom something runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum User {
    /// As what runs there already.
    Own,
    /// As root, where the tool can do that.
    Root,
}

/// One that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// What the tool calls it.
    pub name: String,
    /// What stays the same over its starts, as long as its files do.
    pub place: String,
    /// What is another after every start.
    pub identity: String,
}

/// The way into `target`.
pub fn to(target: &Target) -> Arc<dyn Transport> {
    match target {
        Target::Container { engine, name } => {
            Arc::new(container::Container { engine: *engine, name: name.clone() })
        }
        Target::Kubectl(kubectl) => Arc::new(kubectl::Pods(kubectl.clone())),
        Target::Ssh(host) => Arc::new(ssh::Host(host.clone())),
        Target::Dir(dir) => Arc::new(Here(dir.display().to_string())),
    }
}

/// This machine.
#[derive(Debug)]
struct Here(String);

impl Transport for Here {
    fn describe(&self) -> String {
        format!("the directory `{}`", self.0)
    }

    fn find(&self) -> Result<Vec<Instance>, String> {
        Ok(vec![Instance { name: self.0.clone(), place: self.0.clone(), identity: String::new() }])
    }

    fn exec(&self, _: &Instance, words: &[String], _: User) -> Vec<String> {
        words.to_vec()
    }

    fn is_here(&self) -> bool {
        true
    }
}

/// The name of a machine as `uname -m` has it, where others call it otherwise.
fn machine(name: &str) -> String {
    match name {
        "amd64" => "x86_64",
        "arm64" => "aarch64",
        name => name,
    }
    .to_owned()
}

/// `words` as a command.
pub fn command(words: &[String]) -> Command {
    let mut command = Command::new(program(words));
    command.args(words.get(1..).unwrap_or_default());
    command
}

/// What `words` write, which must succeed.
///
/// # Errors
/// They fail, or do not answer; what the tool said.
pub fn ask(words: &[String]) -> Result<String, String> {
    ask_within(words, ANSWER)
}

/// The same within another time.
///
/// # Errors
/// As for [`ask`].
pub fn ask_within(words: &[String], longest: Duration) -> Result<String, String> {
    let cannot_run = |error| format!("cannot run `{}`: {error}", program(words));
    Tool::start(words, Stdio::null()).map_err(cannot_run)?.end(longest)
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
    /// Starts `words` with `stdin`.
    ///
    /// # Errors
    /// They cannot be run.
    pub fn start(words: &[String], stdin: Stdio) -> io::Result<Tool> {
        let mut command = command(words);
        command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
        let started = spawn(&mut command)?;
        let (stdout, stderr) = (read(started.stdout), read(started.stderr));
        let group = Arc::new(started.group);
        Ok(Tool { program: program(words).to_owned(), group, stdout, stderr })
    }

    /// Has it be ended with the sync, whoever waits for it by then.
    pub fn ends_with(&self, ending: &Ending) {
        ending.ends_with(&self.group);
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

/// What a tool complains of, without what it writes before that.
pub fn complaint(stderr: &str) -> Option<String> {
    let line = stderr.lines().map(str::trim).find(|line| !line.is_empty())?;
    let line = ["Error: ", "error: ", "Error response from daemon: "]
        .iter()
        .fold(line, |line, head| line.trim_start_matches(head));
    Some(line.to_owned())
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

/// `words` as lists of strings.
fn words<const N: usize>(words: [&str; N]) -> Vec<String> {
    words.map(str::to_owned).to_vec()
}
