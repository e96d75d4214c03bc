//! A plan carried out: step by step, on both sides. What was done is agreed on; what was refused, since something else
//! stood there, is looked at again.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use hotwatch_helper::entry::{Entry, Hasher, Rel};
use hotwatch_helper::replica::{Expect, Refusal, Replica, open};
use hotwatch_helper::tree::Tree;
use hotwatch_helper::wire::Request;

use super::agreed::{Agreed, Conflict, Copy};
use super::ending::Ending;
use super::far::Far;
use super::reconcile::{Plan, Side, Step};
use super::session::{Lost, Session};

/// Permissions of what comes from where none are known.
const FILE: u32 = 0o644;
const DIR: u32 = 0o755;

/// Both sides of a pair.
pub struct Sides<'a> {
    /// The number of the pair, as the helper knows it.
    pub number: u32,
    /// This side.
    pub near: &'a mut Replica,
    /// What stands there.
    pub ours: &'a mut Tree,
    /// The other.
    pub far: &'a mut Far,
    /// What stands there.
    pub theirs: &'a mut Tree,
    /// What they have agreed on.
    pub agreed: &'a mut Agreed,
    /// Whether somebody wants to end.
    pub ending: &'a Ending,
    /// Where what loses a conflict is kept, and what is put behind its name.
    pub keep: &'a Path,
    /// What is put behind the name of what loses a conflict.
    pub suffix: &'a str,
}

/// What was done.
#[derive(Debug, Default)]
pub struct Done {
    /// Paths at which something was done on the other side, and on this one.
    pub paths: Vec<(Side, Rel)>,
    /// How many files and links went over, or went.
    pub files: usize,
    /// How many bytes they have.
    pub bytes: u64,
    /// What has to be looked at again.
    pub again: BTreeSet<Rel>,
    /// What cannot be done.
    pub trouble: Vec<(Side, Rel, Refusal)>,
    /// New conflicts.
    pub conflicts: Vec<Conflict>,
}

/// How far a round has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Files and links.
    pub files: usize,
    /// Bytes.
    pub bytes: u64,
}

impl Progress {
    /// All that `plan` moves.
    pub fn whole(plan: &Plan) -> Progress {
        let moved = |step: &Step| match step {
            Step::Put { entry, .. } if !entry.is_dir() => Some(entry.size()),
            _ => None,
        };
        let sizes: Vec<u64> = plan.steps.iter().filter_map(moved).collect();
        Progress { files: sizes.len(), bytes: sizes.iter().sum() }
    }
}

/// A step that was taken, and what stands at its path then.
struct Taken {
    side: Side,
    path: Rel,
    entry: Option<Entry>,
}

impl Sides<'_> {
    /// Carries out `plan`; `progress` is called as files go.
    ///
    /// # Errors
    /// The other side is out of reach. What was done until then is found out when it is back.
    pub fn carry_out(&mut self, plan: Plan, progress: &mut dyn FnMut(Progress)) -> Result<Done, Lost> {
        let mut done = Done::default();
        let mut refused: Vec<(Side, Rel, Refusal)> = Vec::new();
        let (mut taken, mut asides) = (Vec::new(), Vec::new());
        let mut so_far = Progress::default();
        for step in plan.steps {
            // What could not be kept is not replaced.
            if refused.iter().any(|(_, path, _)| path == step.path()) {
                continue;
            }
            if self.ending.is_wanted() {
                return Err(Lost("hotwatch ends".to_owned()));
            }
            match step {
                Step::Aside { path, entry } => {
                    let copy = path.with_suffix(self.suffix);
                    let expect = Expect::Exactly(Some(entry));
                    let rename =
                        Request::Rename { pair: self.number, path: path.clone(), expect, to: copy.clone() };
                    self.session()?.step(&rename)?;
                    asides.push(Conflict { path, copy: Copy::Beside(copy) });
                }
                Step::Keep { path, entry } => match self.keep(&path, &entry)? {
                    Ok(copy) => done.conflicts.push(Conflict { path, copy: Copy::Kept(copy) }),
                    Err(error) => refused.push((Side::Ours, path, error.into())),
                },
                Step::Remove { side, path, expect } => {
                    match side {
                        Side::Ours => {
                            let removed = self.near.remove(&path, &expect);
                            refused.extend(removed.err().map(|refusal| (side, path.clone(), refusal)));
                        }
                        Side::Theirs => {
                            let is_dir = self.theirs.get(&path).is_some_and(Entry::is_dir);
                            self.far.remove(self.number, &path, expect, is_dir)?;
                        }
                    }
                    taken.push(Taken { side, path, entry: None });
                }
                Step::Put { side, path, expect, entry } => {
                    let put = match side {
                        Side::Ours => self.take(&path, expect, &entry)?,
                        Side::Theirs => self.give(&path, expect, &entry)?,
                    };
                    if !entry.is_dir() {
                        so_far.files += 1;
                        so_far.bytes += entry.size();
                        progress(so_far);
                    }
                    refused.extend(put.err().map(|refusal| (side, path.clone(), refusal)));
                    taken.push(Taken { side, path, entry: Some(entry) });
                }
            }
        }
        let there = self.far.settle()?;
        refused.extend(there.into_iter().map(|(path, refusal)| (Side::Theirs, path, refusal)));
        for aside in asides {
            done.again.extend([aside.path.clone()]);
            let Copy::Beside(copy) = &aside.copy else { continue };
            if !refused.iter().any(|(_, path, _)| *path == aside.path) {
                done.again.insert(copy.clone());
                done.conflicts.push(aside);
            }
        }
        self.take_over(taken, plan.agreed, refused, &mut done).map_err(Lost::here)?;
        Ok(done)
    }

    /// Takes note of what was done, and of what was not.
    fn take_over(
        &mut self,
        taken: Vec<Taken>,
        mut agreed: Vec<(Rel, Option<Entry>)>,
        refused: Vec<(Side, Rel, Refusal)>,
        done: &mut Done,
    ) -> io::Result<()> {
        let why: BTreeMap<&Rel, &Refusal> =
            refused.iter().rev().map(|(_, path, refusal)| (path, refusal)).collect();
        for Taken { side, path, entry } in taken {
            match why.get(&path) {
                None => {
                    let tree = if side == Side::Ours { &mut *self.ours } else { &mut *self.theirs };
                    let file = entry.as_ref().or(tree.get(&path)).filter(|entry| !entry.is_dir());
                    done.files += usize::from(file.is_some());
                    done.bytes += entry.as_ref().map_or(0, Entry::size);
                    tree.set(path.clone(), entry.clone());
                    agreed.push((path.clone(), entry));
                    done.paths.push((side, path));
                }
                Some(Refusal::Differs | Refusal::NotEmpty) => drop(done.again.insert(path)),
                Some(_) => {}
            }
        }
        for (side, path, refusal) in refused {
            match refusal {
                Refusal::Differs => drop(done.again.insert(path)),
                refusal => done.trouble.push((side, path, refusal)),
            }
        }
        self.agreed.agree(agreed)?;
        done.conflicts.iter().try_for_each(|conflict| self.agreed.conflict(conflict.clone()))
    }

    /// Has `entry`, as it is here, stand at `path` there.
    fn give(&mut self, path: &Rel, expect: Expect, entry: &Entry) -> Result<Result<(), Refusal>, Lost> {
        let place = match self.near.place(path) {
            Ok(place) => place,
            Err(error) => return Ok(Err(error.into())),
        };
        match entry {
            Entry::File { executable, .. } => {
                let there = self.theirs.get(path).cloned();
                if let (Some(there), Far::Helper(session)) =
                    (there.filter(|there| there.has_content_of(entry)), &mut *self.far)
                {
                    let (pair, path, executable) = (self.number, path.clone(), *executable);
                    let expect = Expect::Exactly(Some(there));
                    session.step(&Request::SetExecutable { pair, path, expect, executable })?;
                    return Ok(Ok(()));
                }
                let Ok((mut file, meta)) = open(&place) else { return Ok(Err(Refusal::Differs)) };
                let mode = meta.permissions().mode();
                self.far.put(self.number, (path, expect, entry), mode, &mut file)?;
            }
            Entry::Dir => {
                let mode = fs::metadata(&place).map_or(DIR, |meta| meta.permissions().mode() & 0o7777);
                self.far.put(self.number, (path, expect, entry), mode, &mut io::empty())?;
            }
            Entry::Link(_) | Entry::Opaque(_) => {
                self.far.put(self.number, (path, expect, entry), FILE, &mut io::empty())?;
            }
        }
        Ok(Ok(()))
    }

    /// Has `entry`, as it is there, stand at `path` here.
    fn take(&mut self, path: &Rel, expect: Expect, entry: &Entry) -> Result<Result<(), Refusal>, Lost> {
        let Entry::File { content, executable, .. } = entry else {
            return Ok(self.near.make(path, &expect, entry, DIR));
        };
        if let Some(here) = self.ours.get(path).filter(|here| here.has_content_of(entry)) {
            let expect = Expect::Exactly(Some(here.clone()));
            return Ok(self.near.set_executable(path, &expect, *executable));
        }
        let mut writing = match self.near.begin(path, expect, *executable, FILE) {
            Ok(writing) => writing,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let number = self.number;
        match self.session()?.fetch(number, path, &mut writing)? {
            // No program gets its owner's rights here for having had them there.
            Ok(mode) => writing.set_mode(mode & 0o777),
            // It is there no longer, or this disk is full.
            Err(error) => {
                let refusal = Refusal::from(error);
                return Ok(Err(if refusal == Refusal::Full { refusal } else { Refusal::Differs }));
            }
        }
        Ok(self.near.finish(writing, *content))
    }

    /// Keeps a copy of what stands at `path` there.
    fn keep(&mut self, path: &Rel, entry: &Entry) -> Result<io::Result<PathBuf>, Lost> {
        let copy = path.with_suffix(self.suffix).below(self.keep);
        if let Err(error) = fs::create_dir_all(copy.parent().unwrap_or(Path::new("/"))) {
            return Ok(Err(error));
        }
        let content = match entry {
            Entry::File { content, .. } => *content,
            Entry::Link(to) => return Ok(symlink(OsStr::from_bytes(to), &copy).map(|()| copy)),
            Entry::Dir | Entry::Opaque(_) => return Ok(Ok(copy)),
        };
        let mut file = match File::create_new(&copy) {
            Ok(file) => Hashing { file, hasher: Hasher::default() },
            Err(error) => return Ok(Err(error)),
        };
        let number = self.number;
        let fetched = self.session()?.fetch(number, path, &mut file)?;
        Ok(fetched.and_then(|mode| match file.hasher.content() == content {
            true => file.file.set_permissions(Permissions::from_mode(mode & 0o777)).map(|()| copy),
            false => Err(io::Error::other("it has changed meanwhile")),
        }))
    }

    fn session(&mut self) -> Result<&mut Session, Lost> {
        match self.far {
            Far::Helper(session) => Ok(session),
            Far::Archive(_) => Err(Lost("only the helper can do that".to_owned())),
        }
    }
}

/// A file that is being written, and what it contains by now.
struct Hashing {
    file: File,
    hasher: Hasher,
}

impl Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write(bytes)?;
        self.hasher.update(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
