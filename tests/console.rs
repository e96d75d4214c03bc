//! The keys of the console, typed into a terminal of the test's own.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

use nix::pty::openpty;
use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::termios::{LocalFlags, tcgetattr};
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
    fn start(project: &Project) -> Console {
        let pty = openpty(None, None).unwrap();
        let mut command = project.hotwatch(&["--color", "never", "up"]);
        let end = || Stdio::from(pty.slave.try_clone().unwrap());
        command.stdin(end()).stdout(end()).stderr(end());
        let wrapped = {
            // setsid(1) makes the terminal the session's, with its leader in the foreground.
            let mut wrapped = std::process::Command::new("setsid");
            wrapped.args(["--ctty", "--wait"]).arg(command.get_program()).args(command.get_args());
            wrapped.current_dir(project.root()).stdin(end()).stdout(end()).stderr(end());
            project.surround(&mut wrapped);
            wrapped.process_group(0);
            wrapped
        };
        let mut command = wrapped;
        let child = command.spawn().unwrap();
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
        Console { child, keyboard, terminal: pty.slave, shown, seen: String::new() }
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
}
