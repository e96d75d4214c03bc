//! The other side, as far as it can be reached: by the helper, which can do everything, or by archives that are
//! unpacked there, which add and overwrite.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::{self, PipeWriter, Read, pipe};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hotwatch_helper::entry::{Entry, Rel};
use hotwatch_helper::replica::{Expect, Refusal};
use hotwatch_helper::wire::Request;

use super::ending::Ending;
use super::session::{Lost, Session};
use super::tool::{Tool, ask};
use super::transport::{Instance, Transport, User};

/// How many paths go to one command; there is a limit to how long its words may be together.
const PATHS: usize = 200;

/// How long it may take to unpack what has been sent.
const UNPACKED: Duration = Duration::from_secs(120);

/// The other side.
#[derive(Debug)]
pub enum Far {
    /// The helper is there.
    Helper(Session),
    /// It is not.
    Archive(Archive),
}

impl Far {
    /// Has `entry` stand at `path`, with the content `from` if it is a file.
    ///
    /// # Errors
    /// The other side is out of reach. What else went wrong is told by [`Far::settle`].
    pub fn put(
        &mut self,
        pair: u32,
        what: (&Rel, Expect, &Entry),
        mode: u32,
        from: &mut dyn Read,
    ) -> Result<(), Lost> {
        match self {
            Far::Helper(session) => session.put(pair, what, mode, from),
            Far::Archive(archive) => {
                archive.put(pair, what.0, what.2, mode, from);
                Ok(())
            }
        }
    }

    /// Removes what stands at `path`, which is a directory or not.
    ///
    /// # Errors
    /// As for [`Far::put`].
    pub fn remove(&mut self, pair: u32, path: &Rel, expect: Expect, is_dir: bool) -> Result<(), Lost> {
        match self {
            Far::Helper(session) => session.step(&Request::Remove { pair, path: path.clone(), expect }),
            Far::Archive(archive) => {
                archive.removes.push((pair, path.clone(), is_dir));
                Ok(())
            }
        }
    }

    /// Which steps were not done.
    ///
    /// # Errors
    /// The other side is out of reach.
    pub fn settle(&mut self) -> Result<Vec<(Rel, Refusal)>, Lost> {
        match self {
            Far::Helper(session) => session.settle(),
            Far::Archive(archive) => Ok(archive.settle()),
        }
    }
}

/// Where a pair goes to.
#[derive(Debug, Clone)]
pub struct Root {
    /// The directory.
    dir: String,
    /// What the one file in it is called that is all of the pair, if it is one.
    name: Option<String>,
}

impl Root {
    /// The directory `target`, or the one file of that path that is all of the pair.
    pub fn of(target: &str, is_file: bool) -> Root {
        match target.rsplit_once('/') {
            Some((dir, name)) if is_file => {
                let dir = if dir.is_empty() { "/" } else { dir };
                Root { dir: dir.to_owned(), name: Some(name.to_owned()) }
            }
            _ => Root { dir: target.to_owned(), name: None },
        }
    }

    /// Where `path` lies in the directory.
    fn place(&self, path: &Rel) -> PathBuf {
        match &self.name {
            Some(name) => PathBuf::from(name),
            None => path.as_path().to_owned(),
        }
    }
}

/// What is reached by archives alone.
#[derive(Debug)]
pub struct Archive {
    transport: Arc<dyn Transport>,
    instance: Instance,
    ending: Arc<Ending>,
    /// Those of the pairs, by their numbers.
    roots: BTreeMap<u32, Root>,
    unpacking: Option<Unpacking>,
    /// Of this tree, and whether it is a directory.
    removes: Vec<(u32, Rel, bool)>,
    refusals: Vec<(Rel, Refusal)>,
}

/// An archive on its way.
struct Unpacking {
    pair: u32,
    builder: tar::Builder<PipeWriter>,
    paths: Vec<Rel>,
    tool: Tool,
}

impl std::fmt::Debug for Unpacking {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Unpacking").field("pair", &self.pair).finish_non_exhaustive()
    }
}

impl Archive {
    /// Reaches `instance` by `transport`; `roots` are those of the pairs, by their numbers. What is on its way does not
    /// outlive the sync that ends with `ending`.
    pub fn new(
        transport: Arc<dyn Transport>,
        instance: Instance,
        roots: BTreeMap<u32, Root>,
        ending: Arc<Ending>,
    ) -> Archive {
        // Where nobody runs they come with what is in them.
        for root in roots.values().filter(|_| !instance.stands) {
            let dir = root.dir.clone();
            let words = ["mkdir", "-p", "--", &dir].map(str::to_owned);
            // What is not there, and cannot be made, is told when something goes there.
            drop(ask(&transport.exec(&instance, &words, User::Own), &ending));
        }
        let (unpacking, removes, refusals) = Default::default();
        Archive { transport, instance, ending, roots, unpacking, removes, refusals }
    }

    /// Calls the tree below `dir` by the number `pair` from now on.
    pub fn open(&mut self, pair: u32, dir: String) {
        self.roots.insert(pair, Root { dir, name: None });
    }

    /// Whether nobody runs there.
    pub fn stands(&self) -> bool {
        self.instance.stands
    }

    /// Runs `words` there, in `dir`, for as long as `longest`; what they write goes to `tell`, with whether to standard error.
    ///
    /// # Errors
    /// They fail, in words.
    pub fn run(
        &self,
        words: &[String],
        dir: &Path,
        longest: Duration,
        tell: &mut dyn FnMut(bool, &[u8]),
    ) -> Result<(), String> {
        let mut all = ["sh", "-c", "cd -- \"$0\" && exec \"$@\""].map(str::to_owned).to_vec();
        all.push(dir.display().to_string());
        all.extend_from_slice(words);
        // Where it is the root, a shell is not needed.
        let words = if dir == Path::new("/") { words } else { &all };
        let exec = self.transport.exec(&self.instance, words, User::Own);
        hotwatch_helper::run::run(&exec, "/".as_ref(), longest, tell)
    }

    fn put(&mut self, pair: u32, path: &Rel, entry: &Entry, mode: u32, from: &mut dyn Read) {
        if self.unpacking.as_ref().is_some_and(|unpacking| unpacking.pair != pair) {
            self.unpacked();
        }
        if path.is_root() && entry.is_dir() {
            return;
        }
        let stands = self.stands();
        let place = self.roots.get(&pair).map_or_else(PathBuf::new, |root| {
            let place = root.place(path);
            if stands { Path::new(root.dir.trim_start_matches('/')).join(place) } else { place }
        });
        let done = self.unpacking(pair).and_then(|unpacking| {
            unpacking.paths.push(path.clone());
            let mut header = tar::Header::new_gnu();
            header.set_mode(mode);
            header.set_size(0);
            // Who looks at times alone sees that it is another file.
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            header.set_mtime(now.as_secs());
            match entry {
                Entry::Dir => {
                    header.set_entry_type(tar::EntryType::Directory);
                    unpacking.builder.append_data(&mut header, &place, io::empty())
                }
                Entry::Link(to) => {
                    header.set_entry_type(tar::EntryType::Symlink);
                    unpacking.builder.append_link(&mut header, &place, OsStr::from_bytes(to))
                }
                Entry::File { size, .. } => {
                    header.set_size(*size);
                    // An archive says how long a file is before it comes.
                    let content = from.take(*size).chain(io::repeat(b'\n')).take(*size);
                    unpacking.builder.append_data(&mut header, &place, content)
                }
                Entry::Opaque(_) => Ok(()),
            }
        });
        if let Err(error) = done {
            self.refusals.push((path.clone(), Refusal::Failed(error.to_string())));
        }
    }

    /// The archive that goes to `pair` now.
    fn unpacking(&mut self, pair: u32) -> io::Result<&mut Unpacking> {
        if self.unpacking.is_none() {
            // What has to go makes way first.
            self.removed();
            let root = self.roots.get(&pair).filter(|_| !self.stands()).map_or("/", |root| root.dir.as_str());
            let tar = ["tar", "-xf", "-", "-C", root].map(str::to_owned);
            let words = self.transport.unpack(&self.instance, root);
            let words = words.unwrap_or_else(|| self.transport.exec(&self.instance, &tar, User::Own));
            let (stdin, to) = pipe()?;
            let (tool, paths) = (Tool::interruptible(&words, stdin.into(), &self.ending)?, Vec::new());
            let builder = tar::Builder::new(to);
            self.unpacking = Some(Unpacking { pair, builder, paths, tool });
        }
        self.unpacking.as_mut().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn unpacked(&mut self) {
        let Some(Unpacking { builder, paths, tool, .. }) = self.unpacking.take() else { return };
        // The end of the archive is that of the pipe as well.
        drop(builder.into_inner());
        if let Err(reason) = tool.end(UNPACKED) {
            self.refusals.extend(paths.into_iter().map(|path| (path, Refusal::Failed(reason.clone()))));
        }
    }

    /// Runs `words` there with these paths behind them, if there are any.
    fn run_on(&self, words: &[&str], paths: &[(u32, Rel, bool)]) -> Result<(), String> {
        if paths.is_empty() {
            return Ok(());
        }
        let place = |(pair, path, _): &(u32, Rel, bool)| {
            let place = |root: &Root| Path::new(&root.dir).join(root.place(path)).display().to_string();
            self.roots.get(pair).map_or_else(String::new, place)
        };
        let words: Vec<String> =
            words.iter().map(|&word| word.to_owned()).chain(paths.iter().map(place)).collect();
        ask(&self.transport.exec(&self.instance, &words, User::Own), &self.ending).map(|_| ())
    }

    /// Removes what is to go.
    fn removed(&mut self) {
        let (dirs, files): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.removes).into_iter().partition(|(_, _, is_dir)| *is_dir);
        for some in files.chunks(PATHS) {
            let Err(reason) = self.run_on(&["rm", "-f", "--"], some) else { continue };
            let reason = format!("it stays there, since `rm` cannot be run there: {reason}");
            let refused = |(_, path, _): &(u32, Rel, bool)| (path.clone(), Refusal::Failed(reason.clone()));
            self.refusals.extend(some.iter().map(refused));
        }
        for some in dirs.chunks(PATHS) {
            // One that holds something of the target's own stays.
            drop(self.run_on(&["rmdir", "--"], some));
        }
    }

    fn settle(&mut self) -> Vec<(Rel, Refusal)> {
        self.unpacked();
        self.removed();
        std::mem::take(&mut self.refusals)
    }
}
