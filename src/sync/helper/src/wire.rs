//! What goes between hotwatch and its helper: frames, each with a message and, where there is some, content. Both ends
//! are of one build.

use std::io::{self, ErrorKind, Read, Write};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::entry::{Content, Entry, Rel};
use crate::filter::Rules;
use crate::replica::{Expect, Options, Refusal};

/// The same in all builds of the same sources. Others need not understand each other.
pub const BUILD: &str = env!("HELPER_BUILD");

/// The content of files travels in pieces of at most this many bytes.
pub const PIECE: usize = 256 * 1024;

/// How many entries are sent at once.
pub const ENTRIES: usize = 2000;

/// A longer message is none, in bytes.
const LONGEST: usize = 64 * 1024 * 1024;

/// What hotwatch asks for.
#[allow(missing_docs, reason = "fields are what the line above them says")]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// The first message, answered by [`Answer::Hello`]; whether the helper is a program of its own, and is to look which.
    Hello { look: bool },
    /// There is a tree that will be called `pair`, below the path `root`.
    Open { pair: u32, root: Vec<u8>, rules: Rules, options: Options },
    /// Tell of changes in `pair` from now on; answered by [`Answer::Watched`].
    Watch { pair: u32 },
    /// What stands at `paths`, if `deep` with all that is below; answered by [`Answer::Entries`] and, at last,
    /// [`Answer::Scanned`].
    Scan { pair: u32, paths: Vec<Rel>, deep: bool },
    /// A step: has `entry` stand at `path`. The content of a file begins in this frame, and goes on in
    /// [`Request::More`] if it is not `whole`.
    Put { pair: u32, path: Rel, expect: Expect, entry: Entry, mode: u32, whole: bool },
    /// More of the content, and whether it is the rest of it.
    More { last: bool },
    /// A step: the file's content stays as it is.
    SetExecutable { pair: u32, path: Rel, expect: Expect, executable: bool },
    /// A step.
    Remove { pair: u32, path: Rel, expect: Expect },
    /// A step.
    Rename { pair: u32, path: Rel, expect: Expect, to: Rel },
    /// Which of the steps so far were not done; answered by [`Answer::Settled`].
    Settle,
    /// The content of the file at `path`; answered by frames of [`Answer::Piece`] and, at last, [`Answer::Fetched`].
    Fetch { pair: u32, path: Rel },
    /// Run a command in the directory `dir`, for `ms` milliseconds at most; answered by [`Answer::Output`] and, at last,
    /// [`Answer::Ended`].
    Run { words: Vec<String>, dir: Vec<u8>, ms: u64 },
    /// Remove the file that the helper runs from; answered by [`Answer::Left`].
    Leave,
}

/// What the helper says.
#[allow(missing_docs, reason = "fields are what the line above them says")]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// It is there; said before anything is asked.
    Ready,
    /// Who it is; and where the file is that it runs from, and what it contains.
    Hello { build: String, uid: u32, program: Option<(Vec<u8>, Content)> },
    /// Every later change in `pair` is told; otherwise why not.
    Watched { pair: u32, error: Option<String> },
    /// What stands where.
    Entries(Vec<(Rel, Entry)>),
    /// All that was asked for has been said.
    Scanned,
    /// Steps that were not done.
    Settled(Vec<(Rel, Refusal)>),
    /// Content of a file.
    Piece,
    /// The file's permissions; otherwise why it cannot be read.
    Fetched(Result<u32, String>),
    /// What a command has written, and whether to standard error.
    Output { stderr: bool },
    /// How a command has ended, in words if it is none that succeeded.
    Ended { failure: Option<String> },
    /// Whether the file is gone.
    Left(bool),
    /// These paths of `pair` may have changed.
    Changed { pair: u32, paths: Vec<Rel> },
    /// Anything in `pair` may have changed.
    Everything { pair: u32 },
    /// Something that the user should know.
    Warning(String),
    /// What was asked for takes its time; said every few seconds.
    Busy,
}

/// Writes `message`, and `content` behind it.
///
/// # Errors
/// Nobody reads any more.
pub fn send(to: &mut impl Write, message: &impl Serialize, content: &[u8]) -> io::Result<()> {
    let message = postcard::to_stdvec(message).map_err(io::Error::other)?;
    let length = |bytes: &[u8]| u32::try_from(bytes.len()).map(u32::to_le_bytes).map_err(io::Error::other);
    to.write_all(&length(&message)?)?;
    to.write_all(&length(content)?)?;
    to.write_all(&message)?;
    to.write_all(content)
}

/// Reads the next message, and its content into `content`; `None` at the end.
///
/// # Errors
/// It breaks off, or is none.
pub fn receive<T: DeserializeOwned>(from: &mut impl Read, content: &mut Vec<u8>) -> io::Result<Option<T>> {
    let mut lengths = [0; 8];
    match from.read(&mut lengths[..1]) {
        Ok(0) => return Ok(None),
        Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
        Ok(_) => from.read_exact(&mut lengths[1..])?,
        Err(_) => from.read_exact(&mut lengths)?,
    }
    let length = |at: usize| {
        u32::from_le_bytes([lengths[at], lengths[at + 1], lengths[at + 2], lengths[at + 3]]) as usize
    };
    if length(0) > LONGEST || length(4) > PIECE {
        return Err(io::Error::new(ErrorKind::InvalidData, "this is no message of hotwatch's helper"));
    }
    let mut message = vec![0; length(0)];
    from.read_exact(&mut message)?;
    content.resize(length(4), 0);
    from.read_exact(content)?;
    postcard::from_bytes(&message).map(Some).map_err(|error| io::Error::new(ErrorKind::InvalidData, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_arrive_with_their_content_and_noise_is_none() {
        let mut line = Vec::new();
        let asked = Request::Put {
            pair: 7,
            path: Rel::new("a/b".as_ref()).unwrap(),
            expect: Expect::Exactly(Some(Entry::Dir)),
            entry: Entry::Link(b"\xff".to_vec()),
            mode: 0o644,
            whole: true,
        };
        send(&mut line, &asked, b"content").unwrap();
        send(&mut line, &Request::Settle, b"").unwrap();
        let (mut from, mut content) = (line.as_slice(), Vec::new());
        assert_eq!(receive(&mut from, &mut content).unwrap(), Some(asked));
        assert_eq!(content, b"content");
        assert_eq!(receive(&mut from, &mut content).unwrap(), Some(Request::Settle));
        assert_eq!(receive::<Request>(&mut from, &mut content).unwrap(), None);
        let noise = b"sh: helper: not found, and so on".as_slice();
        assert!(receive::<Request>(&mut &*noise, &mut content).is_err());
        assert!(receive::<Request>(&mut &line[..20], &mut content).is_err());
    }
}
