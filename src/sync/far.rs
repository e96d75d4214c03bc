//! The other side, as far as it can be reached: by the helper, which can do everything, or by archives that are
//! unpacked there, which add and overwrite.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::{self, PipeWriter, Read, pipe};
use std::os::unix::ffi::OsStrExt;
use std::process::Stdio;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use hotwatch_helper::entry::{Entry, Rel};
use hotwatch_helper::replica::{Expect, Refusal};
use hotwatch_helper::wire::Request;
use hotwatch_platform::process::{Exit, Group, Signal, spawn};

use super::session::{Lost, Session};
use super::transport::{Instance, Transport, User, ask, command, complaint, read};

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
        sent: impl FnMut(u64),
    ) -> Result<(), Lost> {
        match self {
            Far::Helper(session) => session.put(pair, what, mode, from, sent),
            Far::Archive(archive) => {
                archive.put(pair, what.0, what.2, mode, from, sent);
                Ok(())
            }
        }
    }

    /// Removes what stands at `path`.
    ///
    /// # Errors
    /// As for [`Far::put`].
    pub fn remove(&mut self, pair: u32, path: &Rel, expect: Expect) -> Result<(), Lost> {
        match self {
            Far::Helper(session) => session.step(&Request::Remove { pair, path: path.clone(), expect }),
            Far::Archive(archive) => {
                archive.removes.push((pair, path.clone()));
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

/// What is reached by archives alone.
#[derive(Debug)]
pub struct Archive {
    transport: Arc<dyn Transport>,
    instance: Instance,
    /// Those of the pairs, by their numbers.
    roots: BTreeMap<u32, String>,
    unpacking: Option<Unpacking>,
    removes: Vec<(u32, Rel)>,
    refusals: Vec<(Rel, Refusal)>,
}

/// An archive on its way.
struct Unpacking {
    pair: u32,
    builder: tar::Builder<PipeWriter>,
    paths: Vec<Rel>,
    group: Group,
    complains: JoinHandle<String>,
}

impl std::fmt::Debug for Unpacking {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Unpacking").field("pair", &self.pair).finish_non_exhaustive()
    }
}

impl Archive {
    /// Reaches `instance` by `transport`; `roots` are those of the pairs, by their numbers.
    pub fn new(transport: Arc<dyn Transport>, instance: Instance, roots: BTreeMap<u32, String>) -> Archive {
        for root in roots.values() {
            let words = ["mkdir", "-p", "--", root].map(str::to_owned);
            // What is not there, and cannot be made, is told when something goes there.
            drop(ask(&transport.exec(&instance, &words, User::Own)));
        }
        let (unpacking, removes, refusals) = Default::default();
        Archive { transport, instance, roots, unpacking, removes, refusals }
    }

    /// Calls the tree below `root` by the number `pair` from now on.
    pub fn open(&mut self, pair: u32, root: String) {
        self.roots.insert(pair, root);
    }

    /// Runs `words` there for as long as `longest`; what they write goes to `tell`, with whether to standard error.
    ///
    /// # Errors
    /// They fail, in words.
    pub fn run(
        &self,
        words: &[String],
        longest: Duration,
        tell: &mut dyn FnMut(bool, &[u8]),
    ) -> Result<(), String> {
        let exec = self.transport.exec(&self.instance, words, User::Own);
        hotwatch_helper::run::run(&exec, "/".as_ref(), longest, tell)
    }

    fn put(
        &mut self,
        pair: u32,
        path: &Rel,
        entry: &Entry,
        mode: u32,
        from: &mut dyn Read,
        mut sent: impl FnMut(u64),
    ) {
        if self.unpacking.as_ref().is_some_and(|unpacking| unpacking.pair != pair) {
            self.unpacked();
        }
        if path.is_root() && entry.is_dir() {
            return;
        }
        let done = self.unpacking(pair).and_then(|unpacking| {
            unpacking.paths.push(path.clone());
            let mut header = tar::Header::new_gnu();
            header.set_mode(mode);
            header.set_size(0);
            match entry {
                Entry::Dir => {
                    header.set_entry_type(tar::EntryType::Directory);
                    unpacking.builder.append_data(&mut header, path.as_path(), io::empty())
                }
                Entry::Link(to) => {
                    header.set_entry_type(tar::EntryType::Symlink);
                    unpacking.builder.append_link(&mut header, path.as_path(), OsStr::from_bytes(to))
                }
                Entry::File { size, .. } => {
                    header.set_size(*size);
                    // An archive says how long a file is before it comes.
                    let content = from.take(*size).chain(io::repeat(b'\n')).take(*size);
                    let appended = unpacking.builder.append_data(&mut header, path.as_path(), content);
                    sent(*size);
                    appended
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
            let root = self.roots.get(&pair).map_or("/", String::as_str);
            let tar = ["tar", "-xf", "-", "-C", root].map(str::to_owned);
            let words = self.transport.unpack(&self.instance, root);
            let words = words.unwrap_or_else(|| self.transport.exec(&self.instance, &tar, User::Own));
            let (stdin, to) = pipe()?;
            let mut command = command(&words);
            command.stdin(stdin).stdout(Stdio::null()).stderr(Stdio::piped());
            let started = spawn(&mut command)?;
            let (paths, complains) = (Vec::new(), read(started.stderr));
            let builder = tar::Builder::new(to);
            self.unpacking = Some(Unpacking { pair, builder, paths, group: started.group, complains });
        }
        self.unpacking.as_mut().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn unpacked(&mut self) {
        let Some(Unpacking { builder, paths, group, complains, .. }) = self.unpacking.take() else { return };
        // The end of the archive is that of the pipe as well.
        drop(builder.into_inner());
        if !group.wait_end(group.id(), Some(UNPACKED)) {
            drop(group.signal(Signal::SIGKILL));
        }
        let exit = group.wait_leader();
        drop(group.reap());
        let said = complains.join().unwrap_or_default();
        if !matches!(exit, Ok(Exit::Code(0))) {
            let reason = complaint(&said).unwrap_or_else(|| "it was not unpacked".to_owned());
            self.refusals.extend(paths.into_iter().map(|path| (path, Refusal::Failed(reason.clone()))));
        }
    }

    fn settle(&mut self) -> Vec<(Rel, Refusal)> {
        self.unpacked();
        let removes = std::mem::take(&mut self.removes);
        if !removes.is_empty() {
            let place = |(pair, path): &(u32, Rel)| {
                let root = self.roots.get(pair).map_or("", String::as_str);
                path.below(root.as_ref()).display().to_string()
            };
            let mut words = ["rm", "-rf", "--"].map(str::to_owned).to_vec();
            words.extend(removes.iter().map(place));
            if let Err(reason) = ask(&self.transport.exec(&self.instance, &words, User::Own)) {
                let reason = format!("it stays there, since `rm` cannot be run there: {reason}");
                let refused = |(_, path): (u32, Rel)| (path, Refusal::Failed(reason.clone()));
                self.refusals.extend(removes.into_iter().map(refused));
            }
        }
        std::mem::take(&mut self.refusals)
    }
}
