//! Reads what a service writes, line by line, standard output and standard error apart. One thread per process
//! waits for both pipes, or for the terminal that stands for both. A line that has not ended is told as far as it has
//! come after a short while: it may be a question. When whoever is told waits, so in the end does the service.

use std::io::{self, PipeReader, PipeWriter, Read};
use std::os::fd::AsFd;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, bounded};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::record::Stream;

/// A longer line is told in pieces.
const LONGEST_LINE: usize = 64 * 1024;

/// How long a line may be on its way before what there is of it is told.
const PARTIAL: Duration = Duration::from_millis(200);

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

/// A line, or a piece of one: the rest follows if it is partial.
#[derive(Debug, PartialEq, Eq)]
pub struct Piece {
    /// Where it was written to.
    pub stream: Stream,
    /// What was written, without the end of the line.
    pub text: Vec<u8>,
    /// Whether the line goes on.
    pub partial: bool,
}

impl Output {
    /// Calls `tell` for every line of `pipes` until their end.
    ///
    /// # Errors
    /// No pipe can be opened.
    pub fn read(mut pipes: Vec<Pipe>, mut tell: impl FnMut(Piece) + Send + 'static) -> io::Result<Output> {
        let (stopped, stop) = io::pipe()?;
        let (running, ended) = bounded(0);
        let thread = std::thread::spawn(move || {
            let mut buffer = vec![0; LONGEST_LINE];
            while !pipes.is_empty() && read_once(&mut pipes, Some(&stopped), &mut buffer, &mut tell) {
                let now = Instant::now();
                pipes.iter_mut().for_each(|pipe| pipe.tell_partial(now, &mut tell));
            }
            // Stopped, because what is left of the writers has nothing to do with the process any more. What
            // was written before is in the pipes, and in no more than that.
            for _ in 0..PIPE_READS {
                if !read_once(&mut pipes, None, &mut buffer, &mut tell) {
                    break;
                }
            }
            pipes.iter_mut().for_each(|pipe| pipe.end(&mut tell));
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

/// Reads once from each pipe that has something; drops those that have ended. With `stopped` it waits, but not
/// longer than until a partial line is due, and answers false once that is closed; without, it answers false when
/// there is nothing to read.
fn read_once(
    pipes: &mut Vec<Pipe>,
    stopped: Option<&PipeReader>,
    buffer: &mut [u8],
    tell: &mut impl FnMut(Piece),
) -> bool {
    let timeout = match (stopped, pipes.iter().filter_map(|pipe| pipe.due).min()) {
        (None, _) => PollTimeout::ZERO,
        (Some(_), None) => PollTimeout::NONE,
        (Some(_), Some(due)) => {
            // Rounded up, lest it wake before anything is due.
            let wait = due.saturating_duration_since(Instant::now()) + Duration::from_millis(1);
            PollTimeout::try_from(wait).unwrap_or(PollTimeout::MAX)
        }
    };
    let fds = pipes.iter().map(|pipe| pipe.source.as_fd()).chain(stopped.map(AsFd::as_fd));
    let mut set: Vec<PollFd<'_>> = fds.map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
    if !poll(&mut set, timeout).is_ok_and(|ready| ready > 0) {
        return stopped.is_some();
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

/// One of the things that a process writes to.
pub struct Pipe {
    source: Box<dyn Source>,
    stream: Stream,
    /// What has not been told yet of the line that has not ended.
    line: Vec<u8>,
    /// Whether the beginning of that line has been told.
    begun: bool,
    /// When to tell what there is of it.
    due: Option<Instant>,
}

impl Pipe {
    /// What is written to the other end of `source`, told as `stream`.
    pub fn new(source: impl Read + AsFd + Send + 'static, stream: Stream) -> Pipe {
        Pipe { source: Box::new(source), stream, line: Vec::new(), begun: false, due: None }
    }

    /// Reads what is there; false at the end of the pipe.
    fn read(&mut self, buffer: &mut [u8], tell: &mut impl FnMut(Piece)) -> bool {
        let read = match self.source.read(buffer) {
            Ok(read) if read > 0 => &buffer[..read],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return true,
            // Linux answers EIO when the other end of a terminal is closed, macOS with nothing.
            _ => {
                self.end(tell);
                return false;
            }
        };
        let mut rest = read;
        while let Some(end) = rest.iter().position(|&byte| byte == b'\n') {
            self.line.extend_from_slice(&rest[..end]);
            if self.line.last() == Some(&b'\r') {
                self.line.pop();
            }
            self.tell(self.line.len(), false, tell);
            rest = &rest[end + 1..];
        }
        self.line.extend_from_slice(rest);
        if self.line.len() >= LONGEST_LINE {
            self.tell(self.tellable(), true, tell);
        } else if !rest.is_empty() {
            self.due.get_or_insert_with(|| Instant::now() + PARTIAL);
        }
        true
    }

    /// Tells what there is of a line if that is due.
    fn tell_partial(&mut self, now: Instant, tell: &mut impl FnMut(Piece)) {
        if self.due.is_some_and(|due| due <= now) {
            self.due = None;
            let length = self.tellable();
            if length > 0 {
                self.tell(length, true, tell);
            }
        }
    }

    /// Tells what is left at the end of the pipe.
    fn end(&mut self, tell: &mut impl FnMut(Piece)) {
        if self.begun || !self.line.is_empty() {
            self.tell(self.line.len(), false, tell);
        }
    }

    /// How much of the line can be told although it goes on: not a carriage return that may belong to its end, nor
    /// the beginning of a character.
    fn tellable(&self) -> usize {
        let length = self.line.len() - usize::from(self.line.last() == Some(&b'\r'));
        let tail = &self.line[length.saturating_sub(3)..length];
        let lead = tail.iter().rposition(|&byte| byte >= 0xc0);
        let is_cut =
            |at: &usize| str::from_utf8(&tail[*at..]).is_err_and(|error| error.error_len().is_none());
        lead.filter(is_cut).map_or(length, |at| length - (tail.len() - at))
    }

    fn tell(&mut self, length: usize, partial: bool, tell: &mut impl FnMut(Piece)) {
        let rest = self.line.split_off(length);
        let text = std::mem::replace(&mut self.line, rest);
        (self.begun, self.due) = (partial, None);
        tell(Piece { stream: self.stream, text, partial });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Child, Command, Stdio};
    use std::sync::mpsc::channel;

    fn pipes(child: &mut Child) -> Vec<Pipe> {
        let stdout = child.stdout.take().map(|source| Pipe::new(source, Stream::Stdout));
        let stderr = child.stderr.take().map(|source| Pipe::new(source, Stream::Stderr));
        stdout.into_iter().chain(stderr).collect()
    }

    fn pieces(script: &str) -> Vec<(Stream, String, bool)> {
        let mut command = Command::new("sh");
        let command = command.args(["-c", script]).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (sender, receiver) = channel();
        let tell = move |Piece { stream, text, partial }| {
            sender.send((stream, String::from_utf8(text).unwrap(), partial)).unwrap();
        };
        let output = Output::read(pipes(&mut child), tell).unwrap();
        output.wait(Duration::from_secs(30));
        child.wait().unwrap();
        receiver.iter().collect()
    }

    fn lines(script: &str) -> Vec<(Stream, String)> {
        pieces(script).into_iter().map(|(stream, line, _)| (stream, line)).collect()
    }

    #[test]
    fn what_has_no_end_is_told_after_a_while_and_its_rest_later() {
        // Half a character and half the end of a line are not told.
        let table: [(&str, &[(&str, bool)]); 6] = [
            ("printf 'name? '; sleep 1; echo Bob", &[("name? ", true), ("Bob", false)]),
            ("printf 'name? '; sleep 1; echo", &[("name? ", true), ("", false)]),
            ("printf 'name? '; sleep 1", &[("name? ", true), ("", false)]),
            ("printf 'a\\303'; sleep 1; printf '\\274\\n'", &[("a", true), ("ü", false)]),
            ("printf '\\360\\237\\230'; sleep 1; printf '\\200\\n'", &[("😀", false)]),
            ("printf 'a\\r'; sleep 1; printf '\\nb\\n'", &[("a", true), ("", false), ("b", false)]),
        ];
        for (script, expected) in table {
            let told = pieces(script);
            let told: Vec<_> = told.iter().map(|(_, text, partial)| (text.as_str(), *partial)).collect();
            assert_eq!(told, expected, "{script}");
        }
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
        let pipes = pipes(&mut child);
        child.wait().unwrap();
        // The pipes are full of lines, and stay open.
        let tell = move |piece: Piece| sender.send(String::from_utf8(piece.text).unwrap()).unwrap();
        drop(Output::read(pipes, tell).unwrap());
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
        drop(Output::read(pipes(&mut child), |_| {}).unwrap());
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
