//! Running a command to its end, or to that of its time.

use std::ffi::OsStr;
use std::io::{self, Read};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

/// How long output is read of whoever has been left behind.
const LAST_LINES: Duration = Duration::from_millis(200);

/// Runs `words` in `dir` for as long as `longest`; what it writes goes to `tell`, with whether to standard error.
/// Returns what went wrong, in words.
pub fn run(
    words: &[String],
    dir: &Path,
    longest: Duration,
    tell: impl FnMut(bool, &[u8]),
) -> Result<(), String> {
    run_known(words, dir, longest, |_| {}, tell)
}

/// The same, with `begun` called with what runs, so that somebody else may end it.
pub fn run_known(
    words: &[String],
    dir: &Path,
    longest: Duration,
    begun: impl FnOnce(Group),
    mut tell: impl FnMut(bool, &[u8]),
) -> Result<(), String> {
    let (program, args) = words.split_first().ok_or("there is no command")?;
    let mut command = Command::new(program);
    command.args(args).current_dir(dir).process_group(0);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| cannot_run(program, dir, &error))?;
    let (sender, pieces) = channel();
    let streams: [Option<Box<dyn Read + Send>>; 2] = [
        child.stdout.take().map(|out| Box::new(out) as _),
        child.stderr.take().map(|err| Box::new(err) as _),
    ];
    for (stderr, stream) in [false, true].into_iter().zip(streams) {
        let (sender, Some(mut stream)) = (sender.clone(), stream) else { continue };
        std::thread::spawn(move || {
            let mut piece = [0; 8192];
            while let Ok(count @ 1..) = stream.read(&mut piece) {
                if sender.send((stderr, piece[..count].to_vec())).is_err() {
                    return;
                }
            }
        });
    }
    drop(sender);
    let group = Group::of(&child);
    begun(group);
    let mut deadline = Instant::now() + longest;
    let mut exit: Option<ExitStatus> = None;
    let mut timed_out = false;
    loop {
        let pause = Duration::from_millis(10).min(deadline.saturating_duration_since(Instant::now()));
        match pieces.recv_timeout(pause) {
            Ok((stderr, piece)) => tell(stderr, &piece),
            Err(RecvTimeoutError::Disconnected) if exit.is_some() => break,
            // It has closed its output, and goes on.
            Err(RecvTimeoutError::Disconnected) => std::thread::sleep(pause),
            Err(RecvTimeoutError::Timeout) => {}
        }
        if exit.is_none() {
            exit = child.try_wait().map_err(|error| error.to_string())?;
            if exit.is_some() {
                deadline = Instant::now() + LAST_LINES;
            }
        }
        if Instant::now() >= deadline {
            if exit.is_some() {
                break;
            }
            timed_out = true;
            group.kill();
            exit = child.wait().ok();
            deadline = Instant::now() + LAST_LINES;
        }
    }
    if timed_out {
        return Err(format!("`{program}` took longer than {longest:?} and was ended"));
    }
    match exit {
        Some(exit) if exit.success() => Ok(()),
        Some(exit) => Err(format!("`{program}` {}", described(exit))),
        None => Err(format!("`{program}` was lost")),
    }
}

/// Why `program` cannot be run, in words.
pub fn cannot_run(program: &str, dir: &Path, error: &io::Error) -> String {
    let there = dir == OsStr::new("") || dir.is_dir();
    let whose =
        if there { String::new() } else { format!(", since the directory `{}` is not there", dir.display()) };
    format!("cannot run `{program}`{whose}: {error}")
}

fn described(exit: ExitStatus) -> String {
    match (exit.code(), exit.signal()) {
        (Some(code), _) => format!("ended with exit code {code}"),
        (None, Some(signal)) => {
            let name =
                Signal::try_from(signal).map_or_else(|_| signal.to_string(), |signal| signal.to_string());
            format!("was ended by {name}")
        }
        (None, None) => "was lost".to_owned(),
    }
}

/// A child and all that it started in its group.
#[derive(Debug, Clone, Copy)]
pub struct Group(Pid);

impl Group {
    /// That of `child`, which was started in a group of its own.
    pub fn of(child: &Child) -> Group {
        Group(Pid::from_raw(i32::try_from(child.id()).expect("process ids fit in pid_t")))
    }

    /// Kills all of it.
    pub fn kill(self) {
        self.signal(Signal::SIGKILL);
    }

    /// Sends `signal` to all of it.
    pub fn signal(self, signal: Signal) {
        // Nobody may be left.
        let _ = killpg(self.0, signal);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str, longest: Duration) -> (Result<(), String>, String) {
        let words = ["sh", "-c", script].map(str::to_owned);
        let mut output = String::new();
        let result = run(&words, Path::new("/"), longest, |stderr, piece| {
            output.push_str(if stderr { "E:" } else { "" });
            output.push_str(&String::from_utf8_lossy(piece));
        });
        (result, output)
    }

    #[test]
    fn a_command_ends_with_its_code_its_signal_or_its_time() {
        let long = Duration::from_secs(60);
        assert_eq!(sh("echo hi; echo no >&2", long).0, Ok(()));
        assert_eq!(sh("echo hi", long).1, "hi\n");
        assert_eq!(
            sh("echo no >&2; exit 3", long),
            (Err("`sh` ended with exit code 3".to_owned()), "E:no\n".to_owned())
        );
        assert_eq!(sh("kill -9 $$", long).0, Err("`sh` was ended by SIGKILL".to_owned()));
        let slow = sh("echo begun; sleep 600 & sleep 600", Duration::from_millis(200));
        assert_eq!(slow, (Err("`sh` took longer than 200ms and was ended".to_owned()), "begun\n".to_owned()));
        assert_eq!(sh("sleep 600 & echo left", long).1, "left\n");
        let missing = run(&["no-such-program".to_owned()], Path::new("/"), long, |_, _| {}).unwrap_err();
        assert!(missing.starts_with("cannot run `no-such-program`: "), "{missing}");
    }
}
