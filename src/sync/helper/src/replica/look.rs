//! Looking: what stands in the tree. Contents are read once, and again only when a file does not look as it did.

use std::ffi::OsStr;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::libc::{O_NOFOLLOW, O_NONBLOCK};

use super::Replica;
use super::change::{RECOVERED, TEMPORARY, UNFINISHED};
use crate::entry::{Content, Entry, Hasher, Rel};
use crate::filter::OWN;

/// How files look that were read: size, times, inode.
pub(super) type Stamp = (u64, i64, i64, i64, i64, u64);

/// File systems count time in steps. A file that was written less than a step ago can be written again without looking
/// any different.
const COARSEST_STEP: Duration = Duration::from_secs(2);

/// How much is read at once, in bytes.
const PIECE: usize = 128 * 1024;

impl Replica {
    /// What stands at `path` and below it, directories before what is in them; nothing if that takes no part. What cannot
    /// be read is not taken for something that is gone.
    pub fn scan(&mut self, path: &Rel) -> Vec<(Rel, Entry)> {
        let mut found = Vec::new();
        match self.find(path) {
            Ok(Some((place, meta))) => {
                self.walk(path, &place, &meta, &mut found);
                // A directory that goes while it is looked at seems to be empty.
                if meta.is_dir() && found.len() == 1 && matches!(there(fs::metadata(&place)), Ok(None)) {
                    found.clear();
                }
            }
            Ok(None) => {}
            Err(error) => found.push((path.clone(), unreadable(&error))),
        }
        if self.filter.picks() {
            self.without_bare_directories(&mut found);
        }
        found
    }

    /// What stands at `path` itself.
    pub fn look(&mut self, path: &Rel) -> Option<Entry> {
        match self.find(path) {
            Ok(Some((_, meta))) if meta.is_dir() => Some(Entry::Dir),
            Ok(Some((place, meta))) => self.entry(path, &place, &meta),
            Ok(None) => None,
            Err(error) => Some(unreadable(&error)),
        }
    }

    /// Where `path` lies, and how that looks, if something is there that takes part.
    fn find(&self, path: &Rel) -> io::Result<Option<(PathBuf, Metadata)>> {
        let Some(place) = there(self.way(path))? else { return Ok(None) };
        // The root may be reached by a link, nothing else is.
        let meta = if path.is_root() { fs::metadata(&place) } else { fs::symlink_metadata(&place) };
        let meta = there(meta)?;
        Ok(meta.filter(|meta| !self.filter.leaves_out_at(path, meta.is_dir())).map(|meta| (place, meta)))
    }

    fn walk(&mut self, rel: &Rel, place: &Path, meta: &Metadata, found: &mut Vec<(Rel, Entry)>) {
        if !meta.is_dir() {
            found.extend(self.entry(rel, place, meta).map(|entry| (rel.clone(), entry)));
            return;
        }
        let names = match there(names(place)) {
            Ok(Some(names)) => names,
            Ok(None) => return,
            Err(error) => return found.push((rel.clone(), unreadable(&error))),
        };
        found.push((rel.clone(), Entry::Dir));
        for name in names {
            let (below, place) = (rel.join(&name), place.join(&name));
            let meta = match there(fs::symlink_metadata(&place)) {
                Ok(Some(meta)) => meta,
                // It is gone by now.
                Ok(None) => continue,
                Err(error) => {
                    found.push((below, unreadable(&error)));
                    continue;
                }
            };
            if name.as_bytes().starts_with(OWN.as_bytes()) {
                clear_left_behind(&name, &place, &meta, self.patience);
            } else if !self.filter.leaves_out(&below, meta.is_dir()) {
                self.walk(&below, &place, &meta, found);
            }
        }
    }

    /// The entry of what is no directory; nothing if it is gone by now.
    fn entry(&mut self, rel: &Rel, place: &Path, meta: &Metadata) -> Option<Entry> {
        if meta.is_symlink() {
            return match there(fs::read_link(place)) {
                Ok(target) => Some(Entry::Link(target?.as_os_str().as_bytes().to_vec())),
                Err(error) => Some(unreadable(&error)),
            };
        }
        if !meta.is_file() {
            return Some(Entry::Opaque("is neither a file, a directory nor a link".to_owned()));
        }
        let stamp = stamp(meta);
        if let Some((_, content)) = self.seen.get(rel).filter(|(seen, _)| *seen == stamp) {
            return Some(file(*content, meta.len(), meta));
        }
        let (content, size, meta) = match there(read(place)) {
            Ok(read) => read?,
            Err(error) => return Some(unreadable(&error)),
        };
        if is_settled(&meta) {
            self.seen.insert(rel.clone(), (self::stamp(&meta), content));
        }
        Some(file(content, size, &meta))
    }

    /// Leaves out directories in which nothing takes part, if that is for files to say.
    fn without_bare_directories(&self, found: &mut Vec<(Rel, Entry)>) {
        let mut needed = std::collections::HashSet::new();
        for (path, _) in found.iter().filter(|(path, entry)| self.filter.includes(path, entry.is_dir())) {
            needed.extend(path.ancestors());
        }
        found.retain(|(path, _)| path.is_root() || needed.contains(path));
    }
}

/// What was found, or nothing if nothing is there. Any other error says nothing of that.
fn there<T>(found: io::Result<T>) -> io::Result<Option<T>> {
    match found {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        found => found.map(Some),
    }
}

fn unreadable(error: &io::Error) -> Entry {
    Entry::Opaque(format!("cannot be read: {error}"))
}

/// Opens the regular file at `place` for reading.
///
/// # Errors
/// It cannot be opened, or is something else.
pub fn open(place: &Path) -> io::Result<(File, Metadata)> {
    let mut options = OpenOptions::new();
    // A named pipe would wait for its other end.
    let file = options.read(true).custom_flags(O_NONBLOCK | O_NOFOLLOW).open(place)?;
    let meta = file.metadata()?;
    if meta.is_file() { Ok((file, meta)) } else { Err(io::Error::other("is no regular file")) }
}

pub(super) fn read(place: &Path) -> io::Result<(Content, u64, Metadata)> {
    let (mut file, meta) = open(place)?;
    let (mut hasher, mut size) = (Hasher::default(), 0);
    let mut piece = vec![0; PIECE.min(usize::try_from(meta.len()).unwrap_or(PIECE) + 1)];
    loop {
        match file.read(&mut piece) {
            Ok(0) => return Ok((hasher.content(), size, meta)),
            Ok(count) => {
                hasher.update(&piece[..count]);
                size += count as u64;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

pub(super) fn file(content: Content, size: u64, meta: &Metadata) -> Entry {
    Entry::File { content, size, executable: meta.mode() & 0o100 != 0 }
}

fn stamp(meta: &Metadata) -> Stamp {
    (meta.len(), meta.mtime(), meta.mtime_nsec(), meta.ctime(), meta.ctime_nsec(), meta.ino())
}

/// Whether another write would show in the times of a file that looks like this.
fn is_settled(meta: &Metadata) -> bool {
    let changed = UNIX_EPOCH + Duration::from_secs(meta.ctime().max(0).unsigned_abs());
    SystemTime::now().duration_since(changed).is_ok_and(|age| age > COARSEST_STEP)
}

fn names(dir: &Path) -> io::Result<Vec<std::ffi::OsString>> {
    fs::read_dir(dir)?.map(|entry| entry.map(|entry| entry.file_name())).collect()
}

/// Clears away a temporary file of somebody who did not come to its end. What may hold what a user has written, and had
/// just given way, is given a name that can be seen.
fn clear_left_behind(name: &OsStr, place: &Path, meta: &Metadata, patience: Duration) {
    let Some(rest) = name.as_bytes().strip_prefix(TEMPORARY.as_bytes()) else { return };
    // A file that has just given way keeps the time of its content.
    let changed = UNIX_EPOCH + Duration::from_secs(meta.ctime().max(0).unsigned_abs());
    let is_old = changed.elapsed().is_ok_and(|age| age >= patience);
    if !is_old || meta.is_dir() {
        return;
    }
    if meta.is_symlink() || meta.mode() & 0o777 == UNFINISHED {
        drop(fs::remove_file(place));
    } else {
        let rest = String::from_utf8_lossy(rest).into_owned();
        drop(fs::rename(place, place.with_file_name(format!("{RECOVERED}{rest}"))));
    }
}
