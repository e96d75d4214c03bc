//! The keys of the console, typed into a terminal of the test's own.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

use nix::pty::openpty;
use nix::sys::signal::{Signal, kill};

use nix::sys::termios::{LocalFlags, tcgetattr};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::support::{DEADLINE, Project};

/// A hotwatch on a terminal, as the foreground job of a session of its own.
struct Console {
    child: Child,
    keyboard: File,
    terminal: OwnedFd,
    shown: Receiver<Vec<u8>>,
    seen: String,
}

impl Console {
    /// `None` where a terminal cannot be had.
    fn start(project: &Project, words: &[&str]) -> Option<Console> {
        let pty = openpty(None, None).unwrap();
        let end = || Stdio::from(pty.slave.try_clone().unwrap());
        // setsid(1) makes the terminal the session's, with its leader in the foreground.
        let mut command = Command::new("setsid");
        command
            .arg("--ctty")
            .args(words)
            .current_dir(project.root())
            .stdin(end())
            .stdout(end())
            .stderr(end());
        project.surround(&mut command);
        let Ok(child) = command.spawn() else {
            eprintln!("NOT CHECKED: there is no setsid(1), so no test has a terminal of its own");
            return None;
        };
        let keyboard = File::from(pty.master);
        let mut screen = keyboard.try_clone().unwrap();
        let (sender, shown) = channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(read @ 1..) = screen.read(&mut buffer) {
                if sender.send(buffer[..read].to_vec()).is_err() {
                    break;
                }
            }
        });
        Some(Console { child, keyboard, terminal: pty.slave, shown, seen: String::new() })
    }

    /// Reads until `text` is shown after what was waited for before.
    fn until(&mut self, text: &str) -> String {
        let deadline = Instant::now() + DEADLINE;
        loop {
            if let Some(found) = self.seen.find(text) {
                let rest = self.seen.split_off(found + text.len());
                return std::mem::replace(&mut self.seen, rest);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(bytes) = self.shown.recv_timeout(left) else { panic!("no `{text}` in: {}", self.seen) };
            self.seen += &String::from_utf8_lossy(&bytes);
        }
    }

    fn press(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    /// Whether keys are told at once, and not shown.
    fn is_raw(&self) -> bool {
        let flags = tcgetattr(&self.terminal).unwrap().local_flags;
        assert!(flags.contains(LocalFlags::ISIG));
        !flags.intersects(LocalFlags::ICANON | LocalFlags::ECHO)
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).unwrap())
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            let _ = kill(self.pid(), Signal::SIGQUIT);
            drop(self.child.wait());
        }
    }
}

const UP: [&str; 4] = [env!("CARGO_BIN_EXE_hotwatch"), "--color", "never", "up"];

#[test]
fn keys_do_what_their_help_says() {
    let project = Project::tiny(&["api", "web"], "");
    let Some(mut console) = Console::start(&project, &UP) else { return };
    for _ in ["api", "web"] {
        console.until("ready after");
    }
    assert!(console.is_raw());
    console.press("?");
    console.until("r restart");
    console.press("r2");
    console.until("restart: 1 api  2 web  Enter all");
    console.until("web > asked to restart");
    console.until("web > restarted in");
    console.press("b\r");
    console.until("api > asked to build");
    console.until("the same program");
    console.until("the same program");
    console.press("p");
    console.until("paused: what is saved from now on");
    console.press("p");
    console.until("resumed");
    console.press("s");
    console.until("SERVICE");
    console.until("web      ready");
    console.press("l1");
    console.until("only lines of api");
    console.press("r\n");
    console.until("api | listening");
    console.press("q");
    let rest = console.until("api > stopped");
    assert!(!rest.contains("web | listening"), "{rest}");
    assert_eq!(console.child.wait().unwrap().code(), Some(0));
    assert!(!console.is_raw());
}

#[test]
fn the_terminal_is_given_back_when_it_is_stopped_and_at_the_end() {
    let project = Project::tiny(&["api"], "");
    let Some(mut console) = Console::start(&project, &UP) else { return };
    console.until("ready after");
    console.press("?");
    console.until("r restart");
    console.press("\x1a");
    let stopped = waitpid(console.pid(), Some(WaitPidFlag::WUNTRACED)).unwrap();
    assert_eq!(stopped, WaitStatus::Stopped(console.pid(), Signal::SIGSTOP));
    assert!(!console.is_raw());
    kill(console.pid(), Signal::SIGCONT).unwrap();
    while !console.is_raw() {
        std::thread::yield_now();
    }
    console.press("?");
    console.until("r restart");
    kill(console.pid(), Signal::SIGTERM).unwrap();
    assert_eq!(console.child.wait().unwrap().code(), Some(0));
    assert!(!console.is_raw());

    // When it cannot even start.
    project.write("hotwatch.toml", "nonsense");
    let Some(mut console) = Console::start(&project, &UP) else { return };
    assert_eq!(console.child.wait().unwrap().code(), Some(1));
    assert!(!console.is_raw());
}

#[test]
fn a_background_job_leaves_the_terminal_alone() {
    let project = Project::tiny(&["api"], "");
    let script = format!(
        "set -m; {} & echo job $!; read line; echo got $line; kill %1; wait %1; echo code $?",
        UP.join(" ")
    );
    let Some(mut console) = Console::start(&project, &["bash", "-c", &script]) else { return };
    console.until("ready after");
    assert!(!console.is_raw());
    console.press("quit\n");
    console.until("got quit");
    console.until("api > stopped");
    console.until("code 0");
    assert!(!console.is_raw());
}
