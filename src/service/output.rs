//! Reads what a service writes, line by line, standard output and standard error apart. One thread per process
//! waits for both pipes; when the reader of the lines is behind, it waits, and so in the end does the service.

use std::io::{self, PipeReader, PipeWriter, Read};
use std::os::fd::AsFd;
use std::process::{ChildStderr, ChildStdout};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, bounded};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::record::Stream;

/// A longer line is told in pieces.
const LONGEST_LINE: usize = 64 * 1024;

/// So many reads empty two full pipes: they hold 64 KB each, or up to 1 MB if somebody enlarged them (pipe(7)).
const PIPE_READS: usize = 32;

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
        stdout: Option<ChildStdout>,
        stderr: Option<ChildStderr>,
        mut tell: impl FnMut(Stream, Vec<u8>) + Send + 'static,
    ) -> io::Result<Output> {
        let (stopped, stop) = io::pipe()?;
        let (running, ended) = bounded(0);
        let stdout = stdout.map(|source| Pipe::new(source, Stream::Stdout));
        let stderr = stderr.map(|source| Pipe::new(source, Stream::Stderr));
        let mut pipes: Vec<Pipe> = stdout.into_iter().chain(stderr).collect();
        let thread = std::thread::spawn(move || {
            let mut buffer = vec![0; LONGEST_LINE];
            while !pipes.is_empty() && read_once(&mut pipes, Some(&stopped), &mut buffer, &mut tell) {}
            // Stopped, because what is left of the writers has nothing to do with the process any more. What
            // was written before is in the pipes, and in no more than that.
            for _ in 0..PIPE_READS {
                if !read_once(&mut pipes, None, &mut buffer, &mut tell) {
                    break;
                }
            }
            pipes.iter_mut().for_each(|pipe| pipe.flush(&mut tell));
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

/// Reads once from each pipe that has something; drops those that have ended. With `stopped` it waits for that,
/// and answers false once that is closed; without, it answers false when there is nothing to read.
fn read_once(
    pipes: &mut Vec<Pipe>,
    stopped: Option<&PipeReader>,
    buffer: &mut [u8],
    tell: &mut impl FnMut(Stream, Vec<u8>),
) -> bool {
    let timeout = if stopped.is_some() { PollTimeout::NONE } else { PollTimeout::ZERO };
    let fds = pipes.iter().map(|pipe| pipe.source.as_fd()).chain(stopped.map(AsFd::as_fd));
    let mut set: Vec<PollFd<'_>> = fds.map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
    match poll(&mut set, timeout) {
        Ok(0) => return false,
        Ok(_) => {}
        Err(_) => return stopped.is_some(),
    }
    let ready: Vec<bool> = set.iter().map(|fd| fd.any().unwrap_or(true)).collect();
    if stopped.is_some() && ready[pipes.len()] {
        return false;
    }
    let mut ready = ready.into_iter();
    pipes.retain_mut(|pipe| !ready.next().unwrap_or(false) || pipe.read(buffer, tell));
    true
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
    fn new(source: impl Source + 'static, stream: Stream) -> Pipe {
        Pipe { source: Box::new(source), stream, line: Vec::new() }
    }

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
        let output = Output::read(child.stdout.take(), child.stderr.take(), tell).unwrap();
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
    fn what_was_written_before_the_end_is_read_although_it_is_stopped() {
        let mut command = Command::new("sh");
        command
            .args(["-c", "seq 1 5000; echo LAST >&2; sleep 600 & echo pid $!"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (sender, receiver) = channel();
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        child.wait().unwrap();
        // The pipes are full of lines, and stay open.
        let tell = move |_, line| sender.send(String::from_utf8(line).unwrap()).unwrap();
        drop(Output::read(stdout, stderr, tell).unwrap());
        let lines: Vec<String> = receiver.iter().collect();
        assert!(lines.contains(&"5000".to_owned()) && lines.contains(&"LAST".to_owned()), "{}", lines.len());
        let sleeper = lines.iter().find_map(|line| line.strip_prefix("pid ")).unwrap();
        let sleeper = nix::unistd::Pid::from_raw(sleeper.parse().unwrap());
        nix::sys::signal::kill(sleeper, nix::sys::signal::Signal::SIGKILL).unwrap();
    }

    #[test]
    fn dropping_ends_it_although_the_pipe_stays_open() {
        let mut child =
            Command::new("sleep").arg("600").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(Output::read(child.stdout.take(), child.stderr.take(), |_, _| {}).unwrap());
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
