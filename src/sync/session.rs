//! A conversation with a helper: requests go one way, answers come back in their order, and what the helper tells by
//! itself comes in between. It ends with the process that leads there.

use std::io::{self, BufReader, BufWriter, PipeWriter, Read, Write, pipe};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, after, bounded, never, select};
use hotwatch_helper::entry::{Content, Entry, Rel};
use hotwatch_helper::filter::Rules;
use hotwatch_helper::replica::{Expect, Options, Refusal};
use hotwatch_helper::serve::serve;
use hotwatch_helper::wire::{Answer, BUILD, PIECE, Request, receive, send};
use hotwatch_platform::process::{Group, Signal, spawn};

use super::ending::Ending;
use super::tool::{Reading, command, complaint, read};

/// How long a helper may take that is brought there with the first words.
const BROUGHT: Duration = Duration::from_secs(120);

/// How long a helper may take to say who it is.
const GREETING: Duration = Duration::from_secs(20);

/// How long an answer may take when nothing else arrives: who is busy says so.
const SILENCE: Duration = Duration::from_secs(120);

/// How long a helper may take to remove itself; there are other ways.
const LEAVING: Duration = Duration::from_secs(1);

/// How many answers wait to be taken in; more wait where they come from. Each may have a piece of a file.
const IN_FLIGHT: usize = 32;

/// How often it is looked whether somebody wants to end.
const LOOK: Duration = Duration::from_millis(100);

/// What a helper tells by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// These paths of a pair may have changed.
    Changed(u32, Vec<Rel>),
    /// Anything in a pair may have changed.
    Everything(u32),
    /// Something that the user should know.
    Warning(String),
    /// The conversation is over.
    Lost,
}

/// Why a conversation is over, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lost(pub String);

impl Lost {
    /// It is this side that fails.
    pub fn here(error: impl std::fmt::Display) -> Lost {
        Lost(format!("what both sides agree on cannot be kept here: {error}"))
    }
}

impl From<io::Error> for Lost {
    fn from(error: io::Error) -> Lost {
        Lost(format!("the connection broke: {error}"))
    }
}

/// The conversation. Dropping it ends the helper.
#[derive(Debug)]
pub struct Session {
    to: Option<BufWriter<PipeWriter>>,
    answers: Receiver<(Answer, Vec<u8>)>,
    end: End,
    /// When something was heard last.
    heard: Arc<Mutex<Instant>>,
    reader: Option<JoinHandle<()>>,
    /// Whether somebody wants to end.
    ending: Arc<Ending>,
    /// Whether what it tells by itself is of interest.
    accepted: Arc<AtomicBool>,
    /// As whom the helper runs.
    pub uid: u32,
    /// Where the file is that it runs from, and what it contains.
    pub program: Option<(String, Content)>,
}

/// What is at the other end.
#[derive(Debug)]
enum End {
    /// A process that leads there, and what it complains of.
    Process(Arc<Group>, Option<Reading>),
    /// A thread.
    Here(Option<JoinHandle<()>>),
}

impl Session {
    /// Begins a conversation with the helper that `words` start, which may need `input` for that. What it tells by itself
    /// goes to `tell`.
    ///
    /// # Errors
    /// It cannot be started, is another than this hotwatch's, or says nothing; in words.
    pub fn start(
        words: &[String],
        input: &[u8],
        ending: &Arc<Ending>,
        tell: impl Fn(Told) + Send + 'static,
    ) -> Result<Session, Lost> {
        let program = words.first().map_or("", String::as_str);
        let (stdin, to) = pipe()?;
        let mut command = command(words);
        command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut started =
            spawn(&mut command).map_err(|error| Lost(format!("cannot run `{program}`: {error}")))?;
        // Its own end of the pipe would keep the helper waiting.
        drop(command);
        let stderr = Some(read(started.stderr.take()));
        let Some(from) = started.stdout.take() else {
            return Err(Lost(format!("`{program}` has no output")));
        };
        let group = Arc::new(started.group);
        ending.ends_with(&group);
        let end = End::Process(group, stderr);
        Session::greeted(from, (to, input), end, ending, tell)
    }

    /// The same on this machine, without a process.
    ///
    /// # Errors
    /// There are no more descriptors.
    pub fn here(ending: &Arc<Ending>, tell: impl Fn(Told) + Send + 'static) -> Result<Session, Lost> {
        let (requests, to) = pipe()?;
        let (from, answers) = pipe()?;
        let thread = std::thread::spawn(move || drop(serve(requests, answers)));
        Session::greeted(from, (to, &[]), End::Here(Some(thread)), ending, tell)
    }

    fn greeted(
        from: impl Read + Send + 'static,
        (mut to, input): (PipeWriter, &[u8]),
        end: End,
        ending: &Arc<Ending>,
        tell: impl Fn(Told) + Send + 'static,
    ) -> Result<Session, Lost> {
        let (sender, answers) = bounded(IN_FLIGHT);
        let accepted = Arc::new(AtomicBool::new(false));
        let is_accepted = Arc::clone(&accepted);
        // Who was never accepted is not missed.
        let tell = move |told| {
            if is_accepted.load(Ordering::Acquire) {
                tell(told);
            }
        };
        let heard = Arc::new(Mutex::new(Instant::now()));
        let hears = Arc::clone(&heard);
        let reader = std::thread::spawn(move || listen(from, &sender, &tell, &hears));
        let mut session = Session {
            to: None,
            answers,
            end,
            heard,
            reader: Some(reader),
            ending: Arc::clone(ending),
            accepted,
            uid: 0,
            program: None,
        };
        let longest = if input.is_empty() { GREETING } else { BROUGHT };
        let ready = std::thread::scope(|scope| {
            let written = scope.spawn(move || to.write_all(input).map(|()| to));
            let ready = session.answer(longest);
            if let (Err(_), End::Process(group, _)) = (&ready, &session.end) {
                // Nobody is left to write to then.
                drop(group.signal(Signal::SIGKILL));
            }
            let to = written.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            ready.and_then(|ready| Ok((ready, to?)))
        });
        let look = matches!(session.end, End::Process(..));
        match ready? {
            ((Answer::Ready, _), to) => session.to = Some(BufWriter::with_capacity(PIECE, to)),
            ((other, _), _) => return Err(unexpected(&other)),
        }
        session.ask(&Request::Hello { look })?;
        match session.answer(GREETING)? {
            (Answer::Hello { build, uid, program }, _) if build == BUILD => {
                let place = |(path, content): (Vec<u8>, Content)| {
                    (String::from_utf8_lossy(&path).into_owned(), content)
                };
                (session.uid, session.program) = (uid, program.map(place));
                Ok(session)
            }
            _ => Err(Lost(
                "the helper there is that of another hotwatch; build both with `make helper`".to_owned(),
            )),
        }
    }

    /// From now on it is told what the helper tells by itself, and when it is gone.
    pub fn accept(&self) {
        self.accepted.store(true, Ordering::Release);
    }

    /// Calls the tree below `root` by the number `pair` from now on.
    ///
    /// # Errors
    /// The conversation is over.
    pub fn open(&mut self, pair: u32, root: &Path, rules: &Rules, options: &Options) -> Result<(), Lost> {
        let root = root.as_os_str().as_bytes().to_vec();
        self.send(&Request::Open { pair, root, rules: rules.clone(), options: options.clone() }, &[])
    }

    /// Has changes be told; what keeps them from being, if something does.
    ///
    /// # Errors
    /// The conversation is over.
    pub fn watch(&mut self, pair: u32) -> Result<Option<String>, Lost> {
        self.ask(&Request::Watch { pair })?;
        match self.answer(SILENCE)? {
            (Answer::Watched { error, .. }, _) => Ok(error),
            (other, _) => Err(unexpected(&other)),
        }
    }

    /// What stands at `paths`, if `deep` with all below.
    ///
    /// # Errors
    /// The conversation is over.
    pub fn scan(&mut self, pair: u32, paths: Vec<Rel>, deep: bool) -> Result<Vec<(Rel, Entry)>, Lost> {
        self.ask(&Request::Scan { pair, paths, deep })?;
        let mut found = Vec::new();
        loop {
            match self.answer(SILENCE)? {
                (Answer::Entries(entries), _) => {
                    // The root of a tree is never a link to another.
                    let fine =
                        |(path, entry): &(Rel, Entry)| !path.is_root() || !matches!(entry, Entry::Link(_));
                    found.extend(entries.into_iter().filter(fine));
                }
                (Answer::Scanned, _) => return Ok(found),
                (other, _) => return Err(unexpected(&other)),
            }
        }
    }

    /// Has `entry` stand at `path`, with the content `from` if it is a file.
    ///
    /// # Errors
    /// The conversation is over. What else went wrong is told by [`Session::settle`].
    pub fn put(
        &mut self,
        pair: u32,
        (path, expect, entry): (&Rel, Expect, &Entry),
        mode: u32,
        from: &mut dyn Read,
    ) -> Result<(), Lost> {
        let mut piece = vec![0; PIECE.min(usize::try_from(entry.size()).unwrap_or(PIECE) + 1)];
        let mut count = fill(from, &mut piece);
        let mut whole = count < piece.len();
        let (path, entry) = (path.clone(), entry.clone());
        self.send(&Request::Put { pair, path, expect, entry, mode, whole }, &piece[..count])?;
        while !whole {
            if self.ending.is_wanted() {
                return Err(Lost("hotwatch ends".to_owned()));
            }
            piece.resize(PIECE, 0);
            count = fill(from, &mut piece);
            whole = count < piece.len();
            self.send(&Request::More { last: whole }, &piece[..count])?;
        }
        Ok(())
    }

    /// Asks for a step.
    ///
    /// # Errors
    /// The conversation is over. What else went wrong is told by [`Session::settle`].
    pub fn step(&mut self, step: &Request) -> Result<(), Lost> {
        self.send(step, &[])
    }

    /// Which steps were not done.
    ///
    /// # Errors
    /// The conversation is over.
    pub fn settle(&mut self) -> Result<Vec<(Rel, Refusal)>, Lost> {
        self.ask(&Request::Settle)?;
        match self.answer(SILENCE)? {
            (Answer::Settled(refusals), _) => Ok(refusals),
            (other, _) => Err(unexpected(&other)),
        }
    }

    /// Writes the content of the file at `path` to `to`, and returns its permissions; otherwise why it cannot be read.
    ///
    /// # Errors
    /// The conversation is over.
    pub fn fetch(
        &mut self,
        pair: u32,
        path: &Rel,
        to: &mut dyn Write,
    ) -> Result<Result<u32, io::Error>, Lost> {
        self.ask(&Request::Fetch { pair, path: path.clone() })?;
        let mut written = Ok(());
        loop {
            match self.answer(SILENCE)? {
                (Answer::Piece, piece) => written = written.and_then(|()| to.write_all(&piece)),
                (Answer::Fetched(Ok(mode)), _) => return Ok(written.map(|()| mode)),
                (Answer::Fetched(Err(reason)), _) => return Ok(Err(io::Error::other(reason))),
                (other, _) => return Err(unexpected(&other)),
            }
        }
    }

    /// Runs `words` in `dir` for as long as `longest`. What they write goes to `tell`, with whether to standard error.
    /// Returns what went wrong.
    ///
    /// # Errors
    /// The conversation is over.
    pub fn run(
        &mut self,
        words: &[String],
        dir: &Path,
        longest: Duration,
        tell: &mut dyn FnMut(bool, &[u8]),
    ) -> Result<Option<String>, Lost> {
        let ms = u64::try_from(longest.as_millis()).unwrap_or(u64::MAX);
        self.ask(&Request::Run { words: words.to_vec(), dir: dir.as_os_str().as_bytes().to_vec(), ms })?;
        loop {
            match self.answer(longest.saturating_add(SILENCE))? {
                (Answer::Output { stderr }, piece) => tell(stderr, &piece),
                (Answer::Ended { failure }, _) => return Ok(failure),
                (other, _) => return Err(unexpected(&other)),
            }
        }
    }

    /// Has the helper remove its own file, and whether that is gone. It does not do for what comes after.
    pub fn leave(mut self) -> bool {
        if self.ask(&Request::Leave).is_err() {
            return false;
        }
        let deadline = after(LEAVING);
        loop {
            let answer = select! {
                recv(self.answers) -> answer => answer,
                recv(deadline) -> _ => return false,
            };
            match answer {
                Ok((Answer::Left(gone), _)) => return gone,
                // What else was on its way is of no interest any more.
                Ok(_) => {}
                Err(_) => return false,
            }
        }
    }

    fn ask(&mut self, request: &Request) -> Result<(), Lost> {
        self.send(request, &[])?;
        self.to.as_mut().map_or(Ok(()), Write::flush).map_err(|error| self.lost(error.into()))
    }

    fn send(&mut self, request: &Request, content: &[u8]) -> Result<(), Lost> {
        let Some(to) = &mut self.to else { return Err(Lost("it is over".to_owned())) };
        send(to, request, content).map_err(|error| self.lost(error.into()))
    }

    fn answer(&mut self, longest: Duration) -> Result<(Answer, Vec<u8>), Lost> {
        let asked = Instant::now();
        let is_silent = |heard: &Mutex<Instant>| {
            asked.max(*heard.lock().unwrap_or_else(PoisonError::into_inner)).elapsed() > longest
        };
        loop {
            match self.answers.recv_timeout(LOOK) {
                Ok(answer) => return Ok(answer),
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(self.lost(Lost("the connection was closed".to_owned())));
                }
                Err(RecvTimeoutError::Timeout) if self.ending.is_wanted() => {
                    return Err(Lost("hotwatch ends".to_owned()));
                }
                Err(RecvTimeoutError::Timeout) if is_silent(&self.heard) => {
                    let silent = format!("nothing was heard for {} s", longest.as_secs());
                    return Err(self.lost(Lost(silent)));
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    /// `why` it is over, or what the process that led there complains of.
    fn lost(&mut self, why: Lost) -> Lost {
        self.to = None;
        let End::Process(group, stderr) = &mut self.end else { return why };
        drop(group.signal(Signal::SIGKILL));
        let said = stderr.take().map(Reading::said).unwrap_or_default();
        complaint(&said).map_or(why, Lost)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // The end of its input is the end of the helper. Nobody takes in answers any more.
        (self.to, self.answers) = (None, never());
        match &mut self.end {
            End::Process(group, _) => {
                if !group.wait_end(group.id(), Some(Duration::from_secs(1))) {
                    drop(group.signal(Signal::SIGTERM));
                    group.wait_end(group.id(), Some(Duration::from_millis(500)));
                }
                drop(group.signal(Signal::SIGKILL));
                drop(group.wait_leader());
                drop(group.reap());
            }
            End::Here(thread) => drop(thread.take().map(JoinHandle::join)),
        }
        drop(self.reader.take().map(JoinHandle::join));
    }
}

/// Passes on what comes, until nothing does any more.
fn listen(from: impl Read, answers: &Sender<(Answer, Vec<u8>)>, tell: &dyn Fn(Told), heard: &Mutex<Instant>) {
    let mut from = BufReader::with_capacity(PIECE, from);
    let mut content = Vec::new();
    while let Ok(Some(answer)) = receive(&mut from, &mut content) {
        *heard.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        match answer {
            Answer::Busy => {}
            Answer::Changed { pair, paths } => tell(Told::Changed(pair, paths)),
            Answer::Everything { pair } => tell(Told::Everything(pair)),
            Answer::Warning(message) => tell(Told::Warning(message)),
            answer => {
                if answers.send((answer, std::mem::take(&mut content))).is_err() {
                    break;
                }
            }
        }
    }
    tell(Told::Lost);
}

fn unexpected(answer: &Answer) -> Lost {
    Lost(format!("the helper answered something else: {answer:?}"))
}

/// Reads until `piece` is full or nothing more comes; the number of bytes. What cannot be read any further is found out
/// at the other end: it is not the content that was announced.
fn fill(from: &mut dyn Read, piece: &mut [u8]) -> usize {
    let mut count = 0;
    while count < piece.len() {
        match from.read(&mut piece[count..]) {
            Ok(0) => break,
            Ok(more) => count += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossbeam_channel::unbounded;
    use std::fs;
    use std::io::Cursor;

    fn session() -> (Session, Receiver<Told>) {
        let (sender, told) = unbounded();
        let session = Session::here(&Arc::default(), move |it| drop(sender.send(it))).unwrap();
        session.accept();
        (session, told)
    }

    #[test]
    fn a_tree_is_changed_at_the_other_end() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        let (mut session, told) = session();
        session.open(3, &root, &Rules::default(), &Options::default()).unwrap();
        assert_eq!(session.watch(3).unwrap(), None);
        let large = vec![7; 3 * PIECE];
        for (name, bytes) in
            [("small", b"1".as_slice()), ("empty", b""), ("large", &large), ("exact", &large[..PIECE])]
        {
            let path = Rel::new(Path::new(name)).unwrap();
            let entry =
                Entry::File { content: Content::of(bytes), size: bytes.len() as u64, executable: false };
            let put = (&path, Expect::Exactly(None), &entry);
            session.put(3, put, 0o644, &mut Cursor::new(bytes)).unwrap();
            assert_eq!(session.settle().unwrap(), [], "{name}");
            assert_eq!(fs::read(root.join(name)).unwrap(), bytes, "{name}");
            let mut back = Vec::new();
            assert_eq!(session.fetch(3, &path, &mut back).unwrap().unwrap(), 0o644);
            assert_eq!(back, bytes);
            // It is announced as something else.
            session.put(3, (&path, Expect::Anything, &entry), 0o644, &mut Cursor::new(b"other")).unwrap();
            assert_eq!(session.settle().unwrap(), [(path.clone(), Refusal::Differs)]);
        }
        assert_eq!(session.scan(3, vec![Rel::root()], true).unwrap().len(), 5);
        assert!(matches!(told.recv_timeout(Duration::from_secs(30)).unwrap(), Told::Changed(3, _)));
        let mut said = Vec::new();
        let words = ["sh", "-c", "echo hi; exit 4"].map(str::to_owned);
        let failure = session
            .run(&words, &root, Duration::from_secs(60), &mut |_, piece| said.extend_from_slice(piece))
            .unwrap();
        assert_eq!(
            (failure.unwrap().as_str(), said.as_slice()),
            ("`sh` ended with exit code 4", b"hi\n".as_slice())
        );
    }

    #[test]
    fn what_is_no_helper_is_told_by_its_complaint() {
        let start = |script: &str| {
            let words = ["sh", "-c", script].map(str::to_owned);
            Session::start(&words, &[], &Arc::default(), |_| {}).map(|_| ()).unwrap_err().0
        };
        assert_eq!(start("echo 'Error: no such container' >&2; exit 125"), "no such container");
        assert_eq!(start("echo hello, this is a shell; cat >/dev/null"), "the connection was closed");
    }
}
