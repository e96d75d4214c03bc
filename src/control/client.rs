//! The end that asks.

use std::io::{self, BufRead, BufReader, ErrorKind, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use hotwatch_platform::peer;

use super::protocol::{self, Answer, Request};

/// Why there was no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens.
    #[error("nobody listens at `{}`: {error}", path.display())]
    Nobody { path: PathBuf, error: io::Error },
    /// Somebody else listens.
    #[error("`{}` belongs to another user (uid {owner}); it is not asked anything", path.display())]
    Foreign { path: PathBuf, owner: u32 },
    /// It refused, in words.
    #[error("{0}")]
    Refused(String),
    /// It ended before it had answered.
    #[error("hotwatch has ended before it had answered")]
    Ended,
    /// It takes longer than the user wants to wait.
    #[error(
        "nothing is decided after {}; see `hotwatch status` for how far it is, or wait longer with `--timeout`",
        humantime::format_duration(*.0)
    )]
    Timeout(Duration),
    /// It has said nothing at all for so long.
    #[error(
        "hotwatch runs here but has said nothing for {}; if it was stopped by Ctrl+Z, `fg` in its terminal has it go on",
        humantime::format_duration(*.0)
    )]
    Silent(Duration),
    /// The operating system says no.
    #[error("cannot talk to hotwatch: {0}")]
    Io(#[from] io::Error),
}

/// A connection, on which one request is made.
#[derive(Debug)]
pub struct Client(UnixStream);

impl Client {
    /// Connects to the hotwatch that listens at `path`, if it is this user's.
    pub fn connect(path: &Path) -> Result<Client, ClientError> {
        let stream = UnixStream::connect(path)
            .map_err(|error| ClientError::Nobody { path: path.to_owned(), error })?;
        let owner = peer::uid(&stream)?;
        if owner != nix::unistd::geteuid().as_raw() {
            return Err(ClientError::Foreign { path: path.to_owned(), owner });
        }
        Ok(Client(stream))
    }

    /// Asks `request` and passes each line of the answer to `take`, until it has ended or `longest` has passed.
    /// Returns whether what was asked for has worked.
    pub fn ask(
        self,
        request: &Request,
        longest: Option<Duration>,
        mut take: impl FnMut(Answer) -> io::Result<()>,
    ) -> Result<bool, ClientError> {
        let mut stream = &self.0;
        stream.write_all(&protocol::line(request).map_err(io::Error::from)?)?;
        let deadline = longest.map(|longest| (Instant::now() + longest, longest));
        let mut reader = BufReader::new(stream);
        let mut heard = false;
        loop {
            if let Some((deadline, longest)) = deadline {
                let left = deadline.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    let why = if heard { ClientError::Timeout } else { ClientError::Silent };
                    return Err(why(longest));
                }
                stream.set_read_timeout(Some(left))?;
            }
            let mut line = Vec::new();
            match reader.read_until(b'\n', &mut line) {
                Ok(_) if line.ends_with(b"\n") => heard = true,
                Ok(_) => return Err(ClientError::Ended),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => continue,
                Err(error) => return Err(error.into()),
            }
            match serde_json::from_slice(&line).map_err(io::Error::from)? {
                Answer::End { ok } => return Ok(ok),
                Answer::Error(message) => return Err(ClientError::Refused(message)),
                answer => take(answer)?,
            }
        }
    }
}
