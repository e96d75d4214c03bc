//! A service's running process: started, and followed to the end of its whole group.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::Sender;
use hotwatch_platform::process::{self, Exit, Group, Signal};

use super::awaited::Awaited;
use super::health::Probe;
use super::output::{Output, Piece, Pipe};
use super::port::Given;
use super::protocol::Input;
use crate::config::{self, Ready, Service};
use crate::debugger;
use crate::patch::agent;
use crate::record::{Level, Stream, Tell};

/// How long the end of a process waits for its last lines.
const LAST_LINES: Duration = Duration::from_millis(50);

/// How long to wait between two looks whether a debugger has started its program, at first.
const DEBUGGEE_LOOK: Duration = Duration::from_millis(5);

/// From which wait on the debugger is asked as well.
const DEBUGGEE_MISSED: Duration = Duration::from_millis(80);

/// A started process. Dropping it kills its group and waits for the end.
#[derive(Debug)]
pub struct Running {
    group: Arc<Group>,
    /// Set when nobody waits for the group any longer.
    abandoned: Arc<AtomicBool>,
    waiter: Option<JoinHandle<()>>,
    /// Where it was told to listen, if another port is held for it.
    address: Option<SocketAddr>,
    /// Looks whether it is ready, until it is.
    probe: Option<Probe>,
    debugged: bool,
    /// Whether it stands for a program elsewhere, and passes on what it is sent.
    relays: bool,
}

impl Running {
    /// Starts `binary` as `service` says, which listens as it is `given`; under a debugger that listens on the port
    /// `debugger` if there is one, and with `agent`, over which it takes patches, if it can.
    /// What becomes of it is sent to `inputs`, what it writes is told.
    ///
    /// # Errors
    /// It cannot be run, in words.
    pub fn start(
        service: &Service,
        given: Given<'_>,
        binary: &Path,
        debugger: Option<u16>,
        agent: Option<OwnedFd>,
        tell: &Tell,
        inputs: &Sender<Input>,
    ) -> Result<Running, String> {
        let path = binary.display().to_string();
        let mut words: Vec<String> = service.run.iter().map(|word| word.replace("{out}", &path)).collect();
        if let Some(port) = debugger.filter(|_| words.first() == Some(&path)) {
            words.splice(..1, debugger::command(port, &path));
        }
        let (program, args) = words.split_first().ok_or("`run` is empty")?;
        let describe = |error| format!("cannot run `{program}`: {error}");
        let mut command = Command::new(program);
        command.args(args).args(&service.args).current_dir(&service.dir).envs(&service.env);
        if let Given::Socket(listener) = given {
            command = process::hand_over(&command, listener);
        }
        if let Some(end) = agent {
            let number = process::pass_on(&mut command, end);
            command.env(agent::VARIABLE, number.to_string()).env("GODEBUG", godebug(service));
        }
        let started = spawn(&mut command, service.pty, debugger.is_some()).map_err(describe)?;
        let group = Arc::new(started.group);
        let abandoned = Arc::new(AtomicBool::new(false));
        let tell_line = lines(service, debugger.is_some(), group.id(), tell.clone(), inputs.clone());
        let stdout = started.stdout.map(|source| Pipe::new(source, Stream::Stdout));
        let stderr = started.stderr.map(|source| Pipe::new(source, Stream::Stderr));
        let terminal = started.terminal.map(|source| Pipe::new(source, Stream::Stdout));
        match Output::read(stdout.into_iter().chain(stderr).chain(terminal).collect(), tell_line) {
            Ok(output) => {
                let (pid, of_probe) = (group.id(), inputs.clone());
                // The service's thread may be gone already.
                let found = move || drop(of_probe.send(Input::Ready { pid }));
                let probe = Some(Probe::start(service, Arc::clone(&group), found));
                let (address, debugged) = (given.address(), debugger.is_some());
                let elsewhere = |sync: &config::Sync| !matches!(sync.to, config::Target::Dir(_));
                let relays = service.sync.as_ref().is_some_and(elsewhere);
                let mut running =
                    Running { group, abandoned, waiter: None, address, probe, debugged, relays };
                running.follow(output, debugger, inputs.clone());
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

    /// Where it was told to listen, if another port is held for it.
    pub fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// Does not look any longer whether it is ready.
    pub fn end_probe(&mut self) {
        self.probe.take();
    }

    /// Asks it to stop with `signal`. A debugger that was asked would kill its program at once, so that is asked
    /// itself; the end of the one is that of the other. What leads to a program elsewhere has to be there until that has
    /// ended.
    pub fn terminate(&self, signal: Signal) {
        if self.relays {
            drop(self.group.signal_members(signal));
        } else if !(self.debugged && self.group.signal_inner(signal)) {
            // What cannot be signalled is not ours any more; the waiter sees the end of it or not.
            drop(self.group.signal(signal));
        }
    }

    /// Kills the whole group.
    pub fn kill(&self) {
        drop(self.group.signal(Signal::SIGKILL));
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

    fn follow(&mut self, output: Output, debugger: Option<u16>, inputs: Sender<Input>) {
        let (group, abandoned) = (Arc::clone(&self.group), Arc::clone(&self.abandoned));
        self.waiter = Some(std::thread::spawn(move || {
            let pid = group.id();
            // The service's thread may be gone already, or may have given up on this group.
            let tell = |input| {
                if !abandoned.load(Ordering::Acquire) {
                    let _ = inputs.send(input);
                }
            };
            let of_debuggee = debugger.and_then(|port| follow_debuggee(&group, port));
            if let Ok(exit) = group.wait_leader() {
                let exit = of_debuggee.unwrap_or(exit);
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
            self.kill();
            drop(waiter.join());
        }
    }
}

/// Waits for the end of the program that the debugger at the head of `group` runs, ends the debugger, and returns how
/// the program has ended. `None` if the debugger has ended first, or does not tell.
fn follow_debuggee(group: &Group, port: u16) -> Option<Exit> {
    let mut pause = DEBUGGEE_LOOK;
    let exit = loop {
        if let Some(&debuggee) = group.inner().first() {
            group.wait_end(debuggee, None);
            break debugger::exit(port);
        }
        if group.wait_end(group.id(), Some(pause)) {
            return None;
        }
        // It may have come and gone between two looks.
        if pause >= DEBUGGEE_MISSED
            && let Some(exit) = debugger::exit(port)
        {
            break Some(exit);
        }
        // What has not started it for long will hardly do so now.
        pause *= 2;
    };
    // What the program has left behind has to go as well.
    drop(group.signal(Signal::SIGTERM));
    exit
}

/// What the service's environment says in GODEBUG, and what its agent needs.
fn godebug(service: &Service) -> String {
    let inherited = || std::env::var("GODEBUG").ok();
    let set = service.env.get("GODEBUG").cloned().or_else(inherited).filter(|set| !set.is_empty());
    set.map_or_else(|| agent::SETTING.to_owned(), |set| format!("{set},{}", agent::SETTING))
}

/// Starts `command` on pipes, or on a terminal with `pty`.
fn spawn(command: &mut Command, pty: bool, debugged: bool) -> io::Result<process::Started> {
    // A program that runs under a debugger is in a group of its own, which is not the one that a terminal is for.
    if pty && !debugged {
        return process::spawn_on_terminal(command);
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // A debugger gives its program a group of its own.
    if debugged { process::spawn_session(command) } else { process::spawn(command) }
}

/// Tells every line, and looks for the one that means ready.
fn lines(
    service: &Service,
    debugged: bool,
    pid: i32,
    tell: Tell,
    inputs: Sender<Input>,
) -> impl FnMut(Piece) + Send + 'static {
    let name = service.name.clone();
    let mut awaited = match &service.readiness.when {
        Ready::Log(text) => Some(Awaited::new(text)),
        _ => None,
    };
    move |piece| {
        if let Some(words) = debugger::said(&piece.text).filter(|_| debugged) {
            tell.notice(Some(&name), Level::Info, words);
            return;
        }
        let ready = awaited.as_mut().is_some_and(|awaited| awaited.has_come(&piece));
        tell.line(&name, piece.stream, piece.text, piece.partial);
        if ready {
            awaited = None;
            // The service's thread may be gone already.
            let _ = inputs.send(Input::Ready { pid });
        }
    }
}
