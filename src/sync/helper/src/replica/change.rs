//! Changing: one path at a time. A file is written beside its place and takes it in one step; where something certain is
//! expected there, what has given way is looked at before it is let go, and gets its place back if it was something else.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use hotwatch_platform::exchange::exchange;
use nix::errno::Errno;

use super::{Expect, Owner, Refusal, Replica, look};
use crate::entry::{Content, Entry, Hasher, Rel};
use crate::filter::CONFLICT;

/// What names of temporary files begin with.
pub(super) const TEMPORARY: &str = ".hotwatch-tmp-";

/// What names of files begin with that may be somebody's last copy, and have no place.
pub(super) const RECOVERED: &str = "recovered-by-hotwatch-";

/// The permissions of a file that is being written. Nobody else gives a file just these, so it is known later whether
/// one that was left behind holds what somebody has written who was replaced.
pub(super) const UNFINISHED: u32 = 0o200;

/// A file that is being written beside its place. Dropping it leaves nothing.
#[derive(Debug)]
pub struct Writing {
    path: Rel,
    expect: Expect,
    executable: bool,
    mode: u32,
    file: File,
    temporary: Temporary,
    hasher: Hash,
}

#[derive(Default)]
struct Hash(Hasher);

impl std::fmt::Debug for Hash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hash")
    }
}

/// A path that is removed at the end, if something stands there.
#[derive(Debug)]
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        drop(fs::remove_file(&self.0));
    }
}

impl Replica {
    /// Begins a file that is to stand at `path`, if what is there is as expected; with the permissions `mode`, as far as
    /// the options do not say others.
    ///
    /// # Errors
    /// It cannot be written there.
    pub fn begin(
        &mut self,
        path: &Rel,
        expect: Expect,
        executable: bool,
        mode: u32,
    ) -> Result<Writing, Refusal> {
        let place = self.path(path)?;
        if path.is_root() {
            fs::create_dir_all(place.parent().unwrap_or(Path::new("/")))?;
        }
        let temporary = self.temporary(&place);
        let file = OpenOptions::new().write(true).create_new(true).mode(UNFINISHED).open(&temporary.0)?;
        let hasher = Hash::default();
        Ok(Writing { path: path.clone(), expect, executable, mode, file, temporary, hasher })
    }

    /// Has what was written take its place, if it is what was announced.
    ///
    /// # Errors
    /// It is something else, or something else than expected stands there.
    pub fn finish(&mut self, writing: Writing, announced: Content) -> Result<(), Refusal> {
        let Writing { path, expect, executable, mode, file, temporary, hasher } = writing;
        if hasher.0.content() != announced {
            return Err(Refusal::Differs);
        }
        file.set_permissions(Permissions::from_mode(self.file_mode(mode, executable)))?;
        drop(file);
        self.own(&temporary.0)?;
        self.settle(&path, &expect, &temporary)
    }

    /// Makes the directory or the link `want` at `path`.
    ///
    /// # Errors
    /// It cannot be made there, or something else than expected is there.
    pub fn make(&mut self, path: &Rel, expect: &Expect, want: &Entry, mode: u32) -> Result<(), Refusal> {
        let place = self.path(path)?;
        match want {
            Entry::Dir => self.make_dir(path, &place, expect, mode),
            Entry::Link(target) => {
                let temporary = self.temporary(&place);
                symlink(std::ffi::OsStr::from_bytes(target), &temporary.0)?;
                self.own(&temporary.0)?;
                // What leads through it is no directory any more.
                self.seen_way.take();
                self.settle(path, expect, &temporary)
            }
            Entry::File { .. } | Entry::Opaque(_) => {
                Err(Refusal::Failed("only a directory or a link is made".to_owned()))
            }
        }
    }

    /// Changes nothing but whether the file at `path` may be executed.
    ///
    /// # Errors
    /// Something else than expected is there, or it may not be changed.
    pub fn set_executable(&mut self, path: &Rel, expect: &Expect, executable: bool) -> Result<(), Refusal> {
        let place = self.path(path)?;
        self.check(path, expect)?;
        let (file, meta) = look::open(&place)?;
        let mode = self.file_mode(meta.mode() & 0o7666, executable);
        Ok(file.set_permissions(Permissions::from_mode(mode))?)
    }

    /// Removes what stands at `path`; a directory only if nothing is in it.
    ///
    /// # Errors
    /// Something else than expected is there, or it cannot be removed.
    pub fn remove(&mut self, path: &Rel, expect: &Expect) -> Result<(), Refusal> {
        let place = match self.path(path) {
            Err(_) if !path.below(&self.root).exists() => return Ok(()),
            place => place?,
        };
        let meta = match fs::symlink_metadata(&place) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            meta => meta?,
        };
        match expect {
            Expect::Exactly(Some(Entry::Dir)) if !meta.is_dir() => Err(Refusal::Differs),
            Expect::Exactly(Some(entry)) if !entry.is_dir() => self.take_away(&place, entry),
            Expect::Exactly(None) => Err(Refusal::Differs),
            _ if meta.is_dir() => Ok(fs::remove_dir(&place)?),
            _ => Ok(fs::remove_file(&place)?),
        }
    }

    /// Moves what stands at `path` to `to`, where nothing may stand.
    ///
    /// # Errors
    /// Something else than expected is there, or something is at `to`.
    pub fn rename(&mut self, path: &Rel, expect: &Expect, to: &Rel) -> Result<(), Refusal> {
        let (place, to) = (self.path(path)?, self.path(to)?);
        self.check(path, expect)?;
        if fs::symlink_metadata(&to).is_ok() {
            return Err(Refusal::Differs);
        }
        Ok(fs::rename(place, to)?)
    }

    fn make_dir(&mut self, path: &Rel, place: &Path, expect: &Expect, mode: u32) -> Result<(), Refusal> {
        if path.is_root() {
            fs::create_dir_all(place.parent().unwrap_or(Path::new("/")))?;
        }
        match (fs::symlink_metadata(place), expect) {
            // Made by somebody else, or there by a link: what was wanted.
            (Ok(_), _) if path.is_root() && place.is_dir() => return Ok(()),
            (Ok(meta), _) if meta.is_dir() => return Ok(()),
            (Ok(_), Expect::Anything) => fs::remove_file(place)?,
            (Ok(_), Expect::Exactly(Some(entry))) => self.take_away(place, entry)?,
            (Ok(_), Expect::Exactly(None)) => return Err(Refusal::Differs),
            (Err(_), _) => {}
        }
        let mode = self.options.dir_mode.unwrap_or(mode);
        fs::DirBuilder::new().mode(mode).create(place)?;
        // As it was asked for, whatever the umask leaves out.
        fs::set_permissions(place, Permissions::from_mode(mode))?;
        self.own(place)
    }

    /// Has what is at `temporary` take the place of what is expected at `path`.
    fn settle(&mut self, path: &Rel, expect: &Expect, temporary: &Temporary) -> Result<(), Refusal> {
        let place = self.path(path)?;
        match expect {
            Expect::Anything => replace(&temporary.0, &place),
            Expect::Exactly(None) => take_free(&temporary.0, &place),
            Expect::Exactly(Some(Entry::Dir)) => {
                fs::remove_dir(&place)?;
                take_free(&temporary.0, &place)
            }
            Expect::Exactly(Some(expected)) => match exchange(&temporary.0, &place) {
                Ok(()) if identity(&temporary.0).as_ref() == Some(expected) => Ok(()),
                // Somebody was quicker. It gets its place back.
                Ok(()) => {
                    let new = identity(&place);
                    let back = exchange(&temporary.0, &place);
                    // Whoever has come in between is let go only if it is what has just been put there.
                    if back.is_err() || new.is_none() || identity(&temporary.0) != new {
                        put_back(&temporary.0, &place)?;
                    }
                    Err(Refusal::Differs)
                }
                Err(error) if error.kind() == ErrorKind::NotFound => Err(Refusal::Differs),
                Err(_) => {
                    self.check(path, expect)?;
                    replace(&temporary.0, &place)
                }
            },
        }
    }

    /// Removes what stands at `place` if it is `expected`.
    fn take_away(&mut self, place: &Path, expected: &Entry) -> Result<(), Refusal> {
        let aside = self.temporary(place);
        fs::rename(place, &aside.0)?;
        if identity(&aside.0).as_ref() == Some(expected) {
            return Ok(());
        }
        put_back(&aside.0, place)?;
        Err(Refusal::Differs)
    }

    fn check(&mut self, path: &Rel, expect: &Expect) -> Result<(), Refusal> {
        match expect {
            Expect::Exactly(expected) if self.look(path) != *expected => Err(Refusal::Differs),
            _ => Ok(()),
        }
    }

    fn temporary(&mut self, beside: &Path) -> Temporary {
        self.number += 1;
        let name = format!("{TEMPORARY}{}-{}", std::process::id(), self.number);
        Temporary(beside.with_file_name(name))
    }

    fn file_mode(&self, mode: u32, executable: bool) -> u32 {
        let mode = self.options.file_mode.unwrap_or(mode) & 0o7666;
        // Who may read it may execute it.
        if executable { mode | ((mode & 0o444) >> 2) | 0o100 } else { mode }
    }

    fn own(&self, path: &Path) -> Result<(), Refusal> {
        let Some(owner) = &self.options.owner else { return Ok(()) };
        let table = |file| fs::read_to_string(file).unwrap_or_default();
        let owner =
            Owner::parse(owner, &table("/etc/passwd"), &table("/etc/group")).map_err(Refusal::Failed)?;
        Ok(owner.own(path)?)
    }
}

/// Has `new` stand at `place`, where nothing may stand.
fn take_free(new: &Path, place: &Path) -> Result<(), Refusal> {
    match fs::hard_link(new, place) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Err(Refusal::Differs),
        // A file system without such links.
        Err(_) if fs::symlink_metadata(place).is_ok() => Err(Refusal::Differs),
        Err(_) => replace(new, place),
    }
}

/// Has what stands at `aside`, which somebody has written, stand at `place` again, or beside it where another has come
/// meanwhile. It is never removed: if that does not work, it stays where it is.
fn put_back(aside: &Path, place: &Path) -> Result<(), Refusal> {
    let beside = (1..100).map(|number| with_suffix(place, &format!("{CONFLICT}{number}")));
    for free in std::iter::once(place.to_owned()).chain(beside) {
        // A directory has no links, and takes the place of nothing but an empty one.
        let is_dir = fs::symlink_metadata(aside).is_ok_and(|meta| meta.is_dir());
        let moved = if is_dir { fs::rename(aside, &free) } else { fs::hard_link(aside, &free) };
        match moved {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(_) if fs::symlink_metadata(&free).is_ok() => {}
            Err(_) => break,
        }
    }
    // Whoever would clear it away finds nothing.
    let name = aside.file_name().unwrap_or_default().to_string_lossy().replace(TEMPORARY, RECOVERED);
    Ok(fs::rename(aside, aside.with_file_name(name))?)
}

/// `place` with `suffix` behind its name.
fn with_suffix(place: &Path, suffix: &str) -> PathBuf {
    let mut name = place.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// What stands at `place`, read anew.
fn identity(place: &Path) -> Option<Entry> {
    let meta = fs::symlink_metadata(place).ok()?;
    if meta.is_symlink() {
        return Some(Entry::Link(fs::read_link(place).ok()?.as_os_str().as_bytes().to_vec()));
    }
    let (content, size, meta) = look::read(place).ok()?;
    Some(look::file(content, size, &meta))
}

/// Has `new` take the place of whatever stands at `place`, but a directory with something in it.
fn replace(new: &Path, place: &Path) -> Result<(), Refusal> {
    match fs::rename(new, place) {
        Err(error) if error.kind() == ErrorKind::IsADirectory => {
            fs::remove_dir(place)?;
            Ok(fs::rename(new, place)?)
        }
        // A file that is mounted by itself cannot be replaced, only written.
        Err(error) if error.raw_os_error() == Some(Errno::EBUSY as i32) => {
            let mut from = File::open(new)?;
            let mut to = OpenOptions::new().write(true).truncate(true).open(place)?;
            io::copy(&mut from, &mut to)?;
            Ok(())
        }
        other => Ok(other?),
    }
}

impl Writing {
    /// Has it have the permissions `mode`, as far as the options do not say others.
    pub fn set_mode(&mut self, mode: u32) {
        self.mode = mode;
    }

    /// What was written so far.
    pub fn content(&self) -> Content {
        self.hasher.0.content()
    }

    /// Where it is to stand.
    pub fn path(&self) -> &Rel {
        &self.path
    }
}

impl Write for Writing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write(bytes)?;
        self.hasher.0.update(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
