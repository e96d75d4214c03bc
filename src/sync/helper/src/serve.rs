//! The helper's work: it does what comes over the line, in order, and tells what happens in between. It ends with its
//! line, and leaves nothing running.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::entry::{Content, Entry, Rel};
use crate::filter::Filter;
use crate::replica::{Refusal, Replica, Writing, open};
use crate::run::{Group, run_known};
use crate::watching::{Told, Watching};
use crate::wire::{Answer, BUILD, ENTRIES, PIECE, Request, receive, send};

/// How much silence there is between a change and its being told.
const QUIET: Duration = Duration::from_millis(10);

/// How often it is said that something takes its time.
const BUSY: Duration = Duration::from_secs(5);

/// Serves until `from` ends.
///
/// # Errors
/// The line breaks, or what comes over it is no message.
pub fn serve(from: impl Read, to: impl Write + Send + 'static) -> io::Result<()> {
    let line = Line(Arc::new(Mutex::new(BufWriter::with_capacity(PIECE, Box::new(to)))));
    let mut server = Server {
        line,
        replicas: HashMap::new(),
        watching: HashMap::new(),
        writing: None,
        refusals: Vec::new(),
        running: Arc::default(),
        is_program: false,
    };
    let (mut from, mut content) = (BufReader::with_capacity(PIECE, from), Vec::new());
    let line = server.line.clone();
    line.say(&Answer::Ready, &[])?;
    // Large files take long to read, and whoever waits has to know that somebody is there.
    let answering = AtomicBool::new(false);
    let (end, ended) = channel::<()>();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let ended = ended;
            while ended.recv_timeout(BUSY) == Err(RecvTimeoutError::Timeout) {
                if answering.load(Ordering::Relaxed) {
                    drop(line.say(&Answer::Busy, &[]));
                }
            }
        });
        let _end = end;
        while let Some(request) = receive(&mut from, &mut content)? {
            answering.store(true, Ordering::Relaxed);
            server.answer(request, &content)?;
            answering.store(false, Ordering::Relaxed);
        }
        Ok(())
    })
}

/// Removes the file that this program runs from.
///
/// # Errors
/// It is not known, or not to be removed by who runs it.
pub fn leave() -> io::Result<()> {
    std::fs::remove_file(std::env::current_exe()?)
}

/// The way back.
#[derive(Clone)]
struct Line(Arc<Mutex<BufWriter<Box<dyn Write + Send>>>>);

impl Line {
    /// Says `answer`, so that it arrives.
    fn say(&self, answer: &Answer, content: &[u8]) -> io::Result<()> {
        let mut line = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        send(&mut *line, answer, content)?;
        line.flush()
    }
}

struct Server {
    line: Line,
    replicas: HashMap<u32, Replica>,
    watching: HashMap<u32, Watching>,
    /// A file of which not everything has come, in this tree; what became of it if that is known already.
    writing: Option<(u32, Entry, Result<Writing, ()>)>,
    refusals: Vec<(Rel, Refusal)>,
    /// The command that runs, if one does.
    running: Arc<Mutex<Vec<Group>>>,
    /// Whether the file that this runs from is the helper's own.
    is_program: bool,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.running.lock().unwrap_or_else(PoisonError::into_inner).iter().for_each(|group| group.kill());
    }
}

impl Server {
    fn answer(&mut self, request: Request, content: &[u8]) -> io::Result<()> {
        match request {
            Request::Hello { look } => {
                self.is_program = look;
                let path = std::env::current_exe().ok().filter(|_| look);
                let program = path.and_then(|path| {
                    let content = Content::of(&std::fs::read(&path).ok()?);
                    Some((path.into_os_string().into_encoded_bytes(), content))
                });
                let uid = nix::unistd::geteuid().as_raw();
                self.line.say(&Answer::Hello { build: BUILD.to_owned(), uid, program }, &[])
            }
            Request::Open { pair, root, rules, options } => {
                self.watching.remove(&pair);
                let root = Path::new(OsStr::from_bytes(&root)).to_owned();
                // Below the path that a link leads to, as the watcher calls it.
                let root = root.canonicalize().unwrap_or(root);
                self.replicas.insert(pair, Replica::new(root, Arc::new(Filter::new(rules)), options));
                Ok(())
            }
            Request::Watch { pair } => self.watch(pair),
            Request::Scan { pair, paths, deep } => self.scan(pair, paths, deep),
            Request::Put { pair, path, expect, entry, mode, whole } => {
                let Some(replica) = self.replicas.get_mut(&pair) else { return Ok(()) };
                let Entry::File { executable, .. } = entry else {
                    let made = replica.make(&path, &expect, &entry, mode);
                    self.note(path, made);
                    return Ok(());
                };
                let writing = replica.begin(&path, expect, executable, mode);
                let writing = writing.map_err(|refusal| self.refusals.push((path, refusal)));
                self.writing = Some((pair, entry, writing));
                self.more(content, whole);
                Ok(())
            }
            Request::More { last } => {
                self.more(content, last);
                Ok(())
            }
            Request::SetExecutable { pair, path, expect, executable } => {
                self.step(pair, path, |replica, path| replica.set_executable(path, &expect, executable))
            }
            Request::Remove { pair, path, expect } => {
                self.step(pair, path, |replica, path| replica.remove(path, &expect))
            }
            Request::Rename { pair, path, expect, to } => {
                self.step(pair, path, |replica, path| replica.rename(path, &expect, &to))
            }
            Request::Settle => {
                let refusals = std::mem::take(&mut self.refusals);
                self.line.say(&Answer::Settled(refusals), &[])
            }
            Request::Fetch { pair, path } => {
                let fetched = self.fetch(pair, &path)?;
                self.line.say(&Answer::Fetched(fetched), &[])
            }
            Request::Run { words, dir, ms } => {
                let (line, running) = (self.line.clone(), Arc::clone(&self.running));
                // Not joined: it ends with the helper, or is told before.
                std::thread::spawn(move || {
                    let dir = Path::new(OsStr::from_bytes(&dir));
                    let tell = |stderr, piece: &[u8]| drop(line.say(&Answer::Output { stderr }, piece));
                    let known = |group| running.lock().unwrap_or_else(PoisonError::into_inner).push(group);
                    let failure = run_known(&words, dir, Duration::from_millis(ms), known, tell).err();
                    running.lock().unwrap_or_else(PoisonError::into_inner).clear();
                    drop(line.say(&Answer::Ended { failure }, &[]));
                });
                Ok(())
            }
            Request::Leave => self.line.say(&Answer::Left(self.is_program && leave().is_ok()), &[]),
        }
    }

    fn step(
        &mut self,
        pair: u32,
        path: Rel,
        step: impl FnOnce(&mut Replica, &Rel) -> Result<(), Refusal>,
    ) -> io::Result<()> {
        if let Some(replica) = self.replicas.get_mut(&pair) {
            let done = step(replica, &path);
            self.note(path, done);
        }
        Ok(())
    }

    fn note(&mut self, path: Rel, done: Result<(), Refusal>) {
        self.refusals.extend(done.err().map(|refusal| (path, refusal)));
    }

    fn more(&mut self, content: &[u8], last: bool) {
        let Some((pair, entry, writing)) = self.writing.take() else { return };
        let written = writing.and_then(|mut writing| match writing.write_all(content) {
            Ok(()) => Ok(writing),
            Err(error) => {
                self.refusals.push((writing.path().clone(), error.into()));
                Err(())
            }
        });
        if !last {
            self.writing = Some((pair, entry, written));
        } else if let (Ok(writing), Entry::File { content, .. }, Some(replica)) =
            (written, entry, self.replicas.get_mut(&pair))
        {
            let path = writing.path().clone();
            let done = replica.finish(writing, content);
            self.note(path, done);
        }
    }

    fn watch(&mut self, pair: u32) -> io::Result<()> {
        let Some(replica) = self.replicas.get(&pair) else { return Ok(()) };
        let line = self.line.clone();
        let tell = move |told| {
            let answer = match told {
                Told::Changed(_, paths) => Answer::Changed { pair, paths },
                Told::Everything => Answer::Everything { pair },
                Told::Warning(message) | Told::Failed(message) => Answer::Warning(message),
            };
            // Nobody hears it once the line has ended.
            drop(line.say(&answer, &[]));
        };
        let root = replica.root().canonicalize().unwrap_or(replica.root().to_owned());
        let started = Watching::start(&root, replica.filter(), QUIET, tell);
        let error = started.map(|watching| self.watching.insert(pair, watching)).err();
        self.line.say(&Answer::Watched { pair, error }, &[])
    }

    fn scan(&mut self, pair: u32, paths: Vec<Rel>, deep: bool) -> io::Result<()> {
        if let Some(replica) = self.replicas.get_mut(&pair) {
            let mut entries = Vec::new();
            for path in paths {
                if deep {
                    entries.extend(replica.scan(&path));
                } else {
                    entries.extend(replica.look(&path).map(|entry| (path, entry)));
                }
                while entries.len() >= ENTRIES {
                    let rest = entries.split_off(ENTRIES);
                    self.line.say(&Answer::Entries(std::mem::replace(&mut entries, rest)), &[])?;
                }
            }
            self.line.say(&Answer::Entries(entries), &[])?;
        }
        self.line.say(&Answer::Scanned, &[])
    }

    fn fetch(&mut self, pair: u32, path: &Rel) -> io::Result<Result<u32, String>> {
        let Some(replica) = self.replicas.get(&pair) else {
            return Ok(Err("there is no such tree".to_owned()));
        };
        let file = replica.place(path).and_then(|place| open(&place));
        let (mut file, meta) = match file {
            Ok(file) => file,
            Err(error) => return Ok(Err(error.to_string())),
        };
        let mut piece = vec![0; PIECE];
        loop {
            match file.read(&mut piece) {
                Ok(0) => return Ok(Ok(crate::replica::mode(&meta))),
                Ok(count) => self.line.say(&Answer::Piece, &piece[..count])?,
                Err(error) => return Ok(Err(error.to_string())),
            }
        }
    }
}
