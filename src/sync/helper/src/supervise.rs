//! A program run in the place of hotwatch, which is elsewhere: its output goes where that of the helper goes, signals
//! come as lines on standard input, and when that ends, the program ends as well.

use std::fs::File;
use std::io::{self, BufRead};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use nix::fcntl::{Flock, FlockArg};
use nix::sys::signal::Signal;

use crate::run::{Group, cannot_run};

/// How often it is looked whether the program has ended.
const LOOK: Duration = Duration::from_millis(5);

/// How often something comes from the other end; a line that is no signal if there is nothing else to say.
pub const BEAT: Duration = Duration::from_secs(5);

/// Without a word for as long as this nobody is there any more.
const SILENCE: Duration = Duration::from_secs(20);

/// How long the one before may take to be gone, beside the time it has to end: it may not know yet that it is alone.
const PREDECESSOR: Duration = Duration::from_secs(30);

/// The exit code of whoever cannot run the program, as that of a shell.
const CANNOT_RUN: i32 = 127;

/// Runs `words` until it ends, and returns its exit code, or 128 and the signal that ended it. Only one runs at a time
/// for the file `lock`; the next waits for it. When `orders` end, or nothing is heard, it has as long as `grace` to end
/// after SIGTERM.
pub fn supervise(
    words: &[String],
    dir: &Path,
    lock: &Path,
    grace: Duration,
    orders: impl BufRead + Send + 'static,
) -> i32 {
    let _held = match alone(lock, grace + PREDECESSOR) {
        Ok(held) => held,
        Err(error) => {
            eprintln!("hotwatch: {error}");
            return CANNOT_RUN;
        }
    };
    let Some((program, args)) = words.split_first() else { return CANNOT_RUN };
    let mut command = Command::new(program);
    command.args(args).current_dir(dir).stdin(Stdio::null()).process_group(0);
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => {
            eprintln!("hotwatch: {}", cannot_run(program, dir, &error));
            return CANNOT_RUN;
        }
    };
    let group = Group::of(&child);
    let (sender, heard) = channel();
    std::thread::spawn(move || {
        for line in orders.lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    let (mut killed_at, mut heard_at): (Option<Instant>, _) = (None, Instant::now());
    let mut looked_at = Instant::now();
    let exit = loop {
        // Who was stopped for a while has heard nothing, which says nothing.
        if looked_at.elapsed() > BEAT {
            heard_at = Instant::now();
        }
        looked_at = Instant::now();
        match heard.recv_timeout(LOOK) {
            Ok(order) => {
                heard_at = Instant::now();
                let signal = order.parse().ok().and_then(|number: i32| Signal::try_from(number).ok());
                signal.into_iter().for_each(|signal| group.signal(signal));
            }
            Err(RecvTimeoutError::Timeout) if heard_at.elapsed() < SILENCE => {}
            Err(lost) => {
                if killed_at.is_none() {
                    group.signal(Signal::SIGTERM);
                    killed_at = Some(Instant::now() + grace);
                }
                if lost == RecvTimeoutError::Disconnected {
                    std::thread::sleep(LOOK);
                }
            }
        }
        if killed_at.is_some_and(|at| at <= Instant::now()) {
            group.kill();
        }
        match child.try_wait() {
            Ok(None) => {}
            Ok(Some(exit)) => break exit,
            Err(_) => return CANNOT_RUN,
        }
    };
    // What it leaves behind would hold its port. Those that nobody waits for stay as what has ended, and count no more.
    group.kill();
    exit.code().or(exit.signal().map(|signal| 128 + signal)).unwrap_or(CANNOT_RUN)
}

/// Waits until nobody else holds `lock`.
fn alone(lock: &Path, longest: Duration) -> io::Result<Flock<File>> {
    let mut file = File::open(lock)?;
    let deadline = Instant::now() + longest;
    loop {
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(held) => return Ok(held),
            Err((back, _)) if Instant::now() < deadline => {
                file = back;
                std::thread::sleep(LOOK);
            }
            Err((_, error)) => {
                return Err(io::Error::other(format!("what ran before does not end: {error}")));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufReader, Cursor, PipeReader, Write, pipe};

    const LONG: Duration = Duration::from_secs(60);

    fn sh(script: &str, lock: &Path, grace: Duration, orders: impl BufRead + Send + 'static) -> i32 {
        supervise(&["sh", "-c", script].map(str::to_owned), Path::new("/"), lock, grace, orders)
    }

    fn line() -> (BufReader<PipeReader>, io::PipeWriter) {
        let (hears, says) = pipe().unwrap();
        (BufReader::new(hears), says)
    }

    #[test]
    fn exit_codes_are_passed_on() {
        let dir = tempfile::tempdir().unwrap();
        let lock = lock(&dir);
        let (hears, _says) = line();
        assert_eq!(sh("exit 7", &lock, LONG, hears), 7);
        let (hears, _says) = line();
        assert_eq!(sh("kill -9 $$", &lock, LONG, hears), 137);
        let (hears, _says) = line();
        assert_eq!(supervise(&["no-such-program".to_owned()], Path::new("/"), &lock, LONG, hears), 127);
    }

    fn lock(dir: &tempfile::TempDir) -> std::path::PathBuf {
        let path = dir.path().join("lock");
        std::fs::write(&path, "").unwrap();
        path
    }

    /// Waits until `path` is there.
    fn await_file(path: &Path) {
        let deadline = Instant::now() + LONG;
        while !path.exists() && Instant::now() < deadline {
            std::thread::sleep(LOOK);
        }
    }

    #[test]
    fn signals_come_as_lines() {
        let dir = tempfile::tempdir().unwrap();
        let (hears, mut says) = line();
        let (ready, lock) = (dir.path().join("ready"), lock(&dir));
        let script =
            format!("trap 'exit 9' USR1; echo > '{}'; while :; do sleep 0.01; done", ready.display());
        let program = std::thread::spawn(move || sh(&script, &lock, LONG, hears));
        await_file(&ready);
        writeln!(says, "{}", Signal::SIGUSR1 as i32).unwrap();
        assert_eq!(program.join().unwrap(), 9);
    }

    #[test]
    fn it_ends_when_nobody_is_at_the_other_end() {
        let dir = tempfile::tempdir().unwrap();
        let (ready, lock) = (dir.path().join("ready"), lock(&dir));
        assert_eq!(sh("exec sleep 600", &lock, LONG, Cursor::new("")), 143);
        let script = format!("trap '' TERM; echo > '{}'; sleep 600; sleep 600", ready.display());
        let (hears, says) = line();
        let program = std::thread::spawn(move || sh(&script, &lock, Duration::from_millis(50), hears));
        await_file(&ready);
        drop(says);
        assert_eq!(program.join().unwrap(), 137);
    }
}
