//! Reads what a service writes, line by line, standard output and standard error apart. One thread per process
//! waits for both pipes; when the reader of the lines is behind, it waits, and so in the end does the service.

use std::io::{self, PipeWriter, Read};
use std::os::fd::AsFd;
use std::process::{ChildStderr, ChildStdout};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, bounded};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::record::Stream;

/// A longer line is told in pieces.
const LONGEST_LINE: usize = 64 * 1024;

/// The thread that reads a process's output; dropping it ends and joins it, read to the end or not.
#[derive(Debug)]
pub struct Output {
    /// Its other end in the poll set ends the thread.
    stop: Option<PipeWriter>,
    /// Disconnected when the thread ends.
    ended: Receiver<()>,
    thread: Option<JoinHandle<()>>,
}

impl Output {
    /// Calls `tell` for every line of both pipes until their end.
    ///
    /// # Errors
    /// No pipe can be opened.
    pub fn read(
        stdout: ChildStdout,
        stderr: ChildStderr,
        mut tell: impl FnMut(Stream, Vec<u8>) + Send + 'static,
    ) -> io::Result<Output> {
        let (stopped, stop) = io::pipe()?;
        let (running, ended) = bounded(0);
        let thread = std::thread::spawn(move || {
            let mut pipes: Vec<Pipe> = vec![
                Pipe { source: Box::new(stdout), stream: Stream::Stdout, line: Vec::new() },
                Pipe { source: Box::new(stderr), stream: Stream::Stderr, line: Vec::new() },
            ];
            let mut buffer = vec![0; LONGEST_LINE];
            while !pipes.is_empty() {
                let mut set: Vec<PollFd<'_>> =
                    pipes.iter().map(|pipe| PollFd::new(pipe.source.as_fd(), PollFlags::POLLIN)).collect();
                set.push(PollFd::new(stopped.as_fd(), PollFlags::POLLIN));
                if poll(&mut set, PollTimeout::NONE).is_err() {
                    // Interrupted; a pipe that can no longer be polled is no longer readable either.
                    continue;
                }
                let ready: Vec<bool> = set.iter().map(|fd| fd.any().unwrap_or(true)).collect();
                if ready[pipes.len()] {
                    break;
                }
                let mut ready = ready.into_iter();
                pipes.retain_mut(|pipe| !ready.next().unwrap_or(false) || pipe.read(&mut buffer, &mut tell));
            }
            for mut pipe in pipes {
                pipe.flush(&mut tell);
            }
            drop(running);
        });
        Ok(Output { stop: Some(stop), ended, thread: Some(thread) })
    }

    /// Waits until everything has been read, at most for `longest`: what left the group may hold a pipe open.
    pub fn wait(&self, longest: Duration) {
        // Nothing is ever sent, so this ends with the thread or with the time.
        let _ = self.ended.recv_timeout(longest);
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

trait Source: Read + AsFd + Send {}
impl<T: Read + AsFd + Send> Source for T {}

struct Pipe {
    source: Box<dyn Source>,
    stream: Stream,
    /// The line that has not ended yet.
    line: Vec<u8>,
}

impl Pipe {
    /// Reads what is there; false at the end of the pipe.
    fn read(&mut self, buffer: &mut [u8], tell: &mut impl FnMut(Stream, Vec<u8>)) -> bool {
        let read = match self.source.read(buffer) {
            Ok(read) if read > 0 => &buffer[..read],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return true,
            _ => {
                self.flush(tell);
                return false;
            }
        };
        let mut rest = read;
        while let Some(end) = rest.iter().position(|&byte| byte == b'\n') {
            self.line.extend_from_slice(&rest[..end]);
            if self.line.last() == Some(&b'\r') {
                self.line.pop();
            }
            tell(self.stream, std::mem::take(&mut self.line));
            rest = &rest[end + 1..];
        }
        self.line.extend_from_slice(rest);
        if self.line.len() >= LONGEST_LINE {
            self.flush(tell);
        }
        true
    }

    fn flush(&mut self, tell: &mut impl FnMut(Stream, Vec<u8>)) {
        if !self.line.is_empty() {
            tell(self.stream, std::mem::take(&mut self.line));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};
    use std::sync::mpsc::channel;

    fn lines(script: &str) -> Vec<(Stream, String)> {
        let mut command = Command::new("sh");
        let command = command.args(["-c", script]).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (sender, receiver) = channel();
        let tell = move |stream, line| sender.send((stream, String::from_utf8(line).unwrap())).unwrap();
        let output = Output::read(child.stdout.take().unwrap(), child.stderr.take().unwrap(), tell).unwrap();
        output.wait(Duration::from_secs(30));
        child.wait().unwrap();
        receiver.iter().collect()
    }

    #[test]
    fn splits_lines_and_keeps_what_has_no_end() {
        let told = lines("printf 'a\\nb\\r\\n\\nlast'");
        let texts: Vec<_> = told.iter().map(|(_, line)| line.as_str()).collect();
        assert_eq!(texts, ["a", "b", "", "last"]);
    }

    #[test]
    fn keeps_the_streams_apart() {
        let told = lines("echo out; echo err >&2");
        assert!(told.contains(&(Stream::Stdout, "out".to_owned())));
        assert!(told.contains(&(Stream::Stderr, "err".to_owned())));
    }

    #[test]
    fn a_line_without_end_is_told_in_pieces() {
        let told = lines("head -c 300000 /dev/zero | tr '\\0' x");
        assert!(told.len() >= 3 && told.iter().all(|(_, line)| line.len() <= 2 * LONGEST_LINE));
        assert_eq!(told.iter().map(|(_, line)| line.len()).sum::<usize>(), 300_000);
    }

    #[test]
    fn dropping_ends_it_although_the_pipe_stays_open() {
        let mut child =
            Command::new("sleep").arg("600").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(Output::read(child.stdout.take().unwrap(), child.stderr.take().unwrap(), |_, _| {}).unwrap());
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
