//! `hotwatch relay`, which hotwatch starts itself: a process here that stands for a program in a target. What that
//! writes is written here, signals go there as lines, and its end is the end of this one.

use std::io::{Write, pipe};
use std::process::{ExitCode, Stdio};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crossbeam_channel::{Receiver, bounded, select, tick, unbounded};
use hotwatch_helper::supervise::BEAT;
use hotwatch_platform::process::{Exit, Group, Signal, set_name, spawn};
use hotwatch_platform::signal::{Blocked, Termination};

use crate::cli::{Relay, RelayMode};
use crate::error::Error;
use crate::sync::{Ending, SEPARATOR, ask, command};

/// How long to wait before what shows a target's output is started again.
const AGAIN: Duration = Duration::from_secs(1);

/// How long what only shows output may take to end.
const LAST: Duration = Duration::from_millis(500);

/// Runs what is `asked` until it ends, or a signal says so.
pub fn relay(asked: &Relay, signals: Blocked) -> Result<ExitCode, Error> {
    // Who ends `hotwatch` by name means the one that has started this, which ends this in turn.
    set_name(c"hw-relay");
    let (sender, heard) = unbounded();
    let _listener = signals
        .listen(move |signal| {
            let _ = sender.send(signal);
        })
        .map_err(Error::io("start a thread"))?;
    match asked.mode {
        RelayMode::Run => run(&asked.words, &heard),
        RelayMode::Show => {
            let parts: Vec<&[String]> = asked.words.split(|word| word == SEPARATOR).collect();
            let part = |at: usize| parts.get(at).copied().unwrap_or_default();
            let since = part(0).first().cloned().unwrap_or_default();
            show(since, part(1), part(2), &heard)
        }
    }
}

/// Runs the way to the helper, which runs the program; signals go to its standard input.
fn run(words: &[String], heard: &Receiver<Termination>) -> Result<ExitCode, Error> {
    // The end of this process is that of the pipe, and so of the program, also if it is killed.
    let (stdin, mut orders) = pipe().map_err(Error::io("open a pipe"))?;
    let end = start(words, stdin.into())?.1;
    let beat = tick(BEAT);
    loop {
        select! {
            // Where a connection is cut the other end hears nothing, not even its end.
            recv(beat) -> _ => drop(writeln!(orders, "0")),
            recv(heard) -> signal => match signal {
                // Nobody may be left who reads it.
                Ok(signal) => drop(writeln!(orders, "{}", number(signal))),
                Err(_) => return Ok(ExitCode::FAILURE),
            },
            recv(end) -> exit => return Ok(code(exit.ok())),
        }
    }
}

/// Shows with `output` what something writes from the time `since` on, until it has ended, as `state` says, or a signal
/// comes. Without `output` there is nothing to show, and where nobody knows the state it has no end.
fn show(
    mut since: String,
    output: &[String],
    state: &[String],
    heard: &Receiver<Termination>,
) -> Result<ExitCode, Error> {
    if output.is_empty() {
        let _ = heard.recv();
        return Ok(ExitCode::SUCCESS);
    }
    loop {
        let words: Vec<String> = output.iter().map(|word| word.replace("{since}", &since)).collect();
        if !shown(&words, heard)? {
            return Ok(ExitCode::SUCCESS);
        }
        since = humantime::format_rfc3339_micros(SystemTime::now()).to_string();
        // Its end is the end of this process; where somebody has started it again, it goes on.
        if !state.is_empty() {
            match ask(state, &Ending::default()).unwrap_or_default().split_once(' ') {
                Some(("true", _)) => {}
                Some((_, exit)) => return Ok(code(exit.parse().ok().map(Exit::Code))),
                None => return Ok(ExitCode::FAILURE),
            }
        }
        // Also something whose output cannot be shown runs.
        if heard.recv_timeout(AGAIN).is_ok() {
            return Ok(ExitCode::SUCCESS);
        }
    }
}

/// Shows what `words` write until they end; false if a signal came before.
fn shown(words: &[String], heard: &Receiver<Termination>) -> Result<bool, Error> {
    let (group, end) = start(words, Stdio::null())?;
    select! {
        recv(heard) -> _ => {
            drop(group.signal(Signal::SIGTERM));
            if end.recv_timeout(LAST).is_err() {
                drop(group.signal(Signal::SIGKILL));
            }
            Ok(false)
        }
        recv(end) -> _ => Ok(true),
    }
}

/// Starts `words`, in a group of their own: what is sent to that of this process is not for them. Their end is told.
fn start(words: &[String], stdin: Stdio) -> Result<(Arc<Group>, Receiver<Exit>), Error> {
    let mut command = command(words);
    command.stdin(stdin);
    let started = spawn(&mut command).map_err(Error::io(format!("run `{}`", words.join(" "))))?;
    let group = Arc::new(started.group);
    let (ended, end) = bounded(1);
    let waits = Arc::clone(&group);
    std::thread::spawn(move || waits.wait_leader().map(|exit| ended.send(exit)));
    Ok((group, end))
}

fn number(signal: Termination) -> i32 {
    let signal = match signal {
        Termination::Interrupt => Signal::SIGINT,
        Termination::Quit => Signal::SIGQUIT,
        Termination::Hangup => Signal::SIGHUP,
        Termination::Terminate => Signal::SIGTERM,
    };
    signal as i32
}

fn code(exit: Option<Exit>) -> ExitCode {
    let code = match exit {
        Some(Exit::Code(code)) => code,
        Some(Exit::Signal(signal)) => 128 + signal,
        None => 1,
    };
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}
