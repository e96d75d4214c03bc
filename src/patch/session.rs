//! The conversation with the agent in a running service: one line of JSON asks, one answers.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::generations::{Generation, Linked, Loaded};
use super::jump::Jump;

/// How long an answer may take. A service that is stopped in a debugger does not answer either.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Why the service has not done what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// It has ended, or its agent has.
    #[error("the service does not answer any more: {0}")]
    Lost(io::Error),
    /// It takes too long. Whether it will still do it is not known.
    #[error("the service has not answered for {} seconds", .0.as_secs())]
    Silent(Duration),
    /// It has answered something else.
    #[error("the service answered what is not understood: {0}")]
    Strange(String),
    /// It cannot.
    #[error("the service refused the patch: {0}")]
    Refused(String),
}

/// Who the service is, and what it can do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// Its process.
    pub pid: u32,
    /// What it was built with, as in `go1.26.1`.
    pub go: String,
    /// Whether its goroutines stop at calls only, without which no patch is safe.
    pub alone: bool,
    /// Whether its code can be written over.
    pub writable: bool,
}

/// How a patch was loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Switched {
    /// Where the library is in the service's memory.
    pub base: u64,
    /// How long loading took.
    pub open: Duration,
    /// How long no other goroutine ran.
    pub pause: Duration,
}

/// The conversation.
#[derive(Debug)]
pub struct Session {
    stream: BufReader<UnixStream>,
    /// Whether an answer is missing, which would be taken for that to the next question.
    broken: bool,
}

#[derive(Serialize, Default)]
#[serde(rename_all = "PascalCase")]
struct Request<'a> {
    r#do: &'a str,
    library: &'a str,
    first: Vec<u64>,
    types: Vec<u64>,
    made: Made,
    jumps: Vec<AskedJump>,
    ranges: Vec<[u64; 2]>,
    counters: Vec<u64>,
}

/// Where the service's package `reflect` keeps the types that it has made (`reflect/type.go`), each as an address, or 0
/// where the service has not got that variable.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Made {
    lookup_cache: u64,
    ptr_map: u64,
    func_lookup_cache: u64,
    struct_lookup_cache: u64,
}

impl Made {
    /// Where they are in what `loaded` is about.
    pub fn of(loaded: &Loaded) -> Made {
        let at = |name: &str| loaded.host().find(name).map_or(0, |known| known.address);
        Made {
            lookup_cache: at("reflect.lookupCache"),
            ptr_map: at("reflect.ptrMap"),
            func_lookup_cache: at("reflect.funcLookupCache"),
            struct_lookup_cache: at("reflect.structLookupCache"),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct AskedJump {
    at: u64,
    /// In base 64, as Go has bytes.
    expected: String,
    offset: u64,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Answer {
    error: String,
    pid: u32,
    go: String,
    alone: bool,
    writable: bool,
    base: u64,
    open: u64,
    pause: u64,
    counts: Vec<u64>,
}

impl Session {
    /// Over the end of a pair of sockets whose other end the service has inherited.
    ///
    /// # Errors
    /// The socket does not take a time limit.
    pub fn start(stream: UnixStream) -> io::Result<Session> {
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Session { stream: BufReader::new(stream), broken: false })
    }

    /// Waits until the service has come so far that its agent runs, at most for `patience`, and asks it who it is.
    ///
    /// # Errors
    /// See [`SessionError`].
    pub fn hello(&mut self, patience: Duration) -> Result<Hello, SessionError> {
        let request = Request { r#do: "hello", ..Request::default() };
        let Answer { pid, go, alone, writable, .. } = self.ask_for(&request, patience)?;
        Ok(Hello { pid, go, alone, writable })
    }

    /// Loads `linked`, calls the functions that are at the offsets `first` in it, and writes `jumps`: all of them, or none
    /// if it is refused, as a type that comes with it is if it is among those that are `made` already.
    ///
    /// # Errors
    /// See [`SessionError`]. What was loaded stays loaded, so the patch must not be tried again.
    pub fn switch(
        &mut self,
        linked: &Linked,
        first: &[u64],
        made: Made,
        jumps: &[Jump],
    ) -> Result<Switched, SessionError> {
        let library = linked.library.to_string_lossy();
        let jumps = jumps
            .iter()
            .map(|jump| AskedJump { at: jump.old, expected: base64(&jump.expected), offset: jump.offset })
            .collect();
        let (first, types) = (first.to_vec(), linked.types().collect());
        let request =
            Request { r#do: "switch", library: &library, first, types, made, jumps, ..Request::default() };
        let answer = self.ask(&request)?;
        let [open, pause] = [answer.open, answer.pause].map(Duration::from_micros);
        Ok(Switched { base: answer.base, open, pause })
    }

    /// How many goroutines are still inside of each old body that `jumps` have replaced.
    ///
    /// # Errors
    /// See [`SessionError`].
    pub fn stale(&mut self, jumps: &[Jump]) -> Result<Vec<u64>, SessionError> {
        let ranges = jumps.iter().map(|jump| [jump.old, jump.old + jump.size]).collect();
        let answer = self.ask(&Request { r#do: "stale", ranges, ..Request::default() })?;
        counted(answer.counts, jumps.len())
    }

    /// How often each changed function of `generation` was entered since, in the order of its trampolines.
    ///
    /// # Errors
    /// See [`SessionError`].
    pub fn effects(&mut self, generation: &Generation) -> Result<Vec<u64>, SessionError> {
        let trampolines = &generation.linked.trampolines;
        let counters = trampolines.iter().map(|trampoline| generation.base + trampoline.counter).collect();
        let answer = self.ask(&Request { r#do: "effects", counters, ..Request::default() })?;
        counted(answer.counts, trampolines.len())
    }

    fn ask(&mut self, request: &Request<'_>) -> Result<Answer, SessionError> {
        self.ask_for(request, PATIENCE)
    }

    fn ask_for(&mut self, request: &Request<'_>, patience: Duration) -> Result<Answer, SessionError> {
        if self.broken {
            return Err(SessionError::Lost(io::ErrorKind::BrokenPipe.into()));
        }
        let line = self.exchange(request, patience).map_err(|error| {
            self.broken = true;
            match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => SessionError::Silent(patience),
                _ => SessionError::Lost(error),
            }
        })?;
        let strange = |_| SessionError::Strange(String::from_utf8_lossy(&line).trim().to_owned());
        let answer: Answer = serde_json::from_slice(&line).map_err(strange)?;
        if answer.error.is_empty() { Ok(answer) } else { Err(SessionError::Refused(answer.error)) }
    }

    fn exchange(&mut self, request: &Request<'_>, patience: Duration) -> io::Result<Vec<u8>> {
        let mut line = serde_json::to_vec(request)?;
        line.push(b'\n');
        self.stream.get_ref().set_read_timeout(Some(patience))?;
        self.stream.get_mut().write_all(&line)?;
        line.clear();
        self.stream.read_until(b'\n', &mut line)?;
        if line.ends_with(b"\n") { Ok(line) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }
}

fn counted(counts: Vec<u64>, expected: usize) -> Result<Vec<u64>, SessionError> {
    if counts.len() == expected {
        return Ok(counts);
    }
    Err(SessionError::Strange(format!("{} counts instead of {expected}", counts.len())))
}

/// `bytes` in base 64.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let number =
            (0..3).fold(0, |number, at| number << 8 | u32::from(chunk.get(at).copied().unwrap_or_default()));
        for digit in 0..4 {
            let present = digit <= chunk.len();
            let value = (number >> (18 - 6 * digit) & 63) as usize;
            text.push(if present { char::from(DIGITS[value]) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn bytes_as_go_reads_them() {
        for (bytes, text) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")]
        {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }

    /// Asks a service that answers `answer`, and then ends.
    fn asked(answer: &'static str) -> Result<Hello, SessionError> {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let service = thread::spawn(move || {
            let mut service = BufReader::new(theirs);
            let mut line = String::new();
            service.read_line(&mut line).unwrap();
            service.get_mut().write_all(answer.as_bytes()).unwrap();
            line
        });
        let mut session = Session::start(ours).unwrap();
        let result = session.hello(PATIENCE);
        if matches!(result, Err(SessionError::Lost(_))) {
            assert!(matches!(session.hello(PATIENCE), Err(SessionError::Lost(_))));
        }
        assert!(service.join().unwrap().starts_with("{\"Do\":\"hello\""));
        result
    }

    #[test]
    fn a_late_answer_is_not_taken_for_another() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let mut session = Session::start(ours).unwrap();
        let soon = Duration::from_millis(1);
        assert!(matches!(session.hello(soon), Err(SessionError::Silent(after)) if after == soon));
        theirs.write_all(b"{\"Pid\":7}\n").unwrap();
        assert!(matches!(session.hello(PATIENCE), Err(SessionError::Lost(_))));
    }

    #[test]
    fn answers_and_what_is_none() {
        let hello = asked("{\"Pid\":7,\"Go\":\"go1.26.1\",\"Alone\":true}\n").unwrap();
        assert_eq!(hello, Hello { pid: 7, go: "go1.26.1".to_owned(), alone: true, writable: false });
        assert!(matches!(asked("{\"Error\":\"no\"}\n"), Err(SessionError::Refused(why)) if why == "no"));
        assert!(matches!(asked("hello\n"), Err(SessionError::Strange(what)) if what == "hello"));
        assert!(matches!(asked(""), Err(SessionError::Lost(_))));
    }
}
